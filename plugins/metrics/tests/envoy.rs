//! The built module in the real Envoy: nothing is lost, doubled or forged. Needs `make build` and `make deps`.

mod gateway;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::io::Write;


use gateway::{SOON, counted, flood, metrics, program, samples, scrape, start, total};
use launchgate_harness::envoy::{Answer, Bootstrap, Connection, Envoy, Launch, Received, Reply, Request, Upstream, built_module, get, workspace};
use serde_json::{Value, json};

const VOCABULARY: [&str; 8] = ["method", "route", "status", "status_class", "source", "flags", "grpc_code", "attempts"];

fn routes() -> Value {
    json!([
        {"match": {"prefix": "/retry"}, "route": {"cluster": "app", "retry_policy": {"retry_on": "5xx", "num_retries": 2}}},
        {"match": {"prefix": "/direct"}, "direct_response": {"status": 418, "body": {"inline_string": "teapot"}}},
        {"match": {"prefix": "/down"}, "route": {"cluster": "down"}},
        {"match": {"prefix": "/rpc"}, "route": {"cluster": "rpc"}},
        {"name": "fast", "match": {"prefix": "/app"}, "route": {"cluster": "app", "timeout": "0.3s"}},
        {"match": {"prefix": "/patient"}, "route": {"cluster": "app", "timeout": "0s"}},
    ])
}

fn script(request: &Received) -> Answer {
    match request.path.as_str() {
        "/app/slow" | "/patient" => Answer::Hang,
        "/app/close" => Answer::Close,
        "/app/cut" => Answer::ResetInBody(Reply::status(200).body("0123456789")),
        "/retry" => Reply::status(503).into(),
        "/app/events" => Reply::status(200).header("content-type", "text/event-stream").body("data: x\n\n").into(),
        "/app/upgrade" => Reply::status(101).header("upgrade", "websocket").header("connection", "Upgrade").into(),
        _ => Reply::status(200).body("ok").into(),
    }
}

/// A round of everything that can happen to a request. Gives how many were sent.
fn round(envoy: &Envoy, app: &Upstream) -> usize {
    let address = envoy.gateway().unwrap();
    let grpc = Request::new("POST", "/rpc").header("content-type", "application/grpc").header("te", "trailers").body([0, 0, 0, 0, 0]);
    let replies = [
        (Request::get("/app"), 200),
        (Request::new("HEAD", "/app"), 200),
        (Request::new("POST", "/app").body("body"), 200),
        (Request::new("BREW", "/app"), 200),
        (Request::get("/direct"), 418),
        (Request::get("/nowhere"), 404),
        (Request::get("/down"), 503),
        (Request::get("/app/slow"), 504),
        (Request::get("/app/close"), 503),
        (Request::get("/retry"), 503),
        (Request::get("/app/events"), 200),
        (Request::without_host("GET", "/app"), 400),
        (grpc, 200),
    ];
    let mut sent = replies.len();
    for (request, status) in replies {
        let reply = launchgate_harness::envoy::send(address, &request);
        assert_eq!(reply.unwrap().status, status, "{:?}", String::from_utf8_lossy(&request.encode()));
    }
    assert!(get(address, "/app/cut").is_err());
    let mut broken = Connection::open(address).unwrap();
    broken.write(b"GET /app HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n").unwrap();
    assert_eq!(broken.read().unwrap().status, 400);
    let before = app.received().len();
    let mut leaving = Connection::open(address).unwrap();
    leaving.write(&Request::get("/patient").encode()).unwrap();
    app.await_received(before + 1, SOON).unwrap();
    drop(leaving);
    let mut upgrade = Connection::open(address).unwrap();
    upgrade.write(b"GET /app/upgrade HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n").unwrap();
    assert_eq!(upgrade.read().unwrap().status, 101);
    drop(upgrade);
    sent += 4;
    sent
}

