//! What happened against what was expected.
//!
//! Beside the written expectations these hold unless a scenario says otherwise: responses end properly and nothing hangs, no
//! VM dies, no host call is made in a phase in which Envoy refuses it, no call-out is unexpected, no error or critical line is
//! unexpected, every scripted answer is asked for.

use std::collections::BTreeMap;

use regex::Regex;

use super::expect::{
    CalloutMatch, Count, Expect, LogMatch, MetricMatch, StatusMatch, UpstreamExpect,
};
use super::host::{BlindSpots, Exchange, LogLine, Observed, Stat, UpstreamRequest};
use super::matcher::{Mismatch, TextMatch};
use super::schema::{Allow, Budget, Level};
use super::stat_name::StatName;
use super::text::show;

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

fn on_exchange(expect: &Expect) -> bool {
    expect.status.is_some()
        || expect.body.is_some()
        || expect.upstream.is_some()
        || expect.details.is_some()
        || expect.reset.is_some()
        || !expect.headers.is_empty()
        || !expect.trailers.is_empty()
        || !expect.filter_state.is_empty()
}

fn response(expect: &Expect, exchange: &Exchange, findings: &mut Vec<Finding>) {
    let none = super::host::Response::default();
    let response = exchange.response.as_ref().unwrap_or(&none);
    if let Some(status) = expect
        .status
        .as_ref()
        .filter(|rule| !status_matches(rule, response.status))
    {
        let got = if exchange.response.is_some() {
            response.status.to_string()
        } else {
            "no response".into()
        };
        findings.push(Finding::new(
            "status",
            status_text(status),
            format!("{got} ({})", exchange.details),
        ));
    }
    check_headers("header", &expect.headers, &response.headers, findings);
    check_headers("trailer", &expect.trailers, &response.trailers, findings);
    if let Some(rule) = &expect.body {
        push(findings, "body", rule.check(&[&response.body]));
    }
}

fn check_headers(
    what: &str,
    rules: &BTreeMap<String, TextMatch>,
    headers: &[(Vec<u8>, Vec<u8>)],
    findings: &mut Vec<Finding>,
) {
    for (name, rule) in rules {
        let lower = name.to_ascii_lowercase();
        let named = headers.iter().filter(|(key, _)| *key == lower.as_bytes());
        let values: Vec<&[u8]> = named.map(|(_, value)| value.as_slice()).collect();
        push(findings, format!("{what} {name}"), rule.check(&values));
    }
}

fn check_upstream(rule: &UpstreamExpect, seen: &[UpstreamRequest], findings: &mut Vec<Finding>) {
    if rule.none {
        if let Some(request) = seen.first() {
            let got = format!(
                "{} {} at cluster {}",
                show(&request.method),
                show(&request.path),
                request.cluster
            );
            findings.push(Finding::new("upstream", "not reached", got));
        }
        return;
    }
    let Some(request) = seen.last() else {
        findings.push(Finding::new(
            "upstream",
            "a request",
            "none reached an upstream",
        ));
        return;
    };
    let texts = [
        ("cluster", &rule.cluster, request.cluster.as_bytes()),
        ("method", &rule.method, &request.method),
        ("path", &rule.path, &request.path),
        ("authority", &rule.authority, &request.authority),
        ("body", &rule.body, &request.body),
    ];
    for (what, rule, found) in texts {
        if let Some(rule) = rule {
            push(findings, format!("upstream {what}"), rule.check(&[found]));
        }
    }
    check_headers("upstream header", &rule.headers, &request.headers, findings);
}

fn callout_fault(rule: &CalloutMatch, callout: &UpstreamRequest) -> Option<Finding> {
    let mut findings = Vec::new();
    let texts = [
        ("method", &rule.method, &callout.method),
        ("path", &rule.path, &callout.path),
        ("authority", &rule.authority, &callout.authority),
        ("body", &rule.body, &callout.body),
    ];
    for (what, rule, found) in texts {
        if let Some(rule) = rule {
            push(&mut findings, what, rule.check(&[found]));
        }
    }
    check_headers("header", &rule.headers, &callout.headers, &mut findings);
    findings.into_iter().next()
}

