//! What happened against what was expected.
//!
//! Beside the written expectations these hold unless a scenario says otherwise: responses end properly and nothing hangs, no
//! VM dies, no host call is made in a phase in which Envoy refuses it, no call-out is unexpected, no error or critical line is
//! unexpected, every scripted answer is asked for.

mod log;
mod message;
mod stat;

use std::collections::BTreeMap;

use regex::Regex;

use super::expect::{Count, Expect, LogMatch};
use super::host::{BlindSpots, Observed, Stat, UpstreamRequest};
use super::matcher::Mismatch;
use super::schema::{Allow, Budget, Level};
use super::stat_name::StatName;
use super::text::show;
pub use log::check_logs;
use log::{count_fault, log_matches};
use message::{callout_fault, check_upstream, on_exchange, response};
use stat::broken;

/// One thing that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about (`status`, `header location`).
    pub what: String,
    /// Expected.
    pub expected: String,
    /// Got.
    pub got: String,
}

impl Finding {
    /// A finding.
    pub fn new(
        what: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        Finding {
            what: what.into(),
            expected: expected.into(),
            got: got.into(),
        }
    }

    fn of(what: impl Into<String>, mismatch: Mismatch) -> Self {
        Finding {
            what: what.into(),
            expected: mismatch.expected,
            got: mismatch.got,
        }
    }
}

/// What a check needs beside what was observed.
pub struct Judge<'a> {
    /// What need not be expected.
    pub allow: &'a Allow,
    /// What the host cannot see.
    pub blind: BlindSpots,
    /// Stats before.
    pub before: &'a BTreeMap<String, Stat>,
    /// The Prometheus text, if it is asked for.
    pub prometheus: &'a str,
}

