//! One exchange: messages, the filters they pass, and what is known of the stream.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use super::context::Direction;
use super::guest::Vm;
use super::header_map::HeaderMap;
use super::plugin::PluginInfo;
use super::tcp::Tcp;
use crate::scenario::host::{Response, UpstreamRequest};
use crate::scenario::schema::Reply;
use crate::scenario::step::Tls;

/// A handle on an exchange.
pub type ExchangeRef = Rc<RefCell<Exchange>>;

/// A response made by a filter or by Envoy.
#[derive(Debug, Clone, Default)]
pub struct LocalReply {
    /// Status code.
    pub status: u32,
    /// Response code details.
    pub details: String,
    /// Body.
    pub body: Vec<u8>,
    /// Headers; `:status` and `content-length` are ignored.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// gRPC status, -1 for none.
    pub grpc: i32,
    /// Response flags.
    pub flags: u64,
}

/// A filter on an exchange.
pub struct Filter {
    /// Its VM.
    pub vm: Rc<Vm>,
    /// Its root context there.
    pub root: u32,
    /// Its stream context; 0 until the first callback.
    pub context: u32,
    /// Its plugin.
    pub plugin: Rc<PluginInfo>,
    /// Whether the VM was dead when the stream came, or died in it.
    pub failed: bool,
    /// What it holds of the request.
    pub request: Held,
    /// What it holds of the response.
    pub response: Held,
    /// The callback that runs, so that a continue inside it is not lost.
    pub running: Option<Direction>,
    /// It continued while its callback ran.
    pub continued: bool,
}

/// What a paused filter holds back in one direction.
#[derive(Debug, Default)]
pub struct Held {
    /// How it stopped.
    pub stop: Stop,
    /// Body bytes.
    pub body: Vec<u8>,
    /// Whether body or end of stream have arrived since it stopped.
    pub body_end: bool,
    /// Whether headers ended the stream.
    pub headers_end: bool,
    /// Whether trailers have arrived since it stopped.
    pub trailers: bool,
}

/// How a filter stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stop {
    /// It did not.
    #[default]
    Running,
    /// At the headers, and nothing else is shown to it until it continues.
    All,
    /// At the headers, while it is shown the body (`allow_on_headers_stop_iteration`).
    Headers,
    /// At the body, which is collected.
    Body,
    /// At the trailers.
    Trailers,
}

/// An exchange.
pub struct Exchange {
    /// The request's id in the scenario.
    pub id: Option<String>,
    /// Its number, from 1; also the connection's.
    pub number: u64,
    /// The filters in request order.
    pub filters: Vec<Filter>,
    /// Request headers.
    pub request: HeaderMap,
    /// Request trailers.
    pub request_trailers: Option<HeaderMap>,
    /// Response headers, once there are any.
    pub response: Option<HeaderMap>,
    /// Response trailers.
    pub response_trailers: Option<HeaderMap>,
    /// What the upstream gets.
    pub upstream: Option<UpstreamRequest>,
    /// Whether the upstream has got all of it.
    pub upstream_done: bool,
    /// The answer that this request gets, whatever its cluster does.
    pub reply: Option<Reply>,
    /// What the client has got.
    pub client: Option<Response>,
    /// Whether a response was made by a filter or by Envoy.
    pub local: bool,
    /// Whether it is over.
    pub ended: bool,
    /// Whether the client got a whole response.
    pub complete: bool,
    /// Why nothing will ever end it.
    pub hung: Option<String>,
    /// The matched route; cleared by a write to the request headers.
    pub route: Option<usize>,
    /// What is known of the stream.
    pub info: StreamInfo,
    /// What is known of it as a TCP connection, if it is one.
    pub tcp: Option<Box<Tcp>>,
}

/// What is known of a stream.
#[derive(Debug, Clone, Default)]
pub struct StreamInfo {
    /// Start, in nanoseconds of virtual time.
    pub start: u64,
    /// Start, wall time in nanoseconds.
    pub start_wall: u64,
    /// Peer address.
    pub source: String,
    /// Local address.
    pub destination: String,
    /// TLS of the connection.
    pub tls: Option<Tls>,
    /// `HTTP/1.1` or `HTTP/2`.
    pub protocol: &'static str,
    /// Attributes as bytes, for a host that has no scenario.
    pub raw_attributes: BTreeMap<String, Vec<u8>>,
    /// Attributes that a scenario sets.
    pub attributes: BTreeMap<String, Value>,
    /// Dynamic metadata by filter.
    pub metadata: BTreeMap<String, Value>,
    /// Filter state, by name without `wasm.`.
    pub filter_state: BTreeMap<String, Vec<u8>>,
    /// Envoy's own filter state objects, by name.
    pub objects: BTreeMap<String, Vec<u8>>,
    /// Response code.
    pub response_code: Option<u16>,
    /// Response code details.
    pub details: Option<String>,
    /// Response flags.
    pub flags: u64,
    /// Upstream address.
    pub upstream_address: Option<String>,
    /// Whether the upstream has answered, on a connection.
    pub connected: bool,
    /// Cluster of the route, then the one used.
    pub cluster_name: Option<String>,
    /// Route name.
    pub route_name: Option<String>,
    /// Request body bytes.
    pub request_size: u64,
    /// Response body bytes.
    pub response_size: u64,
    /// Attempts at the upstream.
    pub attempts: u64,
    /// Time of the upstream, in nanoseconds.
    pub backend_latency: Option<u64>,
}

impl Exchange {
    /// An exchange that has not begun.
    pub fn new(id: Option<String>, number: u64, request: HeaderMap) -> Self {
        Exchange {
            id,
            number,
            filters: Vec::new(),
            request,
            request_trailers: None,
            response: None,
            response_trailers: None,
            upstream: None,
            upstream_done: false,
            reply: None,
            client: None,
            local: false,
            ended: false,
            complete: false,
            hung: None,
            route: None,
            info: StreamInfo::default(),
            tcp: None,
        }
    }

    /// Forgets the route, as each write to the request headers does.
    pub fn clear_route(&mut self) {
        if !self.local && self.response.is_none() {
            self.route = None;
        }
    }

    /// What a filter holds in a direction.
    pub fn held(&mut self, filter: usize, direction: Direction) -> Option<&mut Held> {
        self.filters.get_mut(filter).map(|filter| match direction {
            Direction::Request => &mut filter.request,
            Direction::Response => &mut filter.response,
        })
    }

    /// Whether no more callbacks of the request may run.
    pub fn request_over(&self) -> bool {
        self.ended || self.local || self.response.is_some()
    }

    /// Who holds it, in words.
    pub fn held_by(&self) -> Option<String> {
        self.filters.iter().find_map(|filter| {
            let (what, stop) = match (filter.request.stop, filter.response.stop) {
                (Stop::Running, Stop::Running) => return None,
                (Stop::Running, stop) => ("response", stop),
                (stop, _) => ("request", stop),
            };
            let place = match stop {
                Stop::Body => "body",
                Stop::Trailers => "trailers",
                _ => "headers",
            };
            Some(format!(
                "plugin {} paused in on_{what}_{place} and never continued",
                filter.plugin.name
            ))
        })
    }
}
