//! Counts exchanges: in Envoy's stats, in this worker's part, and for the objectives of their route.

use launchgate_sdk::map::Map;

use launchgate_sdk::{Attribute, Counter, EndView, Headers, State, StreamContext};

use crate::admission::Admission;
use crate::cell::Cell;
use crate::config::{Extra, Label};
use crate::families::{self, OVERFLOW};
use crate::ledger::Ledger;
use crate::objectives::Judges;
use crate::outcome::{Asked, Needs, Outcome};
use crate::part::Part;
use crate::series::{self, ABSENT, Names, REFUSED, Row, SeriesKey};
use crate::settings::{MOST_CUSTOM, Settings};

/// The ids of what was read at the request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Request {
    pub(crate) asked: Asked,
    pub(crate) route: u32,
    pub(crate) custom: [u16; MOST_CUSTOM],
    pub(crate) trace: Option<[u8; 16]>,
}

/// Everything that counting needs.
pub(crate) struct Recorder {
    pub(crate) settings: Settings,
    needs: Needs,
    needs_route: bool,
    label_names: Vec<String>,
    names: Names,
    rows: Map<SeriesKey, Row>,
    overflow: Row,
    judges: Judges,
    admitted: Admission,
    admitted_routes: Admission,
    admitted_values: Vec<Admission>,
    dropped: Counter,
    state_errors: Counter,
    /// What this worker has counted, where somebody asks for it.
    pub(crate) part: Option<Part>,
    /// Whether the part has changed since it was last written.
    pub(crate) changed: bool,
}

impl Recorder {
    pub(crate) fn new(
        settings: Settings,
        ledger: &Ledger,
        dropped: Counter,
        state_errors: Counter,
    ) -> Self {
        let needs = Needs {
            origin: settings.has(Label::Source),
            attempts: settings.has(Label::Attempts),
            upstream: settings.extras.contains(&Extra::UpstreamDuration),
            request_size: settings.extras.contains(&Extra::RequestSize),
            response_size: settings.extras.contains(&Extra::ResponseSize),
        };
        let values = settings.custom.iter().map(|custom| {
            Admission::new(
                ledger.key(&format!("values/{}", custom.name)),
                custom.max_values,
            )
        });
        let label_names: Vec<String> = settings
            .label_names()
            .into_iter()
            .map(str::to_owned)
            .collect();
        Self {
            needs,
            needs_route: settings.has(Label::Route) || !settings.slo.is_empty(),
            names: Names::default(),
            rows: Map::new(),
            overflow: Row::overflow(label_names.len()),
            judges: Judges::default(),
            admitted: Admission::new(ledger.key("series"), settings.max_series),
            admitted_routes: Admission::new(ledger.key("slo"), settings.max_series),
            admitted_values: values.collect(),
            dropped,
            state_errors,
            part: (settings.endpoint.is_some() || settings.otlp.is_some()).then(Part::default),
            changed: false,
            label_names,
            settings,
        }
    }

    /// Reads what the response phase can no longer see.
    pub(crate) fn request(
        &mut self,
        headers: &Headers,
        end_of_stream: bool,
        cx: &mut StreamContext<'_>,
    ) -> Request {
        let path = launchgate_sdk::path::RequestPath::read(headers.path());
        let template = if self.needs_route {
            self.settings.routes.find(path)
        } else {
            None
        };
        Request {
            asked: Asked::read(headers, end_of_stream),
            route: template.map_or(0, Names::template_id),
            custom: self.custom(headers, cx),
            trace: if self.part.is_some() {
                sampled_trace(headers)
            } else {
                None
            },
        }
    }

    fn custom(&mut self, headers: &Headers, cx: &mut StreamContext<'_>) -> [u16; MOST_CUSTOM] {
        let mut ids = [ABSENT; MOST_CUSTOM];
        for (position, (id, custom)) in ids.iter_mut().zip(&self.settings.custom).enumerate() {
            if !headers.contains(&custom.header) {
                continue;
            }
            // Several fields: which one counts would be the client's choice. Bytes that are no UTF-8 reach no label.
            let text = headers
                .only(&custom.header)
                .and_then(|value| std::str::from_utf8(value).ok());
            let Some(value) = text.map(|text| {
                text.get(..text.floor_char_boundary(128))
                    .unwrap_or_default()
            }) else {
                *id = REFUSED;
                continue;
            };
            *id = match self
                .names
                .known_custom(&self.settings, position, value.as_bytes())
            {
                Some(known) => known,
                None if !custom.allow.is_empty() => REFUSED,
                None => match self
                    .admitted_values
                    .get_mut(position)
                    .map(|admitted| admitted.admit(&mut cx.state(), value.as_bytes()))
                {
                    Some(Some(true)) => {
                        self.names
                            .admitted_custom(&self.settings, position, value.as_bytes())
                    }
                    _ => REFUSED,
                },
            };
        }
        ids
    }

