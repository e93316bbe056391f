//! The host and port that a request names, proven fit for a URL.
//!
//! 1. A name has letters, digits, `-`, `_` and `.`, no empty label, at most 253 bytes; a dot at its end is allowed. An IPv6
//!    address stands in brackets and has no zone (RFC 3986 section 3.2.2). No user information, no escapes: what a reply
//!    repeats in `Location` must not be read as another host.
//! 2. A port is 0 to 65535; an empty one counts as none (RFC 3986 section 3.2.3).
//! 3. A host whose last label is a number, decimal or hexadecimal, is an IPv4 address (WHATWG URL, "ends in a number").

use std::net::Ipv6Addr;

/// Host and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    host: &'a str,
    port: Option<u16>,
}

const LONGEST_NAME: usize = 253;

impl<'a> Authority<'a> {
    /// Reads `:authority`, or the authority of a URL.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (host, port) = match text.rfind(']') {
            Some(end) => text.split_at_checked(end + 1)?,
            None => text.split_at_checked(text.find(':').unwrap_or(text.len()))?,
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            Some("") => None,
            Some(digits)
                if digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                Some(digits.parse().ok()?)
            }
            _ => return None,
        };
        (is_name(host) || is_ipv6(host)).then_some(Self { host, port })
    }

    /// The host as it was written; an IPv6 address with its brackets.
    pub(crate) fn host(self) -> &'a str {
        self.host
    }

    /// The host without the dot at its end, for comparisons.
    pub(crate) fn name(self) -> &'a str {
        self.host.strip_suffix('.').unwrap_or(self.host)
    }

    /// The port, where one is written.
    pub(crate) fn port(self) -> Option<u16> {
        self.port
    }

    /// Whether the host is an IP address.
    pub(crate) fn is_ip(self) -> bool {
        let last = self.name().rsplit('.').next().unwrap_or_default();
        let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
        self.host.starts_with('[')
            || last.bytes().all(|byte| byte.is_ascii_digit())
            || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }
}

fn is_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= LONGEST_NAME && name.split('.').all(is_label)
}

fn is_ipv6(host: &str) -> bool {
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read_strictly() {
        for (text, expected) in [
            ("example.org", Some(("example.org", None, false))),
            (
                "EXAMPLE.org.:8080",
                Some(("EXAMPLE.org.", Some(8080), false)),
            ),
            ("example.org:", Some(("example.org", None, false))),
            ("my_service:80", Some(("my_service", Some(80), false))),
            ("[::1]", Some(("[::1]", None, true))),
            (
                "[2001:db8::1]:65535",
                Some(("[2001:db8::1]", Some(65535), true)),
            ),
            ("192.0.2.1", Some(("192.0.2.1", None, true))),
            ("0x7f.1", Some(("0x7f.1", None, true))),
            ("1.0x7F.", Some(("1.0x7F.", None, true))),
            ("1.example", Some(("1.example", None, false))),
            ("", None),
            (".", None),
            (":80", None),
            ("a..b", None),
            ("::1", None),
            ("[::1", None),
            ("[::1%25eth0]", None),
            ("[::1]x", None),
            ("example.org:65536", None),
            ("example.org:+80", None),
            ("example.org:80:80", None),
            ("user@example.org", None),
            ("example.org/evil", None),
            ("example.org#x", None),
            ("example.org?x", None),
            ("a b", None),
            ("a\\b", None),
            ("a%2eb", None),
            ("b\u{fc}cher.example", None),
        ] {
            let read = Authority::parse(text.as_bytes())
                .map(|read| (read.host(), read.port(), read.is_ip()));
            assert_eq!(read, expected, "{text}");
        }
        assert_eq!(Authority::parse(b"a\r\nb"), None);
        assert_eq!(Authority::parse(b"\xff"), None);
        assert_eq!(Authority::parse(&[b'a'; 254]), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_accepted_needs_no_escape(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
            if let Some(authority) = Authority::parse(&bytes) {
                proptest::prop_assert!(authority.host().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.[]:".contains(&byte)));
            }
        }
    }
}
