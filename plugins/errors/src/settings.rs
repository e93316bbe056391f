//! The configuration, checked: what the policy works with.

use launchgate_sdk::map::Map;
use std::ops::RangeInclusive;
use std::time::Duration;

use launchgate_sdk::notifier::Notifier;
use launchgate_sdk::redact::Redactor;
use launchgate_sdk::route::Routes;
use launchgate_sdk::{ConfigErrors, Rate, Secret};

use crate::alert::{self, Target};
use crate::config::{Availability, Config};
use crate::matcher::Matcher;
use crate::rule::{Rule, check_tags};
use crate::scrub;
use crate::seen::Throttle;
use crate::sentry::Sentry;
use crate::status::StatusRange;
use crate::user::User;

/// The checked configuration.
pub(crate) struct Settings {
    /// Where events go.
    pub sentry: Option<Sentry>,
    /// Share of errors sent.
    pub sample_rate: Rate,
    /// Share of exchanges sent as transactions; `None`: tracing is off.
    pub traces_sample_rate: Option<Rate>,
    /// Whose traces are continued.
    pub continuation: Continuation,
    /// What every event says.
    pub identity: Identity,
    /// Which exchanges are errors.
    pub statuses: Vec<StatusRange>,
    /// gRPC codes that are errors.
    pub grpc: Vec<u32>,
    /// Duration from which an exchange is an error.
    pub slower_than: Option<Duration>,
    /// Which never are.
    pub ignore: Vec<Matcher>,
    /// Route templates, compiled, and their texts.
    pub routes: Routes,
    /// Texts of the templates.
    pub templates: Vec<String>,
    /// Who requests are made for.
    pub user: Option<User>,
    /// What is filtered.
    pub redactor: Redactor,
    /// Whether personal data is sent.
    pub send_pii: bool,
    /// Whether a client's address from a header counts.
    pub trust_xff: bool,
    /// How unreachable clusters are grouped.
    pub availability: Availability,
    /// Rules in order.
    pub rules: Vec<Rule>,
    /// Events of one error.
    pub throttle: Throttle,
    /// Bounds of the queue: items, bytes.
    pub queue: (usize, usize),
    /// Whether losses are reported.
    pub client_reports: bool,
    /// Notifiers with their names.
    pub notifiers: Vec<(String, Notifier)>,
    /// Alerts, and what `match` looks for.
    pub alerts: Vec<(alert::Rule, Option<Target>)>,
}

/// Whose traces are continued.
pub(crate) struct Continuation {
    /// Own organisation.
    pub org_id: Option<String>,
    /// Whether the caller must name it.
    pub strict: bool,
}

/// What every event says.
pub(crate) struct Identity {
    /// Environment.
    pub environment: String,
    /// Release, may be empty.
    pub release: String,
    /// Distribution, may be empty.
    pub dist: String,
    /// Name of the proxy, may be empty.
    pub server_name: String,
    /// Tags.
    pub tags: Map<String, String>,
}

/// Shortest window.
pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// Longest window.
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
/// Longest quiet time.
pub(crate) const MONTH: Duration = Duration::from_secs(30 * 86_400);

impl Settings {
    /// Checks everything, notes every mistake.
    ///
    /// # Errors
    /// All values that are impossible, each with its path.
    pub(crate) fn check(config: Config, trust_xff: bool) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        check_identity(&config, &mut errors);
        check_ranges(&config, &mut errors);
        let sentry = Sentry::check(&config, &mut errors);
        let (routes, templates) = check_routes(&config, &mut errors);
        let key = sentry
            .as_ref()
            .map_or_else(Secret::default, |sentry| sentry.dsn.public_key.clone());
        let user = config
            .user
            .as_ref()
            .map(|user| User::check(user, &key, &mut errors));
        let (notifiers, alerts) = check_alerts(&config, &mut errors);
        let ignore = config
            .ignore
            .iter()
            .enumerate()
            .map(|(at, own)| Matcher::check(own, &format!("ignore[{at}]"), &mut errors))
            .collect();
        let rules = config
            .rules
            .into_iter()
            .enumerate()
            .map(|(at, own)| Rule::check(own, at, &mut errors))
            .collect();
        let redactor = scrub::redactor(&config.scrub, &mut errors);
        let org_id = Some(config.org_id)
            .filter(|id| !id.is_empty())
            .or_else(|| sentry.as_ref().and_then(|sentry| sentry.dsn.org_id.clone()));
        errors.into_result(Self {
            sentry,
            sample_rate: config.sample_rate,
            traces_sample_rate: config.traces_sample_rate,
            continuation: Continuation {
                org_id,
                strict: config.strict_trace_continuation,
            },
            identity: Identity {
                environment: config.environment,
                release: config.release,
                dist: config.dist,
                server_name: config.server_name,
                tags: config.tags,
            },
            statuses: config.report.statuses,
            grpc: config.report.grpc,
            slower_than: config.report.slower_than.map(Duration::from),
            ignore,
            routes,
            templates,
            user,
            redactor,
            send_pii: config.send_default_pii,
            trust_xff,
            availability: config.grouping.availability,
            rules,
            throttle: Throttle {
                burst: config.throttle.burst,
                window: config.throttle.window.into(),
            },
            queue: (
                config.queue.max_events as usize,
                usize::try_from(config.queue.max_bytes).unwrap_or(usize::MAX),
            ),
            client_reports: config.client_reports,
            notifiers,
            alerts,
        })
    }
}

