//! Check 2: the configuration is whole, and holds no secret.

use super::{
    facts::{Facts, Loaded},
    rule::{Area, Judged, Rule, Severity, broken, holds, not_checked, unless},
    secret,
};

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        Area::Configuration,
        "configuration.plugins",
        Severity::Error,
        "The gateway loads Launchgate's plugins",
        "Add the plugin's filter to the HTTP connection manager of the listener that users reach.",
        "docs/how-to/envoy.md",
        plugins,
    ),
    Rule::new(
        Area::Configuration,
        "configuration.variables",
        Severity::Error,
        "Every variable is resolved",
        "Hand the variable over: `environment_variables.host_env_keys` in Envoy, `vmConfig.env` with `valueFrom: HOST` in Istio; or give it a default, `${NAME:-default}`.",
        "docs/how-to/rotate-a-secret.md",
        variables,
    ),
    Rule::new(
        Area::Configuration,
        "configuration.secrets",
        Severity::Error,
        "No secret stands in a plugin's configuration",
        "Write `${NAME}` and hand the variable over by name, from a secret; then rotate what was readable.",
        "docs/how-to/rotate-a-secret.md",
        secrets,
    ),
    Rule::new(
        Area::Configuration,
        "configuration.dump",
        Severity::Error,
        "No secret stands elsewhere in /config_dump",
        "Take it from SDS or a file: whoever reads the admin interface reads it. Then rotate it.",
        "docs/how-to/rotate-a-secret.md",
        dump,
    ),
    Rule::new(
        Area::Configuration,
        "configuration.mode",
        Severity::Warning,
        "Every plugin enforces",
        "Set `\"mode\": \"enforce\"` once the `…_would_…` counters tell what you expect.",
        "docs/operations.md",
        mode,
    ),
    Rule::new(
        Area::Configuration,
        "configuration.reload",
        Severity::Error,
        "A VM that dies is replaced",
        "Set `failure_policy: FAIL_RELOAD` (Istio: `failStrategy: FAIL_RELOAD`); otherwise that worker answers 503 for ever.",
        "docs/host.md",
        reload,
    ),
    Rule::new(
        Area::Configuration,
        "configuration.admin",
        Severity::Error,
        "The admin interface is not reachable from outside",
        "Bind it to 127.0.0.1 or a socket file, and give it `allow_paths`.",
        "docs/how-to/envoy.md",
        admin,
    ),
    Rule::new(
        Area::Configuration,
        "configuration.manifests",
        Severity::Error,
        "The manifests hold, and overlays change values only",
        "`launchgate check <dir>` prints the same findings while you mend.",
        "envoy-configs/README.md",
        manifests,
    ),
];

fn plugins(facts: &Facts) -> Judged {
    let admin = facts.admin()?;
    let names: Vec<_> = admin.plugins.iter().map(|p| p.plugin.as_str()).collect();
    match names.is_empty() {
        true => broken("no wasm filter in /config_dump is one of Launchgate's"),
        false => holds(names.join(", ")),
    }
}

fn variables(facts: &Facts) -> Judged {
    let mut broken = Vec::new();
    let mut count = 0;
    for plugin in &facts.admin()?.plugins {
        for (path, name) in secret::required_variables(&plugin.config) {
            count += 1;
            let given = plugin.inline_variables.contains_key(&name)
                || plugin.host_variables.contains(&name);
            if !given {
                broken.push(format!(
                    "{}: {path}: ${{{name}}} is not in the VM's environment",
                    plugin.name
                ));
            }
        }
    }
    unless(broken, format!("{count} variables, all handed over"))
}

fn secrets(facts: &Facts) -> Judged {
    let found = |plugin: &Loaded| {
        let of_config = secret::literals(&plugin.config);
        let of_variables = secret::variables(&plugin.inline_variables);
        let all = of_config.into_iter().chain(of_variables);
        all.map(|at| format!("{}: {at}", plugin.name))
            .collect::<Vec<_>>()
    };
    let admin = facts.admin()?;
    let broken = admin.plugins.iter().flat_map(found).collect();
    unless(
        broken,
        format!("{} configurations looked through", admin.plugins.len()),
    )
}

fn dump(facts: &Facts) -> Judged {
    unless(
        secret::outside_of_plugins(&facts.admin()?.dump),
        "no known form of a secret in it",
    )
}

fn mode(facts: &Facts) -> Judged {
    let mut broken = Vec::new();
    for plugin in &facts.admin()?.plugins {
        let sections = plugin.config.as_object().into_iter().flatten();
        let of_suite = sections.filter(|_| plugin.plugin == "suite");
        let of_suite = of_suite.map(|(name, section)| (format!("{}.{name}", plugin.name), section));
        let whole = std::iter::once((plugin.name.clone(), &plugin.config));
        for (name, config) in whole.chain(of_suite) {
            match config.get("mode").and_then(|m| m.as_str()) {
                None | Some("enforce") => {}
                Some(mode) => broken.push(format!("{name}: mode is {mode}")),
            }
        }
    }
    unless(broken, "all in mode enforce")
}

fn reload(facts: &Facts) -> Judged {
    let broken = |plugin: &Loaded| {
        let policy = match plugin.failure_policy.as_str() {
            "" => "not set, which is FAIL_CLOSED",
            other => other,
        };
        (policy != "FAIL_RELOAD").then(|| format!("{}: failure_policy is {policy}", plugin.name))
    };
    unless(
        facts.admin()?.plugins.iter().filter_map(broken).collect(),
        "all with FAIL_RELOAD",
    )
}

fn admin(facts: &Facts) -> Judged {
    match facts.admin()?.address.as_deref() {
        None => not_checked("/config_dump does not say where the admin interface listens"),
        Some(address) => {
            let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
            let inside = address.starts_with('/')
                || host
                    .trim_matches(['[', ']'])
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|ip| ip.is_loopback());
            match inside {
                true => holds(address),
                false => broken(format!("it listens on {address}")),
            }
        }
    }
}

/// What belongs to the check of the build has its own rules there.
fn manifests(facts: &Facts) -> Judged {
    let manifests = facts.manifests()?;
    let broken = manifests.findings.iter().map(|(_, line)| line.clone());
    unless(
        broken.collect(),
        format!("{} resources checked", manifests.resources),
    )
}
