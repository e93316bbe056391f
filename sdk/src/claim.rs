//! A claim of a JWT: who the caller is, or says to be.
//!
//! 1. `"source": "metadata"` reads what Envoy's `jwt_authn` filter verified and left as dynamic metadata under its
//!    `payload_in_metadata` name: the claim is verified.
//! 2. `"source": "header"` decodes the token of a header without checking it: the claim is unverified, is marked so in
//!    every record, and never grants anything.
//! 3. A claim is a text, a whole number or a boolean; anything else counts as absent. A header that stands twice counts
//!    as absent.
//! 4. A claim is looked up by its whole name first (names may be URLs), then as a path with dots (`realm.user`).

use crate::config::Decode;
use crate::json_tree::Value;

use crate::base64;
use crate::config::ConfigErrors;
use crate::headers::{Headers, InvalidHeader};

/// A claim as a configuration spells it.
#[derive(Debug, Clone, PartialEq, Eq, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ClaimConfig {
    /// Name of the claim. Default: `sub`.
    pub claim: String,
    /// `metadata` (default): verified by Envoy's `jwt_authn`. `header`: read from the token as it came, unverified.
    pub source: ClaimSource,
    /// With `metadata`: the `payload_in_metadata` of `jwt_authn`. Default: `payload`.
    pub payload: String,
    /// With `header`: the header that has the token, after `Bearer` or alone. Default: `authorization`.
    pub header: String,
}

/// Where a claim is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ClaimSource {
    /// Dynamic metadata of `jwt_authn`.
    #[default]
    Metadata,
    /// The token itself, unverified.
    Header,
}

impl Default for ClaimConfig {
    fn default() -> Self {
        Self {
            claim: "sub".to_owned(),
            source: ClaimSource::Metadata,
            payload: "payload".to_owned(),
            header: "authorization".to_owned(),
        }
    }
}

/// A claim that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its value as text.
    pub value: String,
    /// Whether Envoy verified the token.
    pub verified: bool,
}

const FILTER: &str = "envoy.filters.http.jwt_authn";
const TOKEN_LIMIT: usize = 16 * 1024;
const VALUE_LIMIT: usize = 1024;

impl ClaimConfig {
    /// Notes every mistake, with paths below `at`.
    pub fn check(&self, at: &str, errors: &mut ConfigErrors) {
        errors.check(
            !self.claim.is_empty(),
            format!("{at}.claim"),
            "expected the name of a claim",
        );
        errors.check(
            !self.payload.is_empty(),
            format!("{at}.payload"),
            "expected the payload_in_metadata of jwt_authn",
        );
        errors.check(
            InvalidHeader::check(&self.header, b"").is_ok(),
            format!("{at}.header"),
            "expected a header name",
        );
    }

    /// Reads the claim where the configuration says. `property` reads a property of the host; metadata is complete at the
    /// end of an exchange, before that only what filters in front of this one left.
    pub fn read(
        &self,
        headers: &Headers,
        property: impl Fn(&[&str]) -> Option<Vec<u8>>,
    ) -> Option<Claim> {
        match self.source {
            ClaimSource::Metadata => self.read_metadata(property),
            ClaimSource::Header => self.read_header(headers),
        }
    }

    /// The verified claim, from metadata.
    pub fn read_metadata(&self, property: impl Fn(&[&str]) -> Option<Vec<u8>>) -> Option<Claim> {
        let base = ["metadata", "filter_metadata", FILTER, &self.payload];
        let whole: Vec<&str> = base.into_iter().chain([self.claim.as_str()]).collect();
        let found = property(&whole).or_else(|| {
            let parts: Vec<&str> = base.into_iter().chain(self.claim.split('.')).collect();
            if parts.len() > whole.len() {
                property(&parts)
            } else {
                None
            }
        });
        let value = metadata_text(&found?).filter(|value| value.len() <= VALUE_LIMIT)?;
        Some(Claim {
            value,
            verified: true,
        })
    }

    /// The unverified claim, from the token of the header.
    pub fn read_header(&self, headers: &Headers) -> Option<Claim> {
        let payload = payload(headers.only(&self.header)?)?;
        let value = payload.get(&self.claim).or_else(|| {
            self.claim
                .split('.')
                .try_fold(&payload, |value, part| value.get(part))
        })?;
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => return None,
        };
        (!value.is_empty() && value.len() <= VALUE_LIMIT).then_some(Claim {
            value,
            verified: false,
        })
    }
}

