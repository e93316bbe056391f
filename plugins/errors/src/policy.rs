//! Watches exchanges, and on each tick merges what this worker saw with what all workers share.

use std::rc::Rc;
use std::time::Duration;

use launchgate_sdk::headers::Headers;
use launchgate_sdk::map::Map;
use launchgate_sdk::{
    Answer, Attribute, ConfigErrors, Counter, EndView, Family, Mode, Phases, Policy, RequestView,
    RootContext, Setup, StreamContext, Verdict,
};

use crate::config::Config;
use crate::desk::Desk;
use crate::event::Story;
use crate::failure::{self, Failure, Kind};
use crate::losses::Reason;
use crate::matcher::Facts;
use crate::merge::Templates;
use crate::metrics;
use crate::pending::Pending;
use crate::rate_limit::Category;
use crate::sender::{Item, Sender};
use crate::settings::Settings;
use crate::trace::Trace;

/// The policy.
pub struct Errors {
    pub(crate) settings: Settings,
    pub(crate) mode: Mode,
    pub(crate) sender: Sender,
    pub(crate) desk: Desk,
    pub(crate) pending: Pending,
    pub(crate) transactions: Vec<Item>,
    pub(crate) losses: Map<(Reason, Category), u64>,
    pub(crate) templates: Templates,
    pub(crate) exchanges: u64,
    pub(crate) ticks: u64,
    pub(crate) swept: Duration,
    pub(crate) counted: Counter,
    pub(crate) overflow: Counter,
}

/// What is kept of an exchange: the request as the client sent it.
#[derive(Default)]
pub struct Exchange {
    request: Option<Rc<Headers>>,
}

/// Which call was answered.
pub enum Tag {
    /// An envelope with a payload.
    Envelope,
    /// An envelope with a client report only.
    Report,
    /// A notice, by notifier.
    Notice(usize),
}

/// How often workers merge and send.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// Largest request snapshot that is kept for the end of an exchange; of a larger one it is read again.
const SNAPSHOT_LIMIT: usize = 8 * 1024;

impl Policy for Errors {
    const NAME: &'static str = "errors";
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
    type Tag = Tag;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Self, ConfigErrors> {
        let settings = Settings::check(config, setup.common.trust_envoy_xff)?;
        if settings.sentry.is_none() && settings.alerts.is_empty() {
            setup.warnings.push(
                "neither dsn nor alerts are configured: failures are only counted".to_owned(),
            );
        }
        setup.tick(TICK);
        Ok(Self {
            sender: Sender::new(&settings),
            desk: Desk::new(&settings.notifiers),
            mode: setup.mode(),
            pending: Pending::default(),
            transactions: Vec::new(),
            losses: Map::new(),
            templates: Templates::default(),
            exchanges: 0,
            ticks: 0,
            swept: Duration::ZERO,
            counted: setup.metrics.counter(&metrics::EXCHANGES, &[]),
            overflow: setup.metrics.counter(&metrics::OVERFLOW, &[]),
            settings,
        })
    }

    fn on_request(
        &mut self,
        view: &mut RequestView<'_>,
        exchange: &mut Exchange,
        _: &mut StreamContext<'_>,
    ) -> Verdict {
        exchange.request = Some(view.snapshot()).filter(|headers| headers.size() <= SNAPSHOT_LIMIT);
        Verdict::Continue
    }

