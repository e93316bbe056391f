use std::time::Duration;

use launchgate_sdk::config::Environment;
use launchgate_sdk::fake::{self, Host, Shared};
use launchgate_sdk::{Attribute, Headers, Member, Reply};

use super::*;

type Worker = Host<Member<Canary>>;
type Exchange = fake::Exchange<Member<Canary>>;

const TOKEN: &str = "0123456789abcdef";
const SECOND: Duration = Duration::from_secs(1);

/// A proxy: workers that share state, with one clock.
struct Proxy(Vec<Worker>);

impl Proxy {
    fn start(config: &str) -> Self {
        Self::start_with(config, Shared::default())
    }

    fn start_with(config: &str, shared: Shared) -> Self {
        let environment = Environment::from([
            ("TOKEN".to_owned(), TOKEN.to_owned()),
            ("SECRET".to_owned(), "a secret of 16 bytes".to_owned()),
        ]);
        let worker = |seed| Host::load_with(config, &environment, shared.clone(), seed).unwrap();
        Self(vec![worker(1), worker(2)])
    }

    /// The same proxy with another config: new workers, the same shared state and clock.
    fn reload(self, config: &str) -> Self {
        let now = self.0[0].now;
        let mut proxy = Self::start_with(config, self.0[0].shared.clone());
        for worker in &mut proxy.0 {
            worker.now = now;
        }
        proxy
    }

    fn advance(&mut self, duration: Duration) {
        for worker in &mut self.0 {
            worker.advance(duration);
        }
    }

    fn seconds(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.advance(SECOND);
            for worker in &mut self.0 {
                worker.tick();
            }
        }
    }

    /// An exchange on a worker; which version it was sent to, by the steering header.
    fn send(&mut self, worker: usize, mut exchange: Exchange) -> Exchange {
        let worker = &mut self.0[worker];
        worker.request(&mut exchange);
        let sent = exchange
            .facts
            .request
            .text("x-launchgate-variant")
            .unwrap_or("nobody")
            .to_owned();
        let mut exchange = if exchange.facts.request.contains("x-cluster") {
            exchange
        } else {
            exchange
                .with(Attribute::ClusterName, sent)
                .with_integer(Attribute::ResponseCode, 200)
        };
        worker.response(&mut exchange);
        worker.end(&mut exchange);
        exchange
    }

    /// Requests of many users on both workers; every `fail`-th that the canary serves is a 500. Returns how many it served.
    fn traffic(&mut self, users: std::ops::Range<u32>, fail: u64) -> u64 {
        let mut served = 0;
        for user in users {
            let worker = (user % 2) as usize;
            let mut exchange = Exchange::get("/").header("x-user-id", user.to_string());
            self.0[worker].request(&mut exchange);
            let canary = exchange.facts.request.text("x-launchgate-variant") == Some("canary");
            served += u64::from(canary);
            let failed = canary && fail > 0 && served.is_multiple_of(fail);
            let exchange = exchange.with(
                Attribute::ClusterName,
                if canary { "canary" } else { "stable" },
            );
            let mut exchange = if failed {
                exchange
                    .respond(&[(":status", "500")])
                    .with_integer(Attribute::ResponseCode, 500)
            } else {
                exchange.with_integer(Attribute::ResponseCode, 200)
            };
            self.0[worker].end(&mut exchange);
        }
        served
    }

    fn number(&self, stat: &str) -> u64 {
        self.0[0].shared.number(stat)
    }
}

fn variant(exchange: &Exchange) -> Option<&str> {
    exchange.facts.request.text("x-launchgate-variant")
}

fn decided(variant: &str, reason: &str) -> String {
    format!("launchgate_canary_decisions_totalvariant=.={variant};.;reason=.={reason};.;")
}

fn rolled_back() -> &'static str {
    "launchgate_canary_rolled_backrollout=.=r;.;"
}

const HALF: &str = r#"{"rollout": "r", "start": "2026-11-22T12:00:00Z", "secret": "${SECRET}", "key": [{"header": "x-user-id"}], "stages": [{"percent": 50, "for": "1h"}, {"percent": 100}]}"#;

#[test]
fn the_clients_steering_header_goes_on_every_path() {
    struct Case {
        name: &'static str,
        config: &'static str,
        sent: Option<&'static str>,
    }
    let cases = [
        Case {
            name: "no stages",
            config: r#"{"rollout": "r"}"#,
            sent: Some("stable"),
        },
        Case {
            name: "not started",
            config: r#"{"rollout": "r", "start": "2030-01-01T00:00:00Z", "stages": [{"percent": 100}]}"#,
            sent: Some("stable"),
        },
        Case {
            name: "aborted by config",
            config: r#"{"rollout": "r", "abort": true, "stages": [{"percent": 100}]}"#,
            sent: Some("stable"),
        },
        Case {
            name: "running",
            config: r#"{"rollout": "r", "stages": [{"percent": 100}]}"#,
            sent: Some("canary"),
        },
        Case {
            name: "a never rule",
            config: r#"{"rollout": "r", "stages": [{"percent": 100}], "never": [{"headers": {":method": {"exact": "GET"}}}]}"#,
            sent: Some("stable"),
        },
        Case {
            name: "out of scope",
            config: r#"{"rollout": "r", "stages": [{"percent": 100}], "scope": {"hosts": ["other.example"]}}"#,
            sent: None,
        },
        Case {
            name: "report",
            config: r#"{"rollout": "r", "stages": [{"percent": 100}], "mode": "report"}"#,
            sent: None,
        },
        Case {
            name: "off",
            config: r#"{"rollout": "r", "stages": [{"percent": 100}], "mode": "off"}"#,
            sent: None,
        },
        Case {
            name: "cluster_header, not started",
            config: r#"{"rollout": "r", "steer": {"kind": "cluster_header"}}"#,
            sent: Some("stable"),
        },
        Case {
            name: "cluster_header, out of scope",
            config: r#"{"rollout": "r", "steer": {"kind": "cluster_header"}, "scope": {"hosts": ["x"]}}"#,
            sent: Some("stable"),
        },
        Case {
            name: "cluster_header, off",
            config: r#"{"rollout": "r", "steer": {"kind": "cluster_header"}, "mode": "off"}"#,
            sent: Some("stable"),
        },
        Case {
            name: "weight_header",
            config: r#"{"rollout": "r", "stages": [{"percent": 100}], "steer": {"kind": "weight_header"}}"#,
            sent: Some("999999"),
        },
        Case {
            name: "weight_header, report",
            config: r#"{"rollout": "r", "stages": [{"percent": 100}], "steer": {"kind": "weight_header"}, "mode": "report"}"#,
            sent: Some("0"),
        },
    ];
    for Case { name, config, sent } in cases {
        for forged in [
            &["canary"][..],
            &["admin", "stable"],
            &["\u{1}"],
            &["admin"],
            &["999999", "999999"],
        ] {
            let mut proxy = Proxy::start(config);
            let mut exchange = Exchange::get("/").header("x-forwarded-for", "127.0.0.1");
            for value in forged {
                exchange = exchange.header("X-Launchgate-Variant", value);
            }
            proxy.0[0].request(&mut exchange);
            let values: Vec<_> = exchange.facts.request.all("x-launchgate-variant").collect();
            assert_eq!(
                values,
                sent.map(str::as_bytes).into_iter().collect::<Vec<_>>(),
                "{name} {forged:?}"
            );
            assert_eq!(
                proxy.number("launchgate_canary_forged_headers_total"),
                1,
                "{name} {forged:?}"
            );
        }
    }
}

