//! Proxies of native policies.

use std::time::Duration;

use launchgate_canary::Canary;
use launchgate_sdk::config::Environment;
use launchgate_sdk::fake::{Exchange, Host, Shared};
use launchgate_sdk::{Answer, Attribute, Headers, Member};

use super::{Dice, Fault, Scenario, Served};

type Worker = Host<Member<Canary>>;

pub(crate) const HALF_SECOND: Duration = Duration::from_millis(500);
const LATCH: &str = "launchgate_canary_rolled_backrollout=.=r;.;";

pub(crate) struct Fleet {
    proxies: Vec<Vec<Worker>>,
    scenario: Scenario,
    /// What Prometheus knows.
    scraped: bool,
}

/// Whether a proxy has rolled back.
pub(crate) fn is_latched(worker: &Worker) -> bool {
    worker.shared.number(LATCH) > 0
}

fn config(scenario: &Scenario) -> String {
    let fleet = match scenario.scrape {
        Some(_) => r#""fleet": {"cluster": "prometheus"},"#,
        None => "",
    };
    format!(
        r#"{{"rollout": "r", "start": "2026-11-22T12:00:00Z", "secret": "a secret of 16 bytes", {fleet}
            "key": [{{"header": "x-user-id"}}], "stages": [{{"percent": {}, "for": "2h"}}, {{"percent": 100}}]}}"#,
        scenario.percent
    )
}

impl Fleet {
    pub(crate) fn start(scenario: &Scenario, seed: u64) -> Self {
        let (config, environment) = (config(scenario), Environment::new());
        let proxy = |proxy: u32| {
            let shared = Shared::default();
            let worker = |worker: u32| {
                let seed = seed * 1000 + u64::from(proxy * 10 + worker);
                Host::load_with(&config, &environment, shared.clone(), seed)
                    .expect("a valid config")
            };
            (0..scenario.workers).map(worker).collect()
        };
        let proxies = (0..scenario.proxies).map(proxy).collect();
        let mut fleet = Self {
            proxies,
            scenario: *scenario,
            scraped: false,
        };
        // The lease is taken on the first tick and used from the second on: a gateway is up before a release begins.
        fleet.tick(1);
        fleet.tick(1);
        fleet
    }

    pub(crate) fn is_stopped(&self, proxy: usize) -> bool {
        self.proxies
            .get(proxy)
            .and_then(|workers| workers.first())
            .is_some_and(is_latched)
    }

    /// Half a second of traffic.
    pub(crate) fn serve(
        &mut self,
        proxy: usize,
        half: u32,
        fault: Fault,
        dice: &mut Dice,
    ) -> Served {
        let mut served = Served::default();
        let Some(workers) = self.proxies.get_mut(proxy) else {
            return served;
        };
        let count = workers.len();
        for number in 0..in_half(self.scenario.rate, half) as usize {
            let user = dice.roll().to_string();
            let Some(worker) = workers.get_mut(number % count) else {
                continue;
            };
            let mut exchange = Exchange::get("/").header("x-user-id", user);
            worker.request(&mut exchange);
            let canary = exchange.facts.request.text("x-launchgate-variant") == Some("canary");
            let faulty = canary || fault.both;
            let error = faulty && dice.happens(fault.errors);
            let slow = faulty && dice.happens(fault.slow);
            if canary {
                served.requests += 1;
                served.errors += u64::from(error);
                served.slow += u64::from(slow);
            }
            let cluster = if canary { "canary" } else { "stable" };
            let status = if error { 500 } else { 200 };
            let mut exchange = exchange
                .with(Attribute::ClusterName, cluster)
                .with_integer(Attribute::ResponseCode, status)
                .with(Attribute::ResponseCodeDetails, "via_upstream");
            let began = worker.now;
            worker.now.mono += Duration::from_millis(if slow { 900 } else { 20 });
            worker.end(&mut exchange);
            worker.now = began;
        }
        served
    }

    /// Half a second passes, every worker ticks, Prometheus scrapes and answers.
    pub(crate) fn tick(&mut self, half: u32) {
        let stopped = (0..self.proxies.len()).any(|proxy| self.is_stopped(proxy));
        let due = |seconds: u32| half.is_multiple_of(seconds * 2);
        self.scraped |= stopped && self.scenario.scrape.is_some_and(due);
        let known = u8::from(self.scraped);
        let body = format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[1,"{known}"]}}]}}}}"#
        );
        for worker in self.proxies.iter_mut().flatten() {
            worker.advance(HALF_SECOND);
            worker.tick();
            for _ in 0..worker.calls.len() {
                let headers = Headers::from_pairs([(":status", "200")]);
                worker.answer(Answer::read(
                    headers,
                    body.clone().into_bytes(),
                    Headers::default(),
                ));
            }
        }
    }
}

/// What the canary would have answered in half a second, had it not been stopped.
pub(crate) fn supposed(scenario: &Scenario, half: u32, fault: Fault, dice: &mut Dice) -> Served {
    let requests = dice.count(in_half(scenario.rate, half), scenario.percent * 10_000);
    let count = u32::try_from(requests).unwrap_or(u32::MAX);
    Served {
        requests,
        errors: dice.count(count, fault.errors),
        slow: dice.count(count, fault.slow),
    }
}

/// The part of a rate that falls into this half second.
pub(crate) fn in_half(rate: u32, half: u32) -> u32 {
    rate / 2 + (rate % 2) * (half % 2)
}
