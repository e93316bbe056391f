//! Cookies as bytes: those that a client sent, and one that goes to it.
//!
//! 1. A request may carry several `cookie` fields (HTTP/2 splits them, RFC 9113 section 8.2.3): all are read, in order.
//! 2. A field is split at `;` and each piece at its first `=` (RFC 6265 section 5.4); a piece without `=` or without a name is
//!    no cookie. Quotes belong to the value. Nothing fails on bytes that are no text.
//! 3. Of a `set-cookie`, the pieces are kept as they were written; attribute names are compared without regard to case and the
//!    last of two attributes of one name counts (RFC 6265 section 5.2).
//! 4. Browsers refuse a `__Secure-` cookie without `Secure`, and a `__Host-` cookie without `Secure`, without `Path=/` or with
//!    `Domain`; they compare the prefixes without regard to case (RFC 6265bis section 4.1.3).

use std::borrow::Cow;
use std::fmt;

use crate::headers::{Headers, is_token_byte};

/// Name and value of each cookie of a request, in the order sent.
pub fn cookies(request: &Headers) -> impl Iterator<Item = (&[u8], &[u8])> {
    request
        .all("cookie")
        .flat_map(|field| field.split(|byte| *byte == b';'))
        .filter_map(|piece| {
            let (name, value) = split_once(piece.trim_ascii(), b'=')?;
            let name = name.trim_ascii_end();
            (!name.is_empty()).then_some((name, value.trim_ascii_start()))
        })
}

/// The value of the first cookie of a name. Names are case-sensitive. A client can send several: for a decision that must not
/// be ambiguous use [`only_cookie`].
pub fn cookie<'a>(request: &'a Headers, name: &str) -> Option<&'a [u8]> {
    cookies(request)
        .find(|(own, _)| *own == name.as_bytes())
        .map(|(_, value)| value)
}

/// The value of a cookie whose name is there exactly once.
pub fn only_cookie<'a>(request: &'a Headers, name: &str) -> Option<&'a [u8]> {
    let mut values = cookies(request)
        .filter(|(own, _)| *own == name.as_bytes())
        .map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// How far a cookie goes with requests from other sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, crate::config::Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
pub enum SameSite {
    /// Never with a request from another site.
    Strict,
    /// With top-level navigation only.
    Lax,
    /// Always; browsers then want `Secure` as well.
    None,
}

impl SameSite {
    /// As it stands in the attribute.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }

    /// Reads an attribute's value; `None` for one that browsers do not know.
    pub fn parse(value: &[u8]) -> Option<Self> {
        [Self::Strict, Self::Lax, Self::None]
            .into_iter()
            .find(|known| value.eq_ignore_ascii_case(known.as_str().as_bytes()))
    }
}

/// What a cookie's name demands of its attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// `__Secure-`: `Secure`.
    Secure,
    /// `__Host-`: `Secure`, `Path=/`, no `Domain`.
    Host,
}

/// Why a cookie cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidCookie {
    /// The name is no token.
    Name,
    /// The value holds a byte that is no cookie octet.
    Value,
}

impl fmt::Display for InvalidCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "invalid cookie name: expected a token (RFC 6265 section 4.1.1)",
            Self::Value => "invalid cookie value: expected printable ASCII without blanks, quotes, commas, semicolons and backslashes",
        })
    }
}

impl std::error::Error for InvalidCookie {}

/// Whether a byte may stand in a cookie's value (RFC 6265 section 4.1.1).
pub fn is_cookie_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

/// One `set-cookie` field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetCookie<'a> {
    pair: Cow<'a, [u8]>,
    attributes: Vec<Cow<'a, [u8]>>,
    changed: bool,
}