#[test]
fn rules_decide_before_shares() {
    let config = r#"{"rollout": "r", "stages": [{"percent": 0}],
        "never": [{"headers": {"x-canary": {"exact": "never"}}}, {"cookies": {"canary": {"exact": "never"}}}],
        "match": [{"headers": {"X-Canary": {"exact": "always"}}}, {"cookies": {"canary": {"exact": "always"}}},
                  {"headers": {"x-team": {"prefix": "qa-"}}, "query": {"preview": {"present": true}}},
                  {"headers": {"x-tenant": {"glob": "t-*-eu"}}}, {"headers": {"x-agent": {"suffix": "/beta"}}},
                  {"headers": {"x-office": {"present": true}}, "allow": ["192.0.2.0/24"]},
                  {"headers": {"x-ip": {"present": true}}, "allow": ["10.0.0.0/8"]},
                  {"token": {"value": "${TOKEN}"}}]}"#;
    for (name, path, headers, expected) in [
        ("nothing", "/", &[][..], "stable"),
        ("always", "/", &[("x-canary", &b"always"[..])], "canary"),
        (
            "the name's case does not matter",
            "/",
            &[("X-CANARY", b"always")],
            "canary",
        ),
        (
            "the value's case does",
            "/",
            &[("x-canary", b"Always")],
            "stable",
        ),
        (
            "another value falls through",
            "/",
            &[("x-canary", b"badheadervalue")],
            "stable",
        ),
        (
            "hostile bytes",
            "/",
            &[("x-canary", b"always\xff")],
            "stable",
        ),
        (
            "a comma is no second value",
            "/",
            &[("x-canary", b"always,never")],
            "stable",
        ),
        (
            "never",
            "/",
            &[("x-canary", b"never"), ("x-tenant", b"t-1-eu")],
            "stable",
        ),
        (
            "never wins over always",
            "/",
            &[("x-canary", b"always"), ("x-canary", b"never")],
            "stable",
        ),
        (
            "a cookie",
            "/",
            &[("cookie", b"a=b; canary=always")],
            "canary",
        ),
        (
            "a second cookie field",
            "/",
            &[("cookie", b"a=b"), ("cookie", b"canary=always")],
            "canary",
        ),
        (
            "another cookie's value",
            "/",
            &[("cookie", b"xcanary=always; canary=maybe")],
            "stable",
        ),
        (
            "a bad header and a good cookie",
            "/",
            &[("x-canary", b"x"), ("cookie", b"canary=always")],
            "canary",
        ),
        (
            "one of two conditions",
            "/",
            &[("x-team", b"qa-1")],
            "stable",
        ),
        (
            "both conditions",
            "/a?preview",
            &[("x-team", b"qa-1")],
            "canary",
        ),
        ("a glob", "/", &[("x-tenant", b"t-42-eu")], "canary"),
        ("a suffix", "/", &[("x-agent", b"app/beta")], "canary"),
        ("in the range", "/", &[("x-office", b"")], "canary"),
        (
            "not in the range, whatever it says",
            "/",
            &[("x-ip", b""), ("x-forwarded-for", b"10.1.1.1")],
            "stable",
        ),
        (
            "the token",
            "/",
            &[("x-canary-token", TOKEN.as_bytes())],
            "canary",
        ),
        (
            "a wrong token",
            "/",
            &[("x-canary-token", b"0123456789abcdeF")],
            "stable",
        ),
        (
            "the token twice",
            "/",
            &[
                ("x-canary-token", TOKEN.as_bytes()),
                ("x-canary-token", b"x"),
            ],
            "stable",
        ),
    ] {
        let mut proxy = Proxy::start(config);
        let mut exchange = Exchange::get(path);
        for (header, value) in headers {
            exchange = exchange.header(header, value);
        }
        proxy.0[0].request(&mut exchange);
        assert_eq!(variant(&exchange), Some(expected), "{name}");
        assert!(
            !exchange.facts.request.contains("x-canary-token"),
            "{name}: the token stays here"
        );
    }
}

#[test]
fn an_address_from_a_header_is_in_no_range() {
    let config = |trust: bool| {
        format!(
            r#"{{"rollout": "r", "match": [{{"allow": ["10.0.0.0/8"]}}], "trust_envoy_xff": {trust}}}"#
        )
    };
    for (address, trust, expected) in [
        ("10.0.0.1:4711", false, "canary"),
        ("10.0.0.1:0", false, "stable"),
        ("10.0.0.1:0", true, "canary"),
        ("11.0.0.1:1", true, "stable"),
    ] {
        let mut proxy = Proxy::start(&config(trust));
        let exchange = proxy.send(
            0,
            Exchange::get("/").with(Attribute::SourceAddress, address),
        );
        assert_eq!(variant(&exchange), Some(expected), "{address} {trust}");
    }
}

