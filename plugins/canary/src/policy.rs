//! Decides who gets which version, and counts how each version did. What is done once per proxy stands in `warden.rs`.

use launchgate_sdk::{
    Answer, ConfigErrors, EndView, Family, Level, Phases, Policy, RequestView, ResponseView,
    RootContext, Setup, StreamContext, Timestamp, Verdict,
};

use crate::cache_control;
use crate::config::Config;
use crate::control::Wish;
use crate::identity::Identity;
use crate::metrics::{FAMILIES, Reason, Series};
use crate::outcome::{Outcome, Unjudged};
use crate::rollout::{Cause, Rollout};
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
    pub(crate) control: bool,
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
        let steer = &self.settings.steer;
        let forged = if self.settings.report {
            steer.clear(view)
        } else {
            steer.write(decision.variant, view)
        };
        if forged {
            cx.fx.count(self.series.forged);
        }
        self.remove_tokens(view);
        Verdict::Continue
    }

    fn on_bypass(&mut self, view: &mut RequestView<'_>, cx: &mut StreamContext<'_>) {
        if self.settings.steer.clear(view) {
            cx.fx.count(self.series.forged);
        }
        self.remove_tokens(view);
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
        let private = cache_control::private(view.headers().all("cache-control"));
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
    pub(crate) fn sync(&mut self, cx: &mut StreamContext<'_>) {
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
    pub(crate) fn ended(&self, cx: &mut StreamContext<'_>) -> Option<Reason> {
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
}

#[cfg(test)]
mod tests;
