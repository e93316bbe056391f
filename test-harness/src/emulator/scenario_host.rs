//! Scenarios on the emulator.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::choices::Choices;
use super::clock::DEFAULT_START;
use super::exchange::{Exchange, ExchangeRef};
use super::flaw::Flaw;
use super::gateway::Gateway;
use super::module::Module;
use super::thread::Loaded;
use crate::scenario::host::{self, Observed, ScenarioHost, Started};
use crate::scenario::load::{Setup, merge_patch};
use crate::scenario::schema::Cluster;
use crate::scenario::step::{Reload, Request, Step};

/// How long a client waits unless it says otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// Compiled modules by path. Cheap to clone; shared by all hosts and threads.
#[derive(Clone, Default)]
pub struct Modules {
    compiled: Arc<Mutex<BTreeMap<PathBuf, Module>>>,
    named: Arc<BTreeMap<String, PathBuf>>,
    dist: PathBuf,
}

impl Modules {
    /// Plugins by name are looked for in `dist` (`<name>.wasm`).
    pub fn new(dist: impl Into<PathBuf>) -> Self {
        Modules {
            dist: dist.into(),
            ..Modules::default()
        }
    }

    /// The same, with these names leading elsewhere.
    #[must_use]
    pub fn with_names(mut self, named: BTreeMap<String, PathBuf>) -> Self {
        self.named = Arc::new(named);
        self
    }

    /// Where a plugin's module is: a name in `dist`, or a path relative to `folder`.
    pub fn locate(&self, folder: &Path, plugin: &str) -> PathBuf {
        if let Some(path) = self.named.get(plugin) {
            return path.clone();
        }
        let file = plugin.ends_with(".wasm") || plugin.ends_with(".wat") || plugin.contains('/');
        if file {
            folder.join(plugin)
        } else {
            self.dist.join(format!("{plugin}.wasm"))
        }
    }

    /// The compiled module at a path.
    pub fn get(&self, path: &Path) -> anyhow::Result<Module> {
        let poisoned = || anyhow::anyhow!("another thread failed while it compiled a module");
        if let Some(module) = self.compiled.lock().map_err(|_| poisoned())?.get(path) {
            return Ok(module.clone());
        }
        let module = Module::read(path).with_context(|| format!("{}", path.display()))?;
        self.compiled
            .lock()
            .map_err(|_| poisoned())?
            .insert(path.to_path_buf(), module.clone());
        Ok(module)
    }
}

/// The emulator as a host of scenarios.
pub struct EmulatorHost {
    modules: Modules,
    workers: u32,
    assignment: Vec<u32>,
    choices: Option<Choices>,
    flaw: Option<Flaw>,
    served: usize,
    gateway: Option<Gateway>,
    open: Vec<ExchangeRef>,
    reload_refused: Option<bool>,
    tracing: bool,
    faults: BTreeMap<String, i32>,
}

impl EmulatorHost {
    /// So many workers; requests are served by the workers of `assignment`, over and over.
    pub fn new(modules: Modules, workers: u32, assignment: Vec<u32>) -> Self {
        EmulatorHost {
            modules,
            workers,
            assignment,
            choices: None,
            flaw: None,
            served: 0,
            gateway: None,
            open: Vec::new(),
            reload_refused: None,
            tracing: false,
            faults: BTreeMap::new(),
        }
    }

    /// Repeats the choices of a real gateway: which worker served which request, addresses.
    #[must_use]
    pub fn replaying(mut self, choices: Choices) -> Self {
        self.assignment.clone_from(&choices.workers);
        self.choices = Some(choices);
        self
    }

    /// Follows a wrong rule.
    #[must_use]
    pub fn flawed(mut self, flaw: Flaw) -> Self {
        self.flaw = Some(flaw);
        self
    }

    /// Addresses of the clusters' hosts.
    pub fn upstreams(&self) -> BTreeMap<String, String> {
        let gateway = self.gateway.as_ref();
        gateway
            .map(|gateway| gateway.world.borrow().clusters.addresses())
            .unwrap_or_default()
    }

    /// Writes down every callback.
    #[must_use]
    pub fn tracing(mut self, tracing: bool) -> Self {
        self.tracing = tracing;
        self
    }

    /// Makes these host calls answer a status from the first request on.
    #[must_use]
    pub fn with_faults(mut self, faults: BTreeMap<String, i32>) -> Self {
        self.faults = faults;
        self
    }