/// Checks log expectations, of a step or of loading.
pub fn check_logs(rules: &[LogMatch], logs: &[LogLine], findings: &mut Vec<Finding>) {
    for rule in rules {
        let count = logs.iter().filter(|line| log_matches(rule, line)).count() as u64;
        let wanted = rule.count.unwrap_or(Count::Between(super::expect::Bounds {
            min: Some(1),
            max: None,
        }));
        if let Some(expected) = count_fault(wanted, count) {
            let lines: Vec<String> = logs
                .iter()
                .map(|line| format!("[{:?}] {}", line.level, line.message))
                .collect();
            let what = format!("log {}", log_text(rule));
            findings.push(Finding::new(
                what,
                format!("{expected} lines"),
                format!("{count}; all lines:\n{}", lines.join("\n")),
            ));
        }
    }
}

fn log_matches(rule: &LogMatch, line: &LogLine) -> bool {
    rule.level.is_none_or(|level| level == line.level)
        && rule
            .contains
            .as_ref()
            .is_none_or(|part| line.message.contains(part))
        && rule
            .matches
            .as_ref()
            .is_none_or(|pattern| Regex::new(pattern).is_ok_and(|r| r.is_match(&line.message)))
}

fn log_text(rule: &LogMatch) -> String {
    let level = rule
        .level
        .map(|level| format!("[{level:?}] "))
        .unwrap_or_default();
    let matches = rule
        .matches
        .as_ref()
        .map(|pattern| format!("/{pattern}/"))
        .unwrap_or_default();
    format!(
        "{level}{matches}{}",
        rule.contains.clone().unwrap_or_default()
    )
}

fn count_fault(wanted: Count, count: u64) -> Option<String> {
    match wanted {
        Count::Exactly(number) => (number != count).then(|| number.to_string()),
        Count::Between(bounds) => {
            let fits = bounds.min.is_none_or(|min| count >= min)
                && bounds.max.is_none_or(|max| count <= max);
            let text = match (bounds.min, bounds.max) {
                (Some(min), Some(max)) => format!("{min} to {max}"),
                (Some(min), None) => format!("at least {min}"),
                (None, Some(max)) => format!("at most {max}"),
                (None, None) => "any number".into(),
            };
            (!fits).then_some(text)
        }
    }
}

fn status_matches(rule: &StatusMatch, status: u16) -> bool {
    match rule {
        StatusMatch::Code(code) => *code == status,
        StatusMatch::Class(class) => {
            let text = status.to_string();
            text.len() == class.len()
                && text
                    .chars()
                    .zip(class.chars())
                    .all(|(s, c)| c == 'x' || c == s)
        }
        StatusMatch::Any(rules) => rules.iter().any(|rule| status_matches(rule, status)),
    }
}

fn status_text(rule: &StatusMatch) -> String {
    match rule {
        StatusMatch::Code(code) => code.to_string(),
        StatusMatch::Class(class) => class.clone(),
        StatusMatch::Any(rules) => rules
            .iter()
            .map(status_text)
            .collect::<Vec<_>>()
            .join(" or "),
    }
}

fn amount(stat: Option<Stat>) -> u64 {
    match stat {
        Some(Stat::Counter(value) | Stat::Gauge(value)) => value,
        Some(Stat::Histogram { count, .. }) => count,
        None => 0,
    }
}

fn broken(
    rule: &MetricMatch,
    was: Option<Stat>,
    now: Option<Stat>,
    blind: BlindSpots,
) -> Option<(String, String)> {
    let delta = amount(now).wrapping_sub(amount(was)).cast_signed();
    let detail = match rule {
        MetricMatch::Delta(expected) => {
            return (*expected != delta).then(|| (signed(*expected), signed(delta)));
        }
        MetricMatch::Detail(detail) => detail,
    };
    if let Some(value) = detail.value.filter(|value| *value != amount(now)) {
        return Some((format!("value {value}"), format!("value {}", amount(now))));
    }
    if detail.min.is_some_and(|min| delta < min) || detail.max.is_some_and(|max| delta > max) {
        let bound = |bound: Option<i64>| bound.map_or("…".to_owned(), |b| b.to_string());
        return Some((
            format!("change of {} to {}", bound(detail.min), bound(detail.max)),
            signed(delta),
        ));
    }
    let sum = |stat: Option<Stat>| match stat {
        Some(Stat::Histogram { sum, .. }) => sum,
        _ => 0,
    };
    let grown = sum(now).wrapping_sub(sum(was));
    let wrong = detail
        .sum
        .filter(|wanted| !blind.histogram_sums && *wanted != grown);
    wrong.map(|wanted| (format!("sum {wanted}"), format!("sum {grown}")))
}

fn signed(number: i64) -> String {
    format!("{number:+}")
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
