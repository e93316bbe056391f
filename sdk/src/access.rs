//! Who may see more, or do something: address ranges and a bearer token.
//!
//! 1. The token comes by `Authorization: Bearer <token>` only (RFC 6750 section 2.1), exactly one such header; it is
//!    compared in constant time and has at least 16 bytes.
//! 2. Ranges match a proven [`Peer`] only: a forged `x-forwarded-for` opens nothing.
//! 3. A **control endpoint** ([`AccessGuard::control`]) changes state. Without a token it is off and the request passes on.
//!    With one it needs the token, and the range too where ranges are set. What is refused looks like an unknown path: 404.
//! 4. A **view** ([`AccessGuard::view`]) shows more. A range or the token is enough; without both nobody sees it.

use crate::attribute::Attribute;
use crate::config::ConfigErrors;
use crate::headers::Headers;
use crate::peer::{Cidr, Peer};
use crate::secret::Secret;
use crate::view::RequestView;

/// The shortest token, bytes.
pub const SHORTEST_TOKEN: usize = 16;

/// Ranges and token of one endpoint or view.
#[derive(Debug, Clone, Default)]
pub struct AccessGuard {
    allow: Vec<Cidr>,
    token: Secret,
    trust_envoy_xff: bool,
}

/// What a control endpoint does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// There is no such endpoint: the request passes on.
    Off,
    /// It is answered 404 and counted.
    Refuse,
    /// It is served.
    Grant,
}

impl AccessGuard {
    /// Builds the guard of the keys `<path>.allow` and `<path>.token`; an empty token counts as none.
    ///
    /// # Errors
    /// Notes a token that is too short or that no header can carry.
    pub fn new(
        allow: Vec<Cidr>,
        token: Secret,
        trust_envoy_xff: bool,
        path: &str,
        errors: &mut ConfigErrors,
    ) -> Self {
        let bytes = token.expose().as_bytes();
        if !bytes.is_empty()
            && (bytes.len() < SHORTEST_TOKEN || !bytes.iter().all(u8::is_ascii_graphic))
        {
            errors.push_hidden(
                format!("{path}.token"),
                "expected at least 16 printable ASCII characters without blanks, or nothing",
            );
        }
        Self {
            allow,
            token,
            trust_envoy_xff,
        }
    }

    /// Whether a control endpoint serves this request.
    pub fn control(&self, view: &RequestView<'_>) -> Access {
        if self.token.is_empty() {
            return Access::Off;
        }
        let in_range = self.allow.is_empty() || self.is_in_range(view);
        if self.has_token(view.headers()) && in_range {
            Access::Grant
        } else {
            Access::Refuse
        }
    }

    /// Whether this request may see more.
    pub fn view(&self, view: &RequestView<'_>) -> bool {
        self.has_token(view.headers()) || self.is_in_range(view)
    }

    fn is_in_range(&self, view: &RequestView<'_>) -> bool {
        // The attribute costs a host call: nobody pays for ranges that are not there.
        !self.allow.is_empty()
            && Peer::read(
                view.attribute(Attribute::SourceAddress).as_deref(),
                self.trust_envoy_xff,
            )
            .is_in(&self.allow)
    }

    fn has_token(&self, headers: &Headers) -> bool {
        !self.token.is_empty() && bearer(headers).is_some_and(|offered| self.token.matches(offered))
    }
}

