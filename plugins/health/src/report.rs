//! What the records of the dependencies say about the service.

use std::time::Duration;

use crate::config::Fallback;
use crate::record::Record;
use crate::settings::Settings;

/// State of a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It works.
    Connected,
    /// It does not.
    Unavailable,
    /// It was not checked yet.
    Unchecked,
    /// The last result is too old.
    Stale,
}

impl State {
    /// As users know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Unavailable => "unavailable",
            Self::Unchecked | Self::Stale => "unknown",
        }
    }
}

/// Status of the service, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// All is well.
    Healthy,
    /// It serves, without something it would like to have.
    Degraded,
    /// It cannot serve.
    Unhealthy,
}

impl Status {
    /// As users know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// As a load balancer reads it.
    pub(crate) fn code(self) -> u16 {
        if self == Self::Unhealthy { 503 } else { 200 }
    }
}

impl From<Fallback> for Status {
    fn from(fallback: Fallback) -> Self {
        match fallback {
            Fallback::Degraded => Self::Degraded,
            Fallback::Unhealthy => Self::Unhealthy,
        }
    }
}

/// What is known of a dependency now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) state: State,
    pub(crate) record: Record,
    pub(crate) age: Option<Duration>,
}

impl Finding {
    /// Reads a record; none counts as never checked.
    pub(crate) fn read(record: Option<Record>, max_age: Duration, now: Duration) -> Self {
        let record = record.unwrap_or_default();
        let age = record.age(now);
        let state = match age {
            None => State::Unchecked,
            Some(age) if age > max_age => State::Stale,
            Some(_) if record.connected => State::Connected,
            Some(_) => State::Unavailable,
        };
        Self { state, record, age }
    }
}

/// Readiness of the service, the excluded dependencies aside. `findings` stand in the order of the dependencies.
pub(crate) fn readiness(findings: &[Finding], settings: &Settings, excluded: &[usize]) -> Status {
    let counted = || {
        let all = findings.iter().zip(&settings.dependencies).enumerate();
        all.filter(|(position, _)| !excluded.contains(position))
            .map(|(_, both)| both)
    };
    let required = || counted().filter(|(_, dependency)| dependency.required);
    if required().count() > 1 && required().all(|(finding, _)| finding.state == State::Unavailable)
    {
        return settings.on_total_failure.into();
    }
    let status =
        |(finding, dependency): (&Finding, &crate::dependency::Dependency)| match finding.state {
            State::Connected => Status::Healthy,
            _ if !dependency.required => Status::Degraded,
            _ => of_one(finding, settings),
        };
    counted().map(status).max().unwrap_or(Status::Healthy)
}

/// Status of one dependency by itself.
pub(crate) fn of_one(finding: &Finding, settings: &Settings) -> Status {
    match finding.state {
        State::Connected => Status::Healthy,
        State::Unavailable | State::Unchecked => Status::Unhealthy,
        State::Stale => settings.on_stale.into(),
    }
}

/// Whether every required dependency was checked once.
pub(crate) fn startup(findings: &[Finding], settings: &Settings) -> Status {
    let waits = |(finding, dependency): (&Finding, &crate::dependency::Dependency)| {
        dependency.required && finding.state == State::Unchecked
    };
    if findings.iter().zip(&settings.dependencies).any(waits) {
        Status::Unhealthy
    } else {
        Status::Healthy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(config: &str) -> Settings {
        Settings::build(launchgate_sdk::config::read(config).unwrap(), false).unwrap()
    }

    /// `R` required, `o` optional.
    fn with(kinds: &str, rest: &str) -> Settings {
        let dependency = |(index, kind)| {
            format!(
                r#"{{"name": "d{index}", "kind": "http", "cluster": "c", "required": {}}}"#,
                kind == 'R'
            )
        };
        let list: Vec<String> = kinds.chars().enumerate().map(dependency).collect();
        settings(&format!(
            r#"{{"dependencies": [{}]{rest}}}"#,
            list.join(",")
        ))
    }

    /// `c` connected, `u` unavailable, `-` never checked, `s` stale.
    fn findings(states: &str) -> Vec<Finding> {
        let finding = |letter| {
            let state = match letter {
                'c' => State::Connected,
                'u' => State::Unavailable,
                's' => State::Stale,
                _ => State::Unchecked,
            };
            Finding {
                state,
                record: Record::default(),
                age: None,
            }
        };
        states.chars().map(finding).collect()
    }

    #[test]
    fn readiness_is_the_worst_of_what_counts() {
        use Status::{Degraded, Healthy, Unhealthy};
        for (name, kinds, states, rest, excluded, expected) in [
            ("nothing to depend on", "", "", "", &[][..], Healthy),
            ("all connected", "Ro", "cc", "", &[], Healthy),
            ("an optional one out", "Ro", "cu", "", &[], Degraded),
            (
                "an optional one never checked",
                "Ro",
                "c-",
                "",
                &[],
                Degraded,
            ),
            ("a required one out", "Ro", "uc", "", &[], Unhealthy),
            (
                "a required one never checked",
                "Ro",
                "-c",
                "",
                &[],
                Unhealthy,
            ),
            ("a required one excluded", "Ro", "uc", "", &[0], Healthy),
            ("stale is degraded by default", "R", "s", "", &[], Degraded),
            (
                "stale may be unhealthy",
                "R",
                "s",
                r#", "on_stale": "unhealthy""#,
                &[],
                Unhealthy,
            ),
            (
                "stale and optional is degraded",
                "Ro",
                "cs",
                r#", "on_stale": "unhealthy""#,
                &[],
                Degraded,
            ),
            ("all required out", "RRo", "uuc", "", &[], Unhealthy),
            (
                "all required out, failing open",
                "RRo",
                "uuc",
                r#", "on_total_failure": "degraded""#,
                &[],
                Degraded,
            ),
            (
                "one of two is no total failure",
                "RRo",
                "ucu",
                r#", "on_total_failure": "degraded""#,
                &[],
                Unhealthy,
            ),
            (
                "one required alone is no total failure",
                "Ro",
                "uu",
                r#", "on_total_failure": "degraded""#,
                &[],
                Unhealthy,
            ),
            (
                "never checked is no total failure",
                "RR",
                "--",
                r#", "on_total_failure": "degraded""#,
                &[],
                Unhealthy,
            ),
        ] {
            assert_eq!(
                readiness(&findings(states), &with(kinds, rest), excluded),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn startup_waits_for_the_first_result_and_not_for_a_good_one() {
        for (kinds, states, expected) in [
            ("", "", 200),
            ("Ro", "u-", 200),
            ("RR", "c-", 503),
            ("R", "s", 200),
        ] {
            assert_eq!(
                startup(&findings(states), &with(kinds, "")).code(),
                expected,
                "{kinds} {states}"
            );
        }
    }

    #[test]
    fn a_result_ages() {
        let second = Duration::from_secs(1);
        let record = Record {
            checked: 1_000_000_000,
            connected: true,
            ..Record::default()
        };
        let state = |now: u64| {
            Finding::read(Some(record.clone()), 30 * second, Duration::from_secs(now)).state
        };
        assert_eq!(
            (state(1), state(31), state(32)),
            (State::Connected, State::Connected, State::Stale)
        );
        assert_eq!(Finding::read(None, second, second).state, State::Unchecked);
    }
}
