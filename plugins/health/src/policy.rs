//! Answers the health paths, and lets the checks run.

use std::time::Duration;

use launchgate_sdk::path::RequestPath;
use launchgate_sdk::{
    Access, Answer, ConfigErrors, Counter, EndView, Family, Gauge, Level, Mode, Phases, Policy,
    Reply, RequestView, RootContext, Setup, StreamContext, Verdict,
};

use crate::answer::{
    DRAIN_METHODS, GRPC_OK, GRPC_UNAVAILABLE, JSON, READ_METHODS, TEXT, not_found, wrong_method,
};
use crate::config::Config;
use crate::dependency::Probe;
use crate::endpoint::Endpoint;
use crate::metrics::{DRAINING, FAMILIES, REFUSED, REPLIES, Series, WOULD_REPLY};
use crate::query::Query;
use crate::record::{Outcome, Record};
use crate::report::{self, Finding, Status};
use crate::settings::Settings;
use crate::text::Page;
use crate::watch::{self, Watch};
use crate::{check, drain};

/// The policy.
pub struct Health {
    settings: Settings,
    mode: Mode,
    /// A random number that no other worker has.
    worker: u64,
    series: Vec<Series>,
    watches: Vec<Watch>,
    draining: Gauge,
    refused: Counter,
}

/// The check that an answer belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    dependency: usize,
    started: Duration,
}

impl Policy for Health {
    const NAME: &'static str = "health";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const PHASES: Phases = Phases {
        request: true,
        end: true,
        tick: true,
        answer: true,
        ..Phases::NONE
    };
    const METRICS: &'static [Family] = FAMILIES;
    type Config = Config;
    type Exchange = ();
    type Tag = Check;

    fn new(config: Config, setup: &mut Setup<'_>) -> Result<Self, ConfigErrors> {
        let settings = Settings::build(config, setup.common.trust_envoy_xff)?;
        setup.warnings.extend(settings.warnings());
        if let Some(period) = settings.tick() {
            setup.tick(period);
        }
        let series = settings
            .dependencies
            .iter()
            .map(|dependency| Series::define(&dependency.name, setup))
            .collect();
        let watches = watch::all(&settings, setup);
        Ok(Self {
            mode: setup.mode(),
            // Zero means "nobody" in a record.
            worker: setup.random() | 1,
            series,
            watches,
            draining: setup.metrics.gauge(&DRAINING, &[]),
            refused: setup.metrics.counter(&REFUSED, &[]),
            settings,
        })
    }

    fn on_request(
        &mut self,
        view: &mut RequestView<'_>,
        (): &mut (),
        cx: &mut StreamContext<'_>,
    ) -> Verdict {
        let path = view.peek(":path").unwrap_or_default();
        let Some(endpoint) = Endpoint::find(RequestPath::read(&path), &self.settings) else {
            return self.pass();
        };
        let access = if endpoint == Endpoint::Drain {
            self.settings.drain.control(view)
        } else {
            Access::Grant
        };
        if access == Access::Off {
            return self.pass();
        }
        if self.mode == Mode::Report {
            let counter = cx
                .metrics
                .counter(&WOULD_REPLY, &[endpoint.name().as_bytes()]);
            cx.fx.count(counter);
            return Verdict::Continue;
        }
        let reply = match (endpoint, access) {
            (Endpoint::Drain, Access::Grant) => self.drain(view, cx),
            (Endpoint::Drain, _) => {
                cx.fx.count(self.refused);
                not_found()
            }
            _ if !is_read(view) => wrong_method(READ_METHODS),
            (Endpoint::Dependency(None), _) => not_found(),
            (endpoint, _) => self.page(endpoint, view, cx),
        };
        let code = reply.status.to_string();
        let counter = cx
            .metrics
            .counter(&REPLIES, &[endpoint.name().as_bytes(), code.as_bytes()]);
        cx.fx.count(counter);
        Verdict::Reply(reply.header("cache-control", "no-store"))
    }

    fn on_end(&mut self, view: &EndView<'_>, (): &mut (), cx: &mut StreamContext<'_>) {
        watch::observe(&self.watches, view, cx);
    }

    fn on_tick(&mut self, cx: &mut RootContext<'_, Check>) {
        for dependency in 0..self.settings.dependencies.len() {
            self.visit(dependency, cx);
        }
    }

    fn on_answer(&mut self, check: Check, answer: Answer, cx: &mut RootContext<'_, Check>) {
        let Some(dependency) = self.settings.dependencies.get(check.dependency) else {
            return;
        };
        let outcome = check::outcome(dependency, &answer);
        let latency = cx.now.mono.saturating_sub(check.started);
        self.settle(check.dependency, cx, |_| (outcome.clone(), latency));
    }
}

