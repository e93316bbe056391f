//! The emulator's rules, each with a guest of a few lines of WebAssembly text.
//!
//! `guest` wraps the body of callbacks: memory, an allocator that only grows, the imports, and helpers `$log`.

use std::path::Path;

use launchgate_harness::emulator::Modules;
use launchgate_harness::scenario::ScenarioFile;
use launchgate_harness::scenario::run::{CaseResult, emulate};

/// Data at fixed places: names and values that the guests use.
const DATA: &str = r#"
  (data (i32.const 100) "x-dup")          ;; 100, 5
  (data (i32.const 110) "one")            ;; 110, 3
  (data (i32.const 120) ":path")          ;; 120, 5
  (data (i32.const 130) "key")            ;; 130, 3
  (data (i32.const 140) "count_total")    ;; 140, 11
  (data (i32.const 160) "callee")         ;; 160, 6
  (data (i32.const 170) "bogus")          ;; 170, 5
  (data (i32.const 180) "k")              ;; 180, 1
  (data (i32.const 190) "hello")          ;; 190, 5
  (data (i32.const 200) "request\00path") ;; 200, 12
  ;; pairs: :method GET, :path /call, :authority callee
  (data (i32.const 300) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\05\00\00\00\0a\00\00\00\06\00\00\00")
  (data (i32.const 328) ":method\00GET\00:path\00/call\00:authority\00callee\00")
"#;

const IMPORTS: &str = r#"
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value" (func $set (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_shared_data" (func $share (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_shared_data" (func $shared (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $inc (param i32 i64) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
  (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
  (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_property" (func $set_property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_call_foreign_function" (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_buffer_bytes" (func $set_buffer (param i32 i32 i32 i32 i32) (result i32)))
"#;

/// A module with these callbacks. `$n` logs a number below 100 as a line of two digits.
fn guest(callbacks: &str) -> String {
    format!(
        r#"(module {IMPORTS}
  (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 4096))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (global.get $top) (global.set $top (i32.add (global.get $top) (local.get $size))))
  (func $n (param $n i32)
    (i32.store8 (i32.const 50) (i32.add (i32.const 48) (i32.div_u (local.get $n) (i32.const 10))))
    (i32.store8 (i32.const 51) (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
    (drop (call $log (i32.const 2) (i32.const 50) (i32.const 2))))
  {DATA}
  {callbacks})"#
    )
}

/// Runs a scenario (without its `plugins`) on a guest.
fn run(name: &str, callbacks: &str, scenario: &str) -> Vec<CaseResult> {
    let folder =
        std::env::temp_dir().join(format!("launchgate-emulator-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("guest.wat"), guest(callbacks)).unwrap();
    let text = if scenario.contains("plugins:") {
        scenario.to_owned()
    } else {
        format!("plugins: [{{plugin: guest.wat}}]\n{scenario}")
    };
    let file = ScenarioFile::parse(&folder.join("scenario.yaml"), &text).unwrap();
    let results = emulate(&file, &Modules::new(Path::new("dist")));
    std::fs::remove_dir_all(&folder).unwrap();
    results
}

#[track_caller]
fn passes(name: &str, callbacks: &str, scenario: &str) {
    let results = run(name, callbacks, scenario);
    assert!(!results.is_empty());
    for result in results {
        assert!(
            result.passed(),
            "{} ({}): {:#?}",
            result.case,
            result.host,
            result.faults
        );
    }
}

/// The only finding: what it is about, and what was got.
#[track_caller]
fn fails(name: &str, callbacks: &str, scenario: &str) -> (String, String) {
    let results = run(name, callbacks, scenario);
    let first = results
        .iter()
        .find_map(|result| result.faults.first())
        .expect("a case that fails");
    (first.finding.what.clone(), first.finding.got.clone())
}

const ON_HEADERS: &str =
    r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)"#;

#[test]
fn a_header_reads_its_first_value_and_replacing_leaves_one() {
    passes(
        "first",
        &format!(
            r#"{ON_HEADERS}
            (call $n (call $get (i32.const 0) (i32.const 100) (i32.const 5) (i32.const 60) (i32.const 64)))
            (drop (call $log (i32.const 2) (i32.load (i32.const 60)) (i32.load (i32.const 64))))
            (call $n (call $set (i32.const 0) (i32.const 100) (i32.const 5) (i32.const 110) (i32.const 3)))
            (i32.const 0))"#
        ),
        r#"
cases:
  - name: duplicates
    request: {headers: {X-Dup: [a, b]}}
    expect:
      logs: [{matches: "^00$", count: 2}, {matches: "^a$", count: 1}]
      upstream: {headers: {x-dup: one}}
"#,
    );
}

#[test]
fn request_headers_are_gone_in_response_callbacks() {
    let (what, got) = fails(
        "gone",
        r#"(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (call $n (call $get (i32.const 0) (i32.const 120) (i32.const 5) (i32.const 60) (i32.const 64)))
            (call $n (call $property (i32.const 200) (i32.const 12) (i32.const 60) (i32.const 64)))
            (i32.const 0))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))"#,
        "
cases:
  - name: reads the path too late
    request: {}
    expect: {logs: [{matches: '^02$'}, {matches: '^01$'}]}
",
    );
    assert_eq!(what, "phase");
    assert!(
        got.contains(
            "proxy_on_response_headers calls proxy_get_header_map_value on the request headers"
        ),
        "{got}"
    );
}

#[test]
fn a_wrong_cas_is_a_mismatch_only_on_a_present_key() {
    passes(
        "cas",
        &format!(
            r#"{ON_HEADERS}
            (call $n (call $share (i32.const 130) (i32.const 3) (i32.const 110) (i32.const 3) (i32.const 7)))
            (call $n (call $share (i32.const 130) (i32.const 3) (i32.const 190) (i32.const 5) (i32.const 999)))
            (call $n (call $share (i32.const 130) (i32.const 3) (i32.const 190) (i32.const 5) (i32.const 0)))
            (i32.const 0))"#
        ),
        "
cases:
  - name: compare and set
    request: {worker: 0}
    expect:
      logs: [{matches: '^00$', count: 2}, {matches: '^08$', count: 1}]
      shared_data: {key: hello, other: null}
",
    );
}

#[test]
fn ticks_run_on_the_main_thread_and_every_worker() {
    passes(
        "ticks",
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $tick (i32.const 100))) (i32.const 1))
           (func (export "proxy_on_tick") (param i32) (call $n (i32.const 7)))"#,
        "
