//! Tables of others: ingress-nginx's canary annotations, the Gateway API's conformance tests, Argo Rollouts' empty data.
//! Facts only; where this plugin differs, the row says so.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::time::Duration;

use launchgate_canary::Canary;
use launchgate_sdk::fake::{Exchange, Host};
use launchgate_sdk::{Answer, Headers, Member};

type Proxy = Host<Member<Canary>>;

/// The version that a request with these headers gets on a new proxy.
fn version(config: &str, headers: &[(&str, &str)]) -> String {
    let mut proxy = Proxy::load(config).unwrap();
    served(&mut proxy, headers)
}

fn served(proxy: &mut Proxy, headers: &[(&str, &str)]) -> String {
    let request = headers
        .iter()
        .fold(Exchange::get("/"), |exchange, (name, value)| {
            exchange.header(name, value)
        });
    let mut exchange = request;
    proxy.request(&mut exchange);
    let sent = exchange.facts.request.text("x-launchgate-variant");
    sent.unwrap().to_owned()
}

/// kubernetes/ingress-nginx, test/e2e/annotations/canary.go, and the precedence of its annotations: header, cookie, weight.
#[test]
fn ingress_nginxs_canary_annotations() {
    let by_header = r#""match": [{"headers": {"CanaryByHeader": {"exact": "always"}}}], "never": [{"headers": {"CanaryByHeader": {"exact": "never"}}}]"#;
    let by_value = r#""match": [{"headers": {"CanaryByHeader": {"exact": "DoCanary"}}}]"#;
    let by_cookie = r#""match": [{"cookies": {"Canary-By-Cookie": {"exact": "always"}}}], "never": [{"cookies": {"Canary-By-Cookie": {"exact": "never"}}}]"#;
    let by_cookie_value = r#""match": [{"cookies": {"Canary-By-Cookie": {"exact": "DoCanary"}}}]"#;
    let by_value_or_cookie = r#""match": [{"headers": {"CanaryByHeader": {"exact": "DoCanary"}}}, {"cookies": {"CanaryByCookie": {"exact": "always"}}}]"#;
    let by_both = r#""match": [{"headers": {"CanaryByHeader": {"exact": "always"}}}, {"cookies": {"Canary-By-Cookie": {"exact": "always"}}}],
        "never": [{"headers": {"CanaryByHeader": {"exact": "never"}}}, {"cookies": {"Canary-By-Cookie": {"exact": "never"}}}]"#;
    let header = |value| vec![("CanaryByHeader", value)];
    let cookie = |value| vec![("cookie", value)];
    let both = |header, cookie| vec![("CanaryByHeader", header), ("cookie", cookie)];
    for (annotations, weight, headers, expected) in [
        (by_header, 0, vec![], "stable"),
        (by_header, 0, header("always"), "canary"),
        (by_header, 0, header("never"), "stable"),
        (by_header, 0, header("badheadervalue"), "stable"),
        (by_value, 0, header("DoCanary"), "canary"),
        (by_value, 0, header("always"), "stable"),
        (by_value, 0, header("never"), "stable"),
        (by_value, 0, header("otherheadervalue"), "stable"),
        (
            by_value_or_cookie,
            0,
            both("otherheadervalue", "CanaryByCookie=always"),
            "canary",
        ),
        (by_cookie, 0, cookie("Canary-By-Cookie=always"), "canary"),
        (by_cookie, 0, cookie("Canary-By-Cookie=never"), "stable"),
        (
            by_cookie,
            0,
            cookie("Canary-By-Cookie=badcookievalue"),
            "stable",
        ),
        (
            by_cookie_value,
            0,
            cookie("Canary-By-Cookie=DoCanary"),
            "canary",
        ),
        (
            by_cookie_value,
            0,
            cookie("Canary-By-Cookie=always"),
            "stable",
        ),
        (
            by_cookie_value,
            0,
            cookie("Canary-By-Cookie=never"),
            "stable",
        ),
        (
            by_cookie_value,
            0,
            cookie("Canary-By-Cookie=badcookievalue"),
            "stable",
        ),
        (r#""match": []"#, 0, vec![], "stable"),
        (r#""match": []"#, 100, vec![], "canary"),
        // The precedence.
        (by_both, 100, header("never"), "stable"),
        (by_both, 100, cookie("Canary-By-Cookie=never"), "stable"),
        (by_both, 100, header("badheadervalue"), "canary"),
        (
            by_both,
            0,
            both("badheadervalue", "Canary-By-Cookie=always"),
            "canary",
        ),
        (
            by_both,
            0,
            both("never", "Canary-By-Cookie=always"),
            "stable",
        ),
        // Here the header wins there; a `never` always wins here.
        (
            by_both,
            0,
            both("always", "Canary-By-Cookie=never"),
            "stable",
        ),
    ] {
        let config =
            format!(r#"{{"rollout": "r", {annotations}, "stages": [{{"percent": {weight}}}]}}"#);
        assert_eq!(
            version(&config, &headers),
            expected,
            "{annotations} {weight} {headers:?}"
        );
    }
}

/// kubernetes-sigs/gateway-api, conformance/tests/httproute-header-matching: version 1 is the canary. A request without a
/// route is answered 404 there and gets stable here. The more specific match wins there; here the rules say so themselves.
#[test]
fn the_gateway_apis_header_matches() {
    let config = r#"{"rollout": "r", "match": [
        {"headers": {"version": {"exact": "one"}}},
        {"headers": {"version": {"exact": "two"}, "color": {"exact": "orange"}}},
        {"headers": {"version": {"present": false}, "color": {"exact": "blue"}}},
        {"headers": {"version": {"present": false}, "color": {"exact": "green"}}}]}"#;
    for (headers, expected) in [
        (&[("Version", "one")][..], "canary"),
        (&[("Version", "two")], "stable"),
        (&[("Version", "two"), ("Color", "orange")], "canary"),
        (&[("Version", "two"), ("Color", "blue")], "stable"),
        (&[("Color", "orange")], "stable"),
        (&[("Some-Other-Header", "one")], "stable"),
        (&[("Color", "blue")], "canary"),
        (&[("Color", "green")], "canary"),
        (&[("Color", "red")], "stable"),
        (&[("Color", "yellow")], "stable"),
        (&[("Color", "purple")], "stable"),
    ] {
        assert_eq!(version(config, headers), expected, "{headers:?}");
    }
}

/// kubernetes-sigs/gateway-api, conformance/tests/httproute-weight: of 500 requests each backend gets its weight, give or take 5 points,
/// and one of weight 0 none. Drawn without a key, as there, and by user.
#[test]
fn the_gateway_apis_weights() {
    for key in ["", r#", "key": [{"header": "x-user-id"}]"#] {
        for (percent, least, most) in [(30, 125, 175), (70, 325, 375), (0, 0, 0), (100, 500, 500)] {
            let config =
                format!(r#"{{"rollout": "r", "stages": [{{"percent": {percent}}}]{key}}}"#);
            let mut proxy = Proxy::load(&config).unwrap();
            let canary = (0..500)
                .filter(|user| served(&mut proxy, &[("x-user-id", &user.to_string())]) == "canary")
                .count();
            assert!(
                (least..=most).contains(&canary),
                "{percent} % {key}: {canary} of 500"
            );
        }
    }
}

/// argoproj/argo-rollouts, features/analysis.md: what an empty or not a number measurement is depends on which conditions are
/// written there (failed, successful, or inconclusive with both). Here it is always the last: nothing changes, and it is counted.
#[test]
fn argos_measurements_without_data_decide_nothing() {
    let config = r#"{"rollout": "r", "stages": [{"percent": 50, "for": "1h"}, {"percent": 100}], "fleet": {"cluster": "prometheus", "judge": true}}"#;
    let vector = |rows: &str| {
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{rows}]}}}}"#)
    };
    let rates = |requests: &str, errors: &str| {
        let row = |name: &str, value: &str| {
            format!(
                r#"{{"metric":{{"__name__":"launchgate_canary_{name}_total","variant":"canary"}},"value":[1,"{value}"]}}"#
            )
        };
        vector(&format!(
            "{},{}",
            row("requests", requests),
            row("errors", errors)
        ))
    };
    for (name, status, body, result, rolled_back) in [
        ("an empty vector", "200", vector(""), "empty", 0),
        ("NaN", "200", rates("NaN", "NaN"), "success", 0),
        ("NaN of 1,000", "200", rates("1000", "NaN"), "success", 0),
        ("infinity", "200", rates("+Inf", "+Inf"), "success", 0),
        (
            "infinitely many of 1,000",
            "200",
            rates("1000", "+Inf"),
            "success",
            0,
        ),
        ("no traffic", "200", rates("0", "0"), "success", 0),
        (
            "errors without requests",
            "200",
            rates("0", "7"),
            "success",
            0,
        ),
        ("too little traffic", "200", rates("49", "49"), "success", 0),
        (
            "a scalar",
            "200",
            r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#.to_owned(),
            "malformed",
            0,
        ),
        (
            "an error of the query",
            "422",
            r#"{"status":"error","errorType":"execution"}"#.to_owned(),
            "status",
            0,
        ),
        (
            "a server that fails",
            "503",
            "unavailable".to_owned(),
            "status",
            0,
        ),
        ("data", "200", rates("1000", "50"), "success", 1),
    ] {
        let mut proxy = Proxy::load(config).unwrap();
        let headers = || Headers::from_pairs([(":status", status)]);
        for _ in 0..8 {
            proxy.advance(Duration::from_secs(1));
            proxy.tick();
            for _ in 0..proxy.calls.len() {
                let is_rates = proxy.calls[0].1.path.expose().contains("increase");
                let body = if is_rates {
                    body.clone()
                } else {
                    vector(r#"{"metric":{},"value":[1,"0"]}"#)
                };
                let headers = if is_rates {
                    headers()
                } else {
                    Headers::from_pairs([(":status", "200")])
                };
                proxy.answer(Answer::read(headers, body.into_bytes(), Headers::default()));
            }
        }
        let counted =
            format!("launchgate_canary_polls_totaltarget=.=fleet_rates;.;result=.={result};.;");
        assert!(
            proxy.shared.number(&counted) > 0,
            "{name}: {:?}",
            proxy.shared.numbers()
        );
        let latch = "launchgate_canary_rolled_backrollout=.=r;.;";
        assert_eq!(proxy.shared.number(latch), rolled_back, "{name}");
    }
}
