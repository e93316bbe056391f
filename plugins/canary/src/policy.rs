//! Decides who gets which version, and counts how each version did. What is done once per proxy stands in `warden.rs`.

use launchgate_sdk::access::Access;
use launchgate_sdk::path::RequestPath;
use launchgate_sdk::{
    Answer, ConfigErrors, EndView, Family, Level, Phases, Policy, RequestView, ResponseView,
    RootContext, Setup, StreamContext, Timestamp, Verdict,
};

use crate::config::Config;
use crate::control::{self, Wish};
use crate::identity::Identity;
use crate::metrics::{self, FAMILIES, Reason, Series};
use crate::outcome::{Outcome, Unjudged};
use crate::rollout::{Action, Cause, Rollout};
use crate::rule::Rule;
use crate::settings::Settings;
use crate::steer::Variant;
use crate::warden::{self, Ask, Warden};

/// The policy.
pub struct Canary {
    pub(crate) settings: Settings,
    pub(crate) rollout: Rollout,
    pub(crate) series: Series,
    pub(crate) warden: Warden,
    /// The revision of shared state that this worker knows.
    seen: Option<u64>,
    /// The lowest share left of a gradual rollback: a clock that goes back raises nothing.
    left: u32,
}

/// What is kept of an exchange.
#[derive(Debug, Default)]
pub struct Exchange {
    sent: Variant,
    watched: bool,
    skip: Option<Unjudged>,
    grpc: bool,
    cookie: Option<String>,
    control: bool,
}

/// Which call an answer belongs to.
#[derive(Debug)]
pub struct Tag(pub(crate) Ask);

/// What a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Decision {
    variant: Variant,
    reason: Reason,
}

impl Decision {
    const fn stable(reason: Reason) -> Self {
        Self {
            variant: Variant::Stable,
            reason,
        }
    }

    const fn canary(reason: Reason) -> Self {
        Self {
            variant: Variant::Canary,
            reason,
        }
    }
}

