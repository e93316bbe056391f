//! Start-up time and memory of each module, in an Envoy of its own with one and with two workers.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use launchgate_harness::envoy::Launch;

use super::gateway::Gateway;
use super::variant::Variant;

/// What one variant needs to start.
pub(crate) struct Start {
    /// Name of the variant.
    pub(crate) name: String,
    /// From the start of the process to ready.
    pub(crate) time: Duration,
    /// Resident memory with one worker, kB.
    pub(crate) resident: u64,
    /// How much more with a second worker, kB.
    pub(crate) worker: u64,
}

/// All that started, and why others did not.
#[derive(Default)]
pub(crate) struct Startup {
    /// In the order of the variants.
    pub(crate) starts: Vec<Start>,
    /// Name and reason.
    pub(crate) refused: Vec<(String, String)>,
}

impl Startup {
    /// Whether a variant may be measured: it was not refused.
    pub(crate) fn accepts(&self, variant: &Variant) -> bool {
        !self.refused.iter().any(|(name, _)| *name == variant.name)
    }
}

/// Starts all variants with a module, and no filter.
pub(crate) fn measure(variants: &[Variant]) -> Result<Startup> {
    let mut startup = Startup {
        starts: Vec::new(),
        refused: Vec::new(),
    };
    for variant in variants.iter().filter(|variant| {
        !variant.name.starts_with("Envoy: ") && !variant.name.ends_with(", passing")
    }) {
        match start(variant) {
            Ok(start) => startup.starts.push(start),
            Err(error) => startup
                .refused
                .push((variant.name.clone(), format!("{error:#}"))),
        }
    }
    // A plugin that does not start is not measured passing either.
    let passing: Vec<(String, String)> = startup
        .refused
        .iter()
        .map(|(name, reason)| (name.replace(", acting", ", passing"), reason.clone()))
        .collect();
    startup.refused.extend(passing);
    Ok(startup)
}

fn start(variant: &Variant) -> Result<Start> {
    let alone = || Gateway::new(std::slice::from_ref(variant)).bootstrap();
    let begun = Instant::now();
    let one = Launch::new(alone()?)
        .concurrency(1)
        .log_level("error")
        .start()?;
    let time = begun.elapsed();
    let resident = resident(one.id())?;
    drop(one);
    let two = Launch::new(alone()?)
        .concurrency(2)
        .log_level("error")
        .start()?;
    let worker = self::resident(two.id())?.saturating_sub(resident);
    Ok(Start {
        name: variant.name.clone(),
        time,
        resident,
        worker,
    })
}

fn resident(process: u32) -> Result<u64> {
    let status =
        std::fs::read_to_string(format!("/proc/{process}/status")).context("Envoy is gone")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("expected VmRSS in /proc/<pid>/status")?;
    line.split_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .context("expected a number in VmRSS")
}
