//! How an exchange ends: a reply in the upstream's place, a reset, a dead VM, and the last callbacks.

use std::rc::Rc;

use super::Chain;
use crate::emulator::attribute::grpc_code;
use crate::emulator::context::Direction;
use crate::emulator::exchange::{Exchange, ExchangeRef, LocalReply};
use crate::emulator::guest::Vm;
use crate::emulator::header_map::{HeaderMap, Side};

impl Chain {
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
    pub(super) fn fail(&self, exchange: &ExchangeRef, index: usize) {
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
            grpc_code(reply.status).into()
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
