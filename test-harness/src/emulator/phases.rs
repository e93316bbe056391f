//! One plugin, one stream, callback by callback: no chain and no router.
//!
//! 1. One VM. Time stands still, on both clocks at the same instant, there is no cluster, and nothing happens between callbacks.
//! 2. A callback is shown the message it is given; what it leaves of it is the outcome. A reply is an outcome too, and after
//!    one no callback is made.
//! 3. The end is `on_done` and `on_delete`.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use serde_json::Value;

use super::clock::Clock;
use super::cluster::Clusters;
use super::context::{Context, Direction, Kind, Stream};
use super::exchange::{Exchange, LocalReply};
use super::guest::{Action, Vm};
use super::header_map::{HeaderMap, Side};
use super::module::Module;
use super::thread::{Loaded, Thread};
use super::world::{World, WorldRef};
use crate::scenario::host::Cost;
use crate::scenario::schema::{Level, Plugin};

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A callback and what it is shown.
#[derive(Debug, Clone)]
pub enum Phase {
    /// `on_request_headers`, not at the end of the stream.
    RequestHeaders(Pairs),
    /// `on_request_body`; whether it is the end.
    RequestBody(Vec<u8>, bool),
    /// `on_response_headers`, not at the end of the stream.
    ResponseHeaders(Pairs),
    /// `on_response_body`; whether it is the end.
    ResponseBody(Vec<u8>, bool),
}

/// What a callback has left.
#[derive(Debug, Clone, Default)]
pub struct PhaseOutcome {
    /// Headers, after a header callback.
    pub headers: Pairs,
    /// Body, after a body callback.
    pub body: Vec<u8>,
    /// A header callback did not let the message go on.
    pub paused: bool,
    /// A reply in the upstream's place.
    pub reply: Option<LocalReply>,
}

/// A plugin to call.
pub struct PhaseHost {
    world: WorldRef,
    thread: Thread,
    open: Option<Opened>,
}

struct Opened {
    vm: Rc<Vm>,
    context: u32,
    exchange: Rc<RefCell<Exchange>>,
    replied: bool,
}

impl PhaseHost {
    /// Loads a plugin at this wall time (nanoseconds since 1970); with it, whether it accepted its configuration.
    pub fn start(
        module: &Module,
        config: Vec<u8>,
        time: u64,
        level: Level,
    ) -> anyhow::Result<(Self, bool)> {
        let world = World::new(time, Clusters::new(Default::default()), level);
        world.borrow_mut().clock = Clock::new(time).in_step();
        let mut thread = Thread::new("worker 0".into(), 1);
        let config = (!config.is_empty()).then(|| String::from_utf8(config));
        let loaded = Loaded {
            path: PathBuf::new(),
            module: module.clone(),
            plugin: Plugin::plain("plugin", config.transpose()?.map(Value::String)),
        };
        let accepted = thread.load(&world, &[loaded], 0)?;
        let open = None;
        Ok((
            PhaseHost {
                world,
                thread,
                open,
            },
            accepted,
        ))
    }

    /// Opens a stream with these attributes, by dotted path.
    pub fn open(&mut self, attributes: impl IntoIterator<Item = (String, Vec<u8>)>) {
        let Some(slot) = self.thread.slots.first() else {
            return;
        };
        let mut exchange = Exchange::new(None, 1, HeaderMap::new(Side::Request));
        exchange.info.start_wall = self.world.borrow().clock.wall();
        exchange.info.raw_attributes = attributes.into_iter().collect();
        let exchange = Rc::new(RefCell::new(exchange));
        let stream = Box::new(Stream::new(Rc::clone(&exchange), 0));
        let context =
            slot.vm
                .add_context(Some(slot.root), Rc::clone(&slot.info), Kind::Stream(stream));
        slot.vm
            .call(context, "proxy_on_context_create", &[slot.root]);
        self.open = Some(Opened {
            vm: Rc::clone(&slot.vm),
            context,
            exchange,
            replied: false,
        });
    }

    /// Makes a callback.
    pub fn call(&mut self, phase: Phase) -> PhaseOutcome {
        match &mut self.open {
            Some(open) if !open.replied => open.call(phase),
            _ => PhaseOutcome::default(),
        }
    }

    /// Ends the stream.
    pub fn close(&mut self) {
        if let Some(open) = self.open.take() {
            open.vm.call(open.context, "proxy_on_done", &[]);
            open.vm.call(open.context, "proxy_on_delete", &[]);
            open.vm.state_mut().contexts.remove(&open.context);
        }
    }

