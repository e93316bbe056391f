//! The checked configuration: no invalid value is left in it.

use std::time::Duration;

use launchgate_sdk::access::AccessGuard;
use launchgate_sdk::config::ConfigErrors;
use launchgate_sdk::notifier::Notifier;
use launchgate_sdk::path::{PathRule, RequestPath};
use launchgate_sdk::{Headers, Mode, Period, Setup};

use crate::config::{
    ClustersConfig, Config, ControlConfig, FallbackConfig, IgnoreConfig, RollbackConfig,
};
use crate::fleet::Fleet;
use crate::identity::Identities;
use crate::judge::Limits;
use crate::rule::Rule;
use crate::schedule::Schedule;
use crate::steer::Steer;

/// What the policy works with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) rollout: String,
    pub(crate) report: bool,
    pub(crate) trust_envoy_xff: bool,
    pub(crate) matches: Vec<Rule>,
    pub(crate) never: Vec<Rule>,
    pub(crate) identities: Identities,
    pub(crate) aborted: bool,
    pub(crate) steer: Steer,
    pub(crate) clusters: ClustersConfig,
    pub(crate) limits: Limits,
    pub(crate) window: Duration,
    pub(crate) slow: Duration,
    pub(crate) gradual: Duration,
    pub(crate) at_full: bool,
    pub(crate) keep_forced: bool,
    pub(crate) fallback: FallbackConfig,
    pub(crate) fleet: Option<Fleet>,
    pub(crate) control: Option<(PathRule, AccessGuard)>,
    pub(crate) ignore: IgnoreConfig,
    pub(crate) notifiers: Vec<Notifier>,
}

const MOST_RULES: usize = 64;

impl Settings {
    /// Checks everything, and gives the schedule apart, since the rollout owns it.
    pub(crate) fn new(
        config: Config,
        setup: &mut Setup<'_>,
    ) -> Result<(Self, Schedule), ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let trust_envoy_xff = setup.common.trust_envoy_xff;
        check_rollout(&config, &mut errors);
        if !config.secret.is_empty() && config.secret.expose().len() < 16 {
            setup
                .warnings
                .push("secret: fewer than 16 bytes: buckets can be guessed".to_owned());
        }
        let schedule = Schedule::new(config.start.as_deref(), &config.stages, &mut errors);
        let identities = Identities::new(
            config.key,
            config.keyless,
            &config.secret,
            &config.rollout,
            trust_envoy_xff,
            &mut errors,
        );
        let window = config.rollback.window;
        check_times(&config.rollback, &config.fallback, &mut errors);
        let fleet = config
            .fleet
            .and_then(|fleet| Fleet::new(fleet, &config.rollout, window, &mut errors));
        let control = config
            .control
            .and_then(|control| check_control(control, trust_envoy_xff, &mut errors));
        let notifiers = config
            .notifiers
            .iter()
            .filter_map(|(name, notifier)| {
                notifier.notifier(&format!("notifiers.{name}"), &mut errors)
            })
            .collect();
        let settings = Self {
            report: setup.mode() == Mode::Report,
            trust_envoy_xff,
            matches: rules(config.matches, "match", &mut errors),
            never: rules(config.never, "never", &mut errors),
            identities,
            aborted: config.abort,
            steer: Steer::new(config.steer, &config.clusters, &mut errors),
            clusters: config.clusters,
            limits: limits(&config.rollback),
            window: window.into(),
            slow: config.rollback.max_p99.into(),
            gradual: config.rollback.gradual.into(),
            at_full: config.rollback.at_full,
            keep_forced: config.rollback.keep_forced,
            fallback: config.fallback,
            fleet,
            control,
            ignore: config.ignore,
            notifiers,
            rollout: config.rollout,
        };
        errors.into_result((settings, schedule))
    }

    /// Whether a request is a probe, which is never judged.
    pub(crate) fn is_probe(&self, headers: &Headers) -> bool {
        let path = RequestPath::read(headers.path());
        self.ignore.paths.iter().any(|rule| rule.exempts(path))
            || headers.all("user-agent").any(|agent| {
                self.ignore
                    .user_agents
                    .iter()
                    .any(|own| agent.starts_with(own.as_bytes()))
            })
    }
}

fn rules(
    configs: Vec<crate::config::RuleConfig>,
    key: &str,
    errors: &mut ConfigErrors,
) -> Vec<Rule> {
    errors.check(
        configs.len() <= MOST_RULES,
        key,
        "expected at most 64 rules",
    );
    configs
        .into_iter()
        .enumerate()
        .map(|(index, config)| Rule::new(config, &format!("{key}[{index}]"), errors))
        .collect()
}

fn check_rollout(config: &Config, errors: &mut ConfigErrors) {
    let id = config.rollout.as_bytes();
    let valid = (1..=64).contains(&id.len())
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte));
    errors.check(
        valid,
        "rollout",
        "expected an id of 1 to 64 letters, digits, \"_\", \".\" and \"-\"",
    );
    for (name, cluster) in [
        ("canary", &config.clusters.canary),
        ("stable", &config.clusters.stable),
    ] {
        errors.check(
            !cluster.is_empty(),
            format!("clusters.{name}"),
            "expected the name of a cluster",
        );
    }
    errors.check(
        config.clusters.canary != config.clusters.stable,
        "clusters.canary",
        "expected another cluster than stable",
    );
    for (name, stage) in [
        ("hold_at", config.hold_at),
        ("promote_to", config.promote_to),
    ] {
        let known = stage.is_none_or(|stage| (1..=config.stages.len()).contains(&(stage as usize)));
        errors.check(
            known,
            name,
            "expected the number of a stage, 1 for the first",
        );
    }
}

fn check_times(rollback: &RollbackConfig, fallback: &FallbackConfig, errors: &mut ConfigErrors) {
    let second = Period::seconds(1);
    let within = |period: Period, least, most| period >= least && period <= most;
    errors.check(
        within(rollback.window, second, Period::seconds(3600)),
        "rollback.window",
        "expected a duration from 1s to 1h",
    );
    errors.check(
        rollback.min_requests > 0,
        "rollback.min_requests",
        "expected at least 1",
    );
    errors.check(
        within(rollback.gradual, Period::default(), Period::seconds(86_400)),
        "rollback.gradual",
        "expected a duration of at most 1d",
    );
    errors.check(
        fallback.retry >= second,
        "fallback.retry",
        "expected at least 1s",
    );
    errors.check(
        fallback.interval >= second,
        "fallback.interval",
        "expected at least 1s",
    );
}

fn check_control(
    control: ControlConfig,
    trust_envoy_xff: bool,
    errors: &mut ConfigErrors,
) -> Option<(PathRule, AccessGuard)> {
    let path = PathRule::parse(&control.path).filter(|path| !path.as_str().ends_with('/'));
    errors.check(
        path.is_some(),
        "control.path",
        "expected a path that begins with \"/\" and does not end in \"/\"",
    );
    let guard = AccessGuard::new(
        control.allow,
        control.token,
        trust_envoy_xff,
        "control",
        errors,
    );
    path.map(|path| (path, guard))
}

fn limits(rollback: &RollbackConfig) -> Limits {
    Limits {
        min_requests: u64::from(rollback.min_requests),
        errors: rollback.max_5xx_percent.millionths(),
        slow: !rollback.max_p99.0.is_zero(),
        surge: rollback.surge_factor.thousandths(),
        risk: rollback.confidence.risk(),
    }
}
