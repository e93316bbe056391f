//! The command as a user meets it: `test` with its options and exit codes, `inspect`, `run`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what is not as expected"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use launchgate_harness::envoy::built_module;
use serde_json::Value;
use tempfile::TempDir;

/// Sets `x-set: 1` on each request, and traps if the host refuses or if there is a cookie.
const GUEST: &str = r#"(module
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value" (func $set (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 4096))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param $size i32) (result i32)
    (global.get $top) (global.set $top (i32.add (global.get $top) (local.get $size))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (call $set (i32.const 0) (i32.const 100) (i32.const 5) (i32.const 110) (i32.const 1)) (then unreachable))
    (if (i32.eqz (call $get (i32.const 0) (i32.const 120) (i32.const 6) (i32.const 60) (i32.const 64))) (then unreachable))
    (i32.const 0))
  (data (i32.const 100) "x-set")
  (data (i32.const 110) "1")
  (data (i32.const 120) "cookie"))"#;

const PASSES: &str = r#"
plugins: [{plugin: guest.wat}]
cases:
  - name: a header <is> set
    request: {path: /a}
    expect: {status: 200, upstream: {headers: {x-set: "1"}}}
"#;

const FAILS: &str = r#"
plugins: [{plugin: guest.wat}]
cases:
  - name: a header <is> set
    request: {path: /a}
    expect: {status: 200, upstream: {headers: {x-set: "2"}}}
  - name: and another
    request: {path: /a}
    expect: {status: 200}
"#;

struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("guest.wat"), GUEST).unwrap();
        fs::write(folder.path().join("passes.yaml"), PASSES).unwrap();
        fs::write(folder.path().join("fails.yaml"), FAILS).unwrap();
        Desk(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_launchgate"))
            .args(arguments)
            .current_dir(self.path())
            .output()
            .unwrap()
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn the_exit_code_tells_passed_failed_and_not_run() {
    let desk = Desk::new();
    for (arguments, code) in [
        (&["test", "passes.yaml"][..], 0),
        (&["test", "fails.yaml"], 1),
        (&["test", "passes.yaml", "fails.yaml"], 1),
        (&["test", "absent.yaml"], 2),
        (&["test", "nonsense"], 2),
        (&["test", "passes.yaml", "--fault", "nonsense"], 2),
        (&["test"], 2),
    ] {
        let output = desk.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            text(&output)
        );
    }
}

#[test]
fn a_failure_names_file_case_step_expected_and_got() {
    let told = text(&Desk::new().run(&["test", "fails.yaml"]));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "fails.yaml");
    assert_eq!(lines[1], "  ✗ a header <is> set (emulator, 1 worker)");
    assert_eq!(lines[2], "      step 1: upstream header x-set");
    assert_eq!(lines[3], "        expected: 2");
    assert_eq!(lines[4], "        got:      1");
    assert_eq!(lines[5], "  ✓ and another");
    // Once more at the end, where a log that was cut still has it.
    assert_eq!((lines[6], lines[7]), ("", "failed: fails.yaml"));
    assert_eq!(lines[8..12], lines[1..5]);
    assert!(lines[12].starts_with("1 passed, 1 failed, "), "{told}");
    assert!(lines[12].ends_with(" a second on one core"), "{told}");
}

#[test]
fn results_are_told_as_json_and_as_junit() {
    let desk = Desk::new();
    let output = desk.run(&[
        "test",
        "fails.yaml",
        "--format",
        "json",
        "--junit",
        "junit.xml",
    ]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (told["passed"].as_u64(), told["failed"].as_u64()),
        (Some(1), Some(1))
    );
    let case = &told["files"][0]["cases"][0];
    assert_eq!(case["case"], "a header <is> set");
    assert_eq!(case["faults"][0]["expected"], "2");
    assert_eq!(case["faults"][0]["got"], "1");
    let junit = fs::read_to_string(desk.path().join("junit.xml")).unwrap();
    assert!(
        junit.contains("<testsuites name=\"launchgate\" tests=\"2\" failures=\"1\">"),
        "{junit}"
    );
    assert!(
        junit.contains("name=\"a header &lt;is&gt; set\""),
        "{junit}"
    );
    assert!(
        junit.contains("<failure message=\"upstream header x-set\">"),
        "{junit}"
    );
    assert_eq!(junit.matches("<testcase ").count(), 2);
}

