use super::*;
use crate::config::{Kind, RawDependency};
use launchgate_sdk::ConfigErrors;

const SECOND: Duration = Duration::from_secs(1);

fn dependency(failure_threshold: u32, success_threshold: u32) -> Dependency {
    let raw: RawDependency = launchgate_sdk::config::read(
        serde_json::json!({
            "name": "db", "kind": "http", "cluster": "db", "interval": "1s",
            "failure_threshold": failure_threshold, "success_threshold": success_threshold,
        })
        .to_string(),
    )
    .unwrap();
    assert_eq!(raw.kind, Kind::Http);
    Dependency::build(raw, "x", &mut ConfigErrors::default())
}

/// Runs letters through a record: `s` success, `f` failure; gives `C` or `U` after each.
fn states(results: &str, failure_threshold: u32, success_threshold: u32) -> String {
    let dependency = dependency(failure_threshold, success_threshold);
    let mut record = Record::fresh(SECOND);
    let state = |letter| {
        let outcome = if letter == 's' {
            Outcome::Success
        } else {
            Outcome::Failure("timeout".to_owned())
        };
        record.take(&outcome, Duration::ZERO, &dependency, SECOND);
        if record.connected { 'C' } else { 'U' }
    };
    results.chars().map(state).collect()
}

#[test]
fn the_first_result_counts_at_once_and_later_ones_by_the_thresholds() {
    for (results, failure, success, expected) in [
        ("s", 3, 1, "C"),
        ("f", 3, 1, "U"),
        ("sffsfff", 3, 1, "CCCCCCU"),
        ("fs", 3, 1, "UC"),
        ("fssfss", 3, 2, "UUCCCC"),
        ("sffffss", 3, 2, "CCCUUUC"),
        ("sfsf", 1, 1, "CUCU"),
    ] {
        assert_eq!(
            states(results, failure, success),
            expected,
            "{results} {failure} {success}"
        );
    }
}

#[test]
fn a_reason_is_kept_until_the_next_success() {
    let dependency = dependency(3, 1);
    let mut record = Record::fresh(SECOND);
    record.take(
        &Outcome::Failure(format!("a\n{}", "b".repeat(100))),
        Duration::from_millis(7),
        &dependency,
        SECOND,
    );
    assert_eq!(
        (record.reason.len(), record.latency),
        (LONGEST_REASON - 1, 7000)
    );
    record.take(&Outcome::Success, Duration::ZERO, &dependency, SECOND);
    assert_eq!(record.reason, "");
}

#[test]
fn the_holder_comes_first_and_others_half_an_interval_later() {
    let mut record = Record::fresh(SECOND);
    assert!(
        record.is_due(1, SECOND, SECOND) && record.is_due(2, SECOND, SECOND),
        "nobody holds it yet"
    );
    record.claim(1, SECOND, SECOND, 0);
    assert_eq!(record.due, 2_000_000_000);
    let at = |record: &Record, worker, millis| {
        record.is_due(worker, SECOND, Duration::from_millis(millis))
    };
    assert!(!at(&record, 1, 1999) && at(&record, 1, 2000));
    assert!(!at(&record, 2, 2499) && at(&record, 2, 2500));
}

#[test]
fn late_claims_stay_on_the_grid_and_a_long_pause_starts_it_anew() {
    let mut record = Record::fresh(SECOND);
    let mut claim = |millis, dice| {
        record.claim(1, SECOND, Duration::from_millis(millis), dice);
        (record.grid / 1_000_000, record.due / 1_000_000)
    };
    assert_eq!(claim(1000, 0), (2000, 2000));
    assert_eq!(claim(2300, 50_000_000), (3000, 3050));
    assert_eq!(
        claim(3050, 199_999_999),
        (4000, 4099),
        "jitter stays below a tenth"
    );
    assert_eq!(claim(9000, 0), (10_000, 10_000), "no burst after a pause");
}

#[test]
fn bytes_of_another_format_count_as_absent() {
    let record = Record {
        reason: "status_500".to_owned(),
        connected: true,
        seen: 9,
        failures: 3,
        ..Record::fresh(SECOND)
    };
    let bytes = record.encode();
    assert_eq!(Record::decode(&bytes), Some(record));
    for cut in 0..bytes.len() {
        assert_eq!(Record::decode(&bytes[..cut]), None, "{cut}");
    }
    let mut other = bytes.clone();
    other[0] = 2;
    assert_eq!(Record::decode(&other), None);
    assert_eq!(Record::decode(&[&bytes[..], b"x"].concat()), None);
}

proptest::proptest! {
    #[test]
    fn no_bytes_stop_the_decoder(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
        let _ = Record::decode(&bytes);
    }
}
