//! The steering header goes on every path; no bytes of a client stop it.

use super::control::control;
use super::cookies::ISSUE;
use super::*;

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
