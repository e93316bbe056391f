//! A gateway with the plugin alone, and requests to it.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::panic, reason = "in a test a panic is the message")]

use launchgate_sdk::fake::{Exchange, Host};
use launchgate_sdk::{Attribute, Member, Verdict};
use launchgate_tls::Tls;

pub(crate) type Gateway = Host<Member<Tls>>;
pub(crate) type Request = Exchange<Member<Tls>>;

pub(crate) fn gateway(config: &str) -> Gateway {
    Host::load(config).unwrap_or_else(|errors| panic!("{config}: {errors}"))
}

pub(crate) fn request(method: &str, authority: &str, path: &str) -> Request {
    Exchange::new(&[
        (":method", method),
        (":path", path),
        (":authority", authority),
        (":scheme", "http"),
    ])
}

pub(crate) fn over_tls(request: Request, version: &str) -> Request {
    request.with(Attribute::TlsVersion, version)
}

/// Status, and `Location` where there is one; `0` for a request that passes.
pub(crate) fn outcome(gateway: &mut Gateway, request: &mut Request) -> (u16, String) {
    match gateway.request(request) {
        Verdict::Reply(reply) => (
            reply.status,
            String::from_utf8_lossy(reply.first("location").unwrap_or_default()).into_owned(),
        ),
        _ => (0, String::new()),
    }
}
