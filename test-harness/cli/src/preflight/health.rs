//! Check 4: probes and load balancers get what they need.

use serde_json::Value;

use super::{
    facts::{Facts, Reply},
    rule::{Area, Judged, NotChecked, Rule, Severity, broken, holds, unless},
};

const HEALTH_README: &str = "plugins/health/README.md";

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        Area::Health,
        "health.live",
        Severity::Error,
        "The liveness endpoint answers 200",
        "Load health on the listener that the probe reaches, with `paths.live`; see that `scope` takes in the probe's host.",
        HEALTH_README,
        live,
    ),
    Rule::new(
        Area::Health,
        "health.ready",
        Severity::Error,
        "The readiness endpoint answers 200 with its JSON",
        "The reply names the dependency that is out; `?verbose` from an allowed address tells the reason.",
        HEALTH_README,
        ready,
    ),
    Rule::new(
        Area::Health,
        "health.startup",
        Severity::Error,
        "The startup endpoint answers 200",
        "It is 503 until each required dependency was checked once: see that their clusters exist.",
        HEALTH_README,
        startup,
    ),
    Rule::new(
        Area::Health,
        "health.dependencies",
        Severity::Warning,
        "Every dependency is connected",
        "An optional one that is out makes the service degraded: mend it, or launch with open eyes.",
        HEALTH_README,
        dependencies,
    ),
    Rule::new(
        Area::Health,
        "health.checks",
        Severity::Error,
        "Readiness reacts: dependencies are named and being checked",
        "Name what the service cannot do without under `dependencies`; checks that stand still show a worker without VM.",
        HEALTH_README,
        checks,
    ),
    Rule::new(
        Area::Health,
        "health.panics",
        Severity::Error,
        "No plugin has panicked",
        "The log line of the panic says where; restart the gateway once it is mended.",
        HEALTH_README,
        panics,
    ),
];

fn live(facts: &Facts) -> Judged {
    status(&facts.gateway.live)
}

fn startup(facts: &Facts) -> Judged {
    status(&facts.gateway.startup)
}

fn status(reply: &Reply) -> Judged {
    match reply.status {
        200 => holds("200"),
        status => broken(format!("answered {status}")),
    }
}

fn ready(facts: &Facts) -> Judged {
    let reply = &facts.gateway.ready;
    match (reply.status, read(reply)) {
        (200, Some((status, _))) => holds(format!("200, {status}")),
        (503, Some((status, out))) => broken(format!("503, {status}: {}", out.join(", "))),
        (code, None) if code == 200 || code == 503 => {
            broken(format!("{code}, and the body is not health's JSON"))
        }
        (code, _) => broken(format!("answered {code}")),
    }
}

/// The status, and the dependencies that are not connected.
fn read(reply: &Reply) -> Option<(String, Vec<String>)> {
    let body: Value = serde_json::from_str(&reply.body).ok()?;
    let status = body["status"].as_str()?.to_owned();
    body["timestamp"].as_str()?;
    let out = body["dependencies"].as_object()?.iter();
    let out = out.filter(|(_, state)| *state != "connected");
    Some((
        status,
        out.map(|(name, state)| format!("{name} is {}", state.as_str().unwrap_or("?")))
            .collect(),
    ))
}

/// A service that is not ready has its own finding.
fn dependencies(facts: &Facts) -> Judged {
    let reply = &facts.gateway.ready;
    match read(reply) {
        Some((status, out)) if reply.status == 200 => unless(out, status),
        _ => Err(NotChecked(
            "needs a readiness endpoint that answers 200".to_owned(),
        )),
    }
}

fn checks(facts: &Facts) -> Judged {
    let admin = facts.admin()?;
    let config = admin.policy("health")?;
    let dependencies = config["dependencies"]
        .as_array()
        .map_or(&[] as &[Value], Vec::as_slice);
    let active = dependencies.iter().any(|d| d["kind"] != "passive");
    let (before, after) = admin.checks;
    match (dependencies.len(), active) {
        (0, _) => broken("no dependency is named: readiness always says ready"),
        (count, true) if after > before => holds(format!(
            "{count} dependencies, {} checks while preflight ran",
            after - before
        )),
        (_, true) => broken(format!(
            "{after} checks, and not one more while preflight ran"
        )),
        (count, false) => holds(format!("{count} dependencies, judged by live traffic")),
    }
}

fn panics(facts: &Facts) -> Judged {
    match facts.admin()?.sum("launchgate_panics_total") {
        0.0 => holds("0 panics"),
        count => broken(format!("{count} panics")),
    }
}