    fn on_end(&mut self, view: &EndView<'_>, exchange: &mut Exchange, cx: &mut StreamContext<'_>) {
        self.exchanges += 1;
        let request = exchange.request.take();
        let request = request.as_deref().unwrap_or_else(|| view.request());
        let status = view.status();
        let kind = self.classify(view, request, status);
        if kind.is_none() && self.settings.traces_sample_rate.is_none() {
            return;
        }
        let cluster = view.text(Attribute::ClusterName).unwrap_or_default();
        let flags = if kind.is_some() { view.flags() } else { 0 };
        let facts = Facts {
            request,
            status,
            cluster: &cluster,
            flags,
        };
        if self.is_left_out(kind, &facts) {
            return;
        }
        let (now, ports) = (cx.now, &mut *cx.ports);
        let trace = Trace::read(request, &self.settings.continuation, &mut || ports.random());
        let id = format!("{:016x}{:016x}", ports.random(), ports.random());
        let user = (self.settings.user.as_ref()).and_then(|user| user.of(view, request));
        let known = user.as_ref().map(|(shown, _)| shown.as_str());
        if self.settings.traces_sample_rate.is_some() {
            let id = format!("{:016x}{:016x}", cx.ports.random(), cx.ports.random());
            let story = Story {
                settings: &self.settings,
                request,
                view,
                trace: &trace,
                user: known,
                now: now.wall,
            };
            let item = self.transaction(id, status, &story);
            self.note_transaction(item);
        }
        let Some(kind) = kind else { return };
        let failure = Failure::new(
            kind,
            &self.settings,
            request,
            status,
            flags,
            facts.cluster.to_owned(),
        );
        let Some(judged) = self.judge(failure, &facts, cx) else {
            return;
        };
        let story = Story {
            settings: &self.settings,
            request,
            view,
            trace: &trace,
            user: known,
            now: now.wall,
        };
        let item = self.event(&id, &judged, &story, now.mono);
        self.note(judged, item, request, user.map(|(_, hash)| hash), cx);
    }

    fn on_tick(&mut self, cx: &mut RootContext<'_, Tag>) {
        self.ticks += 1;
        if self.ticks == 1 {
            self.prepare(cx);
        } else {
            self.merge(cx);
        }
        self.pump(cx);
    }

    fn on_answer(&mut self, tag: Tag, answer: Answer, cx: &mut RootContext<'_, Tag>) {
        match tag {
            Tag::Envelope => self.sender.settle(&answer, cx),
            Tag::Report => self.sender.settle_report(&answer, cx),
            Tag::Notice(notifier) => self.desk.settle(notifier, &answer, cx),
        }
        self.pump(cx);
    }
}

impl Errors {
    fn pump(&mut self, cx: &mut RootContext<'_, Tag>) {
        if let Some(sentry) = &self.settings.sentry {
            self.sender.pump(sentry, cx);
        }
        self.desk.pump(cx);
    }

    fn classify(&self, view: &EndView<'_>, request: &Headers, status: Option<u16>) -> Option<Kind> {
        let status = status?;
        let grpc = request.is_grpc().then(|| grpc_code(view)).flatten();
        failure::kind(&self.settings, status, grpc).or_else(|| {
            let slow = failure::is_slow(&self.settings, status, || view.duration(), request)
                && !is_event_stream(view);
            slow.then_some(Kind::Slow)
        })
    }

    /// Whether an exchange is nobody's business: its client left, it is the gateway's own, or it is to be ignored.
    fn is_left_out(&self, kind: Option<Kind>, facts: &Facts<'_>) -> bool {
        let ignore = &self.settings.ignore;
        (kind == Some(Kind::Slow) && failure::client_left(facts.flags))
            || self.is_own(facts)
            || ignore.iter().any(|ignored| ignored.is_match(facts))
    }

    /// Whether an exchange is the gateway's own talk with Sentry or a notifier, which is never reported.
    fn is_own(&self, facts: &Facts<'_>) -> bool {
        let to_sentry = self.settings.sentry.as_ref().is_some_and(|sentry| {
            let host = facts
                .request
                .authority()
                .eq_ignore_ascii_case(sentry.dsn.authority.as_bytes());
            sentry.cluster() == facts.cluster
                || (host && facts.request.path().starts_with(sentry.dsn.path.as_bytes()))
        });
        to_sentry
            || (!facts.cluster.is_empty()
                && self.desk.clusters().any(|cluster| cluster == facts.cluster))
    }
}

/// The gRPC code of an exchange whose request was gRPC.
fn grpc_code(view: &EndView<'_>) -> Option<u32> {
    let written = |headers: &Headers| {
        headers
            .text("grpc-status")
            .and_then(|code| code.parse().ok())
    };
    let host = || {
        view.integer(Attribute::ResponseGrpcStatus)
            .and_then(|code| u32::try_from(code).ok())
    };
    written(view.trailers())
        .or_else(|| written(view.response()))
        .or_else(host)
}

fn is_event_stream(view: &EndView<'_>) -> bool {
    view.response()
        .first("content-type")
        .is_some_and(|kind| kind.starts_with(b"text/event-stream"))
}
