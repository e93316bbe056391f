//! What is counted, and under which labels.

use super::*;

#[test]
fn each_exchange_has_the_labels_of_what_it_was() {
    struct Case {
        name: &'static str,
        exchange: Request,
        labels: &'static str,
    }
    let grpc = |path: &str| {
        Request::new(&[
            (":method", "POST"),
            (":path", path),
            (":authority", "a"),
            ("content-type", "application/grpc+proto"),
        ])
    };
    let via = |exchange: Request| {
        exchange
            .with(Attribute::ResponseCodeDetails, "via_upstream")
            .with_integer(Attribute::UpstreamAttempts, 1)
    };
    let cases = [
        Case {
            name: "a normal reply",
            exchange: via(Request::get("/users/7?x=1")),
            labels: "GET|/users/{id}|200|2xx|upstream|-||1",
        },
        Case {
            name: "the host's route name where no template matches",
            exchange: via(Request::get("/raw/path").with(Attribute::RouteName, "checkout")),
            labels: "GET|checkout|200|2xx|upstream|-||1",
        },
        Case {
            name: "404 without a route",
            exchange: Request::get("/x")
                .respond(&[(":status", "404")])
                .with_integer(Attribute::ResponseFlags, 1 << 8)
                .with(Attribute::ResponseCodeDetails, "route_not_found"),
            labels: "GET|_OTHER|404|4xx|gateway|NR||0",
        },
        Case {
            name: "a client that left before an answer",
            exchange: Request::get("/users/7")
                .respond(&[])
                .with_integer(Attribute::ResponseFlags, 1 << 14),
            labels: "GET|/users/{id}|499|4xx|client_abort|DC||0",
        },
        Case {
            name: "a client that left in mid-body",
            exchange: via(Request::get("/users/7")).with_integer(Attribute::ResponseFlags, 1 << 28),
            labels: "GET|/users/{id}|499|4xx|client_abort|DR||1",
        },
        Case {
            name: "a time-out after retries",
            exchange: Request::get("/users/7")
                .respond(&[(":status", "504")])
                .with_integer(Attribute::ResponseFlags, 1 << 2 | 1 << 15)
                .with_integer(Attribute::UpstreamAttempts, 3),
            labels: "GET|/users/{id}|504|5xx|gateway|UT.URX||3",
        },
        Case {
            name: "trailers-only gRPC",
            exchange: via(grpc("/users/7").respond(&[
                (":status", "200"),
                ("content-type", "application/grpc"),
                ("grpc-status", "14"),
            ])),
            labels: "POST|/users/{id}|200|2xx|upstream|-|14|1",
        },
        Case {
            name: "a gRPC code that is none",
            exchange: via(grpc("/users/7").respond(&[
                (":status", "200"),
                ("content-type", "application/grpc"),
                ("grpc-status", "evil\";x"),
            ])),
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
            exchange: Request::get("/users/7")
                .with_integer(Attribute::UpstreamAttempts, 4_000_000_000),
            labels: "GET|/users/{id}|200|2xx|gateway|-||10",
        },
        Case {
            name: "an odd status",
            exchange: via(Request::get("/users/7").respond(&[(":status", "999")])),
            labels: "GET|/users/{id}|999|other|upstream|-||1",
        },
    ];
    const NAMES: [&str; 8] = [
        "method",
        "route",
        "status",
        "status_class",
        "source",
        "flags",
        "grpc_code",
        "attempts",
    ];
    for mut case in cases {
        let config = json!({"routes": ["/users/{id}"], "labels": NAMES}).to_string();
        let shared = Shared::default();
        let mut worker = worker(&config, &shared, 1);
        worker.exchange(&mut case.exchange, Duration::from_micros(600));
        let labels: String = NAMES
            .iter()
            .zip(case.labels.split('|'))
            .map(|(name, value)| format!("{name}=.={value};.;"))
            .collect();
        let numbers = shared.numbers();
        assert_eq!(
            shared.number(&format!("launchgate_metrics_requests_total{labels}")),
            1,
            "{}: {numbers:#?}",
            case.name
        );
        assert_eq!(
            shared.observed(&format!(
                "launchgate_metrics_request_duration_milliseconds{labels}"
            )),
            [1],
            "{}: 0.6 ms rounds up",
            case.name
        );
        assert_eq!(
            shared.number("launchgate_metrics_requests_in_flight"),
            0,
            "{}",
            case.name
        );
    }
}

