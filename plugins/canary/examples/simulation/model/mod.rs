//! A fleet in virtual time: native policies beside models of Flagger's and Argo Rollouts' documented loops.
//!
//! 1. A fleet is proxies times workers. The workers of a proxy share state as in Envoy; the proxies share the schedule only, and
//!    with `scrape` what a Prometheus that scrapes them so often would answer.
//! 2. Requests come evenly, users at random. A fault is the chance of a response to fail or to be slow, from some time on.
//! 3. Time goes by half seconds: requests, then a tick of each worker.
//! 4. The controllers see the responses of the canary that the policies see. Once a proxy has rolled back, they see what the
//!    canary would have gone on to answer there: nobody stopped it for them. Its share stays as it is.

mod controller;
mod dice;
mod fleet;
mod schedule;

use controller::Controller;
use dice::Dice;
use fleet::Fleet;
pub(crate) use schedule::{Healthy, convicted};

/// A fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    errors: u32,
    slow: u32,
    both: bool,
    from: u32,
}

impl Fault {
    /// Responses of the canary that fail, in millionths.
    pub(crate) const fn errors(errors: u32) -> Self {
        Self {
            errors,
            slow: 0,
            both: false,
            from: 0,
        }
    }

    /// Responses of the canary that take 900 ms, in millionths.
    pub(crate) const fn slow(slow: u32) -> Self {
        Self {
            slow,
            ..Self::errors(0)
        }
    }

    /// It begins after so many seconds.
    pub(crate) const fn from(self, from: u32) -> Self {
        Self { from, ..self }
    }

    /// Stable has it too.
    pub(crate) const fn of_both(self) -> Self {
        Self { both: true, ..self }
    }
}

/// What is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    /// Gateways.
    pub(crate) proxies: u32,
    /// Workers of each.
    pub(crate) workers: u32,
    /// Requests a second to each proxy.
    pub(crate) rate: u32,
    /// Share of the canary, in percent.
    pub(crate) percent: u32,
    fault: Fault,
    scrape: Option<u32>,
}

impl Scenario {
    /// Proxies of two workers.
    pub(crate) const fn new(proxies: u32, rate: u32, percent: u32, fault: Fault) -> Self {
        Self {
            proxies,
            workers: 2,
            rate,
            percent,
            fault,
            scrape: None,
        }
    }

    /// With a Prometheus that scrapes every so many seconds.
    pub(crate) const fn scraped(self, scrape: u32) -> Self {
        Self {
            scrape: Some(scrape),
            ..self
        }
    }
}

/// Responses of the canary.
#[derive(Debug, Clone, Copy, Default)]
struct Served {
    requests: u64,
    errors: u64,
    slow: u64,
}

/// When the canary was stopped everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop {
    /// Half seconds after the fault began.
    pub(crate) halves: u32,
    /// Responses of the canary until then that failed or were slow.
    pub(crate) failed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Run {
    /// The policies.
    pub(crate) plugin: Option<Stop>,
    /// Flagger's loop.
    pub(crate) flagger: Option<Stop>,
    /// Argo Rollouts' loop.
    pub(crate) argo: Option<Stop>,
}

/// How long a fault is watched, seconds: longer than the slowest loop takes.
const WATCHED: u32 = 1500;

/// One run.
pub(crate) fn run(scenario: &Scenario, seed: u64) -> Run {
    let mut dice = Dice(seed);
    let mut fleet = Fleet::start(scenario, seed);
    let (mut flagger, mut argo) = (Controller::flagger(), Controller::argo());
    let (mut run, mut seen, mut suffered) = (Run::default(), 0, 0);
    for half in 0..(scenario.fault.from + WATCHED) * 2 {
        let second = half / 2;
        let fault = match second < scenario.fault.from {
            true => Fault::errors(0),
            false => scenario.fault,
        };
        for proxy in 0..scenario.proxies as usize {
            let stopped = fleet.is_stopped(proxy);
            let served = match stopped {
                true => fleet::supposed(scenario, half, fault, &mut dice),
                false => fleet.serve(proxy, half, fault, &mut dice),
            };
            suffered += if stopped {
                0
            } else {
                served.errors + served.slow
            };
            seen += served.errors + served.slow;
            flagger.see(served);
            argo.see(served);
        }
        fleet.tick(half);
        let halves = (half + 1).saturating_sub(scenario.fault.from * 2);
        if run.plugin.is_none()
            && (0..scenario.proxies as usize).all(|proxy| fleet.is_stopped(proxy))
        {
            let failed = suffered;
            run.plugin = Some(Stop { halves, failed });
        }
        let failed = seen;
        for (controller, stop) in [(&mut flagger, &mut run.flagger), (&mut argo, &mut run.argo)] {
            if controller.stops(half + 1) {
                *stop = Some(Stop { halves, failed });
            }
        }
    }
    run
}
