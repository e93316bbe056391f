//! What is shipped is what is generated, promtool agrees, and every name exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

const USUAL: NonZeroU32 = NonZeroU32::MIN;
const SOURCES: [Source; 2] = [Source::Envoy, Source::Endpoint];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs promtool in a folder; it must be there, since a check that did not run must not read as passed.
fn promtool(folder: &Path, arguments: &[&str]) {
    let local = workspace().join(".tools/prometheus/usr/bin/promtool");
    let program = if local.exists() {
        local
    } else {
        PathBuf::from("promtool")
    };
    let output = Command::new(&program)
        .args(arguments)
        .current_dir(folder)
        .output();
    let output = output.unwrap_or_else(|error| {
        panic!(
            "{}: {error}; `make deps` brings it (Debian package prometheus)",
            program.display()
        )
    });
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "promtool {arguments:?}: {text}");
}

fn write(folder: &Path, files: &[File]) {
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

#[test]
fn the_shipped_files_are_what_the_example_gives() {
    for source in SOURCES {
        let folder = workspace()
            .join("envoy-configs/telemetry")
            .join(source.name());
        check(
            &folder,
            &telemetry(EXAMPLE, source, Clock::new(USUAL)).unwrap(),
        )
        .unwrap();
    }
}

#[test]
fn the_shipped_bootstrap_has_the_generated_tags_and_buckets() {
    let text =
        std::fs::read_to_string(workspace().join("envoy-configs/envoy/metrics.yaml")).unwrap();
    let bootstrap: serde_json::Value = serde_norway::from_str(&text).unwrap();
    assert_eq!(
        bootstrap["stats_config"],
        tags::stats_config(&settings(EXAMPLE).unwrap())["stats_config"]
    );
}

#[test]
fn promtool_accepts_the_rules_and_their_tests_pass() {
    let narrow = r#"{"labels": [], "histograms": [], "slo": [
        {"name": "a-b", "routes": ["/x/{y}", "*"], "availability_percent": 50, "minimum_requests": 1},
        {"name": "strict", "routes": ["checkout"], "availability_percent": 99.999, "latency": {"threshold": "5ms", "percent": 95}, "minimum_requests": 1000}]}"#;
    for (name, config) in [
        ("example", EXAMPLE),
        ("no objectives", "{}"),
        ("other objectives", narrow),
    ] {
        for source in SOURCES {
            let folder = tempfile::tempdir().unwrap();
            write(
                folder.path(),
                &telemetry(config, source, Clock::new(USUAL))
                    .unwrap_or_else(|error| panic!("{name}: {error}")),
            );
            promtool(folder.path(), &["check", "rules", "rules.yaml"]);
            promtool(folder.path(), &["test", "rules", "rules_test.yaml"]);
            promtool(folder.path(), &["check", "config", "scrape.yaml"]);
        }
    }
}

#[test]
fn the_rules_of_a_faster_clock_pass_the_same_tests() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new(NonZeroU32::new(120).unwrap());
    write(
        folder.path(),
        &telemetry(EXAMPLE, Source::Endpoint, clock).unwrap(),
    );
    let rules = std::fs::read_to_string(folder.path().join("rules.yaml")).unwrap();
    assert!(
        rules.contains("[2500ms]") && !rules.contains("[5m]"),
        "{rules}"
    );
    promtool(folder.path(), &["test", "rules", "rules_test.yaml"]);
}

#[test]
fn every_name_that_is_asked_for_is_one_that_the_plugin_has() {
    let families: BTreeSet<&str> = launchgate_metrics::families::ALL
        .iter()
        .map(|family| family.name)
        .collect();
    let name = regex::Regex::new(r"launchgate_metrics_[a-z_]+").unwrap();
    for (file, text) in telemetry(EXAMPLE, Source::Envoy, Clock::new(USUAL)).unwrap() {
        for found in name.find_iter(&text) {
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| found.as_str().strip_suffix(suffix))
                .unwrap_or(found.as_str());
            assert!(
                families.contains(base) || families.contains(found.as_str()),
                "{file}: {}",
                found.as_str()
            );
        }
    }
}

#[test]
fn a_refused_configuration_is_named() {
    let error = telemetry(
        r#"{"buckets": ["2s", "1s"], "lables": []}"#,
        Source::Envoy,
        Clock::new(USUAL),
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("buckets[1]: \"1s\": expected more than the bound before it"),
        "{error}"
    );
    assert!(error.contains("lables: unknown field"), "{error}");
}