#[test]
fn requests_sent_are_requests_counted_and_durations_seen_whatever_happens_to_them() {
    for workers in [1, 4] {
        let app = Upstream::start(launchgate_harness::envoy::Protocol::Http1, script).unwrap();
        let rpc = Upstream::always_http2(Reply::grpc(b"", 14)).unwrap();
        let config = json!({"labels": VOCABULARY, "routes": ["/app", "/app/*"], "endpoint": {"allow": ["127.0.0.0/8"]}});
        let down = Upstream::always(Reply::status(200)).unwrap();
        down.refuse();
        let envoy = start(&config, &VOCABULARY, routes(), &[("app", &app), ("rpc", &rpc), ("down", &down)], workers);
        let sent: usize = (0..4).map(|_| round(&envoy, &app)).sum();
        let wanted = [(sent as f64, sent as f64); 2];
        let last = std::cell::Cell::new([(0.0, 0.0); 2]);
        let reached = envoy.await_value(SOON, || {
            last.set(counted(&envoy)?);
            Ok((last.get() == wanted).then_some(()))
        });
        let page = scrape(&envoy, "text/plain").unwrap();
        assert!(reached.is_ok(), "{workers} workers, sent {sent}, counted {:?}: {page}", last.get());

        let own = samples(&page);
        for (labels, count) in [
            ("method=\"GET\",route=\"/app\",status=\"200\",status_class=\"2xx\",source=\"upstream\",flags=\"-\",grpc_code=\"\",attempts=\"1\"", 4.0),
            ("method=\"_OTHER\",route=\"/app\",status=\"200\",status_class=\"2xx\",source=\"upstream\",flags=\"-\",grpc_code=\"\",attempts=\"1\"", 4.0),
            ("method=\"GET\",route=\"/app/*\",status=\"504\",status_class=\"5xx\",source=\"gateway\",flags=\"UT\",grpc_code=\"\",attempts=\"1\"", 4.0),
            ("method=\"GET\",route=\"_OTHER\",status=\"404\",status_class=\"4xx\",source=\"gateway\",flags=\"NR\",grpc_code=\"\",attempts=\"0\"", 4.0),
            ("method=\"GET\",route=\"_OTHER\",status=\"503\",status_class=\"5xx\",source=\"upstream\",flags=\"URX\",grpc_code=\"\",attempts=\"3\"", 4.0),
            ("method=\"GET\",route=\"_OTHER\",status=\"499\",status_class=\"4xx\",source=\"client_abort\",flags=\"DC\",grpc_code=\"\",attempts=\"1\"", 4.0),
            ("method=\"POST\",route=\"_OTHER\",status=\"200\",status_class=\"2xx\",source=\"upstream\",flags=\"-\",grpc_code=\"14\",attempts=\"1\"", 4.0),
        ] {
            assert_eq!(own.get(&format!("launchgate_http_requests_total{{{labels}}}")), Some(&count), "{workers} workers: {labels}\n{page}");
        }
        assert_eq!(total(&own, "launchgate_http_stream_duration_seconds_count"), 8.0, "upgrades and event streams");
        assert_eq!(own["launchgate_http_requests_in_flight"], 0.0);
        assert_eq!(envoy.admin().stat("wasmcustom.launchgate_metrics_requests_in_flight").unwrap(), 0);
        assert_eq!(envoy.admin().stat("wasmcustom.launchgate_panics_total").unwrap(), 0);
    }
}

#[test]
fn the_shipped_bootstrap_gives_both_ways_out_and_foreign_judges_accept_the_own_one() {
    let shipped = Bootstrap::read(&workspace().join("envoy-configs/envoy/metrics.yaml")).unwrap();
    let envoy = Envoy::start(shipped.file("metrics.wasm", built_module("metrics").unwrap())).unwrap();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for path in ["/users/7", "/static/a.css", "/nobody/knows"] {
        let request = Request::get(path).header("traceparent", trace).header("x-tenant", "acme");
        assert_eq!(envoy.send(&request).unwrap().status, 200, "{path}");
    }
    let page = envoy.await_value(SOON, || {
        let page = scrape(&envoy, "application/openmetrics-text; version=1.0.0")?;
        Ok((total(&samples(&page), "launchgate_http_requests_total") == 3.0).then_some(page))
    });
    let page = page.unwrap();
    assert!(page.contains("launchgate_http_requests_total{method=\"GET\",route=\"static\",status_class=\"2xx\",tenant=\"acme\"} 1\n"), "{page}");
    assert!(page.contains("# {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} "), "{page}");
    judge(Command::new(program("python3")).env("PYTHONPATH", workspace().join(".tools/prometheus-client")).args(["-c", STRICT]), &page);
    judge(Command::new(program("promtool")).args(["check", "metrics"]), &scrape(&envoy, "text/plain;version=0.0.4").unwrap());

    // The same buckets in Envoy's stats.
    let stats = envoy.await_value(SOON, || {
        let stats = envoy.admin().prometheus()?;
        Ok(stats.contains("launchgate_metrics_request_duration_milliseconds_bucket{").then_some(stats))
    });
    for bound in ["5", "250", "2500", "10000", "+Inf"] {
        assert!(stats.as_ref().unwrap().lines().any(|line| line.starts_with("launchgate_metrics_request_duration_milliseconds_bucket{") && line.contains(&format!("le=\"{bound}\""))), "{bound}");
    }
    // Outside of the ranges, and for a forged address, there is no endpoint.
    assert_eq!(envoy.send(&Request::new("POST", "/metrics")).unwrap().status, 405);
}

const STRICT: &str = "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\nassert len(list(parse(sys.stdin.read()))) > 5\n";

