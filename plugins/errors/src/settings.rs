//! The configuration, checked: what the policy works with.

use std::collections::BTreeMap;
use std::time::Duration;

use launchgate_sdk::claim::ClaimConfig;
use launchgate_sdk::hash::Key;
use launchgate_sdk::notifier::Notifier;
use launchgate_sdk::redact::Redactor;
use launchgate_sdk::route::Routes;
use launchgate_sdk::{Call, CallConfig, CallTarget, ConfigErrors, Secret};

use crate::alert::{self, When};
use crate::config::{self, Availability, Config, Kind, Level, Per, SendUser, Severity};
use crate::dsn::Dsn;
use crate::matcher::Matcher;
use crate::rate::Rate;
use crate::scrub;
use crate::seen::Throttle;
use crate::status::StatusRange;

/// Name and version in events and in the `User-Agent`.
pub(crate) const CLIENT: &str = concat!("launchgate.errors/", env!("CARGO_PKG_VERSION"));

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

/// Where events go.
pub(crate) struct Sentry {
    /// The DSN.
    pub dsn: Dsn,
    target: CallTarget,
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
    pub tags: BTreeMap<String, String>,
}

/// Who requests are made for.
pub(crate) struct User {
    /// Header, empty for a claim.
    pub header: String,
    /// Claim.
    pub jwt: Option<ClaimConfig>,
    /// What events say.
    pub send: SendUser,
    /// Key of the hash.
    pub key: Key,
}

/// A rule that drops or changes events.
pub(crate) struct Rule {
    /// Which events.
    pub when: Matcher,
    /// Dropped.
    pub drop: bool,
    /// Level.
    pub level: Option<Level>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Fingerprint, empty: as it is.
    pub fingerprint: Vec<String>,
    /// Share.
    pub sample_rate: Option<Rate>,
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

impl Sentry {
    /// The call that delivers an envelope.
    pub(crate) fn call(&self, envelope: Vec<u8>) -> Call {
        self.target
            .post("application/x-sentry-envelope", envelope)
            .header("x-sentry-auth", &self.dsn.auth(CLIENT))
            .header("user-agent", CLIENT)
            .body_limit(ANSWER_LIMIT)
    }

    /// The cluster.
    pub(crate) fn cluster(&self) -> &str {
        self.target.cluster()
    }
}

const ANSWER_LIMIT: usize = 4096;
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const MONTH: Duration = Duration::from_secs(30 * 86_400);

impl Settings {
    /// Checks everything, notes every mistake.
    ///
    /// # Errors
    /// All values that are impossible, each with its path.
    pub(crate) fn check(config: Config, trust_xff: bool) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        check_ranges(&config, &mut errors);
        let sentry = check_sentry(&config, &mut errors);
        let (routes, templates) = check_routes(&config, &mut errors);
        let key = sentry
            .as_ref()
            .map_or_else(Secret::default, |sentry| sentry.dsn.public_key.clone());
        let user = config
            .user
            .as_ref()
            .and_then(|user| check_user(user, &key, &mut errors));
        let notifiers: Vec<_> = (config.notifiers.iter())
            .filter_map(|(name, own)| {
                Some((
                    name.clone(),
                    own.notifier(&format!("notifiers.{name}"), &mut errors)?,
                ))
            })
            .collect();
        let names: Vec<&str> = config.notifiers.keys().map(String::as_str).collect();
        let alerts = config
            .alerts
            .iter()
            .enumerate()
            .filter_map(|(at, own)| check_alert(own, at, &config.alerts, &names, &mut errors))
            .collect();
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
            .map(|(at, own)| check_rule(own, at, &mut errors))
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

fn check_ranges(config: &Config, errors: &mut ConfigErrors) {
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
    errors.check(
        (1..=1000).contains(&config.throttle.burst),
        "throttle.burst",
        "expected a number from 1 to 1000",
    );
    check_period(
        config.throttle.window.0,
        SECOND,
        DAY,
        "throttle.window",
        "expected a duration from 1s to 1d",
        errors,
    );
    errors.check(
        (1..=10_000).contains(&config.queue.max_events),
        "queue.max_events",
        "expected a number from 1 to 10000",
    );
    errors.check(
        (65_536..=67_108_864).contains(&config.queue.max_bytes),
        "queue.max_bytes",
        "expected a number from 65536 to 67108864",
    );
    errors.check(
        config.alerts.len() <= 64,
        "alerts",
        "expected at most 64 alerts",
    );
}

fn check_period(
    period: Duration,
    least: Duration,
    most: Duration,
    path: &str,
    expected: &str,
    errors: &mut ConfigErrors,
) {
    errors.check(period >= least && period <= most, path, expected);
}

fn check_tags(tags: &BTreeMap<String, String>, at: &str, errors: &mut ConfigErrors) {
    for (name, value) in tags {
        let named = (1..=32).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte));
        let valued = value.chars().count() < 200 && !value.chars().any(char::is_control);
        errors.check(named && valued, format!("{at}.{name}"), "expected a name of 1 to 32 letters, digits, \"_\", \".\", \":\" and \"-\", and a value below 200 characters without line breaks");
    }
}