impl<'a> SetCookie<'a> {
    /// Reads a field as an upstream wrote it.
    pub fn parse(field: &'a [u8]) -> Self {
        let mut pieces = field.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let pair = pieces.next().unwrap_or_default();
        let attributes = pieces
            .filter(|piece| !piece.is_empty())
            .map(Cow::Borrowed)
            .collect();
        Self {
            pair: Cow::Borrowed(pair),
            attributes,
            changed: false,
        }
    }

    /// A new cookie without attributes.
    ///
    /// # Errors
    /// Where name or value cannot be written so that a browser reads the same.
    pub fn new(name: &str, value: &str) -> Result<SetCookie<'static>, InvalidCookie> {
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return Err(InvalidCookie::Name);
        }
        if !value.bytes().all(is_cookie_octet) {
            return Err(InvalidCookie::Value);
        }
        Ok(SetCookie {
            pair: Cow::Owned(format!("{name}={value}").into_bytes()),
            attributes: Vec::new(),
            changed: true,
        })
    }

    /// The name; empty where there is none.
    pub fn name(&self) -> &[u8] {
        split_once(&self.pair, b'=').map_or(&[][..], |(name, _)| name.trim_ascii_end())
    }

    /// The value.
    pub fn value(&self) -> &[u8] {
        split_once(&self.pair, b'=').map_or(&self.pair[..], |(_, value)| value.trim_ascii_start())
    }

    /// What the name demands.
    pub fn prefix(&self) -> Option<Prefix> {
        let has = |prefix: &str| {
            self.name()
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        match () {
            () if has("__Host-") => Some(Prefix::Host),
            () if has("__Secure-") => Some(Prefix::Secure),
            () => None,
        }
    }

    /// The value of an attribute, empty for one without value such as `Secure`; `None` where the attribute is missing.
    pub fn attribute(&self, name: &str) -> Option<&[u8]> {
        self.attributes
            .iter()
            .rev()
            .map(|piece| attribute_parts(piece))
            .find(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// Whether an attribute is there.
    pub fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// Sets an attribute, `None` for one without value; others of this name go. The value must hold no `;` and no control
    /// byte: it comes from a configuration, never from a client.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        if self
            .attribute(name)
            .is_some_and(|own| own == value.unwrap_or_default().as_bytes())
        {
            return;
        }
        self.remove(name);
        let piece = value.map_or_else(|| name.to_owned(), |value| format!("{name}={value}"));
        self.attributes.push(Cow::Owned(piece.into_bytes()));
        self.changed = true;
    }

    /// The same, for a chain of calls.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<&str>) -> Self {
        self.set(name, value);
        self
    }

    /// Removes an attribute.
    pub fn remove(&mut self, name: &str) {
        let before = self.attributes.len();
        self.attributes.retain(|piece| {
            !attribute_parts(piece)
                .0
                .eq_ignore_ascii_case(name.as_bytes())
        });
        self.changed |= self.attributes.len() != before;
    }

    /// Whether it is no longer what was read.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// The field's value.
    pub fn encode(&self) -> Vec<u8> {
        let mut field = self.pair.to_vec();
        for attribute in &self.attributes {
            field.extend_from_slice(b"; ");
            field.extend_from_slice(attribute);
        }
        field
    }
}

