//! What is asked of others on ticks, what they answer, and who is told.

use std::time::Duration;

use launchgate_sdk::notifier::{Notice, Status};
use launchgate_sdk::outbox::Settlement;
use launchgate_sdk::{Answer, Level, RootContext};

use crate::fleet::{self, Question};
use crate::hosts;
use crate::metrics;
use crate::policy::{Canary, Tag};
use crate::rollout::Cause;
use crate::warden::{Ask, TICK};
use crate::window::Tallies;

const NOTICE_TTL: Duration = Duration::from_secs(3600);

impl Canary {
    pub(crate) fn poll(&mut self, cx: &mut RootContext<'_, Tag>) {
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

    pub(crate) fn queue(
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
                ("canary", canary.to_string()),
                ("stable", stable.to_string()),
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

    pub(crate) fn tell(&mut self, cx: &mut RootContext<'_, Tag>) {
        for (index, (outbox, notifier)) in self
            .warden
            .outboxes
            .iter_mut()
            .zip(&self.settings.notifiers)
            .enumerate()
        {
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
}
