//! Who is the same user, and in which bucket.
//!
//! 1. The keys are tried in order; the first that is there once and not empty counts. A bucket is
//!    HMAC-SHA256(secret, rollout id, key) modulo 1,000,000: every worker and every proxy computes the same, rollouts are
//!    independent of each other, and who does not know the secret cannot tell a bucket.
//! 2. An issued cookie is `v1.<id>.<MAC>`: 128 random bits and the first 128 bits of HMAC-SHA256(secret, name, id), in hex.
//!    A cookie that the gateway did not issue counts as none. Who has none gets one, and is already that user.
//! 3. Issuing ends the list: it always finds a key.

use launchgate_sdk::claim::ClaimConfig;
use launchgate_sdk::config::ConfigErrors;
use launchgate_sdk::cookie::{SetCookie, cookies, only_cookie};
use launchgate_sdk::hash::{Key, hex};
use launchgate_sdk::headers::is_token_byte;
use launchgate_sdk::{Attribute, Peer, Ports, RequestView, Secret};

use crate::config::{CookieConfig, KeyConfig, Keyless};
use crate::rule::is_plain_header;

/// Buckets: shares are millionths.
pub(crate) const BUCKETS: u32 = 1_000_000;

#[derive(Debug, Clone)]
enum Source {
    Header(String),
    Cookie(CookieConfig),
    Claim(ClaimConfig),
    ClientIp,
}

/// The checked keys.
#[derive(Debug)]
pub(crate) struct Identities {
    sources: Vec<Source>,
    key: Key,
    rollout: String,
    random: bool,
    trust_envoy_xff: bool,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// A user.
    Known(u32),
    /// A user that gets this cookie.
    New(u32, String),
    /// No key was found.
    Keyless,
}

impl Identities {
    /// Checks the keys. Notes every mistake.
    pub(crate) fn new(
        keys: Vec<KeyConfig>,
        keyless: Option<Keyless>,
        secret: &Secret,
        rollout: &str,
        trust_envoy_xff: bool,
        errors: &mut ConfigErrors,
    ) -> Self {
        let random = keyless.map_or(keys.is_empty(), |keyless| keyless == Keyless::Random);
        let last = keys.len();
        let mut sources = Vec::new();
        for (index, key) in keys.into_iter().enumerate() {
            let at = format!("key[{index}]");
            let issues = key.cookie.as_ref().is_some_and(|cookie| cookie.issue);
            errors.check(
                !issues || index + 1 == last,
                format!("{at}.cookie.issue"),
                "expected an issued cookie to be the last key",
            );
            if issues && secret.is_empty() {
                errors.push_hidden("secret", "expected a secret, since a cookie is issued");
            }
            sources.extend(Source::new(key, &at, errors));
        }
        Self {
            sources,
            key: Key::new(secret.expose().as_bytes()),
            rollout: rollout.to_owned(),
            random,
            trust_envoy_xff,
        }
    }

    /// Finds the user of a request.
    pub(crate) fn find(&self, view: &RequestView<'_>, ports: &mut dyn Ports) -> Identity {
        for source in &self.sources {
            let found = match source {
                Source::Header(name) => view
                    .headers()
                    .only(name)
                    .filter(|value| !value.is_empty())
                    .map(|value| self.bucket(value)),
                Source::Cookie(cookie) if cookie.issue => return self.issued(cookie, view, ports),
                Source::Cookie(cookie) => only_cookie(view.headers(), &cookie.name)
                    .filter(|value| !value.is_empty())
                    .map(|value| self.bucket(value)),
                Source::Claim(claim) => claim
                    .read(view.headers(), |path| view.property(path))
                    .map(|claim| self.bucket(claim.value.as_bytes())),
                Source::ClientIp => {
                    let peer = Peer::read(
                        view.attribute(Attribute::SourceAddress).as_deref(),
                        self.trust_envoy_xff,
                    );
                    peer.ip().map(|ip| self.bucket(ip.to_string().as_bytes()))
                }
            };
            if let Some(bucket) = found {
                return Identity::Known(bucket);
            }
        }
        if !self.random {
            return Identity::Keyless;
        }
        let drawn = ports.random() % u64::from(BUCKETS);
        Identity::Known(u32::try_from(drawn).unwrap_or(0))
    }

    /// The bucket of a user's key.
    pub(crate) fn bucket(&self, user: &[u8]) -> u32 {
        let bucket = self
            .key
            .mac(&[b"bucket", self.rollout.as_bytes(), user])
            .bucket(u64::from(BUCKETS));
        u32::try_from(bucket).unwrap_or(0)
    }

