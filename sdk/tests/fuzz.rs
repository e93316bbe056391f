//! Every parser of the SDK against mutated input: none panics, and what was understood is understood again when it is written.
//!
//! 1. The seeds are lines of `tests/corpus/<parser>.txt`. A mutant is a seed with one to eight changes: a bit, a byte, a cut, a
//!    repetition, a piece of another seed, a piece from a list of awkward ones.
//! 2. The draws are seeded, so that a run repeats: what fails once fails each time. `FUZZ_MUTANTS=` makes more.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test"
)]

use std::collections::BTreeMap;

use launchgate_sdk::claim::{ClaimConfig, ClaimSource};
use launchgate_sdk::config::Parsed;
use launchgate_sdk::cookie::{self, SetCookie};
use launchgate_sdk::headers::Headers;
use launchgate_sdk::path::{self, RequestPath};
use launchgate_sdk::route::RouteTemplate;
use launchgate_sdk::trace::{B3, Baggage, SentryTrace, TraceParent, TraceState};
use launchgate_sdk::{Cidr, Peer, Period, Timestamp, retry_after};

const MUTANTS: u64 = 20_000;
const AWKWARD: &[&[u8]] = &[
    b"\xff\xfe",
    b"\0",
    b"\r\n",
    b"%",
    b"%zz",
    b"${",
    b"}",
    b"\\u",
    b"=",
    b";",
    b",",
    b"-",
    b"9999999999999999999999",
    b"\xc3",
    b"\xf0\x9f\x98\x80",
    b"\"",
    b"[",
    b"..",
];

/// SplitMix64.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}

fn mutate(seeds: &[&[u8]], draw: &mut Draw) -> Vec<u8> {
    let mut bytes = seeds[draw.below(seeds.len())].to_vec();
    for _ in 0..=draw.below(8) {
        let at = draw.below(bytes.len() + 1);
        match draw.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << draw.below(8),
            1 => bytes.insert(at, u8::try_from(draw.below(256)).unwrap()),
            2 => bytes.truncate(at),
            3 => {
                let piece = bytes[at..].to_vec();
                bytes.extend(piece);
            }
            4 => {
                let other = seeds[draw.below(seeds.len())];
                bytes.extend(&other[draw.below(other.len())..]);
            }
            _ => drop(bytes.splice(at..at, AWKWARD[draw.below(AWKWARD.len())].iter().copied())),
        }
        bytes.truncate(4096);
    }
    bytes
}

/// Gives the parser every seed as it is, then the mutants.
fn fuzz(corpus: &str, mut parser: impl FnMut(&[u8])) {
    let seeds: Vec<&[u8]> = corpus.lines().map(str::as_bytes).collect();
    assert!(seeds.len() >= 5, "{} seeds", seeds.len());
    seeds.iter().for_each(|seed| parser(seed));
    let mutants = std::env::var("FUZZ_MUTANTS").map_or(MUTANTS, |text| text.parse().unwrap());
    let mut draw = Draw(7);
    for _ in 0..mutants {
        parser(&mutate(&seeds, &mut draw));
    }
}

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
fn periods_and_retry_after() {
    fuzz(include_str!("corpus/period.txt"), |bytes| {
        let text = text(bytes);
        if let Some(read) = Period::parse(&text) {
            assert_eq!(Period::parse(&read.to_string()), Some(read), "{text:?}");
        }
        retry_after::parse(&text, Timestamp::default());
        retry_after::parse_http_date(&text);
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
    let environment = BTreeMap::from([("NAME".to_owned(), "}${OTHER}".to_owned())]);
    fuzz(include_str!("corpus/config.txt"), |bytes| {
        if let Err(errors) = Parsed::read(bytes, &environment) {
            let told = errors.to_string();
            assert!(!told.is_empty() && !told.contains('\n'), "{told:?}");
        }
    });
}
