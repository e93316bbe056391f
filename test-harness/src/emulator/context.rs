//! Contexts: the root of a plugin in a VM, and one for each stream.
//!
//! A stream's view of its messages follows Envoy: the request maps are there in `on_request_headers` and while paused from it;
//! they go when the filter continues. Body buffers are there in their callback only. In `on_log` all headers can be read again.

use std::rc::Rc;

use super::exchange::ExchangeRef;
use super::expression::Expressions;
use super::plugin::PluginInfo;

/// A context.
pub struct Context {
    /// Its root context; its own id if it is one.
    pub root: u32,
    /// Its plugin.
    pub plugin: Rc<PluginInfo>,
    /// What it is for.
    pub kind: Kind,
}

/// What a context is for.
pub enum Kind {
    /// A plugin in this VM.
    Root(Root),
    /// A stream.
    Stream(Box<Stream>),
}

/// State of a root context.
#[derive(Default)]
pub struct Root {
    /// Tick period in milliseconds, 0 for none.
    pub tick_ms: u32,
    /// Counts the settings of the timer; a tick of an older one is void.
    pub generation: u64,
    /// Whether `on_configure` runs, so that the plugin configuration can be read.
    pub configuring: bool,
    /// Its expressions.
    pub expressions: Expressions,
}

/// State of a stream context.
pub struct Stream {
    /// Its exchange.
    pub exchange: ExchangeRef,
    /// Its place in the chain.
    pub filter: usize,
    /// Whether the request headers can be reached.
    pub request_headers: bool,
    /// Whether the response headers can be reached.
    pub response_headers: bool,
    /// Whether the request trailers can be reached.
    pub request_trailers: bool,
    /// Whether the response trailers can be reached.
    pub response_trailers: bool,
    /// Whether the last body chunk passes, so that trailers may be made.
    pub body_end: Option<Direction>,
    /// The body in its callback.
    pub request_body: Option<Vec<u8>>,
    /// The body in its callback.
    pub response_body: Option<Vec<u8>>,
    /// Bytes of a TCP client, in their callback.
    pub downstream: Option<Vec<u8>>,
    /// Bytes of a TCP upstream, in their callback.
    pub upstream: Option<Vec<u8>>,
    /// Whether `on_log` runs.
    pub logging: bool,
    /// Whether a local reply was asked for.
    pub replied: bool,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    Request,
    /// To the client.
    Response,
}

impl Stream {
    /// A stream before its first callback.
    pub fn new(exchange: ExchangeRef, filter: usize) -> Self {
        Stream {
            exchange,
            filter,
            request_headers: false,
            response_headers: false,
            request_trailers: false,
            response_trailers: false,
            body_end: None,
            request_body: None,
            response_body: None,
            downstream: None,
            upstream: None,
            logging: false,
            replied: false,
        }
    }
}

impl Context {
    /// Its stream, if it is one.
    pub fn stream(&self) -> Option<&Stream> {
        match &self.kind {
            Kind::Stream(stream) => Some(stream),
            Kind::Root(_) => None,
        }
    }

    /// Its stream, for changing.
    pub fn stream_mut(&mut self) -> Option<&mut Stream> {
        match &mut self.kind {
            Kind::Stream(stream) => Some(stream),
            Kind::Root(_) => None,
        }
    }
}