/// A program that reads the page and ends well where it accepts it.
fn judge(command: &mut Command, page: &str) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}{}\n{page}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
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
    assert_eq!(envoy.admin().stat("wasmcustom.launchgate_metrics_scrapes_totaloutcome=.=denied;.;").unwrap(), 1);
}

/// Istio's tags besides those of `extraStatTags`: name and regex.
const ISTIO: [(&str, &str); 15] = [
    ("cluster_name", r"^cluster\.((.+?(\..+?\.svc\.cluster\.local)?)\.)"),
    ("tcp_prefix", r"^tcp\.((.*?)\.)\w+?$"),
    ("response_code", r"_rq(_(\d{3}))$"),
    ("response_code_class", r"_rq(_(\dxx))$"),
    ("http_conn_manager_listener_prefix", r"^listener(?=\.).*?\.http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)"),
    ("http_conn_manager_prefix", r"^http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)"),
    ("listener_address", r"^listener\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)"),
    ("mongo_prefix", r"^mongo\.(.+?)\.(collection|cmd|cx_|op_|delays_|decoding_)(.*?)$"),
    ("cache", r"(cache\.(.+?)\.)"),
    ("component", r"(component\.(.+?)\.)"),
    ("tag", r"(tag\.(.+?);\.)"),
    ("wasm_filter", r"(wasm_filter\.(.+?)\.)"),
    ("authz_enforce_result", r"rbac(\.(allowed|denied))"),
    ("authz_dry_run_action", r"(\.istio_dry_run_(allow|deny)_)"),
    ("authz_dry_run_result", r"(\.shadow_(allowed|denied))"),
];

/// Requests of somebody who wants a new series each time.
fn hostile(number: usize) -> Request {
    const WORDS: [&str; 12] = [
        "cache.x.y", "component.a.b", "tag.q;.", "wasm_filter.f.g", "rbac.allowed", "a.istio_dry_run_allow_b", "x.shadow_denied", "evil;.;reporter=.=admin;.;", "x_rq_503", "listener.1.http.2.", "a\"b\\c", "k=.=v;.;",
    ];
    let word = WORDS[number % WORDS.len()];
    let mut value = format!("{word}{number}").into_bytes();
    let byte = (number % 255 + 1) as u8;
    if !matches!(byte, b'\r' | b'\n' | b'\t' | b' ') && byte > 31 && byte != 127 {
        value.push(byte);
    }
    let method = if number % 3 == 0 { format!("M{number}") } else { "GET".to_owned() };
    Request::new(method, format!("/{number}/{}", word.replace(['\\', '"', ' '], "_"))).header("x-tenant", value).host(format!("h{number}.example.org"))
}

fn memory(envoy: &Envoy) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", envoy.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_hundred_thousand_hostile_requests_stay_within_the_cap_and_add_no_label() {
    const CAP: usize = 50;
    let app = Upstream::always(Reply::status(200)).unwrap();
    let config = json!({"labels": ["method", "route", "status_class"], "custom_labels": [{"name": "tenant", "header": "x-tenant", "max_values": 40},
        {"name": "host", "header": ":authority", "max_values": 1000}], "max_series": CAP, "endpoint": {"allow": ["127.0.0.0/8"]}});
    let bootstrap = Bootstrap::gateway(&[metrics(&config)]).upstream("app", &app).edit(|document| {
        let own = ["method", "route", "status_class", "tenant", "host", "outcome", "plugin", "version", "call", "slo", "objective"];
        let own = own.iter().map(|name| json!({"tag_name": name, "regex": format!("({name}=\\.=(.*?);\\.;)")}));
        let tags: Vec<Value> = own.chain(ISTIO.iter().map(|(name, regex)| json!({"tag_name": name, "regex": regex}))).collect();
        document["stats_config"] = json!({"use_all_default_tags": false, "stats_tags": tags});
        let route = document.pointer_mut("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes/0").unwrap();
        *route = json!({"match": {"prefix": "/"}, "direct_response": {"status": 200}});
    });
    let envoy = Launch::new(bootstrap).concurrency(2).start().unwrap();
    flood(&envoy, (0..20_000).map(hostile)).unwrap();
    let before = memory(&envoy);
    std::thread::scope(|scope| {
        for half in 0..2 {
            let envoy = &envoy;
            scope.spawn(move || flood(envoy, (20_000..100_000).filter(|number| number % 2 == half).map(hostile)).unwrap());
        }
    });
    let grown = memory(&envoy).saturating_sub(before);
    assert!(grown < 16 * 1024, "grew by {grown} kB");

    let settled = envoy.await_value(SOON, || {
        let counts = counted(&envoy)?;
        Ok((counts == [(100_000.0, 100_000.0); 2]).then_some(()))
    });
    assert!(settled.is_ok(), "{:?}", counted(&envoy));
    let pages = [(scrape(&envoy, "*/*").unwrap(), "launchgate_http_requests_total{"), (envoy.admin().prometheus().unwrap(), "launchgate_metrics_requests_total{")];
    for (page, family) in pages {
        let series: Vec<&str> = page.lines().filter(|line| line.starts_with(family)).collect();
        assert_eq!(series.len(), CAP + 1, "{series:#?}");
        for line in &series {
            let labels = line.split_once('{').unwrap().1.rsplit_once('}').unwrap().0;
            let names: BTreeSet<&str> = labels.split("\",").map(|label| label.split_once("=\"").unwrap().0).collect();
            assert_eq!(names, BTreeSet::from(["method", "route", "status_class", "tenant", "host"]), "{line}");
        }
        assert!(!page.lines().any(|line| line.starts_with("launchgate_") && !line.is_ascii()));
    }
    assert_eq!(envoy.admin().stat("wasmcustom.launchgate_panics_total").unwrap(), 0);
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
                        connection.exchange(&Request::get(format!("/{client}/{number}"))).unwrap();
                    }
                }
            });
        }
        let mut last = std::collections::BTreeMap::new();
        let mut moved = 0;
        let shown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for turn in 0..1000 {
                let page = samples(&scrape(&envoy, if turn % 2 == 0 { "*/*" } else { "application/openmetrics-text" }).unwrap());
                for (series, value) in &last {
                    if series != "launchgate_http_requests_in_flight" {
                        assert!(page.get(series).is_some_and(|now| now >= value), "{series} went from {value} to {:?}", page.get(series));
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
        assert!(moved > 900, "the numbers moved in {moved} of 1000 scrapes");
    });
}

