//! A controller that asks Prometheus about the time since it asked last.
//!
//! 1. **Flagger** (fluxcd/flagger, usage/metrics.md and its canary examples): a check each minute of the success rate, at least
//!    99 %, and of the P99, here at most the plugin's own limit; rolled back at 5 failed checks.
//! 2. **Argo Rollouts** (argoproj/argo-rollouts, features/analysis.md, the first example): a measurement of the success rate every 5
//!    minutes, failed below 95 %; aborted when more than 3 failed.

use super::Served;

pub(crate) struct Controller {
    /// Half seconds.
    interval: u32,
    /// Failed checks at which it stops.
    stops_at: u32,
    /// Most errors, percent.
    errors: u64,
    /// Most slow responses, percent.
    slow: u64,
    seen: Served,
    failed: u32,
}

impl Controller {
    pub(crate) fn flagger() -> Self {
        Self {
            interval: 120,
            stops_at: 5,
            errors: 1,
            slow: 1,
            seen: Served::default(),
            failed: 0,
        }
    }

    pub(crate) fn argo() -> Self {
        Self {
            interval: 600,
            stops_at: 4,
            errors: 5,
            slow: 100,
            ..Self::flagger()
        }
    }

    pub(crate) fn see(&mut self, served: Served) {
        self.seen.requests += served.requests;
        self.seen.errors += served.errors;
        self.seen.slow += served.slow;
    }

    /// Whether it stops the canary at this half second; once.
    pub(crate) fn stops(&mut self, half: u32) -> bool {
        if self.failed >= self.stops_at || !half.is_multiple_of(self.interval) {
            return false;
        }
        let Served {
            requests,
            errors,
            slow,
        } = std::mem::take(&mut self.seen);
        let fails = errors * 100 > requests * self.errors || slow * 100 > requests * self.slow;
        self.failed += u32::from(fails);
        self.failed >= self.stops_at
    }
}
