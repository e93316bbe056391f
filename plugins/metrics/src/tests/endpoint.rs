//! The own endpoint, and configurations that are refused.

use super::*;

#[test]
fn the_endpoint_speaks_both_formats_and_only_to_its_ranges() {
    let shared = Shared::default();
    let mut worker = worker(ENDPOINT, &shared, 1);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    worker.exchange(
        &mut Request::get("/users/7").header("traceparent", trace),
        Duration::from_micros(7_500),
    );
    let (status, media, body) = scrape_with(
        &mut worker,
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
        "127.0.0.1:9",
    );
    assert_eq!(
        (status, media.as_str()),
        (
            200,
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        )
    );
    let labels = r#"method="GET",route="/users/{id}",status_class="2xx""#;
    let expected = [
        "# TYPE launchgate_http_requests counter".to_owned(),
        format!("launchgate_http_requests_total{{{labels}}} 1"),
        "# UNIT launchgate_http_request_duration_seconds seconds".to_owned(),
        format!("launchgate_http_request_duration_seconds_bucket{{{labels},le=\"0.005\"}} 0"),
        format!(
            "launchgate_http_request_duration_seconds_bucket{{{labels},le=\"0.01\"}} 1 # {{trace_id=\"0af7651916cd43dd8448eb211c80319c\"}} 0.0075 1795348800.007"
        ),
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
    assert_eq!(
        (status, media.as_str()),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    assert!(
        body.contains("# TYPE launchgate_http_requests_total counter\n")
            && !body.contains("# UNIT")
            && !body.contains("# EOF")
            && !body.contains("trace_id")
    );

    for forged in ["192.0.2.1:9", "127.0.0.1:0"] {
        let (status, _, body) = scrape_with(&mut worker, "*/*", forged);
        assert_eq!((status, body.as_str()), (404, ""), "{forged}");
    }
    assert_eq!(
        shared.number("launchgate_metrics_scrapes_totaloutcome=.=denied;.;"),
        2
    );
    let mut post = Request::new(&[(":method", "POST"), (":path", "/metrics")])
        .with(Attribute::SourceAddress, "127.0.0.1:9");
    let Verdict::Reply(reply) = worker.request(&mut post) else {
        panic!("no reply")
    };
    assert_eq!(
        (reply.status, reply.first("allow")),
        (405, Some(&b"GET, HEAD"[..]))
    );
}

#[test]
fn an_impossible_config_is_refused_with_every_path() {
    for (config, message) in [
        (
            r#"{"labels": ["method", "method"]}"#,
            r#"labels[1]: "method": expected each label once"#,
        ),
        (
            r#"{"labels": ["path"]}"#,
            r#"labels[0]: "path": expected one of method, route, status, status_class, source, flags, grpc_code, attempts"#,
        ),
        (
            r#"{"buckets": ["5ms", "5ms"]}"#,
            r#"buckets[1]: "5ms": expected more than the bound before it"#,
        ),
        (
            r#"{"buckets": ["500us"]}"#,
            r#"buckets[0]: "500us": expected whole milliseconds, at least 1ms"#,
        ),
        (
            r#"{"buckets": []}"#,
            "buckets: a list: expected 1 to 30 bounds",
        ),
        (
            r#"{"max_series": 0}"#,
            "max_series: 0: expected a number from 1 to 10000",
        ),
        (
            r#"{"routes": ["/a/{x}", "/a/{y}"]}"#,
            r#"routes[1]: "/a/{y}": expected a template that matches other paths than routes[0]"#,
        ),
        (
            r#"{"endpoint": {"path": "/m/"}}"#,
            r#"endpoint.path: "/m/": expected an exact path, without "/" at its end"#,
        ),
        (
            r#"{"custom_labels": [{"name": "code", "header": "x"}]}"#,
            r#"custom_labels[0].name: "code": expected no suffix of the label name "grpc_code" and the other way round"#,
        ),
        (
            r#"{"custom_labels": [{"name": "x_method", "header": "x"}]}"#,
            r#"custom_labels[0].name: "x_method": expected no suffix of the label name "method" and the other way round"#,
        ),
        (
            r#"{"custom_labels": [{"name": "a b", "header": ""}]}"#,
            r#"custom_labels[0].name: "a b": expected letters, digits and "_", beginning with a letter or one "_"; custom_labels[0].header: "": expected a header name"#,
        ),
        (
            r#"{"slo": [{"name": "a", "routes": ["*"], "availability_percent": 100, "latency": {"threshold": "300ms", "percent": 99}}]}"#,
            "slo[0].availability_percent: 100: expected a percent number above 0 and below 100; slo[0].latency.threshold: \"300ms\": expected one of buckets",
        ),
        (
            r#"{"otlp": {"interval": "1ms"}}"#,
            "otlp.interval: \"1ms\": expected a duration from 1s to 1h; otlp.cluster: expected the name of a cluster",
        ),
    ] {
        let error = Worker::load(config)
            .err()
            .unwrap_or_else(|| panic!("accepted: {config}"))
            .to_string();
        assert_eq!(error, message, "{config}");
    }
    for config in ["", "{}", include_str!("../../config.example.json")] {
        Worker::load(config).map(drop).unwrap();
    }
}