#[test]
fn two_hundred_requests_define_each_metric_once() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let envoy = start(&json!({}), &[], json!([{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]), &[("app", &app)], 1);
    let names = || envoy.admin().matching_stats("wasmcustom").unwrap().len();
    flood(&envoy, (0..1).map(|_| Request::get("/a"))).unwrap();
    let once = names();
    flood(&envoy, (0..200).map(|_| Request::get("/a"))).unwrap();
    assert_eq!(names(), once);
    assert_eq!(envoy.admin().stat("wasmcustom.launchgate_metrics_requests_in_flight").unwrap(), 0);
}

#[test]
fn a_refused_configuration_stops_the_start_and_names_every_mistake() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let config = json!({"slo": [{"name": "x", "routes": ["*"], "availability_percent": 99.9, "latency": {"threshold": "300ms", "percent": 99}}], "max_series": 0});
    let validation = Launch::new(Bootstrap::gateway(&[metrics(&config)]).upstream("app", &app)).validate().unwrap();
    assert!(!validation.accepted);
    for text in ["slo[0].latency.threshold: \"300ms\": expected one of buckets", "max_series: 0: expected a number from 1 to 10000"] {
        assert!(validation.log.iter().any(|line| line.text.contains(text)), "{text}: {:#?}", validation.log);
    }
}

#[test]
fn the_push_is_what_protobuf_reads() {
    let app = Upstream::always(Reply::status(200).body("ok")).unwrap();
    let collector = Upstream::always(Reply::status(200).header("content-type", "application/json").body("{}")).unwrap();
    let config = json!({"otlp": {"cluster": "otel", "interval": "1s"}, "slo": [{"name": "all", "routes": ["*"], "availability_percent": 99}]});
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]);
    let envoy = start(&config, &[], routes, &[("app", &app), ("otel", &collector)], 2);
    envoy.get("/a").unwrap();
    let bodies = envoy.await_value(SOON, || {
        let bodies: Vec<Vec<u8>> = collector.received().into_iter().map(|call| call.body).collect();
        Ok(bodies.iter().any(|body| String::from_utf8_lossy(body).contains("launchgate.http.request.duration")).then_some(bodies))
    });
    for body in bodies.unwrap() {
        let text = String::from_utf8(body).unwrap();
        judge(Command::new(program("python3")).env("PYTHONPATH", workspace().join(".tools/otlp")).args(["-c", PROTOBUF]), &text);
    }
    let pushed = envoy.await_value(SOON, || Ok((envoy.admin().stat("wasmcustom.launchgate_metrics_otlp_pushes_totaloutcome=.=ok;.;").unwrap_or(0) > 1).then_some(())));
    assert!(pushed.is_ok());
}

const PROTOBUF: &str = "import sys\nfrom google.protobuf import json_format\nfrom opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest\nparsed = json_format.Parse(sys.stdin.read(), ExportMetricsServiceRequest())\nassert parsed.resource_metrics[0].scope_metrics[0].metrics\n";
