//! The real-Envoy runner against the real Envoy: every other test that starts one stands on these.

use std::time::Duration;

use launchgate_harness::envoy::{
    Answer, Authority, Bootstrap, Connection, Envoy, Launch, Protocol, Reply, Request, TlsClient,
    Upstream, get,
};
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);

fn gateway(upstream: &Upstream) -> Envoy {
    Envoy::start(Bootstrap::gateway(&[]).upstream("app", upstream)).unwrap()
}

#[test]
fn what_a_client_sends_reaches_the_upstream_byte_for_byte() {
    let app =
        Upstream::always(Reply::status(200).header("x-answer", b"\xfe").body("hello")).unwrap();
    let envoy = gateway(&app);
    let request = Request::new("POST", "/a?b=%20")
        .header("x-odd", b"\x80\xff")
        .header("x-odd", "2")
        .body("body");
    let response = envoy.send(&request).unwrap();
    assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    assert!(
        response
            .headers
            .contains(&(b"x-answer".to_vec(), b"\xfe".to_vec()))
    );

    let [seen] = &app.received()[..] else {
        panic!("one request")
    };
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str(), &seen.body[..]),
        ("POST", "/a?b=%20", &b"body"[..])
    );
    assert!(
        seen.raw
            .windows(9)
            .any(|window| window == b"x-odd: \x80\xff"),
        "raw bytes: {:?}",
        seen.raw
    );
    assert_eq!(seen.all("x-odd").last().map(String::as_str), Some("2"));
    assert_eq!(
        envoy.admin().stat("cluster.app.upstream_rq_total").unwrap(),
        1
    );
}

#[test]
fn each_misbehaviour_of_an_upstream_is_what_envoy_sees() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let short = Bootstrap::gateway(&[]).upstream("app", &app).edit(|document| {
        let route = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes/0/route";
        document.pointer_mut(route).unwrap()["timeout"] = json!("0.3s");
    });
    let envoy = Envoy::start(short).unwrap();
    let answers = [
        (
            "a late answer is no answer",
            Answer::Respond(Reply::status(200).latency(Duration::from_secs(5))),
            504,
            "upstream request timeout",
        ),
        ("hanging", Answer::Hang, 504, "upstream request timeout"),
        ("closing", Answer::Close, 503, "connection termination"),
        (
            "resetting",
            Answer::Reset,
            503,
            "reset reason: connection termination",
        ),
    ];
    for (name, answer, status, text) in answers {
        app.answer(answer);
        let response = envoy.get("/").unwrap();
        assert_eq!(response.status, status, "{name}");
        assert!(
            response.text().contains(text),
            "{name}: {}",
            response.text()
        );
    }
    app.answer(Answer::ResetInBody(Reply::status(200).body("0123456789")));
    let cut = envoy.get("/").unwrap_err();
    assert!(
        format!("{cut:#}").contains("closed inside the body"),
        "{cut:#}"
    );
}

#[test]
fn a_refusing_upstream_keeps_its_port_and_comes_back() {
    let app = Upstream::always(Reply::status(204)).unwrap();
    let envoy = gateway(&app);
    assert_eq!(envoy.get("/").unwrap().status, 204);
    app.refuse();
    let refused = envoy.get("/").unwrap();
    assert_eq!(refused.status, 503);
    assert!(std::net::TcpStream::connect(app.address()).is_err());
    app.accept().unwrap();
    assert_eq!(envoy.get("/").unwrap().status, 204);
}

#[test]
fn a_cluster_that_no_test_scripts_refuses_connections() {
    let envoy = Envoy::start(Bootstrap::gateway(&[]).edit(|document| {
        document["static_resources"]["clusters"] = json!([{
            "name": "app", "type": "STRICT_DNS",
            "load_assignment": {"cluster_name": "app", "endpoints": [{"lb_endpoints": [
                {"endpoint": {"address": {"socket_address": {"address": "example.invalid", "port_value": 80}}}}]}]},
        }]);
    }))
    .unwrap();
    let answer = envoy.get("/").unwrap();
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().contains("remote connection failure"),
        "{}",
        answer.text()
    );
}

#[test]
fn grpc_upstreams_speak_http2_with_trailers() {
    let app = Upstream::always_http2(Reply::grpc(b"\x08\x01", 0)).unwrap();
    let envoy = gateway(&app);
    let response = envoy
        .send(&Request::new("POST", "/grpc.health.v1.Health/Check").body([0, 0, 0, 0, 0]))
        .unwrap();
    assert_eq!(
        (response.status, &response.body[..]),
        (200, &b"\0\0\0\0\x02\x08\x01"[..])
    );
    let [seen] = &app.received()[..] else {
        panic!("one request")
    };
    assert_eq!(
        (seen.path.as_str(), seen.body.len()),
        ("/grpc.health.v1.Health/Check", 5)
    );
    app.answer(Answer::Reset);
    assert_eq!(envoy.get("/").unwrap().status, 503);
}

const SHIPPED: &str = r#"
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}, allow_paths: [{exact: /ready}]}
static_resources:
  listeners:
  - name: edge
    address: {socket_address: {address: 0.0.0.0, port_value: 10000}}
    filter_chains: &http
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: edge
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [
            {match: {prefix: /admin}, route: {cluster: admin, prefix_rewrite: /ready}},
            {match: {prefix: /inner}, route: {cluster: inner, prefix_rewrite: /direct}},
            {match: {prefix: /direct}, direct_response: {status: 200, body: {inline_string: inner}}}]}]}
          http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
  - name: inner
    address: {socket_address: {address: 127.0.0.1, port_value: 10081}}
    filter_chains: *http
  clusters:
  - {name: admin, type: STRICT_DNS, load_assignment: {cluster_name: admin, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}}]}]}}
  - {name: inner, type: STRICT_DNS, load_assignment: {cluster_name: inner, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 10081}}}}]}]}}
