//! Writes records to the ways out: the filter state that Envoy's access logger prints, and the sinks.

use launchgate_sdk::{Effects, Time};

use crate::budget;
use crate::config::Format;
use crate::metrics::Counters;
use crate::name::Name;
use crate::record::{Record, Severity, Value};
use crate::render::{self, Resource};
use crate::sink::Sink;
use crate::storm::{Kind, Summary};

/// Summaries that one callback writes at most.
pub(crate) const SUMMARIES: usize = 16;

/// Writes records to the ways out.
pub(crate) struct Writer {
    /// Format of the lines.
    pub(crate) format: Format,
    /// What is the same in every record.
    pub(crate) resource: Resource,
    /// Bytes of a line at most.
    pub(crate) limit: usize,
    /// Filter state that Envoy's logger prints; may be empty.
    pub(crate) key: String,
    /// Name of this worker.
    pub(crate) worker: String,
    /// Number of the last record.
    pub(crate) seq: u64,
    /// Call-outs.
    pub(crate) sinks: Vec<Sink>,
    /// Summaries that wait for an exchange to print them through filter state.
    pub(crate) pending: Vec<String>,
}

impl Writer {
    pub(crate) fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// Writes the record of an exchange.
    pub(crate) fn exchange(
        &mut self,
        record: Record,
        counters: &Counters,
        now: Time,
        fx: &mut Effects,
    ) {
        let line = self.render(record, counters, now, fx);
        self.print(Some(line), fx);
    }

    /// Writes a summary: to the sinks now, to the filter state of the next exchange.
    pub(crate) fn summary(
        &mut self,
        summary: &Summary,
        counters: &Counters,
        now: Time,
        fx: &mut Effects,
    ) {
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
    pub(crate) fn print(&mut self, line: Option<String>, fx: &mut Effects) {
        if self.key.is_empty() {
            return;
        }
        let mut lines = std::mem::take(&mut self.pending);
        match line {
            Some(line) if lines.is_empty() => fx.record(&self.key, line),
            line => {
                lines.extend(line);
                if !lines.is_empty() {
                    fx.record(&self.key, lines.join("\n"));
                }
            }
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
