//! The built module in the emulator, where ten minutes pass in seconds and every host call is counted. Needs `make build`.

use std::path::Path;

use launchgate_harness::emulator::Modules;
use launchgate_harness::envoy::workspace;
use launchgate_harness::scenario::{ScenarioFile, run::emulate};

/// Exchanges of a round, which is followed by ten seconds.
const ROUND: u64 = 500;
/// Rounds: ten minutes.
const ROUNDS: u64 = 60;
/// Records that the queue holds.
const QUEUE: u64 = 200;

/// What an exchange may cost, sink up or down. The end asks for status, flags, protocol, two sizes, route, cluster, upstream,
/// attempts, details and address, reads the clock, counts a record, and moves two gauges and one counter of the queue.
const BUDGET: &str =
    "{host_calls: {on_request_headers: 2, on_log: 16}, instructions: {on_log: 300000}}";

fn down() -> String {
    let mut text = format!(
        "about: ten minutes without a collector, at full rate
plugins:
  - plugin: access-log
    config:
      filter_state_key: \"\"
      sinks: [{{kind: otlp, cluster: collector, batch: {{max_age: 1s}}, queue: {{max_records: {QUEUE}}}, retry: {{attempts: 1000, min: 1s, max: 60s}}}}]
clusters:
  app: {{}}
  collector: {{reply: {{fail: refused}}}}
workers: [1]
labels: [sink, reason, result, level]
cases:
  - name: nothing is lost that is not counted
    allow: {{callouts: [collector]}}
    budget: {BUDGET}
    steps:
"
    );
    for _ in 0..ROUNDS {
        text.push_str(&format!("      - {{request: {{path: /a, repeat: {ROUND}}}, expect: {{status: 200}}}}\n      - advance: 10s\n"));
    }
    let written = ROUND * ROUNDS;
    let lost = written - QUEUE;
    text.push_str("      - clusters: {app: {}, collector: {reply: {status: 200, body: \"{}\"}}}\n      - advance: 120s\n");
    text.push_str(&format!("    expect:\n      metrics: {{'launchgate_access_log_records_total{{level=\"info\"}}': {written}, 'launchgate_access_log_dropped_total{{sink=\"otlp\",reason=\"queue_full\"}}': {lost}, 'launchgate_access_log_sent_total{{sink=\"otlp\"}}': {QUEUE}}}\n"));
    text
}

#[test]
fn ten_minutes_without_a_sink_cost_no_exchange_and_every_record_is_counted() {
    let file = ScenarioFile::parse(Path::new("down.yaml"), &down()).unwrap();
    let results = emulate(&file, &Modules::new(workspace().join("dist")));
    assert_eq!(results.len(), 1);
    for case in results {
        assert!(case.passed(), "{}: {:#?}", case.case, case.faults);
    }
}
