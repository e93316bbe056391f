//! Watches exchanges, and on each tick merges what this worker saw with what all workers share.

use std::collections::BTreeMap;
use std::time::Duration;

use launchgate_sdk::headers::Headers;
use launchgate_sdk::{
    Answer, Attribute, ConfigErrors, Counter, EndView, Family, Mode, Phases, Policy, RequestView,
    RootContext, Setup, StreamContext, Verdict,
};

use crate::config::{Config, Level, SendUser};
use crate::desk::Desk;
use crate::event::{self, Story};
use crate::failure::{self, Failure, Kind};
use crate::losses::Reason;
use crate::matcher::Facts;
use crate::merge::Templates;
use crate::metrics;
use crate::pending::Pending;
use crate::rate::Rate;
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
    pub(crate) losses: BTreeMap<(Reason, Category), u64>,
    pub(crate) templates: Templates,
    pub(crate) exchanges: u64,
    pub(crate) ticks: u64,
    pub(crate) swept: Duration,
    pub(crate) counted: Counter,
    overflow: Counter,
}

/// What is kept of an exchange: the request as the client sent it.
#[derive(Default)]
pub struct Exchange {
    request: Option<Headers>,
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
/// Transactions between two ticks.
const TRANSACTIONS: usize = 256;

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
            losses: BTreeMap::new(),
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
        let headers = view.headers();
        exchange.request = (headers.size() <= SNAPSHOT_LIMIT).then(|| headers.clone());
        Verdict::Continue
    }

    fn on_end(&mut self, view: &EndView<'_>, exchange: &mut Exchange, cx: &mut StreamContext<'_>) {
        self.exchanges += 1;
        let request = exchange.request.take();
        let request = request.as_ref().unwrap_or_else(|| view.request());
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
        if (kind == Some(Kind::Slow) && failure::client_left(flags))
            || self.is_own(&facts)
            || self
                .settings
                .ignore
                .iter()
                .any(|ignored| ignored.is_match(&facts))
        {
            return;
        }
        let (now, ports) = (cx.now, &mut *cx.ports);
        let trace = Trace::read(request, &self.settings.continuation, &mut || ports.random());
        let id = format!("{:016x}{:016x}", ports.random(), ports.random());
        let user = self.user(view, request);
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

/// A failure after the rules.
pub(crate) struct Judged {
    pub(crate) failure: Failure,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) digest: u64,
    level: Option<Level>,
    is_kept: bool,
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
            let slow = failure::is_slow(&self.settings, status, view.duration(), request)
                && !is_event_stream(view);
            slow.then_some(Kind::Slow)
        })
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

    /// The user as events show him, and his hash.
    fn user(&self, view: &EndView<'_>, request: &Headers) -> Option<(String, u64)> {
        let user = self.settings.user.as_ref()?;
        let id = match &user.jwt {
            Some(jwt) => jwt.read(request, |path| view.property(path))?.value,
            None => std::str::from_utf8(request.only(&user.header)?)
                .ok()
                .filter(|id| !id.is_empty())?
                .to_owned(),
        };
        let digest = user.key.mac(&[b"user", id.as_bytes()]);
        let hash = digest
            .bytes()
            .iter()
            .take(8)
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let shown = if user.send == SendUser::Plain {
            launchgate_sdk::notifier::clean(&id, 128)
        } else {
            digest.hex(16)
        };
        Some((shown, hash))
    }

    /// Applies the rules; `None` where one drops the event.
    fn judge(
        &mut self,
        mut failure: Failure,
        facts: &Facts<'_>,
        cx: &mut StreamContext<'_>,
    ) -> Option<Judged> {
        let mut tags = event::tags(&failure, &self.settings.identity);
        let (mut level, mut rate) = (None, self.settings.sample_rate);
        for rule in self
            .settings
            .rules
            .iter()
            .filter(|rule| rule.when.is_match(facts))
        {
            if rule.drop {
                *self
                    .losses
                    .entry((Reason::BeforeSend, Category::Error))
                    .or_default() += 1;
                return None;
            }
            level = rule.level.or(level);
            rate = rule.sample_rate.unwrap_or(rate);
            tags.extend(
                rule.tags
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone())),
            );
            if !rule.fingerprint.is_empty() {
                failure.fingerprint.clone_from(&rule.fingerprint);
            }
        }
        let counter = cx
            .metrics
            .counter(&metrics::FAILURES, &[failure.kind.as_str().as_bytes()]);
        cx.fx.count(counter);
        let is_kept = self.is_admitted(rate, cx);
        Some(Judged {
            digest: failure::digest(&failure.fingerprint),
            failure,
            tags,
            level,
            is_kept,
        })
    }

    fn is_admitted(&mut self, rate: Rate, cx: &mut StreamContext<'_>) -> bool {
        if self.settings.sentry.is_none() {
            return false;
        }
        let is_kept = rate == Rate::ALL || rate.admits(cx.ports.random());
        if !is_kept {
            *self
                .losses
                .entry((Reason::SampleRate, Category::Error))
                .or_default() += 1;
        }
        is_kept
    }

    /// The event of a failure, unless it is sure that the throttle would hold it back.
    fn event(&self, id: &str, judged: &Judged, story: &Story<'_>, mono: Duration) -> Option<Item> {
        let Settings {
            throttle, queue, ..
        } = &self.settings;
        if !judged.is_kept
            || self.templates.is_exhausted(judged.digest, mono)
            || !self
                .pending
                .has_room(judged.digest, throttle.burst, queue.1)
        {
            return None;
        }
        let payload = event::event(id, &judged.failure, &judged.tags, judged.level, story)
            .to_string()
            .into_bytes();
        Some(Item {
            category: Category::Error,
            id: id.to_owned(),
            trace: Some(self.sampling_context(story.trace, None, None)),
            payload,
        })
    }

    fn note(
        &mut self,
        judged: Judged,
        item: Option<Item>,
        request: &Headers,
        user: Option<u64>,
        cx: &mut StreamContext<'_>,
    ) {
        let matched: Vec<usize> = self.matched(&judged.tags, request).collect();
        let Some(group) = self
            .pending
            .group(judged.digest, &judged.failure, &judged.tags)
        else {
            cx.fx.count(self.overflow);
            if judged.is_kept {
                *self
                    .losses
                    .entry((Reason::QueueOverflow, Category::Error))
                    .or_default() += 1;
            }
            return;
        };
        group.count += 1;
        group.kept += u64::from(judged.is_kept);
        user.into_iter().for_each(|user| group.note_user(user));
        matched
            .into_iter()
            .for_each(|alert| *group.matched.entry(alert).or_default() += 1);
        if let Some(item) = item {
            self.pending.keep(judged.digest, item);
        }
    }

    /// Alerts of kind `match` that this failure matches.
    fn matched(
        &self,
        tags: &BTreeMap<String, String>,
        request: &Headers,
    ) -> impl Iterator<Item = usize> {
        let wanted = self
            .settings
            .alerts
            .iter()
            .enumerate()
            .filter(|(_, (_, target))| {
                target
                    .as_ref()
                    .is_some_and(|target| match target.header.as_str() {
                        "" => tags
                            .get(&target.tag)
                            .is_some_and(|value| target.wants(value.as_bytes())),
                        header => request.all(header).any(|value| target.wants(value)),
                    })
            });
        wanted.map(|(position, _)| position)
    }

    /// The transaction of an exchange; `None` where it is sampled out or not to be sent.
    fn transaction(&self, id: String, status: Option<u16>, story: &Story<'_>) -> Option<Item> {
        let rate = self.settings.traces_sample_rate?;
        if self.settings.sentry.is_none()
            || self.transactions.len() >= TRANSACTIONS
            || !story.trace.is_sampled(rate)
        {
            return None;
        }
        let route = failure::route(&self.settings, story.request);
        let method = failure::method(story.request);
        let templated = self.settings.templates.contains(&route);
        let payload = event::transaction(&id, &route, method, status, templated, story)
            .to_string()
            .into_bytes();
        let name = format!("{method} {route}");
        Some(Item {
            category: Category::Transaction,
            id,
            trace: Some(self.sampling_context(story.trace, Some(&name), Some(true))),
            payload,
        })
    }

    fn note_transaction(&mut self, item: Option<Item>) {
        let full = self.transactions.len() >= TRANSACTIONS;
        match item {
            Some(item) => self.transactions.push(item),
            None if self.settings.sentry.is_some() => {
                let reason = if full {
                    Reason::QueueOverflow
                } else {
                    Reason::SampleRate
                };
                *self
                    .losses
                    .entry((reason, Category::Transaction))
                    .or_default() += 1;
            }
            None => {}
        }
    }

    fn sampling_context(
        &self,
        trace: &Trace,
        name: Option<&str>,
        sampled: Option<bool>,
    ) -> serde_json::Value {
        let key = self
            .settings
            .sentry
            .as_ref()
            .map_or("", |sentry| sentry.dsn.public_key.expose());
        let sampled = sampled.unwrap_or_else(|| {
            self.settings
                .traces_sample_rate
                .is_some_and(|rate| trace.is_sampled(rate))
        });
        trace.context(|| event::sampling_context(&self.settings, key, name, sampled))
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
