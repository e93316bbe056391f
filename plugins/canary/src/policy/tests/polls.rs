//! What Prometheus, the admin interface and connections say.

use super::*;

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
