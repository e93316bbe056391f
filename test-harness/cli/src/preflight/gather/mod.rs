//! Asks every source that was named, once, and writes down what it said.

mod access_log;
mod admin;
mod files;
mod gateway;
mod handshake;
mod monitoring;
mod target;

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use ureq::Agent;

use self::target::Target;
use super::{Args, facts::Facts};

/// No single request to a source waits longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Something that comes with time is waited for so long.
pub(super) const LIMIT: Duration = Duration::from_secs(20);
/// Between two looks.
const POLL: Duration = Duration::from_millis(250);
/// Nothing larger is read.
const MAX_BODY: u64 = 64 * 1024 * 1024;

pub(super) fn gather(args: &Args) -> anyhow::Result<Facts> {
    let target = Target::parse(args)?;
    let http = Http::default();
    let mut admin = args
        .admin
        .as_deref()
        .map(|url| admin::gather(&http, url))
        .transpose()?;
    let index = args.index.as_deref().map(files::index).transpose()?;
    let manifests = match &args.manifests {
        None => None,
        Some(folder) => Some(files::manifests(folder, args.index.as_deref())?),
    };
    let signatures = args
        .key
        .as_deref()
        .map(|key| files::signatures(key, args.index.as_deref(), manifests.as_ref()))
        .transpose()?
        .flatten();
    let gateway = gateway::gather(&target, admin.as_ref())?;
    let access_log = args
        .access_log
        .as_deref()
        .map(|file| access_log::gather(&target, file))
        .transpose()?;
    let facts = Facts {
        now: now(),
        url: args.url.clone(),
        host: target.host.clone(),
        gateway,
        index,
        manifests: manifests.map(|m| m.facts),
        signatures,
        prometheus: args
            .prometheus
            .as_deref()
            .map(|url| monitoring::prometheus(&http, url))
            .transpose()?,
        alertmanager: args
            .alertmanager
            .as_deref()
            .map(|url| monitoring::alertmanager(&http, url, args.send_test_alert))
            .transpose()?,
        access_log,
        admin: None,
    };
    // Last, so that the checks of dependencies had the whole run to go on.
    if let (Some(admin), Some(url)) = (&mut admin, &args.admin) {
        admin::finish(&http, url, admin)?;
    }
    Ok(Facts { admin, ..facts })
}

/// A client of the sources beside the gateway.
struct Http(Agent);

impl Default for Http {
    fn default() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE));
        Self(config.build().into())
    }
}

impl Http {
    /// The body of a 200.
    fn get(&self, base: &str, path: &str) -> anyhow::Result<String> {
        let url = format!("{}{path}", base.trim_end_matches('/'));
        let mut response = self
            .0
            .get(&url)
            .call()
            .with_context(|| format!("{url}: cannot be reached"))?;
        let status = response.status().as_u16();
        anyhow::ensure!(status == 200, "{url}: answered {status}, expected 200");
        response
            .body_mut()
            .with_config()
            .limit(MAX_BODY)
            .read_to_string()
            .with_context(|| format!("{url}: cannot be read"))
    }

    fn get_json(&self, base: &str, path: &str) -> anyhow::Result<serde_json::Value> {
        let text = self.get(base, path)?;
        serde_json::from_str(&text).with_context(|| format!("{base}{path}: no JSON"))
    }

    fn post_json(&self, base: &str, path: &str, body: &serde_json::Value) -> anyhow::Result<u16> {
        let url = format!("{}{path}", base.trim_end_matches('/'));
        let response = self
            .0
            .post(&url)
            .send_json(body)
            .with_context(|| format!("{url}: cannot be reached"))?;
        Ok(response.status().as_u16())
    }
}

/// Looks again and again until there is a value or the limit is over.
#[expect(
    clippy::disallowed_methods,
    reason = "a time limit on a real gateway needs the real clock"
)]
fn await_value<T>(
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Option<T>> {
    let end = std::time::Instant::now() + LIMIT;
    loop {
        let found = look()?;
        if found.is_some() || std::time::Instant::now() > end {
            return Ok(found);
        }
        std::thread::sleep(POLL);
    }
}

/// The time of day.
#[expect(
    clippy::disallowed_methods,
    reason = "certificates and alerts are about the real time"
)]
fn now() -> SystemTime {
    SystemTime::now()
}
