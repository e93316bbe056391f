//! `launchgate demo`: a walk through what the gateway does, on free ports, that ends by itself.
//!
//! 1. Each chapter starts what it needs, shows what a client sees, and checks it: a demo that shows something wrong fails.
//! 2. A chapter whose server is not installed is left out, and named at the end with the command that installs it.

mod health;
mod redis;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use launchgate_harness::envoy::Response;

/// Walks through what the gateway does and ends with status 0.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder with the plugins' modules.
    #[arg(long, default_value = "dist")]
    dist: PathBuf,
    /// Folder with the shipped bootstraps.
    #[arg(long, default_value = "envoy-configs/envoy")]
    bootstraps: PathBuf,
}

/// What came of a chapter.
pub(crate) enum Chapter {
    /// It was shown.
    Shown,
    /// Something is missing: what, and how to get it.
    LeftOut(String),
}

type Story = fn(&Args) -> anyhow::Result<Chapter>;

const CHAPTERS: &[(&str, Story)] = &[("health", health::run)];

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut left_out = Vec::new();
    for (name, story) in CHAPTERS {
        println!("\n=== {name}");
        let chapter = story(args).with_context(|| format!("chapter {name}"))?;
        if let Chapter::LeftOut(why) = chapter {
            println!("left out: {why}");
            left_out.push(format!("{name}: {why}"));
        }
    }
    match left_out.is_empty() {
        true => println!("\nThe demo showed all {} chapters.", CHAPTERS.len()),
        false => println!("\nLeft out:\n  {}", left_out.join("\n  ")),
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a line of the story.
pub(crate) fn say(line: &str) {
    println!("\n# {line}");
}

/// Prints what a client saw.
pub(crate) fn show(request: &str, response: &Response) {
    println!(
        "$ curl -i localhost:10000{request}\nHTTP/1.1 {}\n{}",
        response.status,
        response.text().trim_end()
    );
}
