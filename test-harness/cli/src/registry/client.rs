//! The distribution protocol (OCI Distribution 1.1) as far as plugins need it: manifests and blobs, read and write.
//!
//! 1. `https`, but `http` for loopback addresses and with `--plain-http`.
//! 2. `LAUNCHGATE_REGISTRY_USER` and `LAUNCHGATE_REGISTRY_PASSWORD` are sent to the registry's host only: as Basic, or to the
//!    token server that a 401 names.
//! 3. Every blob and manifest that is read has the digest it was asked by; nothing is read without a limit.

use std::{cell::RefCell, time::Duration};

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use ureq::{Agent, Body, http::Response};

use super::reference::Reference;
use crate::image::layer::{digest, media_type};

const MAX_MANIFEST: u64 = 4 * 1024 * 1024;
const MAX_BLOB: u64 = 300 * 1024 * 1024;

/// A connection to registries.
pub(crate) struct Client {
    agent: Agent,
    plain_http: bool,
    authorization: RefCell<Option<String>>,
}

/// A manifest as the registry gave it.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) digest: String,
    pub(crate) bytes: Vec<u8>,
}

impl Client {
    /// A client; `plain_http` speaks HTTP to every host.
    pub(crate) fn new(plain_http: bool) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(120)));
        Self {
            agent: config.build().into(),
            plain_http,
            authorization: RefCell::new(None),
        }
    }

    /// The manifest of a reference; `None` when there is none.
    pub(crate) fn manifest(&self, reference: &Reference) -> anyhow::Result<Option<Fetched>> {
        let url = self.url(reference, &format!("manifests/{}", reference.selector()));
        // Indexes too, so that what is one does not read as "not found".
        let accept = [
            media_type::MANIFEST,
            media_type::DOCKER_MANIFEST,
            media_type::INDEX,
            media_type::DOCKER_INDEX,
        ]
        .join(", ");
        let mut response = self.send(reference, |auth| {
            with(self.agent.get(&url).header("accept", &accept), auth).call()
        })?;
        if response.status().as_u16() == 404 {
            return Ok(None);
        }
        expect(&response, &[200], &format!("{reference}: manifest"))?;
        let bytes = response
            .body_mut()
            .with_config()
            .limit(MAX_MANIFEST)
            .read_to_vec()?;
        let actual = digest(&bytes);
        if let Some(wanted) = &reference.digest {
            ensure!(
                &actual == wanted,
                "{reference}: the registry's manifest is {actual}: tampered with"
            );
        }
        Ok(Some(Fetched {
            digest: actual,
            bytes,
        }))
    }

    /// A blob whose bytes have its digest.
    pub(crate) fn blob(&self, reference: &Reference, wanted: &str) -> anyhow::Result<Vec<u8>> {
        let url = self.url(reference, &format!("blobs/{wanted}"));
        let mut response = self.send(reference, |auth| with(self.agent.get(&url), auth).call())?;
        expect(&response, &[200], &format!("{reference}: layer {wanted}"))?;
        let bytes = response
            .body_mut()
            .with_config()
            .limit(MAX_BLOB)
            .read_to_vec()?;
        let actual = digest(&bytes);
        ensure!(
            actual == wanted,
            "{reference}: layer {wanted} has the digest {actual}: tampered with"
        );
        Ok(bytes)
    }

    /// Stores a blob unless it is there; whether it was sent.
    pub(crate) fn push_blob(
        &self,
        reference: &Reference,
        digest: &str,
        bytes: &[u8],
    ) -> anyhow::Result<bool> {
        let url = self.url(reference, &format!("blobs/{digest}"));
        let there = self.send(reference, |auth| with(self.agent.head(&url), auth).call())?;
        if there.status().as_u16() == 200 {
            return Ok(false);
        }
        let url = self.url(reference, "blobs/uploads/");
        let started = self.send(reference, |auth| {
            with(self.agent.post(&url), auth).send_empty()
        })?;
        expect(
            &started,
            &[202],
            &format!("{reference}: start of an upload"),
        )?;
        let location = started
            .headers()
            .get("location")
            .and_then(|l| l.to_str().ok())
            .context("an upload without location")?;
        let upload = if location.starts_with('/') {
            format!("{}{location}", self.origin(reference))
        } else {
            location.to_owned()
        };
        let separator = if upload.contains('?') { '&' } else { '?' };
        let upload = format!("{upload}{separator}digest={digest}");
        let request = |auth: Option<&str>| {
            with(
                self.agent
                    .put(&upload)
                    .header("content-type", "application/octet-stream"),
                auth,
            )
            .send(bytes)
        };
        expect(
            &self.send(reference, request)?,
            &[201],
            &format!("{reference}: upload of {digest}"),
        )?;
        Ok(true)
    }

    /// Stores a manifest under the reference's tag.
    pub(crate) fn push_manifest(&self, reference: &Reference, bytes: &[u8]) -> anyhow::Result<()> {
        let url = self.url(reference, &format!("manifests/{}", reference.selector()));
        let request = |auth: Option<&str>| {
            with(
                self.agent
                    .put(&url)
                    .header("content-type", media_type::MANIFEST),
                auth,
            )
            .send(bytes)
        };
        expect(
            &self.send(reference, request)?,
            &[201],
            &format!("{reference}: manifest"),
        )
    }

    fn origin(&self, reference: &Reference) -> String {
        let name = reference
            .host
            .rsplit_once(':')
            .map_or(reference.host.as_str(), |(name, _)| name);
        let loopback = name == "localhost"
            || name
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|a| a.is_loopback());
        format!(
            "{}://{}",
            if self.plain_http || loopback {
                "http"
            } else {
                "https"
            },
            reference.host
        )
    }

    fn url(&self, reference: &Reference, what: &str) -> String {
        format!(
            "{}/v2/{}/{what}",
            self.origin(reference),
            reference.repository
        )
    }

    /// Sends; on 401 once more with what the challenge asks for.
    fn send<F>(&self, reference: &Reference, request: F) -> anyhow::Result<Response<Body>>
    where
        F: Fn(Option<&str>) -> Result<Response<Body>, ureq::Error>,
    {
        let known = self.authorization.borrow().clone();
        let response = request(known.as_deref())
            .with_context(|| format!("{}: registry cannot be reached", reference.host))?;
        if response.status().as_u16() != 401 {
            return Ok(response);
        }
        let challenge = response
            .headers()
            .get("www-authenticate")
            .and_then(|c| c.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let authorization = self
            .answer(&challenge)
            .with_context(|| format!("{}: log-in", reference.host))?;
        let response = request(Some(&authorization)).with_context(|| reference.host.clone())?;
        *self.authorization.borrow_mut() = Some(authorization);
        Ok(response)
    }

    fn answer(&self, challenge: &str) -> anyhow::Result<String> {
        let credentials = credentials();
        if challenge.to_ascii_lowercase().starts_with("basic") {
            return credentials.context(
                "the registry wants LAUNCHGATE_REGISTRY_USER and LAUNCHGATE_REGISTRY_PASSWORD",
            );
        }
        let realm = parameter(challenge, "realm").context("a challenge without realm")?;
        let mut request = self.agent.get(realm);
        for name in ["service", "scope"] {
            if let Some(value) = parameter(challenge, name) {
                request = request.query(name, value);
            }
        }
        let mut response = with(request, credentials.as_deref()).call()?;
        expect(&response, &[200], "token server")?;
        let body: serde_json::Value = serde_json::from_slice(
            &response
                .body_mut()
                .with_config()
                .limit(MAX_MANIFEST)
                .read_to_vec()?,
        )?;
        let token = body["token"]
            .as_str()
            .or(body["access_token"].as_str())
            .context("the token server gave no token")?;
        Ok(format!("Bearer {token}"))
    }
}