/// Notifiers by name, and alerts with what a `match` looks for.
#[allow(
    clippy::type_complexity,
    reason = "the two lists are those of the settings"
)]
fn check_alerts(
    config: &Config,
    errors: &mut ConfigErrors,
) -> (Vec<(String, Notifier)>, Vec<(alert::Rule, Option<Target>)>) {
    let notifiers = (config.notifiers.iter())
        .filter_map(|(name, own)| {
            let notifier = own.notifier(&format!("notifiers.{name}"), errors)?;
            Some((name.clone(), notifier))
        })
        .collect();
    let names: Vec<&str> = config.notifiers.keys().map(String::as_str).collect();
    errors.check(
        config.alerts.len() <= 64,
        "alerts",
        "expected at most 64 alerts",
    );
    let alerts = (config.alerts.iter().enumerate())
        .filter_map(|(at, own)| alert::rule::check(own, at, &config.alerts, &names, errors))
        .collect();
    (notifiers, alerts)
}

/// What every event says.
fn check_identity(config: &Config, errors: &mut ConfigErrors) {
    let plain = |text: &str, limit: usize| {
        text.chars().count() <= limit && !text.chars().any(char::is_control) && text.trim() == text
    };
    let environment = &config.environment;
    let valid = plain(environment, 64)
        && !environment.is_empty()
        && !environment.contains('/')
        && environment != "None";
    errors.check(
        valid,
        "environment",
        "expected 1 to 64 characters without \"/\" and line breaks, not \"None\"",
    );
    let release = &config.release;
    let valid = plain(release, 200)
        && !release.contains(['/', '\\'])
        && !matches!(release.as_str(), "." | "..");
    errors.check(
        valid,
        "release",
        "expected at most 200 characters without \"/\", \"\\\" and line breaks",
    );
    errors.check(
        plain(&config.dist, 64),
        "dist",
        "expected at most 64 characters without line breaks",
    );
    errors.check(
        plain(&config.server_name, 200),
        "server_name",
        "expected at most 200 characters without line breaks",
    );
    check_tags(&config.tags, "tags", errors);
}

fn check_ranges(config: &Config, errors: &mut ConfigErrors) {
    for (at, code) in config.report.grpc.iter().enumerate() {
        errors.check(
            (1..=16).contains(code),
            format!("report.grpc[{at}]"),
            "expected a gRPC status code from 1 to 16",
        );
    }
    if let Some(slow) = config.report.slower_than {
        check_period(
            slow.0,
            Duration::from_millis(1),
            Duration::from_secs(3600),
            "report.slower_than",
            "expected a duration from 1ms to 1h",
            errors,
        );
    }
    let (throttle, queue) = (&config.throttle, &config.queue);
    check_number(throttle.burst.into(), 1..=1000, "throttle.burst", errors);
    check_period(
        throttle.window.0,
        SECOND,
        DAY,
        "throttle.window",
        "expected a duration from 1s to 1d",
        errors,
    );
    check_number(
        queue.max_events.into(),
        1..=10_000,
        "queue.max_events",
        errors,
    );
    check_number(
        queue.max_bytes,
        65_536..=67_108_864,
        "queue.max_bytes",
        errors,
    );
}

/// Checks that a number is within bounds.
pub(crate) fn check_number(
    number: u64,
    bounds: RangeInclusive<u64>,
    path: &str,
    errors: &mut ConfigErrors,
) {
    let (least, most) = (bounds.start(), bounds.end());
    if !bounds.contains(&number) {
        errors.push(path, format!("expected a number from {least} to {most}"));
    }
}

/// Checks that a duration is within bounds.
pub(crate) fn check_period(
    period: Duration,
    least: Duration,
    most: Duration,
    path: &str,
    expected: &str,
    errors: &mut ConfigErrors,
) {
    errors.check(period >= least && period <= most, path, expected);
}

fn check_routes(config: &Config, errors: &mut ConfigErrors) -> (Routes, Vec<String>) {
    let routes = Routes::compile(&config.routes).unwrap_or_else(|twins| {
        for (later, earlier) in twins {
            errors.push(
                format!("routes[{later}]"),
                format!("expected a template that matches other paths than routes[{earlier}]"),
            );
        }
        Routes::default()
    });
    (
        routes,
        config
            .routes
            .iter()
            .map(|template| template.as_str().to_owned())
            .collect(),
    )
}
