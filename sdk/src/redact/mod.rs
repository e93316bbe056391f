//! What must not leave the gateway in a record: secrets by name, by place and by form.
//!
//! 1. By name: headers, cookies and query keys, each with its mode; names on the denylists of Sentry and OpenTelemetry
//!    are masked unless a mode is configured for exactly that name.
//! 2. By place: path segments under a pattern, user info of a URL. A `referer` and a `location` are URLs; a value that
//!    holds a URL with user info, encoded or not, is masked.
//! 3. By form: JWT, bearer tokens, card numbers, e-mail addresses, in every text, raw and percent-decoded.
//! 4. Redact first, truncate afterwards: a token that was cut is not known any more.

mod config;
mod denylist;
mod detect;
mod marks;
mod mode;
mod path;
#[cfg(test)]
mod tests;
mod url;

use crate::map::Map;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use config::{IpRedaction, RedactConfig};
pub use denylist::is_sensitive;
pub use detect::{Detector, find_all};
pub use mode::{MASK, Redaction};

use crate::hash::Key;
use marks::Marks;
use path::PathPattern;

/// Redacts by a checked configuration.
#[derive(Debug, Clone)]
pub struct Redactor {
    headers: Map<Vec<u8>, Redaction>,
    cookies: Map<Vec<u8>, Redaction>,
    query: Map<Vec<u8>, Redaction>,
    path: Vec<(PathPattern, Redaction)>,
    detectors: Vec<Detector>,
    denylist: bool,
    client_ip: IpRedaction,
    key: Option<Key>,
}

/// How the values of a header are redacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderRule {
    /// By a mode, as a whole.
    Whole(Redaction),
    /// Cookie by cookie.
    Cookies,
    /// As a cookie with its attributes.
    SetCookie,
    /// As a URL.
    Url,
    /// By what stands in them.
    Text,
}

/// Headers whose value is a URL.
const URL_HEADERS: [&str; 7] = [
    ":path",
    "referer",
    "location",
    "content-location",
    "origin",
    "x-envoy-original-path",
    "x-original-url",
];

impl Redactor {
    /// Redacts a header value; `None` where it is left out.
    pub fn header(&self, name: &str, value: &[u8]) -> Option<Vec<u8>> {
        self.by_rule(self.header_rule(name), value)
    }

    /// The rule for a header, for who meets it often.
    pub fn header_rule(&self, name: &str) -> HeaderRule {
        let lower = name.to_ascii_lowercase();
        if let Some(mode) = self
            .headers
            .get(lower.as_bytes())
            .filter(|mode| **mode != Redaction::Keep)
        {
            return HeaderRule::Whole(*mode);
        }
        match lower.as_str() {
            "cookie" => HeaderRule::Cookies,
            "set-cookie" => HeaderRule::SetCookie,
            "authorization" | "proxy-authorization" if self.denylist => {
                HeaderRule::Whole(Redaction::Mask)
            }
            name if URL_HEADERS.contains(&name) => HeaderRule::Url,
            name => match self.mode_of(&self.headers, name.as_bytes()) {
                None | Some(Redaction::Keep) => HeaderRule::Text,
                Some(mode) => HeaderRule::Whole(mode),
            },
        }
    }

    /// Redacts the value of a header whose rule is known; `None` where it is left out.
    pub fn by_rule(&self, rule: HeaderRule, value: &[u8]) -> Option<Vec<u8>> {
        match rule {
            HeaderRule::Whole(mode) => mode.apply(value, self.key.as_ref()),
            HeaderRule::Cookies => Some(self.cookies(value)),
            HeaderRule::SetCookie => Some(self.set_cookie(value)),
            HeaderRule::Url => Some(self.url(value)),
            HeaderRule::Text => Some(self.value_text(value)),
        }
    }

    /// Redacts the value of a `cookie` header, cookie by cookie; what is no cookie is masked.
    pub fn cookies(&self, value: &[u8]) -> Vec<u8> {
        let kept: Vec<_> = value
            .split(|byte| *byte == b';')
            .map(<[u8]>::trim_ascii)
            .filter(|cookie| !cookie.is_empty())
            .filter_map(|cookie| self.cookie(cookie))
            .collect();
        kept.join(&b"; "[..])
    }

