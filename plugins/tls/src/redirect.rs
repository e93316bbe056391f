//! What happens with a plaintext request.
//!
//! 1. A preflight (`OPTIONS` with `Origin` and `Access-Control-Request-Method`) passes: browsers follow no redirect of one
//!    (Fetch, "CORS-preflight fetch").
//! 2. An exempt path passes; an ambiguous one is never exempt.
//! 3. gRPC gets a status, since its clients follow no redirect.
//! 4. Methods that are not safe are rejected, where the operator says so.
//! 5. All else is redirected to the same URL with `https` (RFC 6797 section 7.2): host as sent, the configured port, path and
//!    query byte for byte. `auto` is 301 for GET and HEAD; 308 for the rest, since a client may change the method of a 301
//!    (RFC 9110 sections 15.4.2 and 15.4.9).
//! 6. A host or a path that does not fit into a URL is answered 400: nothing of it is repeated.

use launchgate_sdk::Headers;
use launchgate_sdk::path::{PathRule, RequestPath};

use crate::authority::Authority;
use crate::config::{RedirectConfig, RedirectStatus, UnsafeMethods};

/// What to do with a plaintext request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plaintext {
    /// Goes on: a preflight.
    Preflight,
    /// Goes on: an exempt path.
    Exempt,
    /// Is redirected with this status to this URL.
    Redirect(u16, Vec<u8>),
    /// Is refused: a method that is not safe.
    UnsafeMethod,
    /// Is refused with a gRPC status.
    Grpc,
    /// Is refused: its URL cannot be repeated.
    Invalid,
}

/// Rules for plaintext.
#[derive(Debug)]
pub(crate) struct Redirect {
    status: RedirectStatus,
    port: u16,
    unsafe_methods: UnsafeMethods,
    exempt: Vec<PathRule>,
}

impl Redirect {
    /// The rules, or none where plaintext is allowed.
    pub(crate) fn new(config: RedirectConfig) -> Option<Self> {
        let RedirectConfig {
            enabled,
            status,
            port,
            unsafe_methods,
            exempt_paths,
        } = config;
        enabled.then_some(Self {
            status,
            port,
            unsafe_methods,
            exempt: exempt_paths,
        })
    }

    /// Decides about a plaintext request.
    pub(crate) fn decide(&self, request: &Headers) -> Plaintext {
        let method = request.method();
        if is_preflight(request) {
            return Plaintext::Preflight;
        }
        let path = RequestPath::read(request.path());
        if self.exempt.iter().any(|rule| rule.exempts(path)) {
            return Plaintext::Exempt;
        }
        if request.is_grpc() {
            return Plaintext::Grpc;
        }
        if self.unsafe_methods == UnsafeMethods::Reject
            && !matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE")
        {
            return Plaintext::UnsafeMethod;
        }
        match self.location(request) {
            Some(location) => Plaintext::Redirect(self.status(method), location),
            None => Plaintext::Invalid,
        }
    }

    fn status(&self, method: &[u8]) -> u16 {
        match self.status {
            RedirectStatus::Fixed(status) => status,
            RedirectStatus::Auto if matches!(method, b"GET" | b"HEAD") => 301,
            RedirectStatus::Auto => 308,
        }
    }

    /// The same URL with `https`; a fragment is not for servers and goes.
    fn location(&self, request: &Headers) -> Option<Vec<u8>> {
        let authority = Authority::parse(request.only(":authority")?)?;
        let path = request
            .path()
            .split(|byte| *byte == b'#')
            .next()
            .unwrap_or_default();
        let path = if path == b"*" { b"" } else { path };
        if !(path.is_empty() || path.starts_with(b"/"))
            || path.iter().any(|byte| *byte <= b' ' || *byte == 0x7f)
        {
            return None;
        }
        let mut location = format!("https://{}", authority.host()).into_bytes();
        if self.port != 443 {
            location.extend_from_slice(format!(":{}", self.port).as_bytes());
        }
        location.extend_from_slice(path);
        Some(location)
    }
}

fn is_preflight(request: &Headers) -> bool {
    request.method() == b"OPTIONS"
        && request.contains("origin")
        && request.contains("access-control-request-method")
}