#[test]
fn a_user_keeps_the_version_on_every_worker_and_the_share_only_grows() {
    let config = |percent: u32| {
        format!(
            r#"{{"rollout": "r", "secret": "${{SECRET}}", "key": [{{"header": "x-user-id"}}], "stages": [{{"percent": {percent}}}]}}"#
        )
    };
    let users = |percent: u32, worker: usize| -> Vec<u32> {
        let mut proxy = Proxy::start(&config(percent));
        (0..2000)
            .filter(|user| {
                variant(&proxy.send(
                    worker,
                    Exchange::get("/").header("x-user-id", user.to_string()),
                )) == Some("canary")
            })
            .collect()
    };
    let (five, twenty_five) = (users(5, 0), users(25, 1));
    assert_eq!(five, users(5, 1));
    assert!(five.iter().all(|user| twenty_five.contains(user)));
    assert!(
        (70..130).contains(&five.len()) && (440..560).contains(&twenty_five.len()),
        "{} {}",
        five.len(),
        twenty_five.len()
    );
    assert_eq!((users(0, 0).len(), users(100, 0).len()), (0, 2000));
}

#[test]
fn keys_are_tried_in_order_and_doubtful_ones_are_none() {
    let config = r#"{"rollout": "r", "key": [{"header": "x-user-id"}, {"cookie": {"name": "uid"}}, {"jwt": {"payload": "p"}}], "stages": [{"percent": 99.9999}]}"#;
    let claim = [
        "metadata",
        "filter_metadata",
        "envoy.filters.http.jwt_authn",
        "p",
        "sub",
    ];
    for (name, exchange, reason) in [
        ("none", Exchange::get("/"), "keyless"),
        (
            "an empty header",
            Exchange::get("/").header("x-user-id", ""),
            "keyless",
        ),
        (
            "two headers",
            Exchange::get("/")
                .header("x-user-id", "1")
                .header("x-user-id", "2"),
            "keyless",
        ),
        (
            "a header",
            Exchange::get("/").header("x-user-id", b"\xff\x01"),
            "share",
        ),
        (
            "two headers and a cookie",
            Exchange::get("/")
                .header("x-user-id", "1")
                .header("x-user-id", "2")
                .header("cookie", "uid=3"),
            "share",
        ),
        (
            "two cookies",
            Exchange::get("/").header("cookie", "uid=1; uid=2"),
            "keyless",
        ),
        (
            "a claim",
            Exchange::get("/").property(&claim, "user-1"),
            "share",
        ),
    ] {
        let mut proxy = Proxy::start(config);
        proxy.send(0, exchange);
        let counted: u64 = ["canary", "stable"]
            .iter()
            .map(|variant| proxy.number(&decided(variant, reason)))
            .sum();
        assert_eq!(counted, 1, "{name}");
    }
}

