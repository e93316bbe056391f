//! What root and streams of a module share: the module, its series, its calls.

use crate::map::Map;
use std::time::Duration;

use super::abi;
use super::ports::HostPorts;
use crate::effects::{Effects, Level};
use crate::member::Module;
use crate::metric::{self, Counter, Kind, Registry};
use crate::policy::{RootContext, StreamContext};
use crate::time::{Now, Time, Timestamp};

/// A configured module.
pub(super) struct Core<M: Module> {
    pub(super) module: M,
    pub(super) metrics: Registry,
    /// The host's id of each series, by its number; `None` where the host refused it.
    pub(super) ids: Vec<Option<u32>>,
    pub(super) fx: Effects,
    /// Calls that wait for their answer, by token: tag, and how much of a body to read.
    pub(super) calls: Map<u32, (M::Tag, usize)>,
    /// Streams whose body was awaited; the next tick lets them go on.
    pub(super) awaiting: Vec<u32>,
    pub(super) refused: Counter,
    pub(super) period: Option<Duration>,
    pub(super) next_tick: Duration,
}

/// How soon a request that waits for its body is looked at again.
pub(super) const AWAIT_TICK: Duration = Duration::from_millis(20);

impl<M: Module> Core<M> {
    pub(super) fn new(module: M, mut metrics: Registry, period: Option<Duration>) -> Self {
        let panics = metrics.counter(&metric::PANICS, &[]);
        let refused = metrics.counter(&metric::REFUSED_HEADERS, &[]);
        let build = metrics.gauge(
            &metric::BUILD_INFO,
            &[M::NAME.as_bytes(), M::VERSION.as_bytes()],
        );
        let mut core = Self {
            module,
            metrics,
            ids: Vec::new(),
            fx: Effects::new(level(abi::log_level())),
            calls: Map::new(),
            awaiting: Vec::new(),
            refused,
            period,
            next_tick: Duration::ZERO,
        };
        core.define_series();
        if let Some(id) = core.id(panics.0) {
            super::last_words::count_in(id);
        }
        if let Some(id) = core.id(build.0) {
            let _ = abi::record_metric(id, 1);
        }
        core
    }

    /// Defines the series that are new, each once.
    pub(super) fn define_series(&mut self) {
        while let Some((kind, name)) = u32::try_from(self.ids.len())
            .ok()
            .and_then(|number| self.metrics.series(number))
        {
            let kind = match kind {
                Kind::Counter => 0,
                Kind::Gauge => 1,
                Kind::Histogram => 2,
            };
            self.ids.push(abi::define_metric(kind, name).ok());
        }
    }

    pub(super) fn id(&self, number: u32) -> Option<u32> {
        self.ids.get(number as usize).copied().flatten()
    }

    /// Runs a callback of an exchange.
    pub(super) fn stream<R>(
        &mut self,
        now: &Now,
        run: impl FnOnce(&mut M, &mut StreamContext<'_>) -> R,
    ) -> R {
        let mut ports = HostPorts { ids: &self.ids };
        let mut cx = StreamContext {
            now,
            fx: &mut self.fx,
            metrics: &mut self.metrics,
            ports: &mut ports,
            prefix: "",
        };
        run(&mut self.module, &mut cx)
    }

    /// Runs a callback of the root; gives the calls to send.
    pub(super) fn root(
        &mut self,
        now: Time,
        run: impl FnOnce(&mut M, &mut RootContext<'_, M::Tag>),
    ) -> Vec<(M::Tag, crate::call::Call)> {
        let mut calls = Vec::new();
        let mut ports = HostPorts { ids: &self.ids };
        let mut cx = RootContext {
            now,
            fx: &mut self.fx,
            metrics: &mut self.metrics,
            ports: &mut ports,
            prefix: "",
            calls: &mut calls,
        };
        run(&mut self.module, &mut cx);
        calls
    }

    /// The host's level can change at run time.
    pub(super) fn follow_log_level(&mut self) {
        self.fx.set_level(level(abi::log_level()));
    }
}

fn level(number: u32) -> Level {
    match number {
        0 => Level::Trace,
        1 => Level::Debug,
        2 => Level::Info,
        3 => Level::Warn,
        _ => Level::Error,
    }
}

/// Both clocks, when somebody looks at them.
pub(super) fn lazily() -> Now {
    Now::when_asked(now)
}

/// Both clocks.
pub(super) fn now() -> Time {
    Time {
        wall: Timestamp::from_nanos(abi::wall_nanos()),
        mono: abi::monotonic(),
    }
}
