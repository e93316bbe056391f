//! Issued cookies.

use super::*;

fn cookie_of(exchange: &Exchange) -> Option<String> {
    let field = exchange.facts.response.text("set-cookie")?;
    Some(field.split(';').next().unwrap().to_owned())
}

pub(super) const ISSUE: &str = r#"{"rollout": "r", "secret": "${SECRET}", "key": [{"cookie": {"issue": true}}], "stages": [{"percent": 50}, {"percent": 100}]}"#;

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
