//! `launchgate demo`: a walk through what the gateway does, on free ports, that ends by itself.
//!
//! 1. One real Envoy with TLS and `suite`, real Redis, Prometheus and Alertmanager; the services behind it, Sentry, Slack and the collector are
//!    played ([`stack`]).
//! 2. Each chapter shows what a client sees, and checks it: a demo that shows something wrong fails.
//! 3. A chapter whose server is not installed is left out, and named at the end with the command that installs it.
//! 4. The last chapters are told on a gateway of its own, with the mended release, since the canary of the first one is rolled back, which is never
//!    green: errors reach a real Sentry-compatible server, which is made ready meanwhile, and the checklist is gone through.

mod chapters;
mod collector;
mod monitoring;
mod preflight;
mod redis;
mod sentry;
mod stack;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use launchgate_harness::envoy::Response;
use serde_json::json;

pub(crate) use self::stack::{HOST, Stack};
#[cfg(test)]
pub(crate) use self::{monitoring::Monitoring, preflight::Preflight};

/// Walks through what the gateway does and ends with status 0.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Folder with the plugins' modules.
    #[arg(long, default_value = "dist")]
    pub(crate) dist: PathBuf,
    /// Folder with the shipped bootstraps.
    #[arg(long, default_value = "envoy-configs/envoy")]
    pub(crate) bootstraps: PathBuf,
    /// Only these chapters.
    #[arg(long, value_delimiter = ',', value_name = "CHAPTER")]
    only: Vec<String>,
}

/// What came of a chapter.
pub(crate) enum Chapter {
    /// It was shown.
    Shown,
    /// Something is missing: what, and how to get it.
    LeftOut(String),
}

type Story = fn(&mut Stack) -> anyhow::Result<Chapter>;

const CHAPTERS: &[(&str, Story)] = &[
    ("tls", chapters::tls),
    ("health", chapters::health),
    ("records", chapters::records),
    ("telemetry", collector::chapter),
    ("errors", chapters::errors),
    ("canary", chapters::canary),
    ("alert", chapters::alert),
];
const SENTRY: &str = "sentry";
const PREFLIGHT: &str = "preflight";

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    let mut told = Told::default();
    let bugsink = wanted(SENTRY).then(sentry::Starting::begin).flatten();
    let chapters: Vec<_> = CHAPTERS.iter().filter(|(name, _)| wanted(name)).collect();
    if !chapters.is_empty() {
        println!("Starting Envoy with TLS and all policies …");
        let mut stack = Stack::start(args, collector::configure)?;
        for (name, story) in chapters {
            told.tell(name, || story(&mut stack))?;
        }
    }
    if wanted(SENTRY) || wanted(PREFLIGHT) {
        let bugsink = bugsink.map(sentry::Starting::ready).transpose()?;
        let mended =
            |config: &mut serde_json::Value| config["canary"]["rollout"] = json!("checkout-v3");
        let mut stack = Stack::start_with(args, bugsink.as_ref(), mended)?;
        if wanted(SENTRY) {
            told.tell(SENTRY, || sentry::chapter(&mut stack, bugsink.as_ref()))?;
        }
        if wanted(PREFLIGHT) {
            told.tell(PREFLIGHT, || chapters::preflight(&mut stack, &args.dist))?;
        }
    }
    match told.left_out.is_empty() {
        true => println!("\nThe demo showed all {} chapters.", told.shown),
        false => println!("\nLeft out:\n  {}", told.left_out.join("\n  ")),
    }
    Ok(ExitCode::SUCCESS)
}

/// What came of the chapters so far.
#[derive(Default)]
struct Told {
    shown: usize,
    left_out: Vec<String>,
}

impl Told {
    fn tell(
        &mut self,
        name: &str,
        story: impl FnOnce() -> anyhow::Result<Chapter>,
    ) -> anyhow::Result<()> {
        println!("\n=== {name}");
        match story().with_context(|| format!("chapter {name}"))? {
            Chapter::Shown => self.shown += 1,
            Chapter::LeftOut(why) => {
                println!("left out: {why}");
                self.left_out.push(format!("{name}: {why}"));
            }
        }
        Ok(())
    }
}

/// Prints a line of the story.
pub(crate) fn say(line: &str) {
    println!("\n# {line}");
}

/// Prints what a client saw.
pub(crate) fn show(request: &str, response: &Response) {
    println!("$ curl -i {request}\nHTTP/1.1 {}", response.status);
    if let Some(location) = response.header("location") {
        println!("location: {location}");
    }
    println!("{}", response.text().trim_end());
}
