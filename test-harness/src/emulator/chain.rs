//! The filter chain: what each filter is shown, in which order, and what stops it.
//!
//! 1. Requests pass the filters in order, responses in reverse; `on_log` runs in order, then `on_done` and `on_delete` for each.
//! 2. A pause at the headers stops all; what arrives is shown in one piece once the filter continues. A pause at the body
//!    collects it, and each new piece is shown with all before it.
//! 3. A reply made by a filter or by Envoy passes the response callbacks of the filters that saw the request, unless a
//!    response was already on its way: then it replaces that one without callbacks, or resets the stream if headers are out.
//! 4. A trap answers 503 (reset once headers are out); the VM is dead from then on.

use std::rc::Rc;

use super::context::{Context, Direction, Kind, Stream};
use super::exchange::{Exchange, ExchangeRef, LocalReply, Stop};
use super::guest::{Action, Called, Vm};
use super::header_map::{HeaderMap, Side};
use super::router::Router;

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
            match action {
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

    // === Ends ===

    /// A response in the upstream's place.
    pub fn reply(&self, exchange: &ExchangeRef, reply: LocalReply) {
        let (ended, out, under_way, head) = {
            let exchange = exchange.borrow();
            let head = exchange.request.get(b":method") == Some(b"HEAD");
            (
                exchange.ended,
                exchange.client.is_some(),
                exchange.response.is_some(),
                head,
            )
        };
        if ended {
            return;
        }
        if out {
            let code = exchange.borrow().info.response_code;
            self.reset(exchange, &reply.details);
            exchange.borrow_mut().info.response_code = code;
            return;
        }
        let (headers, body) = reply_message(&exchange.borrow(), &reply);
        {
            let mut exchange = exchange.borrow_mut();
            exchange.local = true;
            exchange.info.details = Some(reply.details);
            exchange.info.flags |= reply.flags;
            exchange.info.response_code = headers.text(":status").parse().ok();
            exchange.response = Some(headers);
            exchange.response_trailers = None;
            exchange.route.get_or_insert(usize::MAX);
        }
        let end = body.is_empty() || head;
        if under_way {
            self.router.response_headers(self, exchange, end);
            if !end {
                self.router.response_data(self, exchange, body, true);
            }
            return;
        }
        self.headers(exchange, Direction::Response, 0, end);
        if !end {
            self.data(exchange, Direction::Response, 0, body, true);
        }
    }

    /// Cuts the client off.
    pub fn reset(&self, exchange: &ExchangeRef, details: &str) {
        if exchange.borrow().ended {
            return;
        }
        {
            let mut exchange = exchange.borrow_mut();
            if exchange.response.is_none()
                || exchange.client.is_some() && details != "wasm_close_stream"
            {
                exchange.info.details = Some(details.to_owned());
            }
            exchange.complete = false;
        }
        self.finish(exchange, false);
    }

    /// The VM of a filter is dead.
    fn fail(&self, exchange: &ExchangeRef, index: usize) {
        if let Some(filter) = exchange.borrow_mut().filters.get_mut(index) {
            filter.failed = true;
            filter.request = Default::default();
            filter.response = Default::default();
        }
        let details = "wasm_fail_stream".to_owned();
        self.reply(
            exchange,
            LocalReply {
                status: 503,
                details,
                grpc: 14,
                ..LocalReply::default()
            },
        );
    }

    /// The end of a stream: `on_log`, then `on_done` and `on_delete`.
    pub fn finish(&self, exchange: &ExchangeRef, complete: bool) {
        let count = {
            let mut exchange = exchange.borrow_mut();
            if exchange.ended {
                return;
            }
            exchange.ended = true;
            exchange.complete = complete;
            exchange.filters.len()
        };
        let filters: Vec<(Rc<Vm>, u32)> = (0..count)
            .filter_map(|index| self.filter(exchange, index, true))
            .collect();
        for (vm, context) in &filters {
            Self::stream(vm, *context, |stream| stream.logging = true);
            vm.call(*context, "proxy_on_log", &[]);
            Self::stream(vm, *context, |stream| stream.logging = false);
            self.perform(vm);
        }
        for (vm, context) in &filters {
            vm.call(*context, "proxy_on_done", &[]);
            vm.call(*context, "proxy_on_delete", &[]);
            vm.take_actions();
        }
        for filter in &exchange.borrow().filters {
            filter.vm.state_mut().contexts.remove(&filter.context);
        }
    }
}

fn is_continue(action: &Action) -> bool {
    matches!(action, Action::ContinueRequest | Action::ContinueResponse)
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

/// Headers and body of a reply: status, the filter's headers, then `content-length` and `content-type`. On a gRPC request:
/// 200 with `grpc-status` and `grpc-message`, no body.
fn reply_message(exchange: &Exchange, reply: &LocalReply) -> (HeaderMap, Vec<u8>) {
    let mut headers = HeaderMap::new(Side::Other);
    let grpc = exchange
        .request
        .text("content-type")
        .starts_with("application/grpc");
    let status = if grpc { 200 } else { reply.status };
    headers.add(b":status", status.to_string().as_bytes());
    for (name, value) in &reply.headers {
        if name.first() != Some(&b':') && !name.eq_ignore_ascii_case(b"content-length") {
            headers.add(name, value);
        }
    }
    if grpc {
        headers.replace(b"content-type", b"application/grpc");
        let code = if reply.grpc >= 0 {
            reply.grpc
        } else {
            grpc_code(reply.status)
        };
        headers.replace(b"grpc-status", code.to_string().as_bytes());
        if !reply.body.is_empty() {
            headers.replace(b"grpc-message", &percent_encode(&reply.body));
        }
        return (headers, Vec::new());
    }
    if !reply.body.is_empty() {
        headers.replace(b"content-length", reply.body.len().to_string().as_bytes());
        if headers.get(b"content-type").is_none() {
            headers.add(b"content-type", b"text/plain");
        }
    }
    (headers, reply.body.clone())
}

fn grpc_code(status: u32) -> i32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

fn percent_encode(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    for byte in message {
        if (0x20..0x7f).contains(byte) && *byte != b'%' {
            out.push(*byte);
        } else {
            out.extend(format!("%{byte:02X}").into_bytes());
        }
    }
    out
}
