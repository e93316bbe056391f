//! Decides what is recorded, and where it goes.

use launchgate_sdk::map::Set;
use std::time::Duration;

use launchgate_sdk::hash::Key as HmacKey;
use launchgate_sdk::redact::Redaction;
use launchgate_sdk::{
    Answer, ConfigErrors, Effects, EndView, Family, Headers, Mode, Phases, Policy, RequestView,
    RootContext, Setup, StreamContext, Time, Verdict,
};

use crate::budget;
use crate::capture::Capture;
use crate::config::{Config, Format};
use crate::field::Field;
use crate::metrics::{self, Counters};
use crate::name::Name;
use crate::observe::{Ending, Observer, Stamp};
use crate::record::{Record, Severity, Value};
use crate::render::{self, Resource, ecs};
use crate::sampling::Sampling;
use crate::sink::Sink;
use crate::storm::{Kind, Storm, Summary};

/// Summaries that one callback writes at most.
const SUMMARIES: usize = 16;
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

/// Writes records to the ways out.
struct Writer {
    format: Format,
    resource: Resource,
    limit: usize,
    key: String,
    worker: String,
    seq: u64,
    sinks: Vec<Sink>,
    /// Summaries that wait for an exchange to print them through filter state.
    pending: Vec<String>,
}

/// What is kept of an exchange.
#[derive(Debug, Default)]
pub struct Exchange {
    request: Option<Headers>,
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
        let resource = resource(&config, &mut errors);
        let observer = observer(&config, setup, &mut errors);
        let sinks = sinks(&config, &resource, setup, &mut errors);
        check_bounds(&config, &mut errors);
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
        exchange.request = Some(self.capture.take(view.headers()));
        Verdict::Continue
    }

    fn on_end(&mut self, view: &EndView<'_>, exchange: &mut Exchange, cx: &mut StreamContext<'_>) {
        self.close_storms(**cx.now, cx.fx);
        let request = exchange
            .request
            .take()
            .unwrap_or_else(|| self.capture.take(view.request()));
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

impl Writer {
    fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// Writes the record of an exchange.
    fn exchange(&mut self, record: Record, counters: &Counters, now: Time, fx: &mut Effects) {
        let line = self.render(record, counters, now, fx);
        self.print(Some(line), fx);
    }

    /// Writes a summary: to the sinks now, to the filter state of the next exchange.
    fn summary(&mut self, summary: &Summary, counters: &Counters, now: Time, fx: &mut Effects) {
        let mut record = summary_record(summary, now);
        let seq = self.next_seq();
        record.push(Name::Worker, Value::Text(self.worker.clone().into_bytes()));
        record.push(Name::Seq, Value::Integer(seq));
        let line = self.render(record, counters, now, fx);
        if !self.key.is_empty() {
            // Without traffic the oldest give way: a gap in `seq` shows it.
            if self.pending.len() >= SUMMARIES {
                self.pending.remove(0);
            }
            self.pending.push(line);
        }
    }

    /// Renders a record within the budget, counts it and hands it to the sinks.
    fn render(
        &mut self,
        mut record: Record,
        counters: &Counters,
        now: Time,
        fx: &mut Effects,
    ) -> String {
        let Self {
            format,
            resource,
            limit,
            sinks,
            ..
        } = self;
        let (line, cut) = budget::fit(&mut record, *limit, |record| {
            render::line(*format, resource, record)
        });
        fx.count(counters.records(record.severity));
        if cut {
            fx.count(counters.truncated);
        }
        for sink in sinks {
            sink.push(resource, &record, &line, now, fx);
        }
        line
    }

    /// Gives Envoy's access logger its lines: the summaries that wait, then the exchange's own.
    fn print(&mut self, line: Option<String>, fx: &mut Effects) {
        if self.key.is_empty() {
            return;
        }
        let mut lines = std::mem::take(&mut self.pending);
        lines.extend(line);
        if !lines.is_empty() {
            fx.record(&self.key, lines.join("\n"));
        }
    }
}

fn summary_record(summary: &Summary, now: Time) -> Record {
    let Kind {
        status,
        method,
        route,
        ..
    } = &summary.kind;
    let what = if *status == 0 {
        "other errors".to_owned()
    } else {
        format!("errors {} {status}", String::from_utf8_lossy(method))
    };
    let mut record = Record {
        time: now.wall,
        observed: now.wall,
        severity: Severity::Error,
        message: format!(
            "{} {what} not recorded since {}",
            summary.suppressed, summary.since
        )
        .into_bytes(),
        trace_id: None,
        span_id: None,
        sampled: None,
        fields: Vec::new(),
        truncated: Vec::new(),
    };
    if *status > 0 {
        record.push(Name::Method, Value::Text(method.clone()));
        record.push(Name::Status, Value::Integer((*status).into()));
        record.push(Name::Route, Value::Text(route.clone()));
    }
    record.push(Name::Suppressed, Value::Integer(summary.suppressed));
    record
}

fn resource(config: &Config, errors: &mut ConfigErrors) -> Resource {
    for (key, text, first) in [
        ("service", &config.service, 1),
        ("version", &config.version, 0),
        ("environment", &config.environment, 0),
    ] {
        let fits = (first..=128).contains(&text.len())
            && text
                .bytes()
                .all(|byte| (b' '..=b'~').contains(&byte) && !b"\"\\".contains(&byte));
        errors.check(
            fits,
            key,
            format!("expected {first} to 128 printable ASCII characters without \\ and quotes"),
        );
    }
    Resource {
        service: config.service.clone(),
        version: config.version.clone(),
        environment: config.environment.clone(),
    }
}

fn observer(config: &Config, setup: &Setup<'_>, errors: &mut ConfigErrors) -> Observer {
    let secret = &config.hmac_key;
    let long_enough = secret.is_empty() || secret.expose().len() >= 16;
    if !long_enough {
        errors.push_hidden("hmac_key", "expected at least 16 bytes");
    }
    let key = (!secret.is_empty()).then(|| HmacKey::new(secret.expose().as_bytes()));
    errors.check(
        config.user_id.mode != Redaction::Hmac || key.is_some(),
        "user_id.mode",
        "expected hmac_key beside the mode hmac",
    );
    if let Some(claim) = &config.user_id.jwt {
        claim.check("user_id.jwt", errors);
    }
    let mut fields = Vec::new();
    let mut labels = Set::new();
    errors.check(
        config.fields.len() <= 64,
        "fields",
        "expected at most 64 fields",
    );
    for (name, field) in &config.fields {
        let at = format!("fields.{name}");
        errors.check(
            labels.insert(ecs::label_key(name)),
            &at,
            "expected a name that differs from the others by more than \".\" and \"_\"",
        );
        fields.extend(Field::read(name, field, &at, errors));
    }
    let mut omit = Set::new();
    for (position, name) in config.omit.iter().enumerate() {
        match Name::parse(name) {
            Some(name) => drop(omit.insert(name)),
            None => errors.push(
                format!("omit[{position}]"),
                "expected the name of a field of the model such as \"referer\"",
            ),
        }
    }
    Observer {
        redactor: config.redact.redactor(key, "redact", errors),
        fields,
        omit,
        trace: config.trace.clone(),
        user_id: config.user_id.clone(),
        trust_envoy_xff: setup.common.trust_envoy_xff,
    }
}

fn sinks(
    config: &Config,
    resource: &Resource,
    setup: &mut Setup<'_>,
    errors: &mut ConfigErrors,
) -> Vec<Sink> {
    errors.check(config.sinks.len() <= 8, "sinks", "expected at most 8 sinks");
    let mut names = Set::new();
    let mut sinks = Vec::new();
    for (position, sink) in config.sinks.iter().enumerate() {
        let at = format!("sinks[{position}]");
        errors.check(
            names.insert(sink.name()),
            format!("{at}.name"),
            "expected a name that no other sink has",
        );
        sinks.extend(Sink::read(sink, &at, resource, setup.metrics, errors));
    }
    sinks
}

fn check_bounds(config: &Config, errors: &mut ConfigErrors) {
    errors.check(
        (1024..=1_048_576).contains(&config.max_line_bytes),
        "max_line_bytes",
        "expected a number from 1024 to 1048576",
    );
    let window = config.storm.window.0;
    errors.check(
        window >= Duration::from_secs(1) && window <= Duration::from_secs(3600),
        "storm.window",
        "expected a duration from 1s to 1h",
    );
    errors.check(
        (1..=4096).contains(&config.storm.max_keys),
        "storm.max_keys",
        "expected a number from 1 to 4096",
    );
    errors.check(
        config.filter_state_key.len() <= 128 && !config.filter_state_key.contains('\0'),
        "filter_state_key",
        "expected at most 128 characters",
    );
    let header = &config.user_id.header;
    let valid =
        header.is_empty() || launchgate_sdk::headers::InvalidHeader::check(header, b"").is_ok();
    errors.check(valid, "user_id.header", "expected a header name");
    errors.check(
        !config.filter_state_key.is_empty() || !config.sinks.is_empty(),
        "filter_state_key",
        "expected a key, or at least one sink",
    );
}

#[cfg(test)]
mod tests;
