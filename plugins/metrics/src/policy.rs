//! When to count, when to answer, when to write and push.

use std::time::Duration;

use launchgate_sdk::path::{PathRule, RequestPath};
use launchgate_sdk::{
    Answer, Attribute, Cidr, ConfigErrors, Effects, EndView, Family, Gauge, Lease, Mode, Peer,
    Phases, Policy, Reply, RequestView, RootContext, Setup, State, StreamContext, Time, Verdict,
};

use crate::accept::Format;
use crate::config::Config;
use crate::exposition;
use crate::families;
use crate::ledger::{Ledger, Sign};
use crate::otlp;
use crate::outcome::Asked;
use crate::part::Part;
use crate::recorder::{self, Own, Recorder, Request};
use crate::settings::Settings;

/// How often a worker writes its numbers: what a trap can lose at most.
const TICK: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_millis(2500);

/// The policy.
pub struct Metrics {
    recorder: Recorder,
    ledger: Ledger,
    own: Own,
    mode: Mode,
    trust_envoy_xff: bool,
    in_flight: u64,
    in_flight_gauge: Gauge,
    lease: Lease,
    next_push: Option<Duration>,
    pending: usize,
}

/// What is kept of an exchange.
#[derive(Debug, Default)]
pub struct Exchange(Seen);

#[derive(Debug, Default)]
enum Seen {
    /// The filter saw no request: a codec error, or a filter before this one replied.
    #[default]
    Nothing,
    /// Excluded, or the own endpoint.
    Excluded,
    /// To be counted.
    Counted(Request),
}

impl Policy for Metrics {
    const NAME: &'static str = "metrics";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const PHASES: Phases = Phases {
        request: true,
        end: true,
        tick: true,
        answer: true,
        ..Phases::NONE
    };
    const METRICS: &'static [Family] = families::ALL;
    type Config = Config;
    type Exchange = Exchange;
    type Tag = ();

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Self, ConfigErrors> {
        let settings = Settings::check(config)?;
        if settings
            .endpoint
            .as_ref()
            .is_some_and(|(_, allow)| allow.is_empty())
        {
            setup
                .warnings
                .push("endpoint.allow is empty: everybody gets 404 from the endpoint".to_owned());
        }
        if !settings.envoy_stats && settings.endpoint.is_none() && settings.otlp.is_none() {
            setup.warnings.push("envoy_stats is off and there is neither endpoint nor otlp: nothing is counted anywhere".to_owned());
        }
        setup.tick(TICK);
        let own = Own::new(setup.metrics);
        let ledger = Ledger::new(setup.random(), recorder::shape(&settings));
        Ok(Self {
            recorder: Recorder::new(settings, &ledger, own.dropped, own.state_errors),
            ledger,
            own,
            mode: setup.mode(),
            trust_envoy_xff: setup.common.trust_envoy_xff,
            in_flight: 0,
            in_flight_gauge: setup.metrics.gauge(&families::IN_FLIGHT, &[]),
            lease: Lease::new("otlp", setup.random(), LEASE),
            next_push: None,
            pending: 0,
        })
    }

    fn on_request(
        &mut self,
        view: &mut RequestView<'_>,
        exchange: &mut Exchange,
        cx: &mut StreamContext<'_>,
    ) -> Verdict {
        let path = RequestPath::read(view.headers().path());
        if let Some((_, allow)) = self
            .recorder
            .settings
            .endpoint
            .as_ref()
            .filter(|(own, _)| own.exempts(path))
        {
            let allow = allow.clone();
            exchange.0 = Seen::Excluded;
            cx.fx.count(self.own.excluded);
            return self.answer(&allow, view, cx);
        }
        if is_excluded(&self.recorder.settings.exclude, path) {
            cx.fx.count(self.own.excluded);
            return Verdict::Pass;
        }
        let request = self
            .recorder
            .request(view.headers(), view.end_of_stream, cx);
        exchange.0 = Seen::Counted(request);
        self.in_flight += 1;
        if self.recorder.settings.envoy_stats {
            cx.fx.move_gauge(self.in_flight_gauge, 1);
        }
        Verdict::Continue
    }

    fn on_end(&mut self, view: &EndView<'_>, exchange: &mut Exchange, cx: &mut StreamContext<'_>) {
        let request = match std::mem::take(&mut exchange.0) {
            Seen::Excluded => return,
            Seen::Counted(request) => {
                self.in_flight = self.in_flight.saturating_sub(1);
                if self.recorder.settings.envoy_stats {
                    cx.fx.move_gauge(self.in_flight_gauge, -1);
                }
                request
            }
            Seen::Nothing => {
                let headers = view.request();
                if is_excluded(
                    &self.recorder.settings.exclude,
                    RequestPath::read(headers.path()),
                ) {
                    cx.fx.count(self.own.excluded);
                    return;
                }
                Request {
                    asked: Asked::read(headers, false),
                    ..self.recorder.request(headers, false, cx)
                }
            }
        };
        self.recorder.end(view, request, cx);
        // A second end of the same exchange counts nothing.
        exchange.0 = Seen::Excluded;
    }

    fn on_tick(&mut self, cx: &mut RootContext<'_, ()>) {
        let mut state = State::new(&mut *cx.ports, cx.prefix);
        self.write(&mut state, cx.now, cx.fx);
        if let Some(in_flight) = self.ledger.fold(&mut state, cx.now) {
            cx.fx.count(self.own.folded);
            if self.recorder.settings.envoy_stats {
                cx.fx
                    .move_gauge(self.in_flight_gauge, -i64::try_from(in_flight).unwrap_or(0));
            }
        }
        self.push(cx);
    }

    fn on_answer(&mut self, (): (), answer: Answer, cx: &mut RootContext<'_, ()>) {
        self.pending = self.pending.saturating_sub(1);
        let outcome = match &answer {
            Answer::Response {
                status: 200..=299,
                body,
                ..
            } if is_partial(body) => "partial",
            Answer::Response {
                status: 200..=299, ..
            } => "ok",
            Answer::Response { .. } => "refused",
            other => other.reason(),
        };
        let pushes = cx.metrics.counter(&families::PUSHES, &[outcome.as_bytes()]);
        cx.fx.count(pushes);
    }
}

