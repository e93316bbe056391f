//! The series of this worker: from label ids to the host's handles and to what was counted.
//!
//! 1. A label set is looked up by ids. Only a new one builds its texts, asks for admission and defines its series.
//! 2. What is not admitted goes to the overflow series, whose labels are all `_OVERFLOW`, and is counted as dropped.
//! 3. The size of every table here is bounded: by `max_series`, by `max_values` and by the route names of the host.

use launchgate_sdk::map::Map;

use launchgate_sdk::metric::{self, escape_label};
use launchgate_sdk::{Counter, Effects, Family, Histogram, Registry};

use crate::cell::{Cell, Exemplar, Kind};
use crate::config::Label;
use crate::outcome::{GrpcCode, OTHER, Origin, Outcome, method_name};
use crate::settings::{MOST_CUSTOM, Settings};
use crate::{families, flags};

/// The values of a label set as ids; what is not a configured label is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct SeriesKey {
    method: u8,
    route: u32,
    status: u16,
    class: u8,
    origin: Origin,
    flags: u64,
    grpc: GrpcCode,
    attempts: u8,
    custom: [u16; MOST_CUSTOM],
}

impl SeriesKey {
    pub(crate) fn new(
        labels: &[Label],
        method: u8,
        route: u32,
        outcome: &Outcome,
        custom: [u16; MOST_CUSTOM],
    ) -> Self {
        let mut key = Self {
            custom,
            ..Self::default()
        };
        for label in labels {
            match label {
                Label::Method => key.method = method,
                Label::Route => key.route = route,
                Label::Status => key.status = outcome.status,
                Label::StatusClass => key.class = (outcome.status / 100).min(6) as u8,
                Label::Source => key.origin = outcome.origin,
                Label::Flags => key.flags = outcome.flags,
                Label::GrpcCode => key.grpc = outcome.grpc,
                Label::Attempts => key.attempts = outcome.attempts,
            }
        }
        key
    }
}

/// Handles of Envoy's series for one label set.
#[derive(Debug, Clone, Copy)]
struct Handles {
    requests: Counter,
    distributions: [Option<Histogram>; 5],
}

/// A label set of this worker.
#[derive(Debug)]
pub(crate) struct Row {
    /// Label values in the order of the names; what writes a stat name escapes them.
    values: Vec<String>,
    handles: Option<Handles>,
    /// The key of its cell: the values, escaped and joined by NUL.
    pub(crate) joined: Box<[u8]>,
}

impl Row {
    pub(crate) fn new(values: Vec<String>) -> Self {
        let escaped: Vec<String> = values
            .iter()
            .map(|value| escape_label(value.as_bytes()))
            .collect();
        let joined = escaped.join("\0").into_bytes().into();
        Self {
            values,
            handles: None,
            joined,
        }
    }

    /// The row of everything that found no room.
    pub(crate) fn overflow(labels: usize) -> Self {
        Self::new(vec![families::OVERFLOW.to_owned(); labels])
    }

    /// Counts an exchange in Envoy's stats.
    pub(crate) fn record(
        &mut self,
        names: &[String],
        outcome: &Outcome,
        metrics: &mut Registry,
        fx: &mut Effects,
    ) {
        let values: Vec<&[u8]> = if self.handles.is_some() {
            Vec::new()
        } else {
            self.values.iter().map(String::as_bytes).collect()
        };
        let stat = |family: &Family| metric::stat_name(family.name, names, &values);
        let handles = self.handles.get_or_insert_with(|| Handles {
            requests: metrics.counter_named(stat(&families::REQUESTS)),
            distributions: [None; 5],
        });
        fx.count(handles.requests);
        for (kind, slot) in Kind::ALL.into_iter().zip(&mut handles.distributions) {
            let Some(value) = observed(kind, outcome) else {
                continue;
            };
            // Envoy's histograms take integers: durations in whole milliseconds, rounded half up.
            let value = if is_time(kind) {
                value.saturating_add(500_000) / 1_000_000
            } else {
                value
            };
            let handle = *slot.get_or_insert_with(|| {
                let values: Vec<&[u8]> = self.values.iter().map(String::as_bytes).collect();
                metrics.histogram_named(metric::stat_name(families::of(kind).name, names, &values))
            });
            fx.observe(handle, value);
        }
    }
}

/// Counts an exchange in a cell, exactly.
pub(crate) fn count(
    cell: &mut Cell,
    outcome: &Outcome,
    settings: &Settings,
    trace: Option<[u8; 16]>,
    at: u64,
) {
    cell.requests += 1;
    for kind in Kind::ALL {
        let Some(value) = observed(kind, outcome) else {
            continue;
        };
        let bucket = cell
            .of_mut(kind)
            .observe(value, bounds(settings, kind), unit(kind));
        if let (Kind::Duration, Some(trace)) = (kind, trace) {
            cell.of_mut(kind)
                .exemplars
                .insert(bucket, Exemplar { trace, value, at });
        }
    }
}

/// What a distribution sees of an exchange: nanoseconds or bytes. A stream is in no distribution of requests' durations.
fn observed(kind: Kind, outcome: &Outcome) -> Option<u64> {
    let nanos =
        |duration: std::time::Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    match kind {
        Kind::Duration => (!outcome.is_stream).then(|| nanos(outcome.duration)),
        Kind::Upstream => outcome.upstream.map(nanos),
        Kind::Stream => outcome.is_stream.then(|| nanos(outcome.duration)),
        Kind::RequestSize => outcome.request_size,
        Kind::ResponseSize => outcome.response_size,
    }
}

