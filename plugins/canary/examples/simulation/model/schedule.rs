//! Whole schedules of a healthy canary: 5 % for 15 minutes, 25 % for 30, of which the judge sees every half second.
//!
//! Only what workers would have counted is fed, so that thousands of schedules can be run.

use launchgate_canary::Canary;
use launchgate_sdk::Member;
use launchgate_sdk::config::Environment;
use launchgate_sdk::fake::{Host, Shared};

use super::dice::Dice;
use super::fleet::{HALF_SECOND, in_half, is_latched};

/// Both versions alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Healthy {
    /// Requests a second of the proxy.
    pub(crate) rate: u32,
    /// Chance of a 500, in millionths.
    pub(crate) errors: u32,
    /// Chance of a slow response, in millionths.
    pub(crate) slow: u32,
}

const CONFIG: &str = r#"{"rollout": "r", "start": "2026-11-22T12:00:00Z",
    "stages": [{"percent": 5, "for": "15m"}, {"percent": 25, "for": "30m"}, {"percent": 100}]}"#;
/// The stages before the last, in half seconds, and their shares in percent.
const STAGES: [(u32, u32); 2] = [(15 * 120, 5), (30 * 120, 25)];

/// In how many of so many schedules the canary is convicted.
pub(crate) fn convicted(schedules: u64, healthy: Healthy) -> u64 {
    (1..=schedules)
        .filter(|seed| is_convicted(*seed, healthy))
        .count() as u64
}

fn is_convicted(seed: u64, healthy: Healthy) -> bool {
    let shared = Shared::default();
    let loaded =
        Host::<Member<Canary>>::load_with(CONFIG, &Environment::new(), shared.clone(), seed);
    let mut worker = loaded.expect("a valid config");
    let mut dice = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let halves = STAGES
        .iter()
        .flat_map(|(halves, percent)| (0..*halves).map(|half| (half, *percent)));
    for (half, percent) in halves {
        let all = in_half(healthy.rate, half);
        let canary = u32::try_from(dice.count(all, percent * 10_000)).unwrap_or(all);
        for (variant, requests) in [("canary", canary), ("stable", all - canary)] {
            let add = |what: &str, count: u64| {
                let stat =
                    format!("launchgate_canary_{what}_totalrollout=.=r;.;variant=.={variant};.;");
                shared.count(&stat, count);
            };
            add("requests", u64::from(requests));
            add("errors", dice.count(requests, healthy.errors));
            add("slow", dice.count(requests, healthy.slow));
        }
        worker.advance(HALF_SECOND);
        worker.tick();
        if is_latched(&worker) {
            return true;
        }
    }
    false
}
