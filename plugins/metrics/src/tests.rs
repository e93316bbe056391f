//! The policy on the native host: several workers that share one state, clock and answers in the test's hands.

use std::time::Duration;

use launchgate_sdk::config::Environment;
use launchgate_sdk::fake::{Exchange, Host, Shared};
use launchgate_sdk::{Answer, Attribute, Headers, Member, Verdict};
use serde_json::json;

use crate::Metrics;

mod counting;
mod endpoint;
mod proxy;

type Worker = Host<Member<Metrics>>;
type Request = Exchange<Member<Metrics>>;

const ENDPOINT: &str = r#"{"routes": ["/users/{id}"], "endpoint": {"allow": ["127.0.0.0/8"]}}"#;

fn worker(config: &str, shared: &Shared, seed: u64) -> Worker {
    Host::load_with(config, &Environment::new(), shared.clone(), seed).unwrap()
}

fn scrape_with(worker: &mut Worker, accept: &str, address: &str) -> (u16, String, String) {
    let request = Request::get("/metrics")
        .header("accept", accept)
        .with(Attribute::SourceAddress, address);
    let mut request = request;
    let Verdict::Reply(reply) = worker.request(&mut request) else {
        panic!("no reply")
    };
    let media = reply
        .first("content-type")
        .map(|value| String::from_utf8(value.to_vec()).unwrap())
        .unwrap_or_default();
    worker.end(&mut request);
    (reply.status, media, String::from_utf8(reply.body).unwrap())
}

fn scrape(worker: &mut Worker) -> String {
    let (status, _, body) = scrape_with(worker, "text/plain", "127.0.0.1:9");
    assert_eq!(status, 200);
    body
}

/// Value of a sample whose line begins with `series`.
fn sample(page: &str, series: &str) -> Option<f64> {
    page.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn total(page: &str, family: &str) -> f64 {
    let is_sample = |line: &&str| {
        line.strip_prefix(family)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
    };
    page.lines()
        .filter(is_sample)
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}
