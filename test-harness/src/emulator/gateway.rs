//! The emulated process: threads with their VMs, requests, and time.
//!
//! 1. Start: for each plugin a throw-away VM checks the configuration, then the main thread's VM and each worker's load it.
//! 2. Ticks run on the main thread and on every worker.
//! 3. Nothing waits: events happen in order of virtual time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::abi::timers;
use super::chain::Chain;
use super::cluster::Clusters;
use super::connection::{accept, codec_fault};
use super::context::{Direction, Kind};
use super::exchange::{Exchange, ExchangeRef, Filter, Held};
use super::flaw::Flaw;
use super::guest::Vm;
use super::header_map::{HeaderMap, Side};
use super::plugin::PluginInfo;
use super::router::Router;
use super::thread::{Entry, Loaded, Thread, configure, new_vm};
use super::world::{CalloutAnswer, Event, GrpcStep, World, WorldRef};
use crate::scenario::load::Setup;
use crate::scenario::step::{HttpVersion, Request};

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

    // === Time ===

    /// Lets all happen that is due now.
    pub fn run_now(&self) {
        let now = self.world.borrow().clock.now();
        self.run_until(now, || false);
    }

    /// Lets time pass up to an instant (nanoseconds since the start), or until `enough`. The clock ends there.
    pub fn run_until(&self, until: u64, enough: impl Fn() -> bool) {
        while !enough() {
            let Some(event) = self.world.borrow_mut().clock.pop(until) else {
                self.world.borrow_mut().clock.advance_to(until);
                return;
            };
            self.happen(event);
        }
    }

    fn happen(&self, event: Event) {
        match event {
            Event::Tick {
                vm,
                root,
                generation,
            } => self.tick(&vm, root, generation),
            Event::Callout {
                vm,
                root,
                token,
                answer,
            } => self.answer(&vm, root, token, *answer),
            Event::Grpc {
                vm,
                root,
                token,
                step,
            } => self.grpc(&vm, root, token, step),
            Event::Queue { vm, root, queue } => {
                vm.call(root, "proxy_on_queue_ready", &[queue]);
                self.chain.perform(&vm);
            }
            Event::Upstream { exchange, reply } => {
                self.chain.router.answer(&self.chain, &exchange, &reply)
            }
            Event::RouteTimeout(exchange) => self.chain.router.time_out(&self.chain, &exchange),
        }
    }

    fn tick(&self, vm: &Rc<Vm>, root: u32, generation: u64) {
        let due = |vm: &Rc<Vm>| match vm.state().contexts.get(&root).map(|context| &context.kind) {
            Some(Kind::Root(timer)) => timer.tick_ms > 0 && timer.generation == generation,
            _ => false,
        };
        let lost = self.world.borrow().flaw == Some(Flaw::LostTick) && vm.thread == self.main.name;
        if !due(vm) || lost {
            return;
        }
        vm.call(root, "proxy_on_tick", &[]);
        self.chain.perform(vm);
        if due(vm) && vm.dead().is_none() {
            timers::arm(&vm.state(), root);
        }
    }

    fn answer(&self, vm: &Rc<Vm>, root: u32, token: u32, answer: CalloutAnswer) {
        let sizes = match &answer {
            CalloutAnswer::Response {
                headers,
                body,
                trailers,
            } => [headers.len(), body.len(), trailers.len()],
            CalloutAnswer::Reset => [0, 0, 0],
        };
        let [headers, body, trailers] = sizes.map(|size| u32::try_from(size).unwrap_or(u32::MAX));
        {
            let mut state = vm.state_mut();
            if matches!(answer, CalloutAnswer::Reset) {
                state.last_status = (11, b"reset".to_vec());
            }
            state.answer = Some(answer);
        }
        vm.call(
            root,
            "proxy_on_http_call_response",
            &[token, headers, body, trailers],
        );
        {
            let mut state = vm.state_mut();
            state.answer = None;
            state.last_status.1.clear();
        }
        self.chain.perform(vm);
    }

    fn grpc(&self, vm: &Rc<Vm>, root: u32, token: u32, step: GrpcStep) {
        if !vm.state().grpc_open.contains_key(&token) {
            return;
        }
        let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let (callback, argument) = {
            let mut state = vm.state_mut();
            match step {
                GrpcStep::InitialMetadata(map) => {
                    let count = size(map.len());
                    state.grpc_metadata.0 = Some(map);
                    ("proxy_on_grpc_receive_initial_metadata", count)
                }
                GrpcStep::Message(message) => {
                    let bytes = size(message.len());
                    state.grpc_message = Some(message);
                    if token & 3 == 1 {
                        state.grpc_open.remove(&token);
                    }
                    ("proxy_on_grpc_receive", bytes)
                }
                GrpcStep::TrailingMetadata(map) => {
                    let count = size(map.len());
                    state.grpc_metadata.1 = Some(map);
                    ("proxy_on_grpc_receive_trailing_metadata", count)
                }
                GrpcStep::Close(code, message) => {
                    state.last_status = (code, message);
                    state.grpc_open.remove(&token);
                    ("proxy_on_grpc_close", code)
                }
            }
        };
        vm.call(root, callback, &[token, argument]);
        {
            let mut state = vm.state_mut();
            state.grpc_message = None;
            state.grpc_metadata = (None, None);
            state.last_status.1.clear();
        }
        self.chain.perform(vm);
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