impl Health {
    /// No request of its own: only a passive dependency looks at its end.
    fn pass(&self) -> Verdict {
        if self.watches.is_empty() {
            Verdict::Pass
        } else {
            Verdict::Continue
        }
    }

    /// Claims the check of a dependency, if it is due, and makes it.
    fn visit(&self, index: usize, cx: &mut RootContext<'_, Check>) {
        let (Some(dependency), Some(series)) = (
            self.settings.dependencies.get(index),
            self.series.get(index),
        ) else {
            return;
        };
        let now = cx.now.mono;
        let Some(known) = cx
            .state()
            .get(&series.key)
            .as_deref()
            .and_then(Record::decode)
        else {
            cx.state()
                .update(&series.key, |old| match old.and_then(Record::decode) {
                    Some(_) => None,
                    None => Some(Record::fresh(now).encode()),
                });
            return;
        };
        if !known.is_due(self.worker, dependency.interval, now) {
            return;
        }
        let dice = cx.ports.random();
        let claimed = cx.state().update(&series.key, |old| {
            let mut record = old.and_then(Record::decode)?;
            if !record.is_due(self.worker, dependency.interval, now) {
                return None;
            }
            record.claim(self.worker, dependency.interval, now, dice);
            Some(record.encode())
        });
        match (claimed, check::call(dependency)) {
            (None, _) => {}
            (Some(_), Some(call)) => cx.call(
                Check {
                    dependency: index,
                    started: now,
                },
                call,
            ),
            (Some(_), None) => self.judge(index, cx),
        }
    }

    /// Ends the window of a passive dependency.
    fn judge(&self, index: usize, cx: &mut RootContext<'_, Check>) {
        let probe = self
            .settings
            .dependencies
            .get(index)
            .map(|dependency| &dependency.probe);
        let Some(&Probe::Passive {
            max_errors,
            min_requests,
            ..
        }) = probe
        else {
            return;
        };
        let Some(watch) = self.watches.iter().find(|watch| watch.dependency == index) else {
            return;
        };
        let (passed, failed) = (
            cx.ports.counter(watch.passed),
            cx.ports.counter(watch.failed),
        );
        self.settle(index, cx, |record| {
            (
                watch::judge(record, passed, failed, max_errors, min_requests),
                Duration::ZERO,
            )
        });
    }

    /// Takes a result into the shared record, counts it, and says when the state changed.
    fn settle(
        &self,
        index: usize,
        cx: &mut RootContext<'_, Check>,
        result: impl Fn(&mut Record) -> (Outcome, Duration),
    ) {
        let (Some(dependency), Some(series)) = (
            self.settings.dependencies.get(index),
            self.series.get(index),
        ) else {
            return;
        };
        let now = cx.now.mono;
        let mut settled = None;
        cx.state().update(&series.key, |old| {
            let mut record = old
                .and_then(Record::decode)
                .unwrap_or_else(|| Record::fresh(now));
            let before = (record.checked > 0).then_some(record.connected);
            let (outcome, latency) = result(&mut record);
            record.take(&outcome, latency, dependency, now);
            let bytes = record.encode();
            settled = Some((before, record, outcome, latency));
            Some(bytes)
        });
        let Some((before, record, outcome, latency)) = settled else {
            return;
        };
        cx.fx.count(if outcome == Outcome::Success {
            series.success
        } else {
            series.failure
        });
        cx.fx.set_gauge(series.up, u64::from(record.connected));
        if !matches!(dependency.probe, Probe::Passive { .. }) {
            cx.fx.observe(
                series.latency,
                u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
            );
        }
        match (before, record.connected) {
            (Some(before), connected) if before == connected => {}
            (_, true) => cx.log(Level::Info, || {
                format!(
                    "dependency became connected, dependency={}",
                    dependency.name
                )
            }),
            (_, false) => cx.log(Level::Warn, || {
                format!(
                    "dependency became unavailable, dependency={} reason={}",
                    dependency.name, record.reason
                )
            }),
        }
    }

