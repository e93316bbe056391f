//! What the demo shows, chapter by chapter, on one gateway. Each says what a client sees, and checks it.

use anyhow::{Context as _, Result, bail, ensure};
use launchgate_harness::envoy::{Reply, Request, send};

use super::{
    Chapter, say, show,
    stack::{HOST, Stack},
};

const ALERT: &str = "LaunchgateSloBurnsFast";
/// Enough for the canary's share of 5 % to be judged.
const USERS: usize = 20_000;

pub(super) fn tls(stack: &mut Stack) -> Result<Chapter> {
    say("Plain HTTP is redirected, whatever the service behind thinks of it.");
    let plain = send(
        stack.envoy.port(10000)?,
        &Request::get("/cart?id=7").host(HOST),
    )?;
    show("http://shop.example.org/cart?id=7", &plain);
    ensure!(plain.status == 301, "expected 301");
    say("Over TLS the answer carries HSTS and the security headers, exactly once each.");
    let page = stack.get("/cart?id=7")?;
    for name in [
        "strict-transport-security",
        "content-security-policy",
        "x-content-type-options",
    ] {
        let values = page.all(name);
        ensure!(values.len() == 1, "{name}: {values:?}");
        println!("{name}: {}", values.concat());
    }
    Ok(Chapter::Shown)
}

pub(super) fn health(stack: &mut Stack) -> Result<Chapter> {
    if stack.redis.is_none() {
        say("Redis is not installed, so the service is degraded.");
        show("/healthz", &stack.await_health("degraded")?);
        return Ok(Chapter::LeftOut(
            "a Redis that stops and starts needs redis-server (apt-get install redis-server)"
                .into(),
        ));
    }
    say("The gateway answers the health paths from the state of the dependencies behind it.");
    show("/healthz", &stack.await_health("healthy")?);
    say("Redis stops. It is optional: the service is degraded, and still 200.");
    stack.redis.take();
    show("/healthz", &stack.await_health("degraded")?);
    show("/readyz?verbose", &stack.get("/readyz?verbose")?);
    say("Redis starts again.");
    stack.start_redis()?;
    show("/healthz", &stack.await_health("healthy")?);
    Ok(Chapter::Shown)
}

pub(super) fn records(stack: &mut Stack) -> Result<Chapter> {
    say("Every exchange is one line of JSON in the access log, secrets redacted.");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    stack.send(
        Request::get("/users/7?token=hunter2")
            .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01")),
    )?;
    let line = stack.await_that("the record", || {
        let text = std::fs::read_to_string(stack.access_log()).unwrap_or_default();
        Ok(text
            .lines()
            .find(|line| line.contains(trace))
            .map(str::to_owned))
    })?;
    println!("{line}");
    serde_json::from_str::<serde_json::Value>(&line).context("the record is no JSON")?;
    ensure!(!line.contains("hunter2"), "the record holds a secret");
    Ok(Chapter::Shown)
}

pub(super) fn errors(stack: &mut Stack) -> Result<Chapter> {
    say(
        "The service fails fifty times. Sentry gets a handful of events of one issue, the channel one notice.",
    );
    stack.stable.answer(Reply::status(500));
    let mut connection = stack.connect()?;
    for _ in 0..50 {
        connection.exchange(
            &Request::get("/users/7")
                .host(HOST)
                .header("x-canary", "never"),
        )?;
    }
    stack.stable.answer(Reply::status(200).body("stable\n"));
    let notice = stack.await_that("the notice", || Ok(stack.slack.received().first().cloned()))?;
    println!("{}", String::from_utf8_lossy(&notice.body));
    let envelopes = stack.await_that("the events", || {
        let sent = stack.sentry.received();
        let events = sent
            .into_iter()
            .filter(|call| String::from_utf8_lossy(&call.body).contains("\"type\":\"event\""));
        let events: Vec<_> = events.collect();
        Ok((!events.is_empty()).then_some(events))
    })?;
    println!(
        "{} events at POST {}",
        envelopes.len(),
        envelopes.first().map_or("", |e| e.path.as_str())
    );
    ensure!(
        envelopes.len() <= 10,
        "{} events: the throttle did not hold",
        envelopes.len()
    );
    ensure!(
        stack.slack.received().len() == 1,
        "{} notices, expected 1",
        stack.slack.received().len()
    );
    Ok(Chapter::Shown)
}

