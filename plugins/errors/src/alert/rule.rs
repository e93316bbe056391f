//! When people are told, checked: the rule of an alert and its condition.

use std::time::Duration;

use launchgate_sdk::ConfigErrors;
use launchgate_sdk::headers::InvalidHeader;

use crate::config::{self, Kind, Per, Severity};
use crate::settings::{DAY, MONTH, SECOND, check_number, check_period};

/// A checked alert. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Name.
    pub name: String,
    /// Condition.
    pub when: When,
    /// Notifiers, by position.
    pub notify: Vec<usize>,
    /// Quiet time after a notice.
    pub interval: u64,
    /// How long the condition must not hold.
    pub resolve_after: u64,
    /// Whether the end is told.
    pub resolved: bool,
    /// `info`, `warning` or `critical`.
    pub severity: &'static str,
    /// Notices in an interval.
    pub limit: u32,
}

/// A condition. Windows and quiet times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the fields are those of the configuration, described there"
)]
pub(crate) enum When {
    /// An error that was never seen.
    FirstSeen,
    /// An error that comes back.
    Regression { quiet: u64 },
    /// A request that matches.
    Match,
    /// Many errors.
    Frequency { count: u64, window: u64, all: bool },
    /// A large share of all requests, in parts of a million.
    Percent {
        share: u64,
        min_requests: u64,
        window: u64,
    },
    /// Many users.
    UniqueUsers { count: usize, window: u64 },
}

/// What `match` looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Request header; empty: a tag.
    pub header: String,
    /// Tag.
    pub tag: String,
    /// Values; empty: any.
    pub values: Vec<String>,
}

impl Target {
    /// Whether a value is one of those looked for.
    pub(crate) fn wants(&self, value: &[u8]) -> bool {
        self.values.is_empty() || self.values.iter().any(|own| own.as_bytes() == value)
    }
}

impl When {
    /// Its window; of those without, a minute.
    pub(crate) fn window(self) -> u64 {
        match self {
            Self::Frequency { window, .. }
            | Self::Percent { window, .. }
            | Self::UniqueUsers { window, .. } => window,
            Self::FirstSeen | Self::Regression { .. } | Self::Match => 60_000,
        }
    }

    /// Whether all errors are looked at together.
    pub(crate) fn is_global(self) -> bool {
        matches!(
            self,
            Self::Percent { .. } | Self::Frequency { all: true, .. }
        )
    }
}

/// Checks one of `alerts`, and what a `match` looks for.
pub(crate) fn check(
    alert: &config::Alert,
    at: usize,
    all: &[config::Alert],
    notifiers: &[&str],
    errors: &mut ConfigErrors,
) -> Option<(Rule, Option<Target>)> {
    let path = |key: &str| format!("alerts[{at}].{key}");
    check_names(alert, at, all, notifiers, errors);
    let limit = alert.limit.unwrap_or(10);
    check_number(limit.into(), 1..=1000, &path("limit"), errors);
    let interval = alert
        .interval
        .map_or(Duration::from_secs(1800), Duration::from);
    check_period(
        interval,
        SECOND,
        MONTH,
        &path("interval"),
        "expected a duration from 1s to 30d",
        errors,
    );
    let when = check_when(&alert.when, &path("when"), errors)?;
    let resolve_after = alert
        .resolve_after
        .map(Duration::from)
        .unwrap_or_else(|| match when {
            When::Frequency { window, .. }
            | When::Percent { window, .. }
            | When::UniqueUsers { window, .. } => Duration::from_millis(window),
            When::FirstSeen | When::Regression { .. } | When::Match => interval,
        });
    check_period(
        resolve_after,
        SECOND,
        MONTH,
        &path("resolve_after"),
        "expected a duration from 1s to 30d",
        errors,
    );
    let target = (when == When::Match).then(|| Target {
        header: alert.when.header.to_ascii_lowercase(),
        tag: alert.when.tag.clone(),
        values: alert.when.values.clone(),
    });
    let severity = match alert.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let notify = alert
        .notify
        .iter()
        .filter_map(|name| notifiers.iter().position(|own| own == name))
        .collect();
    let rule = Rule {
        name: alert.name.clone(),
        when,
        notify,
        interval: millis(interval),
        resolve_after: millis(resolve_after),
        resolved: alert.resolved.unwrap_or(true),
        severity,
        limit,
    };
    Some((rule, target))
}

