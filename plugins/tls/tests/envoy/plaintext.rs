//! Plaintext: who is redirected where, who passes, and what hostile bytes do.

use launchgate_harness::envoy::{Connection, Envoy, Reply, Request, Upstream};
use serde_json::json;

use crate::gateway::{Certificates, count, count_of, manager, plain, shipped};

#[test]
fn the_shipped_gateway_redirects_to_its_tls_port_without_hsts() {
    let certificates = Certificates::new();
    let app = Upstream::always(Reply::status(200)).unwrap();
    let envoy = Envoy::start(shipped(&certificates, &app)).unwrap();
    let plaintext = envoy.listener("plaintext").unwrap();
    for (method, status) in [("GET", 301), ("HEAD", 301), ("POST", 308), ("DELETE", 308)] {
        let mut connection = Connection::open(plaintext).unwrap();
        let request = Request::new(method, "/a/../b//c?b=%20&d=%zz").host("shop.example.org:10000");
        let response = connection.exchange(&request).unwrap();
        assert_eq!(
            (response.status, response.all("location")),
            (
                status,
                vec!["https://shop.example.org:10443/a/../b//c?b=%20&d=%zz".to_owned()]
            ),
            "{method}"
        );
        for absent in ["strict-transport-security", "server"] {
            assert_eq!(response.all(absent), [""; 0], "{method} {absent}");
        }
        assert_eq!(
            response.all("x-content-type-options"),
            ["nosniff"],
            "{method}"
        );
    }
    assert_eq!(app.received().len(), 0);
    let exposition = envoy.admin().prometheus().unwrap();
    let line = "launchgate_tls_redirects_total{reason=\"plaintext\"} 4";
    assert!(exposition.contains(line), "{exposition}");
}

#[test]
fn preflights_acme_and_health_paths_reach_the_service() {
    let app = Upstream::always(Reply::status(204)).unwrap();
    let envoy = Envoy::start(plain(&json!({}), &app)).unwrap();
    let preflight = Request::new("OPTIONS", "/api")
        .header("origin", "https://a.example")
        .header("access-control-request-method", "PUT");
    let response = envoy.send(&preflight).unwrap();
    assert_eq!(
        (
            response.status,
            response.all("strict-transport-security").len()
        ),
        (204, 0)
    );
    for path in [
        "/livez",
        "/healthz?verbose",
        "/readyz",
        "/startupz",
        "/.well-known/acme-challenge/x",
    ] {
        assert_eq!(envoy.get(path).unwrap().status, 204, "{path}");
    }
    assert_eq!(app.received().len(), 6);
    for path in [
        "/.well-known/acme-challenge",
        "/.well-known/acme-challenge/../x",
        "/x/..%2flivez",
        "//livez",
    ] {
        assert_eq!(envoy.get(path).unwrap().status, 301, "{path}");
    }
    let counts =
        ["path", "preflight"].map(|reason| count_of(&envoy, "exempt_total", "reason", reason));
    assert_eq!(counts, [5, 1]);
}

#[test]
fn grpc_gets_a_status_that_its_clients_read() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let envoy = Envoy::start(plain(&json!({}), &app)).unwrap();
    let call = Request::new("POST", "/a.B/C")
        .header("content-type", "application/grpc")
        .body([0, 0, 0, 0, 0]);
    let response = envoy.send(&call).unwrap();
    assert_eq!(
        (response.status, response.all("grpc-status")),
        (200, vec!["9".to_owned()])
    );
    assert_eq!(response.all("grpc-message"), ["https is required"]);
    assert_eq!(response.all("location"), [""; 0]);
}

#[test]
fn a_host_that_is_none_is_repeated_nowhere() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let envoy = Envoy::start(plain(&json!({}), &app)).unwrap();
    for host in ["user@example.org", "a/b", "a?b", "a#b", "[::1", "a:99999"] {
        let response = envoy.send(&Request::get("/").host(host)).unwrap();
        assert_eq!(
            (response.status, response.header("location")),
            (400, None),
            "{host}"
        );
    }
    for (host, location) in [
        ("[::1]:10000", "https://[::1]/"),
        ("192.0.2.1", "https://192.0.2.1/"),
        ("EXAMPLE.org.", "https://EXAMPLE.org./"),
    ] {
        let response = envoy.send(&Request::get("/").host(host)).unwrap();
        assert_eq!(response.header("location").as_deref(), Some(location));
    }
}

#[test]
fn every_byte_in_path_host_and_header_leaves_both_workers_alive() {
    let app = Upstream::always(Reply::status(204)).unwrap();
    let envoy = Envoy::start(plain(&json!({}), &app)).unwrap();
    let mut redirected = 0;
    for byte in (0x01..=0xff_u8).filter(|byte| !b"\r\n".contains(byte)) {
        for request in [
            Request::get([b"/a", &[byte][..], b"b"].concat()),
            Request::get("/").host([b"a", &[byte][..], b"b"].concat()),
            Request::get("/").header("x-forwarded-proto", [b'h', byte]),
        ] {
            let mut connection = Connection::open(envoy.gateway().unwrap()).unwrap();
            connection.write(&request.encode()).unwrap();
            // Envoy's own parser refuses some of them and closes the connection.
            let Ok(response) = connection.read() else {
                continue;
            };
            let statuses = [301, 400];
            assert!(
                statuses.contains(&response.status),
                "{byte:#x}: {}",
                response.status
            );
            redirected += u32::from(response.status == 301);
            let target = response.all("location");
            let is_https = |location: &String| {
                location.starts_with("https://") && !location.contains(['\r', '\n'])
            };
            assert!(target.iter().all(is_https), "{byte:#x}: {target:?}");
        }
    }
    assert!(redirected > 200, "only {redirected} were redirected");
    for mut worker in envoy.connection_per_worker("gateway").unwrap() {
        assert_eq!(
            worker.exchange(&Request::get("/livez")).unwrap().status,
            204
        );
    }
    let panics = envoy.admin().stat("wasmcustom.launchgate_panics_total");
    assert_eq!(panics.unwrap(), 0);
}

#[test]
fn report_mode_changes_nothing_and_counts_what_it_would() {
    let app = Upstream::always(Reply::status(200).header("x-powered-by", "x")).unwrap();
    let envoy = Envoy::start(plain(&json!({"mode": "report"}), &app)).unwrap();
    let response = envoy.get("/").unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(response.all("x-powered-by"), ["x"]);
    assert_eq!(response.all("x-frame-options"), [""; 0]);
    let would = |stat, label, value| count_of(&envoy, stat, label, value);
    assert_eq!(would("would_redirect_total", "reason", "plaintext"), 1);
    assert_eq!(would("would_edit_total", "kind", "leak"), 1);
    assert_eq!(would("redirects_total", "reason", "plaintext"), 0);
}

#[test]
fn a_route_can_switch_the_plugin_off() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let off = json!({"launchgate.tls": {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true}});
    let gateway = manager(plain(&json!({}), &app), |manager| {
        let routes = manager
            .pointer_mut("/route_config/virtual_hosts/0/routes")
            .unwrap();
        let route = json!({"match": {"prefix": "/off/"}, "route": {"cluster": "app"}, "typed_per_filter_config": off});
        routes.as_array_mut().unwrap().insert(0, route);
    });
    let envoy = Envoy::start(gateway).unwrap();
    let statuses = ["/off/x", "/on"].map(|path| envoy.get(path).unwrap().status);
    assert_eq!(statuses, [200, 301]);
    assert_eq!(count(&envoy, "untrusted_proto_total"), 0);
}
