//! Errors in a real Sentry-compatible server: Bugsink, from the packages that `make deps` brings.

use std::path::Path;
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, ensure};
use launchgate_harness::bugsink::Bugsink;
use launchgate_harness::envoy::{Reply, Request};

use super::{
    Chapter, say,
    stack::{HOST, Stack},
};

const PACKAGES: &str = ".tools/sentry";
/// More than the throttle lets through.
const FAILURES: usize = 50;
const MOST_EVENTS: u64 = 10;

/// A server that is made ready while other chapters are told: its database takes longest of all.
pub(super) struct Starting(JoinHandle<Result<Bugsink>>);

impl Starting {
    /// `None`: it is not installed.
    pub(super) fn begin() -> Option<Self> {
        let start = || Bugsink::start(Path::new(PACKAGES));
        Bugsink::is_installed(Path::new(PACKAGES)).then(|| Self(thread::spawn(start)))
    }

    /// Waits for it.
    pub(super) fn ready(self) -> Result<Bugsink> {
        let started = self.0.join();
        started.map_err(|_| anyhow::anyhow!("the thread that starts Bugsink panicked"))?
    }
}

pub(super) fn chapter(stack: &mut Stack, bugsink: Option<&Bugsink>) -> Result<Chapter> {
    let Some(bugsink) = bugsink else {
        return Ok(Chapter::LeftOut(
            "a Sentry-compatible server needs Bugsink (make deps)".into(),
        ));
    };
    say(
        "The same storm, and this time a real Sentry-compatible server takes the events: one issue, a handful of events.",
    );
    stack.stable.answer(Reply::status(500));
    let mut connection = stack.connect()?;
    for _ in 0..FAILURES {
        let request = Request::get("/users/7").host(HOST);
        connection.exchange(&request.header("x-canary", "never"))?;
    }
    stack.stable.answer(Reply::status(200).body("stable\n"));
    let issue = stack.await_that("an issue", || {
        let issues = bugsink.issues()?;
        ensure!(issues.len() <= 1, "{} issues, expected one", issues.len());
        Ok(issues.into_iter().next())
    })?;
    let count = issue["digested_event_count"].as_u64();
    let count = count.context("the issue has no count of events")?;
    println!(
        "{FAILURES} failures: 1 issue, {count} events: {}: {}",
        issue["calculated_type"].as_str().unwrap_or_default(),
        issue["calculated_value"].as_str().unwrap_or_default()
    );
    ensure!(
        (1..=MOST_EVENTS).contains(&count),
        "{count} events: the throttle did not hold"
    );
    Ok(Chapter::Shown)
}