/// Its own name, and those of its notifiers.
fn check_names(
    alert: &config::Alert,
    at: usize,
    all: &[config::Alert],
    notifiers: &[&str],
    errors: &mut ConfigErrors,
) {
    let path = |key: &str| format!("alerts[{at}].{key}");
    let named =
        (1..=64).contains(&alert.name.chars().count()) && !alert.name.chars().any(char::is_control);
    errors.check(
        named,
        path("name"),
        "expected 1 to 64 characters without line breaks",
    );
    errors.check(
        !all.iter().take(at).any(|other| other.name == alert.name),
        path("name"),
        "expected a name that no other alert has",
    );
    errors.check(
        !alert.notify.is_empty(),
        path("notify"),
        "expected at least one notifier",
    );
    for (position, name) in alert.notify.iter().enumerate() {
        let expected = if notifiers.is_empty() {
            "expected the name of a notifier, there are none".to_owned()
        } else {
            format!("expected one of {}", notifiers.join(", "))
        };
        errors.check(
            notifiers.contains(&name.as_str()),
            format!("{}[{position}]", path("notify")),
            expected,
        );
    }
}

fn check_when(when: &config::When, at: &str, errors: &mut ConfigErrors) -> Option<When> {
    let Some(kind) = when.kind else {
        errors.push(format!("{at}.kind"), "is required");
        return None;
    };
    let path = |key: &str| format!("{at}.{key}");
    let mut window = |default: u64| {
        let window = when
            .window
            .map_or(Duration::from_secs(default), Duration::from);
        check_period(
            window,
            SECOND,
            DAY,
            &path("window"),
            "expected a duration from 1s to 1d",
            errors,
        );
        millis(window)
    };
    match kind {
        Kind::FirstSeen => Some(When::FirstSeen),
        Kind::Frequency => {
            let (window, count) = (window(60), when.count.unwrap_or(0));
            check_number(count, 1..=1_000_000, &path("count"), errors);
            Some(When::Frequency {
                count,
                window,
                all: when.per == Per::All,
            })
        }
        Kind::Percent => {
            let (window, share) = (
                window(300),
                u64::from(when.percent.unwrap_or_default().millionths()),
            );
            errors.check(
                share > 0,
                path("percent"),
                "expected a percent number above 0",
            );
            let min_requests = when.min_requests.unwrap_or(50);
            check_number(
                min_requests,
                1..=1_000_000_000,
                &path("min_requests"),
                errors,
            );
            Some(When::Percent {
                share,
                min_requests,
                window,
            })
        }
        Kind::Regression => {
            let quiet = when.quiet.map_or(DAY, Duration::from);
            check_period(
                quiet,
                SECOND,
                MONTH,
                &path("quiet"),
                "expected a duration from 1s to 30d",
                errors,
            );
            Some(When::Regression {
                quiet: millis(quiet),
            })
        }
        Kind::Match => {
            errors.check(
                when.header.is_empty() != when.tag.is_empty(),
                at,
                "expected one of header and tag",
            );
            let valid = when.header.is_empty() || InvalidHeader::check(&when.header, b"").is_ok();
            errors.check(valid, path("header"), "expected a header name");
            errors.check(
                when.values.len() <= 1000,
                path("values"),
                "expected at most 1000 values",
            );
            Some(When::Match)
        }
        Kind::UniqueUsers => {
            let (window, count) = (window(3600), when.count.unwrap_or(0));
            check_number(count, 1..=100, &path("count"), errors);
            Some(When::UniqueUsers {
                count: usize::try_from(count).unwrap_or(usize::MAX),
                window,
            })
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
