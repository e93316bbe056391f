//! A gateway with the plugin alone, and requests to it.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::panic, reason = "in a test a panic is the message")]

use std::time::Duration;

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

pub(crate) const HSTS: &str = "strict-transport-security";

/// The response to a request for a host, over TLS or not, that passes.
pub(crate) fn response(
    gateway: &mut Gateway,
    authority: &str,
    tls: bool,
    upstream: &[(&str, &str)],
) -> Vec<(String, String)> {
    let mut fields = vec![(":status", "200")];
    fields.extend(upstream);
    let mut exchange: Exchange<Member<Tls>> = Exchange::new(&[
        (":method", "GET"),
        (":path", "/healthz"),
        (":authority", authority),
    ])
    .respond(&fields);
    if tls {
        exchange = exchange.with(Attribute::TlsVersion, "TLSv1.3");
    }
    gateway.exchange(&mut exchange, Duration::ZERO);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    exchange
        .facts
        .response
        .iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

pub(crate) fn all<'a>(response: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    response
        .iter()
        .filter(|(own, _)| own == name)
        .map(|(_, value)| value.as_str())
        .collect()
}
