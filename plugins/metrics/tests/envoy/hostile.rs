//! Clients that want a new series with each request, on an Envoy with all of Istio's tags.

use std::collections::BTreeSet;

use launchgate_harness::envoy::{Bootstrap, Envoy, Launch, Reply, Request, Upstream};
use serde_json::{Value, json};

use crate::gateway::{SOON, counted, flood, metrics, scrape};

/// Istio's tags besides those of `extraStatTags`: name and regex.
const ISTIO: [(&str, &str); 15] = [
    (
        "cluster_name",
        r"^cluster\.((.+?(\..+?\.svc\.cluster\.local)?)\.)",
    ),
    ("tcp_prefix", r"^tcp\.((.*?)\.)\w+?$"),
    ("response_code", r"_rq(_(\d{3}))$"),
    ("response_code_class", r"_rq(_(\dxx))$"),
    (
        "http_conn_manager_listener_prefix",
        r"^listener(?=\.).*?\.http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)",
    ),
    (
        "http_conn_manager_prefix",
        r"^http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)",
    ),
    (
        "listener_address",
        r"^listener\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)",
    ),
    (
        "mongo_prefix",
        r"^mongo\.(.+?)\.(collection|cmd|cx_|op_|delays_|decoding_)(.*?)$",
    ),
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
        "cache.x.y",
        "component.a.b",
        "tag.q;.",
        "wasm_filter.f.g",
        "rbac.allowed",
        "a.istio_dry_run_allow_b",
        "x.shadow_denied",
        "evil;.;reporter=.=admin;.;",
        "x_rq_503",
        "listener.1.http.2.",
        "a\"b\\c",
        "k=.=v;.;",
    ];
    let word = WORDS[number % WORDS.len()];
    let mut value = format!("{word}{number}").into_bytes();
    let byte = (number % 255 + 1) as u8;
    if !matches!(byte, b'\r' | b'\n' | b'\t' | b' ') && byte > 31 && byte != 127 {
        value.push(byte);
    }
    let method = if number.is_multiple_of(3) {
        format!("M{number}")
    } else {
        "GET".to_owned()
    };
    Request::new(
        method,
        format!("/{number}/{}", word.replace(['\\', '"', ' '], "_")),
    )
    .header("x-tenant", value)
    .host(format!("h{number}.example.org"))
}

fn memory(envoy: &Envoy) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", envoy.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_hundred_thousand_hostile_requests_stay_within_the_cap_and_add_no_label() {
    const CAP: usize = 50;
    let app = Upstream::always(Reply::status(200)).unwrap();
    let config = json!({"labels": ["method", "route", "status_class"], "custom_labels": [{"name": "tenant", "header": "x-tenant", "max_values": 40},
        {"name": "host", "header": ":authority", "max_values": 1000}], "max_series": CAP, "endpoint": {"allow": ["127.0.0.0/8"]}});
    let bootstrap = Bootstrap::gateway(&[metrics(&config)])
        .upstream("app", &app)
        .edit(|document| {
            let own = [
                "method",
                "route",
                "status_class",
                "tenant",
                "host",
                "outcome",
                "plugin",
                "version",
                "call",
                "slo",
                "objective",
            ];
            let own = own
                .iter()
                .map(|name| json!({"tag_name": name, "regex": format!("({name}=\\.=(.*?);\\.;)")}));
            let tags: Vec<Value> = own
                .chain(
                    ISTIO
                        .iter()
                        .map(|(name, regex)| json!({"tag_name": name, "regex": regex})),
                )
                .collect();
            document["stats_config"] = json!({"use_all_default_tags": false, "stats_tags": tags});
            let manager = document
                .pointer_mut("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config")
                .unwrap();
            manager["use_remote_address"] = json!(true);
            manager["http_protocol_options"] = json!({"allow_custom_methods": true});
            manager["route_config"]["virtual_hosts"][0]["routes"][0] =
                json!({"match": {"prefix": "/"}, "direct_response": {"status": 200}});
        });
    let envoy = Launch::new(bootstrap).concurrency(2).start().unwrap();
    flood(&envoy, (0..20_000).map(hostile)).unwrap();
    let before = memory(&envoy);
    std::thread::scope(|scope| {
        for half in 0..2 {
            let envoy = &envoy;
            scope.spawn(move || {
                flood(
                    envoy,
                    (20_000..100_000)
                        .filter(|number| number % 2 == half)
                        .map(hostile),
                )
                .unwrap()
            });
        }
    });
    let grown = memory(&envoy).saturating_sub(before);
    assert!(grown < 16 * 1024, "grew by {grown} kB");

    let settled = envoy.await_value(SOON, || {
        let counts = counted(&envoy)?;
        Ok((counts == [(100_000.0, 100_000.0); 2]).then_some(()))
    });
    assert!(settled.is_ok(), "{:?}", counted(&envoy));
    let pages = [
        (
            scrape(&envoy, "*/*").unwrap(),
            "launchgate_http_requests_total{",
        ),
        (
            envoy.admin().prometheus().unwrap(),
            "launchgate_metrics_requests_total{",
        ),
    ];
    for (page, family) in pages {
        let series: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with(family))
            .collect();
        assert_eq!(series.len(), CAP + 1, "{series:#?}");
        for line in &series {
            let labels = line.split_once('{').unwrap().1.rsplit_once('}').unwrap().0;
            let names: BTreeSet<&str> = labels
                .split("\",")
                .map(|label| label.split_once("=\"").unwrap().0)
                .collect();
            assert_eq!(
                names,
                BTreeSet::from(["method", "route", "status_class", "tenant", "host"]),
                "{line}"
            );
        }
        assert!(
            !page
                .lines()
                .any(|line| line.starts_with("launchgate_") && !line.is_ascii())
        );
    }
    assert_eq!(
        envoy
            .admin()
            .stat("wasmcustom.launchgate_panics_total")
            .unwrap(),
        0
    );
}
