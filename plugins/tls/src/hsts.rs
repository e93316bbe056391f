//! The `strict-transport-security` header of now.
//!
//! 1. The value is that of the last `ramp` stage that has begun, before the first one that of `max_age`. `kill` overrides all.
//! 2. `preload` is refused unless the header is eligible at every time (hstspreload.org: subdomains included, one year at
//!    least). More than ten years, and a stage that lowers the one before, give a warning.
//! 3. Whether it is sent at all (secure transport, no IP host: RFC 6797 sections 7.2 and 8.1.1) is the policy's decision.

use launchgate_sdk::{ConfigErrors, Period, Timestamp};

use crate::config::{HstsConfig, UpstreamHsts};

const DAY: u64 = 86_400;
const YEAR: u64 = 365 * DAY;

/// The header's values by time.
#[derive(Debug)]
pub(crate) struct Hsts {
    first: String,
    stages: Vec<(Timestamp, String)>,
    /// Whether an upstream's own header stays.
    pub(crate) keeps_upstream: bool,
}

impl Hsts {
    /// Checks and writes the values; `None` where the header is off.
    pub(crate) fn new(
        config: &HstsConfig,
        errors: &mut ConfigErrors,
        warnings: &mut Vec<String>,
    ) -> Option<Self> {
        check(config, errors);
        warn(config, warnings);
        let value = |period: Period| {
            if config.kill {
                return "max-age=0".to_owned();
            }
            let subdomains = if config.include_subdomains {
                "; includeSubDomains"
            } else {
                ""
            };
            let preload = if config.preload { "; preload" } else { "" };
            format!("max-age={}{subdomains}{preload}", period.0.as_secs())
        };
        config.enabled.then(|| Self {
            first: value(config.max_age),
            stages: config
                .ramp
                .iter()
                .map(|stage| (stage.from.0, value(stage.max_age)))
                .collect(),
            keeps_upstream: config.upstream == UpstreamHsts::Keep,
        })
    }

    /// The value at a time.
    pub(crate) fn value(&self, now: Timestamp) -> &str {
        let begun = self.stages.iter().rev().find(|(from, _)| *from <= now);
        begun.map_or(&self.first, |(_, value)| value)
    }
}

fn check(config: &HstsConfig, errors: &mut ConfigErrors) {
    let ages = || {
        let stages = config
            .ramp
            .iter()
            .enumerate()
            .map(|(index, stage)| (format!("hsts.ramp[{index}].max_age"), stage.max_age));
        std::iter::once(("hsts.max_age".to_owned(), config.max_age)).chain(stages)
    };
    for (path, age) in ages() {
        errors.check(age.0.subsec_nanos() == 0, path, "expected whole seconds");
    }
    for (index, pair) in config.ramp.windows(2).enumerate() {
        if let [earlier, later] = pair {
            errors.check(
                earlier.from < later.from,
                format!("hsts.ramp[{}].from", index + 1),
                "expected a time after that of the stage before",
            );
        }
    }
    if !config.preload {
        return;
    }
    errors.check(
        config.enabled,
        "hsts.preload",
        "expected false where hsts.enabled is false",
    );
    errors.check(!config.kill, "hsts.preload", "expected false with kill: a header with preload is not eligible for removal (hstspreload.org)");
    errors.check(config.include_subdomains, "hsts.preload", "expected false without include_subdomains: the header would not be eligible (hstspreload.org)");
    for (path, age) in ages() {
        errors.check(age.0.as_secs() >= YEAR, path, "expected at least \"365d\" with preload, or the header would not be eligible (hstspreload.org)");
    }
}

