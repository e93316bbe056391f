//! TCP: network filters before a TCP proxy.
//!
//! 1. `on_new_connection` in order; a filter that stops holds back those behind it, and the connection to the upstream. Until
//!    that one stands nothing is read from the client, its end neither.
//! 2. What a client sends passes the filters in order, what the upstream sends in reverse. A filter that stops leaves the bytes
//!    where they are: the next call, from the first filter on, shows them with all that has come since.
//! 3. `continue_stream` goes on behind the filter with what is there; towards the client there is no such call.
//! 4. An end from the upstream is `on_upstream_data` with the end of the stream, then `on_upstream_connection_close`.
//! 5. The end of the connection is `on_downstream_connection_close`: local, or remote where the client ends last. `on_done`,
//!    `on_log` and `on_delete` follow.

use std::collections::VecDeque;
use std::rc::Rc;

use super::chain::Chain;
use super::context::{Context, Direction, Kind, Stream};
use super::exchange::ExchangeRef;
use super::guest::Vm;
use crate::scenario::host::{Response, UpstreamRequest};
use crate::scenario::step::Closer;

/// Who closed, as `on_downstream_connection_close` and `on_upstream_connection_close` are told.
mod peer {
    pub(super) const UNKNOWN: u32 = 0;
    pub(super) const LOCAL: u32 = 1;
    pub(super) const REMOTE: u32 = 2;
}

/// What is known of a connection.
#[derive(Debug, Default)]
pub struct Tcp {
    /// What the upstream answers to each piece.
    answers: VecDeque<Vec<u8>>,
    /// Filters that have seen the connection.
    opened: usize,
    /// Bytes from the client that no upstream has got yet, and whether they are the last.
    read: (Vec<u8>, bool),
    /// Bytes from the upstream that no client has got yet.
    write: Vec<u8>,
    /// What the upstream has got.
    sent: Vec<u8>,
    /// What the client has got.
    received: Vec<u8>,
    /// Whether filters know the upstream's end.
    upstream_ended: bool,
    /// Whether the connection to the upstream stands.
    reached: bool,
    /// Whether the gateway closed it before its time.
    cut: bool,
}

impl Tcp {
    /// A connection whose upstream answers the pieces that it gets with these.
    pub fn answering(answers: impl Iterator<Item = Vec<u8>>) -> Self {
        Tcp {
            answers: answers.collect(),
            ..Tcp::default()
        }
    }
}

impl Chain {
    /// A client has connected.
    pub fn connect(&self, exchange: &ExchangeRef) {
        self.read(exchange, 0);
    }

    /// A client has sent bytes, or its end.
    pub fn receive(&self, exchange: &ExchangeRef, bytes: &[u8], end: bool) {
        if exchange.borrow().ended {
            return;
        }
        with(exchange, |tcp| {
            tcp.read.0.extend_from_slice(bytes);
            tcp.read.1 |= end;
        });
        if with(exchange, |tcp| tcp.reached) {
            exchange.borrow_mut().info.request_size += bytes.len() as u64;
            self.read(exchange, 0);
        }
    }

    /// Shows the filters from `from` on what there is, then hands it to the upstream.
    fn read(&self, exchange: &ExchangeRef, from: usize) {
        let count = exchange.borrow().filters.len();
        for index in from..count {
            if with(exchange, |tcp| tcp.opened) <= index && !self.open(exchange, index) {
                return;
            }
            let Some((bytes, end)) = with(exchange, Tcp::take_read) else {
                continue;
            };
            let callback = "proxy_on_downstream_data";
            let (result, left) =
                self.show(exchange, index, Direction::Request, bytes, end, callback);
            with(exchange, |tcp| tcp.read.0 = left);
            if result != 0 || exchange.borrow().ended {
                return;
            }
        }
        if !with(exchange, |tcp| tcp.reached) {
            return self.reach(exchange);
        }
        let answer = with(exchange, |tcp| {
            let bytes = std::mem::take(&mut tcp.read.0);
            tcp.sent.extend_from_slice(&bytes);
            let next = (!bytes.is_empty()).then(|| tcp.answers.pop_front());
            next.flatten().unwrap_or_default()
        });
        if !answer.is_empty() {
            self.answer(exchange, answer, false);
        }
    }

