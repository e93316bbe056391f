//! What is done once per proxy, on ticks, by the worker that holds the lease: judging, polling, telling.
//!
//! 1. The window of tallies is read on and judged. A conviction ends the rollout, unless the mode is `report`, the share is
//!    100 % without `at_full`, or stable has no hosts: then it is only reported.
//! 2. Prometheus and the admin interface are asked at their intervals.
//! 3. Notifiers are told of a rollback that this proxy found; of one that it learnt from others, those told.
//! 4. A fallback ends after `retry`: the next failure begins it again.
//!
//! The lease's key has the config's digest: workers of an old configuration live on while their listener drains.

use std::time::Duration;

use launchgate_sdk::notifier::Notice;
use launchgate_sdk::outbox::Limits as OutboxLimits;
use launchgate_sdk::{
    Effects, Lease, Level, Outbox, Ports, RootContext, Setup, StreamContext, Timestamp,
};

use crate::fleet::Question;
use crate::hosts::Hosts;
use crate::judge::{Guilt, judge};
use crate::metrics;
use crate::policy::{Canary, Tag};
use crate::rollout::{Cause, End};
use crate::settings::Settings;
use crate::steer::Variant;
use crate::window::{Tallies, Tally, Window};

/// How often.
pub(crate) const TICK: Duration = Duration::from_millis(500);
const LEASE_TERM: Duration = Duration::from_millis(2500);
/// The window, its last quarter and its last sixteenth are judged.
const SPANS: [u32; 3] = [1, 4, 16];

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Prometheus.
    Fleet(Question),
    /// The admin interface.
    Hosts,
    /// A notifier to take a notice.
    Notice(usize),
}

/// What one worker keeps for it.
#[derive(Debug)]
pub(crate) struct Warden {
    lease: Lease,
    window_key: String,
    pub(crate) outboxes: Vec<Outbox<Notice>>,
    pub(crate) fleet_due: Duration,
    pub(crate) fleet_heard: bool,
    pub(crate) rates: Option<Tallies>,
    pub(crate) hosts_due: Duration,
    pub(crate) hosts: Option<Hosts>,
    fallback_since: Option<Duration>,
    kept_floor: u32,
    reported: Option<&'static str>,
}

impl Warden {
    pub(crate) fn new(settings: &Settings, setup: &mut Setup<'_>) -> Self {
        let limits = OutboxLimits {
            items: 8,
            batch_items: 1,
            ..OutboxLimits::default()
        };
        Self {
            lease: Lease::new(
                format!("lease/{}", setup.digest),
                setup.random(),
                LEASE_TERM,
            ),
            window_key: format!("window/{}", settings.rollout),
            outboxes: settings
                .notifiers
                .iter()
                .map(|_| Outbox::new(limits.clone()))
                .collect(),
            fleet_due: Duration::ZERO,
            fleet_heard: false,
            rates: None,
            hosts_due: Duration::ZERO,
            hosts: None,
            fallback_since: None,
            kept_floor: 0,
            reported: None,
        }
    }
}

impl Canary {
    /// A tick, after shared state was read.
    pub(crate) fn watch(&mut self, cx: &mut RootContext<'_, Tag>) {
        let (wall, mono) = (cx.now.wall, cx.now.mono);
        self.rollout.climb(wall);
        if !self.warden.lease.hold(&mut cx.state(), mono) {
            return;
        }
        if self.rollout.position.floor > self.warden.kept_floor {
            self.rollout.keep_floor(&mut cx.state());
            self.warden.kept_floor = self.rollout.position.floor;
        }
        self.relearn(cx);
        self.judge(cx);
        self.show(wall, cx.fx);
        self.poll(cx);
        self.tell(cx);
        self.end_fallback(cx);
    }

    /// What was counted in the window, as the lease holder last read it.
    pub(crate) fn counted(&self, cx: &mut StreamContext<'_>) -> Tallies {
        let now = self.tallies(cx.ports);
        let window = cx
            .state()
            .get(&self.warden.window_key)
            .and_then(|bytes| Window::decode(&bytes))
            .unwrap_or_default();
        window.counted(cx.now.mono, self.settings.window, now)
    }

    fn tallies(&self, ports: &mut dyn Ports) -> Tallies {
        let mut tally = |variant| {
            let series = self.series.of(variant);
            Tally {
                requests: ports.counter(series.requests),
                errors: ports.counter(series.errors),
                slow: ports.counter(series.slow),
            }
        };
        Tallies {
            canary: tally(Variant::Canary),
            stable: tally(Variant::Stable),
        }
    }

    /// The gauge outlives what the workers share, for example when the plugin was renamed.
    fn relearn(&mut self, cx: &mut RootContext<'_, Tag>) {
        if self.rollout.end.is_none() && cx.ports.gauge(self.series.rolled_back) > 0 {
            self.end(Cause::Fleet, None, cx);
        }
    }

    fn judge(&mut self, cx: &mut RootContext<'_, Tag>) {
        let (span, mono) = (self.settings.window, cx.now.mono);
        let now = self.tallies(cx.ports);
        let key = self.warden.window_key.clone();
        let mut window = cx
            .state()
            .get(&key)
            .and_then(|bytes| Window::decode(&bytes))
            .unwrap_or_default();
        window.read(mono, span, now);
        cx.state().put(&key, &window.encode());
        if self.rollout.end.is_some()
            || self.settings.aborted
            || self.rollout.stage(cx.now.wall) == 0
        {
            return;
        }
        let age = window.age(mono, span);
        let spans = SPANS.map(|part| window.counted(mono, span / part, now));
        let own = judge(&spans, age, &self.settings.limits);
        let verdict = own.or_else(|| judge(&[self.warden.rates?], age, &self.settings.limits));
        match verdict {
            Some((guilt, counted)) => self.convict(guilt, counted, cx),
            None if !self.settings.report => self.warden.reported = None,
            None => {}
        }
    }

