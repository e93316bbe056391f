//! The filter chain: what each filter is shown, in which order, and what stops it.
//!
//! 1. Requests pass the filters in order, responses in reverse; `on_log` runs in order, then `on_done` and `on_delete` for each.
//! 2. A pause at the headers stops all; what arrives is shown in one piece once the filter continues. A pause at the body
//!    collects it, and each new piece is shown with all before it.
//! 3. A reply made by a filter or by Envoy passes the response callbacks of the filters that saw the request, unless a
//!    response was already on its way: then it replaces that one without callbacks, or resets the stream if headers are out.
//! 4. A trap answers 503 (reset once headers are out); the VM is dead from then on.

mod body;
mod end;

use std::rc::Rc;

use crate::emulator::context::{Context, Direction, Kind, Stream};
use crate::emulator::exchange::{Exchange, ExchangeRef, Stop};
use crate::emulator::guest::{Action, Called, Vm};
use crate::emulator::header_map::HeaderMap;
use crate::emulator::router::Router;

/// The chain of one listener.
#[derive(Clone)]
pub struct Chain {
    /// What stands at its end.
    pub router: Rc<Router>,
}

/// Whether the next filter goes on.
enum Flow {
    On,
    Stop,
}

impl Chain {
    // === Calls into a filter ===

    /// The filter's VM and context, made at the first callback; `None` if it takes no part.
    fn filter(&self, exchange: &ExchangeRef, index: usize, create: bool) -> Option<(Rc<Vm>, u32)> {
        let (vm, root, context, plugin) = {
            let borrowed = exchange.borrow();
            let filter = borrowed
                .filters
                .get(index)
                .filter(|filter| !filter.failed)?;
            (
                Rc::clone(&filter.vm),
                filter.root,
                filter.context,
                Rc::clone(&filter.plugin),
            )
        };
        if context != 0 {
            return Some((vm, context));
        }
        if !create || vm.dead().is_some() {
            return None;
        }
        let stream = Box::new(Stream::new(Rc::clone(exchange), index));
        let id = vm.add_context(Some(root), plugin, Kind::Stream(stream));
        if let Some(filter) = exchange.borrow_mut().filters.get_mut(index) {
            filter.context = id;
        }
        vm.call(id, "proxy_on_context_create", &[root]);
        Some((vm, id))
    }

    /// Works on a filter's stream state.
    fn stream<T>(vm: &Vm, context: u32, work: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        vm.state_mut()
            .contexts
            .get_mut(&context)
            .and_then(Context::stream_mut)
            .map(work)
    }

    /// Calls a filter, then does what it asked for. `Stop` when the stream has been answered, reset or failed.
    fn call(
        &self,
        exchange: &ExchangeRef,
        index: usize,
        (vm, context): (&Rc<Vm>, u32),
        direction: Direction,
        callback: &'static str,
        args: &[u32],
    ) -> (u32, Flow) {
        Self::running(exchange, index, Some(direction));
        let called = vm.call(context, callback, args);
        if called.failed() {
            self.fail(exchange, index);
            return (0, Flow::Stop);
        }
        // Body buffers belong to the callback; whoever called takes them before actions run.
        let replied = vm
            .state()
            .actions
            .iter()
            .any(|(id, a)| *id == context && !is_continue(a));
        if replied || called == Called::Missing || called.or(0) == 0 {
            Self::stream(vm, context, |stream| match direction {
                Direction::Request if !replied => stream.request_headers = false,
                Direction::Response if !replied => stream.response_headers = false,
                _ => {}
            });
        }
        let was_over = over(&exchange.borrow(), direction);
        self.perform(vm);
        Self::running(exchange, index, None);
        let now_over = over(&exchange.borrow(), direction);
        let flow = if replied || (now_over && !was_over) {
            Flow::Stop
        } else {
            Flow::On
        };
        (called.or(0), flow)
    }

    fn running(exchange: &ExchangeRef, index: usize, direction: Option<Direction>) {
        if let Some(filter) = exchange.borrow_mut().filters.get_mut(index) {
            filter.running = direction;
            if direction.is_some() {
                filter.continued = false;
            }
        }
    }

    /// Does what guests of this VM asked for.
    pub fn perform(&self, vm: &Rc<Vm>) {
        for (context, action) in vm.take_actions() {
            let found = vm
                .state()
                .contexts
                .get(&context)
                .and_then(Context::stream)
                .map(|s| (Rc::clone(&s.exchange), s.filter));
            let Some((exchange, index)) = found else {
                continue;
            };
            let tcp = exchange.borrow().tcp.is_some();
            match action {
                Action::ContinueDownstream => self.continue_reading(&exchange, index),
                Action::Close if tcp => self.cut(&exchange),
                _ if tcp => {}
                Action::ContinueRequest => self.resume(&exchange, index, Direction::Request),
                Action::ContinueResponse => self.resume(&exchange, index, Direction::Response),
                Action::Reply(reply) => self.reply(&exchange, reply),
                Action::Close => self.reset(&exchange, "wasm_close_stream"),
            }
        }
    }