fn check_sentry(config: &Config, errors: &mut ConfigErrors) -> Option<Sentry> {
    if config.dsn.is_empty() {
        return None;
    }
    let dsn = Dsn::parse(config.dsn.expose());
    if dsn.is_none() {
        errors.push_hidden(
            "dsn",
            "expected a DSN such as \"https://<key>@<host>/<project>\"",
        );
    }
    let authority = dsn
        .as_ref()
        .map_or("sentry.invalid", |dsn| &dsn.authority)
        .to_owned();
    let path = dsn.as_ref().map_or("/", |dsn| &dsn.path);
    let call = CallConfig {
        cluster: config.cluster.clone(),
        authority,
        path: Secret::new(path),
        timeout: Some(config.timeout),
        ..CallConfig::default()
    };
    let target = call.target("", "/", errors)?;
    Some(Sentry { dsn: dsn?, target })
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

fn check_user(user: &config::User, fallback: &Secret, errors: &mut ConfigErrors) -> Option<User> {
    errors.check(
        user.header.is_empty() == user.jwt.is_some(),
        "user",
        "expected one of header and jwt",
    );
    let valid = user.header.is_empty()
        || launchgate_sdk::headers::InvalidHeader::check(&user.header, b"").is_ok();
    errors.check(valid, "user.header", "expected a header name");
    if let Some(jwt) = &user.jwt {
        jwt.check("user.jwt", errors);
    }
    if !user.hmac_key.is_empty() && user.hmac_key.expose().len() < 16 {
        errors.push_hidden("user.hmac_key", "expected at least 16 bytes");
    }
    let key = if user.hmac_key.is_empty() {
        fallback
    } else {
        &user.hmac_key
    };
    Some(User {
        header: user.header.to_ascii_lowercase(),
        jwt: user.jwt.clone(),
        send: user.send,
        key: Key::new(key.expose().as_bytes()),
    })
}

fn check_rule(rule: config::Rule, at: usize, errors: &mut ConfigErrors) -> Rule {
    check_tags(&rule.tags, &format!("rules[{at}].tags"), errors);
    for (position, part) in rule.fingerprint.iter().enumerate() {
        let valid = (1..=200).contains(&part.chars().count());
        errors.check(
            valid,
            format!("rules[{at}].fingerprint[{position}]"),
            "expected 1 to 200 characters",
        );
    }
    errors.check(
        rule.fingerprint.len() <= 16,
        format!("rules[{at}].fingerprint"),
        "expected at most 16 parts",
    );
    let when = Matcher::check(&rule.when, &format!("rules[{at}].when"), errors);
    Rule {
        when,
        drop: rule.drop,
        level: rule.level,
        tags: rule.tags,
        fingerprint: rule.fingerprint,
        sample_rate: rule.sample_rate,
    }
}

fn check_alert(
    alert: &config::Alert,
    at: usize,
    all: &[config::Alert],
    notifiers: &[&str],
    errors: &mut ConfigErrors,
) -> Option<(alert::Rule, Option<Target>)> {
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
    let limit = alert.limit.unwrap_or(10);
    errors.check(
        (1..=1000).contains(&limit),
        path("limit"),
        "expected a number from 1 to 1000",
    );
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
    let rule = alert::Rule {
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

fn check_when(when: &config::When, at: &str, errors: &mut ConfigErrors) -> Option<When> {
    let Some(kind) = when.kind else {
        errors.push(format!("{at}.kind"), "is required");
        return None;
    };
    let mut window = |default: u64| {
        let window = when
            .window
            .map_or(Duration::from_secs(default), Duration::from);
        check_period(
            window,
            SECOND,
            DAY,
            &format!("{at}.window"),
            "expected a duration from 1s to 1d",
            errors,
        );
        millis(window)
    };
    match kind {
        Kind::FirstSeen => Some(When::FirstSeen),
        Kind::Frequency => {
            let (window, count) = (window(60), when.count.unwrap_or(0));
            errors.check(
                (1..=1_000_000).contains(&count),
                format!("{at}.count"),
                "expected a number from 1 to 1000000",
            );
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
                format!("{at}.percent"),
                "expected a percent number above 0",
            );
            let min_requests = when.min_requests.unwrap_or(50);
            errors.check(
                (1..=1_000_000_000).contains(&min_requests),
                format!("{at}.min_requests"),
                "expected a number from 1 to 1000000000",
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
                &format!("{at}.quiet"),
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
            let valid = when.header.is_empty()
                || launchgate_sdk::headers::InvalidHeader::check(&when.header, b"").is_ok();
            errors.check(valid, format!("{at}.header"), "expected a header name");
            errors.check(
                when.values.len() <= 1000,
                format!("{at}.values"),
                "expected at most 1000 values",
            );
            Some(When::Match)
        }
        Kind::UniqueUsers => {
            let (window, count) = (window(3600), when.count.unwrap_or(0));
            errors.check(
                (1..=100).contains(&count),
                format!("{at}.count"),
                "expected a number from 1 to 100",
            );
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