#[test]
fn a_fault_makes_the_host_call_answer_another_status() {
    let output = Desk::new().run(&[
        "test",
        "passes.yaml",
        "--fault",
        "proxy_replace_header_map_value=10",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output);
    assert!(
        told.contains("Uncaught RuntimeError: unreachable"),
        "{told}"
    );
}

#[test]
fn what_fuzzing_finds_is_a_small_scenario_that_fails_and_the_same_each_time() {
    let desk = Desk::new();
    let arguments = ["test", "passes.yaml", "--fuzz", "5000", "--seed", "7"];
    let (first, second) = (desk.run(&arguments), desk.run(&arguments));
    assert_eq!(first.status.code(), Some(1), "{}", text(&first));
    assert_eq!(first.stdout, second.stdout);
    fs::write(desk.path().join("found.yaml"), &first.stdout).unwrap();
    let found = desk.run(&["test", "found.yaml"]);
    assert_eq!(found.status.code(), Some(1), "{}", text(&first));
    let scenario = text(&first);
    assert!(scenario.contains("cookie"), "{scenario}");
    let others = ["authorization", "traceparent", "user-agent", "body"];
    assert!(
        others.iter().all(|name| !scenario.contains(name)),
        "not shrunk: {scenario}"
    );
}

#[test]
fn a_profile_tells_costs_and_a_budget_holds_them() {
    let desk = Desk::new();
    let told = text(&desk.run(&["test", "passes.yaml", "--profile"]));
    let row = told
        .lines()
        .find(|line| line.contains("on_request_headers"))
        .unwrap();
    let columns: Vec<&str> = row.split_whitespace().collect();
    assert_eq!((columns[0], columns[5]), ("guest", "2"), "{row}");
    let most: u64 = columns[4].parse().unwrap();
    let budget = |limit: u64| {
        let budget = format!("    budget: {{instructions: {{on_request_headers: {limit}}}}}\n");
        fs::write(desk.path().join("budget.yaml"), format!("{PASSES}{budget}")).unwrap();
        desk.run(&["test", "budget.yaml"])
    };
    assert_eq!(budget(most).status.code(), Some(0));
    let over = budget(most - 1);
    assert_eq!(over.status.code(), Some(1));
    assert!(
        text(&over).contains("on_request_headers"),
        "{}",
        text(&over)
    );
}

#[test]
fn one_exchange_can_be_run_from_the_shell() {
    let desk = Desk::new();
    let output = desk.run(&[
        "run",
        "guest.wat",
        "--path",
        "/x",
        "-H",
        "x-a: b",
        "--trace",
    ]);
    let told = text(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("proxy_on_request_headers(2, "), "{told}");
    assert!(told.contains("< 200 (via_upstream)"), "{told}");
    assert!(told.contains("> GET /x to cluster app"), "{told}");
    assert!(told.contains("> x-set: 1"), "{told}");
    let trapped = desk.run(&["run", "guest.wat", "-H", "cookie: a=1"]);
    assert_eq!(trapped.status.code(), Some(1), "{}", text(&trapped));
}

#[test]
fn inspect_tells_whether_envoy_would_load_a_module() {
    let desk = Desk::new();
    let health = built_module("health").unwrap();
    let output = desk.run(&["inspect", health.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let facts: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(facts["abi"][0], "proxy_abi_version_0_2_1");
    assert!(
        facts["imports"]
            .as_array()
            .unwrap()
            .iter()
            .any(|name| name == "env.proxy_log")
    );
    assert_eq!(facts["problem"], Value::Null);
    fs::write(desk.path().join("empty.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let empty = desk.run(&["inspect", "empty.wasm"]);
    assert_eq!(empty.status.code(), Some(1));
    assert!(
        text(&empty).contains("missing or unknown proxy-wasm ABI version"),
        "{}",
        text(&empty)
    );
}

#[test]
fn the_schema_is_json_schema_of_scenarios() {
    let output = Desk::new().run(&["test", "--schema"]);
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(schema["properties"]["cases"].is_object(), "{schema}");
}
