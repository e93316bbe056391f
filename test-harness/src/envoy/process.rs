//! One Envoy process: started on free ports, watched, always stopped.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::admin::{Admin, Stats};
use super::binary::Binary;
use super::bootstrap::{Bootstrap, Prepared};
use super::client::{Connection, get, send};
use super::foreground;
use super::log::{LOG_FORMAT, Log, LogLine};
use super::message::{Request, Response};

/// Compiling a module takes seconds, and a test machine is shared.
const START_LIMIT: Duration = Duration::from_secs(90);
/// SIGTERM is polite for this long.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Pause between two looks at something that has no event.
const POLL: Duration = Duration::from_millis(10);

/// What to start.
#[derive(Debug, Clone)]
pub struct Launch {
    bootstrap: Bootstrap,
    concurrency: u32,
    log_level: String,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
}

/// What `--mode validate` said.
#[derive(Debug)]
pub struct Validation {
    /// Whether Envoy would start with it.
    pub accepted: bool,
    /// Its log.
    pub log: Vec<LogLine>,
}

/// A running Envoy. Dropping it stops the process.
#[derive(Debug)]
pub struct Envoy {
    child: Child,
    admin: Admin,
    listeners: BTreeMap<String, SocketAddr>,
    ports: BTreeMap<u16, String>,
    log: Log,
    readers: Vec<JoinHandle<()>>,
    concurrency: u32,
    folder: TempDir,
}

impl Launch {
    /// Two workers, log level `info`.
    #[must_use]
    pub fn new(bootstrap: Bootstrap) -> Self {
        let (arguments, environment) = (Vec::new(), BTreeMap::new());
        Self {
            bootstrap,
            concurrency: 2,
            log_level: "info".to_owned(),
            arguments,
            environment,
        }
    }

    /// With this many workers.
    #[must_use]
    pub fn concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    /// With this log level (`debug`, `warning`, …).
    #[must_use]
    pub fn log_level(mut self, level: &str) -> Self {
        level.clone_into(&mut self.log_level);
        self
    }

    /// With a further command line argument.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// With a variable in the environment of the process (`host_env_keys` pass it on to a VM).
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Starts the process and waits until it is ready.
    pub fn start(self) -> Result<Envoy> {
        let (mut command, prepared, folder) = self.command()?;
        let mut child = command.spawn().context("Envoy does not start")?;
        let log = Log::default();
        let readers = log.follow(&mut child);
        let admin = Admin::new(&prepared.admin);
        let (listeners, ports, concurrency) = (BTreeMap::new(), prepared.ports, self.concurrency);
        let mut envoy = Envoy {
            child,
            admin,
            listeners,
            ports,
            log,
            readers,
            concurrency,
            folder,
        };
        envoy.await_ready()?;
        envoy.listeners = envoy.admin.listeners()?;
        Ok(envoy)
    }

    /// Runs `--mode validate` to its end: `on_configure` of every plugin runs, nothing listens.
    pub fn validate(self) -> Result<Validation> {
        let (mut command, _, _folder) = self.command()?;
        let mut child = command
            .args(["--mode", "validate"])
            .spawn()
            .context("Envoy does not start")?;
        let log = Log::default();
        let readers = log.follow(&mut child);
        let status = wait(&mut child, START_LIMIT)?.context("validation did not end")?;
        readers.into_iter().for_each(|reader| drop(reader.join()));
        Ok(Validation {
            accepted: status.success(),
            log: log.lines(),
        })
    }

    /// Runs Envoy in the foreground, on the ports of the bootstrap, until it ends or this process gets SIGINT or SIGTERM, which
    /// stops Envoy first. Its output is this process's.
    pub fn foreground(self) -> Result<ExitStatus> {
        let binary = Binary::locate()?;
        let folder = tempfile::Builder::new().prefix("envoy-").tempdir()?;
        let mut command = Command::new(binary.path());
        command
            .arg("-c")
            .arg(self.bootstrap.write_as_shipped(folder.path())?);
        command.args([
            "--concurrency",
            &self.concurrency.to_string(),
            "--disable-hot-restart",
        ]);
        command
            .args(["--log-level", &self.log_level])
            .args(&self.arguments)
            .envs(&self.environment);
        foreground::run(command, STOP_LIMIT)
    }

    fn command(&self) -> Result<(Command, Prepared, TempDir)> {
        let binary = Binary::locate()?;
        let folder = tempfile::Builder::new().prefix("envoy-").tempdir()?;
        let prepared = self.bootstrap.prepare(folder.path())?;
        let mut command = Command::new(binary.path());
        command.arg("-c").arg(&prepared.file);
        command.args([
            "--concurrency",
            &self.concurrency.to_string(),
            "--disable-hot-restart",
        ]);
        command.args(["--log-level", &self.log_level, "--log-format", LOG_FORMAT]);
        command.args(&self.arguments).envs(&self.environment);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok((command, prepared, folder))
    }
}