    /// Shows a filter the new connection; `false` if it goes no further.
    fn open(&self, exchange: &ExchangeRef, index: usize) -> bool {
        with(exchange, |tcp| tcp.opened = index + 1);
        let filter =
            |exchange: &ExchangeRef| exchange.borrow().filters.get(index).map(|f| f.failed);
        if filter(exchange) == Some(true) {
            self.cut(exchange);
            return false;
        }
        let result = self.tell(exchange, index, "proxy_on_new_connection", &[]);
        result == 0 && !exchange.borrow().ended
    }

    /// The connection to the upstream stands; what the client has sent meanwhile is read.
    fn reach(&self, exchange: &ExchangeRef) {
        let (size, end) = with(exchange, |tcp| {
            tcp.reached = true;
            (tcp.read.0.len(), tcp.read.1)
        });
        {
            let cluster = self.router.listener.tcp.clone().unwrap_or_default();
            let world = self.router.world.borrow();
            let known = world.choices.upstreams.get(&cluster).cloned();
            let address = known.unwrap_or_else(|| world.clusters.address(&cluster));
            let info = &mut exchange.borrow_mut().info;
            info.upstream_address = Some(address);
            info.cluster_name = Some(cluster);
            info.request_size += size as u64;
        }
        if size > 0 || end {
            self.read(exchange, 0);
        }
    }

    /// The upstream sends bytes, or its end.
    pub fn answer(&self, exchange: &ExchangeRef, bytes: Vec<u8>, end: bool) {
        if exchange.borrow().ended || !with(exchange, |tcp| tcp.reached) {
            return;
        }
        let mut bytes = with(exchange, |tcp| {
            tcp.upstream_ended |= end;
            [std::mem::take(&mut tcp.write), bytes].concat()
        });
        let count = exchange.borrow().filters.len();
        for index in (0..count).rev() {
            let callback = "proxy_on_upstream_data";
            let (result, left) =
                self.show(exchange, index, Direction::Response, bytes, end, callback);
            bytes = left;
            if end && !exchange.borrow().ended {
                let callback = "proxy_on_upstream_connection_close";
                self.tell(exchange, index, callback, &[peer::UNKNOWN]);
            }
            if exchange.borrow().ended {
                return;
            }
            if result != 0 {
                return with(exchange, |tcp| tcp.write = bytes);
            }
        }
        with(exchange, |tcp| tcp.received.extend_from_slice(&bytes));
    }

    /// One data callback; its result and what it left of the bytes.
    fn show(
        &self,
        exchange: &ExchangeRef,
        index: usize,
        direction: Direction,
        bytes: Vec<u8>,
        end: bool,
        callback: &'static str,
    ) -> (u32, Vec<u8>) {
        let Some((vm, context)) = self.enter(exchange, index) else {
            return (1, bytes);
        };
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        hold(&vm, context, direction, Some(bytes));
        let called = vm.call(context, callback, &[size, u32::from(end)]);
        let mut left = hold(&vm, context, direction, None).unwrap_or_default();
        if called.failed() {
            self.cut(exchange);
            return (1, left);
        }
        // A continue inside the callback goes on with the bytes, and leaves none.
        if direction == Direction::Request {
            with(exchange, |tcp| tcp.read.0 = std::mem::take(&mut left));
            self.perform(&vm);
            left = with(exchange, |tcp| std::mem::take(&mut tcp.read.0));
        } else {
            self.perform(&vm);
        }
        (called.or(0), left)
    }

    /// A callback without bytes; its result.
    fn tell(
        &self,
        exchange: &ExchangeRef,
        index: usize,
        callback: &'static str,
        args: &[u32],
    ) -> u32 {
        let Some((vm, context)) = self.enter(exchange, index) else {
            return 1;
        };
        let called = vm.call(context, callback, args);
        if called.failed() {
            self.cut(exchange);
            return 1;
        }
        self.perform(&vm);
        called.or(0)
    }