    /// Counts an exchange that is over.
    pub(crate) fn end(
        &mut self,
        view: &EndView<'_>,
        mut request: Request,
        cx: &mut StreamContext<'_>,
    ) {
        if self.needs_route
            && request.route == 0
            && let Some(name) = view.attribute(Attribute::RouteName)
        {
            request.route = self.names.name_id(&self.settings, &name);
        }
        let outcome = Outcome::read(view, &request.asked, self.needs);
        let key = SeriesKey::new(
            &self.settings.labels,
            request.asked.method,
            request.route,
            &outcome,
            request.custom,
        );
        if !self.rows.contains_key(&key) {
            self.admit(key, &outcome, &mut cx.state());
        }
        let row = match self.rows.get_mut(&key) {
            Some(row) => row,
            None => {
                cx.fx.count(self.dropped);
                if let Some(part) = &mut self.part {
                    part.dropped += 1;
                }
                &mut self.overflow
            }
        };
        if self.settings.envoy_stats {
            row.record(&self.label_names, &outcome, cx.metrics, cx.fx);
        }
        if let Some(part) = &mut self.part {
            let cell = match part.cells.get_mut(&row.joined) {
                Some(cell) => cell,
                None => part.cells.or_insert_with(row.joined.clone(), Cell::default),
            };
            series::count(
                cell,
                &outcome,
                &self.settings,
                request.trace,
                cx.now.wall.millis(),
            );
            self.changed = true;
        }
        if !self.settings.slo.is_empty() {
            self.judge(request.route, &outcome, cx);
        }
    }

    fn admit(&mut self, key: SeriesKey, outcome: &Outcome, state: &mut State<'_>) {
        let row = Row::new(series::values(
            &self.settings,
            &key,
            outcome.status_class(),
            &self.names,
        ));
        if self.admitted.admit(state, &row.joined) == Some(true) {
            self.rows.insert(key, row);
        }
    }

    fn judge(&mut self, route: u32, outcome: &Outcome, cx: &mut StreamContext<'_>) {
        if !self.judges.knows(route) {
            let name = self.names.route(&self.settings, route);
            match self.admitted_routes.admit(&mut cx.state(), name.as_bytes()) {
                Some(admitted) => {
                    let shown = if admitted { name.as_str() } else { OVERFLOW };
                    self.judges
                        .add(route, &name, shown, &self.settings, cx.metrics);
                }
                None => cx.fx.count(self.state_errors),
            }
        }
        self.judges.count(route, outcome, self.part.as_mut(), cx.fx);
    }
}

/// An unsampled trace leads nowhere: it is no exemplar.
fn sampled_trace(headers: &Headers) -> Option<[u8; 16]> {
    use launchgate_sdk::trace::{TraceContext, TraceFormat};
    let context = TraceContext::read(headers, &[TraceFormat::Traceparent, TraceFormat::B3])?;
    (context.sampled == Some(true)).then(|| context.trace_id.bytes())
}

/// Tells configurations apart whose numbers do not add up: other labels or other bounds. FNV-1a: nobody chooses it.
pub(crate) fn shape(settings: &Settings) -> u32 {
    let text = format!(
        "{:?}{:?}{:?}{:?}",
        settings.label_names(),
        settings.buckets,
        settings.stream_buckets,
        settings.size_buckets
    );
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// Handles that every configuration has.
pub(crate) struct Own {
    pub(crate) excluded: Counter,
    pub(crate) answered: Counter,
    pub(crate) denied: Counter,
    pub(crate) wrong_method: Counter,
    pub(crate) would_answer: Counter,
    pub(crate) state_errors: Counter,
    pub(crate) folded: Counter,
    pub(crate) dropped: Counter,
}

impl Own {
    pub(crate) fn new(metrics: &mut launchgate_sdk::Registry) -> Self {
        Self {
            excluded: metrics.counter(&families::EXCLUDED, &[]),
            answered: metrics.counter(&families::SCRAPES, &[b"answered"]),
            denied: metrics.counter(&families::SCRAPES, &[b"denied"]),
            wrong_method: metrics.counter(&families::SCRAPES, &[b"wrong_method"]),
            would_answer: metrics.counter(&families::WOULD_ANSWER, &[]),
            state_errors: metrics.counter(&families::STATE_ERRORS, &[]),
            folded: metrics.counter(&families::FOLDED, &[]),
            dropped: metrics.counter(&families::DROPPED, &[]),
        }
    }
}
