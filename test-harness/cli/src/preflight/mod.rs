//! `launchgate preflight`: the go-live checklist, against a gateway that runs.
//!
//! 1. What can be known is gathered first ([`gather`]) into plain [`facts`]: the gateway itself over the wire, and of the other sources
//!    those that were named. It only reads, but for `--send-test-alert`; its own requests to the gateway are GETs.
//! 2. The rules of the six checks are pure functions of the facts: [`build`], [`configuration`], [`tls`], [`health`], [`observability`],
//!    [`release`].
//! 3. A rule whose source is missing reads `not checked: needs --admin`, and never counts as green.
//! 4. Evidence names places and numbers, never the value of a secret.

mod build;
mod configuration;
mod exposition;
mod facts;
mod gather;
mod grade;
mod health;
mod html;
mod junit;
mod observability;
mod release;
mod report;
mod rule;
mod secret;
mod tls;

use std::{net::IpAddr, path::PathBuf, process::ExitCode};

pub(crate) use self::report::{Report, rules};
use self::rule::Area;

/// Exit status: all green.
const GREEN: u8 = 0;
/// Exit status: a finding, or a rule that was not checked.
const NOT_GREEN: u8 = 1;
/// Exit status: wrong usage, or a source that cannot be reached.
const UNREACHABLE: u8 = 2;

/// Check a gateway before launch: build, configuration, TLS, health, observability, release.
///
/// Ends with 0 when everything is green, 1 when there is a finding or a rule was not checked, 2 when it could not be run.
/// It only reads, unless --send-test-alert is given.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  launchgate preflight https://shop.example.org --only tls,health
  launchgate preflight https://shop.example.org --admin http://localhost:9901 --index dist/index.json --format html --out report.html")]
pub(crate) struct Args {
    /// The gateway, as users reach it.
    pub(crate) url: String,
    /// The same gateway without TLS; default: port 80 of the host, where the URL has the default port.
    #[arg(long, value_name = "URL")]
    pub(crate) plain: Option<String>,
    /// Connect to this address, whatever the host's name resolves to.
    #[arg(long, value_name = "IP")]
    pub(crate) resolve: Option<IpAddr>,
    /// Trust these authorities (PEM) besides Mozilla's.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Envoy's admin interface, such as http://localhost:9901.
    #[arg(long, value_name = "URL")]
    pub(crate) admin: Option<String>,
    /// Folder with `base` and `overlays`, or manifests.
    #[arg(long, value_name = "DIR")]
    pub(crate) manifests: Option<PathBuf>,
    /// The index that the modules must be of; schemas and modules are beside it.
    #[arg(long, value_name = "FILE")]
    pub(crate) index: Option<PathBuf>,
    /// Public key (PEM). Signed is the index, where `<index>.sig` is beside it (cosign sign-blob), else each image of the manifests.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The Prometheus that scrapes the gateway.
    #[arg(long, value_name = "URL")]
    pub(crate) prometheus: Option<String>,
    /// The Alertmanager that it tells.
    #[arg(long, value_name = "URL")]
    pub(crate) alertmanager: Option<String>,
    /// The file that the gateway's access records go to.
    #[arg(long, value_name = "FILE")]
    pub(crate) access_log: Option<PathBuf>,
    /// Send an alert to Alertmanager, see it arrive, and resolve it.
    #[arg(long, requires = "alertmanager")]
    pub(crate) send_test_alert: bool,
    /// Only these checks.
    #[arg(long, value_delimiter = ',', value_name = "CHECK")]
    pub(crate) only: Vec<Area>,
    /// How the report is printed.
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: Format,
    /// Write the report to this file; the table is printed too.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people at a terminal.
    Table,
    /// One document.
    Json,
    /// For CI.
    Junit,
    /// One self-contained page, to be signed off.
    Html,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match report(args).and_then(|report| {
        write(args, &report)?;
        Ok(report)
    }) {
        Ok(report) if report.is_green() => ExitCode::from(GREEN),
        Ok(_) => ExitCode::from(NOT_GREEN),
        Err(error) => {
            eprintln!("launchgate: {error:#}");
            ExitCode::from(UNREACHABLE)
        }
    }
}

/// Gathers and judges.
pub(crate) fn report(args: &Args) -> anyhow::Result<Report> {
    let facts = gather::gather(args)?;
    Ok(Report::of(&facts, &args.only))
}

fn write(args: &Args, report: &Report) -> anyhow::Result<()> {
    let text = match args.format {
        Format::Table => report.table(),
        Format::Json => report.json(),
        Format::Junit => junit::render(report),
        Format::Html => html::render(report),
    };
    match &args.out {
        None => print!("{text}"),
        Some(file) => {
            std::fs::write(file, text)
                .map_err(|e| anyhow::anyhow!("{}: cannot be written: {e}", file.display()))?;
            print!("{}", report.table());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