    /// The filter's VM and context, made at its first callback.
    fn enter(&self, exchange: &ExchangeRef, index: usize) -> Option<(Rc<Vm>, u32)> {
        let mut borrowed = exchange.borrow_mut();
        let filter = borrowed.filters.get_mut(index)?;
        let (vm, root) = (Rc::clone(&filter.vm), filter.root);
        if filter.context != 0 {
            return Some((vm, filter.context));
        }
        let stream = Box::new(Stream::new(Rc::clone(exchange), index));
        let context = vm.add_context(Some(root), Rc::clone(&filter.plugin), Kind::Stream(stream));
        filter.context = context;
        drop(borrowed);
        vm.call(context, "proxy_on_context_create", &[root]);
        Some((vm, context))
    }

    /// `continue_stream` towards the upstream.
    pub fn continue_reading(&self, exchange: &ExchangeRef, index: usize) {
        if !exchange.borrow().ended {
            self.read(exchange, index + 1);
        }
    }

    /// The gateway closes before anybody else does.
    pub fn cut(&self, exchange: &ExchangeRef) {
        if !exchange.borrow().ended {
            with(exchange, |tcp| tcp.cut = true);
            self.hang_up(exchange, Closer::Client);
        }
    }

    /// The connection is over; `first` ended it first.
    pub fn hang_up(&self, exchange: &ExchangeRef, first: Closer) {
        if std::mem::replace(&mut exchange.borrow_mut().ended, true) {
            return;
        }
        // Filters of a connection that was never read are not told.
        let (cut, told) = with(exchange, |tcp| (tcp.cut, tcp.reached || tcp.cut));
        let whole = cut || with(exchange, |tcp| tcp.upstream_ended);
        let who = match first {
            Closer::Upstream if !cut => peer::REMOTE,
            _ => peer::LOCAL,
        };
        let filters: Vec<(Rc<Vm>, u32)> = exchange
            .borrow()
            .filters
            .iter()
            .filter(|filter| filter.context != 0)
            .map(|filter| (Rc::clone(&filter.vm), filter.context))
            .collect();
        for (vm, context) in filters {
            if told {
                vm.call(context, "proxy_on_downstream_connection_close", &[who]);
            }
            for callback in ["proxy_on_done", "proxy_on_log", "proxy_on_delete"] {
                if told && whole {
                    vm.call(context, callback, &[]);
                }
            }
            vm.take_actions();
            vm.state_mut().contexts.remove(&context);
        }
        let mut exchange = exchange.borrow_mut();
        let Some(tcp) = exchange.tcp.take() else {
            return;
        };
        exchange.complete = !tcp.cut;
        exchange.client = Some(Response {
            body: tcp.received,
            ..Response::default()
        });
        if let Some(cluster) = exchange.info.cluster_name.clone() {
            exchange.upstream_done = true;
            exchange.upstream = Some(UpstreamRequest {
                cluster,
                body: tcp.sent,
                ..UpstreamRequest::default()
            });
        }
    }
}

impl Tcp {
    /// What the client has sent, if there is anything to show.
    fn take_read(&mut self) -> Option<(Vec<u8>, bool)> {
        let any = self.reached && (!self.read.0.is_empty() || self.read.1);
        any.then(|| (std::mem::take(&mut self.read.0), self.read.1))
    }
}

fn with<T: Default>(exchange: &ExchangeRef, work: impl FnOnce(&mut Tcp) -> T) -> T {
    let mut exchange = exchange.borrow_mut();
    exchange.tcp.as_deref_mut().map(work).unwrap_or_default()
}

fn hold(vm: &Vm, context: u32, direction: Direction, bytes: Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut state = vm.state_mut();
    let stream = state
        .contexts
        .get_mut(&context)
        .and_then(Context::stream_mut)?;
    match direction {
        Direction::Request => std::mem::replace(&mut stream.downstream, bytes),
        Direction::Response => std::mem::replace(&mut stream.upstream, bytes),
    }
}