workers: [2]
cases:
  - name: three VMs tick
    steps:
      - advance: 250ms
        expect: {logs: [{matches: '^07$', count: 6}]}
      - advance: 50ms
        expect: {logs: [{matches: '^07$', count: 3}]}
",
    );
}

#[test]
fn counters_refuse_zero_and_are_one_over_all_vms() {
    passes(
        "counter",
        &format!(
            r#"(global $id (mut i32) (i32.const 0))
            (func (export "proxy_on_configure") (param i32 i32) (result i32)
              (drop (call $define (i32.const 0) (i32.const 140) (i32.const 11) (i32.const 60)))
              (global.set $id (i32.load (i32.const 60))) (i32.const 1))
            {ON_HEADERS}
            (call $n (call $inc (global.get $id) (i64.const 1)))
            (call $n (call $inc (global.get $id) (i64.const 0)))
            (i32.const 0))"#
        ),
        "
cases:
  - name: twice
    steps:
      - request: {repeat: 2}
        expect: {metrics: {count_total: 2}, logs: [{matches: '^02$', count: 2}], prometheus: ['^# TYPE count_total counter$']}
",
    );
}

const PAUSE_FOR_CALL: &str = r#"
  (func (export "proxy_on_request_headers") (param $id i32) (param i32 i32) (result i32)
    (global.set $stream (local.get $id))
    (call $n (call $call (i32.const 160) (i32.const 6) (i32.const 300) (i32.const 70) (i32.const 190) (i32.const 5)
      (i32.const 0) (i32.const 0) (i32.const 300) (i32.const 60)))
    (i32.const 1))
  (global $stream (mut i32) (i32.const 0))
  (func (export "proxy_on_http_call_response") (param $root i32) (param $token i32) (param $headers i32) (param i32 i32)
    (call $n (local.get $headers))
    (drop (call $effective (global.get $stream)))
    (drop (call $continue (i32.const 0))))