    /// Log lines since the last call.
    pub fn take_logs(&mut self) -> Vec<String> {
        let lines = std::mem::take(&mut self.world.borrow_mut().record.logs);
        lines.into_iter().map(|line| line.message).collect()
    }

    /// What callbacks cost since the last call.
    pub fn take_costs(&mut self) -> Vec<Cost> {
        std::mem::take(&mut self.world.borrow_mut().record.costs)
    }

    /// Why the VM has died, if it has.
    pub fn trap(&self) -> Option<String> {
        let traps = &self.world.borrow().record.traps;
        traps.first().cloned()
    }
}

impl Opened {
    fn call(&mut self, phase: Phase) -> PhaseOutcome {
        let mut outcome = match phase {
            Phase::RequestHeaders(pairs) => self.headers(Direction::Request, &pairs),
            Phase::ResponseHeaders(pairs) => self.headers(Direction::Response, &pairs),
            Phase::RequestBody(chunk, end) => self.body(Direction::Request, chunk, end),
            Phase::ResponseBody(chunk, end) => self.body(Direction::Response, chunk, end),
        };
        for (context, action) in self.vm.take_actions() {
            match action {
                Action::Reply(reply) if context == self.context => outcome.reply = Some(reply),
                Action::ContinueRequest | Action::ContinueResponse => outcome.paused = false,
                _ => {}
            }
        }
        self.replied = outcome.reply.is_some();
        outcome
    }

    fn headers(&self, direction: Direction, pairs: &[(Vec<u8>, Vec<u8>)]) -> PhaseOutcome {
        let (side, callback) = match direction {
            Direction::Request => (Side::Request, "proxy_on_request_headers"),
            Direction::Response => (Side::Other, "proxy_on_response_headers"),
        };
        let borrowed = pairs
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()));
        let map = HeaderMap::of(side, borrowed);
        let count = u32::try_from(map.len()).unwrap_or(u32::MAX);
        self.show(direction, Some(map));
        let called = self.vm.call(self.context, callback, &[count, 0]);
        let left = self.show(direction, None);
        PhaseOutcome {
            headers: left.map(|map| map.pairs().to_vec()).unwrap_or_default(),
            paused: called.or(0) != 0,
            ..PhaseOutcome::default()
        }
    }

    /// Puts headers before the stream, or takes them away again.
    fn show(&self, direction: Direction, map: Option<HeaderMap>) -> Option<HeaderMap> {
        let there = map.is_some();
        if let Some(stream) = self
            .vm
            .state_mut()
            .contexts
            .get_mut(&self.context)
            .and_then(Context::stream_mut)
        {
            match direction {
                Direction::Request => stream.request_headers = there,
                Direction::Response => stream.response_headers = there,
            }
        }
        let mut exchange = self.exchange.borrow_mut();
        match (direction, map) {
            (Direction::Request, map) => {
                let map = map.unwrap_or_else(|| HeaderMap::new(Side::Request));
                Some(std::mem::replace(&mut exchange.request, map))
            }
            (Direction::Response, map) => std::mem::replace(&mut exchange.response, map),
        }
    }

    fn body(&self, direction: Direction, chunk: Vec<u8>, end: bool) -> PhaseOutcome {
        let callback = match direction {
            Direction::Request => "proxy_on_request_body",
            Direction::Response => "proxy_on_response_body",
        };
        let size = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        self.hold(direction, Some(chunk));
        self.vm
            .call(self.context, callback, &[size, u32::from(end)]);
        PhaseOutcome {
            body: self.hold(direction, None).unwrap_or_default(),
            ..PhaseOutcome::default()
        }
    }

    fn hold(&self, direction: Direction, body: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let mut state = self.vm.state_mut();
        let stream = state
            .contexts
            .get_mut(&self.context)
            .and_then(Context::stream_mut)?;
        match direction {
            Direction::Request => std::mem::replace(&mut stream.request_body, body),
            Direction::Response => std::mem::replace(&mut stream.response_body, body),
        }
    }
}

impl Drop for PhaseHost {
    /// VM, contexts and exchange hold each other.
    fn drop(&mut self) {
        self.world.borrow_mut().clock.retain(|_| false);
        for slot in &self.thread.slots {
            slot.vm.state_mut().contexts.clear();
        }
    }
}