    // === One direction ===

    /// Shows headers to the filters from `from` on, then to what stands at the end.
    pub fn headers(&self, exchange: &ExchangeRef, direction: Direction, from: usize, end: bool) {
        let count = exchange.borrow().filters.len();
        for step in from..count {
            let index = place(direction, step, count);
            if exchange
                .borrow()
                .filters
                .get(index)
                .is_some_and(|f| f.failed)
                && direction == Direction::Request
            {
                return self.fail(exchange, index);
            }
            let create = direction == Direction::Request;
            let Some((vm, context)) = self.filter(exchange, index, create) else {
                continue;
            };
            let size = Self::stream(&vm, context, |stream| {
                let exchange = stream.exchange.borrow();
                match direction {
                    Direction::Request => {
                        stream.request_headers = true;
                        exchange.request.len()
                    }
                    Direction::Response => {
                        stream.response_headers = true;
                        exchange.response.as_ref().map_or(0, HeaderMap::len)
                    }
                }
            });
            let callback = match direction {
                Direction::Request => "proxy_on_request_headers",
                Direction::Response => "proxy_on_response_headers",
            };
            let args = [count_u32(size.unwrap_or(0)), u32::from(end)];
            let (result, flow) =
                self.call(exchange, index, (&vm, context), direction, callback, &args);
            if matches!(flow, Flow::Stop) || over(&exchange.borrow(), direction) {
                return;
            }
            if result != 0 && !self.take_continued(exchange, index) {
                let stop = exchange
                    .borrow()
                    .filters
                    .get(index)
                    .map(|f| f.plugin.stop_iteration && result == 1);
                if let Some(held) = exchange.borrow_mut().held(index, direction) {
                    held.stop = if stop == Some(true) {
                        Stop::Headers
                    } else {
                        Stop::All
                    };
                    held.headers_end = end;
                }
                return;
            }
        }
        match direction {
            Direction::Request => self.router.request_headers(self, exchange, end),
            Direction::Response => self.router.response_headers(self, exchange, end),
        }
    }

    fn take_continued(&self, exchange: &ExchangeRef, index: usize) -> bool {
        exchange
            .borrow_mut()
            .filters
            .get_mut(index)
            .is_some_and(|filter| std::mem::take(&mut filter.continued))
    }

    /// Trailers let through what the filter had held.
    fn flush(&self, exchange: &ExchangeRef, direction: Direction, step: usize, stop: Stop) {
        let count = exchange.borrow().filters.len();
        let held = exchange
            .borrow_mut()
            .held(place(direction, step, count), direction)
            .map(std::mem::take);
        if stop == Stop::Headers {
            self.headers(exchange, direction, step + 1, false);
        }
        if let Some(held) = held.filter(|held| !held.body.is_empty()) {
            self.data(exchange, direction, step + 1, held.body, false);
        }
    }

    /// A filter continues.
    fn resume(&self, exchange: &ExchangeRef, index: usize, direction: Direction) {
        let count = exchange.borrow().filters.len();
        let step = place(direction, index, count);
        if over(&exchange.borrow(), direction) {
            return;
        }
        {
            let mut borrowed = exchange.borrow_mut();
            let Some(filter) = borrowed.filters.get_mut(index) else {
                return;
            };
            if filter.running == Some(direction) {
                filter.continued = true;
                return;
            }
        }
        let Some(held) = exchange
            .borrow_mut()
            .held(index, direction)
            .map(std::mem::take)
        else {
            return;
        };
        match held.stop {
            Stop::Running => {}
            Stop::All => {
                self.headers(exchange, direction, step + 1, held.headers_end);
                if !held.headers_end && (!held.body.is_empty() || held.body_end) {
                    self.data(exchange, direction, step, held.body, held.body_end);
                }
                if held.trailers {
                    self.trailers(exchange, direction, step);
                }
            }
            Stop::Headers | Stop::Body | Stop::Trailers => {
                if held.stop == Stop::Headers {
                    self.headers(exchange, direction, step + 1, held.headers_end);
                }
                if !held.body.is_empty() || held.body_end {
                    self.data(exchange, direction, step + 1, held.body, held.body_end);
                }
                if held.trailers {
                    self.trailers(exchange, direction, step + 1);
                }
            }
        }
    }
}

fn is_continue(action: &Action) -> bool {
    matches!(
        action,
        Action::ContinueRequest | Action::ContinueResponse | Action::ContinueDownstream
    )
}

fn over(exchange: &Exchange, direction: Direction) -> bool {
    match direction {
        Direction::Request => exchange.request_over(),
        Direction::Response => exchange.ended,
    }
}

/// Requests pass the filters in order, responses in reverse. Its own inverse.
fn place(direction: Direction, step: usize, count: usize) -> usize {
    match direction {
        Direction::Request => step,
        Direction::Response => count - 1 - step,
    }
}

fn count_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
