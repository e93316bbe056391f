//! Requests sent are requests counted, whatever happens to them.

use launchgate_harness::envoy::{
    Answer, Connection, Envoy, Protocol, Received, Reply, Request, Upstream, get, send,
};
use serde_json::{Value, json};

use crate::gateway::{SOON, counted, samples, scrape, start, total};

const VOCABULARY: [&str; 8] = [
    "method",
    "route",
    "status",
    "status_class",
    "source",
    "flags",
    "grpc_code",
    "attempts",
];

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
        "/app/events" => Reply::status(200)
            .header("content-type", "text/event-stream")
            .body("data: x\n\n")
            .into(),
        "/app/upgrade" => Reply::status(101)
            .header("upgrade", "websocket")
            .header("connection", "Upgrade")
            .into(),
        _ => Reply::status(200).body("ok").into(),
    }
}

/// A round of everything that can happen to a request. Gives how many were sent.
fn round(envoy: &Envoy, app: &Upstream) -> usize {
    let address = envoy.gateway().unwrap();
    let grpc = Request::new("POST", "/rpc")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body([0, 0, 0, 0, 0]);
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
        let reply = send(address, &request);
        assert_eq!(
            reply.unwrap().status,
            status,
            "{:?}",
            String::from_utf8_lossy(&request.encode())
        );
    }
    assert!(get(address, "/app/cut").is_err());
    let mut broken = Connection::open(address).unwrap();
    broken
        .write(b"GET /app HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n")
        .unwrap();
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
        let app = Upstream::start(Protocol::Http1, script).unwrap();
        let rpc = Upstream::always_http2(Reply::grpc(b"", 14)).unwrap();
        let config = json!({"labels": VOCABULARY, "routes": ["/app", "/app/*"], "endpoint": {"allow": ["127.0.0.0/8"]}});
        let down = Upstream::always(Reply::status(200)).unwrap();
        down.refuse();
        let envoy = start(
            &config,
            &VOCABULARY,
            routes(),
            &[("app", &app), ("rpc", &rpc), ("down", &down)],
            workers,
        );
        let sent: usize = (0..4).map(|_| round(&envoy, &app)).sum();
        let wanted = [(sent as f64, sent as f64); 2];
        let last = std::cell::Cell::new([(0.0, 0.0); 2]);
        let reached = envoy.await_value(SOON, || {
            last.set(counted(&envoy)?);
            Ok((last.get() == wanted).then_some(()))
        });
        let page = scrape(&envoy, "text/plain").unwrap();
        assert!(
            reached.is_ok(),
            "{workers} workers, sent {sent}, counted {:?}: {page}",
            last.get()
        );

        let own = samples(&page);
        for (labels, count) in [
            (
                "method=\"GET\",route=\"/app\",status=\"200\",status_class=\"2xx\",source=\"upstream\",flags=\"-\",grpc_code=\"\",attempts=\"1\"",
                4.0,
            ),
            (
                "method=\"_OTHER\",route=\"/app\",status=\"200\",status_class=\"2xx\",source=\"upstream\",flags=\"-\",grpc_code=\"\",attempts=\"1\"",
                4.0,
            ),
            (
                "method=\"GET\",route=\"/app/*\",status=\"504\",status_class=\"5xx\",source=\"gateway\",flags=\"UT\",grpc_code=\"\",attempts=\"1\"",
                4.0,
            ),
            (
                "method=\"GET\",route=\"_OTHER\",status=\"404\",status_class=\"4xx\",source=\"gateway\",flags=\"NR\",grpc_code=\"\",attempts=\"0\"",
                4.0,
            ),
            (
                "method=\"GET\",route=\"_OTHER\",status=\"503\",status_class=\"5xx\",source=\"upstream\",flags=\"URX\",grpc_code=\"\",attempts=\"3\"",
                4.0,
            ),
            (
                "method=\"GET\",route=\"_OTHER\",status=\"499\",status_class=\"4xx\",source=\"client_abort\",flags=\"DC\",grpc_code=\"\",attempts=\"1\"",
                4.0,
            ),
            (
                "method=\"POST\",route=\"_OTHER\",status=\"200\",status_class=\"2xx\",source=\"upstream\",flags=\"-\",grpc_code=\"14\",attempts=\"1\"",
                4.0,
            ),
        ] {
            assert_eq!(
                own.get(&format!("launchgate_http_requests_total{{{labels}}}")),
                Some(&count),
                "{workers} workers: {labels}\n{page}"
            );
        }
        assert_eq!(
            total(&own, "launchgate_http_stream_duration_seconds_count"),
            8.0,
            "upgrades and event streams"
        );
        assert_eq!(own["launchgate_http_requests_in_flight"], 0.0);
        assert_eq!(
            envoy
                .admin()
                .stat("wasmcustom.launchgate_metrics_requests_in_flight")
                .unwrap(),
            0
        );
        assert_eq!(
            envoy
                .admin()
                .stat("wasmcustom.launchgate_panics_total")
                .unwrap(),
            0
        );
    }
}
