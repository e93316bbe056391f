//! A wall clock that is stepped back and forth changes timestamps, and nothing else.
//!
//! 1. Two emulated gateways with the whole suite do the same: hours of virtual time, thousands of requests, dependencies and sinks
//!    that fail and ask for pauses. On one of them the wall clock is stepped by up to three days, back and forth, again and again.
//! 2. After each step both must have answered, counted, called out and logged the same. So no window, lease, back-off, interval or
//!    expiry is on the wall clock.
//! 3. Of the one with the stepped clock the books must balance.
//!
//! What is meant to follow the wall clock (the canary's `start`, the ramp of HSTS, dates in `retry-after`) is not configured here; the
//! canary's scenarios step the clock in mid-schedule.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeMap;
use std::path::Path;

use launchgate_harness::emulator::{EmulatorHost, Modules};
use launchgate_harness::envoy::workspace;
use launchgate_harness::scenario::ScenarioFile;
use launchgate_harness::scenario::host::{Exchange, Observed, ScenarioHost, Started, Stat};
use launchgate_harness::scenario::step::Step;
use serde_json::{Value, json};

const ROUNDS: u64 = 250;
/// From this round on the canary is broken, and is rolled back.
const BROKEN: u64 = 200;
const GATEWAY: &str = "
plugins:
  - plugin: suite
    config:
      metrics: {labels: [method, route, status], routes: ['/users/{id}'], endpoint: {path: /metrics, allow: ['127.0.0.0/8']}, otlp: {cluster: collector, interval: 10s}}
      access_log: {service: checkout, sinks: [{kind: otlp, cluster: collector, batch: {max_age: 1s}, queue: {max_records: 50}, retry: {attempts: 5, min: 1s, max: 30s}}]}
      errors:
        dsn: 'http://0123456789abcdef0123456789abcdef@sentry.example/7'
        cluster: sentry
        routes: ['/users/{id}']
        notifiers: {ops: {kind: slack, cluster: slack, url: 'http://hooks.example/services/x'}}
        alerts:
          - {name: new, when: {kind: first_seen}, notify: [ops], interval: 5m}
          - {name: burst, when: {kind: frequency, count: 20, window: 1m}, notify: [ops], interval: 1m}
      tls: {headers: {preset: api}, hsts: {max_age: 365d}}
      health:
        max_age: 30s
        dependencies:
          - {name: database, kind: http, cluster: db, path: /ping, authority: db, interval: 1s, timeout: 500ms, failure_threshold: 2}
      canary:
        rollout: checkout-v2
        key: [{header: x-user-id}]
        stages: [{percent: 50}]
        rollback: {window: 1m, min_requests: 20}
        notifiers: {ops: {kind: webhook, cluster: slack, url: 'http://hooks.example/canary'}}
        clusters: {canary: canary, stable: stable}
clusters: {stable: {}, canary: {}, db: {}, sentry: {}, slack: {}, collector: {reply: {body: '{}'}}}
routes:
  - {name: canary, headers: {x-launchgate-variant: canary}, cluster: canary}
  - {name: stable, prefix: /, cluster: stable}
cases: [{name: none, request: {path: /}}]
";

/// SplitMix64.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

fn start(modules: &Modules) -> EmulatorHost {
    let file = ScenarioFile::parse(Path::new("clock.yaml"), GATEWAY).unwrap();
    let setup = &file.groups[0].setup;
    let mut host = EmulatorHost::new(modules.clone(), 2, vec![0, 1, 1]);
    let started = host.start(setup).unwrap();
    assert_eq!(
        started,
        Started::Running,
        "{:?}",
        host.observe().unwrap().logs
    );
    host.set_clusters(&setup.clusters).unwrap();
    host
}

/// What is done in a round; the last step asks whether the gateway is ready.
fn round(number: u64, draw: &mut Draw, sent: &mut u64) -> Vec<Value> {
    let is_broken = number >= BROKEN;
    let mut steps = vec![match draw.below(8) {
        _ if is_broken => json!({"clusters": {"canary": {"reply": {"status": 500}}}}),
        0 => json!({"clusters": {"db": {"reply": {"fail": "refused"}}}}),
        1 => {
            json!({"clusters": {"sentry": {"reply": {"status": 429, "headers": {"retry-after": "40"}}}}})
        }
        2 => {
            json!({"clusters": {"collector": {"reply": {"status": 503, "headers": {"retry-after": "20"}}}}})
        }
        3 => json!({"clusters": {"slack": {"reply": {"fail": "hang"}}}}),
        _ => {
            json!({"clusters": {"db": {}, "sentry": {}, "slack": {}, "collector": {"reply": {"body": "{}"}}}})
        }
    }];
    for _ in 0..draw.below(12) {
        // Both versions fail alike, so that nobody is blamed.
        let status = if draw.below(10) == 0 { 500 } else { 200 };
        let upstream = if is_broken {
            json!(null)
        } else {
            json!({"status": status})
        };
        let repeat = 1 + draw.below(8);
        *sent += repeat;
        steps.push(json!({"request": {
            "path": format!("/users/{}", draw.below(50)), "headers": {"x-user-id": draw.below(500).to_string()},
            "tls": {"version": "TLSv1.3"}, "repeat": repeat, "upstream": upstream,
        }}));
        steps.push(json!({"advance": format!("{}ms", 1 + draw.below(1500))}));
    }
    steps.push(json!({"advance": format!("{}s", 1 + draw.below(60))}));
    for path in ["/metrics", "/healthz"] {
        *sent += 1;
        steps.push(json!({"request": {"path": path, "tls": {"version": "TLSv1.3"}, "worker": 0}}));
    }
    steps
}

