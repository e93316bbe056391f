//! A configuration without impossible values: what the policy counts and what the generators write, so that they agree.
//!
//! 1. Bounds ascend; a latency threshold is one of them, so that dashboards and objectives speak of the same requests.
//! 2. No label's name is a suffix of another's: Envoy's tag regexes match in mid-string, so `code` would bite `grpc_code`.
//! 3. A route belongs to the objectives that name it, else to those that name `*`.

use launchgate_sdk::call_config::{CallConfig, CallTarget};
use launchgate_sdk::headers::InvalidHeader;
use launchgate_sdk::map::Set;
use launchgate_sdk::path::PathRule;
use launchgate_sdk::route::Routes;
use launchgate_sdk::{Cidr, ConfigErrors, Period};
use std::time::Duration;

use crate::config::{Config, CustomLabel, Endpoint, Extra, Label, Otlp};
use crate::slo::{Objective, objectives};

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Labels of the vocabulary, in order.
    pub labels: Vec<Label>,
    /// Route templates by number.
    pub templates: Vec<String>,
    /// The templates compiled.
    pub routes: Routes,
    /// Labels from headers, in order, after the vocabulary's.
    pub custom: Vec<Custom>,
    /// Bounds of durations in milliseconds.
    pub buckets: Vec<u64>,
    /// Bounds of stream durations in milliseconds.
    pub stream_buckets: Vec<u64>,
    /// Bounds of sizes in bytes.
    pub size_buckets: Vec<u64>,
    /// Histograms besides the durations of requests and streams.
    pub extras: Set<Extra>,
    /// Paths not counted.
    pub exclude: Vec<PathRule>,
    /// Label sets of a proxy.
    pub max_series: usize,
    /// Whether the numbers go to Envoy's stats.
    pub envoy_stats: bool,
    /// Own exposition.
    pub endpoint: Option<(PathRule, Vec<Cidr>)>,
    /// Push.
    pub otlp: Option<Push>,
    /// Objectives.
    pub slo: Vec<Objective>,
}

/// A label from a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Custom {
    /// Name of the label.
    pub name: String,
    /// Header in lower case.
    pub header: String,
    /// Values let through by a list.
    pub allow: Vec<String>,
    /// How many values are let through where there is no list.
    pub max_values: usize,
}

/// An OTLP push.
#[derive(Debug, Clone)]
pub struct Push {
    /// Where to.
    pub target: CallTarget,
    /// How often.
    pub interval: Duration,
    /// `service.name`.
    pub service: String,
}

/// Names of labels that this plugin's own families have besides the vocabulary, and `le` of every histogram.
const OWN_LABELS: [&str; 7] = [
    "slo",
    "objective",
    "outcome",
    "plugin",
    "version",
    "call",
    "le",
];
const VOCABULARY: [Label; 8] = [
    Label::Method,
    Label::Route,
    Label::Status,
    Label::StatusClass,
    Label::Source,
    Label::Flags,
    Label::GrpcCode,
    Label::Attempts,
];
const MOST_BOUNDS: usize = 30;
const MOST_ROUTES: usize = 10_000;

/// How many labels a request's headers can give.
pub(crate) const MOST_CUSTOM: usize = 8;

impl Settings {
    /// Checks a configuration.
    ///
    /// # Errors
    /// Every impossible value, with its path.
    pub fn check(config: Config) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let buckets = durations(&config.buckets, "buckets", &mut errors);
        for (position, label) in config.labels.iter().enumerate() {
            let first = config.labels.iter().position(|other| other == label) == Some(position);
            errors.check(
                first,
                format!("labels[{position}]"),
                "expected each label once",
            );
        }
        let routes = compile(&config, &mut errors);
        errors.check(
            (1..=10_000).contains(&config.max_series),
            "max_series",
            "expected a number from 1 to 10000",
        );
        let slo = objectives(&config.slo, &buckets, &mut errors);
        let settings = Self {
            templates: config
                .routes
                .iter()
                .map(|route| route.as_str().to_owned())
                .collect(),
            routes,
            custom: custom_labels(config.custom_labels, &mut errors),
            stream_buckets: durations(&config.stream_buckets, "stream_buckets", &mut errors),
            size_buckets: sizes(config.size_buckets, &mut errors),
            buckets,
            extras: config.histograms.into_iter().collect(),
            exclude: config.exclude,
            max_series: config.max_series as usize,
            envoy_stats: config.envoy_stats,
            endpoint: config
                .endpoint
                .and_then(|endpoint| checked_endpoint(endpoint, &mut errors)),
            otlp: config.otlp.and_then(|otlp| push(otlp, &mut errors)),
            labels: config.labels,
            slo,
        };
        errors.into_result(settings)
    }

    /// Names of all labels of a series, in order.
    pub fn label_names(&self) -> Vec<&str> {
        self.labels
            .iter()
            .map(|label| label.name())
            .chain(self.custom.iter().map(|custom| custom.name.as_str()))
            .collect()
    }

    /// Whether a series has this label.
    pub fn has(&self, label: Label) -> bool {
        self.labels.contains(&label)
    }

    /// Positions of the objectives that a route belongs to.
    pub fn objectives_of(&self, route: &str) -> Vec<usize> {
        let names = |objective: &Objective| objective.routes.iter().any(|own| own == route);
        let named = self.slo.iter().any(names);
        let belongs = |(_, objective): &(usize, &Objective)| {
            if named {
                names(objective)
            } else {
                objective.others
            }
        };
        self.slo
            .iter()
            .enumerate()
            .filter(belongs)
            .map(|(position, _)| position)
            .collect()
    }
}

