//! Messages: what a client got, and what upstreams saw of it.

use std::collections::BTreeMap;

use super::{Finding, push};
use crate::scenario::expect::{CalloutMatch, Expect, StatusMatch, UpstreamExpect};
use crate::scenario::host::{Exchange, Response, UpstreamRequest};
use crate::scenario::matcher::TextMatch;
use crate::scenario::text::show;

pub(super) fn on_exchange(expect: &Expect) -> bool {
    expect.status.is_some()
        || expect.body.is_some()
        || expect.upstream.is_some()
        || expect.details.is_some()
        || expect.reset.is_some()
        || !expect.headers.is_empty()
        || !expect.trailers.is_empty()
        || !expect.filter_state.is_empty()
}

pub(super) fn response(expect: &Expect, exchange: &Exchange, findings: &mut Vec<Finding>) {
    let none = Response::default();
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

pub(super) fn check_headers(
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

pub(super) fn check_upstream(
    rule: &UpstreamExpect,
    seen: &[UpstreamRequest],
    findings: &mut Vec<Finding>,
) {
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

pub(super) fn callout_fault(rule: &CalloutMatch, callout: &UpstreamRequest) -> Option<Finding> {
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

pub(super) fn status_matches(rule: &StatusMatch, status: u16) -> bool {
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

pub(super) fn status_text(rule: &StatusMatch) -> String {
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
