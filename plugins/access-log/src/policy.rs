//! Decides what is recorded, and where it goes.

use std::rc::Rc;
use std::time::Duration;

use launchgate_sdk::{
    Answer, ConfigErrors, Effects, EndView, Family, Headers, Mode, Phases, Policy, RequestView,
    RootContext, Setup, StreamContext, Time, Verdict,
};

use crate::capture::Capture;
use crate::config::Config;
use crate::metrics::{self, Counters};
use crate::observe::{Ending, Observer, Stamp};
use crate::record::{Record, Severity};
use crate::sampling::Sampling;
use crate::setup;
use crate::storm::{Kind, Storm};
use crate::writer::{SUMMARIES, Writer};

/// Longest wait between two looks at the queues.
const LONGEST_TICK: Duration = Duration::from_millis(250);
const SHORTEST_TICK: Duration = Duration::from_millis(50);

/// The policy.
pub struct AccessLog {
    mode: Mode,
    observer: Observer,
    capture: Capture,
    sampling: Sampling,
    storm: Storm,
    writer: Writer,
    counters: Counters,
}

/// What is kept of an exchange.
#[derive(Debug, Default)]
pub struct Exchange {
    request: Option<Rc<Headers>>,
}

impl Policy for AccessLog {
    const NAME: &'static str = "access-log";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const PHASES: Phases = Phases {
        request: true,
        end: true,
        tick: true,
        answer: true,
        ..Phases::NONE
    };
    const METRICS: &'static [Family] = metrics::ALL;
    type Config = Config;
    type Exchange = Exchange;
    type Tag = usize;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let resource = setup::resource(&config, &mut errors);
        let observer = setup::observer(&config, setup, &mut errors);
        let sinks = setup::sinks(&config, &resource, setup, &mut errors);
        setup::check_bounds(&config, &mut errors);
        let writer = Writer {
            format: config.format,
            limit: config.max_line_bytes as usize,
            key: config.filter_state_key.clone(),
            worker: format!("{:08x}", setup.random() >> 32),
            seq: 0,
            sinks,
            pending: Vec::new(),
            resource,
        };
        if !writer.sinks.is_empty() || config.storm.max_records > 0 {
            let oldest = config
                .sinks
                .iter()
                .map(|sink| sink.batch.max_age.0 / 4)
                .min()
                .unwrap_or(LONGEST_TICK);
            setup.tick(oldest.clamp(SHORTEST_TICK, LONGEST_TICK));
        }
        let policy = Self {
            mode: setup.mode(),
            capture: Capture::new(&config, &observer.fields),
            sampling: Sampling::new(&config.sample),
            storm: Storm::new(&config.storm),
            counters: Counters::new(setup.metrics),
            observer,
            writer,
        };
        errors.into_result(policy)
    }

    fn on_request(
        &mut self,
        view: &mut RequestView<'_>,
        exchange: &mut Exchange,
        _: &mut StreamContext<'_>,
    ) -> Verdict {
        exchange.request = Some(self.capture.keep(view.snapshot()));
        Verdict::Continue
    }

    fn on_end(&mut self, view: &EndView<'_>, exchange: &mut Exchange, cx: &mut StreamContext<'_>) {
        self.close_storms(**cx.now, cx.fx);
        let request = exchange
            .request
            .take()
            .unwrap_or_else(|| Rc::new(self.capture.take(view.request())));
        if let Some(record) = self.observe(&request, view, cx) {
            self.writer
                .exchange(record, &self.counters, **cx.now, cx.fx);
        } else {
            self.writer.print(None, cx.fx);
        }
    }

    fn on_tick(&mut self, cx: &mut RootContext<'_, usize>) {
        self.close_storms(cx.now, cx.fx);
        for position in 0..self.writer.sinks.len() {
            self.send(position, cx);
        }
    }

    fn on_answer(&mut self, sink: usize, answer: Answer, cx: &mut RootContext<'_, usize>) {
        let random = cx.ports.random();
        if let Some(known) = self.writer.sinks.get_mut(sink) {
            known.settle(&answer, cx.now, random, cx.fx);
        }
        self.send(sink, cx);
    }
}

impl AccessLog {
    /// The record of an exchange, unless it is left out.
    fn observe(
        &mut self,
        request: &Headers,
        view: &EndView<'_>,
        cx: &mut StreamContext<'_>,
    ) -> Option<Record> {
        let ending = Ending::read(request, view);
        let ports = &mut *cx.ports;
        let trace = self.observer.trace(request, || {
            let (high, low) = (ports.random(), ports.random());
            (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
        });
        // Mode `report` counts what would be written, not what an enforcing plugin would leave out.
        let enforces = self.mode != Mode::Report;
        let Some(rate) = self
            .sampling
            .decide(ending.is_error(), ending.duration, trace.id)
        else {
            cx.fx.add(self.counters.sampled_out, u64::from(enforces));
            return None;
        };
        if ending.severity() == Severity::Error && self.storm.is_limited() {
            let kind = self.kind(request, view, ending);
            if !self.storm.admit(kind, cx.now.mono, cx.now.wall) {
                cx.fx.add(self.counters.suppressed, u64::from(enforces));
                return None;
            }
        }
        if !enforces {
            cx.fx.count(self.counters.would_write);
            return None;
        }
        let seq = self.writer.next_seq();
        let stamp = Stamp {
            rate,
            seq,
            worker: &self.writer.worker,
            now: **cx.now,
        };
        Some(self.observer.record(request, view, ending, trace, stamp))
    }

    fn kind(&self, request: &Headers, view: &EndView<'_>, ending: Ending) -> Kind {
        let method = self.observer.redactor.text(request.method());
        let route = view
            .attribute(launchgate_sdk::Attribute::RouteName)
            .unwrap_or_default();
        Kind {
            status: ending.status.unwrap_or(0),
            method: method.get(..16).unwrap_or(&method).to_vec(),
            route: route.get(..64).unwrap_or(&route).to_vec(),
            flags: ending.flags,
        }
    }

    fn close_storms(&mut self, now: Time, fx: &mut Effects) {
        if !self.storm.is_limited() {
            return;
        }
        for summary in self.storm.close(now.mono, SUMMARIES) {
            if self.mode == Mode::Report {
                fx.count(self.counters.would_write);
            } else {
                self.writer.summary(&summary, &self.counters, now, fx);
            }
        }
    }

    fn send(&mut self, position: usize, cx: &mut RootContext<'_, usize>) {
        let Writer {
            sinks, resource, ..
        } = &mut self.writer;
        if let Some(call) = sinks
            .get_mut(position)
            .and_then(|sink| sink.next(resource, cx.now))
        {
            cx.call(position, call);
        }
    }
}

#[cfg(test)]
mod tests;