/// An exchange without the time that its body tells.
fn effect(exchange: &Exchange) -> Value {
    let response = exchange.response.as_ref().unwrap();
    let body = match serde_json::from_slice(&response.body) {
        Ok(Value::Object(mut fields)) => {
            fields.remove("timestamp");
            Value::Object(fields)
        }
        _ => json!(String::from_utf8_lossy(&response.body)),
    };
    let headers: Vec<_> = response
        .headers
        .iter()
        .filter(|(name, _)| name != b"date")
        .map(|(name, value)| [name, value].map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
        .collect();
    let clusters: Vec<_> = exchange.upstream.iter().map(|u| &u.cluster).collect();
    let has_record = exchange.filter_state.contains_key("launchgate.access_log");
    json!([response.status, headers, body, clusters, has_record])
}

type Effects = (
    Vec<Value>,
    Vec<(String, String)>,
    Vec<String>,
    BTreeMap<String, Stat>,
);

fn effects(seen: Observed) -> Effects {
    assert_eq!(seen.traps, Vec::<String>::new());
    assert_eq!(seen.faults, Vec::<String>::new());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let callouts = seen.callouts.iter();
    (
        seen.exchanges.iter().map(effect).collect(),
        callouts
            .map(|call| (call.cluster.clone(), text(&call.path)))
            .collect(),
        seen.logs.into_iter().map(|line| line.message).collect(),
        seen.stats,
    )
}

fn act(host: &mut EmulatorHost, step: &Value) {
    let step: Step = serde_json::from_value(step.clone()).unwrap();
    host.act(&step).unwrap();
}

fn sum(stats: &BTreeMap<String, Stat>, name: &str) -> u64 {
    let of = |(stat, value): (&String, &Stat)| match value {
        Stat::Counter(value) | Stat::Gauge(value) if stat.starts_with(name) => *value,
        _ => 0,
    };
    stats.iter().map(of).sum()
}

#[test]
fn a_wall_clock_that_leaps_changes_timestamps_and_nothing_else() {
    let modules = Modules::new(workspace().join("dist"));
    let (mut steady, mut leaping) = (start(&modules), start(&modules));
    let (mut draw, mut leaps, mut sent) = (Draw(11), Draw(12), 0);
    let mut stats = BTreeMap::new();
    let mut last = Vec::new();
    for number in 0..ROUNDS {
        for step in round(number, &mut draw, &mut sent) {
            let sign = if leaps.below(2) == 0 { '-' } else { '+' };
            let seconds = 1 + leaps.below(3 * 86_400);
            act(&mut leaping, &json!({"clock": format!("{sign}{seconds}s")}));
            act(&mut leaping, &step);
            act(&mut steady, &step);
            let (expected, got) = (
                effects(steady.observe().unwrap()),
                effects(leaping.observe().unwrap()),
            );
            let told = format!("round {number}, {sign}{seconds}s, {step}");
            assert_eq!(got.0, expected.0, "{told}: exchanges");
            assert_eq!(got.1, expected.1, "{told}: call-outs");
            assert_eq!(got.2, expected.2, "{told}: log lines");
            let differ = |(stat, _): &(&String, &Stat)| got.3.get(*stat) != expected.3.get(*stat);
            let differing: Vec<_> = got.3.iter().filter(differ).collect();
            assert!(
                differing.is_empty() && got.3.len() == expected.3.len(),
                "{told}: {differing:?}"
            );
            (last, stats) = (got.0, got.3);
        }
    }
    let count = |name: &str| sum(&stats, name);
    assert_eq!(
        count("launchgate_metrics_requests_total") + count("launchgate_metrics_excluded_total"),
        sent
    );
    assert_eq!(count("launchgate_access_log_records_total"), sent);
    assert_eq!(count("launchgate_panics_total"), 0);
    assert_eq!(count("launchgate_canary_rollbacks_total"), 1);
    assert!(sent > 5_000, "{sent} requests");
    // The run was worth it: each of these was on the way.
    for name in [
        "launchgate_errors_sent_total",
        "launchgate_errors_discarded_total",
        "launchgate_errors_notices_total",
        "launchgate_access_log_sent_total",
        "launchgate_access_log_dropped_total",
        "launchgate_health_checks_total",
        "launchgate_metrics_otlp_pushes_total",
    ] {
        assert!(count(name) > 0, "{name}: {stats:#?}");
    }
    assert_eq!(last.len(), 1);
}