fn with<B>(
    request: ureq::RequestBuilder<B>,
    authorization: Option<&str>,
) -> ureq::RequestBuilder<B> {
    match authorization {
        Some(value) => request.header("authorization", value),
        None => request,
    }
}

fn credentials() -> Option<String> {
    let user = std::env::var("LAUNCHGATE_REGISTRY_USER").ok()?;
    let password = std::env::var("LAUNCHGATE_REGISTRY_PASSWORD").ok()?;
    Some(format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
    ))
}

/// A parameter of a `WWW-Authenticate` challenge.
fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let start = challenge.find(&format!("{name}=\""))? + name.len() + 2;
    challenge.get(start..)?.split('"').next()
}

fn expect(response: &Response<Body>, statuses: &[u16], what: &str) -> anyhow::Result<()> {
    let status = response.status().as_u16();
    if statuses.contains(&status) {
        return Ok(());
    }
    match status {
        401 | 403 => bail!("{what}: refused with {status}: the registry wants other credentials"),
        404 => bail!("{what}: not found"),
        _ => bail!("{what}: the registry answered {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read_by_name() {
        let challenge = r#"Bearer realm="https://auth.example.org/token",service="registry",scope="repository:a:pull""#;
        assert_eq!(
            parameter(challenge, "realm"),
            Some("https://auth.example.org/token")
        );
        assert_eq!(parameter(challenge, "scope"), Some("repository:a:pull"));
        assert_eq!(parameter(challenge, "nonce"), None);
    }

    #[test]
    fn only_loopback_is_spoken_to_in_plain_text() {
        for (reference, expected) in [
            ("127.0.0.1:5000/a:1", "http://127.0.0.1:5000"),
            ("localhost:5000/a:1", "http://localhost:5000"),
            ("registry.example.org/a:1", "https://registry.example.org"),
            ("10.0.0.1:5000/a:1", "https://10.0.0.1:5000"),
        ] {
            assert_eq!(
                Client::new(false).origin(&reference.parse().unwrap()),
                expected
            );
        }
        assert_eq!(
            Client::new(true).origin(&"r.io/a:1".parse().unwrap()),
            "http://r.io"
        );
    }
}
