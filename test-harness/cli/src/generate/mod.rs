//! `launchgate generate`: what can be derived from a plugin's configuration is written, never kept by hand.
//!
//! `generate telemetry` writes from one configuration of the plugin `metrics`:
//!
//! 1. `rules.yaml`: Prometheus recording rules and multi-window burn-rate alerts of the objectives;
//! 2. `rules_test.yaml`: promtool unit tests of exactly these rules;
//! 3. `dashboard.json`: a Grafana dashboard; `scrape.yaml`: a scrape job;
//! 4. for `--source envoy` also `stats-config.yaml` (tags and buckets for Envoy's bootstrap) and `istio-annotations.yaml`.
//!
//! `generate reference` writes `docs/reference/` ([`reference`]).
//!
//! The two sources have the same numbers under other names. A setup takes one of them.

mod burn;
mod clock;
mod dashboard;
mod names;
mod reference;
mod rule_tests;
mod rules;
mod tags;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Subcommand, ValueEnum};
use launchgate_metrics::Settings;
use launchgate_sdk::config::{Environment, Parsed};

use clock::Clock;
use names::Names;

/// Write dashboards, rules, tags and the reference from what the plugins say of themselves.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Rules with their tests, dashboard, scrape job, tags and buckets of the plugin metrics
    Telemetry(Telemetry),
    /// Every field, metric and preflight rule, as Markdown
    Reference(reference::Args),
}

#[derive(Debug, clap::Args)]
struct Telemetry {
    /// Where Prometheus reads the numbers
    #[arg(long, value_enum)]
    source: Source,
    /// Configuration of the plugin (JSON); the default is the plugin's example
    #[arg(long)]
    config: Option<PathBuf>,
    /// Folder to write to [default: envoy-configs/telemetry/<source>]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Divide every window, interval and time of the rules and their tests by this, to see an alert fire and resolve soon
    #[arg(long, default_value = "1", value_name = "N")]
    speed_up: NonZeroU32,
    /// Write nothing; fail where a file is not what would be written
    #[arg(long)]
    check: bool,
}

/// Where Prometheus reads the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    /// Envoy's stats, /stats/prometheus
    Envoy,
    /// The plugin's own endpoint
    Endpoint,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Envoy => "envoy",
            Self::Endpoint => "endpoint",
        }
    }
}

/// A file to write: name and text.
type File = (&'static str, String);

const EXAMPLE: &str = include_str!("../../../../plugins/metrics/config.example.json");
const HEADER: &str =
    "# Written by `launchgate generate telemetry`; change the plugin's configuration instead.\n";

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::Telemetry(args) => run_telemetry(args),
        What::Reference(args) => reference::run(args),
    }
}

fn run_telemetry(args: &Telemetry) -> Result<ExitCode> {
    let text = match &args.config {
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("{}: cannot be read", path.display()))?,
        None => EXAMPLE.to_owned(),
    };
    let files = telemetry(&text, args.source, Clock::new(args.speed_up))?;
    let folder = args
        .out
        .clone()
        .unwrap_or_else(|| Path::new("envoy-configs/telemetry").join(args.source.name()));
    if args.check {
        return check(&folder, &files);
    }
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("{}: cannot be made", folder.display()))?;
    for (name, text) in &files {
        let path = folder.join(name);
        std::fs::write(&path, text)
            .with_context(|| format!("{}: cannot be written", path.display()))?;
        println!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The rules of the example for Envoy's stats, on a clock so many times faster than usual.
pub(crate) fn fast_rules(speed_up: NonZeroU32) -> Result<String> {
    let files = telemetry(EXAMPLE, Source::Envoy, Clock::new(speed_up))?;
    let rules = files.into_iter().find(|(name, _)| *name == "rules.yaml");
    Ok(rules.context("no rules are made")?.1)
}

/// All files of a configuration.
fn telemetry(config: &str, source: Source, clock: Clock) -> Result<Vec<File>> {
    let settings = settings(config)?;
    let names = Names::new(source);
    let mut files = vec![
        ("rules.yaml", yaml(&rules::rules(&settings, &names, clock))?),
        (
            "rules_test.yaml",
            yaml(&rule_tests::tests(&settings, &names, clock))?,
        ),
        (
            "dashboard.json",
            format!(
                "{}\n",
                serde_json::to_string_pretty(&dashboard::dashboard(&settings, &names))?
            ),
        ),
        ("scrape.yaml", yaml(&names.scrape(&settings))?),
    ];
    if source == Source::Envoy {
        files.push(("stats-config.yaml", yaml(&tags::stats_config(&settings))?));
        files.push((
            "istio-annotations.yaml",
            yaml(&tags::istio_annotations(&settings))?,
        ));
    }
    Ok(files)
}

/// The configuration, checked as the plugin itself checks it.
fn settings(config: &str) -> Result<Settings> {
    let environment: Environment = std::env::vars().collect();
    let parsed = Parsed::read(config.as_bytes(), &environment)
        .map_err(|errors| anyhow::anyhow!("config of metrics refused: {errors}"))?;
    let (own, mut errors) = parsed.own::<launchgate_metrics::Config>();
    let settings = own.and_then(|own| errors.keep(Settings::check(own)));
    match settings {
        Some(settings) if errors.is_empty() => Ok(settings),
        _ => bail!("config of metrics refused: {}", errors.resolve(&parsed)),
    }
}

fn yaml(value: &serde_json::Value) -> Result<String> {
    Ok(format!("{HEADER}{}", serde_norway::to_string(value)?))
}

/// Layout and comments do not matter, only what is said (JSON is YAML).
fn check(folder: &Path, files: &[File]) -> Result<ExitCode> {
    let read = |text: &str| serde_norway::from_str::<serde_json::Value>(text).ok();
    let stale = |(name, text): &&File| {
        let own = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        read(&own) != read(text)
    };
    let stale: Vec<&str> = files.iter().filter(stale).map(|(name, _)| *name).collect();
    if stale.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    bail!(
        "{}: {} differ from the configuration; run `launchgate generate telemetry`",
        folder.display(),
        stale.join(", ")
    )
}

#[cfg(test)]
mod gateway_tests;
#[cfg(test)]
mod tests;