impl Policy for Canary {
    const NAME: &'static str = "canary";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const PHASES: Phases = Phases {
        request: true,
        body: true,
        response: true,
        end: true,
        tick: true,
        answer: true,
    };
    const METRICS: &'static [Family] = FAMILIES;
    type Config = Config;
    type Exchange = Exchange;
    type Tag = Tag;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Self, ConfigErrors> {
        let (hold_at, promote_to) = (config.hold_at, config.promote_to);
        let (settings, schedule) = Settings::new(config, setup)?;
        setup.tick(warden::TICK);
        Ok(Self {
            series: Series::new(setup.metrics, &settings.rollout, settings.report),
            rollout: Rollout::new(&settings.rollout, schedule, hold_at, promote_to),
            warden: Warden::new(&settings, setup),
            settings,
            seen: None,
            left: u32::MAX,
        })
    }

    fn on_request(
        &mut self,
        view: &mut RequestView<'_>,
        exchange: &mut Exchange,
        cx: &mut StreamContext<'_>,
    ) -> Verdict {
        if let Some(verdict) = self.serve(view, exchange, cx) {
            return verdict;
        }
        self.sync(cx);
        self.rollout.climb(cx.now.wall);
        let (decision, cookie) = self.decide(view, cx);
        if let Some(counter) = self.series.decision(decision.variant, decision.reason) {
            cx.fx.count(counter);
        }
        let forced = matches!(decision.reason, Reason::Match | Reason::Never);
        exchange.sent = decision.variant;
        exchange.watched = decision.variant == Variant::Canary || self.is_active(cx.now.wall);
        exchange.grpc = exchange.watched && view.headers().is_grpc();
        exchange.skip = if forced {
            Some(Unjudged::Forced)
        } else {
            (exchange.watched && self.settings.is_probe(view.headers())).then_some(Unjudged::Probe)
        };
        exchange.cookie = cookie.filter(|_| !self.settings.report);
        if self.settings.steer.is_forged(view) {
            cx.fx.count(self.series.forged);
        }
        self.remove_tokens(view);
        if self.settings.report {
            self.settings.steer.clear(view);
        } else {
            self.settings.steer.write(decision.variant, view);
        }
        Verdict::Continue
    }

    fn on_bypass(&mut self, view: &mut RequestView<'_>, cx: &mut StreamContext<'_>) {
        if self.settings.steer.is_forged(view) {
            cx.fx.count(self.series.forged);
        }
        self.remove_tokens(view);
        self.settings.steer.clear(view);
    }

    fn on_body(
        &mut self,
        body: &[u8],
        exchange: &mut Exchange,
        cx: &mut StreamContext<'_>,
    ) -> Verdict {
        if !exchange.control {
            return Verdict::Continue;
        }
        self.fulfil(Wish::of_body(body), cx)
    }

    fn on_response(
        &mut self,
        view: &mut ResponseView<'_>,
        exchange: &mut Exchange,
        cx: &mut StreamContext<'_>,
    ) {
        let Some(cookie) = exchange.cookie.take() else {
            return;
        };
        let deleted = cookie.contains("=; Max-Age=0;");
        let private = private(view.headers().all("cache-control"));
        let set = view.edit(|headers| headers.add("set-cookie", cookie.as_bytes()));
        if let Some(private) = private {
            // Made of what was valid before.
            let _ = view.set("cache-control", private);
        }
        if set.is_ok() {
            cx.fx.count(if deleted {
                self.series.deleted
            } else {
                self.series.issued
            });
        }
    }

    fn on_end(&mut self, view: &EndView<'_>, exchange: &mut Exchange, cx: &mut StreamContext<'_>) {
        if !exchange.watched {
            return;
        }
        let outcome = Outcome::read(
            view,
            &self.settings.clusters,
            exchange.sent,
            exchange.grpc,
            self.settings.slow,
        );
        let outcome = outcome.inspect(|outcome| self.track(outcome, cx));
        let judged = outcome.and_then(|outcome| {
            exchange
                .skip
                .map_or(outcome.judged, Err)
                .map(|judged| (outcome.variant, judged))
        });
        match judged {
            Ok((variant, judged)) => {
                let series = self.series.of(variant);
                cx.fx.count(series.requests);
                cx.fx.add(series.errors, u64::from(judged.error));
                cx.fx.add(series.slow, u64::from(judged.slow));
            }
            Err(reason) => {
                if let Some(counter) = self.series.unjudged(reason) {
                    cx.fx.count(counter);
                }
            }
        }
    }

    fn on_tick(&mut self, cx: &mut RootContext<'_, Tag>) {
        let revision = cx.ports.gauge(self.series.revision);
        if self.seen != Some(revision) {
            self.rollout.sync(&mut cx.state());
            self.seen = Some(revision);
        }
        self.watch(cx);
    }

    fn on_answer(&mut self, tag: Tag, answer: Answer, cx: &mut RootContext<'_, Tag>) {
        self.heard(tag.0, &answer, cx);
    }
}

impl Canary {
    /// Reads shared state where another worker changed it: a gauge tells, for a twentieth of the cost.
    fn sync(&mut self, cx: &mut StreamContext<'_>) {
        let revision = cx.ports.gauge(self.series.revision);
        if self.seen != Some(revision) {
            self.rollout.sync(&mut cx.state());
            self.seen = Some(revision);
        }
    }

    /// Whether there are two versions to compare.
    fn is_active(&self, now: Timestamp) -> bool {
        !self.settings.aborted && self.rollout.end.is_none() && self.rollout.stage(now) > 0
    }

    fn decide(
        &mut self,
        view: &RequestView<'_>,
        cx: &mut StreamContext<'_>,
    ) -> (Decision, Option<String>) {
        let ended = self.ended(cx);
        let keep_forced = ended.is_none() || self.settings.keep_forced;
        let trust = self.settings.trust_envoy_xff;
        let met = |rules: &[Rule]| rules.iter().any(|rule| rule.is_met(view, trust));
        let forced = if keep_forced && met(&self.settings.never) {
            Some(Decision::stable(Reason::Never))
        } else {
            (keep_forced && met(&self.settings.matches)).then_some(Decision::canary(Reason::Match))
        };
        let (decision, cookie) = match forced {
            Some(decision) => (decision, None),
            None => self.draw(ended, view, cx),
        };
        let unreachable =
            decision.variant == Variant::Canary && cx.ports.gauge(self.series.fallback) > 0;
        (
            if unreachable {
                Decision::stable(Reason::Fallback)
            } else {
                decision
            },
            cookie,
        )
    }

