//! What came of a phase against what was expected of it.

use regex::bytes::Regex;

use super::PhaseSuite;
use super::input::joined;
use super::schema::{Expectation, Immediate, StringMatcher};
use crate::emulator::PhaseOutcome;
use crate::scenario::check::Finding;
use crate::scenario::text::show;

impl PhaseSuite {
    /// Everything about a callback.
    pub(super) fn check(
        &self,
        expect: &Expectation,
        outcome: &PhaseOutcome,
        logs: &[String],
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        let (headers, body) = match &outcome.reply {
            Some(reply) => (joined(reply.headers.iter().cloned()), &reply.body),
            None => (joined(outcome.headers.iter().cloned()), &outcome.body),
        };
        let value = |key: &str| {
            let found = headers
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(key.as_bytes()));
            found.map(|(_, value)| value)
        };
        for header in &expect.has_header {
            let found = value(&header.key);
            if found != Some(&header.value.0) {
                let got = found.map_or("absent".into(), |value| show(value));
                findings.push(Finding::new(
                    format!("header {}", header.key),
                    header.value.show(),
                    got,
                ));
            }
        }
        for header in &expect.no_header {
            if let Some(found) = value(&header.key) {
                findings.push(Finding::new(
                    format!("header {}", header.key),
                    "absent",
                    show(found),
                ));
            }
        }
        let lines: Vec<Vec<u8>> = headers
            .iter()
            .map(|(name, value)| [name, b": ".as_slice(), value].concat())
            .collect();
        for matcher in &expect.headers {
            findings.extend(self.among("headers", matcher, &lines));
        }
        for matcher in &expect.body {
            findings.extend(self.among("body", matcher, std::slice::from_ref(body)));
        }
        findings.extend(continues(expect, outcome));
        if let Some(immediate) = &expect.immediate {
            findings.extend(reply(immediate, outcome));
        }
        findings.extend(self.check_logs(expect, logs));
        findings
    }

    /// Log lines alone.
    pub(super) fn check_logs(&self, expect: &Expectation, logs: &[String]) -> Vec<Finding> {
        let lines: Vec<Vec<u8>> = logs.iter().map(|line| line.clone().into_bytes()).collect();
        let faults = expect
            .log
            .iter()
            .filter_map(|matcher| self.among("log", matcher, &lines));
        faults.collect()
    }

    fn among(&self, what: &str, matcher: &StringMatcher, texts: &[Vec<u8>]) -> Option<Finding> {
        let (found, wanted) = match (&matcher.exact, &matcher.regex, &matcher.file) {
            (Some(exact), None, None) => (texts.contains(&exact.0), exact.show()),
            (None, Some(pattern), None) => match Regex::new(&format!(r"\A(?:{pattern})\z")) {
                Ok(regex) => (
                    texts.iter().any(|text| regex.is_match(text)),
                    format!("/{pattern}/"),
                ),
                Err(error) => {
                    return Some(Finding::new(
                        what,
                        "a regular expression",
                        error.to_string(),
                    ));
                }
            },
            (None, None, Some(path)) => match self.read_data(path) {
                Ok(bytes) => (texts.contains(&bytes), format!("the bytes of {path}")),
                Err(error) => return Some(Finding::new(what, "a file", error.to_string())),
            },
            _ => {
                return Some(Finding::new(
                    what,
                    "one of `exact`, `regex`, `file`",
                    "another number",
                ));
            }
        };
        let verb = if matcher.invert { "not: " } else { "" };
        let got: Vec<String> = texts.iter().map(|text| show(text)).collect();
        (found == matcher.invert)
            .then(|| Finding::new(what, format!("{verb}{wanted}"), got.join("\n")))
    }
}

/// A callback continues unless a local reply is expected.
fn continues(expect: &Expectation, outcome: &PhaseOutcome) -> Option<Finding> {
    let (wanted, got) = ("an immediate reply", "none");
    match (&expect.immediate, &outcome.reply) {
        (Some(_), None) => Some(Finding::new("immediate", wanted, got)),
        (None, Some(reply)) => Some(Finding::new(
            "immediate",
            got,
            format!("status {}", reply.status),
        )),
        (None, None) if outcome.paused => Some(Finding::new("action", "continue", "pause")),
        _ => None,
    }
}

fn reply(expect: &Immediate, outcome: &PhaseOutcome) -> Vec<Finding> {
    let Some(reply) = &outcome.reply else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let mut compare = |what: &str, expected: Option<String>, got: String| {
        if let Some(expected) = expected.filter(|expected| *expected != got) {
            findings.push(Finding::new(what, expected, got));
        }
    };
    compare(
        "http_status",
        expect.http_status.map(|code| code.to_string()),
        reply.status.to_string(),
    );
    compare(
        "grpc_status",
        expect.grpc_status.map(|code| code.to_string()),
        reply.grpc.to_string(),
    );
    compare(
        "details",
        expect
            .details
            .as_ref()
            .map(|text| text.replace([' ', '\t'], "_")),
        reply.details.clone(),
    );
    findings
}
