//! The configuration without invalid state.

use launchgate_sdk::map::Set;
use std::time::Duration;

use launchgate_sdk::{AccessGuard, ConfigErrors};

use crate::config::{Config, Fallback, Paths};
use crate::dependency::Dependency;

/// More dependencies than this would make a readiness reply slow.
const MOST_DEPENDENCIES: usize = 32;

/// What the policy works by.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) service: String,
    pub(crate) paths: Paths,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) max_age: Duration,
    pub(crate) on_stale: Fallback,
    pub(crate) on_total_failure: Fallback,
    pub(crate) details: AccessGuard,
    pub(crate) drain_path: String,
    pub(crate) drain: AccessGuard,
}

impl Settings {
    /// Builds the settings, or says everything that is wrong.
    pub(crate) fn build(config: Config, trust_envoy_xff: bool) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        check_paths(&config, &mut errors);
        errors.check(
            config.max_age.0 >= Duration::from_millis(1),
            "max_age",
            "expected 1ms or more",
        );
        let count = config.dependencies.len();
        errors.check(
            count <= MOST_DEPENDENCIES,
            "dependencies",
            "expected at most 32",
        );
        let mut names = Set::new();
        let mut dependencies = Vec::with_capacity(count);
        for (index, raw) in config.dependencies.into_iter().enumerate() {
            let path = format!("dependencies[{index}]");
            errors.check(
                names.insert(raw.name.clone()),
                format!("{path}.name"),
                "expected a name of its own",
            );
            dependencies.push(Dependency::build(raw, &path, &mut errors));
        }
        let details = AccessGuard::new(
            config.details.allow,
            config.details.token,
            trust_envoy_xff,
            "details",
            &mut errors,
        );
        let drain = AccessGuard::new(
            config.drain.allow,
            config.drain.token,
            trust_envoy_xff,
            "drain",
            &mut errors,
        );
        errors.into_result(Self {
            service: config.service,
            paths: config.paths,
            dependencies,
            max_age: config.max_age.0,
            on_stale: config.on_stale,
            on_total_failure: config.on_total_failure,
            details,
            drain_path: config.drain.path,
            drain,
        })
    }

    /// What is allowed but surprising.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let stale = |dependency: &&Dependency| dependency.interval >= self.max_age;
        let warning = |dependency: &Dependency| {
            format!(
                "dependency {} is checked less often than max_age: it counts as unknown in between",
                dependency.name
            )
        };
        self.dependencies
            .iter()
            .filter(stale)
            .map(warning)
            .collect()
    }

    /// How often to look whether a check is due: five times an interval, and never slower than four times a second, so
    /// that the first result comes soon.
    pub(crate) fn tick(&self) -> Option<Duration> {
        let shortest = self
            .dependencies
            .iter()
            .map(|dependency| dependency.interval)
            .min()?;
        Some((shortest / 5).clamp(Duration::from_millis(10), Duration::from_millis(250)))
    }
}

/// Every path is exact and belongs to one endpoint.
fn check_paths(config: &Config, errors: &mut ConfigErrors) {
    let Paths {
        live,
        ready,
        startup,
    } = &config.paths;
    let lists = [
        ("paths.live", live),
        ("paths.ready", ready),
        ("paths.startup", startup),
    ];
    let listed = lists.iter().flat_map(|(key, list)| {
        list.iter()
            .enumerate()
            .map(move |(index, path)| (format!("{key}[{index}]"), path))
    });
    let mut known = Set::new();
    for (key, path) in listed.chain([("drain.path".to_owned(), &config.drain.path)]) {
        let plain = path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'));
        let exact = path.len() > 1 && path.starts_with('/') && !path.ends_with('/');
        errors.check(
            plain && exact,
            key.clone(),
            "expected a path such as \"/healthz\", without query and without a \"/\" at its end",
        );
        errors.check(known.insert(path), key, "expected a path of its own");
    }
}