    /// How the rollout ended, if it did: by config, by what the workers share, or by the gauge that outlives both.
    fn ended(&self, cx: &mut StreamContext<'_>) -> Option<Reason> {
        if self.settings.aborted {
            return Some(Reason::Aborted);
        }
        match self.rollout.end {
            Some(end) if end.cause == Cause::Abort => Some(Reason::Aborted),
            Some(_) => Some(Reason::RolledBack),
            None => (cx.ports.gauge(self.series.rolled_back) > 0).then_some(Reason::RolledBack),
        }
    }

    /// By share.
    fn draw(
        &mut self,
        ended: Option<Reason>,
        view: &RequestView<'_>,
        cx: &mut StreamContext<'_>,
    ) -> (Decision, Option<String>) {
        let now = cx.now.wall;
        let share = match ended {
            None => self.rollout.schedule.share(self.rollout.stage(now)),
            Some(_) => {
                let left = self
                    .rollout
                    .end
                    .map_or(0, |end| end.share_left(now, self.settings.gradual));
                self.left = self.left.min(left);
                if self.settings.aborted { 0 } else { self.left }
            }
        };
        if share == 0 {
            let cookie = ended.and_then(|_| self.settings.identities.expired(view));
            return (
                Decision::stable(ended.unwrap_or(Reason::NotStarted)),
                cookie,
            );
        }
        if share >= crate::identity::BUCKETS {
            return (Decision::canary(Reason::Share), None);
        }
        let (bucket, cookie) = match self.settings.identities.find(view, &mut *cx.ports) {
            Identity::Known(bucket) => (bucket, None),
            Identity::New(bucket, cookie) => (bucket, Some(cookie).filter(|_| ended.is_none())),
            Identity::Keyless => return (Decision::stable(Reason::Keyless), None),
        };
        let stable = Decision::stable(ended.unwrap_or(Reason::Share));
        (
            if bucket < share {
                Decision::canary(Reason::Share)
            } else {
                stable
            },
            cookie,
        )
    }

    fn remove_tokens(&self, view: &mut RequestView<'_>) {
        for header in self
            .settings
            .matches
            .iter()
            .chain(&self.settings.never)
            .filter_map(Rule::token_header)
        {
            view.remove(header);
        }
    }

    /// Connection failures in a row, over all workers.
    fn track(&self, outcome: &Outcome, cx: &mut StreamContext<'_>) {
        let failures = self.series.of(outcome.variant).failures;
        let known = cx.ports.gauge(failures);
        if outcome.reached {
            if known > 0 && outcome.judged != Err(Unjudged::ClientLeft) {
                cx.fx.set_gauge(failures, 0);
            }
            return;
        }
        cx.fx.move_gauge(failures, 1);
        let after = u64::from(self.settings.fallback.after);
        let falls = outcome.variant == Variant::Canary
            && after > 0
            && known + 1 >= after
            && !self.settings.report;
        if falls && cx.ports.gauge(self.series.fallback) == 0 {
            cx.fx.set_gauge(self.series.fallback, 1);
            cx.fx.count(self.series.fallbacks);
            cx.log(Level::Warn, || {
                format!(
                    "requests for the canary go to stable: rollout={} connection_failures={}",
                    self.settings.rollout,
                    known + 1
                )
            });
        }
    }

    /// The control endpoint; `None` where the request is none of its.
    fn serve(
        &mut self,
        view: &mut RequestView<'_>,
        exchange: &mut Exchange,
        cx: &mut StreamContext<'_>,
    ) -> Option<Verdict> {
        let (path, guard) = self.settings.control.as_ref()?;
        if !path.exempts(RequestPath::read(view.headers().path())) {
            return None;
        }
        match guard.control(view) {
            Access::Off => return None,
            Access::Refuse => {
                cx.fx.count(metrics::control(cx.metrics, "refused"));
                return Some(Verdict::Reply(control::not_found()));
            }
            Access::Grant => {}
        }
        exchange.control = true;
        Some(match Wish::read(view.headers(), view.end_of_stream) {
            Wish::Body => Verdict::AwaitBody(control::BODY_LIMIT),
            wish => self.fulfil(wish, cx),
        })
    }

