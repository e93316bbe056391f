//! The operator's endpoint.

use super::*;

pub(super) const CONTROL: &str = r#"{"rollout": "r", "start": "2026-11-22T12:00:00Z", "control": {"token": "${TOKEN}"}, "stages": [{"percent": 5, "for": "15m"}, {"percent": 25, "for": "30m"}, {"percent": 100}]}"#;

pub(super) fn control(
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
