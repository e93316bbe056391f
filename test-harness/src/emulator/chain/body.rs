//! Bodies and trailers on their way through the filters.

use std::rc::Rc;

use super::{Chain, Flow, count_u32, over, place};
use crate::emulator::context::{Direction, Stream};
use crate::emulator::exchange::{ExchangeRef, LocalReply, Stop};
use crate::emulator::guest::Vm;
use crate::emulator::header_map::HeaderMap;

impl Chain {
    /// Shows a piece of the body.
    pub fn data(
        &self,
        exchange: &ExchangeRef,
        direction: Direction,
        from: usize,
        chunk: Vec<u8>,
        end: bool,
    ) {
        let count = exchange.borrow().filters.len();
        let mut chunk = chunk;
        for step in from..count {
            if over(&exchange.borrow(), direction) {
                return;
            }
            let index = place(direction, step, count);
            let stop = exchange
                .borrow_mut()
                .held(index, direction)
                .map(|held| held.stop);
            if stop == Some(Stop::All) {
                if let Some(held) = exchange.borrow_mut().held(index, direction) {
                    held.body.extend(chunk);
                    held.body_end |= end;
                }
                return self.check_limit(exchange, index, direction);
            }
            let Some((vm, context)) = self.filter(exchange, index, false) else {
                continue;
            };
            match self.body(exchange, index, (&vm, context), direction, chunk, end) {
                Some(passed) => chunk = passed,
                None => return,
            }
            if stop == Some(Stop::Headers) {
                self.headers(exchange, direction, step + 1, false);
            }
        }
        if over(&exchange.borrow(), direction) {
            return;
        }
        match direction {
            Direction::Request => self.router.request_data(self, exchange, chunk, end),
            Direction::Response => self.router.response_data(self, exchange, chunk, end),
        }
    }

    /// One body callback; answers what passes on, or nothing if the filter holds it.
    fn body(
        &self,
        exchange: &ExchangeRef,
        index: usize,
        (vm, context): (&Rc<Vm>, u32),
        direction: Direction,
        chunk: Vec<u8>,
        end: bool,
    ) -> Option<Vec<u8>> {
        let mut body = exchange
            .borrow_mut()
            .held(index, direction)
            .map(|held| std::mem::take(&mut held.body))?;
        body.extend(chunk);
        let size = count_u32(body.len());
        Self::stream(vm, context, |stream| {
            stream.body_end = end.then_some(direction);
            match direction {
                Direction::Request => stream.request_body = Some(body),
                Direction::Response => stream.response_body = Some(body),
            }
        });
        let callback = match direction {
            Direction::Request => "proxy_on_request_body",
            Direction::Response => "proxy_on_response_body",
        };
        Self::running(exchange, index, Some(direction));
        let called = vm.call(context, callback, &[size, u32::from(end)]);
        let body = Self::stream(vm, context, |stream| {
            stream.body_end = None;
            match direction {
                Direction::Request => stream.request_body.take(),
                Direction::Response => stream.response_body.take(),
            }
        });
        if called.failed() {
            self.fail(exchange, index);
            return None;
        }
        let body = body.flatten().unwrap_or_default();
        if called.or(0) != 0
            && let Some(held) = exchange.borrow_mut().held(index, direction)
        {
            if held.stop != Stop::Headers {
                held.stop = Stop::Body;
            }
            held.body.clone_from(&body);
            held.body_end |= end;
        }
        // A continue inside the callback finds the body held and lets it go itself.
        self.perform(vm);
        Self::running(exchange, index, None);
        if over(&exchange.borrow(), direction) {
            return None;
        }
        if called.or(0) != 0 {
            if self.take_continued(exchange, index) {
                self.resume(exchange, index, direction);
            } else {
                self.check_limit(exchange, index, direction);
            }
            return None;
        }
        if let Some(held) = exchange.borrow_mut().held(index, direction) {
            held.stop = Stop::Running;
        }
        Some(body)
    }

    /// More than the listener's buffer limit held back: 413 for a request, a reset (or 500) for a response.
    fn check_limit(&self, exchange: &ExchangeRef, index: usize, direction: Direction) {
        let size = exchange
            .borrow_mut()
            .held(index, direction)
            .map_or(0, |held| held.body.len());
        if size as u64 <= self.router.listener.buffer_limit {
            return;
        }
        let (status, body, details) = match direction {
            Direction::Request => (413, "Payload Too Large", "request_payload_too_large"),
            Direction::Response => (500, "Internal Server Error", "response_payload_too_large"),
        };
        let reply = LocalReply {
            status,
            details: details.into(),
            body: body.into(),
            grpc: -1,
            ..LocalReply::default()
        };
        self.reply(exchange, reply);
    }

    /// Shows trailers.
    pub fn trailers(&self, exchange: &ExchangeRef, direction: Direction, from: usize) {
        let count = exchange.borrow().filters.len();
        for step in from..count {
            if over(&exchange.borrow(), direction) {
                return;
            }
            let index = place(direction, step, count);
            let stop = exchange
                .borrow_mut()
                .held(index, direction)
                .map(|held| held.stop)
                .unwrap_or_default();
            if stop == Stop::All {
                if let Some(held) = exchange.borrow_mut().held(index, direction) {
                    held.trailers = true;
                }
                return;
            }
            let Some((vm, context)) = self.filter(exchange, index, false) else {
                continue;
            };
            let callback = match direction {
                Direction::Request => "proxy_on_request_trailers",
                Direction::Response => "proxy_on_response_trailers",
            };
            let size = {
                let exchange = exchange.borrow();
                let trailers = match direction {
                    Direction::Request => exchange.request_trailers.as_ref(),
                    Direction::Response => exchange.response_trailers.as_ref(),
                };
                count_u32(trailers.map_or(0, HeaderMap::len))
            };
            let live = |stream: &mut Stream, live: bool| match direction {
                Direction::Request => stream.request_trailers = live,
                Direction::Response => stream.response_trailers = live,
            };
            Self::stream(&vm, context, |stream| live(stream, true));
            let (result, flow) = self.call(
                exchange,
                index,
                (&vm, context),
                direction,
                callback,
                &[size],
            );
            if matches!(flow, Flow::Stop) {
                return;
            }
            if result != 0 && !self.take_continued(exchange, index) {
                if let Some(held) = exchange.borrow_mut().held(index, direction) {
                    held.trailers = true;
                    if stop == Stop::Running {
                        held.stop = Stop::Trailers;
                    }
                }
                return;
            }
            Self::stream(&vm, context, |stream| live(stream, false));
            self.flush(exchange, direction, step, stop);
        }
        match direction {
            Direction::Request => self.router.request_trailers(self, exchange),
            Direction::Response => self.router.response_trailers(self, exchange),
        }
    }
}
