//! What all workers of a proxy do together: the cap, the sum, the push, the objectives.

use super::*;

#[test]
fn the_cap_holds_for_all_workers_together_and_the_rest_overflows() {
    let config = json!({"labels": ["method"], "custom_labels": [{"name": "tenant", "header": "X-Tenant", "max_values": 1000}], "max_series": 10,
        "endpoint": {"allow": ["127.0.0.0/8"]}})
    .to_string();
    let shared = Shared::default();
    let mut workers = [1, 2, 3].map(|seed| worker(&config, &shared, seed));
    for turn in 0..60 {
        for worker in &mut workers {
            worker.exchange(
                &mut Request::get("/").header("x-tenant", format!("t{}", turn % 20)),
                Duration::from_millis(1),
            );
        }
    }
    workers.iter_mut().for_each(Worker::tick);
    let page = scrape(&mut workers[1]);
    let series = page
        .lines()
        .filter(|line| line.starts_with("launchgate_http_requests_total{"))
        .count();
    assert_eq!(series, 11, "{page}");
    assert_eq!(total(&page, "launchgate_http_requests_total"), 180.0);
    let overflow = sample(
        &page,
        "launchgate_http_requests_total{method=\"_OVERFLOW\",tenant=\"_OVERFLOW\"}",
    );
    assert_eq!(overflow, Some(90.0), "{page}");
    assert_eq!(
        sample(&page, "launchgate_http_series_dropped_total"),
        Some(90.0)
    );
    let stats = shared.numbers();
    let series = stats
        .keys()
        .filter(|name| name.starts_with("launchgate_metrics_requests_total"))
        .count();
    assert_eq!(
        (
            series,
            shared.number("launchgate_metrics_series_dropped_total")
        ),
        (11, 90)
    );
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
    assert_eq!(
        (
            total(&page, requests),
            sample(&page, "launchgate_http_requests_in_flight")
        ),
        (sent, Some(3.0))
    );

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
    assert_eq!(
        (
            total(&page, requests),
            sample(&page, "launchgate_http_requests_in_flight")
        ),
        (sent, Some(2.0))
    );
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
            while let Some(call) = worker.answer(Answer::Response {
                status: 200,
                headers: Headers::default(),
                body: b"{}".to_vec(),
                trailers: Headers::default(),
            }) {
                assert_eq!(
                    (call.cluster.as_str(), call.path.expose(), call.method),
                    ("otel", "/v1/metrics", "POST")
                );
                bodies.push((
                    second,
                    serde_json::from_slice::<serde_json::Value>(&call.body).unwrap(),
                ));
            }
        }
    }
    let seconds: Vec<i32> = bodies.iter().map(|(second, _)| *second).collect();
    assert_eq!(seconds.len(), 4, "two pushes of two bodies: {seconds:?}");
    assert_eq!(seconds[2] - seconds[0], 5);
    let metrics = &bodies[0].1["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
    assert_eq!(
        (
            &metrics[0]["name"],
            &metrics[0]["sum"]["aggregationTemporality"]
        ),
        (&json!("launchgate.http.requests"), &json!(2))
    );
    let point = &metrics[1]["histogram"]["dataPoints"][0];
    assert_eq!(
        point["attributes"],
        json!([{"key": "method", "value": {"stringValue": "GET"}}])
    );
    assert_eq!(
        point["bucketCounts"].as_array().unwrap().len(),
        point["explicitBounds"].as_array().unwrap().len() + 1
    );
    assert_eq!(
        shared.number("launchgate_metrics_otlp_pushes_totaloutcome=.=ok;.;"),
        4
    );
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
    let grpc = [
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-status", "14"),
    ];
    let left = |exchange: Request| {
        exchange
            .respond(&[])
            .with_integer(Attribute::ResponseFlags, 1 << 14)
    };
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
        let counted = ["events", "errors"]
            .map(|what| shared.number(&format!("launchgate_metrics_slo_{what}_total{labels}")));
        assert_eq!(counted, [events, errors], "{slo} {objective} {route}");
        let own = format!("{{slo=\"{slo}\",objective=\"{objective}\",route=\"{route}\"}}");
        let shown = ["events", "errors"]
            .map(|what| sample(&page, &format!("launchgate_http_slo_{what}_total{own}")));
        assert_eq!(shown, [Some(events as f64), Some(errors as f64)], "{page}");
    }
    assert_eq!(
        page.lines()
            .filter(|line| line.starts_with("launchgate_http_slo_events_total{"))
            .count(),
        3
    );
}
