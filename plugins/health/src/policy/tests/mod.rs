//! The policy on the native test host.

mod checking;
mod configs;
mod control;
mod replies;

use super::*;
use launchgate_sdk::config::Environment;
use launchgate_sdk::fake::{Exchange, Host, Shared};
use launchgate_sdk::{Attribute, Headers, Member};
use serde_json::Value;

type Gateway = Host<Member<Health>>;

const TWO: &str = r#"{"service": "checkout", "dependencies": [
    {"name": "database", "kind": "http", "cluster": "db-health", "path": "/ping", "authority": "db", "interval": "1s", "timeout": "500ms"},
    {"name": "redis", "kind": "envoy", "cluster": "redis", "admin_cluster": "envoy_admin", "interval": "1s", "required": false}
  ], "details": {"allow": ["127.0.0.0/8"], "token": "details-token-0123"}, "drain": {"token": "drain-token-012345", "allow": ["10.0.0.0/8"]}}"#;

fn response(status: u16, body: &str) -> Answer {
    let headers = Headers::from_pairs([(":status", status.to_string())]);
    Answer::Response {
        status,
        headers,
        body: body.as_bytes().to_vec(),
        trailers: Headers::default(),
    }
}

fn redis(failed: bool) -> Answer {
    let health = format!(r#"{{"failed_active_health_check": {failed}}}"#);
    response(
        200,
        &format!(
            r#"{{"cluster_statuses": [{{"name": "redis", "host_statuses": [{{"health_status": {health}}}]}}]}}"#
        ),
    )
}

fn load(config: &str) -> Gateway {
    Gateway::load(config).unwrap()
}

/// Ticks until calls wait, then answers them all by cluster.
fn check(gateway: &mut Gateway, answer: impl Fn(&str) -> Answer) {
    while gateway.calls.is_empty() {
        gateway.advance(Duration::from_millis(100));
        gateway.tick();
    }
    while let Some((_, call)) = gateway.calls.first() {
        let answer = answer(&call.cluster.clone());
        gateway.answer(answer);
    }
}

fn both(cluster: &str) -> Answer {
    if cluster == "envoy_admin" {
        redis(false)
    } else {
        response(204, "")
    }
}

fn send(gateway: &mut Gateway, exchange: Exchange<Member<Health>>) -> Option<Reply> {
    let mut exchange = exchange;
    match gateway.exchange(&mut exchange, Duration::from_millis(1)) {
        Verdict::Reply(reply) => Some(reply),
        _ => None,
    }
}

fn get(gateway: &mut Gateway, path: &str) -> Option<Reply> {
    send(gateway, Exchange::get(path))
}

fn status(gateway: &mut Gateway, path: &str) -> Option<u16> {
    get(gateway, path).map(|reply| reply.status)
}

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}

fn json(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}