    fn fulfil(&mut self, wish: Wish, cx: &mut StreamContext<'_>) -> Verdict {
        self.sync(cx);
        let (result, reply) = match wish {
            Wish::Show => ("shown", self.shown(cx)),
            Wish::Act(action) => match self.act(action, cx) {
                Ok(()) => ("done", self.shown(cx)),
                Err(refusal) => ("conflict", control::refused(refusal)),
            },
            Wish::Method => ("invalid", control::wrong_method()),
            Wish::Body | Wish::Unknown => ("invalid", control::unknown_action()),
        };
        cx.fx.count(metrics::control(cx.metrics, result));
        Verdict::Reply(reply)
    }

    fn act(
        &mut self,
        action: Action,
        cx: &mut StreamContext<'_>,
    ) -> Result<(), crate::rollout::Refusal> {
        let before = self.rollout.end;
        let now = cx.now.wall;
        self.rollout.act(action, now, &mut cx.state())?;
        if before.is_none()
            && self
                .rollout
                .end
                .is_some_and(|end| end.cause == Cause::Abort)
        {
            cx.fx.count(self.series.rollbacks(cx.metrics, Cause::Abort));
        }
        cx.fx.move_gauge(self.series.revision, 1);
        cx.log(Level::Warn, || {
            format!(
                "an operator changed the rollout: rollout={} action={action:?} stage={}",
                self.settings.rollout,
                self.rollout.stage(now)
            )
        });
        Ok(())
    }

    fn shown(&mut self, cx: &mut StreamContext<'_>) -> launchgate_sdk::Reply {
        let now = cx.now.wall;
        let stage = self.rollout.stage(now);
        let ended = self.ended(cx);
        let share = if ended.is_some() {
            0
        } else {
            self.rollout.schedule.share(stage)
        };
        let paused = self.rollout.position.held.is_some();
        let finished = stage == self.rollout.schedule.count() && share >= crate::identity::BUCKETS;
        let state = match ended {
            Some(Reason::Aborted) => "aborted",
            Some(_) => "rolled_back",
            None if paused => "paused",
            None if stage == 0 => "waiting",
            None if finished => "finished",
            None => "running",
        };
        let counted = self.counted(cx);
        let tally = |tally: crate::window::Tally| control::TallyView {
            requests: tally.requests,
            errors: tally.errors,
            slow: tally.slow,
        };
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let next = self
            .rollout
            .schedule
            .next_at(stage)
            .filter(|_| !paused && ended.is_none());
        control::shown(&control::View {
            rollout: &self.settings.rollout,
            mode: if self.settings.report {
                "report"
            } else {
                "enforce"
            },
            state,
            stage,
            stages: self.rollout.schedule.count(),
            percent: f64::from(share) / 10_000.0,
            paused,
            start: time(self.rollout.schedule.start()),
            next_stage_at: time(next),
            rolled_back: self.rollout.end.map(|end| control::EndView {
                cause: end.cause.as_str(),
                at: end.at.to_string(),
            }),
            fallback: cx.ports.gauge(self.series.fallback) > 0,
            window: control::WindowView {
                canary: tally(counted.canary),
                stable: tally(counted.stable),
            },
        })
    }
}

/// What `cache-control` must become so that no shared cache keeps a response with a user's cookie; `None` where it
/// already says so (RFC 9111 section 5.2.2).
fn private<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let joined = values.collect::<Vec<_>>().join(&b","[..]);
    let directives: Vec<&[u8]> = joined
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|directive| !directive.is_empty())
        .collect();
    let is = |directive: &[u8], name: &str| directive.eq_ignore_ascii_case(name.as_bytes());
    if directives
        .iter()
        .any(|directive| is(directive, "private") || is(directive, "no-store"))
    {
        return None;
    }
    let shared = |directive: &[u8]| {
        is(directive, "public")
            || directive
                .get(..9)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"s-maxage="))
    };
    let mut kept: Vec<&[u8]> = vec![b"private"];
    kept.extend(
        directives
            .into_iter()
            .filter(|directive| !shared(directive)),
    );
    Some(kept.join(&b", "[..]))
}

#[cfg(test)]
mod tests;