impl Judge<'_> {
    /// Compares.
    pub fn check(&self, expect: &Expect, seen: &Observed) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.exchanges(expect, seen, &mut findings);
        self.metrics(expect, seen, &mut findings);
        for pattern in &expect.prometheus {
            match Regex::new(&format!("(?m){pattern}")) {
                Ok(regex) if regex.is_match(self.prometheus) => {}
                Ok(_) => findings.push(Finding::new(
                    "prometheus",
                    format!("a match of /{pattern}/"),
                    self.prometheus,
                )),
                Err(error) => findings.push(Finding::new(
                    "prometheus",
                    "a regular expression",
                    error.to_string(),
                )),
            }
        }
        if !self.blind.shared_data {
            for (key, rule) in &expect.shared_data {
                let found: Vec<&[u8]> = seen
                    .shared_data
                    .get(key.as_bytes())
                    .map(Vec::as_slice)
                    .into_iter()
                    .collect();
                push(
                    &mut findings,
                    format!("shared data {key}"),
                    rule.check(&found),
                );
            }
        }
        self.callouts(expect, seen, &mut findings);
        self.logs(&expect.logs, seen, &mut findings);
        self.always(expect, seen, &mut findings);
        findings
    }

    fn exchanges(&self, expect: &Expect, seen: &Observed, findings: &mut Vec<Finding>) {
        if seen.exchanges.is_empty() && on_exchange(expect) {
            findings.push(Finding::new(
                "exchange",
                "an exchange that ended in this step",
                "none",
            ));
        }
        for exchange in &seen.exchanges {
            let ended = exchange.complete && exchange.response.is_some();
            match (expect.reset, ended) {
                (Some(true), true) => findings.push(Finding::new(
                    "reset",
                    "no whole response",
                    "a whole response",
                )),
                (Some(true), false) => {}
                (_, true) => {}
                (_, false)
                    if self.allow.hang || expect.trap == Some(true) && expect.status.is_none() => {}
                (_, false) => {
                    let how = exchange
                        .hung
                        .clone()
                        .unwrap_or_else(|| format!("cut off ({})", exchange.details));
                    findings.push(Finding::new("response", "a whole response", how));
                }
            }
            response(expect, exchange, findings);
            if let Some(upstream) = &expect.upstream {
                check_upstream(upstream, &exchange.upstream, findings);
            }
            if let Some(rule) = &expect.details {
                push(
                    findings,
                    "details",
                    rule.check(&[exchange.details.as_bytes()]),
                );
            }
            if !self.blind.filter_state {
                for (key, rule) in &expect.filter_state {
                    let found: Vec<&[u8]> = exchange
                        .filter_state
                        .get(key)
                        .map(Vec::as_slice)
                        .into_iter()
                        .collect();
                    push(findings, format!("filter state {key}"), rule.check(&found));
                }
            }
        }
    }

    fn metrics(&self, expect: &Expect, seen: &Observed, findings: &mut Vec<Finding>) {
        for (text, rule) in &expect.metrics {
            let name = match StatName::parse(text) {
                Ok(name) => name,
                Err(problem) => {
                    findings.push(Finding::new(
                        "metric name",
                        "name{label=\"value\"}",
                        problem,
                    ));
                    continue;
                }
            };
            let (was, now) = (name.find(self.before), name.find(&seen.stats));
            if let Some((expected, got)) = broken(rule, was, now, self.blind) {
                let hint = if now.is_none() {
                    format!(" (there are: {:?})", name.family(&seen.stats))
                } else {
                    String::new()
                };
                findings.push(Finding::new(
                    format!("metric {text}"),
                    expected,
                    format!("{got}{hint}"),
                ));
            }
        }
    }

    fn callouts(&self, expect: &Expect, seen: &Observed, findings: &mut Vec<Finding>) {
        for (index, rule) in expect.callouts.iter().enumerate() {
            let to_cluster: Vec<&UpstreamRequest> = seen
                .callouts
                .iter()
                .filter(|c| c.cluster == rule.cluster)
                .collect();
            let broken: Vec<Option<Finding>> = to_cluster
                .iter()
                .map(|callout| callout_fault(rule, callout))
                .collect();
            let count = broken.iter().filter(|fault| fault.is_none()).count() as u64;
            let Some(expected) = count_fault(rule.count.unwrap_or(Count::Exactly(1)), count) else {
                continue;
            };
            let what = format!("callouts[{index}] to {}", rule.cluster);
            match broken.into_iter().flatten().next() {
                Some(fault) if count == 0 => {
                    findings.push(Finding {
                        what: format!("{what}: {}", fault.what),
                        ..fault
                    });
                }
                _ => findings.push(Finding::new(what, expected, format!("{count}"))),
            }
        }
        for callout in &seen.callouts {
            let expected = expect
                .callouts
                .iter()
                .any(|rule| rule.cluster == callout.cluster);
            if !expected && !self.allow.callouts.contains(&callout.cluster) {
                let got = format!(
                    "{} {} to cluster {}",
                    show(&callout.method),
                    show(&callout.path),
                    callout.cluster
                );
                findings.push(Finding::new(
                    "call-out",
                    "none (expect it under `callouts`, or allow its cluster)",
                    got,
                ));
            }
        }
    }

    fn logs(&self, rules: &[LogMatch], seen: &Observed, findings: &mut Vec<Finding>) {
        check_logs(rules, &seen.logs, findings);
        let allowed: Vec<Regex> = self
            .allow
            .logs
            .iter()
            .filter_map(|pattern| Regex::new(pattern).ok())
            .collect();
        for line in seen.logs.iter().filter(|line| line.level >= Level::Error) {
            let named = rules
                .iter()
                .any(|rule| rule.count != Some(Count::Exactly(0)) && log_matches(rule, line));
            if !named && !allowed.iter().any(|regex| regex.is_match(&line.message)) {
                let got = format!("[{:?}] {}: {}", line.level, line.plugin, line.message);
                findings.push(Finding::new("log", "no unexpected error", got));
            }
        }
    }

    fn always(&self, expect: &Expect, seen: &Observed, findings: &mut Vec<Finding>) {
        let trap_expected = expect.trap == Some(true);
        if trap_expected && seen.traps.is_empty() {
            findings.push(Finding::new("trap", "a VM that dies", "none"));
        }
        if !trap_expected && !self.allow.trap {
            findings.extend(
                seen.traps
                    .iter()
                    .map(|trap| Finding::new("trap", "no VM dies", trap)),
            );
        }
        if !self.allow.phase {
            findings.extend(
                seen.faults
                    .iter()
                    .map(|fault| Finding::new("phase", "host calls in their phase", fault)),
            );
        }
    }

    /// Scripted answers that nobody asked for; at the end of a case.
    pub fn unread(seen: &Observed) -> Vec<Finding> {
        let unread = seen.unread.iter();
        unread
            .map(|place| Finding::new(place, "a request asks for it", "no request did"))
            .collect()
    }
}

fn push(findings: &mut Vec<Finding>, what: impl Into<String>, outcome: Result<(), Mismatch>) {
    if let Err(mismatch) = outcome {
        findings.push(Finding::of(what, mismatch));
    }
}

/// Callbacks that used more than the budget allows.
pub fn check_budget(budget: &Budget, seen: &Observed, findings: &mut Vec<Finding>) {
    let tables = [
        ("instructions", &budget.instructions),
        ("host calls", &budget.host_calls),
        ("bytes", &budget.bytes),
    ];
    for (what, limits) in tables {
        for (callback, limit) in limits {
            let used = seen
                .costs
                .iter()
                .filter(|cost| cost.callback == callback)
                .map(|cost| match what {
                    "instructions" => cost.instructions,
                    "host calls" => cost.host_calls,
                    _ => cost.bytes,
                });
            if let Some(most) = used.max().filter(|most| most > limit) {
                findings.push(Finding::new(
                    format!("budget of {callback}"),
                    format!("at most {limit} {what}"),
                    most.to_string(),
                ));
            }
        }
    }
}