"#;

#[test]
fn a_paused_request_goes_on_after_its_call_out() {
    passes(
        "callout",
        PAUSE_FOR_CALL,
        "
clusters: {app: {}, callee: {}}
cases:
  - name: <how> gives <headers> headers
    table:
      - {how: an answer, reply: {status: 200, latency: 200ms}, headers: 3}
      - {how: a refusal, reply: {fail: refused}, headers: 3}
      - {how: a reset, reply: {fail: reset_mid_body}, headers: 0}
      - {how: a time-out, reply: {fail: hang}, headers: 3}
    clusters: {callee: {reply: <reply>}}
    request: {}
    expect:
      status: 200
      logs: [{matches: '^0<headers>$', count: {min: 1}}]
      callouts: [{cluster: callee, path: /call, headers: {x-envoy-internal: 'true', content-length: 5, x-envoy-expected-rq-timeout-ms: 300}, body: hello}]
",
    );
}

#[test]
fn a_call_to_a_cluster_without_hosts_fails_at_once_and_the_pause_hangs() {
    let (what, got) = fails(
        "nohost",
        PAUSE_FOR_CALL,
        "
clusters: {app: {}, callee: {hosts: false}}
cases:
  - name: nobody there
    request: {}
    expect: {logs: [{matches: '^10$'}]}
",
    );
    assert_eq!(what, "response");
    assert!(
        got.starts_with("plugin guest paused in on_request_headers and never continued"),
        "{got}"
    );
}

#[test]
fn an_unexpected_call_out_fails_the_case() {
    let (what, got) = fails(
        "unexpected",
        PAUSE_FOR_CALL,
        "clusters: {app: {}, callee: {}}\ncases: [{name: x, request: {}}]",
    );
    assert_eq!(
        (what.as_str(), got.as_str()),
        ("call-out", "GET /call to cluster callee")
    );
}

#[test]
fn an_answer_nobody_asked_for_fails_the_case() {
    let (what, _) = fails(
        "unread",
        "",
        "clusters: {app: {sequence: [{status: 500}, {status: 503}]}}\ncases: [{name: x, request: {}}]",
    );
    assert_eq!(what, "cluster app: sequence[1]");
}

#[test]
fn a_local_reply_passes_the_plugins_own_response_callback() {
    passes(
        "reply",
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (call $n (call $reply (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 190) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const -1)))
            (i32.const 0))
           (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (drop (call $add (i32.const 2) (i32.const 100) (i32.const 5) (i32.const 110) (i32.const 3))) (i32.const 0))"#,
        "
cases:
  - name: answered here
    request: {}
    expect:
      status: 403
      headers: {x-dup: one, content-length: 5, content-type: text/plain, server: envoy}
      body: hello
      upstream: {none: true}
",
    );
}

const TRAP: &str = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (i32.eqz (call $get (i32.const 0) (i32.const 100) (i32.const 5) (i32.const 60) (i32.const 64))) (then unreachable))
    (i32.const 0))"#;

#[test]
fn a_dead_vm_is_treated_by_its_failure_policy() {
    for (policy, then, later) in [
        ("fail_closed", 503, 503),
        ("fail_open", 200, 200),
        ("fail_reload", 503, 200),
    ] {
        passes(
            policy,
            TRAP,
            &format!(
                "
plugins: [{{plugin: guest.wat, failure_policy: {policy}}}]
workers: [1]
cases:
  - name: {policy}
    steps:
      - request: {{headers: {{x-dup: a}}}}
        expect: {{status: 503, details: wasm_fail_stream, body: '', trap: true}}
      - request: {{}}
        expect: {{status: {then}}}
      - advance: 2s
      - request: {{}}
        expect: {{status: {later}}}
"
            ),
        );
    }
}

#[test]
fn an_endless_loop_ends_with_the_callback_named() {
    let (what, got) = fails(
        "loop",
        &format!("{ON_HEADERS} (loop $l (br $l)) (i32.const 0))"),
        "
plugins: [{plugin: guest.wat, max_instructions: 100000}]
cases: [{name: x, request: {}}]
",
    );
    assert_eq!(what, "trap");
    let limit = "Function: proxy_on_request_headers failed: instruction limit of 100000 reached";
    assert!(got.contains(limit), "{got}");
}

