//! The emulated process: threads with their VMs, requests, and time.
//!
//! 1. Start: for each plugin a throw-away VM checks the configuration, then the main thread's VM and each worker's load it.
//! 2. Ticks run on the main thread and on every worker.
//! 3. Nothing waits: events happen in order of virtual time.

mod time;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::emulator::chain::Chain;
use crate::emulator::cluster::Clusters;
use crate::emulator::connection::{accept, codec_fault};
use crate::emulator::context::Direction;
use crate::emulator::exchange::{Exchange, ExchangeRef, Filter, Held};
use crate::emulator::header_map::{HeaderMap, Side};
use crate::emulator::plugin::PluginInfo;
use crate::emulator::router::Router;
use crate::emulator::tcp::Tcp;
use crate::emulator::thread::{Entry, Loaded, Thread, configure, new_vm};
use crate::emulator::world::{World, WorldRef};
use crate::scenario::load::Setup;
use crate::scenario::step::{Closer, Connection, HttpVersion, Request};

/// An emulated gateway.
pub struct Gateway {
    /// The world.
    pub world: WorldRef,
    chain: Chain,
    loaded: Vec<Loaded>,
    main: Thread,
    workers: Vec<Thread>,
    exchanges: u64,
}

impl Gateway {
    /// A gateway without plugins.
    pub fn new(setup: &Setup, start: u64, workers: u32) -> Self {
        let world = World::new(
            start,
            Clusters::new(setup.clusters.clone()),
            setup.log_level,
        );
        let router = Router {
            world: Rc::clone(&world),
            routes: setup.routes.clone(),
            listener: setup.listener.clone(),
        };
        Gateway {
            world,
            chain: Chain {
                router: Rc::new(router),
            },
            loaded: Vec::new(),
            main: Thread::new("main thread".into(), 0),
            workers: (0..workers.max(1))
                .map(|i| Thread::new(format!("worker {i}"), u64::from(i) + 1))
                .collect(),
            exchanges: 0,
        }
    }

