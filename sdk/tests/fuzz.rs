//! Every parser of the SDK against mutated input: none panics, and what was understood is understood again when it is written.
//!
//! The seeds are lines of `tests/corpus/<parser>.txt`; [`launchgate_sdk::fuzz`] mutates them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test"
)]

use launchgate_sdk::claim::{ClaimConfig, ClaimSource};
use launchgate_sdk::config::{Environment, Parsed};
use launchgate_sdk::cookie::{self, SetCookie};
use launchgate_sdk::fuzz::{fuzz, fuzz_bytes};
use launchgate_sdk::headers::Headers;
use launchgate_sdk::path::{self, RequestPath};
use launchgate_sdk::route::RouteTemplate;
use launchgate_sdk::trace::{B3, Baggage, SentryTrace, TraceParent, TraceState};
use launchgate_sdk::{Cidr, Peer, Period, Timestamp, retry_after};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn traceparent() {
    fuzz(include_str!("corpus/traceparent.txt"), |bytes| {
        let Some(read) = TraceParent::parse(bytes) else {
            return;
        };
        let written = format!(
            "{:02x}-{}-{}-{:02x}",
            read.version, read.trace_id, read.parent_id, read.flags
        );
        assert_eq!(
            TraceParent::parse(written.as_bytes()),
            Some(read),
            "{bytes:?}"
        );
    });
}

#[test]
fn other_trace_headers() {
    fuzz(include_str!("corpus/trace.txt"), |bytes| {
        B3::parse(bytes);
        SentryTrace::parse(bytes);
        let headers =
            Headers::from_pairs([("baggage", bytes), ("b3", bytes), ("sentry-trace", bytes)]);
        assert!(Baggage::read(&headers).members().count() <= bytes.len());
        if let Some(state) = TraceState::parse([bytes]) {
            let written: Vec<_> = state
                .members()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            let again = TraceState::parse([written.join(",").as_bytes()]);
            let members = |state: &TraceState| {
                state
                    .members()
                    .map(|(k, v)| (k.to_owned(), v.to_owned()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                again.as_ref().map(members),
                Some(members(&state)),
                "{bytes:?}"
            );
        }
    });
}

#[test]
fn cookies() {
    fuzz(include_str!("corpus/cookie.txt"), |bytes| {
        let _ = SetCookie::parse(bytes);
        let headers = Headers::from_pairs([("cookie", bytes)]);
        for (name, value) in cookie::cookies(&headers) {
            assert!(name.len() + value.len() <= bytes.len());
        }
        cookie::only_cookie(&headers, "a");
    });
}

#[test]
fn address_ranges_and_peers() {
    fuzz(include_str!("corpus/cidr.txt"), |bytes| {
        if let Some(read) = Cidr::parse(&text(bytes)) {
            assert_eq!(
                Cidr::parse(&read.to_string()).map(|c| c.to_string()),
                Some(read.to_string()),
                "{bytes:?}"
            );
        }
    });
    fuzz(include_str!("corpus/peer.txt"), |bytes| {
        Peer::read(Some(bytes), false);
        Peer::read(Some(bytes), true);
    });
}

#[test]
fn header_maps() {
    let hex = |line: &str| -> Vec<u8> {
        (0..line.len() / 2)
            .map(|at| u8::from_str_radix(&line[2 * at..2 * at + 2], 16).unwrap())
            .collect()
    };
    let maps: Vec<_> = include_str!("corpus/header-map.txt")
        .lines()
        .map(hex)
        .collect();
    let seeds: Vec<_> = maps.iter().map(Vec::as_slice).collect();
    fuzz_bytes(&seeds, |bytes| {
        let read = Headers::decode(bytes.to_vec());
        // Counts and sizes may lie; what was read is never more than there was.
        let size: usize = read
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        assert!(size <= bytes.len(), "{bytes:?}");
        let again = Headers::from_pairs(read.iter());
        assert!(again.iter().eq(read.iter()), "{bytes:?}");
    });
}

#[test]
fn periods() {
    fuzz(include_str!("corpus/period.txt"), |bytes| {
        let text = text(bytes);
        if let Some(read) = Period::parse(&text) {
            assert_eq!(Period::parse(&read.to_string()), Some(read), "{text:?}");
        }
    });
}

#[test]
fn retry_after_as_seconds_and_as_date() {
    let now = Timestamp::from_seconds(1_795_348_800);
    fuzz(include_str!("corpus/retry-after.txt"), |bytes| {
        let headers = Headers::from_pairs([("retry-after", bytes)]);
        if let Some(wait) = retry_after::read(&headers, now) {
            assert!(wait <= retry_after::LONGEST, "{bytes:?}");
        }
        retry_after::parse_http_date(&text(bytes));
    });
}

#[test]
fn paths_and_route_templates() {
    fuzz(include_str!("corpus/path.txt"), |bytes| {
        let path = RequestPath::read(bytes);
        assert_eq!(RequestPath::read(path.bytes()), path, "{bytes:?}");
        assert!(path.bytes().len() + path::query(bytes).len() <= bytes.len());
        let _ = RouteTemplate::parse(&text(bytes));
    });
}

#[test]
fn unverified_tokens() {
    let nested = ClaimConfig {
        claim: "a.b".to_owned(),
        source: ClaimSource::Header,
        ..ClaimConfig::default()
    };
    let plain = ClaimConfig {
        source: ClaimSource::Header,
        ..ClaimConfig::default()
    };
    fuzz(include_str!("corpus/jwt.txt"), |bytes| {
        for config in [&nested, &plain] {
            let headers = Headers::from_pairs([(config.header.as_bytes(), bytes)]);
            if let Some(claim) = config.read_header(&headers) {
                assert!(!claim.verified && !claim.value.is_empty());
            }
        }
    });
}

#[test]
fn configurations() {
    let environment = Environment::from([("NAME".to_owned(), "}${OTHER}".to_owned())]);
    fuzz(include_str!("corpus/config.txt"), |bytes| {
        if let Err(errors) = Parsed::read(bytes, &environment) {
            let told = errors.to_string();
            assert!(!told.is_empty() && !told.contains('\n'), "{told:?}");
        }
    });
}
