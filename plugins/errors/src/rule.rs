//! Rules that drop or change events, and what tags may look like.

use launchgate_sdk::map::Map;

use launchgate_sdk::ConfigErrors;

use crate::config::{self, Level};
use crate::matcher::Matcher;
use launchgate_sdk::Rate;

/// A rule that drops or changes events.
pub(crate) struct Rule {
    /// Which events.
    pub when: Matcher,
    /// Dropped.
    pub drop: bool,
    /// Level.
    pub level: Option<Level>,
    /// Tags.
    pub tags: Map<String, String>,
    /// Fingerprint, empty: as it is.
    pub fingerprint: Vec<String>,
    /// Share.
    pub sample_rate: Option<Rate>,
}

impl Rule {
    /// Checks one of `rules`.
    pub(crate) fn check(rule: config::Rule, at: usize, errors: &mut ConfigErrors) -> Self {
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
        Self {
            when,
            drop: rule.drop,
            level: rule.level,
            tags: rule.tags,
            fingerprint: rule.fingerprint,
            sample_rate: rule.sample_rate,
        }
    }
}

/// Checks tags: what Sentry would cut or refuse is refused here.
pub(crate) fn check_tags(tags: &Map<String, String>, at: &str, errors: &mut ConfigErrors) {
    for (name, value) in tags {
        let named = (1..=32).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte));
        let valued = value.chars().count() < 200 && !value.chars().any(char::is_control);
        errors.check(named && valued, format!("{at}.{name}"), "expected a name of 1 to 32 letters, digits, \"_\", \".\", \":\" and \"-\", and a value below 200 characters without line breaks");
    }
}
