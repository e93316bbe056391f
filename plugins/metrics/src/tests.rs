//! The policy on the native host: several workers that share one state, clock and answers in the test's hands.

use std::time::Duration;

use launchgate_sdk::config::Environment;
use launchgate_sdk::fake::{Exchange, Host, Shared};
use launchgate_sdk::{Answer, Attribute, Headers, Member, Verdict};
use serde_json::json;

use crate::Metrics;

type Worker = Host<Member<Metrics>>;
type Request = Exchange<Member<Metrics>>;

const ENDPOINT: &str = r#"{"routes": ["/users/{id}"], "endpoint": {"allow": ["127.0.0.0/8"]}}"#;

fn worker(config: &str, shared: &Shared, seed: u64) -> Worker {
    Host::load_with(config, &Environment::new(), shared.clone(), seed).unwrap()
}

fn scrape_with(worker: &mut Worker, accept: &str, address: &str) -> (u16, String, String) {
    let request = Request::get("/metrics").header("accept", accept).with(Attribute::SourceAddress, address);
    let mut request = request;
    let Verdict::Reply(reply) = worker.request(&mut request) else { panic!("no reply") };
    let media = reply.first("content-type").map(|value| String::from_utf8(value.to_vec()).unwrap()).unwrap_or_default();
    worker.end(&mut request);
    (reply.status, media, String::from_utf8(reply.body).unwrap())
}

fn scrape(worker: &mut Worker) -> String {
    let (status, _, body) = scrape_with(worker, "text/plain", "127.0.0.1:9");
    assert_eq!(status, 200);
    body
}

