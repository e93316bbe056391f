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

use launchgate_sdk::notifier::{Notice, Notifier, Status};
use launchgate_sdk::outbox::{Limits as OutboxLimits, Settlement};
use launchgate_sdk::{Answer, Lease, Level, Outbox, Ports, RootContext, Setup, StreamContext};

use crate::fleet::{self, Question};
use crate::hosts::{self, Hosts};
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
const NOTICE_TTL: Duration = Duration::from_secs(3600);

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
    outboxes: Vec<Outbox<Notice>>,
    fleet_due: Duration,
    fleet_heard: bool,
    rates: Option<Tallies>,
    hosts_due: Duration,
    hosts: Option<Hosts>,
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
        self.show(cx);
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
    fn report(
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
    fn end(&mut self, cause: Cause, counted: Option<Tallies>, cx: &mut RootContext<'_, Tag>) {
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
    fn show(&self, cx: &mut RootContext<'_, Tag>) {
        let stage = self.rollout.stage(cx.now.wall);
        let ended = self.rollout.end.filter(|_| !self.settings.report);
        let left = ended.map(|end| end.share_left(cx.now.wall, self.settings.gradual));
        let share = if self.settings.aborted {
            0
        } else {
            left.unwrap_or_else(|| self.rollout.schedule.share(stage))
        };
        cx.fx.set_gauge(self.series.stage, u64::from(stage));
        cx.fx.set_gauge(self.series.share, u64::from(share));
        let rolled_back = ended.is_some_and(|End { cause, .. }| cause != Cause::Abort);
        cx.fx
            .set_gauge(self.series.rolled_back, u64::from(rolled_back));
    }

    fn poll(&mut self, cx: &mut RootContext<'_, Tag>) {
        let mono = cx.now.mono;
        if let Some(fleet) = self
            .settings
            .fleet
            .as_ref()
            .filter(|_| mono >= self.warden.fleet_due)
        {
            self.warden.fleet_due = mono + fleet.interval - TICK / 2;
            cx.call(
                Tag(Ask::Fleet(Question::Latch)),
                fleet.ask(Question::Latch, !self.warden.fleet_heard),
            );
            if fleet.judge {
                cx.call(
                    Tag(Ask::Fleet(Question::Rates)),
                    fleet.ask(Question::Rates, false),
                );
            }
        }
        let fallback = &self.settings.fallback;
        if !fallback.admin_cluster.is_empty() && mono >= self.warden.hosts_due {
            self.warden.hosts_due = mono + fallback.interval.0 - TICK / 2;
            cx.call(
                Tag(Ask::Hosts),
                hosts::ask(&fallback.admin_cluster, &self.settings.clusters),
            );
        }
    }

    /// An answer.
    pub(crate) fn heard(&mut self, ask: Ask, answer: &Answer, cx: &mut RootContext<'_, Tag>) {
        let (target, result) = match ask {
            Ask::Fleet(Question::Latch) => ("fleet", self.heard_latch(answer, cx)),
            Ask::Fleet(Question::Rates) => {
                let rates = fleet::read_rates(answer);
                self.warden.rates = rates.ok();
                ("fleet_rates", rates.map(|_| ()))
            }
            Ask::Hosts => ("admin", self.heard_hosts(answer, cx)),
            Ask::Notice(index) => return self.heard_notifier(index, answer, cx),
        };
        cx.fx.count(metrics::polls(
            cx.metrics,
            target,
            result.err().unwrap_or("success"),
        ));
    }

    fn heard_latch(
        &mut self,
        answer: &Answer,
        cx: &mut RootContext<'_, Tag>,
    ) -> Result<(), fleet::Silence> {
        let latch = fleet::read_latch(answer);
        self.warden.fleet_heard |= latch.is_ok() || latch == Err("empty");
        if latch? && self.rollout.end.is_none() {
            if self.settings.report {
                self.report("report", Cause::Fleet, Tallies::default(), cx);
            } else if self.warden.hosts.is_none_or(|hosts| hosts.stable) {
                self.end(Cause::Fleet, None, cx);
            }
        }
        Ok(())
    }

    fn heard_hosts(
        &mut self,
        answer: &Answer,
        cx: &mut RootContext<'_, Tag>,
    ) -> Result<(), fleet::Silence> {
        let hosts = hosts::read(answer, &self.settings.clusters)?;
        self.warden.hosts = Some(hosts);
        let active = cx.ports.gauge(self.series.fallback);
        if self.settings.report {
            return Ok(());
        }
        if !hosts.canary && active != 2 {
            cx.fx.set_gauge(self.series.fallback, 2);
            cx.fx.add(self.series.fallbacks, u64::from(active == 0));
            cx.log(Level::Warn, || {
                format!(
                    "requests for the canary go to stable: rollout={} reason=no_hosts",
                    self.settings.rollout
                )
            });
        } else if hosts.canary && active == 2 {
            cx.fx.set_gauge(self.series.fallback, 0);
        }
        Ok(())
    }

    fn queue(
        &mut self,
        cause: Cause,
        counted: Option<Tallies>,
        summary: &str,
        cx: &mut RootContext<'_, Tag>,
    ) {
        let Tallies { canary, stable } = counted.unwrap_or_default();
        let notice = Notice {
            source: "canary",
            alert: "launchgate-canary-rollback".to_owned(),
            status: Status::Firing,
            severity: "critical",
            summary: format!("{summary}: {} ({})", self.settings.rollout, cause.as_str()),
            labels: vec![
                ("rollout", self.settings.rollout.clone()),
                ("cause", cause.as_str().to_owned()),
            ],
            facts: vec![
                (
                    "canary",
                    format!(
                        "{} requests, {} errors, {} slow",
                        canary.requests, canary.errors, canary.slow
                    ),
                ),
                (
                    "stable",
                    format!(
                        "{} requests, {} errors, {} slow",
                        stable.requests, stable.errors, stable.slow
                    ),
                ),
            ],
            since: cx.now.wall,
            until: cx.now.wall.plus(NOTICE_TTL),
        };
        for outbox in &mut self.warden.outboxes {
            let dropped = outbox.push(notice.clone(), 1, cx.now.mono);
            cx.fx.add(
                metrics::notices(cx.metrics, "dropped"),
                dropped.len() as u64,
            );
        }
    }

    fn tell(&mut self, cx: &mut RootContext<'_, Tag>) {
        for (index, (outbox, notifier)) in self
            .warden
            .outboxes
            .iter_mut()
            .zip(&self.settings.notifiers)
            .enumerate()
        {
            let notifier: &Notifier = notifier;
            if let Some(notice) = outbox
                .batch(cx.now.mono)
                .and_then(|batch| batch.first().copied())
            {
                cx.calls
                    .push((Tag(Ask::Notice(index)), notifier.call(notice)));
            }
        }
    }

    fn heard_notifier(&mut self, index: usize, answer: &Answer, cx: &mut RootContext<'_, Tag>) {
        let random = cx.ports.random();
        let settlement = Settlement::of(answer, cx.now.wall);
        let Some(outbox) = self.warden.outboxes.get_mut(index) else {
            return;
        };
        let lost = outbox.settle(settlement, cx.now.mono, random);
        cx.fx
            .add(metrics::notices(cx.metrics, "lost"), lost.len() as u64);
        cx.fx.add(
            metrics::notices(cx.metrics, "sent"),
            u64::from(settlement == Settlement::Delivered),
        );
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
