//! Faults planted in a real Envoy, each alone on a gateway of its own: the right finding, no other.
//!
//! 1. The gateway is the shipped `suite.yaml` with one change. The sources beside it are those of a green one; manifests and the test alert
//!    are left out, since they do not ask the gateway.
//! 2. A few gateways at a time, since most of a gateway's start is waiting.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use launchgate_harness::envoy::{
    Authority, Connection, Identity, Reply, Request, Response, TlsClient,
};
use serde_json::{Value, json};

use super::real::{demo, green, lines};
use crate::demo::{HOST, Preflight, Stack};

/// Gateways at a time.
const AT_A_TIME: usize = 4;
/// What the sources left out would tell.
const LEFT_OUT: [&str; 2] = ["configuration.manifests", "observability.alert"];

const FILTER: &str = "launchgate.suite";

/// Where a fault is planted.
enum Plant {
    /// In the configuration of `suite`.
    Config(fn(&mut Value)),
    /// Elsewhere in the bootstrap.
    Bootstrap(fn(&mut Value)),
    /// In the certificates.
    Certificate(fn(&Authority) -> Result<Identity>),
    /// In the module: the same code, other bytes.
    Module,
    /// In the gateway as it runs.
    Live(fn(&mut Stack) -> Result<()>),
}

use Plant::{Bootstrap, Certificate, Config, Live, Module};