fn attribute_parts(piece: &[u8]) -> (&[u8], &[u8]) {
    let (name, value) = split_once(piece, b'=').unwrap_or((piece, &[]));
    (name.trim_ascii_end(), value.trim_ascii_start())
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == separator)?;
    let (before, after) = bytes.split_at_checked(at)?;
    Some((before, after.get(1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn cookies_of_all_fields_are_read_in_order() {
        let request = Headers::from_pairs([
            ("cookie", &b"a=1; b=2;c = 3"[..]),
            ("x", b"y"),
            ("cookie", b"a=4; =5; six; d=\"7=8\"; \xff=\xfe"),
        ]);
        let read: Vec<_> = cookies(&request).collect();
        assert_eq!(
            read,
            [
                (&b"a"[..], &b"1"[..]),
                (b"b", b"2"),
                (b"c", b"3"),
                (b"a", b"4"),
                (b"d", b"\"7=8\""),
                (b"\xff", b"\xfe"),
            ]
        );
        assert_eq!(cookie(&request, "a"), Some(&b"1"[..]));
        assert_eq!(cookie(&request, "A"), None);
        assert_eq!(only_cookie(&request, "a"), None);
        assert_eq!(only_cookie(&request, "b"), Some(&b"2"[..]));
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn attributes_are_found_without_regard_to_case_and_the_last_counts() {
        let cookie = SetCookie::parse(b"sid=a=b ; PATH=/x; path=/y; httponly; SameSite = lax;;");
        assert_eq!((cookie.name(), cookie.value()), (&b"sid"[..], &b"a=b"[..]));
        assert_eq!(cookie.attribute("Path"), Some(&b"/y"[..]));
        assert_eq!(cookie.attribute("HttpOnly"), Some(&b""[..]));
        assert_eq!(
            cookie.attribute("SameSite").and_then(SameSite::parse),
            Some(SameSite::Lax)
        );
        assert!(!cookie.has("Secure") && !cookie.has("sid") && !cookie.is_changed());
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn what_is_set_replaces_all_of_its_name_and_the_rest_stays() {
        for (field, name, value, expected) in [
            ("a=b", "Secure", None, "a=b; Secure"),
            ("a=b;secure", "Secure", None, "a=b; secure"),
            (
                "a=b; samesite=x; Path=/",
                "SameSite",
                Some("Lax"),
                "a=b; Path=/; SameSite=Lax",
            ),
            ("\"a;b", "Secure", None, "\"a; b; Secure"),
            ("", "Secure", None, "; Secure"),
        ] {
            let cookie = SetCookie::parse(field.as_bytes()).with(name, value);
            assert_eq!(String::from_utf8(cookie.encode()).unwrap(), expected);
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_prefix_is_recognised_in_any_case() {
        for (field, prefix) in [
            ("__Host-a=1", Some(Prefix::Host)),
            ("__host-a=1", Some(Prefix::Host)),
            ("__Secure-a=1", Some(Prefix::Secure)),
            ("__Host=1", None),
            ("x__Host-a=1", None),
            ("=__Host-a", None),
        ] {
            assert_eq!(
                SetCookie::parse(field.as_bytes()).prefix(),
                prefix,
                "{field}"
            );
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_new_cookie_holds_only_what_a_browser_reads_back() {
        let cookie = SetCookie::new("canary", "v1.abc")
            .unwrap()
            .with("Path", Some("/"))
            .with("Max-Age", Some("60"))
            .with("HttpOnly", None);
        assert_eq!(
            cookie.encode(),
            b"canary=v1.abc; Path=/; Max-Age=60; HttpOnly"
        );
        assert_eq!(SetCookie::new("a b", "x").err(), Some(InvalidCookie::Name));
        assert_eq!(SetCookie::new("", "x").err(), Some(InvalidCookie::Name));
        for value in ["a;b", "a b", "a\"", "a,b", "a\\b", "\u{e9}", "a\r\nb"] {
            assert_eq!(
                SetCookie::new("a", value).err(),
                Some(InvalidCookie::Value),
                "{value:?}"
            );
        }
    }

    #[cfg(not(target_family = "wasm"))]
    proptest::proptest! {
        #[test]
        fn no_bytes_stop_the_parsers(field in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            let parsed = SetCookie::parse(&field).with("Secure", None);
            let encoded = parsed.encode();
            let again = SetCookie::parse(&encoded);
            proptest::prop_assert!(again.has("Secure"));
            proptest::prop_assert_eq!(again.name(), parsed.name());
            let request = Headers::from_pairs([("cookie", &field)]);
            proptest::prop_assert!(cookies(&request).all(|(name, _)| !name.is_empty()));
        }
    }
}