/// The claims of a token (RFC 7519), not verified.
fn payload(value: &[u8]) -> Option<Value> {
    let value = value.trim_ascii();
    let token = match value.split_at_checked(6) {
        Some((scheme, rest))
            if scheme.eq_ignore_ascii_case(b"bearer") && rest.starts_with(b" ") =>
        {
            rest.trim_ascii()
        }
        _ => value,
    };
    if token.len() > TOKEN_LIMIT {
        return None;
    }
    let mut parts = token.split(|byte| *byte == b'.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    crate::json_tree::read(&base64::decode(payload)?)
        .ok()
        .filter(|payload| payload.as_object().is_some())
}

/// How the host gives a value of metadata: a text as it is, a number as 64-bit float, a boolean as one byte.
fn metadata_text(bytes: &[u8]) -> Option<String> {
    let is_text = |text: &&str| !text.is_empty() && !text.chars().any(char::is_control);
    if let Some(text) = std::str::from_utf8(bytes).ok().filter(is_text) {
        return Some(text.to_owned());
    }
    match bytes {
        [0] => Some("false".to_owned()),
        [1] => Some("true".to_owned()),
        _ => {
            let number = f64::from_le_bytes(<[u8; 8]>::try_from(bytes).ok()?);
            (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0)
                .then(|| (number as i64).to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    // {"sub":"user-1","n":42,"ok":true,"realm":{"user":"nested"},"https://x/id":"url","list":[1],"none":null,"empty":""}
    const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1c2VyLTEiLCJuIjo0Miwib2siOnRydWUsInJlYWxtIjp7InVzZXIiOiJuZXN0ZWQifSwiaHR0cHM6Ly94L2lkIjoidXJsIiwibGlzdCI6WzFdLCJub25lIjpudWxsLCJlbXB0eSI6IiJ9.";

    fn config(claim: &str, source: ClaimSource) -> ClaimConfig {
        ClaimConfig {
            claim: claim.to_owned(),
            source,
            ..ClaimConfig::default()
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_claim_of_a_header_is_read_and_unverified() {
        for (claim, value) in [
            ("sub", Some("user-1")),
            ("n", Some("42")),
            ("ok", Some("true")),
            ("realm.user", Some("nested")),
            ("https://x/id", Some("url")),
            ("list", None),
            ("none", None),
            ("empty", None),
            ("realm", None),
            ("absent", None),
        ] {
            for header in [
                format!("Bearer {TOKEN}"),
                format!("bearer   {TOKEN}sig"),
                TOKEN.to_owned(),
            ] {
                let headers = Headers::from_pairs([("authorization", &header)]);
                let read = config(claim, ClaimSource::Header).read(&headers, |_| None);
                assert_eq!(
                    read,
                    value.map(|value| Claim {
                        value: value.to_owned(),
                        verified: false
                    }),
                    "{claim} {header}"
                );
            }
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn what_is_no_token_counts_as_absent() {
        let claim = config("sub", ClaimSource::Header);
        for header in [
            "",
            "Bearer",
            "Bearer ",
            "a.b",
            "a.b.c",
            "a.b.c.d",
            ".e30.",
            "Bearer a.!!.c",
            "a.W10.c",
            "a._w.c",
        ] {
            assert_eq!(
                claim.read_header(&Headers::from_pairs([("authorization", header)])),
                None,
                "{header}"
            );
        }
        let twice = Headers::from_pairs([("authorization", TOKEN), ("authorization", TOKEN)]);
        assert_eq!(claim.read_header(&twice), None);
        let long = format!("{}.{}", "a".repeat(20_000), TOKEN);
        assert_eq!(
            claim.read_header(&Headers::from_pairs([("authorization", &long)])),
            None
        );
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_claim_of_metadata_is_verified() {
        let host = |path: &[&str]| match path {
            [
                "metadata",
                "filter_metadata",
                "envoy.filters.http.jwt_authn",
                "payload",
                claim,
            ] => match *claim {
                "sub" => Some(b"user-1".to_vec()),
                "a.b" => Some(b"whole".to_vec()),
                "n" => Some(42.0_f64.to_le_bytes().to_vec()),
                "half" => Some(0.5_f64.to_le_bytes().to_vec()),
                "ok" => Some(vec![1]),
                "bytes" => Some(vec![0xff, 0xfe]),
                _ => None,
            },
            [.., "payload", "realm", "user"] => Some(b"nested".to_vec()),
            _ => None,
        };
        for (claim, value) in [
            ("sub", Some("user-1")),
            ("a.b", Some("whole")),
            ("n", Some("42")),
            ("ok", Some("true")),
            ("realm.user", Some("nested")),
            ("half", None),
            ("bytes", None),
            ("absent", None),
        ] {
            let read = config(claim, ClaimSource::Metadata).read(&Headers::default(), host);
            assert_eq!(
                read,
                value.map(|value| Claim {
                    value: value.to_owned(),
                    verified: true
                }),
                "{claim}"
            );
        }
    }
}
