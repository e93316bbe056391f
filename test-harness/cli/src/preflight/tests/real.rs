//! The checklist in front of a real Envoy with the shipped `suite.yaml`: all green, and faults planted in the gateway itself.

use std::path::PathBuf;

use launchgate_harness::envoy::workspace;
use serde_json::json;

use crate::demo::{Args as Demo, Preflight, Stack};
use crate::preflight::{Args, report::Report};

fn demo() -> Demo {
    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        demo: Demo,
    }
    let mut demo = <Cli as clap::Parser>::parse_from(["demo"]).demo;
    demo.dist = workspace().join("dist");
    demo.bootstraps = workspace().join("envoy-configs/envoy");
    demo
}

fn findings(report: &Report) -> Vec<&'static str> {
    report
        .lines
        .iter()
        .filter(|l| l.is_finding())
        .map(|l| l.rule.id)
        .collect()
}

fn run(preflight: &mut Preflight, change: impl FnOnce(&mut Args)) -> Report {
    let before = preflight.args().clone();
    change(preflight.args());
    let report = preflight.run().unwrap();
    *preflight.args() = before;
    report
}

#[test]
fn the_shipped_gateway_is_green_and_each_wrong_source_is_one_finding() {
    // Relative to the root, as users give it.
    std::env::set_current_dir(workspace()).unwrap();
    let demo = demo();
    let stack = Stack::start(&demo, |_| {}).unwrap();
    let mut preflight = Preflight::prepare(&stack, &demo.dist)
        .unwrap()
        .expect("Redis, Prometheus, Alertmanager and kubectl: `make deps` brings them");

    let green = run(&mut preflight, |_| {});
    assert!(green.is_green(), "{}", green.table());

    let elsewhere: PathBuf = stack.folder().join("other");
    crate::registry::signature::generate(&elsewhere).unwrap();
    let other_key = run(&mut preflight, |a| {
        a.key = Some(elsewhere.with_extension("pub"))
    });
    assert_eq!(findings(&other_key), ["build.signature"]);

    let unknown_authority = run(&mut preflight, |a| a.ca = None);
    assert_eq!(findings(&unknown_authority), ["tls.chain"]);

    let prefixed = stack.folder().join("prefixed.log");
    std::fs::write(&prefixed, "[2026-11-22][wasm] {}\n").unwrap();
    let other_log = run(&mut preflight, |a| a.access_log = Some(prefixed));
    assert_eq!(
        findings(&other_log),
        ["observability.records", "observability.trace"]
    );

    let alone = run(&mut preflight, |a| {
        (a.admin, a.index, a.key, a.manifests) = (None, None, None, None);
        (
            a.prometheus,
            a.alertmanager,
            a.access_log,
            a.send_test_alert,
        ) = (None, None, None, false);
    });
    assert_eq!(findings(&alone), Vec::<&str>::new());
    assert!(!alone.is_green());
}

#[test]
fn a_gateway_with_many_faults_has_exactly_their_findings() {
    std::env::set_current_dir(workspace()).unwrap();
    let demo = demo();
    let stack = Stack::start(&demo, |config| {
        config["tls"]["hsts"] = json!({"max_age": "7d"});
        config["tls"]["headers"] = json!({"preset": "none", "server_pass_through": true});
        config["errors"]["dsn"] = json!("http://0123456789abcdef0123456789abcdef@sentry.example/1");
        config["health"]["mode"] = json!("report");
        config["canary"]["key"] = json!([]);
        config["canary"]["stages"] = json!([{"percent": 50, "for": "10s"}]);
        config["canary"]["clusters"] = json!({"canary": "canary-v9", "stable": "stable"});
        config["canary"]["rollback"] = json!({"max_5xx_percent": 100});
    })
    .unwrap();
    let mut preflight = Preflight::with_sources(&stack, &demo.dist)
        .unwrap()
        .unwrap();
    let report = run(&mut preflight, |_| {});
    let expected = [
        "configuration.secrets",
        "configuration.mode",
        "tls.hsts",
        "tls.headers",
        // In mode report the played service answers the health paths itself, with 200 and a body of its own.
        "health.ready",
        "release.schedule",
        "release.sticky",
        "release.rollback",
        "release.routes",
    ];
    assert_eq!(findings(&report), expected, "{}", report.table());
}
