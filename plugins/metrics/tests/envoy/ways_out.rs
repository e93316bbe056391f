//! What comes out: shipped files, foreign judges, scrapes under load, push.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use launchgate_harness::envoy::{
    Bootstrap, Connection, Envoy, Launch, Reply, Request, Upstream, built_module, workspace,
};
use serde_json::json;

use crate::gateway::{SOON, flood, metrics, program, samples, scrape, start, total};

#[test]
fn the_shipped_bootstrap_gives_both_ways_out_and_foreign_judges_accept_the_own_one() {
    let shipped = Bootstrap::read(&workspace().join("envoy-configs/envoy/metrics.yaml")).unwrap();
    let envoy =
        Envoy::start(shipped.file("metrics.wasm", built_module("metrics").unwrap())).unwrap();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for path in ["/users/7", "/static/a.css", "/nobody/knows"] {
        let request = Request::get(path)
            .header("traceparent", trace)
            .header("x-tenant", "acme");
        assert_eq!(envoy.send(&request).unwrap().status, 200, "{path}");
    }
    let page = envoy.await_value(SOON, || {
        let page = scrape(&envoy, "application/openmetrics-text; version=1.0.0")?;
        Ok((total(&samples(&page), "launchgate_http_requests_total") == 3.0).then_some(page))
    });
    let page = page.unwrap();
    assert!(page.contains("launchgate_http_requests_total{method=\"GET\",route=\"static\",status_class=\"2xx\",tenant=\"acme\"} 1\n"), "{page}");
    assert!(
        page.contains("# {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} "),
        "{page}"
    );
    judge(
        Command::new(program("python3"))
            .env("PYTHONPATH", workspace().join(".tools/prometheus-client"))
            .args(["-c", STRICT]),
        &page,
    );
    judge(
        Command::new(program("promtool")).args(["check", "metrics"]),
        &scrape(&envoy, "text/plain;version=0.0.4").unwrap(),
    );

    // The same buckets in Envoy's stats.
    let stats = envoy.await_value(SOON, || {
        let stats = envoy.admin().prometheus()?;
        Ok(stats
            .contains("launchgate_metrics_request_duration_milliseconds_bucket{")
            .then_some(stats))
    });
    for bound in ["5", "250", "2500", "10000", "+Inf"] {
        assert!(
            stats.as_ref().unwrap().lines().any(|line| line
                .starts_with("launchgate_metrics_request_duration_milliseconds_bucket{")
                && line.contains(&format!("le=\"{bound}\""))),
            "{bound}"
        );
    }
    // Outside of the ranges, and for a forged address, there is no endpoint.
    assert_eq!(
        envoy
            .send(&Request::new("POST", "/metrics"))
            .unwrap()
            .status,
        405
    );
}

const STRICT: &str = "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\nassert len(list(parse(sys.stdin.read()))) > 5\n";

/// A program that reads the page and ends well where it accepts it.
fn judge(command: &mut Command, page: &str) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}\n{page}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn nobody_reads_the_endpoint_by_a_forged_address() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let config = json!({"endpoint": {"path": "/metrics", "allow": ["10.0.0.0/8"]}});
    let bootstrap = Bootstrap::gateway(&[metrics(&config)]).upstream("app", &app);
    let envoy = Envoy::start(bootstrap).unwrap();
    let forged = Request::get("/metrics").header("x-forwarded-for", "10.0.0.1");
    assert_eq!(envoy.send(&forged).unwrap().status, 404);
    assert_eq!(app.received().len(), 0);
    assert_eq!(
        envoy
            .admin()
            .stat("wasmcustom.launchgate_metrics_scrapes_totaloutcome=.=denied;.;")
            .unwrap(),
        1
    );
}

#[test]
fn a_thousand_scrapes_of_four_workers_under_load_never_go_back() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let config = json!({"endpoint": {"allow": ["127.0.0.0/8"]}});
    let routes = json!([{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]);
    let envoy = start(&config, &[], routes, &[("app", &app)], 4);
    let address = envoy.gateway().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for client in 0..4 {
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let mut connection = Connection::open(address).unwrap();
                    for number in 0..50 {
                        connection
                            .exchange(&Request::get(format!("/{client}/{number}")))
                            .unwrap();
                    }
                }
            });
        }
        let mut last = BTreeMap::new();
        let mut moved = 0;
        let shown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for turn in 0..1000 {
                let page = samples(
                    &scrape(
                        &envoy,
                        if turn % 2 == 0 {
                            "*/*"
                        } else {
                            "application/openmetrics-text"
                        },
                    )
                    .unwrap(),
                );
                for (series, value) in &last {
                    if series != "launchgate_http_requests_in_flight" {
                        assert!(
                            page.get(series).is_some_and(|now| now >= value),
                            "{series} went from {value} to {:?}",
                            page.get(series)
                        );
                    }
                }
                moved += usize::from(page != last);
                last = page;
            }
        }));
        done.store(true, Ordering::Relaxed);
        if let Err(panic) = shown {
            std::panic::resume_unwind(panic);
        }
        assert!(moved > 100, "the numbers moved in {moved} of 1000 scrapes");
    });
}

