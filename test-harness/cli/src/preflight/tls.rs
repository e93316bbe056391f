//! Check 3: HTTPS as users and browsers see it.

use std::time::Duration;

use super::{
    facts::{Facts, Reply},
    grade::Grade,
    rule::{Area, Judged, Rule, Severity, broken, holds, not_checked, unless},
};

const DAY: u64 = 86_400;
/// Certificates of an automated authority are renewed when a third of their life is left, 30 days of 90.
const EXPIRY_DAYS: u64 = 14;
/// Browsers' preload lists and graders ask for half a year at least.
const HSTS_SECONDS: u64 = 180 * DAY;

const TLS_README: &str = "plugins/tls/README.md";

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        Area::Tls,
        "tls.versions",
        Severity::Error,
        "TLS 1.2 and 1.3 are spoken, nothing older",
        "Set `tls_minimum_protocol_version: TLSv1_2` and `tls_maximum_protocol_version: TLSv1_3` in the listener; `min_version` of tls tells clients why.",
        TLS_README,
        versions,
    ),
    Rule::new(
        Area::Tls,
        "tls.chain",
        Severity::Error,
        "The certificate chain leads to a trusted root",
        "Serve the leaf with all intermediates, leaf first. A private authority is trusted with --ca.",
        TLS_README,
        chain,
    ),
    Rule::new(
        Area::Tls,
        "tls.name",
        Severity::Error,
        "The certificate is for the name that users ask for",
        "Issue it with the host as a DNS name; check the `server_names` of the listener's filter chains.",
        TLS_README,
        name,
    ),
    Rule::new(
        Area::Tls,
        "tls.expiry",
        Severity::Error,
        "The certificate is valid for two weeks at least",
        "Renew it, and find out why the renewal did not run.",
        TLS_README,
        expiry,
    ),
    Rule::new(
        Area::Tls,
        "tls.redirect",
        Severity::Error,
        "Plain HTTP is redirected to HTTPS, and only there",
        "Load tls on the plain listener too; behind a load balancer set `trusted_proxies`.",
        TLS_README,
        redirect,
    ),
    Rule::new(
        Area::Tls,
        "tls.hsts",
        Severity::Error,
        "HSTS goes out once, over TLS only, for half a year at least",
        "Keep `hsts.enabled`; raise `hsts.max_age`, by `hsts.ramp` where you are careful.",
        TLS_README,
        hsts,
    ),
    Rule::new(
        Area::Tls,
        "tls.headers",
        Severity::Warning,
        "The security headers would be graded A or better",
        "Choose `headers.preset` (`api`, `web`, `strict`) or set the named headers.",
        TLS_README,
        headers,
    ),
    Rule::new(
        Area::Tls,
        "tls.misdirected",
        Severity::Error,
        "A request for another listener's host is misdirected",
        "Name the listeners in `misdirected.listeners`, and give the listener the `tls_inspector` filter.",
        TLS_README,
        misdirected,
    ),
];

fn versions(facts: &Facts) -> Judged {
    let spoken = &facts.tls()?.versions;
    let has = |version| spoken.contains(&version);
    let old: Vec<_> = ["1.0", "1.1"].into_iter().filter(|v| has(v)).collect();
    let mut broken = Vec::new();
    if !old.is_empty() {
        broken.push(format!("TLS {} is accepted", old.join(" and ")));
    }
    if !has("1.3") {
        broken.push("TLS 1.3 is not offered".to_owned());
    }
    unless(broken, format!("TLS {}", spoken.join(", ")))
}

fn chain(facts: &Facts) -> Judged {
    match &facts.tls()?.chain {
        Ok(length) => holds(format!("{length} certificates, to a trusted root")),
        Err(reason) => broken(reason.clone()),
    }
}

fn name(facts: &Facts) -> Judged {
    let tls = facts.tls()?;
    match &tls.name {
        Ok(()) => holds(tls.names.join(", ")),
        Err(_) => broken(format!(
            "{} asked for, the certificate is for {}",
            facts.host,
            tls.names.join(", ")
        )),
    }
}

fn expiry(facts: &Facts) -> Judged {
    let end = facts.tls()?.not_after;
    let day = humantime::format_rfc3339_seconds(end);
    match end.duration_since(facts.now) {
        Err(_) => broken(format!("it ended on {day}")),
        Ok(left) if left < Duration::from_secs(EXPIRY_DAYS * DAY) => broken(format!(
            "it ends on {day}, in {} days",
            left.as_secs() / DAY
        )),
        Ok(left) => holds(format!("until {day}, {} days", left.as_secs() / DAY)),
    }
}

fn redirect(facts: &Facts) -> Judged {
    facts.tls()?;
    let Some(reply) = &facts.gateway.plain else {
        return not_checked("needs --plain, the address without TLS");
    };
    let location = reply.header("location").unwrap_or_default();
    let host = location
        .strip_prefix("https://")
        .and_then(|rest| rest.split(['/', ':', '?', '#']).next());
    match reply.status {
        301 | 302 | 307 | 308 if host == Some(&*facts.host) => {
            holds(format!("{} to {location}", reply.status))
        }
        301 | 302 | 307 | 308 => broken(format!("{} to {location:?}", reply.status)),
        status => broken(format!("plain HTTP is answered {status}")),
    }
}

fn hsts(facts: &Facts) -> Judged {
    facts.tls()?;
    const NAME: &str = "strict-transport-security";
    let over_tls: Vec<_> = facts.gateway.page.all(NAME).collect();
    let mut broken = Vec::new();
    if let Some(value) = facts.gateway.plain.as_ref().and_then(|r| r.header(NAME)) {
        broken.push(format!("sent over plain HTTP: {value}"));
    }
    match over_tls.as_slice() {
        [value] => match max_age(value) {
            Some(seconds) if seconds >= HSTS_SECONDS => {}
            _ => broken.push(format!(
                "{value:?}, expected max-age={HSTS_SECONDS} or more"
            )),
        },
        [] => broken.push("not sent".to_owned()),
        more => broken.push(format!("sent {} times", more.len())),
    }
    unless(broken, over_tls.join(", "))
}

pub(super) fn max_age(value: &str) -> Option<u64> {
    let mut directives = value.split(';').map(str::trim);
    let seconds = directives.find_map(|d| {
        let (name, value) = d.split_once('=')?;
        name.trim().eq_ignore_ascii_case("max-age").then_some(value)
    })?;
    seconds.trim().trim_matches('"').parse().ok()
}

fn headers(facts: &Facts) -> Judged {
    facts.tls()?;
    let grade = Grade::of(&facts.gateway.page);
    match grade.is_good() {
        true => holds(grade.to_string()),
        false => broken(grade.to_string()),
    }
}

fn misdirected(facts: &Facts) -> Judged {
    facts.tls()?;
    facts.admin()?.policy("tls")?;
    match &facts.gateway.misdirected {
        None => holds("one listener: no other to be taken for"),
        Some((host, Reply { status: 421, .. })) => holds(format!(
            "421 for {host} over a connection to {}",
            facts.host
        )),
        Some((host, reply)) => broken(format!(
            "{} for {host} over a connection to {}, expected 421",
            reply.status, facts.host
        )),
    }
}
