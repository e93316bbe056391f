use launchgate_sdk::map::Map;

use launchgate_sdk::hash::Digest;
use launchgate_sdk::{Counter, Gauge, Ports};

use super::*;

const THROTTLE: Throttle = Throttle {
    burst: 5,
    window: Duration::from_secs(60),
};
const HOUR: u64 = 3_600_000;

/// Shared data as Envoy has it.
#[derive(Default)]
struct Shared(Map<String, (Vec<u8>, u32)>);

impl Ports for Shared {
    fn shared(&mut self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.0.get(key).cloned()
    }

    fn compare_and_set(&mut self, key: &str, version: Option<u32>, value: &[u8]) -> bool {
        let current = self.0.get(key).map(|(_, version)| *version);
        if current.is_some() && version.is_some() && current != version {
            return false;
        }
        self.0
            .insert(key.to_owned(), (value.to_vec(), current.unwrap_or(0) + 1));
        true
    }

    fn counter(&mut self, _: Counter) -> u64 {
        0
    }

    fn gauge(&mut self, _: Gauge) -> u64 {
        0
    }

    fn random(&mut self) -> u64 {
        4
    }
}

fn fingerprint(number: u64) -> u64 {
    u64::from_le_bytes(
        Digest::sha256(&number.to_le_bytes()).bytes()[..8]
            .try_into()
            .unwrap(),
    )
}

fn batch(count: u64, offered: u32) -> Batch {
    Batch {
        count,
        kept: count,
        offered,
    }
}

fn at(mono: u64) -> Moment {
    Moment {
        mono: mono + 1,
        wall: mono,
    }
}

#[test]
fn the_first_events_pass_the_rest_is_summed_up_and_the_next_window_begins_with_the_next_event() {
    let mut shared = Shared::default();
    let mut state = State::new(&mut shared, "x/");
    prepare(&mut state);
    let fp = fingerprint(1);
    for (name, mono, count, offered, tokens, is_new, summary) in [
        ("the first at once", 0, 1, 1, 1, true, None),
        ("up to the burst", 1_000, 10, 10, 4, false, None),
        ("none beyond it", 2_000, 90, 5, 0, false, None),
        (
            "the last millisecond belongs to the window",
            59_999,
            1,
            1,
            0,
            false,
            None,
        ),
        (
            "a look at its end closes it",
            60_000,
            0,
            0,
            0,
            false,
            Some(Summary {
                suppressed: 97,
                since: 1_000,
            }),
        ),
        (
            "and a second look gives nothing",
            60_001,
            0,
            0,
            0,
            false,
            None,
        ),
        ("the next events pass", 61_000, 7, 7, 5, false, None),
        (
            "an event can close a window too",
            200_000,
            1,
            1,
            1,
            false,
            Some(Summary {
                suppressed: 2,
                since: 61_000,
            }),
        ),
    ] {
        let admission = admit(&mut state, fp, at(mono), THROTTLE, batch(count, offered)).unwrap();
        assert_eq!(
            (admission.tokens, admission.is_new, admission.summary),
            (tokens, is_new, summary),
            "{name}"
        );
    }
    assert_eq!(
        admit(&mut state, fingerprint(2), at(1), THROTTLE, batch(0, 0)),
        None,
        "nothing is created by a look"
    );
}

#[test]
fn quiet_is_the_time_since_the_last_occurrence_and_a_look_is_none() {
    let mut shared = Shared::default();
    let mut state = State::new(&mut shared, "x/");
    let fp = fingerprint(1);
    let mut quiet = |mono, count| {
        admit(&mut state, fp, at(mono), THROTTLE, batch(count, 0))
            .unwrap()
            .quiet
    };
    assert_eq!(quiet(0, 1), None);
    assert_eq!(quiet(100_000, 0), Some(Duration::from_secs(100)));
    assert_eq!(quiet(200_000, 1), Some(Duration::from_secs(200)));
    assert_eq!(
        quiet(50_000, 1),
        Some(Duration::ZERO),
        "a clock that stepped back"
    );
}

#[test]
fn the_set_is_bounded_and_what_went_is_not_new_again_within_a_day() {
    let mut shared = Shared::default();
    let mut state = State::new(&mut shared, "x/");
    prepare(&mut state);
    let note = |state: &mut State<'_>, number, mono| {
        admit(state, fingerprint(number), at(mono), THROTTLE, batch(1, 1)).unwrap()
    };
    let (mut fresh, mut evicted) = (0, 0);
    for number in 0..6_000 {
        let admission = note(&mut state, number, number);
        fresh += u32::from(admission.is_new);
        evicted += u32::from(admission.evicted);
    }
    assert!(
        fresh >= 5_950,
        "hardly any is taken for one that went: {fresh}"
    );
    assert!(evicted >= 6_000 - 4_096, "{evicted}");
    let kept: usize = (0..SETS)
        .map(|set| Set::decode(&state.get(&set_key(set)).unwrap()).0.len())
        .sum();
    assert!(kept <= 4_096, "{kept}");
    for number in 0..6_000 {
        assert!(
            !note(&mut state, number, 23 * HOUR).is_new,
            "{number} fired again within a day"
        );
    }
}

#[test]
fn what_went_long_ago_is_new_again() {
    let mut shared = Shared::default();
    let mut state = State::new(&mut shared, "x/");
    bury(&mut state, fingerprint(1), 1);
    let ghost = |state: &mut State<'_>, mono| {
        GHOSTS.iter().any(|key| {
            Ghost::decode(&state.get(key).unwrap_or_default()).contains(fingerprint(1), mono)
        })
    };
    assert!(ghost(&mut state, 47 * HOUR));
    assert!(!ghost(&mut state, 49 * HOUR));
    bury(&mut state, fingerprint(2), 25 * HOUR);
    assert!(
        ghost(&mut state, 26 * HOUR),
        "the younger filter is another one"
    );
    bury(&mut state, fingerprint(3), 50 * HOUR);
    assert!(!ghost(&mut state, 50 * HOUR), "the older one was emptied");
}

#[test]
fn garbage_in_shared_state_counts_as_absent() {
    let mut shared = Shared::default();
    for set in 0..SETS {
        shared
            .0
            .insert(format!("x/seen/{set}"), (b"\x01garbage".to_vec(), 1));
    }
    let mut state = State::new(&mut shared, "x/");
    assert!(
        admit(&mut state, fingerprint(1), at(0), THROTTLE, batch(1, 1))
            .unwrap()
            .is_new
    );
}

proptest::proptest! {
    #[test]
    fn no_window_lets_more_pass_than_its_burst_and_every_occurrence_is_counted(steps in proptest::collection::vec((0_u64..30_000, 0_u64..20, 0_u32..20), 1..100)) {
        let mut shared = Shared::default();
        let mut state = State::new(&mut shared, "x/");
        let (mut mono, mut total, mut passed, mut summed) = (0, 0, 0, 0);
        for (wait, count, offered) in steps {
            mono += wait;
            let Some(admission) = admit(&mut state, fingerprint(9), at(mono), THROTTLE, batch(count, offered.min(u32::try_from(count).unwrap()))) else { continue };
            proptest::prop_assert!(admission.tokens <= 5);
            total += count;
            passed += u64::from(admission.tokens);
            summed += admission.summary.map_or(0, |summary| summary.suppressed);
        }
        summed += admit(&mut state, fingerprint(9), at(mono + 60_000), THROTTLE, batch(0, 0)).and_then(|admission| admission.summary).map_or(0, |summary| summary.suppressed);
        proptest::prop_assert_eq!(passed + summed, total);
    }
}