    /// The name of the issued cookie where the client has one that must be deleted.
    pub(crate) fn expired(&self, view: &RequestView<'_>) -> Option<String> {
        self.sources.iter().find_map(|source| match source {
            Source::Cookie(cookie) if cookie.issue && cookie.expire => {
                let there = cookies(view.headers()).any(|(name, _)| name == cookie.name.as_bytes());
                there.then(|| field(cookie, "", "0")).flatten()
            }
            _ => None,
        })
    }

    fn issued(
        &self,
        cookie: &CookieConfig,
        view: &RequestView<'_>,
        ports: &mut dyn Ports,
    ) -> Identity {
        let own = cookies(view.headers()).filter(|(name, _)| *name == cookie.name.as_bytes());
        if let Some(id) = own
            .filter_map(|(_, value)| self.verified(cookie, value))
            .next()
        {
            return Identity::Known(self.bucket(&id));
        }
        let id = hex(&[ports.random().to_be_bytes(), ports.random().to_be_bytes()].concat());
        let value = format!(
            "v1.{id}.{}",
            self.key
                .mac(&[b"cookie", cookie.name.as_bytes(), id.as_bytes()])
                .hex(16)
        );
        let bucket = self.bucket(id.as_bytes());
        let max_age = cookie.max_age.0.as_secs().to_string();
        match field(cookie, &value, &max_age) {
            Some(field) => Identity::New(bucket, field),
            None => Identity::Keyless,
        }
    }

    /// The id of a cookie that this gateway issued.
    fn verified(&self, cookie: &CookieConfig, value: &[u8]) -> Option<Vec<u8>> {
        let mut parts = value.split(|byte| *byte == b'.');
        let (Some(b"v1"), Some(id), Some(mac), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let lower = |text: &[u8], length: usize| {
            text.len() == length
                && text
                    .iter()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !lower(id, 32) || !lower(mac, 32) {
            return None;
        }
        let expected = self
            .key
            .mac(&[b"cookie", cookie.name.as_bytes(), id])
            .hex(16);
        launchgate_sdk::hash::same(expected.as_bytes(), mac).then(|| id.to_vec())
    }
}

/// The `set-cookie` field.
fn field(cookie: &CookieConfig, value: &str, max_age: &str) -> Option<String> {
    let mut field = SetCookie::new(&cookie.name, value).ok()?;
    field.set("Max-Age", Some(max_age));
    field.set("Path", Some(&cookie.path));
    if !cookie.domain.is_empty() {
        field.set("Domain", Some(&cookie.domain));
    }
    field.set("Secure", None);
    field.set("HttpOnly", None);
    field.set("SameSite", Some(cookie.same_site.as_str()));
    if cookie.partitioned {
        field.set("Partitioned", None);
    }
    String::from_utf8(field.encode()).ok()
}

impl Source {
    fn new(key: KeyConfig, at: &str, errors: &mut ConfigErrors) -> Option<Self> {
        let given = u8::from(key.header.is_some())
            + u8::from(key.cookie.is_some())
            + u8::from(key.jwt.is_some())
            + u8::from(key.client_ip);
        errors.check(
            given == 1,
            at,
            "expected exactly one of header, cookie, jwt, client_ip",
        );
        if let Some(header) = key.header {
            errors.check(
                is_plain_header(&header),
                format!("{at}.header"),
                "expected a header name",
            );
            return Some(Self::Header(header.to_ascii_lowercase()));
        }
        if let Some(cookie) = key.cookie {
            check_cookie(&cookie, &format!("{at}.cookie"), errors);
            return Some(Self::Cookie(cookie));
        }
        if let Some(claim) = key.jwt {
            claim.check(&format!("{at}.jwt"), errors);
            return Some(Self::Claim(claim));
        }
        key.client_ip.then_some(Self::ClientIp)
    }
}

fn check_cookie(cookie: &CookieConfig, at: &str, errors: &mut ConfigErrors) {
    let name = cookie.name.as_str();
    errors.check(
        !name.is_empty() && name.bytes().all(is_token_byte),
        format!("{at}.name"),
        "expected a cookie name",
    );
    let attribute = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b';')
    };
    errors.check(
        cookie.path.starts_with('/') && attribute(&cookie.path),
        format!("{at}.path"),
        "expected a path that begins with \"/\"",
    );
    errors.check(
        attribute(&cookie.domain),
        format!("{at}.domain"),
        "expected a domain",
    );
    let seconds = cookie.max_age.0.as_secs();
    errors.check(
        (60..=400 * 86_400).contains(&seconds),
        format!("{at}.max_age"),
        "expected a duration from 1m to 400d",
    );
    let host = name
        .get(..7)
        .is_some_and(|start| start.eq_ignore_ascii_case("__Host-"));
    errors.check(
        !host || (cookie.path == "/" && cookie.domain.is_empty()),
        format!("{at}.name"),
        "expected path \"/\" and no domain with \"__Host-\"",
    );
}