/// The token of the only `authorization` header. The scheme's case does not matter (RFC 9110 section 11.1).
pub fn bearer(headers: &Headers) -> Option<&[u8]> {
    let (scheme, rest) = headers.only("authorization")?.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then_some(rest)
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{HeaderMap, Kept, Source};
    use wasm_bindgen_test::wasm_bindgen_test;

    const TOKEN: &str = "0123456789abcdef";

    struct Request<'a> {
        address: &'a str,
        authorization: &'a [&'a [u8]],
    }

    impl Source for Request<'_> {
        fn headers(&self, _: HeaderMap) -> Headers {
            Headers::from_pairs(
                self.authorization
                    .iter()
                    .map(|value| ("authorization", value)),
            )
        }

        fn header(&self, map: HeaderMap, name: &str) -> Option<Vec<u8>> {
            self.headers(map).first(name).map(<[u8]>::to_vec)
        }

        fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
            (path == ["source", "address"]).then(|| self.address.as_bytes().to_vec())
        }
    }

    fn ask<R>(
        guard: &AccessGuard,
        request: &Request<'_>,
        question: impl Fn(&AccessGuard, &RequestView<'_>) -> R,
    ) -> R {
        question(
            guard,
            &RequestView::new(request, &mut Kept::default(), true),
        )
    }

    fn guard(allow: &[&str], token: &str) -> AccessGuard {
        let mut errors = ConfigErrors::default();
        let allow = allow
            .iter()
            .map(|range| Cidr::parse(range).unwrap())
            .collect();
        let guard = AccessGuard::new(allow, Secret::new(token), false, "x", &mut errors);
        assert!(errors.is_empty(), "{errors}");
        guard
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_control_endpoint_needs_its_token_and_its_range() {
        let good: &[&[u8]] = &[b"Bearer 0123456789abcdef"];
        let local = ["127.0.0.0/8"];
        for (allow, token, address, authorization, expected) in [
            (&local[..0], "", "127.0.0.1:9", good, Access::Off),
            (&local[..], "", "127.0.0.1:9", good, Access::Off),
            (&local[..0], TOKEN, "192.0.2.1:9", good, Access::Grant),
            (
                &local[..0],
                TOKEN,
                "192.0.2.1:9",
                &[b"bEARER 0123456789abcdef"],
                Access::Grant,
            ),
            (&local[..], TOKEN, "127.0.0.1:9", good, Access::Grant),
            (&local[..], TOKEN, "127.0.0.1:0", good, Access::Refuse),
            (&local[..], TOKEN, "192.0.2.1:9", good, Access::Refuse),
            (&local[..], TOKEN, "127.0.0.1:9", &[], Access::Refuse),
            (
                &local[..0],
                TOKEN,
                "127.0.0.1:9",
                &[b"Bearer 0123456789abcdeF"],
                Access::Refuse,
            ),
            (
                &local[..0],
                TOKEN,
                "127.0.0.1:9",
                &[b"Basic 0123456789abcdef"],
                Access::Refuse,
            ),
            (
                &local[..0],
                TOKEN,
                "127.0.0.1:9",
                &[b"Bearer"],
                Access::Refuse,
            ),
            (
                &local[..0],
                TOKEN,
                "127.0.0.1:9",
                &[b"\xff\xfe"],
                Access::Refuse,
            ),
            (
                &local[..0],
                TOKEN,
                "127.0.0.1:9",
                &[b"Bearer 0123456789abcdef", b"x"],
                Access::Refuse,
            ),
        ] {
            let request = Request {
                address,
                authorization,
            };
            let access = ask(&guard(allow, token), &request, AccessGuard::control);
            assert_eq!(
                access, expected,
                "{allow:?} {token:?} {address} {authorization:?}"
            );
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_view_opens_to_a_range_or_the_token_and_else_to_nobody() {
        let good: &[&[u8]] = &[b"Bearer 0123456789abcdef"];
        for (allow, token, address, authorization, expected) in [
            (&["10.0.0.0/8"][..], TOKEN, "10.1.1.1:9", &[][..], true),
            (&["10.0.0.0/8"][..], TOKEN, "192.0.2.1:9", good, true),
            (&["10.0.0.0/8"][..], TOKEN, "10.1.1.1:0", &[][..], false),
            (&[][..], "", "10.1.1.1:9", &[&b"Bearer "[..]][..], false),
        ] {
            let request = Request {
                address,
                authorization,
            };
            assert_eq!(
                ask(&guard(allow, token), &request, AccessGuard::view),
                expected,
                "{address} {authorization:?}"
            );
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_weak_token_is_refused_without_being_shown() {
        for token in [
            "short",
            "0123456789abcde",
            "0123456789 abcdef",
            "0123456789abcd\u{e9}",
        ] {
            let mut errors = ConfigErrors::default();
            AccessGuard::new(Vec::new(), Secret::new(token), false, "drain", &mut errors);
            assert_eq!(
                errors.to_string(),
                "drain.token: expected at least 16 printable ASCII characters without blanks, or nothing"
            );
        }
    }
}
