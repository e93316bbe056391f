//! What a policy wants done besides its verdict, as data.
//!
//! 1. Samples: what to add to, set or observe in a series. Adding zero does nothing (Envoy would refuse it).
//! 2. Lines: levelled, formatted only when the host's level lets them through.
//! 3. Records: values for Envoy's own access logger, by filter state `wasm.<key>`.

use crate::metric::{Counter, Gauge, Histogram};

/// Level of a log line, as the host orders them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Finest.
    Trace,
    /// For the author of a policy.
    Debug,
    /// What an operator wants to know once.
    Info,
    /// What an operator should look at.
    Warn,
    /// What stops a policy from working.
    Error,
}

/// A change of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// Counter plus.
    Add(Counter, u64),
    /// Gauge plus or minus; the edge never lets it wrap below zero.
    Move(Gauge, i64),
    /// Gauge to a value.
    Set(Gauge, u64),
    /// One observation.
    Observe(Histogram, u64),
}

/// The effects of one callback.
#[derive(Debug)]
pub struct Effects {
    /// Samples in order.
    pub samples: Vec<Sample>,
    /// Log lines in order.
    pub lines: Vec<(Level, String)>,
    /// Filter state to write: key and value.
    pub records: Vec<(String, Vec<u8>)>,
    level: Level,
}

impl Effects {
    /// No effects; lines below `level` are not even formatted.
    pub fn new(level: Level) -> Self {
        Self {
            samples: Vec::new(),
            lines: Vec::new(),
            records: Vec::new(),
            level,
        }
    }

    /// Adds to a counter.
    pub fn add(&mut self, counter: Counter, amount: u64) {
        if amount > 0 {
            self.samples.push(Sample::Add(counter, amount));
        }
    }

    /// Adds one to a counter.
    pub fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Moves a gauge up or down.
    pub fn move_gauge(&mut self, gauge: Gauge, amount: i64) {
        if amount != 0 {
            self.samples.push(Sample::Move(gauge, amount));
        }
    }

    /// Sets a gauge.
    pub fn set_gauge(&mut self, gauge: Gauge, value: u64) {
        self.samples.push(Sample::Set(gauge, value));
    }

    /// Observes a value.
    pub fn observe(&mut self, histogram: Histogram, value: u64) {
        self.samples.push(Sample::Observe(histogram, value));
    }

    /// Logs a line: a short sentence in the past tense and fields with stable names, no secret, no raw client bytes.
    pub fn log(&mut self, level: Level, line: impl FnOnce() -> String) {
        if level >= self.level {
            self.lines.push((level, line()));
        }
    }

    /// Writes filter state, which Envoy's access logger prints with `%FILTER_STATE(wasm.<key>:PLAIN)%`.
    pub fn record(&mut self, key: &str, value: impl Into<Vec<u8>>) {
        self.records.push((key.to_owned(), value.into()));
    }

    /// The level from which lines go out.
    pub fn set_level(&mut self, level: Level) {
        self.level = level;
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.samples.clear();
        self.lines.clear();
        self.records.clear();
    }
}