    fn convict(&mut self, guilt: Guilt, counted: Tallies, cx: &mut RootContext<'_, Tag>) {
        let cause = match guilt {
            Guilt::Errors => Cause::Errors,
            Guilt::Slow => Cause::Slow,
            Guilt::Surge => Cause::Surge,
        };
        match self.reprieve(cx) {
            None => self.end(cause, Some(counted), cx),
            Some(reason) => self.report(reason, cause, counted, cx),
        }
    }

    /// Why a conviction changes nothing.
    fn reprieve(&self, cx: &mut RootContext<'_, Tag>) -> Option<&'static str> {
        let stable = self.series.of(Variant::Stable).failures;
        let stable_fails = cx.ports.gauge(stable) >= u64::from(self.settings.fallback.after.max(1));
        if self.settings.report {
            Some("report")
        } else if self.warden.hosts.is_some_and(|hosts| !hosts.stable) || stable_fails {
            Some("stable_empty")
        } else {
            let full = self.rollout.schedule.share(self.rollout.stage(cx.now.wall))
                >= crate::identity::BUCKETS;
            (full && !self.settings.at_full).then_some("full")
        }
    }

    /// Reports a conviction that changes nothing, once as long as it lasts.
    pub(crate) fn report(
        &mut self,
        reason: &'static str,
        cause: Cause,
        counted: Tallies,
        cx: &mut RootContext<'_, Tag>,
    ) {
        if self.warden.reported.replace(reason) == Some(reason) {
            return;
        }
        let counter = if reason == "report" {
            metrics::would_roll_back(cx.metrics, cause)
        } else {
            metrics::withheld(cx.metrics, reason)
        };
        cx.fx.count(counter);
        cx.log(Level::Warn, || {
            format!(
                "the canary was convicted, nothing was changed: {}",
                self.facts(cause, Some(counted), reason)
            )
        });
        if reason != "report" {
            self.queue(
                cause,
                Some(counted),
                "the canary is guilty, but was not rolled back",
                cx,
            );
        }
    }

    fn facts(&self, cause: Cause, counted: Option<Tallies>, reason: &str) -> String {
        let mut facts = format!(
            "rollout={} cause={} reason={reason}",
            self.settings.rollout,
            cause.as_str()
        );
        if let Some(Tallies { canary, stable }) = counted {
            facts.push_str(&format!(
                " canary_requests={} canary_errors={} canary_slow={} stable_requests={} stable_errors={} stable_slow={}",
                canary.requests, canary.errors, canary.slow, stable.requests, stable.errors, stable.slow
            ));
        }
        facts
    }

    /// Ends the rollout.
    pub(crate) fn end(
        &mut self,
        cause: Cause,
        counted: Option<Tallies>,
        cx: &mut RootContext<'_, Tag>,
    ) {
        let now = cx.now.wall;
        let share = self.rollout.schedule.share(self.rollout.stage(now));
        if !self.rollout.finish(cause, now, share, &mut cx.state()) {
            return;
        }
        cx.fx.count(self.series.rollbacks(cx.metrics, cause));
        cx.fx.set_gauge(self.series.rolled_back, 1);
        cx.fx.move_gauge(self.series.revision, 1);
        cx.log(Level::Error, || {
            format!("rolled back: {}", self.facts(cause, counted, "convicted"))
        });
        if cause != Cause::Fleet && self.rollout.mark_noticed(&mut cx.state()) {
            self.queue(cause, counted, "the canary was rolled back", cx);
        }
    }

    /// Gauges that others read: set anew on each tick, since a reload begins them at 0.
    pub(crate) fn show(&self, now: Timestamp, fx: &mut Effects) {
        let stage = self.rollout.stage(now);
        let ended = self.rollout.end.filter(|_| !self.settings.report);
        let left = ended.map(|end| end.share_left(now, self.settings.gradual));
        let share = if self.settings.aborted {
            0
        } else {
            left.unwrap_or_else(|| self.rollout.schedule.share(stage))
        };
        let rolled_back = ended.is_some_and(|End { cause, .. }| cause != Cause::Abort);
        fx.set_gauge(self.series.stage, u64::from(stage));
        fx.set_gauge(self.series.share, u64::from(share));
        fx.set_gauge(self.series.rolled_back, u64::from(rolled_back));
    }

    /// After `retry` the canary is tried again: one more failure is enough to fall back again.
    fn end_fallback(&mut self, cx: &mut RootContext<'_, Tag>) {
        if cx.ports.gauge(self.series.fallback) != 1 {
            self.warden.fallback_since = None;
            return;
        }
        let since = *self.warden.fallback_since.get_or_insert(cx.now.mono);
        if cx.now.mono.saturating_sub(since) >= self.settings.fallback.retry.0 {
            cx.fx.set_gauge(self.series.fallback, 0);
            let one_short = u64::from(self.settings.fallback.after.saturating_sub(1));
            cx.fx
                .set_gauge(self.series.of(Variant::Canary).failures, one_short);
            self.warden.fallback_since = None;
        }
    }
}
