//! The checklist in front of a real Envoy with the shipped `suite.yaml`: all green; each fault of another source is one finding. Those
//! of the gateway itself are [`super::planted`].

use std::path::{Path, PathBuf};

use launchgate_harness::envoy::{Reply, Upstream, workspace};
use serde_json::{Value, json};

use crate::demo::{Args as Demo, Monitoring, Preflight, Stack};
use crate::preflight::{Args, report::Report};

pub(super) fn demo() -> Demo {
    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        demo: Demo,
    }
    // Paths are relative to the root, as users give them.
    std::env::set_current_dir(workspace()).unwrap();
    <Cli as clap::Parser>::parse_from(["demo"]).demo
}

pub(super) fn lines(report: &Report, verdict: &str) -> Vec<&'static str> {
    let lines = report.lines.iter();
    lines
        .filter(|l| match verdict {
            "finding" => l.is_finding(),
            other => l.verdict() == other,
        })
        .map(|l| l.rule.id)
        .collect()
}

/// The green gateway with everything around it.
pub(super) fn green() -> (Stack, Preflight) {
    let demo = demo();
    let stack = Stack::start(&demo, |_| {}).unwrap();
    let preflight = Preflight::prepare(&stack, &demo.dist)
        .unwrap()
        .expect("Redis, Prometheus, Alertmanager and kubectl: `make deps` brings them");
    (stack, preflight)
}

fn run(preflight: &Preflight, change: impl FnOnce(&mut Args)) -> Report {
    let mut changed = preflight.clone();
    change(changed.args());
    changed.run().unwrap()
}

/// Without the two sources that take long, for faults that have nothing to do with them.
fn quick(args: &mut Args) {
    (args.manifests, args.send_test_alert) = (None, false);
}

#[test]
fn the_shipped_gateway_is_green_and_each_fault_of_a_source_is_one_finding() {
    let (stack, preflight) = green();
    let report = run(&preflight, |_| {});
    assert!(report.is_green(), "{}", report.table());

    let alone = run(&preflight, |a| {
        quick(a);
        (a.admin, a.index, a.key) = (None, None, None);
        (a.prometheus, a.alertmanager, a.access_log) = (None, None, None);
    });
    assert_eq!(lines(&alone, "finding"), Vec::<&str>::new());
    assert!(!alone.is_green());

    let only = |finding: &str, change: &dyn Fn(&mut Args)| {
        let report = run(&preflight, change);
        assert_eq!(lines(&report, "finding"), [finding], "{}", report.table());
    };
    let folder = stack.folder();
    only("build.signature", &|a| {
        let other = folder.join("other");
        crate::registry::signature::generate(&other).unwrap();
        quick(a);
        a.key = Some(other.with_extension("pub"));
    });
    only("build.schema", &|a| {
        quick(a);
        a.index = Some(older_schema(folder, a.index.as_deref().unwrap()));
    });
    only("configuration.manifests", &|a| {
        quick(a);
        let manifest = "latest--no-tag.yaml";
        let bad = folder.join("manifests");
        std::fs::create_dir(&bad).unwrap();
        let shipped = Path::new("test-harness/cli/testdata/check/bad").join(manifest);
        std::fs::copy(shipped, bad.join(manifest)).unwrap();
        a.manifests = Some(bad);
    });
    only("tls.chain", &|a| {
        quick(a);
        a.ca = None;
    });
    let deaf = deaf_alertmanager();
    only("observability.alert", &|a| {
        a.manifests = None;
        a.alertmanager = Some(format!("http://{}", deaf.address()));
    });
    let monitoring = stack.monitoring.as_ref().unwrap();
    let rules = std::fs::read_to_string(folder.join("rules.yaml")).unwrap();
    monitoring
        .change("rules.yaml", |_| "groups: []".into())
        .unwrap();
    await_rules(&stack, monitoring, false);
    only("observability.rules", &quick);
    monitoring.change("rules.yaml", |_| rules).unwrap();
    await_rules(&stack, monitoring, true);
    break_scrape(&stack, monitoring);
    only("observability.scrape", &quick);
}

/// An index whose schema of `suite` knows no canary.
fn older_schema(folder: &Path, index: &Path) -> PathBuf {
    let older = folder.join("older");
    std::fs::create_dir(&older).unwrap();
    for entry in std::fs::read_dir(index.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, older.join(path.file_name().unwrap())).unwrap();
    }
    let file = older.join("suite.schema.json");
    let mut schema: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    schema["properties"]
        .as_object_mut()
        .unwrap()
        .remove("canary")
        .unwrap();
    std::fs::write(&file, schema.to_string()).unwrap();
    older.join("index.json")
}

/// An Alertmanager that takes no alert.
fn deaf_alertmanager() -> Upstream {
    let upstream = Upstream::always(Reply::status(500)).unwrap();
    upstream.script(|request| match request.path.as_str() {
        "/api/v2/status" => {
            let status = json!({"versionInfo": {"version": "0.0.0"}});
            Reply::status(200).body(status.to_string()).into()
        }
        _ => Reply::status(500).into(),
    });
    upstream
}

fn await_rules(stack: &Stack, monitoring: &Monitoring, wanted: bool) {
    stack
        .await_that("Prometheus reads its rules", || {
            let groups = monitoring.ask("/api/v1/rules?type=alert");
            let has = groups.is_some_and(|g| {
                g["data"]["groups"]
                    .as_array()
                    .is_some_and(|g| !g.is_empty())
            });
            Ok((has == wanted).then_some(()))
        })
        .unwrap();
}

/// Lets Prometheus scrape where nobody listens.
fn break_scrape(stack: &Stack, monitoring: &Monitoring) {
    monitoring
        .change("prometheus.yml", |text| {
            let mut config: Value = serde_json::from_str(&text).unwrap();
            config["scrape_configs"][0]["static_configs"][0]["targets"] = json!(["127.0.0.1:1"]);
            config.to_string()
        })
        .unwrap();
    stack
        .await_that("Prometheus sees that its target is down", || {
            let targets = monitoring.ask("/api/v1/targets?state=active");
            let down = targets.is_some_and(|t| t["data"]["activeTargets"][0]["health"] == "down");
            Ok(down.then_some(()))
        })
        .unwrap();
}
