//! The real Envoy as a host of scenarios.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::cast::Cast;
use super::client::Sent;
use super::stats;
use super::topology::{Certificate, LISTENER, RECORD, bootstrap};
use crate::emulator::{Choices, Modules};
use crate::envoy::certificate::Authority;
use crate::envoy::log;
use crate::envoy::process::{Envoy, Launch};
use crate::scenario::host::{
    BlindSpots, Exchange, LogLine, Observed, Response, ScenarioHost, Started,
};
use crate::scenario::load::{Group, Setup};
use crate::scenario::schema::{Cluster, Level};
use crate::scenario::step::{Connection, Request, Step};

/// How many connections each worker has taken.
const CONNECTIONS: &str = r"^listener\..*\.worker_\d+\.downstream_cx_total$";
/// An access log line comes within this time of the response.
const RECORD_LIMIT: Duration = Duration::from_secs(5);
/// After this pause nothing is under way inside Envoy: a flush of stats, a log line of another thread.
const SETTLE: Duration = Duration::from_millis(120);

/// Runs scenarios on a real Envoy, one process a gateway.
pub struct EnvoyHost {
    modules: Modules,
    workers: u32,
    records: Vec<String>,
    /// Behaviour of the clusters in the first case: in force before Envoy starts, since a plugin's first call comes with its first tick.
    opening: BTreeMap<String, Cluster>,
    running: Option<Running>,
    choices: Choices,
    refusal: Vec<log::LogLine>,
}

struct Running {
    envoy: Envoy,
    workers: u32,
    remote_address: bool,
    listener: SocketAddr,
    cast: Cast,
    /// Log lines and access records that were already told.
    read: usize,
    records_read: usize,
    records: Vec<String>,
    open: Vec<Open>,
    ended: Vec<Exchange>,
    _certificates: TempDir,
}

/// A request whose answer nobody waits for yet.
struct Open {
    id: String,
    answer: Receiver<Option<Response>>,
}

impl EnvoyHost {
    /// For the cases of `group`, with so many workers.
    pub fn new(modules: Modules, workers: u32, group: &Group) -> Self {
        let steps = group.cases.iter().flat_map(|case| {
            case.steps
                .iter()
                .map(|step| &step.expect)
                .chain([&case.total])
        });
        let records: BTreeSet<String> = steps
            .flat_map(|expect| expect.filter_state.keys().cloned())
            .collect();
        Self {
            modules,
            workers,
            records: records.into_iter().collect(),
            opening: group
                .cases
                .first()
                .map(|case| case.clusters.clone())
                .unwrap_or_default(),
            running: None,
            choices: Choices::default(),
            refusal: Vec::new(),
        }
    }

    /// What was Envoy's to choose since it started.
    pub fn choices(&self) -> Choices {
        self.choices.clone()
    }

    fn running(&mut self) -> Result<&mut Running> {
        self.running.as_mut().context("the gateway has not started")
    }
}

impl ScenarioHost for EnvoyHost {
    fn name(&self) -> String {
        format!(
            "envoy, {} {}",
            self.workers,
            if self.workers == 1 {
                "worker"
            } else {
                "workers"
            }
        )
    }

    fn blind_spots(&self) -> BlindSpots {
        BlindSpots {
            shared_data: true,
            histogram_sums: true,
            filter_state: false,
        }
    }

    fn start(&mut self, setup: &Setup) -> Result<Started> {
        self.running = None;
        self.refusal.clear();
        self.choices = Choices::default();
        let certificates = tempfile::tempdir()?;
        let identity = Authority::new("scenario")?.server(&["gateway.example.org"])?;
        let (certificate, key) = identity.write(certificates.path(), "gateway")?;
        let mut cast = Cast::start(setup)?;
        cast.begin(&self.opening)?;
        let tls = Certificate {
            certificate: &certificate,
            key: &key,
        };
        let document = bootstrap(setup, &self.modules, &cast, &self.records, &tls);
        let launch = Launch::new(document)
            .concurrency(self.workers)
            .argument("--file-flush-interval-msec")
            .argument("10");
        let launch = launch
            .argument("--component-log-level")
            .argument(&format!("wasm:{}", level_name(setup.log_level)));
        if setup.refused {
            let validation = launch.validate()?;
            self.refusal = validation.log;
            return Ok(if validation.accepted {
                Started::Running
            } else {
                Started::Refused
            });
        }
        let envoy = launch.start()?;
        let listener = envoy.listener(LISTENER)?;
        for (name, upstream) in cast.upstreams() {
            let address = upstream.address().to_string();
            self.choices.upstreams.insert(name.clone(), address);
        }
        if let Some(upstream) = cast.tcp() {
            let (name, address) = (upstream.cluster().to_owned(), upstream.address());
            self.choices.upstreams.insert(name, address.to_string());
        }
        let (open, ended, records) = (Vec::new(), Vec::new(), self.records.clone());
        self.running = Some(Running {
            envoy,
            workers: self.workers,
            remote_address: setup.listener.use_remote_address,
            listener,
            cast,
            read: 0,
            records_read: 0,
            records,
            open,
            ended,
            _certificates: certificates,
        });
        Ok(Started::Running)
    }

