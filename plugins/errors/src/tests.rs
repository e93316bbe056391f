//! The policy as a whole: several workers of one proxy, a Sentry that answers, time that passes.

use std::time::Duration;

use launchgate_sdk::call::{Answer, Call};
use launchgate_sdk::config::Environment;
use launchgate_sdk::fake::{Exchange, Host, Shared};
use launchgate_sdk::headers::Headers;
use launchgate_sdk::{Attribute, Member};
use serde_json::Value;

use crate::Errors;

mod alerts;
mod delivery;
mod events;
mod fuzz;
mod validation;

type Worker = Host<Member<Errors>>;

const DSN: &str =
    r#""dsn": "https://k3y@o1.ingest.example/7", "cluster": "sentry", "release": "v1.2.3""#;
const FLAGS_UF: u64 = 1 << 5;

/// Some workers of one proxy, ready to work.
struct Proxy {
    workers: Vec<Worker>,
    shared: Shared,
    sent: Vec<Call>,
}

impl Proxy {
    fn start(count: u64, config: &str) -> Self {
        let shared = Shared::default();
        let config = format!("{{{config}}}");
        let workers = (0..count)
            .map(|seed| {
                Worker::load_with(
                    &config,
                    &Environment::new(),
                    shared.clone(),
                    seed * 1000 + 7,
                )
                .unwrap()
            })
            .collect();
        let mut proxy = Self {
            workers,
            shared,
            sent: Vec::new(),
        };
        proxy.pass(1, 0, &mut |_| unreachable!("nothing is sent yet"));
        proxy
    }

    /// Lets ticks pass; calls are answered at once.
    fn pass(&mut self, ticks: u32, millis: u64, answer: &mut dyn FnMut(&Call) -> Answer) {
        for _ in 0..ticks {
            for worker in &mut self.workers {
                worker.advance(Duration::from_millis(millis));
                worker.tick();
                while let Some((_, call)) = worker.calls.first() {
                    let reply = answer(call);
                    self.sent.extend(worker.answer(reply));
                }
            }
        }
    }

    fn pass_well(&mut self, ticks: u32, millis: u64) {
        self.pass(ticks, millis, &mut |_| response(200, &[]));
    }

    fn number(&self, stat: &str) -> u64 {
        self.shared.number(stat)
    }

    /// Items of a type in all envelopes sent, in order.
    fn items(&self, kind: &str) -> Vec<Value> {
        self.sent
            .iter()
            .filter(|call| call.cluster == "sentry")
            .flat_map(|call| items(&call.body))
            .filter(|(own, _)| own == kind)
            .map(|(_, payload)| payload)
            .collect()
    }

    fn notices(&self) -> Vec<Value> {
        self.sent
            .iter()
            .filter(|call| call.cluster == "ops")
            .map(|call| serde_json::from_slice(&call.body).unwrap())
            .collect()
    }

    /// Sum of the losses in all client reports, by reason and category.
    fn losses(&self, reason: &str, category: &str) -> u64 {
        let lines = self
            .items("client_report")
            .into_iter()
            .flat_map(|report| report["discarded_events"].as_array().unwrap().clone());
        lines
            .filter(|line| line["reason"] == reason && line["category"] == category)
            .map(|line| line["quantity"].as_u64().unwrap())
            .sum()
    }
}

fn response(status: u16, headers: &[(&str, &str)]) -> Answer {
    Answer::Response {
        status,
        headers: Headers::from_pairs(headers.iter().copied()),
        body: Vec::new(),
        trailers: Headers::default(),
    }
}

/// Splits an envelope as strictly as a server does.
fn items(body: &[u8]) -> Vec<(String, Value)> {
    let line = |rest: &mut &[u8]| {
        let end = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .expect("a line ends with a line feed");
        let (line, tail) = rest.split_at(end);
        *rest = &tail[1..];
        serde_json::from_slice::<Value>(line).expect("a header is one line of JSON")
    };
    let mut rest = body;
    let header = line(&mut rest);
    assert!(
        header["sent_at"].as_str().unwrap().ends_with('Z')
            && header["sdk"]["name"] == "launchgate.errors"
    );
    let mut items = Vec::new();
    while !rest.is_empty() {
        let item = line(&mut rest);
        let (payload, tail) =
            rest.split_at(usize::try_from(item["length"].as_u64().unwrap()).unwrap());
        assert_eq!(tail.first(), Some(&b'\n'), "the length is exact");
        rest = &tail[1..];
        let payload: Value = serde_json::from_slice(payload).unwrap();
        if let Some(id) = payload.get("event_id") {
            assert_eq!((id, id.as_str().unwrap().len()), (&header["event_id"], 32));
        }
        items.push((item["type"].as_str().unwrap().to_owned(), payload));
    }
    items
}

fn failing(path: &str, status: &str) -> Exchange<Member<Errors>> {
    Exchange::get(path)
        .respond(&[(":status", status)])
        .with_integer(Attribute::ResponseCode, status.parse().unwrap())
        .with(Attribute::ClusterName, "app")
}

fn run(worker: &mut Worker, mut exchange: Exchange<Member<Errors>>) {
    worker.exchange(&mut exchange, Duration::from_millis(1));
}