#[test]
fn without_keys_each_request_is_drawn() {
    let mut proxy = Proxy::start(r#"{"rollout": "r", "stages": [{"percent": 30}]}"#);
    let canary = (0..3000)
        .filter(|_| variant(&proxy.send(0, Exchange::get("/"))) == Some("canary"))
        .count();
    assert!((800..1000).contains(&canary), "{canary}");
}

fn cookie_of(exchange: &Exchange) -> Option<String> {
    let field = exchange.facts.response.text("set-cookie")?;
    Some(field.split(';').next().unwrap().to_owned())
}

const ISSUE: &str = r#"{"rollout": "r", "secret": "${SECRET}", "key": [{"cookie": {"issue": true}}], "stages": [{"percent": 50}, {"percent": 100}]}"#;

#[test]
fn a_cookie_is_issued_once_and_only_what_was_issued_counts() {
    let mut proxy = Proxy::start(ISSUE);
    let first = proxy.send(0, Exchange::get("/"));
    let field = first.facts.response.text("set-cookie").unwrap();
    let (value, attributes) = field.split_once("; ").unwrap();
    assert_eq!(
        attributes,
        "Max-Age=2592000; Path=/; Secure; HttpOnly; SameSite=Lax"
    );
    let parts: Vec<_> = value
        .strip_prefix("launchgate_id=")
        .unwrap()
        .split('.')
        .collect();
    assert_eq!(
        (parts.len(), parts[0], parts[1].len(), parts[2].len()),
        (3, "v1", 32, 32)
    );
    assert_eq!(first.facts.response.text("cache-control"), Some("private"));
    let again = proxy.send(
        1,
        Exchange::get("/").header("cookie", format!("x=y; {value}")),
    );
    assert_eq!(
        (variant(&again), cookie_of(&again)),
        (variant(&first), None)
    );
    assert!(!again.facts.response.contains("cache-control"));
    for forged in [
        format!("launchgate_id=v1.{}.{}", "0".repeat(32), parts[2]),
        value.replace("v1", "v2"),
        value.to_ascii_uppercase(),
        format!("{value}.x"),
        "launchgate_id=".to_owned(),
        "launchgate_id=\u{e9}".to_owned(),
    ] {
        let exchange = proxy.send(0, Exchange::get("/").header("cookie", &forged));
        assert!(cookie_of(&exchange).is_some(), "{forged}");
    }
    let both = proxy.send(
        0,
        Exchange::get("/").header("cookie", format!("launchgate_id=forged; {value}")),
    );
    assert_eq!((variant(&both), cookie_of(&both)), (variant(&first), None));
    assert_eq!(
        proxy.number("launchgate_canary_cookies_totalresult=.=issued;.;"),
        7
    );
}

#[test]
fn a_cookie_is_issued_only_while_it_decides_something() {
    for (config, name) in [
        (
            ISSUE.replace("\"percent\": 50", "\"percent\": 0"),
            "nobody gets the canary",
        ),
        (
            ISSUE.replace("\"percent\": 50", "\"percent\": 100"),
            "everybody does",
        ),
        (
            ISSUE.replace("\"rollout\"", "\"abort\": true, \"rollout\""),
            "aborted",
        ),
        (
            ISSUE.replace("\"rollout\"", "\"mode\": \"report\", \"rollout\""),
            "report",
        ),
    ] {
        let mut proxy = Proxy::start(&config);
        assert_eq!(
            cookie_of(&proxy.send(0, Exchange::get("/"))),
            None,
            "{name}"
        );
    }
    let expiring = ISSUE
        .replace("\"issue\": true", "\"issue\": true, \"expire\": true")
        .replace("\"rollout\"", "\"abort\": true, \"rollout\"");
    let mut proxy = Proxy::start(&expiring);
    let exchange = proxy.send(
        0,
        Exchange::get("/").header("cookie", "launchgate_id=v1.x.y"),
    );
    assert_eq!(
        exchange.facts.response.text("set-cookie"),
        Some("launchgate_id=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax")
    );
    assert_eq!(cookie_of(&proxy.send(0, Exchange::get("/"))), None);
}

#[test]
fn cache_control_becomes_private_and_keeps_the_rest() {
    for (before, after) in [
        (&[][..], Some("private")),
        (&["public, max-age=60"], Some("private, max-age=60")),
        (
            &["max-age=60", "S-MAXAGE=5, must-revalidate"],
            Some("private, max-age=60, must-revalidate"),
        ),
        (&["Private"], None),
        (&["no-store"], None),
        (&["no-cache=\"x\""], Some("private, no-cache=\"x\"")),
    ] {
        let made = private(before.iter().map(|value| value.as_bytes()));
        assert_eq!(made.as_deref(), after.map(str::as_bytes), "{before:?}");
    }
}

#[test]
fn every_twentieth_failure_rolls_back_over_all_workers_and_outlives_a_reload() {
    let mut proxy = Proxy::start(HALF);
    proxy.seconds(2);
    let mut seconds = 0;
    while proxy.number(rolled_back()) == 0 {
        proxy.traffic(seconds * 400..seconds * 400 + 400, 20);
        proxy.seconds(1);
        seconds += 1;
        assert!(seconds <= 5, "not rolled back after 5 s");
    }
    assert_eq!(
        proxy.number("launchgate_canary_rollbacks_totalrollout=.=r;.;cause=.=errors;.;"),
        1
    );
    assert_eq!(proxy.traffic(0..400, 0), 0);
    assert!(proxy.0.iter().any(|worker| {
        worker
            .lines
            .iter()
            .any(|(level, line)| *level == Level::Error && line.contains("cause=errors"))
    }));
    let mut proxy = proxy.reload(&HALF.replace("1h", "2h"));
    assert_eq!(proxy.traffic(0..400, 0), 0, "a reload opens nothing");
    let mut proxy = proxy.reload(&HALF.replace("\"r\"", "\"r2\""));
    assert!(proxy.traffic(0..400, 0) > 100, "a new id does");
}

#[test]
fn what_proves_nothing_changes_nothing() {
    let mut silent = Proxy::start(HALF);
    silent.seconds(200);
    assert_eq!(silent.number(rolled_back()), 0, "no traffic");
    let mut few = Proxy::start(HALF);
    few.seconds(2);
    few.traffic(0..6, 3);
    few.seconds(100);
    assert_eq!(few.number(rolled_back()), 0, "1 error in 3 requests");
    let mut report =
        Proxy::start(&HALF.replace("\"rollout\"", "\"mode\": \"report\", \"rollout\""));
    report.seconds(2);
    for user in 0..400_u32 {
        let exchange = Exchange::get("/").header("x-user-id", user.to_string());
        let mut exchange = exchange
            .with(Attribute::ClusterName, "canary")
            .with_integer(Attribute::ResponseCode, 503)
            .with(Attribute::ResponseCodeDetails, "via_upstream");
        report.0[0].request(&mut exchange);
        report.0[0].end(&mut exchange);
    }
    report.seconds(5);
    assert_eq!(
        (
            report.number(rolled_back()),
            report.number("launchgate_canary_would_roll_back_totalcause=.=errors;.;")
        ),
        (0, 1)
    );
}

#[test]
fn a_conviction_at_full_share_or_without_a_stable_is_only_reported() {
    let full = |at_full: bool| {
        format!(
            r#"{{"rollout": "r", "stages": [{{"percent": 100}}], "rollback": {{"at_full": {at_full}}}}}"#
        )
    };
    for (at_full, rolled, withheld) in [(false, 0, 1), (true, 1, 0)] {
        let mut proxy = Proxy::start(&full(at_full));
        proxy.seconds(2);
        proxy.traffic(0..400, 2);
        proxy.seconds(5);
        assert_eq!(
            (
                proxy.number(rolled_back()),
                proxy.number("launchgate_canary_withheld_totalreason=.=full;.;")
            ),
            (rolled, withheld)
        );
    }
    let mut proxy = Proxy::start(HALF);
    proxy.seconds(2);
    for _ in 0..3 {
        end(&mut proxy, "stable", 503, 1 << 1, "no_healthy_upstream");
    }
    for user in 0..200 {
        end_of(
            &mut proxy,
            &user.to_string(),
            "canary",
            500,
            0,
            "via_upstream",
        );
    }
    proxy.seconds(3);
    assert_eq!(
        (
            proxy.number(rolled_back()),
            proxy.number("launchgate_canary_withheld_totalreason=.=stable_empty;.;")
        ),
        (0, 1)
    );
}

fn end(proxy: &mut Proxy, cluster: &str, status: u64, flags: u64, details: &str) {
    end_of(proxy, "1", cluster, status, flags, details);
}

fn end_of(proxy: &mut Proxy, user: &str, cluster: &str, status: u64, flags: u64, details: &str) {
    let exchange = Exchange::get("/").header("x-user-id", user);
    let mut exchange = exchange
        .with(Attribute::ClusterName, cluster)
        .with_integer(Attribute::ResponseCode, status)
        .with_integer(Attribute::ResponseFlags, flags)
        .with(Attribute::ResponseCodeDetails, details);
    proxy.0[0].request(&mut exchange);
    proxy.0[0].end(&mut exchange);
}

#[test]
fn outcomes_are_told_apart_by_what_really_happened() {
    let tally = |proxy: &Proxy, what: &str, variant: &str| {
        proxy.number(&format!(
            "launchgate_canary_{what}_totalrollout=.=r;.;variant=.={variant};.;"
        ))
    };
    let unjudged = |proxy: &Proxy| {
        let reasons = [
            "client_left",
            "local_reply",
            "forced",
            "probe",
            "other_cluster",
        ];
        reasons.into_iter().find(|reason| {
            proxy.number(&format!(
                "launchgate_canary_unjudged_totalreason=.={reason};.;"
            )) > 0
        })
    };
    for (name, cluster, status, flags, details, expected) in [
        ("a 200", "canary", 200, 0, "via_upstream", Ok(("canary", 0))),
        (
            "a 404 is the client's",
            "canary",
            404,
            0,
            "via_upstream",
            Ok(("canary", 0)),
        ),
        ("a 500", "canary", 500, 0, "via_upstream", Ok(("canary", 1))),
        (
            "a 500 of stable",
            "stable",
            500,
            0,
            "via_upstream",
            Ok(("stable", 1)),
        ),
        (
            "a refused connection",
            "canary",
            503,
            1 << 5,
            "upstream_reset_before_response_started",
            Ok(("canary", 1)),
        ),
        (
            "a time-out",
            "canary",
            504,
            1 << 2,
            "response_timeout",
            Ok(("canary", 1)),
        ),
        (
            "an authorisation filter's 503",
            "canary",
            503,
            0,
            "ext_authz_error",
            Err("local_reply"),
        ),
        (
            "the client left with a 200 half sent",
            "canary",
            200,
            1 << 14,
            "downstream_remote_disconnect",
            Err("client_left"),
        ),
        (
            "the client left before any answer",
            "canary",
            0,
            1 << 14,
            "downstream_remote_disconnect",
            Err("client_left"),
        ),
        (
            "another cluster",
            "admin",
            500,
            0,
            "via_upstream",
            Err("other_cluster"),
        ),
    ] {
        let mut proxy = Proxy::start(HALF);
        end(&mut proxy, cluster, status, flags, details);
        match expected {
            Ok((variant, errors)) => {
                assert_eq!(
                    (
                        tally(&proxy, "requests", variant),
                        tally(&proxy, "errors", variant)
                    ),
                    (1, errors),
                    "{name}"
                );
                assert_eq!(unjudged(&proxy), None, "{name}");
            }
            Err(reason) => {
                assert_eq!(unjudged(&proxy), Some(reason), "{name}");
                assert_eq!(
                    tally(&proxy, "requests", "canary") + tally(&proxy, "requests", "stable"),
                    0,
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn probes_and_grpc_and_slowness_are_seen() {
    let tally = |proxy: &Proxy, what: &str| {
        proxy.number(&format!(
            "launchgate_canary_{what}_totalrollout=.=r;.;variant=.=canary;.;"
        ))
    };
    for (name, headers, grpc_status, millis, expected) in [
        ("plain", &[][..], None, 800, [1, 0, 0]),
        ("slower than 800 ms", &[], None, 801, [1, 0, 1]),
        (
            "a kubelet",
            &[("user-agent", "kube-probe/1.31")],
            None,
            900,
            [0, 0, 0],
        ),
        (
            "gRPC that fails",
            &[("content-type", "application/grpc+proto")],
            Some(14),
            5,
            [1, 1, 0],
        ),
        (
            "gRPC that is not found",
            &[("content-type", "application/grpc")],
            Some(5),
            5,
            [1, 0, 0],
        ),
        (
            "no gRPC, whatever the attribute says",
            &[("content-type", "application/json")],
            Some(2),
            5,
            [1, 0, 0],
        ),
    ] {
        let mut proxy = Proxy::start(HALF);
        let mut exchange = Exchange::get("/")
            .header("x-user-id", "1")
            .with(Attribute::ClusterName, "canary")
            .with_integer(Attribute::ResponseCode, 200);
        for (header, value) in headers {
            exchange = exchange.header(header, value);
        }
        if let Some(code) = grpc_status {
            exchange = exchange.with_integer(Attribute::ResponseGrpcStatus, code);
        }
        proxy.0[0].request(&mut exchange);
        proxy.0[0].advance(Duration::from_millis(millis));
        proxy.0[0].end(&mut exchange);
        assert_eq!(
            [
                tally(&proxy, "requests"),
                tally(&proxy, "errors"),
                tally(&proxy, "slow")
            ],
            expected,
            "{name}"
        );
    }
}

#[test]
fn connection_failures_in_a_row_fall_back_and_the_canary_is_tried_again() {
    let config = r#"{"rollout": "r", "match": [{"headers": {"x-user-id": {"exact": "1"}}}]}"#;
    let mut proxy = Proxy::start(config);
    proxy.seconds(2);
    let ask = |proxy: &mut Proxy| {
        variant(&proxy.send(1, Exchange::get("/").header("x-user-id", "1")))
            .unwrap()
            .to_owned()
    };
    end(&mut proxy, "canary", 503, 1 << 5, "upstream_reset");
    end(&mut proxy, "canary", 503, 1 << 1, "no_healthy_upstream");
    end(&mut proxy, "canary", 200, 0, "via_upstream");
    end(&mut proxy, "canary", 503, 1 << 5, "upstream_reset");
    end(&mut proxy, "canary", 503, 1 << 5, "upstream_reset");
    assert_eq!(ask_only(&mut proxy), "canary", "two in a row");
    end(&mut proxy, "", 503, 1 << 24, "cluster_not_found");
    assert_eq!(
        ask_only(&mut proxy),
        "stable",
        "three in a row, an unknown cluster among them"
    );
    assert_eq!(proxy.number("launchgate_canary_fallbacks_total"), 1);
    proxy.seconds(12);
    assert_eq!(ask_only(&mut proxy), "canary", "tried again after 10 s");
    end(&mut proxy, "canary", 503, 1 << 5, "upstream_reset");
    assert_eq!(ask_only(&mut proxy), "stable", "one more failure is enough");
    proxy.seconds(12);
    assert_eq!(ask(&mut proxy), "canary");
    end(&mut proxy, "canary", 503, 1 << 5, "upstream_reset");
    assert_eq!(
        ask_only(&mut proxy),
        "canary",
        "a success in between begins anew"
    );
}

/// The choice alone, without an end that would count as a success.
fn ask_only(proxy: &mut Proxy) -> String {
    let mut exchange = Exchange::get("/").header("x-user-id", "1");
    proxy.0[1].request(&mut exchange);
    variant(&exchange).unwrap().to_owned()
}

const CONTROL: &str = r#"{"rollout": "r", "start": "2026-11-22T12:00:00Z", "control": {"token": "${TOKEN}"}, "stages": [{"percent": 5, "for": "15m"}, {"percent": 25, "for": "30m"}, {"percent": 100}]}"#;

fn control(
    proxy: &mut Proxy,
    worker: usize,
    method: &str,
    path: &str,
    body: Option<&str>,
) -> Option<(u16, serde_json::Value)> {
    let mut exchange = Exchange::new(&[
        (":method", method),
        (":path", path),
        (":authority", "x"),
        ("authorization", &format!("Bearer {TOKEN}")),
    ]);
    let verdict = proxy.0[worker].request(&mut exchange);
    let verdict = match (verdict, body) {
        (Verdict::AwaitBody(_), Some(body)) => proxy.0[worker].body(&mut exchange, body.as_bytes()),
        (verdict, _) => verdict,
    };
    let Verdict::Reply(Reply { status, body, .. }) = verdict else {
        return None;
    };
    Some((status, serde_json::from_slice(&body).unwrap_or_default()))
}

#[test]
fn the_control_endpoint_tells_and_changes_the_state_for_all_workers() {
    let mut proxy = Proxy::start(CONTROL);
    let path = "/launchgate/canary";
    let (status, state) = control(&mut proxy, 0, "GET", path, None).unwrap();
    assert_eq!(status, 200);
    assert_eq!(
        (&state["state"], &state["stage"], &state["percent"]),
        (&"running".into(), &1.into(), &5.0.into())
    );
    assert_eq!(state["next_stage_at"], "2026-11-22T12:15:00.000Z");
    let (_, paused) = control(
        &mut proxy,
        0,
        "PUT",
        "/launchgate/canary?action=pause",
        None,
    )
    .unwrap();
    assert_eq!(
        (&paused["state"], &paused["paused"]),
        (&"paused".into(), &true.into())
    );
    proxy.advance(Duration::from_secs(3600));
    let (_, held) = control(&mut proxy, 1, "GET", path, None).unwrap();
    assert_eq!(
        (&held["state"], &held["stage"]),
        (&"paused".into(), &1.into())
    );
    let (_, resumed) = control(
        &mut proxy,
        1,
        "PUT",
        "/launchgate/canary?action=resume",
        None,
    )
    .unwrap();
    assert_eq!(
        (&resumed["state"], &resumed["stage"]),
        (&"finished".into(), &3.into())
    );
    assert_eq!(
        control(
            &mut proxy,
            0,
            "PUT",
            "/launchgate/canary?action=promote",
            None
        )
        .unwrap()
        .0,
        409
    );
    let (status, aborted) = control(
        &mut proxy,
        0,
        "PUT",
        "/launchgate/canary?action=abort",
        None,
    )
    .unwrap();
    assert_eq!(
        (status, &aborted["state"], &aborted["rolled_back"]["cause"]),
        (200, &"aborted".into(), &"abort".into())
    );
    assert_eq!(
        control(
            &mut proxy,
            1,
            "PUT",
            "/launchgate/canary?action=resume",
            None
        )
        .unwrap()
        .0,
        409
    );
    assert_eq!(variant(&proxy.send(1, Exchange::get("/"))), Some("stable"));
    proxy.seconds(3);
    assert_eq!(
        proxy.number(rolled_back()),
        0,
        "an abort is this proxy's own: the fleet does not follow"
    );
}

#[test]
fn only_who_may_finds_the_control_endpoint() {
    for (name, config, method, path, authorization, expected) in [
        (
            "no token in the config",
            CONTROL.replace("${TOKEN}", ""),
            "GET",
            "/launchgate/canary",
            "Bearer 0123456789abcdef",
            None,
        ),
        (
            "no endpoint",
            HALF.to_owned(),
            "GET",
            "/launchgate/canary",
            "Bearer 0123456789abcdef",
            None,
        ),
        (
            "another path",
            CONTROL.to_owned(),
            "GET",
            "/launchgate/canary/",
            "Bearer 0123456789abcdef",
            None,
        ),
        (
            "a twisted path",
            CONTROL.to_owned(),
            "GET",
            "/x/../launchgate/canary",
            "Bearer 0123456789abcdef",
            None,
        ),
        (
            "the token",
            CONTROL.to_owned(),
            "GET",
            "/launchgate/canary?x",
            "Bearer 0123456789abcdef",
            Some(200),
        ),
        (
            "a wrong token",
            CONTROL.to_owned(),
            "GET",
            "/launchgate/canary",
            "Bearer 0123456789abcdeF",
            Some(404),
        ),
        (
            "no token",
            CONTROL.to_owned(),
            "PUT",
            "/launchgate/canary?action=abort",
            "",
            Some(404),
        ),
        (
            "a token of another kind",
            CONTROL.to_owned(),
            "GET",
            "/launchgate/canary",
            "Basic 0123456789abcdef",
            Some(404),
        ),
        (
            "outside the range",
            CONTROL.replace("\"token\"", "\"allow\": [\"10.0.0.0/8\"], \"token\""),
            "GET",
            "/launchgate/canary",
            "Bearer 0123456789abcdef",
            Some(404),
        ),
        (
            "a POST",
            CONTROL.to_owned(),
            "POST",
            "/launchgate/canary?action=abort",
            "Bearer 0123456789abcdef",
            Some(405),
        ),
        (
            "a PUT of nothing",
            CONTROL.to_owned(),
            "PUT",
            "/launchgate/canary",
            "Bearer 0123456789abcdef",
            Some(400),
        ),
    ] {
        let mut proxy = Proxy::start(&config);
        let mut exchange = Exchange::new(&[
            (":method", method),
            (":path", path),
            ("authorization", authorization),
        ]);
        let status = match proxy.0[0].request(&mut exchange) {
            Verdict::Reply(reply) => Some(reply.status),
            _ => None,
        };
        assert_eq!(status, expected, "{name}");
    }
    let mut proxy = Proxy::start(CONTROL);
    let mut put = Exchange::new(&[
        (":method", "PUT"),
        (":path", "/launchgate/canary"),
        ("authorization", "Bearer 0123456789abcdef"),
    ]);
    put.kept = launchgate_sdk::view::Kept::default();
    proxy.0[0].request(&mut put);
    let verdict = proxy.0[0].body(&mut put, br#"{"action": "abort"}"#);
    assert!(matches!(verdict, Verdict::Reply(Reply { status: 200, .. })));
    let mut other = Exchange::get("/");
    proxy.0[0].request(&mut other);
    assert_eq!(
        proxy.0[0].body(&mut other, br#"{"action": "abort"}"#),
        Verdict::Continue,
        "no other request's body is read"
    );
}

const FLEET: &str = r#"{"rollout": "r", "start": "2026-11-22T12:00:00Z", "key": [{"header": "x-user-id"}], "stages": [{"percent": 50, "for": "1h"}, {"percent": 100}],
    "fleet": {"cluster": "prometheus", "judge": true}, "fallback": {"admin_cluster": "admin"}, "notifiers": {"ops": {"kind": "slack", "cluster": "slack", "url": "https://hooks.example/x"}}}"#;

fn response(status: &str, body: &str) -> Answer {
    Answer::read(
        Headers::from_pairs([(":status", status), ("a", "1"), ("b", "2"), ("c", "3")]),
        body.as_bytes().to_vec(),
        Headers::default(),
    )
}

fn answer(proxy: &mut Proxy, path: &str, status: &str, body: &str) -> u32 {
    let mut answered = 0;
    for worker in &mut proxy.0 {
        let mut waiting = worker.calls.len();
        while waiting > 0 {
            let matches =
                worker.calls[0].1.path.expose().contains(path) || worker.calls[0].1.cluster == path;
            let given = if matches {
                response(status, body)
            } else {
                Answer::Timeout
            };
            worker.answer(given);
            answered += u32::from(matches);
            waiting -= 1;
        }
    }
    answered
}

#[test]
fn what_another_proxy_found_stops_this_one() {
    let mut proxy = Proxy::start(FLEET);
    proxy.seconds(3);
    let latch = "max_over_time";
    assert_eq!(
        answer(
            &mut proxy,
            latch,
            "200",
            r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#
        ),
        1,
        "one worker asks"
    );
    proxy.seconds(5);
    assert_eq!(answer(&mut proxy, latch, "500", "x"), 1);
    assert_eq!(proxy.number(rolled_back()), 0, "no answer changes nothing");
    proxy.seconds(5);
    assert_eq!(
        answer(
            &mut proxy,
            latch,
            "200",
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}"#
        ),
        1
    );
    assert_eq!(proxy.number(rolled_back()), 1);
    assert_eq!(
        proxy.number("launchgate_canary_rollbacks_totalrollout=.=r;.;cause=.=fleet;.;"),
        1
    );
    for (result, count) in [("empty", 1), ("status", 1), ("success", 1)] {
        assert_eq!(
            proxy.number(&format!(
                "launchgate_canary_polls_totaltarget=.=fleet;.;result=.={result};.;"
            )),
            count,
            "{result}"
        );
    }
    proxy.seconds(3);
    assert!(
        proxy
            .0
            .iter()
            .all(|worker| worker.calls.iter().all(|(_, call)| call.cluster != "slack")),
        "those who found it tell it"
    );
}

#[test]
fn the_fleets_rates_convict_and_the_notifier_is_told_once() {
    let mut proxy = Proxy::start(FLEET);
    proxy.seconds(3);
    let row = |name: &str, value: u32| {
        format!(
            r#"{{"metric":{{"__name__":"launchgate_canary_{name}_total","variant":"canary"}},"value":[1,"{value}"]}}"#
        )
    };
    let body = format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{},{}]}}}}"#,
        row("requests", 1000),
        row("errors", 50)
    );
    assert_eq!(answer(&mut proxy, "increase", "200", &body), 1);
    proxy.seconds(2);
    assert_eq!(proxy.number(rolled_back()), 1);
    let told = |proxy: &Proxy| {
        proxy
            .0
            .iter()
            .flat_map(|worker| &worker.calls)
            .filter(|(_, call)| call.cluster == "slack")
            .count()
    };
    assert_eq!(told(&proxy), 1);
    let call = proxy
        .0
        .iter()
        .flat_map(|worker| &worker.calls)
        .find(|(_, call)| call.cluster == "slack")
        .unwrap();
    assert!(
        String::from_utf8_lossy(&call.1.body).contains("the canary was rolled back: r (errors)")
    );
    answer(&mut proxy, "slack", "200", "ok");
    proxy.seconds(10);
    assert_eq!(
        (
            told(&proxy),
            proxy.number("launchgate_canary_notices_totalresult=.=sent;.;")
        ),
        (0, 1)
    );
}