    /// Loads a plugin at the end of the chain; `Ok(false)` if it refuses.
    pub fn load(&mut self, plugin: Loaded) -> anyhow::Result<bool> {
        if !self.check(&plugin)? {
            return Ok(false);
        }
        self.loaded.push(plugin);
        let index = self.loaded.len() - 1;
        for thread in std::iter::once(&mut self.main).chain(&mut self.workers) {
            if !thread.load(&self.world, &self.loaded, index)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The throw-away VM.
    fn check(&self, plugin: &Loaded) -> anyhow::Result<bool> {
        let vm = match new_vm(&self.world, plugin, "canary VM".into(), true, 1) {
            Ok(vm) => vm,
            Err(error) => {
                self.world
                    .borrow_mut()
                    .record
                    .traps
                    .push(format!("{error:#}"));
                return Ok(false);
            }
        };
        let accepted = configure(&vm, &Rc::new(PluginInfo::new(&plugin.plugin))).is_some();
        vm.state_mut().contexts.clear();
        Ok(accepted)
    }

    /// The plugins, as loaded.
    pub fn plugins(&self) -> &[Loaded] {
        &self.loaded
    }

    /// Gives a plugin a new configuration; `Ok(false)` if it is refused, and the old one stays.
    pub fn reconfigure(&mut self, index: usize, changed: Loaded) -> anyhow::Result<bool> {
        if !self.check(&changed)? {
            return Ok(false);
        }
        if let Some(slot) = self.loaded.get_mut(index) {
            *slot = changed;
        }
        for thread in std::iter::once(&mut self.main).chain(&mut self.workers) {
            thread.reconfigure(&self.world, &self.loaded, index)?;
        }
        Ok(true)
    }

    // === Requests ===

    /// Takes a request in on a worker; all that can happen at this instant happens.
    pub fn request(&mut self, worker: usize, request: &Request) -> anyhow::Result<ExchangeRef> {
        self.exchanges += 1;
        let listener = &self.chain.router.listener;
        let machine = self.world.borrow().choices.machine.clone();
        let (headers, mut info) = accept(request, listener, &machine, self.exchanges);
        {
            let world = self.world.borrow();
            (info.start, info.start_wall) = (world.clock.now(), world.clock.wall());
        }
        let fault = codec_fault(request);
        let mut exchange = self.exchange(request, headers);
        exchange.info = info;
        if fault.is_none() {
            self.chain.router.match_route(&mut exchange);
        }
        exchange.filters = self.filters(worker, exchange.route)?;
        let exchange = Rc::new(RefCell::new(exchange));
        match fault {
            Some(details) => self.refuse(&exchange, details),
            None => self.deliver(&exchange, request),
        }
        self.run_now();
        Ok(exchange)
    }

    /// A TCP connection from its beginning to its end.
    pub fn connection(
        &mut self,
        worker: usize,
        connection: &Connection,
    ) -> anyhow::Result<ExchangeRef> {
        self.exchanges += 1;
        let mut exchange = Exchange::new(
            connection.id.clone(),
            self.exchanges,
            HeaderMap::new(Side::Request),
        );
        let answers = connection.answers.iter().map(|answer| answer.0.clone());
        exchange.tcp = Some(Box::new(Tcp::answering(answers)));
        let address = |given: &Option<String>, default: &str| {
            given.clone().unwrap_or_else(|| default.to_owned())
        };
        exchange.info.source = address(&connection.source, "127.0.0.1:40000");
        exchange.info.destination = address(&connection.destination, "127.0.0.1:10000");
        {
            let world = self.world.borrow();
            (exchange.info.start, exchange.info.start_wall) =
                (world.clock.now(), world.clock.wall());
        }
        exchange.filters = self.filters(worker, None)?;
        let exchange = Rc::new(RefCell::new(exchange));
        self.chain.connect(&exchange);
        self.run_now();
        for piece in &connection.send {
            self.chain.receive(&exchange, &piece.0, false);
            self.run_now();
        }
        match connection.close {
            Closer::Client => {
                self.chain.receive(&exchange, b"", true);
                self.chain.answer(&exchange, Vec::new(), true);
            }
            Closer::Upstream => {
                self.chain.answer(&exchange, Vec::new(), true);
                self.chain.receive(&exchange, b"", true);
            }
        }
        self.chain.hang_up(&exchange, connection.close);
        self.run_now();
        Ok(exchange)
    }

    fn exchange(&self, request: &Request, headers: HeaderMap) -> Exchange {
        let mut trailers = HeaderMap::new(Side::Other);
        for (name, value) in &request.trailers.0 {
            trailers.add(name, value);
        }
        Exchange {
            request_trailers: (!trailers.is_empty()).then_some(trailers),
            reply: request.upstream.clone(),
            ..Exchange::new(request.id.clone(), self.exchanges, headers)
        }
    }

    fn filters(&mut self, worker: usize, route: Option<usize>) -> anyhow::Result<Vec<Filter>> {
        let disabled = route
            .and_then(|index| self.chain.router.routes.get(index))
            .map(|route| route.disabled.clone());
        let disabled = disabled.unwrap_or_default();
        let count = self.workers.len();
        let Some(thread) = self.workers.get_mut(worker % count) else {
            return Ok(Vec::new());
        };
        let mut filters = Vec::new();
        for index in 0..self.loaded.len() {
            let off = thread
                .slots
                .get(index)
                .is_some_and(|slot| disabled.contains(&slot.info.name));
            let entry = if off {
                Entry::Bypass
            } else {
                thread.enter(&self.world, &self.loaded, index)?
            };
            let (Entry::Filter { failed }, Some(slot)) = (entry, thread.slots.get(index)) else {
                continue;
            };
            filters.push(Filter {
                vm: Rc::clone(&slot.vm),
                root: slot.root,
                context: 0,
                plugin: Rc::clone(&slot.info),
                failed,
                request: Held::default(),
                response: Held::default(),
                running: None,
                continued: false,
            });
        }
        Ok(filters)
    }

    /// The codec answers 400 itself: no filter sees it, but `on_log` runs.
    fn refuse(&self, exchange: &ExchangeRef, details: &'static str) {
        {
            let mut exchange = exchange.borrow_mut();
            exchange.request = HeaderMap::new(Side::Request);
            exchange.info.response_code = Some(400);
            exchange.info.details = Some(details.into());
            exchange.info.flags |= 1 << 18;
            let headers = vec![
                (b"content-length".to_vec(), b"0".to_vec()),
                (b"connection".to_vec(), b"close".to_vec()),
            ];
            exchange.client = Some(crate::scenario::host::Response {
                status: 400,
                headers,
                ..Default::default()
            });
        }
        self.chain.finish(exchange, true);
    }

    fn deliver(&self, exchange: &ExchangeRef, request: &Request) {
        let mut chunks: Vec<Vec<u8>> = request.chunks.iter().map(|chunk| chunk.0.clone()).collect();
        chunks.extend(
            request
                .body
                .iter()
                .filter(|body| !body.is_empty())
                .map(|body| body.0.clone()),
        );
        let trailers = !request.trailers.0.is_empty();
        let end = chunks.is_empty() && !trailers;
        self.chain.headers(exchange, Direction::Request, 0, end);
        if end {
            return;
        }
        let last = chunks.len();
        let together = request.http == HttpVersion::Http2 && !trailers;
        for (index, chunk) in chunks.into_iter().enumerate() {
            if !exchange.borrow().request_over() {
                self.chain.data(
                    exchange,
                    Direction::Request,
                    0,
                    chunk,
                    together && index + 1 == last,
                );
            }
        }
        if exchange.borrow().request_over() {
            return;
        }
        if trailers {
            self.chain.trailers(exchange, Direction::Request, 0);
        } else if !together {
            self.chain
                .data(exchange, Direction::Request, 0, Vec::new(), true);
        }
    }

    /// The client hangs up.
    pub fn abort(&self, exchange: &ExchangeRef) {
        if exchange.borrow().ended {
            return;
        }
        {
            let mut exchange = exchange.borrow_mut();
            exchange.info.flags |= 1 << 14;
            exchange.info.details = Some("downstream_remote_disconnect".into());
        }
        self.chain.finish(exchange, false);
    }

    /// The VM id of the first plugin.
    pub fn first_vm_id(&self) -> String {
        self.loaded
            .first()
            .map(|loaded| loaded.plugin.vm_id.clone())
            .unwrap_or_default()
    }

    /// Shared data of the first plugin's VM id.
    pub fn shared_data(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.world.borrow().shared.of(&self.first_vm_id())
    }
}

impl Drop for Gateway {
    /// VMs, contexts, exchanges and events hold each other; letting go of contexts and events frees all.
    fn drop(&mut self) {
        self.world.borrow_mut().clock.retain(|_| false);
        for thread in std::iter::once(&self.main).chain(&self.workers) {
            for slot in &thread.slots {
                slot.vm.state_mut().contexts.clear();
            }
        }
    }
}
