//! Test suites of another tester (protobuf text and YAML), on a module that knows nothing of this project.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at what is not as expected"
)]

use std::path::Path;

use launchgate_harness::emulator::Module;
use launchgate_harness::phase_suite::{PhaseSuite, run};

/// Sets `x-set: 1` on requests, answers 403 `no` to responses, appends `!` to each piece of a body, logs `hello` at the start.
const GUEST: &str = r#"(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value" (func $set (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_buffer_bytes" (func $append (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 4096))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param $size i32) (result i32)
    (global.get $top) (global.set $top (i32.add (global.get $top) (local.get $size))))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (drop (call $log (i32.const 2) (i32.const 120) (i32.const 5)))
    (i32.const 1))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $set (i32.const 0) (i32.const 100) (i32.const 5) (i32.const 110) (i32.const 1)))
    (i32.const 0))
  (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
    (drop (call $append (i32.const 0) (i32.const 99999) (i32.const 0) (i32.const 130) (i32.const 1)))
    (i32.const 0))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $reply (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 140) (i32.const 2) (i32.const 0) (i32.const 0) (i32.const -1)))
    (i32.const 0))
  (data (i32.const 100) "x-set")
  (data (i32.const 110) "1")
  (data (i32.const 120) "hello")
  (data (i32.const 130) "!")
  (data (i32.const 140) "no"))"#;

const SUITE: &str = r#"
env { log_level: INFO time_secs: 123 }
test {
  name: "every phase"
  num_chunks: 2
  plugin_init { log { exact: "hello" } log { regex: "bye.*" invert: true } }
  request_headers {
    input { content: "GET https://example.com:8080/a?b=c HTTP/1.1\nHost: other\nTwice: 1\nTwice: 2\n" }
    result {
      has_header { key: ":authority" value: "example.com:8080" }
      has_header { key: ":path" value: "/a?b=c" }
      has_header { key: "TWICE" value: "1, 2" }
      headers { regex: "x-set: \\d" }
      no_header { key: "host" }
    }
  }
  request_body { input { content: "abcd" } result { body { exact: "ab!cd!" } } }
  response_headers {
    input { header { key: ":status" value: "200" } }
    result { immediate { http_status: 403 } body { exact: "no" } no_header { key: ":status" } }
  }
}
"#;

/// What is wrong with each test: phase, subject, expected, got.
fn faults(name: &str, text: &str) -> Vec<String> {
    let suite = PhaseSuite::parse(Path::new(name), text).unwrap();
    let module = Module::new(GUEST.as_bytes()).unwrap();
    let results = run(&suite, &module, b"");
    assert_eq!(results.len(), 1);
    let faults = results.iter().flat_map(|result| &result.faults);
    faults
        .map(|fault| {
            let finding = &fault.finding;
            format!(
                "{} {}: {} | {}",
                fault.step, finding.what, finding.expected, finding.got
            )
        })
        .collect()
}

#[test]
fn a_suite_runs_as_it_is() {
    assert_eq!(faults("a.textpb", SUITE), Vec::<String>::new());
}

#[test]
fn a_wrong_expectation_is_found_in_its_phase() {
    for (right, wrong, found) in [
        (
            "exact: \"hello\"",
            "exact: \"hi\"",
            "plugin_init log: hi | hello",
        ),
        (
            "x-set: \\\\d",
            "x-set: 2",
            "request_headers headers: /x-set: 2/ | :method: GET\n:scheme: https\n:path: /a?b=c\n:authority: example.com:8080\ntwice: 1, 2\nx-set: 1",
        ),
        (
            "key: \"host\"",
            "key: \"twice\"",
            "request_headers header twice: absent | 1, 2",
        ),
        ("ab!cd!", "abcd!", "request_body body: abcd! | ab!cd!"),
        (
            "http_status: 403",
            "http_status: 404",
            "response_headers http_status: 404 | 403",
        ),
        (
            "immediate { http_status: 403 }",
            "",
            "response_headers immediate: none | status 403",
        ),
    ] {
        assert!(SUITE.contains(right), "{right}");
        assert_eq!(faults("a.textpb", &SUITE.replace(right, wrong)), [found]);
    }
}

#[test]
fn the_yaml_form_is_read_too() {
    let text = "test:\n- name: a\n  request_headers:\n    input: {header: [{key: ':path', value: /}]}\n    result:\n      headers: [{exact: 'x-set: 2', invert: 'true'}, {exact: 'x-set: 1'}]\n";
    assert_eq!(faults("a.yaml", text), Vec::<String>::new());
}

#[test]
fn an_unknown_field_is_refused_with_its_place() {
    let error = PhaseSuite::parse(
        Path::new("a.textpb"),
        "test { name: \"a\" request_header { } }",
    )
    .unwrap_err();
    let told = error.to_string();
    assert!(told.starts_with("a.textpb: test"), "{told}");
    assert!(told.contains("unknown field `request_header`"), "{told}");
}

/// Logs `same` if the monotonic clock stands where the wall clock does, in the 123rd second.
const CLOCKS: &str = r#"(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_current_time_nanoseconds" (func $wall (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (drop (call $wall (i32.const 8)))
    (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 16)))
    (if (i32.and
          (i64.eq (i64.load (i32.const 8)) (i64.load (i32.const 16)))
          (i64.eq (i64.load (i32.const 8)) (i64.const 123000000000)))
      (then (drop (call $log (i32.const 2) (i32.const 100) (i32.const 4)))))
    (i32.const 1))
  (data (i32.const 100) "same"))"#;

#[test]
fn both_clocks_stand_at_the_suite_s_time() {
    let text =
        "env { time_secs: 123 } test { name: \"a\" plugin_init { log { exact: \"same\" } } }";
    let suite = PhaseSuite::parse(Path::new("a.textpb"), text).unwrap();
    let results = run(&suite, &Module::new(CLOCKS.as_bytes()).unwrap(), b"");
    assert!(results.iter().all(|result| result.passed()), "{results:#?}");
}
