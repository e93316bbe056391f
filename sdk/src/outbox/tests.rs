use super::*;
use crate::headers::Headers;
use wasm_bindgen_test::wasm_bindgen_test;

const NOW: Duration = Duration::from_secs(100);

fn limits() -> Limits {
    Limits {
        items: 4,
        bytes: 100,
        batch_items: 2,
        batch_bytes: 50,
        attempts: 3,
        ..Limits::default()
    }
}

fn after(millis: u64) -> Duration {
    NOW + Duration::from_millis(millis)
}

fn filled(limits: Limits, items: &[u32]) -> Outbox<u32> {
    let mut outbox = Outbox::new(limits);
    for item in items {
        assert!(outbox.push(*item, 10, NOW).is_empty());
    }
    outbox
}

#[wasm_bindgen_test(unsupported = test)]
fn what_does_not_fit_is_given_back() {
    for (name, overflow, pushes, dropped, bytes) in [
        (
            "the oldest goes when there are too many",
            Overflow::Oldest,
            &[(1, 10), (2, 10), (3, 10), (4, 10), (5, 10)][..],
            &[1][..],
            40,
        ),
        (
            "the newest goes when there are too many",
            Overflow::Newest,
            &[(1, 10), (2, 10), (3, 10), (4, 10), (5, 10)],
            &[5],
            40,
        ),
        (
            "several go for a large one",
            Overflow::Oldest,
            &[(1, 40), (2, 40), (3, 90)],
            &[1, 2],
            90,
        ),
        (
            "one larger than the queue goes at once",
            Overflow::Oldest,
            &[(1, 40), (2, 101)],
            &[2],
            40,
        ),
    ] {
        let mut outbox = Outbox::new(Limits {
            overflow,
            ..limits()
        });
        let given: Vec<u32> = pushes
            .iter()
            .flat_map(|(item, size)| outbox.push(*item, *size, NOW))
            .collect();
        assert_eq!(
            (given.as_slice(), outbox.bytes()),
            (dropped, bytes),
            "{name}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn batches_are_bounded_and_one_is_on_its_way_at_a_time() {
    let mut outbox = filled(limits(), &[1, 2, 3]);
    assert_eq!(outbox.batch(NOW), Some(vec![&1, &2]));
    assert_eq!(outbox.batch(NOW), None, "one at a time");
    assert_eq!(
        (outbox.len(), outbox.bytes()),
        (3, 30),
        "what is on its way counts"
    );
    assert!(outbox.settle(Settlement::Delivered, NOW, 0).is_empty());
    assert_eq!(outbox.batch(NOW), Some(vec![&3]));
    assert!(outbox.settle(Settlement::Delivered, NOW, 0).is_empty());
    assert!(outbox.is_empty() && outbox.bytes() == 0 && outbox.batch(NOW).is_none());

    let mut large = Outbox::new(limits());
    assert!(large.push(1, 60, NOW).is_empty() && large.push(2, 30, NOW).is_empty());
    assert_eq!(
        large.batch(NOW),
        Some(vec![&1]),
        "one larger than a batch goes alone"
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn a_batch_lingers_until_it_is_full_or_old() {
    let lingering = Limits {
        linger: Duration::from_secs(5),
        ..limits()
    };
    let mut outbox = filled(lingering.clone(), &[1]);
    assert_eq!(outbox.batch(after(4_999)), None);
    assert_eq!(outbox.batch(after(5_000)), Some(vec![&1]));
    assert_eq!(
        filled(lingering, &[1, 2]).batch(NOW),
        Some(vec![&1, &2]),
        "full by items"
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn a_refused_batch_comes_first_again_after_a_growing_wait() {
    let mut outbox = filled(limits(), &[1, 2, 3]);
    for (attempt, shortest, longest) in [(1, 500, 1_000), (2, 1_000, 2_000)] {
        let mut start = after(attempt * 60_000);
        assert_eq!(outbox.batch(start), Some(vec![&1, &2]));
        assert!(
            outbox
                .settle(Settlement::Retry(Duration::ZERO), start, 0)
                .is_empty()
        );
        assert_eq!(
            outbox.batch(start + Duration::from_millis(shortest - 1)),
            None,
            "attempt {attempt}"
        );
        start += Duration::from_millis(longest);
        assert!(outbox.not_before <= start, "attempt {attempt}");
    }
    let start = after(600_000);
    assert_eq!(outbox.batch(start), Some(vec![&1, &2]));
    assert_eq!(
        outbox.settle(Settlement::Retry(Duration::ZERO), start, u64::MAX),
        [1, 2],
        "given back after the last attempt"
    );
    assert_eq!(
        outbox.batch(start + Duration::from_secs(5)),
        Some(vec![&3]),
        "and the next batch goes on"
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn the_server_can_ask_for_a_longer_wait() {
    let mut outbox = filled(limits(), &[1]);
    assert!(outbox.batch(NOW).is_some());
    assert!(
        outbox
            .settle(Settlement::Retry(Duration::from_secs(60)), NOW, 0)
            .is_empty()
    );
    outbox.hold(Duration::from_secs(5), NOW);
    assert_eq!(outbox.batch(after(59_999)), None);
    assert!(outbox.batch(after(60_000)).is_some());
}

#[wasm_bindgen_test(unsupported = test)]
fn unwanted_items_are_taken_out() {
    let mut outbox = filled(limits(), &[1, 2, 3, 4]);
    assert_eq!(outbox.remove(|item| item % 2 == 0), [2, 4]);
    assert_eq!((outbox.len(), outbox.bytes()), (2, 20));
}

#[wasm_bindgen_test(unsupported = test)]
fn answers_are_settled_as_otlp_says() {
    let response = |status, headers: &[(&str, &str)]| Answer::Response {
        status,
        headers: Headers::from_pairs(headers.iter().copied()),
        body: Vec::new(),
        trailers: Headers::default(),
    };
    for (answer, settlement) in [
        (response(200, &[]), Settlement::Delivered),
        (response(204, &[]), Settlement::Delivered),
        (
            response(429, &[("retry-after", "7")]),
            Settlement::Retry(Duration::from_secs(7)),
        ),
        (response(503, &[]), Settlement::Retry(Duration::ZERO)),
        (response(400, &[("retry-after", "7")]), Settlement::Refused),
        (response(500, &[]), Settlement::Refused),
        (Answer::Timeout, Settlement::Retry(Duration::ZERO)),
        (Answer::NotSent, Settlement::Retry(Duration::ZERO)),
    ] {
        assert_eq!(
            Settlement::of(&answer, Timestamp::default()),
            settlement,
            "{answer:?}"
        );
    }
}

#[cfg(not(target_family = "wasm"))]
proptest::proptest! {
    #[test]
    fn nothing_is_lost_unseen_and_no_bound_is_broken(
        steps in proptest::collection::vec((0_u8..6, 0_usize..130, proptest::num::u64::ANY), 0..200),
        oldest in proptest::bool::ANY,
    ) {
        let overflow = if oldest { Overflow::Oldest } else { Overflow::Newest };
        let mut outbox = Outbox::new(Limits { overflow, ..limits() });
        let (mut pushed, mut gone, mut now) = (0_usize, 0_usize, NOW);
        for (kind, size, random) in steps {
            now += Duration::from_millis(random % 3_000);
            match kind {
                0..=2 => {
                    pushed += 1;
                    gone += outbox.push(pushed, size, now).len();
                }
                3 => {
                    if let Some(batch) = outbox.batch(now) {
                        proptest::prop_assert!(!batch.is_empty() && batch.len() <= 2);
                    }
                }
                4 if outbox.is_busy() => {
                    let before = outbox.len();
                    gone += outbox.settle(Settlement::Retry(Duration::ZERO), now, random).len();
                    proptest::prop_assert!(outbox.len() <= before);
                }
                5 if outbox.is_busy() => {
                    let before = outbox.len();
                    proptest::prop_assert!(outbox.settle(Settlement::Delivered, now, random).is_empty());
                    gone += before - outbox.len();
                }
                _ => {}
            }
            proptest::prop_assert!(outbox.len() <= 4 && outbox.bytes() <= 100);
            proptest::prop_assert_eq!(outbox.len() + gone, pushed);
        }
    }
}