#[test]
fn the_admin_interface_decides_on_hosts() {
    let hosts = |canary: &str, stable: &str| {
        format!(
            r#"{{"cluster_statuses":[{{"name":"canary","host_statuses":[{canary}]}},{{"name":"stable","host_statuses":[{stable}]}}]}}"#
        )
    };
    let mut proxy = Proxy::start(FLEET);
    proxy.seconds(3);
    assert_eq!(answer(&mut proxy, "/clusters", "200", &hosts("", "{}")), 1);
    assert_eq!(proxy.traffic(0..200, 0), 0, "the canary has no hosts");
    proxy.seconds(5);
    answer(&mut proxy, "/clusters", "200", &hosts("{}", ""));
    assert!(proxy.traffic(0..400, 2) > 100, "it has");
    proxy.seconds(2);
    assert_eq!(proxy.number(rolled_back()), 0, "stable has none");
    assert_eq!(
        proxy.number("launchgate_canary_withheld_totalreason=.=stable_empty;.;"),
        1
    );
    proxy.seconds(5);
    answer(&mut proxy, "/clusters", "200", &hosts("{}", "{}"));
    proxy.seconds(1);
    assert_eq!(proxy.number(rolled_back()), 1, "now it can");
}

#[test]
fn a_gradual_rollback_lets_users_go_bit_by_bit() {
    let mut proxy = Proxy::start(&HALF.replace(
        "\"rollout\"",
        "\"rollback\": {\"gradual\": \"100s\"}, \"rollout\"",
    ));
    proxy.seconds(2);
    let before = proxy.traffic(0..1000, 2);
    proxy.seconds(1);
    assert_eq!(proxy.number(rolled_back()), 1);
    proxy.seconds(50);
    let half = proxy.traffic(0..1000, 0);
    assert!(
        (before * 4 / 10..before * 6 / 10).contains(&half),
        "{before} {half}"
    );
    for worker in &mut proxy.0 {
        worker.now.wall = Timestamp::from_seconds(1_795_348_800);
    }
    assert!(
        proxy.traffic(0..1000, 0) <= half,
        "a clock that goes back raises nothing"
    );
    proxy.advance(Duration::from_secs(200));
    assert_eq!(proxy.traffic(0..1000, 0), 0);
}