fn compile(config: &Config, errors: &mut ConfigErrors) -> Routes {
    errors.check(
        config.routes.len() <= MOST_ROUTES,
        "routes",
        "expected at most 10000 templates",
    );
    match Routes::compile(&config.routes) {
        Ok(routes) => routes,
        Err(twins) => {
            for (position, earlier) in twins {
                errors.push(
                    format!("routes[{position}]"),
                    format!("expected a template that matches other paths than routes[{earlier}]"),
                );
            }
            Routes::default()
        }
    }
}

fn durations(periods: &[Period], path: &str, errors: &mut ConfigErrors) -> Vec<u64> {
    let mut bounds: Vec<u64> = Vec::new();
    for (position, period) in periods.iter().enumerate() {
        let nanos = period.0.as_nanos();
        let whole = nanos > 0 && nanos.is_multiple_of(1_000_000);
        errors.check(
            whole,
            format!("{path}[{position}]"),
            "expected whole milliseconds, at least 1ms",
        );
        bounds.push(u64::try_from(nanos / 1_000_000).unwrap_or(u64::MAX));
    }
    ascending(&bounds, path, errors);
    bounds
}

fn sizes(bounds: Vec<u64>, errors: &mut ConfigErrors) -> Vec<u64> {
    ascending(&bounds, "size_buckets", errors);
    bounds
}

fn ascending(bounds: &[u64], path: &str, errors: &mut ConfigErrors) {
    errors.check(
        (1..=MOST_BOUNDS).contains(&bounds.len()),
        path,
        "expected 1 to 30 bounds",
    );
    for (position, (one, next)) in bounds.iter().zip(bounds.iter().skip(1)).enumerate() {
        errors.check(
            one < next,
            format!("{path}[{}]", position + 1),
            "expected more than the bound before it",
        );
    }
}

fn custom_labels(labels: Vec<CustomLabel>, errors: &mut ConfigErrors) -> Vec<Custom> {
    errors.check(
        labels.len() <= MOST_CUSTOM,
        "custom_labels",
        "expected at most 8 labels",
    );
    let mut known: Vec<String> = VOCABULARY
        .iter()
        .map(|label| label.name())
        .chain(OWN_LABELS)
        .map(str::to_owned)
        .collect();
    let mut custom = Vec::new();
    for (position, label) in labels.into_iter().enumerate() {
        let at = |key: &str| format!("custom_labels[{position}].{key}");
        if !is_label_name(&label.name) {
            errors.push(
                at("name"),
                "expected letters, digits and \"_\", beginning with a letter or one \"_\"",
            );
        } else if let Some(other) = known
            .iter()
            .find(|other| other.ends_with(&label.name) || label.name.ends_with(other.as_str()))
        {
            errors.push(
                at("name"),
                format!("expected no suffix of the label name \"{other}\" and the other way round"),
            );
        }
        errors.check(
            InvalidHeader::check(&label.header, b"").is_ok(),
            at("header"),
            "expected a header name",
        );
        let both = !label.allow.is_empty() && label.max_values.is_some();
        errors.check(!both, at("max_values"), "expected it only without allow");
        let possible = label
            .max_values
            .is_none_or(|most| (1..=1000).contains(&most));
        errors.check(
            possible,
            at("max_values"),
            "expected a number from 1 to 1000",
        );
        errors.check(
            label.allow.len() <= 1000,
            at("allow"),
            "expected at most 1000 values",
        );
        known.push(label.name.clone());
        custom.push(Custom {
            name: label.name,
            header: label.header.to_ascii_lowercase(),
            allow: label.allow,
            max_values: label.max_values.unwrap_or(100) as usize,
        });
    }
    custom
}

/// A Prometheus label name that is not reserved (`__…`).
fn is_label_name(name: &str) -> bool {
    let first = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first
        && !name.starts_with("__")
        && name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn checked_endpoint(
    endpoint: Endpoint,
    errors: &mut ConfigErrors,
) -> Option<(PathRule, Vec<Cidr>)> {
    let path = endpoint.path.or_else(|| PathRule::parse("/metrics"))?;
    errors.check(
        !path.as_str().ends_with('/'),
        "endpoint.path",
        "expected an exact path, without \"/\" at its end",
    );
    Some((path, endpoint.allow))
}

fn push(otlp: Otlp, errors: &mut ConfigErrors) -> Option<Push> {
    let call = CallConfig {
        cluster: otlp.cluster,
        authority: otlp.authority,
        path: otlp.path,
        headers: otlp.headers,
        timeout: otlp.timeout,
        url: otlp.url,
    };
    let interval = otlp
        .interval
        .map_or(Duration::from_secs(30), Duration::from);
    let possible = interval >= Duration::from_secs(1) && interval <= Duration::from_secs(3600);
    errors.check(
        possible,
        "otlp.interval",
        "expected a duration from 1s to 1h",
    );
    let service = otlp.service.unwrap_or_else(|| "launchgate".to_owned());
    errors.check(!service.is_empty(), "otlp.service", "expected a name");
    call.target("otlp", "/v1/metrics", errors)
        .map(|target| Push {
            target,
            interval,
            service,
        })
}