#[test]
fn two_hundred_requests_define_each_metric_once() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let envoy = start(
        &json!({}),
        &[],
        json!([{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]),
        &[("app", &app)],
        1,
    );
    let names = || envoy.admin().matching_stats("wasmcustom").unwrap().len();
    flood(&envoy, (0..1).map(|_| Request::get("/a"))).unwrap();
    let once = names();
    flood(&envoy, (0..200).map(|_| Request::get("/a"))).unwrap();
    assert_eq!(names(), once);
    assert_eq!(
        envoy
            .admin()
            .stat("wasmcustom.launchgate_metrics_requests_in_flight")
            .unwrap(),
        0
    );
}

#[test]
fn a_refused_configuration_stops_the_start_and_names_every_mistake() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let config = json!({"slo": [{"name": "x", "routes": ["*"], "availability_percent": 99.9, "latency": {"threshold": "300ms", "percent": 99}}], "max_series": 0});
    let validation = Launch::new(Bootstrap::gateway(&[metrics(&config)]).upstream("app", &app))
        .validate()
        .unwrap();
    assert!(!validation.accepted);
    for text in [
        "slo[0].latency.threshold: \"300ms\": expected one of buckets",
        "max_series: 0: expected a number from 1 to 10000",
    ] {
        assert!(
            validation.log.iter().any(|line| line.text.contains(text)),
            "{text}: {:#?}",
            validation.log
        );
    }
}

#[test]
fn the_push_is_what_protobuf_reads() {
    let app = Upstream::always(Reply::status(200).body("ok")).unwrap();
    let collector = Upstream::always(
        Reply::status(200)
            .header("content-type", "application/json")
            .body("{}"),
    )
    .unwrap();
    let config = json!({"otlp": {"cluster": "otel", "interval": "1s"}, "slo": [{"name": "all", "routes": ["*"], "availability_percent": 99}]});
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]);
    let envoy = start(
        &config,
        &[],
        routes,
        &[("app", &app), ("otel", &collector)],
        2,
    );
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let traced =
        Request::get("/a").header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"));
    assert_eq!(envoy.send(&traced).unwrap().status, 200);
    let bodies = envoy.await_value(SOON, || {
        let bodies: Vec<Vec<u8>> = collector
            .received()
            .into_iter()
            .map(|call| call.body)
            .collect();
        Ok(bodies
            .iter()
            .any(|body| String::from_utf8_lossy(body).contains("launchgate.http.request.duration"))
            .then_some(bodies))
    });
    let bodies: Vec<String> = bodies
        .unwrap()
        .into_iter()
        .map(|body| String::from_utf8(body).unwrap())
        .collect();
    let duration = bodies.iter().find_map(|body| {
        let read: serde_json::Value = serde_json::from_str(body).unwrap();
        let metrics = read
            .pointer("/resourceMetrics/0/scopeMetrics/0/metrics")?
            .as_array()?
            .clone();
        metrics
            .into_iter()
            .find(|metric| metric["name"] == "launchgate.http.request.duration")
    });
    let point = &duration.unwrap()["histogram"]["dataPoints"][0];
    let exemplars = point["exemplars"].as_array().unwrap();
    assert_eq!(
        (exemplars.len(), &exemplars[0]["traceId"]),
        (1, &json!(TRACE))
    );
    assert_eq!(
        exemplars[0]["asDouble"], point["sum"],
        "the one value that there is"
    );
    for text in bodies {
        judge(
            Command::new(program("python3"))
                .env("PYTHONPATH", workspace().join(".tools/otlp"))
                .args(["-c", PROTOBUF]),
            &text,
        );
    }
    let pushed = envoy.await_value(SOON, || {
        Ok((envoy
            .admin()
            .stat("wasmcustom.launchgate_metrics_otlp_pushes_totaloutcome=.=ok;.;")
            .unwrap_or(0)
            > 1)
        .then_some(()))
    });
    assert!(pushed.is_ok());
}

/// Strictly as protobuf JSON. Trace ids are hex in OTLP/JSON where protobuf JSON has base64: that is the one difference.
const PROTOBUF: &str = r#"
import base64, json, sys
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

def unhex(pairs):
    read = dict(pairs)
    assert len(read) == len(pairs), pairs
    if "traceId" in read:
        raw = bytes.fromhex(read["traceId"])
        assert len(raw) == 16 and read["traceId"].islower(), read
        read["traceId"] = base64.b64encode(raw).decode()
    return read

body = json.load(sys.stdin, object_pairs_hook=unhex)
parsed = json_format.ParseDict(body, ExportMetricsServiceRequest(), ignore_unknown_fields=False)
for metric in parsed.resource_metrics[0].scope_metrics[0].metrics:
    for point in metric.histogram.data_points:
        assert sum(point.bucket_counts) == point.count, point
        assert len(point.bucket_counts) == len(point.explicit_bounds) + 1, point
        for exemplar in point.exemplars:
            assert len(exemplar.trace_id) == 16, exemplar
assert parsed.resource_metrics[0].scope_metrics[0].metrics
"#;