#[test]
fn after_a_rollback_forced_users_get_stable_unless_they_are_kept() {
    for (keep, expected) in [(false, "stable"), (true, "canary")] {
        let config = format!(
            r#"{{"rollout": "r", "control": {{"token": "${{TOKEN}}"}}, "rollback": {{"keep_forced": {keep}}}, "match": [{{"headers": {{"x-canary": {{"exact": "always"}}}}}}], "stages": [{{"percent": 5}}]}}"#
        );
        let mut proxy = Proxy::start(&config);
        assert_eq!(
            variant(&proxy.send(0, Exchange::get("/").header("x-canary", "always"))),
            Some("canary")
        );
        control(
            &mut proxy,
            0,
            "PUT",
            "/launchgate/canary?action=abort",
            None,
        )
        .unwrap();
        assert_eq!(
            variant(&proxy.send(1, Exchange::get("/").header("x-canary", "always"))),
            Some(expected)
        );
    }
}

#[test]
fn what_is_impossible_is_refused_with_its_path() {
    for (config, message) in [
        ("{}", "rollout: expected an id of 1 to 64"),
        (r#"{"rollout": "a b"}"#, "rollout: \"a b\": expected an id"),
        (
            r#"{"rollout": "r", "key": [{"cookie": {"issue": true}}]}"#,
            "secret: expected a secret, since a cookie is issued",
        ),
        (
            r#"{"rollout": "r", "secret": "s", "key": [{"cookie": {"issue": true}}, {"client_ip": true}]}"#,
            "key[0].cookie.issue: true: expected an issued cookie to be the last key",
        ),
        (
            r#"{"rollout": "r", "key": [{}]}"#,
            "key[0]: an object: expected exactly one of header, cookie, jwt, client_ip",
        ),
        (
            r#"{"rollout": "r", "match": [{}]}"#,
            "match[0]: an object: expected at least one condition",
        ),
        (
            r#"{"rollout": "r", "match": [{"headers": {"x": {"exact": "a", "prefix": "b"}}}]}"#,
            "expected exactly one of exact, prefix",
        ),
        (
            r#"{"rollout": "r", "match": [{"headers": {"x": {"regex": "a"}}}]}"#,
            "unknown field",
        ),
        (
            r#"{"rollout": "r", "steer": {"kind": "weight_header", "canary": "many"}}"#,
            "steer.canary: \"many\": expected a whole number",
        ),
        (
            r#"{"rollout": "r", "steer": {"header": ":path"}}"#,
            "steer.header: \":path\": expected the name of a header",
        ),
        (
            r#"{"rollout": "r", "steer": {"canary": "x", "stable": "x"}}"#,
            "steer.stable: \"x\": expected another value",
        ),
        (
            r#"{"rollout": "r", "stages": [{"percent": 101}]}"#,
            "stages[0].percent: 101: expected a percent number",
        ),
        (
            r#"{"rollout": "r", "rollback": {"confidence": 1}}"#,
            "rollback.confidence: 1: expected 0 or a number from 0.5",
        ),
        (
            r#"{"rollout": "r", "rollback": {"window": "2h"}}"#,
            "rollback.window: \"2h\": expected a duration from 1s to 1h",
        ),
        (
            r#"{"rollout": "r", "hold_at": 1}"#,
            "hold_at: 1: expected the number of a stage",
        ),
        (
            r#"{"rollout": "r", "fleet": {}}"#,
            "fleet.cluster: expected the name of a cluster",
        ),
        (
            r#"{"rollout": "r", "control": {"token": "short"}}"#,
            "control.token: expected at least 16",
        ),
        (
            r#"{"rollout": "r", "clusters": {"canary": "stable"}}"#,
            "clusters.canary: \"stable\": expected another cluster",
        ),
        (
            r#"{"rollout": "r", "match": [{"token": {"value": "hunter2"}}]}"#,
            "match[0].token.value: expected at least 16",
        ),
    ] {
        let error = Worker::load(config)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(error.contains(message), "{config}: {error}");
        assert!(
            !error.contains("hunter2") && !error.contains("short"),
            "{error}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_of_a_client_stop_it(name in "[a-z-]{1,12}", value in proptest::collection::vec(1_u8..=255, 0..60), path in proptest::collection::vec(1_u8..=255, 0..60)) {
        let mut proxy = Proxy::start(ISSUE);
        let value: Vec<u8> = value.into_iter().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
        let path = String::from_utf8_lossy(&path).into_owned();
        let exchange = Exchange::new(&[(":method", "GET"), (":path", &path)]).header(&name, &value).header("cookie", &value).header("x-launchgate-variant", &value);
        let exchange = proxy.send(0, exchange);
        proptest::prop_assert!(matches!(variant(&exchange), Some("canary" | "stable")));
    }
}