pub(super) fn canary(stack: &mut Stack) -> Result<Chapter> {
    say(
        "A new version gets 5 % of the users, always the same ones. It is broken: every request to it fails.",
    );
    stack.canary.answer(Reply::status(500));
    let mut connection = stack.connect()?;
    let mut failed = 0;
    let back = || {
        stack
            .envoy
            .admin()
            .stat("wasmcustom.launchgate_canary_rolled_back_rollout=.=checkout-v2;.;")
            .map(|v| v > 0)
    };
    let rolled_back = || -> Result<bool> {
        let stats = stack
            .envoy
            .admin()
            .matching_stats("launchgate_canary_rolled_back")?;
        Ok(stats.values().any(|value| *value > 0) || back()?)
    };
    for user in 0..USERS {
        let request = Request::get("/")
            .host(HOST)
            .header("x-user-id", format!("user-{user}"));
        failed += usize::from(connection.exchange(&request)?.status == 500);
        if user % 100 == 99 && rolled_back()? {
            println!(
                "after {} requests, of which {failed} failed: rolled back, by itself",
                user + 1
            );
            break;
        }
    }
    ensure!(rolled_back()?, "the canary was not rolled back");
    ensure!(failed > 0, "the canary was never seen");
    say("Everybody gets the old version again; the latch holds until there is a new rollout id.");
    stack.await_that("only the stable version", || {
        let mut all = true;
        for user in 0..100 {
            let request = Request::get("/")
                .host(HOST)
                .header("x-user-id", format!("user-{user}"));
            all &= connection.exchange(&request)?.text() == "stable\n";
        }
        Ok(all.then_some(()))
    })?;
    println!("100 of 100 users: stable");
    Ok(Chapter::Shown)
}

pub(super) fn alert(stack: &mut Stack) -> Result<Chapter> {
    let Some(monitoring) = &stack.monitoring else {
        return Ok(Chapter::LeftOut("an alert needs prometheus and prometheus-alertmanager (apt-get install prometheus prometheus-alertmanager)".into()));
    };
    say(
        "The service burns its error budget. Prometheus evaluates the generated rules (on a fast clock), Alertmanager pages.",
    );
    stack.await_that("Prometheus and Alertmanager", || {
        Ok(monitoring.is_ready().then_some(()))
    })?;
    let mut connection = stack.connect()?;
    let mut traffic = || -> Result<()> {
        for _ in 0..20 {
            connection.exchange(
                &Request::get("/users/7")
                    .host(HOST)
                    .header("x-canary", "never"),
            )?;
        }
        Ok(())
    };
    stack.stable.answer(Reply::status(500));
    let page = stack.await_that("the page", || {
        traffic()?;
        Ok(monitoring.page(ALERT, "firing"))
    })?;
    let labels = &page["alerts"][0]["labels"];
    println!(
        "firing: {} for {} on {}, severity {}",
        labels["alertname"], labels["slo"], labels["route"], labels["severity"]
    );
    say("The service is mended; the alert resolves by itself.");
    stack.stable.answer(Reply::status(200).body("stable\n"));
    stack.await_that("the end of the page", || {
        traffic()?;
        Ok(monitoring.page(ALERT, "resolved"))
    })?;
    println!("resolved: {}", labels["alertname"]);
    Ok(Chapter::Shown)
}

/// On a gateway of its own: the mended release, under a new rollout id.
pub(super) fn preflight(stack: &mut Stack, dist: &std::path::Path) -> Result<Chapter> {
    let Some(preflight) = super::preflight::Preflight::prepare(stack, dist)? else {
        return Ok(Chapter::LeftOut(
            "the whole checklist needs Redis, Prometheus, Alertmanager and kubectl".into(),
        ));
    };
    say(
        "The release is mended, under a new rollout id. Is everything ready? The go-live checklist says.",
    );
    let report = preflight.run()?;
    print!("{}", report.table());
    if !report.is_green() {
        bail!("preflight is not green");
    }
    Ok(Chapter::Shown)
}