#[test]
fn a_missing_import_is_named() {
    let module = launchgate_harness::emulator::Module::new(
        br#"(module (import "env" "proxy_nope" (func)) (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1")) (func (export "malloc") (param i32) (result i32) (i32.const 0)))"#,
    );
    assert_eq!(
        module.err().unwrap().to_string(),
        "failed to load Wasm module: missing import: env.proxy_nope"
    );
}

#[test]
fn a_fault_makes_a_host_call_answer_its_status() {
    passes(
        "fault",
        &format!(
            "{ON_HEADERS} (call $n (call $share (i32.const 130) (i32.const 3) (i32.const 110) (i32.const 3) (i32.const 0))) (i32.const 0))"
        ),
        "
cases:
  - name: then it works again
    steps:
      - faults: {proxy_set_shared_data: 10}
      - request: {}
        expect: {logs: [{matches: '^10$'}], shared_data: {key: null}}
      - faults: {}
      - request: {}
        expect: {logs: [{matches: '^00$'}], shared_data: {key: one}}
",
    );
}

#[test]
fn filter_state_is_the_access_record() {
    passes(
        "record",
        r#"(func (export "proxy_on_log") (param i32)
            (call $n (call $set_property (i32.const 180) (i32.const 1) (i32.const 190) (i32.const 5))))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))"#,
        "
cases:
  - name: written in on_log
    request: {}
    expect: {filter_state: {k: hello, other: null}}
",
    );
}

#[test]
fn a_paused_body_is_shown_with_all_before_it() {
    passes(
        "body",
        r#"(func (export "proxy_on_request_body") (param i32) (param $n i32) (param $end i32) (result i32)
            (call $n (local.get $n))
            (if (local.get $end) (then
              (drop (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 99) (i32.const 190) (i32.const 5)))))
            (i32.eqz (local.get $end)))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))"#,
        "
cases:
  - name: three pieces
    request: {method: POST, chunks: [alpha, beta, gamma]}
    expect:
      logs: [{matches: '^05$', count: 1}, {matches: '^09$', count: 1}, {matches: '^14$', count: 2}]
      upstream: {body: hello}
",
    );
}

/// Callbacks that compile an expression, and log what it is for a request.
fn expression(text: &str) -> String {
    format!(
        r#"
  (data (i32.const 1000) "expr_create")
  (data (i32.const 1020) "expr_evaluate")
  (data (i32.const 1100) "{text}")
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (call $n (call $foreign (i32.const 1000) (i32.const 11) (i32.const 1100) (i32.const {}) (i32.const 60) (i32.const 64)))
    (i32.const 1))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (call $n (call $foreign (i32.const 1020) (i32.const 13) (i32.load (i32.const 60)) (i32.const 4) (i32.const 70) (i32.const 74)))
    (drop (call $log (i32.const 2) (i32.load (i32.const 70)) (i32.load (i32.const 74))))
    (i32.const 0))"#,
        text.len()
    )
}

#[test]
fn an_expression_sees_the_attributes_that_a_scenario_sets() {
    passes(
        "expression",
        &expression(
            "request.custom + request.headers['x-set'] + string(request.number + 1) + top.level + metadata.filter_metadata['f'].k + request.path",
        ),
        r#"
cases:
  - name: set
    request:
      path: /p
      attributes: {request.custom: c, request.headers.x-set: s, request.number: 41, top.level: t, metadata.filter_metadata.f.k: m}
    expect: {logs: [{matches: '^00$'}, {matches: '^cs42tm/p$'}]}
  - name: not set
    request: {path: /p}
    expect: {logs: [{matches: '^10$'}]}
"#,
    );
}

#[test]
fn a_message_in_an_expression_is_refused_by_name() {
    let (_, got) = fails(
        "message",
        &expression("google.protobuf.Duration{seconds: 1}"),
        "cases: [{name: none, request: {path: /}}]",
    );
    assert!(got.contains("google.protobuf.Duration"), "{got}");
}
