//! Who requests are made for.
//!
//! 1. The id comes from a header or a claim; where there are two headers of the name, nobody is meant.
//! 2. Alerts count a keyed hash of it. Events show the hash too, unless the configuration asks for the id itself.

use launchgate_sdk::claim::ClaimConfig;
use launchgate_sdk::hash::Key;
use launchgate_sdk::headers::{Headers, InvalidHeader};
use launchgate_sdk::notifier::clean;
use launchgate_sdk::{ConfigErrors, EndView, Secret};

use crate::config::{self, SendUser};

/// Who requests are made for.
pub(crate) struct User {
    /// Header, empty for a claim.
    pub header: String,
    /// Claim.
    pub jwt: Option<ClaimConfig>,
    /// What events say.
    pub send: SendUser,
    /// Key of the hash.
    pub key: Key,
}

impl User {
    /// Checks the configuration; without a key of its own the hash takes `fallback`.
    pub(crate) fn check(user: &config::User, fallback: &Secret, errors: &mut ConfigErrors) -> Self {
        errors.check(
            user.header.is_empty() == user.jwt.is_some(),
            "user",
            "expected one of header and jwt",
        );
        let valid = user.header.is_empty() || InvalidHeader::check(&user.header, b"").is_ok();
        errors.check(valid, "user.header", "expected a header name");
        if let Some(jwt) = &user.jwt {
            jwt.check("user.jwt", errors);
        }
        if !user.hmac_key.is_empty() && user.hmac_key.expose().len() < 16 {
            errors.push_hidden("user.hmac_key", "expected at least 16 bytes");
        }
        let key = if user.hmac_key.is_empty() {
            fallback
        } else {
            &user.hmac_key
        };
        Self {
            header: user.header.to_ascii_lowercase(),
            jwt: user.jwt.clone(),
            send: user.send,
            key: Key::new(key.expose().as_bytes()),
        }
    }

    /// The user as events show him, and his hash.
    pub(crate) fn of(&self, view: &EndView<'_>, request: &Headers) -> Option<(String, u64)> {
        let id = match &self.jwt {
            Some(jwt) => jwt.read(request, |path| view.property(path))?.value,
            None => std::str::from_utf8(request.only(&self.header)?)
                .ok()
                .filter(|id| !id.is_empty())?
                .to_owned(),
        };
        let digest = self.key.mac(&[b"user", id.as_bytes()]);
        let hash = digest
            .bytes()
            .iter()
            .take(8)
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let shown = if self.send == SendUser::Plain {
            clean(&id, 128)
        } else {
            digest.hex(16)
        };
        Some((shown, hash))
    }
}