    fn set_clusters(&mut self, clusters: &BTreeMap<String, Cluster>) -> Result<()> {
        self.running()?.cast.begin(clusters)
    }

    fn act(&mut self, step: &Step) -> Result<()> {
        let running = self
            .running
            .as_mut()
            .context("the gateway has not started")?;
        if let Some(request) = &step.request {
            running.request(request, &mut self.choices)?;
        }
        if let Some(connection) = &step.connection {
            running.connection(connection, &mut self.choices)?;
        }
        if let Some(span) = step.advance {
            std::thread::sleep(span.0);
        }
        if let Some(id) = &step.finish {
            running.finish(id)?;
        }
        if let Some(id) = &step.abort {
            // The thread that reads keeps the connection until its own time limit; the exchange is told without response.
            running.open.retain(|open| open.id != *id);
            running.ended.push(Exchange {
                id: Some(id.clone()),
                ..Exchange::default()
            });
        }
        if let Some(clusters) = &step.clusters {
            running.cast.change(clusters)?;
        }
        if let Some(level) = step.log_level {
            running
                .envoy
                .admin()
                .post(&format!("/logging?wasm={}", level_name(level)))?;
        }
        Ok(())
    }

    fn observe(&mut self) -> Result<Observed> {
        let Some(running) = &mut self.running else {
            let logs = self.refusal.iter().filter_map(plugin_line).collect();
            return Ok(Observed {
                logs,
                ..Observed::default()
            });
        };
        std::thread::sleep(SETTLE);
        let lines = running.envoy.log();
        let fresh: Vec<_> = lines.iter().skip(running.read).collect();
        let is_trap = |line: &&&log::LogLine| {
            line.logger == "wasm" && line.level == "error" && line.text.starts_with("Function: ")
        };
        let observed = Observed {
            exchanges: std::mem::take(&mut running.ended),
            callouts: running.cast.take_callouts(),
            logs: fresh.iter().filter_map(|line| plugin_line(line)).collect(),
            stats: stats::read(running.envoy.admin())?,
            traps: fresh
                .iter()
                .filter(is_trap)
                .map(|line| line.text.clone())
                .collect(),
            unread: running.cast.unread(),
            ..Observed::default()
        };
        running.read = lines.len();
        Ok(observed)
    }

    fn prometheus(&mut self, _: &[String]) -> Result<String> {
        self.running()?.envoy.admin().prometheus()
    }
}

impl Running {
    fn request(&mut self, request: &Request, choices: &mut Choices) -> Result<()> {
        self.cast.override_answer(request.upstream.clone())?;
        for _ in 0..request.repeat.max(1) {
            let before = self.served()?;
            let sent = Sent::send(self.listener, request)?;
            choices.workers.push(self.served_by(&before)?);
            match &request.id {
                Some(id) if request.background => {
                    let (sender, answer) = channel();
                    std::thread::spawn(move || sender.send(sent.receive()));
                    self.open.push(Open {
                        id: id.clone(),
                        answer,
                    });
                }
                id => {
                    let response = sent.receive();
                    self.end(id.clone(), response)?;
                    self.learn(request, choices);
                }
            }
        }
        Ok(())
    }

    fn connection(&mut self, connection: &Connection, choices: &mut Choices) -> Result<()> {
        let before = self.served()?;
        let upstream = self.cast.tcp().context("the listener is not a TCP one")?;
        let played = upstream.play(self.listener, connection)?;
        choices.workers.push(self.served_by(&before)?);
        let (_, filter_state) = self.record();
        self.ended.push(Exchange {
            filter_state,
            ..played
        });
        Ok(())
    }

