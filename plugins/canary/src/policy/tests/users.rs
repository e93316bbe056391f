//! Who a user is, and that the user keeps the version.

use super::*;

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