#[test]
fn what_never_reached_the_filter_is_counted_once_and_moves_no_gauge() {
    let shared = Shared::default();
    let mut worker = worker("{}", &shared, 1);
    let mut codec_error = Request::new(&[])
        .respond(&[(":status", "400")])
        .with_integer(Attribute::RequestDuration, 3_000_000);
    worker.end(&mut codec_error);
    worker.end(&mut codec_error);
    let series = "method=.=_OTHER;.;route=.=_OTHER;.;status_class=.=4xx;.;";
    assert_eq!(
        shared.number(&format!("launchgate_metrics_requests_total{series}")),
        1
    );
    assert_eq!(
        shared.observed(&format!(
            "launchgate_metrics_request_duration_milliseconds{series}"
        )),
        [3]
    );
    assert_eq!(shared.number("launchgate_metrics_requests_in_flight"), 0);
}

#[test]
fn streams_have_a_histogram_of_their_own() {
    for (name, method, response) in [
        ("upgrade", "GET", &[(":status", "101")][..]),
        ("tunnel", "CONNECT", &[(":status", "200")]),
        (
            "events",
            "GET",
            &[
                (":status", "200"),
                ("content-type", "Text/Event-Stream; charset=utf-8"),
            ],
        ),
    ] {
        let shared = Shared::default();
        let mut worker = worker(r#"{"labels": []}"#, &shared, 1);
        let mut exchange = Request::new(&[(":method", method), (":path", "/")])
            .respond(response)
            .with_integer(Attribute::ResponseFlags, 1 << 14);
        worker.exchange(&mut exchange, Duration::from_secs(60));
        assert_eq!(
            shared.number("launchgate_metrics_requests_total"),
            1,
            "{name}"
        );
        assert_eq!(
            shared.observed("launchgate_metrics_stream_duration_milliseconds"),
            [60_000],
            "{name}"
        );
        assert!(
            shared
                .observed("launchgate_metrics_request_duration_milliseconds")
                .is_empty(),
            "{name}"
        );
    }
    let shared = Shared::default();
    let mut refused =
        Request::new(&[(":method", "CONNECT"), (":path", "/")]).respond(&[(":status", "403")]);
    worker(r#"{"labels": []}"#, &shared, 1).exchange(&mut refused, Duration::from_secs(1));
    assert_eq!(
        shared.observed("launchgate_metrics_request_duration_milliseconds"),
        [1000]
    );
}

#[test]
fn sizes_are_those_of_the_bodies() {
    struct Case {
        name: &'static str,
        exchange: Request,
        sizes: (u64, u64),
    }
    let cases = [
        Case {
            name: "by length",
            exchange: Request::get("/").respond(&[(":status", "200"), ("content-length", "700")]),
            sizes: (0, 700),
        },
        Case {
            name: "HEAD",
            exchange: Request::new(&[(":method", "HEAD"), (":path", "/")])
                .respond(&[(":status", "200"), ("content-length", "700")]),
            sizes: (0, 0),
        },
        Case {
            name: "304",
            exchange: Request::get("/").respond(&[(":status", "304"), ("content-length", "700")]),
            sizes: (0, 0),
        },
        Case {
            name: "chunked",
            exchange: Request::get("/").with_integer(Attribute::ResponseSize, 42),
            sizes: (0, 42),
        },
        Case {
            name: "two lengths",
            exchange: Request::get("/")
                .respond(&[
                    (":status", "200"),
                    ("content-length", "1"),
                    ("content-length", "2"),
                ])
                .with_integer(Attribute::ResponseSize, 9),
            sizes: (0, 9),
        },
        Case {
            name: "cut by the client",
            exchange: Request::get("/")
                .respond(&[(":status", "200"), ("content-length", "700")])
                .with_integer(Attribute::ResponseSize, 5)
                .with_integer(Attribute::ResponseFlags, 1 << 14),
            sizes: (0, 5),
        },
    ];
    for mut case in cases {
        let shared = Shared::default();
        worker(r#"{"labels": []}"#, &shared, 1)
            .exchange(&mut case.exchange, Duration::from_millis(1));
        let sizes = ["request", "response"]
            .map(|side| shared.observed(&format!("launchgate_metrics_{side}_size_bytes"))[0]);
        assert_eq!(sizes, [case.sizes.0, case.sizes.1], "{}", case.name);
    }
}

#[test]
fn excluded_paths_and_the_endpoint_count_nowhere_and_report_changes_nothing() {
    let shared = Shared::default();
    let mut worker = worker(ENDPOINT, &shared, 1);
    for path in ["/livez", "/healthz?x", "/metrics"] {
        worker.exchange(&mut Request::get(path), Duration::from_millis(1));
    }
    assert_eq!(shared.number("launchgate_metrics_excluded_total"), 3);
    assert!(
        !shared
            .numbers()
            .keys()
            .any(|name| name.starts_with("launchgate_metrics_requests_total"))
    );

    let shared = Shared::default();
    let mut worker = super::worker(
        &ENDPOINT.replacen('{', r#"{"mode": "report", "#, 1),
        &shared,
        1,
    );
    let mut request = Request::get("/metrics").with(Attribute::SourceAddress, "127.0.0.1:9");
    assert_eq!(
        worker.exchange(&mut request, Duration::from_millis(1)),
        Verdict::Continue
    );
    worker.exchange(&mut Request::get("/users/7"), Duration::from_millis(1));
    assert_eq!(shared.number("launchgate_metrics_would_answer_total"), 1);
    assert!(
        shared
            .numbers()
            .keys()
            .any(|name| name.starts_with("launchgate_metrics_requests_total"))
    );
}

#[test]
fn custom_labels_let_through_what_is_listed_or_within_the_cap() {
    for (name, label, headers, value) in [
        (
            "listed",
            json!({"allow": ["acme", "globex"]}),
            vec![&b"acme"[..]],
            "acme",
        ),
        (
            "not listed",
            json!({"allow": ["acme"]}),
            vec![b"evil"],
            "_OTHER",
        ),
        ("absent", json!({"allow": ["acme"]}), vec![], ""),
        (
            "twice",
            json!({"allow": ["acme"]}),
            vec![b"acme", b"acme"],
            "_OTHER",
        ),
        ("no UTF-8", json!({}), vec![b"\xff\xfe"], "_OTHER"),
        (
            "within the cap",
            json!({"max_values": 1}),
            vec![b"a b"],
            "a%20b",
        ),
        (
            "injection",
            json!({}),
            vec![b"evil;.;reporter=.=admin;.;"],
            "evil%3B.%3Breporter%3D.%3Dadmin%3B.%3B",
        ),
    ] {
        let mut label = label;
        label["name"] = json!("tenant");
        label["header"] = json!("x-tenant");
        let shared = Shared::default();
        let mut worker = worker(
            &json!({"labels": [], "custom_labels": [label]}).to_string(),
            &shared,
            1,
        );
        let mut exchange = Request::get("/");
        for header in headers {
            exchange.facts.request.add("x-tenant", header).unwrap();
        }
        worker.exchange(&mut exchange, Duration::from_millis(1));
        assert_eq!(
            shared.number(&format!(
                "launchgate_metrics_requests_totaltenant=.={value};.;"
            )),
            1,
            "{name}: {:?}",
            shared.numbers()
        );
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
        let mut series = launchgate_sdk::map::Set::new();
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