    /// Connections that each worker has taken.
    fn served(&self) -> Result<Vec<u64>> {
        if self.workers < 2 {
            return Ok(Vec::new());
        }
        let stats = self.envoy.admin().matching_stats(CONNECTIONS)?;
        Ok(stats.into_values().collect())
    }

    /// The worker whose count has grown.
    fn served_by(&self, before: &[u64]) -> Result<u32> {
        if self.workers < 2 {
            return Ok(0);
        }
        let grown = || {
            let now = self.served()?;
            let pairs = now.iter().zip(before.iter().chain(std::iter::repeat(&0)));
            let worker = pairs.enumerate().find(|(_, (now, before))| now > before);
            Ok(worker.and_then(|(worker, _)| u32::try_from(worker).ok()))
        };
        self.envoy.await_value(RECORD_LIMIT, grown)
    }

    /// A client on the loopback: the last address of `x-forwarded-for` is the machine's own. Where no upstream saw the request,
    /// a call-out that came of it has it too.
    fn learn(&self, request: &Request, choices: &mut Choices) {
        let loopback = request
            .source
            .as_ref()
            .is_none_or(|source| source.starts_with("127."));
        let sent = self.ended.last().and_then(|ended| ended.upstream.first());
        let sent = sent.cloned().or_else(|| self.cast.last_callout());
        let forwarded = sent.as_ref().and_then(|sent| {
            let found = |(name, _): &&(Vec<u8>, Vec<u8>)| name == b"x-forwarded-for";
            sent.headers.iter().find(found)
        });
        if let Some((_, value)) = forwarded.filter(|_| loopback && self.remote_address) {
            let text = String::from_utf8_lossy(value).into_owned();
            choices.machine = text.rsplit(',').next().unwrap_or_default().to_owned();
        }
    }

    fn finish(&mut self, id: &str) -> Result<()> {
        let place = self
            .open
            .iter()
            .position(|open| open.id == id)
            .with_context(|| format!("no request has the id {id}"))?;
        let open = self.open.remove(place);
        let response = open
            .answer
            .recv()
            .context("the client ended without an answer")?;
        self.end(Some(open.id), response)
    }

    fn end(&mut self, id: Option<String>, response: Option<Response>) -> Result<()> {
        let (details, filter_state) = self.record();
        let (complete, upstream) = (response.is_some(), self.cast.take_exchanges());
        self.ended.push(Exchange {
            id,
            complete,
            response,
            hung: None,
            upstream,
            details,
            filter_state,
        });
        Ok(())
    }

    /// Waits for the access record, so that everything a plugin does at the end of an exchange has happened: response code
    /// details and filter state.
    fn record(&mut self) -> (String, BTreeMap<String, Vec<u8>>) {
        let wanted = self.records_read + 1;
        let log = || {
            self.envoy
                .log()
                .into_iter()
                .filter(|line| line.level == "stdout" && line.text.starts_with(RECORD))
                .collect::<Vec<_>>()
        };
        let records = self.envoy.await_value(RECORD_LIMIT, || {
            Ok(Some(log()).filter(|records| records.len() >= wanted))
        });
        let record = records
            .ok()
            .and_then(|records| records.into_iter().nth(wanted - 1));
        self.records_read += usize::from(record.is_some());
        let text = record.map(|record| record.text).unwrap_or_default();
        let mut fields = text
            .split('\t')
            .skip(4)
            .map(|field| if field == "-" { "" } else { field });
        let details = fields.next().unwrap_or_default().to_owned();
        let states = self
            .records
            .iter()
            .zip(fields)
            .filter(|(_, state)| !state.is_empty());
        let states = states.map(|(key, state)| (key.clone(), state.as_bytes().to_vec()));
        (details, states.collect())
    }
}

/// A line that a plugin wrote: `wasm log <plugin> <root> <vm>: message`.
fn plugin_line(line: &log::LogLine) -> Option<LogLine> {
    let rest = line.text.strip_prefix("wasm log")?;
    let (prefix, message) = rest.split_once(": ")?;
    let plugin = prefix
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned();
    Some(LogLine {
        level: level(&line.level),
        plugin,
        message: message.to_owned(),
    })
}

fn level(name: &str) -> Level {
    match name {
        "trace" => Level::Trace,
        "debug" => Level::Debug,
        "info" => Level::Info,
        "warning" => Level::Warn,
        "error" => Level::Error,
        _ => Level::Critical,
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warning",
        Level::Error => "error",
        Level::Critical => "critical",
    }
}