    /// What was traced since the last call.
    pub fn take_trace(&mut self) -> Vec<String> {
        self.gateway
            .as_ref()
            .map(|g| std::mem::take(&mut g.world.borrow_mut().record.trace))
            .unwrap_or_default()
    }

    fn gateway(&mut self) -> anyhow::Result<&mut Gateway> {
        self.gateway.as_mut().context("the gateway has not started")
    }

    fn next_worker(&mut self, pinned: Option<u32>) -> usize {
        let planned = self
            .assignment
            .get(self.served % self.assignment.len().max(1))
            .copied()
            .unwrap_or(0);
        self.served += 1;
        pinned.unwrap_or(planned) as usize
    }

    fn request(&mut self, request: &Request) -> anyhow::Result<()> {
        for _ in 0..request.repeat.max(1) {
            let worker = self.next_worker(request.worker);
            let exchange = self.gateway()?.request(worker, request)?;
            self.open.push(Rc::clone(&exchange));
            if !request.background {
                self.wait(&exchange, request.timeout.map(|span| span.0))?;
            }
        }
        Ok(())
    }

    fn wait(&mut self, exchange: &ExchangeRef, timeout: Option<Duration>) -> anyhow::Result<()> {
        let gateway = self.gateway()?;
        let until = gateway.world.borrow().clock.now() + nanos(timeout.unwrap_or(PATIENCE));
        gateway.run_until(until, || exchange.borrow().ended);
        if !exchange.borrow().ended {
            if timeout.is_none() {
                let why = exchange
                    .borrow()
                    .held_by()
                    .unwrap_or_else(|| "no response came".into());
                exchange.borrow_mut().hung = Some(format!("{why} ({PATIENCE:?} of virtual time)"));
            }
            gateway.abort(exchange);
        }
        gateway.run_now();
        Ok(())
    }

    fn find(&self, id: &str) -> anyhow::Result<ExchangeRef> {
        let found = self
            .open
            .iter()
            .rev()
            .find(|exchange| exchange.borrow().id.as_deref() == Some(id));
        found
            .cloned()
            .with_context(|| format!("no request has the id {id}"))
    }

    fn reload(&mut self, reload: &Reload) -> anyhow::Result<()> {
        let gateway = self.gateway()?;
        let named = |loaded: &Loaded| {
            let plugin = &loaded.plugin;
            reload
                .plugin
                .as_ref()
                .is_none_or(|name| plugin.name.as_ref() == Some(name) || plugin.plugin == *name)
        };
        let Some(index) = gateway.plugins().iter().position(named) else {
            bail!("no plugin is called {:?}", reload.plugin)
        };
        let Some(mut changed) = gateway.plugins().get(index).cloned() else {
            bail!("no plugin")
        };
        match &reload.config_patch {
            Some(patch) => merge_patch(
                changed.plugin.config.get_or_insert(serde_json::json!({})),
                patch,
            ),
            None => changed.plugin.config.clone_from(&reload.config),
        }
        let accepted = gateway.reconfigure(index, changed)?;
        gateway.run_now();
        self.reload_refused = Some(!accepted);
        Ok(())
    }
}

impl ScenarioHost for EmulatorHost {
    fn name(&self) -> String {
        let plural = if self.workers == 1 {
            "worker"
        } else {
            "workers"
        };
        let assignment: Vec<String> = self.assignment.iter().map(u32::to_string).collect();
        match self.workers {
            1 => format!("emulator, 1 {plural}"),
            n => format!(
                "emulator, {n} {plural}, served by {}…",
                assignment.join(" ")
            ),
        }
    }

    fn start(&mut self, setup: &Setup) -> anyhow::Result<Started> {
        let mut gateway = Gateway::new(setup, start_of(setup)?, self.workers);
        gateway.world.borrow_mut().tracing = self.tracing;
        gateway.world.borrow_mut().choices = self.choices.clone().unwrap_or_default();
        gateway.world.borrow_mut().flaw = self.flaw;
        let mut started = Started::Running;
        for plugin in &setup.plugins {
            let path = self.modules.locate(&setup.folder, &plugin.plugin);
            let module = self.modules.get(&path)?;
            if !gateway.load(Loaded {
                path,
                module,
                plugin: plugin.clone(),
            })? {
                started = Started::Refused;
                break;
            }
        }
        gateway.run_now();
        gateway.world.borrow_mut().faults.clone_from(&self.faults);
        self.served = 0;
        self.open.clear();
        self.gateway = Some(gateway);
        Ok(started)
    }