fn warn(config: &HstsConfig, warnings: &mut Vec<String>) {
    let ages: Vec<Period> = std::iter::once(config.max_age)
        .chain(config.ramp.iter().map(|stage| stage.max_age))
        .collect();
    if ages.iter().any(|age| age.0.as_secs() > 10 * YEAR) {
        warnings.push("hsts: a max_age of more than ten years is unusually long".to_owned());
    }
    if ages.windows(2).any(|pair| pair.first() > pair.last()) {
        warnings.push("hsts: a ramp stage lowers max_age; stages follow each other, max_age holds before the first one".to_owned());
    }
    if config.kill {
        warnings.push("hsts: kill is on, browsers forget this host".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(config: &str) -> Result<(Hsts, Vec<String>), String> {
        let (mut errors, mut warnings) = (ConfigErrors::default(), Vec::new());
        let config: HstsConfig =
            launchgate_sdk::config::read(config).map_err(|error| error.to_string())?;
        let hsts = Hsts::new(&config, &mut errors, &mut warnings);
        errors
            .into_result(())
            .map_err(|errors| errors.to_string())?;
        Ok((hsts.expect("enabled"), warnings))
    }

    #[test]
    fn values_have_each_directive_once() {
        for (config, value) in [
            ("{}", "max-age=31536000; includeSubDomains"),
            (r#"{"include_subdomains": false}"#, "max-age=31536000"),
            (
                r#"{"preload": true}"#,
                "max-age=31536000; includeSubDomains; preload",
            ),
            (r#"{"max_age": "1h30m"}"#, "max-age=5400; includeSubDomains"),
            (r#"{"max_age": "0s"}"#, "max-age=0; includeSubDomains"),
            (r#"{"kill": true}"#, "max-age=0"),
        ] {
            assert_eq!(
                load(config).unwrap().0.value(Timestamp::from_seconds(1)),
                value,
                "{config}"
            );
        }
    }

    #[test]
    fn the_last_stage_that_has_begun_counts() {
        let (hsts, warnings) = load(
            r#"{"max_age": "5m", "include_subdomains": false, "ramp": [
                {"from": "2026-12-01T00:00:00Z", "max_age": "7d"}, {"from": "2027-01-01T00:00:00+01:00", "max_age": "365d"}]}"#,
        )
        .unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        for (now, value) in [
            ("2026-11-30T23:59:59.999Z", "max-age=300"),
            ("2026-12-01T00:00:00Z", "max-age=604800"),
            ("2026-12-31T22:59:59Z", "max-age=604800"),
            ("2026-12-31T23:00:00Z", "max-age=31536000"),
            ("2099-01-01T00:00:00Z", "max-age=31536000"),
        ] {
            assert_eq!(
                hsts.value(Timestamp::parse_rfc3339(now).unwrap()),
                value,
                "{now}"
            );
        }
    }

    #[test]
    fn preload_is_refused_unless_eligible_at_every_time() {
        for (config, path) in [
            (
                r#"{"preload": true, "include_subdomains": false}"#,
                "hsts.preload",
            ),
            (r#"{"preload": true, "max_age": "364d"}"#, "hsts.max_age"),
            (r#"{"preload": true, "kill": true}"#, "hsts.preload"),
            (r#"{"preload": true, "enabled": false}"#, "hsts.preload"),
            (
                r#"{"preload": true, "ramp": [{"from": "2026-12-01T00:00:00Z", "max_age": "30d"}]}"#,
                "hsts.ramp[0].max_age",
            ),
            (r#"{"max_age": "1500ms"}"#, "hsts.max_age"),
            (
                r#"{"ramp": [{"from": "2026-12-01T00:00:00Z", "max_age": "1d"}, {"from": "2026-12-01T00:00:00Z", "max_age": "2d"}]}"#,
                "hsts.ramp[1].from",
            ),
        ] {
            let error = load(config).unwrap_err();
            assert!(
                error.starts_with(&format!("{path}: expected ")),
                "{config}: {error}"
            );
        }
    }

    #[test]
    fn surprising_settings_give_a_warning() {
        for (config, word) in [
            (r#"{"max_age": "3651d"}"#, "ten years"),
            (r#"{"kill": true}"#, "forget"),
            (
                r#"{"ramp": [{"from": "2026-12-01T00:00:00Z", "max_age": "30d"}]}"#,
                "lowers",
            ),
        ] {
            let warnings = load(config).unwrap().1;
            assert!(
                warnings.iter().any(|line| line.contains(word)),
                "{config}: {warnings:?}"
            );
        }
    }
}
