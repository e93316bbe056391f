//! The parsers of what operators and Sentry write, against mutated input.

use std::time::Duration;

use launchgate_sdk::Timestamp;
use launchgate_sdk::fuzz::fuzz;
use launchgate_sdk::headers::Headers;
use launchgate_sdk::retry_after::LONGEST;

use crate::dsn::Dsn;
use crate::rate_limit::{Category, Deadlines};

const MONO: Duration = Duration::from_secs(1000);

#[test]
fn a_dsn_that_is_understood_is_understood_again_and_breaks_no_header() {
    fuzz(include_str!("corpus/dsn.txt"), |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Some(dsn) = Dsn::parse(&text) else {
            return;
        };
        let auth = dsn.auth("c/1");
        assert!(
            auth.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{text:?}: {auth:?}"
        );
        let is_plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_graphic());
        assert!(
            is_plain(&dsn.authority) && !dsn.authority.is_empty(),
            "{text:?}"
        );
        assert!(!dsn.authority.contains(['/', '@', '?', '#']), "{text:?}");
        assert!(is_plain(&dsn.path) && dsn.path.starts_with('/'), "{text:?}");
        let place = dsn.path.strip_suffix("/envelope/").unwrap();
        let (prefix, project) = place.rsplit_once("/api/").unwrap();
        let secret = dsn
            .secret_key
            .as_ref()
            .map_or(String::new(), |s| format!(":{}", s.expose()));
        let written = format!(
            "https://{}{secret}@{}{prefix}/{project}",
            dsn.public_key.expose(),
            dsn.authority
        );
        assert_eq!(Dsn::parse(&written).as_ref(), Some(&dsn), "{text:?}");
    });
}

#[test]
fn no_rate_limit_is_longer_than_a_day_and_all_workers_read_the_same() {
    fuzz(include_str!("corpus/rate-limits.txt"), |bytes| {
        for (status, name) in [
            (200, "x-sentry-rate-limits"),
            (429, "x-sentry-rate-limits"),
            (429, "retry-after"),
        ] {
            let headers = Headers::from_pairs([(name, bytes)]);
            let deadlines = Deadlines::read(
                status,
                &headers,
                Timestamp::from_seconds(1_795_348_800),
                MONO,
            );
            let past = MONO + LONGEST + Duration::from_millis(1);
            assert!(!deadlines.is_any(past), "{status} {name} {bytes:?}");
            assert_eq!(
                Deadlines::decode(&deadlines.encode(), MONO),
                deadlines,
                "{status} {name} {bytes:?}"
            );
            let mut merged = Deadlines::default();
            merged.merge(&deadlines);
            merged.merge(&deadlines);
            assert_eq!(merged, deadlines, "{status} {name} {bytes:?}");
        }
        // Only a 429 is limited by it.
        let headers = Headers::from_pairs([("retry-after", bytes)]);
        let other = Deadlines::read(503, &headers, Timestamp::default(), MONO);
        assert!(!other.is_limited(Category::Error, MONO), "{bytes:?}");
    });
}