    fn cookie(&self, cookie: &[u8]) -> Option<Vec<u8>> {
        let Some(at) = cookie.iter().position(|byte| *byte == b'=') else {
            return Some(MASK.into());
        };
        let (name, value) = cookie.split_at_checked(at).unwrap_or((cookie, b""));
        let value = value.get(1..).unwrap_or_default();
        let name = name.trim_ascii();
        let value = match self.mode_of(&self.cookies, name) {
            None | Some(Redaction::Keep) => self.value_text(value),
            Some(mode) => mode.apply(value, self.key.as_ref())?,
        };
        Some([&self.text(name), &b"="[..], &value].concat())
    }

    /// The cookie, redacted, and its attributes as they are.
    fn set_cookie(&self, value: &[u8]) -> Vec<u8> {
        let end = value
            .iter()
            .position(|byte| *byte == b';')
            .unwrap_or(value.len());
        let (cookie, attributes) = value.split_at_checked(end).unwrap_or((value, b""));
        let mut out = self
            .cookie(cookie.trim_ascii())
            .unwrap_or_else(|| MASK.into());
        out.extend_from_slice(&self.text(attributes));
        out
    }

    /// Masks the secrets that are known by their form.
    pub fn text<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let found = find_all(text, &self.detectors);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = Vec::with_capacity(text.len());
        let mut copied = 0;
        for range in found {
            out.extend_from_slice(text.get(copied..range.start).unwrap_or_default());
            out.extend_from_slice(MASK.as_bytes());
            copied = range.end;
        }
        out.extend_from_slice(text.get(copied..).unwrap_or_default());
        Cow::Owned(out)
    }

    /// As [`Redactor::text`], also where the secret is percent-encoded or assigned to a sensitive name.
    fn value_text(&self, text: &[u8]) -> Vec<u8> {
        let marks = Marks::of(text);
        if marks.is_plain() {
            return text.to_vec();
        }
        let shown = self.text(text);
        if !marks.is_coded() {
            let nested = self.denylist && marks.assigns() && denylist::assigns_sensitive(&shown);
            return match nested || url::has_user_info(&shown) {
                true => MASK.into(),
                false => shown.into_owned(),
            };
        }
        let decoded = crate::percent_encoding::decode_fully(&shown);
        let hidden = *decoded != *shown && self.has_secret(&decoded);
        let nested = self.denylist && denylist::assigns_sensitive(&decoded);
        if hidden || nested || url::has_user_info(&decoded) {
            MASK.into()
        } else {
            shown.into_owned()
        }
    }

    /// Applies a mode with this redactor's key; detectors run over what is kept.
    pub fn apply(&self, mode: Redaction, value: &[u8]) -> Option<Vec<u8>> {
        match mode {
            Redaction::Keep => Some(self.text(value).into_owned()),
            mode => mode.apply(value, self.key.as_ref()),
        }
    }

    /// The address as it may be recorded.
    pub fn ip(&self, ip: IpAddr) -> Option<String> {
        match self.client_ip {
            IpRedaction::Keep => Some(ip.to_string()),
            IpRedaction::Truncate => Some(truncate_ip(ip).to_string()),
            IpRedaction::Hmac => Redaction::Hmac
                .apply(ip.to_string().as_bytes(), self.key.as_ref())
                .and_then(|hex| String::from_utf8(hex).ok()),
            IpRedaction::Drop => None,
        }
    }

    fn has_secret(&self, text: &[u8]) -> bool {
        !find_all(text, &self.detectors).is_empty()
    }

    /// The configured mode of a name, else that of the denylist.
    fn mode_of(&self, modes: &Map<Vec<u8>, Redaction>, name: &[u8]) -> Option<Redaction> {
        let lower = name.to_ascii_lowercase();
        let configured = url::key_names(&lower)
            .find_map(|name| modes.get(name))
            .copied();
        configured
            .or_else(|| (self.denylist && url::is_sensitive_key(&lower)).then_some(Redaction::Mask))
    }
}

/// IPv4 to 24 bits, IPv6 to 48.
pub fn truncate_ip(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from(u32::from(v4) & 0xffff_ff00)),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) >> 80 << 80)),
    }
}
