//! What a host showed, written down: the form of the golden traces in `host-truth/`.
//!
//! 1. For each step: log lines of plugins, what clients got, what upstreams saw, call-outs, stats that changed, VMs that died.
//! 2. What no two runs share is masked or left out, as in a diff; upstreams' addresses are named after their clusters.
//! 3. Where a step lets time pass, threads tick side by side, so their lines are sorted.

use std::collections::BTreeMap;

use anyhow::Result;

use super::diff::{fields, mask};
use super::host::EnvoyHost;
use crate::emulator::{EmulatorHost, Modules};
use crate::scenario::ScenarioFile;
use crate::scenario::host::{Exchange, Observed, ScenarioHost, Stat, UpstreamRequest};
use crate::scenario::load::Group;
use crate::scenario::schema::Failure;
use crate::scenario::text::show;

/// The transcript of a file on the real Envoy, with one worker.
pub fn record(file: &ScenarioFile, modules: &Modules) -> Result<String> {
    let mut text = String::new();
    for group in &file.groups {
        let mut host = EnvoyHost::new(modules.clone(), 1, group);
        let told = transcribe(&mut host, group)?;
        text += &named_addresses(&told, &host.choices().upstreams);
    }
    Ok(text)
}

/// The transcript of a file on an emulator.
pub fn replay(file: &ScenarioFile, mut host: EmulatorHost) -> Result<String> {
    let mut text = String::new();
    for group in &file.groups {
        let told = transcribe(&mut host, group)?;
        text += &named_addresses(&told, &host.upstreams());
    }
    Ok(text)
}

fn transcribe(host: &mut dyn ScenarioHost, group: &Group) -> Result<String> {
    let refusing = group
        .setup
        .clusters
        .iter()
        .filter(|(_, cluster)| cluster.reply.fail == Some(Failure::Refused))
        .map(|(name, _)| name.clone());
    let mut told = Transcript {
        refusing: refusing.collect(),
        ..Transcript::default()
    };
    let started = host.start(&group.setup)?;
    told.line(format!("== {started:?}"));
    told.step(&host.observe()?, false);
    for case in &group.cases {
        told.line(format!("== {}", case.name));
        host.set_clusters(&case.clusters)?;
        for step in &case.steps {
            host.act(step)?;
            told.line("--".to_owned());
            let waited = step.request.is_none() && step.connection.is_none();
            told.step(&host.observe()?, waited);
        }
    }
    Ok(told.text)
}

#[derive(Default)]
struct Transcript {
    text: String,
    stats: BTreeMap<String, Stat>,
    /// Clusters that refuse connections, and so see nothing.
    refusing: Vec<String>,
}

impl Transcript {
    fn line(&mut self, line: String) {
        self.text.push_str(&line);
        self.text.push('\n');
    }

    fn step(&mut self, seen: &Observed, waited: bool) {
        let line = |log: &crate::scenario::host::LogLine| {
            format!("{:?} {}", log.level, mask(&log.message))
        };
        let mut logs: Vec<String> = seen.logs.iter().map(line).collect();
        if waited {
            logs.sort();
        }
        logs.into_iter().for_each(|line| self.line(line));
        for exchange in &seen.exchanges {
            self.exchange(exchange);
        }
        let mut callouts: Vec<String> = seen
            .callouts
            .iter()
            .filter(|call| !self.refusing.contains(&call.cluster))
            .map(|call| sent("callout", call))
            .collect();
        callouts.sort();
        callouts.into_iter().for_each(|line| self.line(line));
        for (name, stat) in &seen.stats {
            if self.stats.get(name) != Some(stat) {
                let shown = match stat {
                    Stat::Counter(value) => format!("counter {value}"),
                    Stat::Gauge(value) => format!("gauge {value}"),
                    Stat::Histogram { count, .. } => format!("histogram of {count}"),
                };
                self.line(format!("stat {name:?}: {shown}"));
            }
        }
        self.stats.clone_from(&seen.stats);
        if !seen.traps.is_empty() {
            self.line(format!("died: {}", seen.traps.len()));
        }
    }

    fn exchange(&mut self, exchange: &Exchange) {
        // An upstream that refuses connections sees nothing.
        let refused = exchange.details.contains("remote_connection_failure");
        for request in exchange.upstream.iter().filter(|_| !refused) {
            self.line(sent("upstream", request));
        }
        let whole = if exchange.complete { "whole" } else { "broken" };
        match &exchange.response {
            // A TCP connection has no status.
            Some(response) if response.status == 0 => {
                self.line(format!("client {whole} {:?}", show(&response.body)));
            }
            Some(response) if exchange.complete => {
                let body = mask(&show(&response.body));
                let body = if body.len() > 200 {
                    format!("{} bytes", body.len())
                } else {
                    format!("{body:?}")
                };
                let (headers, trailers) = (fields(&response.headers), fields(&response.trailers));
                let parts = [headers, trailers].map(|part| part.replace('\n', "; "));
                let [headers, trailers] = parts;
                self.line(format!(
                    "client {whole} {} [{headers}] {body} [{trailers}] {:?}",
                    response.status, exchange.details
                ));
            }
            _ => self.line(format!("client {whole} {:?}", exchange.details)),
        }
    }
}

fn sent(what: &str, request: &UpstreamRequest) -> String {
    let [method, path, authority, body] = [
        &request.method,
        &request.path,
        &request.authority,
        &request.body,
    ]
    .map(|bytes| show(bytes));
    let body = if body.len() > 200 {
        format!("{} bytes", body.len())
    } else {
        format!("{body:?}")
    };
    let headers = fields(&request.headers).replace('\n', "; ");
    format!(
        "{what} {} {method} {path} {authority} [{headers}] {body}",
        request.cluster
    )
}

/// Addresses of upstreams by the names of their clusters.
fn named_addresses(text: &str, upstreams: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (cluster, address) in upstreams {
        let port = address.rsplit(':').next().unwrap_or_default();
        text = text.replace(address, &format!("<{cluster}>")).replace(
            &format!("i64={port}\n"),
            &format!("i64=<port of {cluster}>\n"),
        );
    }
    text
}