"#;

#[test]
fn a_shipped_bootstrap_runs_on_free_ports_and_reaches_its_own_admin_and_listeners() {
    let envoy = Envoy::start(Bootstrap::from_yaml(SHIPPED).unwrap()).unwrap();
    let edge = envoy.port(10000).unwrap();
    assert_ne!(edge.port(), 10000);
    assert_eq!(get(edge, "/inner").unwrap().text(), "inner");
    assert_eq!(get(edge, "/admin").unwrap().text(), "LIVE\n");
    let forwarded = envoy.admin().forward().unwrap();
    assert_eq!(get(forwarded, "/ready").unwrap().text(), "LIVE\n");
    assert!(
        envoy
            .admin()
            .prometheus()
            .unwrap()
            .contains("envoy_cluster_upstream_rq")
    );
    assert_eq!(
        envoy.admin().clusters().unwrap()["cluster_statuses"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert!(envoy.admin().config_dump().unwrap()["configs"].is_array());
}

#[test]
fn tls_shows_the_certificate_and_holds_the_version() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("test authority").unwrap();
    let (certificate, key) = authority
        .server(&["gateway.test"])
        .unwrap()
        .write(folder.path(), "gateway")
        .unwrap();
    let app = Upstream::always(Reply::status(200)).unwrap();
    let envoy = Envoy::start(
        Bootstrap::empty()
            .tls_listener("edge", &[], &certificate, &key)
            .upstream("app", &app),
    )
    .unwrap();
    let edge = envoy.listener("edge").unwrap();

    let trusting = TlsClient::new("gateway.test").trust(authority.pem());
    assert_eq!(
        Connection::open_tls(edge, &trusting)
            .unwrap()
            .exchange(&Request::get("/"))
            .unwrap()
            .status,
        200
    );
    assert!(
        Connection::open_tls(edge, &TlsClient::new("other.test").trust(authority.pem())).is_err(),
        "wrong name"
    );
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = TlsClient::new("gateway.test")
            .version(version)
            .without_sni();
        assert_eq!(
            Connection::open_tls(edge, &client)
                .unwrap()
                .exchange(&Request::get("/"))
                .unwrap()
                .status,
            200
        );
    }
    let versions = envoy
        .admin()
        .matching_stats(r"^listener\..*\.ssl\.versions\.TLSv1\.2$")
        .unwrap();
    assert_eq!(versions.values().sum::<u64>(), 1);
}

#[test]
fn a_tls_upstream_is_reached() {
    let authority = Authority::new("test authority").unwrap();
    let app = Upstream::start_tls(
        Protocol::Http1,
        &authority.server(&["app.test"]).unwrap(),
        |_| Reply::status(201).into(),
    )
    .unwrap();
    let bootstrap = Bootstrap::gateway(&[]).upstream("app", &app).edit(|document| {
        document["static_resources"]["clusters"][0]["transport_socket"] = json!({
            "name": "tls",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"},
        });
    });
    assert_eq!(
        Envoy::start(bootstrap).unwrap().get("/").unwrap().status,
        201
    );
}

#[test]
fn each_worker_is_reached_by_a_connection_of_its_own() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let envoy = Launch::new(Bootstrap::gateway(&[]).upstream("app", &app))
        .concurrency(3)
        .start()
        .unwrap();
    let mut connections = envoy.connection_per_worker("gateway").unwrap();
    assert_eq!(connections.len(), 3);
    for connection in &mut connections {
        assert_eq!(connection.exchange(&Request::get("/")).unwrap().status, 200);
        assert_eq!(
            connection
                .exchange(&Request::new("HEAD", "/"))
                .unwrap()
                .status,
            200
        );
    }
}

#[test]
fn a_bootstrap_that_envoy_refuses_ends_with_its_reason() {
    let wrong = || Bootstrap::gateway(&[]).edit(|document| document["no_such_field"] = json!(1));
    let error = format!("{:#}", Envoy::start(wrong()).unwrap_err());
    assert!(error.contains("no_such_field"), "{error}");
    let validation = Launch::new(wrong()).validate().unwrap();
    assert!(!validation.accepted);
    assert!(
        validation
            .log
            .iter()
            .any(|line| line.text.contains("no_such_field"))
    );
    let app = Upstream::always(Reply::status(200)).unwrap();
    assert!(
        Launch::new(Bootstrap::gateway(&[]).upstream("app", &app))
            .validate()
            .unwrap()
            .accepted
    );
}

#[test]
fn stopping_is_clean_and_dropping_leaves_no_process() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let (status, log) = gateway(&app).stop().unwrap();
    assert!(status.success(), "{status}");
    assert!(log.iter().any(|line| line.text.contains("SIGTERM")));

    let mut envoy = gateway(&app);
    assert!(envoy.is_alive());
    envoy
        .await_log(SOON, |line| {
            line.logger == "main" && line.text.contains("starting main dispatch loop")
        })
        .unwrap();
    let process = format!("/proc/{}", envoy.id());
    drop(envoy);
    assert!(!std::path::Path::new(&process).exists());
}