/// Value of a sample whose line begins with `series`.
fn sample(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn total(page: &str, family: &str) -> f64 {
    let is_sample = |line: &&str| line.strip_prefix(family).is_some_and(|rest| rest.starts_with(['{', ' ']));
    page.lines().filter(is_sample).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[test]
fn each_exchange_has_the_labels_of_what_it_was() {
    struct Case {
        name: &'static str,
        exchange: Request,
        labels: &'static str,
    }
    let grpc = |path: &str| Request::new(&[(":method", "POST"), (":path", path), (":authority", "a"), ("content-type", "application/grpc+proto")]);
    let via = |exchange: Request| exchange.with(Attribute::ResponseCodeDetails, "via_upstream").with_integer(Attribute::UpstreamAttempts, 1);
    let cases = [
        Case { name: "a normal reply", exchange: via(Request::get("/users/7?x=1")), labels: "GET|/users/{id}|200|2xx|upstream|-||1" },
        Case {
            name: "the host's route name where no template matches",
            exchange: via(Request::get("/raw/path").with(Attribute::RouteName, "checkout")),
            labels: "GET|checkout|200|2xx|upstream|-||1",
        },
        Case {
            name: "404 without a route",
            exchange: Request::get("/x").respond(&[(":status", "404")]).with_integer(Attribute::ResponseFlags, 1 << 8).with(Attribute::ResponseCodeDetails, "route_not_found"),
            labels: "GET|_OTHER|404|4xx|gateway|NR||0",
        },
        Case {
            name: "a client that left before an answer",
            exchange: Request::get("/users/7").respond(&[]).with_integer(Attribute::ResponseFlags, 1 << 14),
            labels: "GET|/users/{id}|499|4xx|client_abort|DC||0",
        },
        Case {
            name: "a client that left in mid-body",
            exchange: via(Request::get("/users/7")).with_integer(Attribute::ResponseFlags, 1 << 28),
            labels: "GET|/users/{id}|499|4xx|client_abort|DR||1",
        },
        Case {
            name: "a time-out after retries",
            exchange: Request::get("/users/7").respond(&[(":status", "504")]).with_integer(Attribute::ResponseFlags, 1 << 2 | 1 << 15).with_integer(Attribute::UpstreamAttempts, 3),
            labels: "GET|/users/{id}|504|5xx|gateway|UT.URX||3",
        },
        Case {
            name: "trailers-only gRPC",
            exchange: via(grpc("/users/7").respond(&[(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "14")])),
            labels: "POST|/users/{id}|200|2xx|upstream|-|14|1",
        },
        Case {
            name: "a gRPC code that is none",
            exchange: via(grpc("/users/7").respond(&[(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "evil\";x")])),
            labels: "POST|/users/{id}|200|2xx|upstream|-|_OTHER|1",
        },
        Case {
            name: "plain HTTP has no gRPC code although the host gives one",
            exchange: via(Request::get("/users/7")).with_integer(Attribute::ResponseGrpcStatus, 2),
            labels: "GET|/users/{id}|200|2xx|upstream|-||1",
        },
        Case {
            name: "a method that nobody knows",
            exchange: via(Request::new(&[(":method", "get"), (":path", "/users/7")])),
            labels: "_OTHER|/users/{id}|200|2xx|upstream|-||1",
        },
        Case {
            name: "an ambiguous path matches no template",
            exchange: via(Request::get("/users/..")),
            labels: "GET|_OTHER|200|2xx|upstream|-||1",
        },
        Case {
            name: "more than ten attempts",
            exchange: Request::get("/users/7").with_integer(Attribute::UpstreamAttempts, 4_000_000_000),
            labels: "GET|/users/{id}|200|2xx|gateway|-||10",
        },
        Case {
            name: "an odd status",
            exchange: via(Request::get("/users/7").respond(&[(":status", "999")])),
            labels: "GET|/users/{id}|999|other|upstream|-||1",
        },
    ];
    const NAMES: [&str; 8] = ["method", "route", "status", "status_class", "source", "flags", "grpc_code", "attempts"];
    for mut case in cases {
        let config = json!({"routes": ["/users/{id}"], "labels": NAMES}).to_string();
        let shared = Shared::default();
        let mut worker = worker(&config, &shared, 1);
        worker.exchange(&mut case.exchange, Duration::from_micros(600));
        let labels: String = NAMES.iter().zip(case.labels.split('|')).map(|(name, value)| format!("{name}=.={value};.;")).collect();
        let numbers = shared.numbers();
        assert_eq!(shared.number(&format!("launchgate_metrics_requests_total{labels}")), 1, "{}: {numbers:#?}", case.name);
        assert_eq!(shared.observed(&format!("launchgate_metrics_request_duration_milliseconds{labels}")), [1], "{}: 0.6 ms rounds up", case.name);
        assert_eq!(shared.number("launchgate_metrics_requests_in_flight"), 0, "{}", case.name);
    }
}

#[test]
fn what_never_reached_the_filter_is_counted_once_and_moves_no_gauge() {
    let shared = Shared::default();
    let mut worker = worker("{}", &shared, 1);
    let mut codec_error = Request::new(&[]).respond(&[(":status", "400")]).with_integer(Attribute::RequestDuration, 3_000_000);
    worker.end(&mut codec_error);
    worker.end(&mut codec_error);
    let series = "method=.=_OTHER;.;route=.=_OTHER;.;status_class=.=4xx;.;";
    assert_eq!(shared.number(&format!("launchgate_metrics_requests_total{series}")), 1);
    assert_eq!(shared.observed(&format!("launchgate_metrics_request_duration_milliseconds{series}")), [3]);
    assert_eq!(shared.number("launchgate_metrics_requests_in_flight"), 0);
}

#[test]
fn streams_have_a_histogram_of_their_own() {
    for (name, method, response) in [
        ("upgrade", "GET", &[(":status", "101")][..]),
        ("tunnel", "CONNECT", &[(":status", "200")]),
        ("events", "GET", &[(":status", "200"), ("content-type", "Text/Event-Stream; charset=utf-8")]),
    ] {
        let shared = Shared::default();
        let mut worker = worker(r#"{"labels": []}"#, &shared, 1);
        let mut exchange = Request::new(&[(":method", method), (":path", "/")]).respond(response).with_integer(Attribute::ResponseFlags, 1 << 14);
        worker.exchange(&mut exchange, Duration::from_secs(60));
        assert_eq!(shared.number("launchgate_metrics_requests_total"), 1, "{name}");
        assert_eq!(shared.observed("launchgate_metrics_stream_duration_milliseconds"), [60_000], "{name}");
        assert!(shared.observed("launchgate_metrics_request_duration_milliseconds").is_empty(), "{name}");
    }
    let shared = Shared::default();
    let mut refused = Request::new(&[(":method", "CONNECT"), (":path", "/")]).respond(&[(":status", "403")]);
    worker(r#"{"labels": []}"#, &shared, 1).exchange(&mut refused, Duration::from_secs(1));
    assert_eq!(shared.observed("launchgate_metrics_request_duration_milliseconds"), [1000]);
}

#[test]
fn sizes_are_those_of_the_bodies() {
    struct Case {
        name: &'static str,
        exchange: Request,
        sizes: (u64, u64),
    }
    let cases = [
        Case { name: "by length", exchange: Request::get("/").respond(&[(":status", "200"), ("content-length", "700")]), sizes: (0, 700) },
        Case { name: "HEAD", exchange: Request::new(&[(":method", "HEAD"), (":path", "/")]).respond(&[(":status", "200"), ("content-length", "700")]), sizes: (0, 0) },
        Case { name: "304", exchange: Request::get("/").respond(&[(":status", "304"), ("content-length", "700")]), sizes: (0, 0) },
        Case { name: "chunked", exchange: Request::get("/").with_integer(Attribute::ResponseSize, 42), sizes: (0, 42) },
        Case {
            name: "two lengths",
            exchange: Request::get("/").respond(&[(":status", "200"), ("content-length", "1"), ("content-length", "2")]).with_integer(Attribute::ResponseSize, 9),
            sizes: (0, 9),
        },
        Case {
            name: "cut by the client",
            exchange: Request::get("/").respond(&[(":status", "200"), ("content-length", "700")]).with_integer(Attribute::ResponseSize, 5).with_integer(Attribute::ResponseFlags, 1 << 14),
            sizes: (0, 5),
        },
    ];
    for mut case in cases {
        let shared = Shared::default();
        worker(r#"{"labels": []}"#, &shared, 1).exchange(&mut case.exchange, Duration::from_millis(1));
        let sizes = ["request", "response"].map(|side| shared.observed(&format!("launchgate_metrics_{side}_size_bytes"))[0]);
        assert_eq!(sizes, [case.sizes.0, case.sizes.1], "{}", case.name);
    }
}

#[test]
fn the_cap_holds_for_all_workers_together_and_the_rest_overflows() {
    let config = json!({"labels": ["method"], "custom_labels": [{"name": "tenant", "header": "X-Tenant", "max_values": 1000}], "max_series": 10,
        "endpoint": {"allow": ["127.0.0.0/8"]}})
    .to_string();
    let shared = Shared::default();
    let mut workers = [1, 2, 3].map(|seed| worker(&config, &shared, seed));
    for turn in 0..60 {
        for worker in &mut workers {
            worker.exchange(&mut Request::get("/").header("x-tenant", format!("t{}", turn % 20)), Duration::from_millis(1));
        }
    }
    workers.iter_mut().for_each(Worker::tick);
    let page = scrape(&mut workers[1]);
    let series = page.lines().filter(|line| line.starts_with("launchgate_http_requests_total{")).count();
    assert_eq!(series, 11, "{page}");
    assert_eq!(total(&page, "launchgate_http_requests_total"), 180.0);
    let overflow = sample(&page, "launchgate_http_requests_total{method=\"_OVERFLOW\",tenant=\"_OVERFLOW\"}");
    assert_eq!(overflow, Some(90.0), "{page}");
    assert_eq!(sample(&page, "launchgate_http_series_dropped_total"), Some(90.0));
    let stats = shared.numbers();
    let series = stats.keys().filter(|name| name.starts_with("launchgate_metrics_requests_total")).count();
    assert_eq!((series, shared.number("launchgate_metrics_series_dropped_total")), (11, 90));
}

#[test]
fn custom_labels_let_through_what_is_listed_or_within_the_cap() {
    for (name, label, headers, value) in [
        ("listed", json!({"allow": ["acme", "globex"]}), vec![&b"acme"[..]], "acme"),
        ("not listed", json!({"allow": ["acme"]}), vec![b"evil"], "_OTHER"),
        ("absent", json!({"allow": ["acme"]}), vec![], ""),
        ("twice", json!({"allow": ["acme"]}), vec![b"acme", b"acme"], "_OTHER"),
        ("no UTF-8", json!({}), vec![b"\xff\xfe"], "_OTHER"),
        ("within the cap", json!({"max_values": 1}), vec![b"a b"], "a%20b"),
        ("injection", json!({}), vec![b"evil;.;reporter=.=admin;.;"], "evil%3B.%3Breporter%3D.%3Dadmin%3B.%3B"),
    ] {
        let mut label = label;
        label["name"] = json!("tenant");
        label["header"] = json!("x-tenant");
        let shared = Shared::default();
        let mut worker = worker(&json!({"labels": [], "custom_labels": [label]}).to_string(), &shared, 1);
        let mut exchange = Request::get("/");
        for header in headers {
            exchange.facts.request.add("x-tenant", header).unwrap();
        }
        worker.exchange(&mut exchange, Duration::from_millis(1));
        assert_eq!(shared.number(&format!("launchgate_metrics_requests_totaltenant=.={value};.;")), 1, "{name}: {:?}", shared.numbers());
    }
}

#[test]
fn the_endpoint_speaks_both_formats_and_only_to_its_ranges() {
    let shared = Shared::default();
    let mut worker = worker(ENDPOINT, &shared, 1);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    worker.exchange(&mut Request::get("/users/7").header("traceparent", trace), Duration::from_micros(7_500));
    let (status, media, body) = scrape_with(&mut worker, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "127.0.0.1:9");
    assert_eq!((status, media.as_str()), (200, "application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let labels = r#"method="GET",route="/users/{id}",status_class="2xx""#;
    let expected = [
        "# TYPE launchgate_http_requests counter".to_owned(),
        format!("launchgate_http_requests_total{{{labels}}} 1"),
        "# UNIT launchgate_http_request_duration_seconds seconds".to_owned(),
        format!("launchgate_http_request_duration_seconds_bucket{{{labels},le=\"0.005\"}} 0"),
        format!("launchgate_http_request_duration_seconds_bucket{{{labels},le=\"0.01\"}} 1 # {{trace_id=\"0af7651916cd43dd8448eb211c80319c\"}} 0.0075 1795348800.007"),
        format!("launchgate_http_request_duration_seconds_bucket{{{labels},le=\"1.0\"}} 1"),
        format!("launchgate_http_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 1"),
        format!("launchgate_http_request_duration_seconds_sum{{{labels}}} 0.0075"),
        format!("launchgate_http_request_duration_seconds_count{{{labels}}} 1"),
        "launchgate_http_requests_in_flight 0".to_owned(),
    ];
    for line in expected {
        assert!(body.lines().any(|own| own == line), "{line}\n{body}");
    }
    assert!(body.ends_with("# EOF\n"));

    let (status, media, body) = scrape_with(&mut worker, "*/*", "127.0.0.1:9");
    assert_eq!((status, media.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    assert!(body.contains("# TYPE launchgate_http_requests_total counter\n") && !body.contains("# UNIT") && !body.contains("# EOF") && !body.contains("trace_id"));

    for forged in ["192.0.2.1:9", "127.0.0.1:0"] {
        let (status, _, body) = scrape_with(&mut worker, "*/*", forged);
        assert_eq!((status, body.as_str()), (404, ""), "{forged}");
    }
    assert_eq!(shared.number("launchgate_metrics_scrapes_totaloutcome=.=denied;.;"), 2);
    let mut post = Request::new(&[(":method", "POST"), (":path", "/metrics")]).with(Attribute::SourceAddress, "127.0.0.1:9");
    let Verdict::Reply(reply) = worker.request(&mut post) else { panic!("no reply") };
    assert_eq!((reply.status, reply.first("allow")), (405, Some(&b"GET, HEAD"[..])));
}

#[test]
fn excluded_paths_and_the_endpoint_count_nowhere_and_report_changes_nothing() {
    let shared = Shared::default();
    let mut worker = worker(ENDPOINT, &shared, 1);
    for path in ["/livez", "/healthz?x", "/metrics"] {
        worker.exchange(&mut Request::get(path), Duration::from_millis(1));
    }
    assert_eq!(shared.number("launchgate_metrics_excluded_total"), 3);
    assert!(!shared.numbers().keys().any(|name| name.starts_with("launchgate_metrics_requests_total")));

    let shared = Shared::default();
    let mut worker = self::worker(&ENDPOINT.replacen('{', r#"{"mode": "report", "#, 1), &shared, 1);
    let mut request = Request::get("/metrics").with(Attribute::SourceAddress, "127.0.0.1:9");
    assert_eq!(worker.exchange(&mut request, Duration::from_millis(1)), Verdict::Continue);
    worker.exchange(&mut Request::get("/users/7"), Duration::from_millis(1));
    assert_eq!(shared.number("launchgate_metrics_would_answer_total"), 1);
    assert!(shared.numbers().keys().any(|name| name.starts_with("launchgate_metrics_requests_total")));
}

#[test]
fn workers_add_up_the_dead_are_folded_once_and_the_stalled_go_on() {
    let shared = Shared::default();
    let mut workers = [1, 2, 3].map(|seed| worker(ENDPOINT, &shared, seed));
    let requests = "launchgate_http_requests_total";
    let mut sent = 0.0;
    for worker in &mut workers {
        for _ in 0..10 {
            worker.exchange(&mut Request::get("/users/1"), Duration::from_millis(1));
            sent += 1.0;
        }
        worker.request(&mut Request::get("/users/1"));
        worker.tick();
    }
    let page = scrape(&mut workers[0]);
    assert_eq!((total(&page, requests), sample(&page, "launchgate_http_requests_in_flight")), (sent, Some(3.0)));

    // The third worker stalls; what it counts meanwhile it has not written.
    workers[2].exchange(&mut Request::get("/users/1"), Duration::from_millis(1));
    for _ in 0..15 {
        for worker in &mut workers[..2] {
            worker.advance(Duration::from_secs(1));
            worker.tick();
            assert_eq!(total(&scrape(worker), requests), sent);
        }
    }
    let page = scrape(&mut workers[1]);
    assert_eq!((total(&page, requests), sample(&page, "launchgate_http_requests_in_flight")), (sent, Some(2.0)));
    assert_eq!(shared.number("launchgate_metrics_workers_folded_total"), 1);
    assert_eq!(shared.number("launchgate_metrics_requests_in_flight"), 2);

    // It wakes up: what it had not written comes in, what was folded does not come twice.
    workers[2].advance(Duration::from_secs(15));
    workers[2].tick();
    assert_eq!(total(&scrape(&mut workers[0]), requests), sent + 1.0);
    assert_eq!(total(&scrape(&mut workers[2]), requests), sent + 1.0);
    assert_eq!(shared.number("launchgate_metrics_requests_in_flight"), 3);

    // All the others die; a new worker finds everything.
    let mut fresh = worker(ENDPOINT, &shared, 9);
    fresh.now = workers[2].now;
    for _ in 0..30 {
        fresh.advance(Duration::from_secs(1));
        fresh.tick();
        assert_eq!(total(&scrape(&mut fresh), requests), sent + 1.0);
    }
    assert_eq!(shared.number("launchgate_metrics_workers_folded_total"), 4);
    assert_eq!(shared.number("launchgate_metrics_requests_in_flight"), 0);
}

#[test]
fn objectives_count_events_and_bad_ones_by_route() {
    let config = json!({
        "labels": [], "routes": ["/users/{id}", "/orders/{id}"], "endpoint": {"allow": ["127.0.0.0/8"]},
        "slo": [
            {"name": "default", "routes": ["*"], "availability_percent": 99.9, "latency": {"threshold": "250ms", "percent": 99}},
            {"name": "orders", "routes": ["/orders/{id}"], "availability_percent": 99}
        ],
    });
    let shared = Shared::default();
    let mut worker = worker(&config.to_string(), &shared, 1);
    let grpc = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "14")];
    let left = |exchange: Request| exchange.respond(&[]).with_integer(Attribute::ResponseFlags, 1 << 14);
    for (mut exchange, millis) in [
        (Request::get("/users/1"), 250),
        (Request::get("/users/1"), 251),
        (Request::get("/users/1").respond(&[(":status", "503")]), 900),
        (Request::get("/users/1").respond(&grpc), 1),
        (left(Request::get("/users/1")), 100),
        (left(Request::get("/users/1")), 300),
        (Request::get("/users/1").respond(&[(":status", "404")]), 1),
        (Request::get("/orders/1").respond(&[(":status", "500")]), 1),
    ] {
        worker.exchange(&mut exchange, Duration::from_millis(millis));
    }
    let page = scrape(&mut worker);
    for (slo, objective, route, events, errors) in [
        ("default", "availability", "/users/{id}", 7, 2),
        ("default", "latency", "/users/{id}", 4, 2),
        ("orders", "availability", "/orders/{id}", 1, 1),
    ] {
        let labels = format!("slo=.={slo};.;objective=.={objective};.;route=.={route};.;");
        let counted = ["events", "errors"].map(|what| shared.number(&format!("launchgate_metrics_slo_{what}_total{labels}")));
        assert_eq!(counted, [events, errors], "{slo} {objective} {route}");
        let own = format!("{{slo=\"{slo}\",objective=\"{objective}\",route=\"{route}\"}}");
        let shown = ["events", "errors"].map(|what| sample(&page, &format!("launchgate_http_slo_{what}_total{own}")));
        assert_eq!(shown, [Some(events as f64), Some(errors as f64)], "{page}");
    }
    assert_eq!(page.lines().filter(|line| line.starts_with("launchgate_http_slo_events_total{")).count(), 3);
}

#[test]
fn a_push_says_everything_once_per_proxy_and_interval() {
    let config = r#"{"labels": ["method"], "otlp": {"cluster": "otel", "interval": "5s", "headers": {"x-key": "k"}}}"#;
    let shared = Shared::default();
    let mut workers = [1, 2].map(|seed| worker(config, &shared, seed));
    let mut bodies = Vec::new();
    for second in 0..14 {
        for worker in &mut workers {
            worker.exchange(&mut Request::get("/"), Duration::ZERO);
            worker.advance(Duration::from_secs(1));
            worker.tick();
            while let Some(call) = worker.answer(Answer::Response { status: 200, headers: Headers::default(), body: b"{}".to_vec(), trailers: Headers::default() }) {
                assert_eq!((call.cluster.as_str(), call.path.expose(), call.method), ("otel", "/v1/metrics", "POST"));
                bodies.push((second, serde_json::from_slice::<serde_json::Value>(&call.body).unwrap()));
            }
        }
    }
    let seconds: Vec<i32> = bodies.iter().map(|(second, _)| *second).collect();
    assert_eq!(seconds.len(), 4, "two pushes of two bodies: {seconds:?}");
    assert_eq!(seconds[2] - seconds[0], 5);
    let metrics = &bodies[0].1["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
    assert_eq!((&metrics[0]["name"], &metrics[0]["sum"]["aggregationTemporality"]), (&json!("launchgate.http.requests"), &json!(2)));
    let point = &metrics[1]["histogram"]["dataPoints"][0];
    assert_eq!(point["attributes"], json!([{"key": "method", "value": {"stringValue": "GET"}}]));
    assert_eq!(point["bucketCounts"].as_array().unwrap().len(), point["explicitBounds"].as_array().unwrap().len() + 1);
    assert_eq!(shared.number("launchgate_metrics_otlp_pushes_totaloutcome=.=ok;.;"), 4);
}

#[test]
fn an_impossible_config_is_refused_with_every_path() {
    for (config, message) in [
        (r#"{"labels": ["method", "method"]}"#, r#"labels[1]: "method": expected each label once"#),
        (r#"{"labels": ["path"]}"#, r#"labels[0]: "path": expected one of method, route, status, status_class, source, flags, grpc_code, attempts"#),
        (r#"{"buckets": ["5ms", "5ms"]}"#, r#"buckets[1]: "5ms": expected more than the bound before it"#),
        (r#"{"buckets": ["500us"]}"#, r#"buckets[0]: "500us": expected whole milliseconds, at least 1ms"#),
        (r#"{"buckets": []}"#, "buckets: a list: expected 1 to 30 bounds"),
        (r#"{"max_series": 0}"#, "max_series: 0: expected a number from 1 to 10000"),
        (r#"{"routes": ["/a/{x}", "/a/{y}"]}"#, r#"routes[1]: "/a/{y}": expected a template that matches other paths than routes[0]"#),
        (r#"{"endpoint": {"path": "/m/"}}"#, r#"endpoint.path: "/m/": expected an exact path, without "/" at its end"#),
        (r#"{"custom_labels": [{"name": "code", "header": "x"}]}"#, r#"custom_labels[0].name: "code": expected no suffix of the label name "grpc_code" and the other way round"#),
        (r#"{"custom_labels": [{"name": "x_method", "header": "x"}]}"#, r#"custom_labels[0].name: "x_method": expected no suffix of the label name "method" and the other way round"#),
        (r#"{"custom_labels": [{"name": "a b", "header": ""}]}"#, r#"custom_labels[0].name: "a b": expected letters, digits and "_", beginning with a letter or one "_"; custom_labels[0].header: "": expected a header name"#),
        (
            r#"{"slo": [{"name": "a", "routes": ["*"], "availability_percent": 100, "latency": {"threshold": "300ms", "percent": 99}}]}"#,
            "slo[0].availability_percent: 100: expected a percent number above 0 and below 100; slo[0].latency.threshold: \"300ms\": expected one of buckets",
        ),
        (r#"{"otlp": {"interval": "1ms"}}"#, "otlp.interval: \"1ms\": expected a duration from 1s to 1h; otlp.cluster: expected the name of a cluster"),
    ] {
        let error = Worker::load(config).err().unwrap_or_else(|| panic!("accepted: {config}")).to_string();
        assert_eq!(error, message, "{config}");
    }
    for config in ["", "{}", include_str!("../config.example.json")] {
        Worker::load(config).map(drop).unwrap();
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_clients_and_upstreams_send_the_numbers_add_up_and_the_labels_stay(
        exchanges in proptest::collection::vec((".{0,8}", "(/[a-z.%;=\"]{0,6}){0,3}", proptest::collection::vec(1_u8..=255, 0..20), 0_u32..1200, 0_u64..=u64::MAX, 0_u64..3_000_000), 1..40)
    ) {
        let config = json!({"labels": ["method", "route", "status", "status_class", "source", "flags", "grpc_code", "attempts"], "routes": ["/a/{x}"],
            "custom_labels": [{"name": "tenant", "header": "x-tenant", "max_values": 5}], "max_series": 12, "endpoint": {"allow": ["127.0.0.0/8"]}}).to_string();
        let shared = Shared::default();
        let mut workers = [1, 2].map(|seed| worker(&config, &shared, seed));
        let sent = exchanges.len();
        for (turn, (method, path, tenant, status, flags, micros)) in exchanges.into_iter().enumerate() {
            let mut exchange = Request::new(&[(":method", &method.replace(['\r', '\n', '\0'], "")), (":path", &path)]);
            let _ = exchange.facts.request.add("x-tenant", tenant);
            let mut exchange = exchange.respond(&[(":status", &status.to_string()), ("content-type", "application/grpc"), ("grpc-status", &method.replace(['\r', '\n', '\0'], ""))]).with_integer(Attribute::ResponseFlags, flags);
            workers[turn % 2].exchange(&mut exchange, Duration::from_micros(micros));
        }
        workers.iter_mut().for_each(Worker::tick);
        let page = scrape(&mut workers[0]);
        let (requests, durations, streams) = (total(&page, "launchgate_http_requests_total"), total(&page, "launchgate_http_request_duration_seconds_count"), total(&page, "launchgate_http_stream_duration_seconds_count"));
        proptest::prop_assert_eq!((requests, durations + streams), (sent as f64, sent as f64), "{}", page);
        let mut series = std::collections::BTreeSet::new();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            proptest::prop_assert!(series.insert(name.to_owned()), "twice: {}", name);
            proptest::prop_assert!(value.parse::<f64>().is_ok(), "{}", line);
            if let Some((_, labels)) = name.split_once('{') {
                let names: Vec<&str> = labels.trim_end_matches('}').split("\",").map(|label| label.split_once("=\"").unwrap().0).filter(|name| *name != "le").collect();
                proptest::prop_assert_eq!(names.join(","), "method,route,status,status_class,source,flags,grpc_code,attempts,tenant", "{}", line);
            }
        }
        proptest::prop_assert!(series.iter().filter(|name| name.starts_with("launchgate_http_requests_total")).count() <= 13);
        for name in shared.numbers().keys().filter(|name| name.starts_with("launchgate_metrics_requests_total")) {
            proptest::prop_assert_eq!(name.matches("=.=").count(), 9, "{}", name);
            proptest::prop_assert_eq!(name.matches(";.;").count(), 9, "{}", name);
        }
    }
}