    fn set_clusters(&mut self, clusters: &BTreeMap<String, Cluster>) -> anyhow::Result<()> {
        if self.choices.is_none() {
            self.served = 0;
        }
        self.gateway()?.world.borrow_mut().clusters.begin(clusters);
        Ok(())
    }

    fn act(&mut self, step: &Step) -> anyhow::Result<()> {
        if let Some(request) = &step.request {
            self.request(request)?;
        }
        if let Some(connection) = &step.connection {
            let worker = self.next_worker(None);
            let exchange = self.gateway()?.connection(worker, connection)?;
            self.open.push(exchange);
        }
        if let Some(span) = step.advance {
            let gateway = self.gateway()?;
            let until = gateway.world.borrow().clock.now() + nanos(span.0);
            gateway.run_until(until, || false);
        }
        if let Some(leap) = step.clock {
            let gateway = self.gateway()?;
            let clock = &mut gateway.world.borrow_mut().clock;
            clock.leap(nanos(leap.by), leap.back);
        }
        if let Some(id) = &step.finish {
            let exchange = self.find(id)?;
            self.wait(&exchange, None)?;
        }
        if let Some(id) = &step.abort {
            let exchange = self.find(id)?;
            let gateway = self.gateway()?;
            gateway.abort(&exchange);
            gateway.run_now();
        }
        if let Some(clusters) = &step.clusters {
            self.gateway()?.world.borrow_mut().clusters.change(clusters);
        }
        if let Some(values) = &step.shared_data {
            let gateway = self.gateway()?;
            let vm_id = gateway.first_vm_id();
            for (key, value) in values {
                let value = value
                    .as_ref()
                    .map(|bytes| bytes.0.clone())
                    .unwrap_or_default();
                gateway
                    .world
                    .borrow_mut()
                    .shared
                    .set(&vm_id, key.as_bytes(), value, 0);
            }
        }
        if let Some(reload) = &step.reload {
            self.reload(reload)?;
        }
        if let Some(faults) = &step.faults {
            self.gateway()?.world.borrow_mut().faults.clone_from(faults);
        }
        if let Some(level) = step.log_level {
            self.gateway()?.world.borrow_mut().log_level = level;
        }
        Ok(())
    }

    fn observe(&mut self) -> anyhow::Result<Observed> {
        let reload_refused = self.reload_refused.take();
        let (ended, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|e| e.borrow().ended);
        self.open = open;
        let ended: Vec<ExchangeRef> = ended;
        let gateway = self.gateway()?;
        let shared_data = gateway.shared_data();
        let mut world = gateway.world.borrow_mut();
        let record = std::mem::take(&mut world.record);
        world.record.trace = record.trace;
        Ok(Observed {
            exchanges: ended
                .iter()
                .map(|exchange| seen(&exchange.borrow()))
                .collect(),
            callouts: record.callouts,
            logs: record.logs,
            stats: world.stats.totals(),
            shared_data,
            traps: record.traps,
            unread: world.clusters.unread(),
            faults: record.faults,
            costs: record.costs,
            reload_refused,
        })
    }

    fn prometheus(&mut self, labels: &[String]) -> anyhow::Result<String> {
        Ok(self.gateway()?.world.borrow().stats.prometheus(labels))
    }
}

fn seen(exchange: &Exchange) -> host::Exchange {
    host::Exchange {
        id: exchange.id.clone(),
        response: exchange.client.clone(),
        complete: exchange.complete && exchange.hung.is_none(),
        hung: exchange.hung.clone(),
        upstream: exchange
            .upstream
            .iter()
            .filter(|_| exchange.upstream_done)
            .cloned()
            .collect(),
        details: exchange.info.details.clone().unwrap_or_default(),
        filter_state: exchange.info.filter_state.clone(),
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2)
}

fn start_of(setup: &Setup) -> anyhow::Result<u64> {
    let Some(text) = &setup.clock else {
        return Ok(DEFAULT_START);
    };
    let time = humantime::parse_rfc3339_weak(text)
        .with_context(|| format!("clock: `{text}` is no RFC 3339 time"))?;
    let since = time
        .duration_since(std::time::UNIX_EPOCH)
        .context("clock: before 1970")?;
    Ok(u64::try_from(since.as_nanos())?)
}