/// The finding that must come, and what is planted.
const FAULTS: &[(&str, Plant)] = &[
    ("build.digest", Module),
    (
        "configuration.secrets",
        Config(|c| {
            c["errors"]["dsn"] = json!("http://0123456789abcdef0123456789abcdef@sentry.example/1");
        }),
    ),
    (
        "configuration.dump",
        Bootstrap(|b| {
            each(b, "virtual_hosts", &|hosts| {
                hosts[0]["request_headers_to_add"] = json!([{"header": {"key": "x-upstream-key", "value": "Bearer 0123456789abcdefghij"}}]);
            })
        }),
    ),
    (
        "configuration.mode",
        Config(|c| c["canary"]["mode"] = json!("report")),
    ),
    (
        "configuration.reload",
        Bootstrap(|b| each(b, "failure_policy", &|p| *p = json!("FAIL_CLOSED"))),
    ),
    (
        "tls.versions",
        Bootstrap(|b| {
            each(b, "tls_params", &|params| {
                params["tls_minimum_protocol_version"] = json!("TLSv1_0");
                params["cipher_suites"]
                    .as_array_mut()
                    .unwrap()
                    .push(json!("ECDHE-ECDSA-AES128-SHA"));
            })
        }),
    ),
    (
        "tls.name",
        Certificate(|authority| authority.server(&["www.example.org"])),
    ),
    (
        "tls.expiry",
        Certificate(|authority| authority.expired_server(&[HOST])),
    ),
    (
        "tls.redirect",
        Config(|c| c["tls"]["redirect"]["enabled"] = json!(false)),
    ),
    (
        "tls.hsts",
        Config(|c| c["tls"]["hsts"] = json!({"max_age": "7d"})),
    ),
    (
        "tls.headers",
        Config(|c| c["tls"]["headers"] = json!({"preset": "none", "server_pass_through": true})),
    ),
    // A route that leaves the plugins out, in front of the probe's path.
    (
        "health.live",
        Bootstrap(|b| {
            each(b, "virtual_hosts", &|hosts| {
                if hosts.to_string().contains(FILTER) {
                    let off = json!({"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true});
                    let route = json!({"match": {"path": "/livez"}, "direct_response": {"status": 404}, "typed_per_filter_config": {FILTER: off}});
                    hosts[0]["routes"].as_array_mut().unwrap().insert(0, route);
                }
            })
        }),
    ),
    (
        "health.ready",
        Config(|c| c["health"]["dependencies"][0]["path"] = json!("/nowhere")),
    ),
    (
        "health.dependencies",
        Live(|stack| {
            stack.redis.take();
            await_health(stack, "degraded")
        }),
    ),
    (
        "health.checks",
        Config(|c| c["health"]["dependencies"] = json!([])),
    ),
    (
        "observability.metrics",
        Bootstrap(|b| {
            each(b, "stats_tags", &|tags| {
                tags.as_array_mut()
                    .unwrap()
                    .retain(|tag| tag["tag_name"] != "plugin");
            })
        }),
    ),
    (
        "observability.records",
        Bootstrap(|b| {
            each(b, "text_format_source", &|source| {
                let text = source["inline_string"].as_str().unwrap();
                source["inline_string"] = json!(format!("[%START_TIME%] {text}"));
            })
        }),
    ),
    (
        "observability.trace",
        Config(|c| c["access_log"]["trace"] = json!(["b3"])),
    ),
    (
        "observability.errors",
        Live(|stack| {
            stack.sentry.refuse();
            fail_once(stack)?;
            await_stat(stack, "launchgate_errors_discarded_total")
        }),
    ),
    (
        "release.schedule",
        Config(|c| {
            c["canary"]["stages"] = json!([{"percent": 50, "for": "15m"}, {"percent": 100}])
        }),
    ),
    ("release.sticky", Config(|c| c["canary"]["key"] = json!([]))),
    (
        "release.rollback",
        Config(|c| c["canary"]["rollback"] = json!({"max_5xx_percent": 100})),
    ),
    (
        "release.routes",
        Config(|c| c["canary"]["clusters"] = json!({"canary": "canary-v9", "stable": "stable"})),
    ),
    (
        "release.state",
        Live(|stack| {
            let abort = Request::new("PUT", "/launchgate/canary?action=abort")
                .header("authorization", "Bearer a-token-of-the-demo");
            let reply = ask(stack, abort)?;
            ensure!(
                reply.status == 200,
                "the abort was answered {}",
                reply.status
            );
            await_stat(stack, "launchgate_canary_rollbacks_total")
        }),
    ),
];

#[test]
fn each_fault_planted_in_a_real_gateway_is_the_right_finding_and_no_other() {
    let (_green, preflight) = green();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((finding, plant)) = FAULTS.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    if let Err(error) = try_fault(&preflight, finding, plant) {
                        wrong.lock().unwrap().push(format!("{finding}: {error:#}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(FAULTS.len() >= 20);
}

fn try_fault(preflight: &Preflight, finding: &str, plant: &Plant) -> Result<()> {
    // Preflight reads the module where the gateway has it from, so its folder stays until the end.
    let other = tempfile::tempdir()?;
    let mut stack = start(plant, other.path())?;
    settle(
        &stack,
        if finding == "health.ready" {
            "unhealthy"
        } else {
            "healthy"
        },
    )?;
    if let Live(change) = plant {
        change(&mut stack)?;
    }
    let mut preflight = preflight.clone();
    preflight.look_at(&stack)?;
    (preflight.args().manifests, preflight.args().send_test_alert) = (None, false);
    let report = preflight.run()?;
    let mut not_checked = lines(&report, "not checked");
    not_checked.retain(|id| !LEFT_OUT.contains(id));
    // A service that is not ready does not tell its dependencies.
    let expected: &[&str] = if finding == "health.ready" {
        &["health.dependencies"]
    } else {
        &[]
    };
    ensure!(
        lines(&report, "finding") == [finding] && not_checked == expected,
        "{}",
        report.table()
    );
    Ok(())
}

fn start(plant: &Plant, other: &Path) -> Result<Stack> {
    let mut args = demo();
    if let Module = plant {
        let mut bytes = std::fs::read(args.dist.join("suite.wasm"))?;
        // A custom section with an empty name: id 0, one byte, the name's length.
        bytes.extend([0, 1, 0]);
        std::fs::write(other.join("suite.wasm"), bytes)?;
        args.dist = other.to_owned();
    }
    let stack = Stack::start_edited(&args, |folder, config, bootstrap| {
        Ok(match plant {
            Config(change) => {
                let mut config = config.clone();
                change(&mut config);
                bootstrap.plugin_config("suite", &config.to_string())?
            }
            Bootstrap(change) => bootstrap.edit(change),
            Certificate(issue) => {
                certify(folder, issue)?;
                bootstrap
            }
            Module | Live(_) => bootstrap,
        })
    })?;
    Ok(stack)
}

/// Puts another certificate in the place of the host's.
fn certify(folder: &Path, issue: &fn(&Authority) -> Result<Identity>) -> Result<()> {
    let authority = Authority::new("Launchgate demo")?;
    std::fs::write(folder.join("ca.crt"), authority.pem())?;
    issue(&authority)?.write(folder, HOST)?;
    Ok(())
}

/// Changes the value of every field of this name.
fn each(value: &mut Value, field: &str, change: &dyn Fn(&mut Value)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|v| each(v, field, change)),
        Value::Object(map) => {
            for (name, inner) in map.iter_mut() {
                match name == field {
                    true => change(inner),
                    false => each(inner, field, change),
                }
            }
        }
        _ => {}
    }
}

/// Waits until one error was reported and health has made up its mind.
fn settle(stack: &Stack, status: &str) -> Result<()> {
    fail_once(stack)?;
    await_stat(stack, "launchgate_errors_sent_total")?;
    await_health(stack, status)
}

fn fail_once(stack: &Stack) -> Result<()> {
    stack.stable.answer(Reply::status(500));
    ask(stack, Request::get("/users/7").header("x-canary", "never"))?;
    stack.stable.answer(Reply::status(200).body("stable\n"));
    Ok(())
}

/// One exchange, whatever the certificate is.
fn ask(stack: &Stack, request: Request) -> Result<Response> {
    let tls = TlsClient::new(HOST);
    Connection::open_tls(stack.envoy.port(10443)?, &tls)?.exchange(&request.host(HOST))
}

fn await_stat(stack: &Stack, name: &str) -> Result<()> {
    stack.await_that(name, || {
        let found = stack.envoy.admin().matching_stats(name)?;
        Ok(found.values().any(|value| *value > 0).then_some(()))
    })
}

fn await_health(stack: &Stack, status: &str) -> Result<()> {
    stack.await_that(status, || {
        let reply = ask(stack, Request::get("/healthz"))?.json()?;
        Ok((reply["status"] == status).then_some(()))
    })
}