    /// The reply of a readable endpoint.
    fn page(
        &self,
        endpoint: Endpoint,
        view: &RequestView<'_>,
        cx: &mut StreamContext<'_>,
    ) -> Reply {
        let findings = if endpoint == Endpoint::Live {
            Vec::new()
        } else {
            self.findings(cx)
        };
        let query = match endpoint {
            Endpoint::Ready => Query::read(view.headers().path(), &self.settings.dependencies),
            _ => Query {
                excluded: Vec::new(),
                unknown: Vec::new(),
                ..Query::read(view.headers().path(), &[])
            },
        };
        let draining = endpoint == Endpoint::Ready && drain::is_on(&mut cx.state());
        let status = match endpoint {
            _ if draining => Status::Unhealthy,
            Endpoint::Ready => report::readiness(&findings, &self.settings, &query.excluded),
            Endpoint::Startup => report::startup(&findings, &self.settings),
            Endpoint::Dependency(Some(one)) => {
                findings.get(one).map_or(Status::Unhealthy, |finding| {
                    report::of_one(finding, &self.settings)
                })
            }
            _ => Status::Healthy,
        };
        let shown = |(position, _): &(usize, _)| !matches!(endpoint, Endpoint::Dependency(Some(one)) if one != *position);
        let all = self.settings.dependencies.iter().zip(&findings).enumerate();
        let page = Page {
            status,
            now: cx.now.wall,
            dependencies: all.filter(shown).map(|(_, both)| both).collect(),
            draining,
            details: self
                .settings
                .details
                .view(view)
                .then_some(self.settings.service.as_str()),
        };
        let reply = Reply::new(status.code(), "launchgate_health");
        let reply = if query.text {
            let path = String::from_utf8_lossy(RequestPath::read(view.headers().path()).bytes())
                .into_owned();
            reply
                .body(TEXT, page.text(&query, &path))
                .header("x-content-type-options", "nosniff")
        } else {
            reply.body(JSON, page.json())
        };
        reply.grpc_status(if status.code() == 200 {
            GRPC_OK
        } else {
            GRPC_UNAVAILABLE
        })
    }

    fn findings(&self, cx: &mut StreamContext<'_>) -> Vec<Finding> {
        let now = cx.now.mono;
        let mut state = cx.state();
        let read = |series: &Series| {
            Finding::read(
                state.get(&series.key).as_deref().and_then(Record::decode),
                self.settings.max_age,
                now,
            )
        };
        self.series.iter().map(read).collect()
    }

    /// The reply of the drain endpoint to somebody entitled.
    fn drain(&self, view: &RequestView<'_>, cx: &mut StreamContext<'_>) -> Reply {
        let wanted = match view.headers().method() {
            b"PUT" => Some(true),
            b"DELETE" => Some(false),
            _ if is_read(view) => None,
            _ => return wrong_method(DRAIN_METHODS),
        };
        if let Some(on) = wanted
            && drain::switch(&mut cx.state(), on)
        {
            cx.fx.set_gauge(self.draining, u64::from(on));
            cx.log(Level::Warn, || format!("drain was switched, draining={on}"));
        }
        let draining = drain::is_on(&mut cx.state());
        Reply::new(200, "launchgate_health_drain")
            .body(JSON, format!("{{\"draining\":{draining}}}"))
            .grpc_status(GRPC_OK)
    }
}

fn is_read(view: &RequestView<'_>) -> bool {
    matches!(view.headers().method(), b"GET" | b"HEAD")
}

#[cfg(test)]
mod tests;
