//! What the gateway itself answers: one GET each of the page, the health paths, and another listener's host.

use anyhow::Context as _;
use launchgate_harness::envoy::{Connection, Request, Response, TlsClient};
use serde_json::Value;

use super::{handshake, target::Target};
use crate::preflight::facts::{Admin, Gateway, Reply};

pub(super) fn gather(target: &Target, admin: Option<&Admin>) -> anyhow::Result<Gateway> {
    let health = admin.and_then(|a| a.policy("health").ok());
    let path = |kind: &str, default: &str| {
        let configured = health.and_then(|h| h["paths"][kind][0].as_str());
        configured.unwrap_or(default).to_owned()
    };
    let mut gateway = Gateway {
        page: get(target, &target.path)?,
        live: get(target, &path("live", "/livez"))?,
        ready: get(target, &path("ready", "/healthz"))?,
        startup: get(target, &path("startup", "/startupz"))?,
        ..Gateway::default()
    };
    if let Some((authority, address)) = &target.plain {
        let request = Request::get(&target.path).host(authority);
        let reply = Connection::open(*address)
            .and_then(|mut c| c.exchange(&request))
            .with_context(|| format!("http://{authority}: cannot be reached"))?;
        gateway.plain = Some(read(&reply));
    }
    if target.is_tls {
        gateway.tls = Some(handshake::gather(target)?);
        gateway.misdirected = other_listener(target, admin)
            .map(|host| {
                Ok::<_, anyhow::Error>((
                    host.clone(),
                    exchange(target, &Request::get("/").host(&host))?,
                ))
            })
            .transpose()?;
    }
    Ok(gateway)
}

/// `GET path` as a client of the gateway sends it.
pub(super) fn get(target: &Target, path: &str) -> anyhow::Result<Reply> {
    exchange(target, &Request::get(path).host(&target.authority))
}

/// One exchange on a connection of its own. The certificate is judged by the handshake, so that a bad one hides nothing else.
pub(super) fn exchange(target: &Target, request: &Request) -> anyhow::Result<Reply> {
    let opened = match target.is_tls {
        true => Connection::open_tls(target.address, &TlsClient::new(&target.host)),
        false => Connection::open(target.address),
    };
    let reply = opened
        .and_then(|mut connection| connection.exchange(request))
        .with_context(|| format!("{}: cannot be reached", target.authority))?;
    Ok(read(&reply))
}

fn read(response: &Response) -> Reply {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = response.headers.iter();
    Reply {
        status: response.status,
        headers: headers
            .map(|(n, v)| (text(n).to_ascii_lowercase(), text(v)))
            .collect(),
        body: response.text(),
    }
}

/// A host of another listener, by the configuration of tls.
fn other_listener(target: &Target, admin: Option<&Admin>) -> Option<String> {
    let listeners = admin?.policy("tls").ok()?["misdirected"]["listeners"].as_array()?;
    let names: Vec<_> = listeners.iter().filter_map(Value::as_str).collect();
    let wildcard = |name: &str| {
        name.strip_prefix('*')
            .is_some_and(|suffix| target.host.ends_with(suffix))
    };
    let owner = names
        .iter()
        .copied()
        .find(|n| *n == target.host)
        .or_else(|| names.iter().copied().find(|n| wildcard(n)))?;
    let other = names.iter().find(|n| **n != owner && **n != "*")?;
    Some(other.replacen('*', "preflight", 1))
}