impl Metrics {
    /// Answers a request to the own endpoint.
    fn answer(
        &mut self,
        allow: &[Cidr],
        view: &RequestView<'_>,
        cx: &mut StreamContext<'_>,
    ) -> Verdict {
        let allowed = Peer::read(
            view.attribute(Attribute::SourceAddress).as_deref(),
            self.trust_envoy_xff,
        )
        .is_in(allow);
        if self.mode == Mode::Report {
            cx.fx.add(self.own.would_answer, u64::from(allowed));
            return Verdict::Continue;
        }
        if !allowed {
            cx.fx.count(self.own.denied);
            return Verdict::Reply(Reply::new(404, "launchgate_metrics_denied"));
        }
        if !matches!(view.headers().method(), b"GET" | b"HEAD") {
            cx.fx.count(self.own.wrong_method);
            return Verdict::Reply(
                Reply::new(405, "launchgate_metrics_method").header("allow", "GET, HEAD"),
            );
        }
        cx.fx.count(self.own.answered);
        let format = Format::negotiate(view.headers().all("accept"));
        let (now, mut state) = (**cx.now, State::new(&mut *cx.ports, cx.prefix));
        // What a scrape shows must be in shared state before: no later scrape of another worker may show less.
        self.write(&mut state, now, cx.fx);
        let empty = Part::default();
        let sum = self
            .ledger
            .sum(&mut state, self.recorder.part.as_ref().unwrap_or(&empty));
        let body = exposition::render(&sum, &self.recorder.settings, format);
        let reply = Reply::new(200, "launchgate_metrics")
            .header("cache-control", "no-store")
            .header("vary", "accept");
        Verdict::Reply(reply.body(format.content_type(), body))
    }

    /// A sign of life, and the part where it changed.
    fn write(&mut self, state: &mut State<'_>, now: Time, fx: &mut Effects) {
        let mut nothing = Part::default();
        let part = self.recorder.part.as_mut().unwrap_or(&mut nothing);
        match self.ledger.beat(state, now, self.in_flight, part) {
            Sign::Alive => {}
            Sign::WasFolded(in_flight) => {
                self.recorder.changed = true;
                if self.recorder.settings.envoy_stats {
                    fx.move_gauge(self.in_flight_gauge, i64::try_from(in_flight).unwrap_or(0));
                }
            }
            Sign::Refused => {
                fx.count(self.own.state_errors);
                return;
            }
        }
        if self.recorder.changed {
            let written = self.ledger.flush(state, part);
            self.recorder.changed = !written;
            fx.add(self.own.state_errors, u64::from(!written));
        }
    }

    /// Pushes, once per proxy and interval. A push that still waits for answers is not overtaken.
    fn push(&mut self, cx: &mut RootContext<'_, ()>) {
        let Some(push) = self
            .recorder
            .settings
            .otlp
            .as_ref()
            .filter(|_| self.mode == Mode::Enforce)
        else {
            return;
        };
        let mut state = State::new(&mut *cx.ports, cx.prefix);
        if !self.lease.hold(&mut state, cx.now.mono) {
            self.next_push = None;
            return;
        }
        let due = *self.next_push.get_or_insert(cx.now.mono + push.interval);
        if due > cx.now.mono || self.pending > 0 {
            return;
        }
        self.next_push = Some(cx.now.mono + push.interval);
        let empty = Part::default();
        let sum = self
            .ledger
            .sum(&mut state, self.recorder.part.as_ref().unwrap_or(&empty));
        for body in otlp::bodies(
            &sum,
            &self.recorder.settings,
            &push.service,
            cx.now.wall.millis(),
        ) {
            self.pending += 1;
            cx.call((), push.target.post("application/json", body));
        }
    }
}

fn is_excluded(rules: &[PathRule], path: RequestPath<'_>) -> bool {
    rules.iter().any(|rule| rule.exempts(path))
}

/// Whether a collector took only a part (OTLP, `partial_success` with rejected points).
fn is_partial(body: &[u8]) -> bool {
    let Ok(answer) = launchgate_sdk::json_tree::read(body) else {
        return false;
    };
    let rejected = answer
        .get("partialSuccess")
        .and_then(|partial| partial.get("rejectedDataPoints"));
    rejected.is_some_and(|count| {
        count.as_u64().is_some_and(|count| count > 0)
            || count
                .as_str()
                .is_some_and(|count| !matches!(count, "" | "0"))
    })
}
