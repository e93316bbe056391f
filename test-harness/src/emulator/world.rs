//! What all VMs of one emulated process share: time, stats, shared data, clusters, and the record of what happened.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use super::choices::Choices;
use super::clock::Clock;
use super::cluster::Clusters;
use super::exchange::ExchangeRef;
use super::flaw::Flaw;
use super::guest::Vm;
use super::header_map::HeaderMap;
use super::shared::{Queues, SharedData};
use super::stats::Stats;
use crate::scenario::host::{Cost, LogLine, UpstreamRequest};
use crate::scenario::schema::{Level, Reply};

/// A handle on the world.
pub type WorldRef = Rc<RefCell<World>>;

/// The world.
pub struct World {
    /// Virtual time and what falls due.
    pub clock: Clock<Event>,
    /// Plugin stats.
    pub stats: Stats,
    /// Shared data.
    pub shared: SharedData,
    /// Shared queues; the registrant is a VM and its root context.
    pub queues: Queues<(Weak<Vm>, u32)>,
    /// Clusters and their behaviour.
    pub clusters: Clusters,
    /// What a real gateway would choose by itself.
    pub choices: Choices,
    /// Log level of plugins.
    pub log_level: Level,
    /// Host calls that answer a status instead of working.
    pub faults: BTreeMap<String, i32>,
    /// A wrong rule, for tests of the tests.
    pub flaw: Option<Flaw>,
    /// What happened since it was last read.
    pub record: Record,
    /// Whether every host call is written to the record.
    pub tracing: bool,
}

/// What happened.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Log lines of plugins.
    pub logs: Vec<LogLine>,
    /// Call-outs.
    pub callouts: Vec<UpstreamRequest>,
    /// VMs that died.
    pub traps: Vec<String>,
    /// Host calls in the wrong phase and the like.
    pub faults: Vec<String>,
    /// Costs of callbacks.
    pub costs: Vec<Cost>,
    /// Callbacks and host calls, if traced.
    pub trace: Vec<String>,
}

/// Something that falls due.
pub enum Event {
    /// A root context's timer.
    Tick {
        /// Whose.
        vm: Rc<Vm>,
        /// Root context.
        root: u32,
        /// The setting it belongs to; a newer one makes it void.
        generation: u64,
    },
    /// The answer to a call-out.
    Callout {
        /// Who called.
        vm: Rc<Vm>,
        /// Root context.
        root: u32,
        /// Token of the call.
        token: u32,
        /// What came back.
        answer: Box<CalloutAnswer>,
    },
    /// A step of a gRPC call or stream.
    Grpc {
        /// Who called.
        vm: Rc<Vm>,
        /// Root context.
        root: u32,
        /// Token of the call.
        token: u32,
        /// What came back.
        step: GrpcStep,
    },
    /// A message in a queue.
    Queue {
        /// Who is told.
        vm: Rc<Vm>,
        /// Root context.
        root: u32,
        /// Which queue.
        queue: u32,
    },
    /// The upstream's answer to an exchange.
    Upstream {
        /// Which exchange.
        exchange: ExchangeRef,
        /// What it answers.
        reply: Box<Reply>,
    },
    /// The route's time limit.
    RouteTimeout(ExchangeRef),
}

/// What comes of a call-out.
#[derive(Debug, Clone)]
pub enum CalloutAnswer {
    /// A response, from the upstream or made by Envoy (503, 504).
    Response {
        /// Headers with `:status`.
        headers: HeaderMap,
        /// Body.
        body: Vec<u8>,
        /// Trailers.
        trailers: HeaderMap,
    },
    /// The stream was reset after its headers.
    Reset,
}

/// What comes of a gRPC call.
#[derive(Debug, Clone)]
pub enum GrpcStep {
    /// Initial metadata.
    InitialMetadata(HeaderMap),
    /// A message.
    Message(Vec<u8>),
    /// Trailing metadata.
    TrailingMetadata(HeaderMap),
    /// The end, with gRPC status and message.
    Close(u32, Vec<u8>),
}

impl World {
    /// A world at this wall time, with these clusters.
    pub fn new(start: u64, clusters: Clusters, log_level: Level) -> WorldRef {
        Rc::new(RefCell::new(World {
            clock: Clock::new(start),
            stats: Stats::default(),
            shared: SharedData::default(),
            queues: Queues::default(),
            clusters,
            choices: Choices::default(),
            log_level,
            faults: BTreeMap::new(),
            flaw: None,
            record: Record::default(),
            tracing: false,
        }))
    }
}
