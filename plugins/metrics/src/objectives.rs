//! Events of the objectives, counted for each route.
//!
//! 1. Availability judges every request; bad are those that the server failed.
//! 2. Latency judges requests that are no stream and no failure; bad are those above the threshold. A client that left
//!    within the threshold tells nothing and is left out; one that left later waited too long.
//! 3. Both counters of an objective are there from its first event on, so that a rate misses no first error.

use launchgate_sdk::map::Map;
use std::time::Duration;

use launchgate_sdk::metric::escape_label;
use launchgate_sdk::{Counter, Effects, Registry};

use crate::families::{SLO_ERRORS, SLO_EVENTS};
use crate::outcome::Outcome;
use crate::part::{Events, Part};
use crate::settings::Settings;
use crate::slo::Objective;

/// One objective of a route: what it judges, and where it counts.
#[derive(Debug)]
struct Judge {
    threshold: Option<Duration>,
    name: Box<[u8]>,
    handles: Option<(Counter, Counter)>,
}

/// The objectives of all routes that this worker met, by route id.
#[derive(Debug, Default)]
pub(crate) struct Judges(Map<u32, Vec<Judge>>);

impl Judges {
    /// Whether a route is known.
    pub(crate) fn knows(&self, route: u32) -> bool {
        self.0.contains_key(&route)
    }

    /// Adds a route; `shown` is its label value, which is another where the route found no room.
    pub(crate) fn add(
        &mut self,
        route: u32,
        name: &str,
        shown: &str,
        settings: &Settings,
        metrics: &mut Registry,
    ) {
        let mut judges = Vec::new();
        for objective in settings
            .objectives_of(name)
            .into_iter()
            .filter_map(|position| settings.slo.get(position))
        {
            let latency = objective
                .latency
                .map(|(millis, _)| Duration::from_millis(millis));
            for threshold in [Some(None), latency.map(Some)].into_iter().flatten() {
                judges.push(judge(
                    objective,
                    threshold,
                    shown,
                    settings.envoy_stats.then_some(&mut *metrics),
                ));
            }
        }
        self.0.insert(route, judges);
    }

    /// Counts an exchange.
    pub(crate) fn count(
        &self,
        route: u32,
        outcome: &Outcome,
        part: Option<&mut Part>,
        fx: &mut Effects,
    ) {
        let mut part = part;
        for judge in self.0.get(&route).into_iter().flatten() {
            let Some(bad) = judge.verdict(outcome) else {
                continue;
            };
            if let Some((all, errors)) = judge.handles {
                fx.count(all);
                fx.add(errors, u64::from(bad));
            }
            let Some(part) = &mut part else { continue };
            let events = match part.events.get_mut(&judge.name) {
                Some(events) => events,
                None => part
                    .events
                    .or_insert_with(judge.name.clone(), Events::default),
            };
            events.all += 1;
            events.bad += u64::from(bad);
        }
    }
}

impl Judge {
    /// Whether the exchange was bad; `None` where this objective does not judge it.
    fn verdict(&self, outcome: &Outcome) -> Option<bool> {
        let Some(threshold) = self.threshold else {
            return Some(outcome.is_failure());
        };
        let slow = outcome.duration > threshold;
        let judged = !outcome.is_stream && !outcome.is_failure() && (slow || !outcome.client_left);
        judged.then_some(slow)
    }
}

fn judge(
    objective: &Objective,
    threshold: Option<Duration>,
    route: &str,
    metrics: Option<&mut Registry>,
) -> Judge {
    let kind = if threshold.is_some() {
        "latency"
    } else {
        "availability"
    };
    let values = [objective.name.as_bytes(), kind.as_bytes(), route.as_bytes()];
    let handles = metrics.map(|metrics| {
        (
            metrics.counter(&SLO_EVENTS, &values),
            metrics.counter(&SLO_ERRORS, &values),
        )
    });
    let name = values.map(escape_label).join("\0").into_bytes().into();
    Judge {
        threshold,
        name,
        handles,
    }
}