impl Envoy {
    /// Starts `bootstrap` with two workers.
    pub fn start(bootstrap: Bootstrap) -> Result<Self> {
        Launch::new(bootstrap).start()
    }

    /// The admin interface.
    #[must_use]
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Where the listener of this name really listens.
    pub fn listener(&self, name: &str) -> Result<SocketAddr> {
        let found = self.listeners.get(name).copied();
        found.with_context(|| {
            format!(
                "no listener {name:?}: there are {:?}",
                self.listeners.keys()
            )
        })
    }

    /// Where the listener really listens that the bootstrap puts on `port`.
    pub fn port(&self, port: u16) -> Result<SocketAddr> {
        let name = self
            .ports
            .get(&port)
            .with_context(|| format!("no listener on port {port} in the bootstrap"))?;
        self.listener(name)
    }

    /// Where the first listener listens: the one of [`Bootstrap::gateway`].
    pub fn gateway(&self) -> Result<SocketAddr> {
        self.listeners
            .values()
            .next()
            .copied()
            .context("there is no listener")
    }

    /// `GET path` at the first listener.
    pub fn get(&self, path: &str) -> Result<Response> {
        get(self.gateway()?, path)
    }

    /// One exchange with the first listener.
    pub fn send(&self, request: &Request) -> Result<Response> {
        send(self.gateway()?, request)
    }

    /// One open connection on each worker to the listener of this name, in the workers' order.
    ///
    /// The kernel picks the worker of a connection, so many are opened and Envoy's per-worker counters tell where each went.
    pub fn connection_per_worker(&self, listener: &str) -> Result<Vec<Connection>> {
        let address = self.listener(listener)?;
        let prefix = format!("listener.{listener}.worker_");
        let counts = || -> Result<Stats> {
            let stats = self
                .admin
                .matching_stats(r"^listener\..*\.worker_\d+\.downstream_cx_total$")?;
            Ok(stats
                .into_iter()
                .filter(|(name, _)| name.starts_with(&prefix))
                .collect())
        };
        let mut found = BTreeMap::new();
        for _ in 0..64 * self.concurrency {
            let before = counts()?;
            let connection = Connection::open(address)?;
            let worker = until(Duration::from_secs(10), || {
                let now = counts()?;
                Ok(now
                    .into_iter()
                    .find(|(name, count)| before.get(name) < Some(count))
                    .map(|(name, _)| name))
            })?;
            found.entry(worker).or_insert(connection);
            if found.len() == self.concurrency as usize {
                return Ok(found.into_values().collect());
            }
        }
        bail!(
            "{} of {} workers were reached",
            found.len(),
            self.concurrency
        )
    }

    /// Everything logged so far.
    #[must_use]
    pub fn log(&self) -> Vec<LogLine> {
        self.log.lines()
    }

    /// Waits for a log line that `wanted` accepts.
    pub fn await_log(&self, limit: Duration, wanted: impl Fn(&LogLine) -> bool) -> Result<LogLine> {
        self.log
            .wait(limit, wanted)
            .context("the log line did not come")
    }

    /// Waits until `observed` gives a value.
    pub fn await_value<T>(
        &self,
        limit: Duration,
        observed: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        until(limit, observed)
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The folder with its bootstrap, deleted with the process.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Sends SIGTERM, waits, kills if need be, and returns the exit status with the whole log.
    pub fn stop(mut self) -> Result<(ExitStatus, Vec<LogLine>)> {
        let status = self.end()?;
        self.readers
            .drain(..)
            .for_each(|reader| drop(reader.join()));
        Ok((status, self.log.lines()))
    }

    fn end(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        if let Some(status) = wait(&mut self.child, STOP_LIMIT)? {
            return Ok(status);
        }
        self.child.kill()?;
        Ok(self.child.wait()?)
    }

    fn await_ready(&mut self) -> Result<()> {
        let (child, admin, log) = (&mut self.child, &self.admin, &self.log);
        until(START_LIMIT, || {
            if let Some(status) = child.try_wait()? {
                bail!(
                    "Envoy ended with {status} before it was ready: {}",
                    log.complaints()
                );
            }
            Ok(admin
                .get("/ready")
                .ok()
                .filter(|answer| answer.status == 200)
                .map(drop))
        })
        .with_context(|| format!("Envoy is not ready: {}", log.complaints()))
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    until(limit, || Ok(child.try_wait()?))
        .map(Some)
        .or_else(|error| match error.is::<TimedOut>() {
            true => Ok(None),
            false => Err(error),
        })
}

#[derive(Debug, thiserror::Error)]
#[error("it did not happen within {0:?}")]
struct TimedOut(Duration);

/// Looks again and again until there is a value, an error, or the limit is over.
#[expect(
    clippy::disallowed_methods,
    reason = "a time limit on a real process needs the real clock"
)]
fn until<T>(limit: Duration, mut observed: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = observed()? {
            return Ok(value);
        }
        if Instant::now() > end {
            return Err(anyhow!(TimedOut(limit)));
        }
        std::thread::sleep(POLL);
    }
}
