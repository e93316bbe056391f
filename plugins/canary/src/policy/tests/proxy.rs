//! A proxy of two workers in virtual time.

use launchgate_sdk::config::Environment;
use launchgate_sdk::fake::Shared;

use super::*;

pub(super) const TOKEN: &str = "0123456789abcdef";

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) const HALF: &str = r#"{"rollout": "r", "start": "2026-11-22T12:00:00Z", "secret": "${SECRET}", "key": [{"header": "x-user-id"}], "stages": [{"percent": 50, "for": "1h"}, {"percent": 100}]}"#;

/// A proxy: workers that share state, with one clock.
pub(super) struct Proxy(pub(super) Vec<Worker>);

impl Proxy {
    pub(super) fn start(config: &str) -> Self {
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
    pub(super) fn reload(self, config: &str) -> Self {
        let now = self.0[0].now;
        let mut proxy = Self::start_with(config, self.0[0].shared.clone());
        for worker in &mut proxy.0 {
            worker.now = now;
        }
        proxy
    }

    pub(super) fn advance(&mut self, duration: Duration) {
        for worker in &mut self.0 {
            worker.advance(duration);
        }
    }

    pub(super) fn seconds(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.advance(SECOND);
            for worker in &mut self.0 {
                worker.tick();
            }
        }
    }

    /// An exchange on a worker; which version it was sent to, by the steering header.
    pub(super) fn send(&mut self, worker: usize, mut exchange: Exchange) -> Exchange {
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
    pub(super) fn traffic(&mut self, users: std::ops::Range<u32>, fail: u64) -> u64 {
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

    pub(super) fn number(&self, stat: &str) -> u64 {
        self.0[0].shared.number(stat)
    }
}

pub(super) fn variant(exchange: &Exchange) -> Option<&str> {
    exchange.facts.request.text("x-launchgate-variant")
}

pub(super) fn decided(variant: &str, reason: &str) -> String {
    format!("launchgate_canary_decisions_totalvariant=.={variant};.;reason=.={reason};.;")
}

pub(super) fn rolled_back() -> &'static str {
    "launchgate_canary_rolled_backrollout=.=r;.;"
}

pub(super) fn end(proxy: &mut Proxy, cluster: &str, status: u64, flags: u64, details: &str) {
    end_of(proxy, "1", cluster, status, flags, details);
}

pub(super) fn end_of(
    proxy: &mut Proxy,
    user: &str,
    cluster: &str,
    status: u64,
    flags: u64,
    details: &str,
) {
    let exchange = Exchange::get("/").header("x-user-id", user);
    let mut exchange = exchange
        .with(Attribute::ClusterName, cluster)
        .with_integer(Attribute::ResponseCode, status)
        .with_integer(Attribute::ResponseFlags, flags)
        .with(Attribute::ResponseCodeDetails, details);
    proxy.0[0].request(&mut exchange);
    proxy.0[0].end(&mut exchange);
}