/// Whether a distribution is of durations.
pub(crate) fn is_time(kind: Kind) -> bool {
    matches!(kind, Kind::Duration | Kind::Upstream | Kind::Stream)
}

/// How many nanoseconds or bytes a bound counts as one.
fn unit(kind: Kind) -> u64 {
    if is_time(kind) { 1_000_000 } else { 1 }
}

/// Bounds of a distribution: milliseconds or bytes.
pub(crate) fn bounds(settings: &Settings, kind: Kind) -> &[u64] {
    match kind {
        Kind::Duration | Kind::Upstream => &settings.buckets,
        Kind::Stream => &settings.stream_buckets,
        Kind::RequestSize | Kind::ResponseSize => &settings.size_buckets,
    }
}

/// The values of a label set, in the order of the names.
pub(crate) fn values(
    settings: &Settings,
    key: &SeriesKey,
    class: &str,
    names: &Names,
) -> Vec<String> {
    let vocabulary = settings.labels.iter().map(|label| match label {
        Label::Method => method_name(key.method).to_owned(),
        Label::Route => names.route(settings, key.route),
        Label::Status => key.status.to_string(),
        Label::StatusClass => class.to_owned(),
        Label::Source => key.origin.name().to_owned(),
        Label::Flags => flags::text(key.flags),
        Label::GrpcCode => match key.grpc {
            GrpcCode::None => String::new(),
            GrpcCode::Known(code) => code.to_string(),
            GrpcCode::Other => OTHER.to_owned(),
        },
        Label::Attempts => key.attempts.to_string(),
    });
    let custom = key
        .custom
        .iter()
        .take(settings.custom.len())
        .enumerate()
        .map(|(position, id)| names.custom(settings, position, *id));
    vocabulary.chain(custom).collect()
}

/// Texts that this worker met, by number.
#[derive(Debug, Default)]
pub(crate) struct Names {
    routes: Interner,
    custom: [Interner; MOST_CUSTOM],
}

/// Ids of custom values: absent, not let through, then by number.
pub(crate) const ABSENT: u16 = 0;
pub(crate) const REFUSED: u16 = 1;
const FIRST: u16 = 2;
const MOST_ROUTE_NAMES: usize = 10_000;

impl Names {
    /// Id of a template: zero stands for no route.
    pub(crate) fn template_id(number: usize) -> u32 {
        u32::try_from(number + 1).unwrap_or(0)
    }

    /// Id of a route name of the host.
    pub(crate) fn name_id(&mut self, settings: &Settings, name: &[u8]) -> u32 {
        let offset = settings.templates.len() + 1;
        match self.routes.number(name, MOST_ROUTE_NAMES) {
            Some(number) if !name.is_empty() => u32::try_from(number + offset).unwrap_or(0),
            _ => 0,
        }
    }

    /// The route of an id.
    pub(crate) fn route(&self, settings: &Settings, id: u32) -> String {
        let Some(number) = (id as usize).checked_sub(1) else {
            return OTHER.to_owned();
        };
        match settings.templates.get(number) {
            Some(template) => template.clone(),
            None => self
                .routes
                .text(number - settings.templates.len())
                .unwrap_or_else(|| OTHER.to_owned()),
        }
    }

    /// Id of a custom value that this worker knows already: from the list, or admitted before.
    pub(crate) fn known_custom(
        &self,
        settings: &Settings,
        position: usize,
        value: &[u8],
    ) -> Option<u16> {
        let custom = settings.custom.get(position)?;
        let number = if custom.allow.is_empty() {
            self.custom
                .get(position)?
                .known
                .get(value)
                .map(|number| *number as usize)
        } else {
            custom
                .allow
                .iter()
                .position(|allowed| allowed.as_bytes() == value)
        };
        u16::try_from(number?).ok()?.checked_add(FIRST)
    }

    /// Id of a custom value that was admitted.
    pub(crate) fn admitted_custom(
        &mut self,
        settings: &Settings,
        position: usize,
        value: &[u8],
    ) -> u16 {
        let most = settings
            .custom
            .get(position)
            .map_or(0, |custom| custom.max_values);
        let number = self
            .custom
            .get_mut(position)
            .and_then(|interner| interner.number(value, most));
        number
            .and_then(|number| u16::try_from(number).ok()?.checked_add(FIRST))
            .unwrap_or(REFUSED)
    }

    fn custom(&self, settings: &Settings, position: usize, id: u16) -> String {
        let number = match id {
            ABSENT => return String::new(),
            REFUSED => return OTHER.to_owned(),
            id => usize::from(id - FIRST),
        };
        let allowed = settings
            .custom
            .get(position)
            .and_then(|custom| custom.allow.get(number).cloned());
        allowed
            .or_else(|| self.custom.get(position)?.text(number))
            .unwrap_or_else(|| OTHER.to_owned())
    }
}

/// Texts by number and back.
#[derive(Debug, Default)]
struct Interner {
    known: Map<Box<[u8]>, u32>,
    texts: Vec<Box<[u8]>>,
}

impl Interner {
    fn number(&mut self, text: &[u8], most: usize) -> Option<usize> {
        if let Some(number) = self.known.get(text) {
            return Some(*number as usize);
        }
        let number = self.texts.len();
        if number >= most {
            return None;
        }
        self.known.insert(text.into(), u32::try_from(number).ok()?);
        self.texts.push(text.into());
        Some(number)
    }

    /// Bytes that are no UTF-8 never reach a label.
    fn text(&self, number: usize) -> Option<String> {
        self.texts
            .get(number)
            .and_then(|text| std::str::from_utf8(text).ok())
            .map(str::to_owned)
    }
}
