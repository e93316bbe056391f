//! Who gets which version, in the shipped bootstrap; no client chooses a cluster.

use launchgate_harness::envoy::{
    Bootstrap, Connection, Envoy, Request, Response, built_module, workspace,
};
use serde_json::{Value, json};

use crate::gateway::{TOKEN, launch, listeners, manager, rollout, start, version};

/// Ports of the shipped listeners: `header`, `cluster_header`, `weight_header`.
const PORTS: [u16; 3] = [10000, 10010, 10020];
/// Copies of them without the early mutation.
const PLUGIN_ALONE: u16 = 1000;
/// Copies of them without the plugin.
const MUTATION_ALONE: u16 = 2000;

fn bootstrap() -> Bootstrap {
    let file = workspace().join("envoy-configs/envoy/canary.yaml");
    let bootstrap = Bootstrap::read(&file).unwrap();
    bootstrap.file("canary.wasm", built_module("canary").unwrap())
}

pub(crate) fn shipped() -> Envoy {
    launch(bootstrap())
}

fn ask(envoy: &Envoy, port: u16, request: &Request) -> Response {
    let mut connection = Connection::open(envoy.port(port).unwrap()).unwrap();
    connection.exchange(request).unwrap()
}

/// The shipped listeners, and copies of each with one of the two safeguards only.
fn with_one_safeguard() -> Bootstrap {
    bootstrap().edit(|document| {
        let shipped: Vec<Value> = listeners(document)
            .iter()
            .filter(|listener| PORTS.map(|port| json!(port)).contains(port_of(listener)))
            .cloned()
            .collect();
        for listener in shipped {
            let port = port_of(&listener).as_u64().unwrap();
            let copy = |offset: u16, change: &dyn Fn(&mut Value)| {
                let mut copy = listener.clone();
                let port = port + u64::from(offset);
                copy["name"] = json!(format!("copy-{port}"));
                copy["address"]["socket_address"]["port_value"] = json!(port);
                change(manager(&mut copy));
                copy
            };
            let plugin_alone = copy(PLUGIN_ALONE, &|manager| {
                let removed = manager["early_header_mutation_extensions"].take();
                assert!(!removed.is_null());
            });
            let mutation_alone = copy(MUTATION_ALONE, &|manager| {
                let filters = manager["http_filters"].as_array_mut().unwrap();
                filters.retain(|filter| filter["name"] != "launchgate.canary");
                assert_eq!(filters.len(), 1);
            });
            listeners(document).extend([plugin_alone, mutation_alone]);
        }
    })
}

fn port_of(listener: &Value) -> &Value {
    &listener["address"]["socket_address"]["port_value"]
}

#[test]
fn no_clients_header_steers_towards_a_version_or_the_admin_interface() {
    let envoy = launch(with_one_safeguard());
    for forged in [
        &["canary"][..],
        &["envoy_admin"],
        &["999999"],
        &["stable", "envoy_admin"],
        &["envoy_admin, stable"],
        &[""],
    ] {
        for path in ["/", "/stats", "/config_dump"] {
            let request = forged.iter().fold(Request::get(path), |request, value| {
                request.header("X-Launchgate-Variant", value)
            });
            for port in PORTS {
                for (user, offset, expected) in [
                    ("never", 0, "stable\n"),
                    ("never", PLUGIN_ALONE, "stable\n"),
                    ("always", 0, "canary\n"),
                    ("always", PLUGIN_ALONE, "canary\n"),
                    ("always", MUTATION_ALONE, "stable\n"),
                ] {
                    let request = request.clone().header("x-canary", user);
                    let answer = ask(&envoy, port + offset, &request);
                    assert_eq!(
                        (answer.status, answer.text().as_str()),
                        (200, expected),
                        "{forged:?} {path} of {user} at {port} + {offset}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_shipped_bootstrap_keeps_users_and_issues_a_cookie_in_all_three_ways() {
    let envoy = shipped();
    for port in PORTS {
        let users = || -> Vec<u32> {
            let is_canary = |user: &u32| {
                let request = Request::get("/").header("x-user-id", user.to_string());
                ask(&envoy, port, &request).text() == "canary\n"
            };
            (0..200).filter(is_canary).collect()
        };
        let once = users();
        let count = once.len();
        assert!((1..30).contains(&count), "{port}: {count} of 200 at 5 %");
        assert_eq!(once, users(), "{port}: the same users again");
        let fresh = ask(&envoy, port, &Request::get("/"));
        let cookie = fresh.header("set-cookie").unwrap();
        let attributes = "; Max-Age=2592000; Path=/; Secure; HttpOnly; SameSite=Lax";
        assert!(
            cookie.starts_with("launchgate_id=v1.") && cookie.ends_with(attributes),
            "{cookie}"
        );
        assert_eq!(fresh.all("cache-control"), ["private"]);
        let pair = cookie.split(';').next().unwrap();
        let known = ask(&envoy, port, &Request::get("/").header("cookie", pair));
        assert_eq!(
            (known.text(), known.header("set-cookie")),
            (fresh.text(), None),
            "{port}"
        );
        let mut altered = pair.to_owned();
        altered.insert(18, '0');
        let altered = ask(&envoy, port, &Request::get("/").header("cookie", altered));
        assert!(
            altered.header("set-cookie").is_some(),
            "{port}: a cookie that was not issued does not count"
        );
    }
    let text = envoy.admin().prometheus().unwrap();
    let series = r#"launchgate_canary_decisions_total{variant="canary",reason="share"}"#;
    assert!(text.contains(series), "{text}");
}

#[test]
fn every_header_byte_leaves_both_workers_alive() {
    let (canary, stable) = (version("canary"), version("stable"));
    let more = json!({
        "key": [{"header": "x-user-id"}, {"cookie": {"issue": true}}], "secret": TOKEN, "control": {"token": TOKEN},
        "match": [{"headers": {"x-odd": {"glob": "*a"}}, "cookies": {"a": {"suffix": "x"}}, "query": {"q": {"exact": "1"}}}],
    });
    let envoy = start(&[rollout("r", 50.0, &more)], &canary, &stable);
    let mut answered = 0;
    for byte in 1..=255_u8 {
        let value = [b'a', byte, b'a'];
        for request in [
            Request::get("/")
                .header("x-odd", value)
                .header("x-user-id", value)
                .header("cookie", [b"a=", &value[..]].concat()),
            Request::get("/")
                .header("cookie", [b"launchgate_id=", &value[..]].concat())
                .header("x-launchgate-variant", value),
            Request::get([b"/?q=", &value[..]].concat()).header("x-odd", value),
            Request::new("PUT", "/launchgate/canary")
                .header("authorization", [b"Bearer ", &value[..]].concat())
                .body(value),
        ] {
            let mut connection = Connection::open(envoy.gateway().unwrap()).unwrap();
            connection.write(&request.encode()).unwrap();
            // Envoy refuses some itself (400, 426 or a closed connection).
            if let Ok(answer) = connection.read() {
                assert!(
                    matches!(answer.status, 200 | 400 | 404 | 426),
                    "{byte:#x}: {}",
                    answer.status
                );
                answered += u32::from(matches!(answer.status, 200 | 404));
            }
        }
    }
    assert!(
        answered > 700,
        "only {answered} requests reached the plugin"
    );
    for mut connection in envoy.connection_per_worker("r").unwrap() {
        let answer = connection.exchange(&Request::get("/")).unwrap();
        assert_eq!(answer.status, 200);
    }
    let panics = envoy.admin().stat("wasmcustom.launchgate_panics_total");
    assert_eq!(panics.unwrap(), 0);
}
