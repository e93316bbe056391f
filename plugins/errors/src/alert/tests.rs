use super::*;

const MINUTE: u64 = 60_000;
const START: u64 = 1_000_000;

fn rule(when: When) -> Rule {
    let window = matches!(
        when,
        When::Frequency { .. } | When::Percent { .. } | When::UniqueUsers { .. }
    );
    Rule {
        name: "a".to_owned(),
        when,
        notify: vec![0],
        interval: 30 * MINUTE,
        resolve_after: if window { MINUTE } else { 30 * MINUTE },
        resolved: true,
        severity: "warning",
        limit: 10,
    }
}

/// Merges one delta through the encoded state, as workers do.
fn merge(
    board: &mut Vec<u8>,
    rule: &Rule,
    mono: u64,
    requests: u64,
    deltas: &[Delta<'_>],
) -> Vec<(Status, u64)> {
    let mut state = Board::decode(board);
    let outcome = state.merge(
        rule,
        Moment {
            mono: START + mono,
            wall: mono,
        },
        requests,
        deltas,
    );
    *board = state.encode();
    assert_eq!(Board::decode(board), state, "state is read back");
    outcome
        .signals
        .iter()
        .map(|signal| (signal.status, signal.measured))
        .collect()
}

fn seen(title: &Title, count: u64) -> Delta<'_> {
    Delta {
        fingerprint: 7,
        count,
        is_new: false,
        quiet: Some(0),
        users: &[],
        title,
    }
}

#[test]
fn each_kind_turns_on_and_off_as_it_says() {
    let title = Title {
        what: "HTTP 503".to_owned(),
        route: "GET /".to_owned(),
        cluster: String::new(),
    };
    let many = |count| Delta {
        ..seen(&title, count)
    };
    let new = |count| Delta {
        is_new: true,
        quiet: None,
        ..seen(&title, count)
    };
    let back = |quiet| Delta {
        quiet: Some(quiet),
        ..seen(&title, 1)
    };
    let none = || Delta {
        count: 0,
        ..seen(&title, 0)
    };
    let (on, off) = (Status::Firing, Status::Resolved);
    let frequency = When::Frequency {
        count: 100,
        window: MINUTE,
        all: false,
    };
    let percent = When::Percent {
        share: 50_000,
        min_requests: 50,
        window: MINUTE,
    };
    for (name, when, steps) in [
        (
            "first_seen fires once and ends after a quiet interval",
            When::FirstSeen,
            vec![
                (0, 0, new(5), vec![(on, 5)]),
                (1_000, 0, many(5), vec![]),
                (29 * MINUTE, 0, many(5), vec![]),
                (58 * MINUTE, 0, none(), vec![]),
                (59 * MINUTE, 0, none(), vec![(off, 0)]),
            ],
        ),
        (
            "first_seen ends by a look alone",
            When::FirstSeen,
            vec![
                (0, 0, new(1), vec![(on, 1)]),
                (29 * MINUTE, 0, none(), vec![]),
                (30 * MINUTE, 0, none(), vec![(off, 0)]),
            ],
        ),
        (
            "what is known is not first seen",
            When::FirstSeen,
            vec![(0, 0, many(1000), vec![])],
        ),
        (
            "a regression needs the quiet time",
            When::Regression { quiet: 60 * MINUTE },
            vec![
                (0, 0, new(1), vec![]),
                (59 * MINUTE, 0, back(59 * MINUTE), vec![]),
                (120 * MINUTE, 0, back(60 * MINUTE), vec![(on, 1)]),
            ],
        ),
        (
            "a match fires, reminds after the interval, ends",
            When::Match,
            vec![
                (0, 0, many(1), vec![(on, 1)]),
                (29 * MINUTE, 0, many(1), vec![]),
                (30 * MINUTE, 0, many(1), vec![(on, 1)]),
                (60 * MINUTE, 0, none(), vec![(off, 0)]),
            ],
        ),
        (
            "frequency needs the count within the window",
            frequency,
            vec![
                (0, 0, many(60), vec![]),
                (60_000, 0, many(60), vec![]),
                (61_000, 0, many(40), vec![(on, 100)]),
                (62_000, 0, many(5000), vec![]),
            ],
        ),
        (
            "frequency ends when the window is below the count for a while",
            frequency,
            vec![
                (0, 0, many(100), vec![(on, 100)]),
                (59_000, 0, none(), vec![]),
                (119_000, 0, none(), vec![(off, 0)]),
                (121_000, 0, none(), vec![]),
            ],
        ),
        (
            "frequency does not fire again within the interval",
            frequency,
            vec![
                (0, 0, many(100), vec![(on, 100)]),
                (2 * MINUTE, 0, none(), vec![(off, 0)]),
                (3 * MINUTE, 0, many(100), vec![]),
                (30 * MINUTE, 0, many(100), vec![(on, 100)]),
            ],
        ),
        (
            "one error in two requests does not page",
            percent,
            vec![(0, 2, many(1), vec![]), (1_000, 47, none(), vec![])],
        ),
        (
            "percent fires with enough traffic",
            percent,
            vec![
                (0, 40, many(4), vec![]),
                (1_000, 60, many(1), vec![(on, 5)]),
            ],
        ),
        (
            "percent is exact at its bound",
            percent,
            vec![(0, 101, many(5), vec![])],
        ),
        (
            "percent ends when all is well again",
            percent,
            vec![
                (0, 100, many(50), vec![(on, 50)]),
                (MINUTE, 100, none(), vec![(off, 0)]),
            ],
        ),
    ] {
        let (rule, mut board) = (rule(when), Vec::new());
        for (mono, requests, delta, expected) in steps {
            assert_eq!(
                merge(&mut board, &rule, mono, requests, &[delta]),
                expected,
                "{name}: at {mono}"
            );
        }
    }
}

#[test]
fn users_are_counted_once_each_and_only_within_the_window() {
    let (title, rule) = (
        Title::default(),
        rule(When::UniqueUsers {
            count: 3,
            window: MINUTE,
        }),
    );
    let mut board = Vec::new();
    for (mono, users, expected) in [
        (0, vec![1, 1, 1, 2], vec![]),
        (1_000, vec![2, 1], vec![]),
        (62_000, vec![3], vec![]),
        (63_000, vec![1, 2, 4, 5], vec![(Status::Firing, 3)]),
    ] {
        assert_eq!(
            merge(
                &mut board,
                &rule,
                mono,
                0,
                &[Delta {
                    users: &users,
                    ..seen(&title, 4)
                }]
            ),
            expected,
            "at {mono}"
        );
    }
}

#[test]
fn errors_are_told_apart_unless_all_are_looked_at_together() {
    let title = Title::default();
    let deltas: Vec<_> = (0..10)
        .map(|fingerprint| Delta {
            fingerprint,
            ..seen(&title, 10)
        })
        .collect();
    let own = rule(When::Frequency {
        count: 100,
        window: MINUTE,
        all: false,
    });
    let all = rule(When::Frequency {
        count: 100,
        window: MINUTE,
        all: true,
    });
    assert_eq!(merge(&mut Vec::new(), &own, 0, 0, &deltas), []);
    assert_eq!(
        merge(&mut Vec::new(), &all, 0, 0, &deltas),
        [(Status::Firing, 100)]
    );
}

#[test]
fn a_hundred_new_errors_give_no_more_notices_than_the_limit_and_only_those_are_resolved() {
    let (title, rule) = (Title::default(), rule(When::FirstSeen));
    let deltas: Vec<_> = (0..100)
        .map(|fingerprint| Delta {
            fingerprint,
            is_new: true,
            ..seen(&title, 1)
        })
        .collect();
    let mut board = Board::default();
    let outcome = board.merge(
        &rule,
        Moment {
            mono: START,
            wall: 0,
        },
        0,
        &deltas,
    );
    assert_eq!(
        (outcome.signals.len(), board.followed.len()),
        (10, FOLLOWED)
    );
    assert_eq!(
        outcome.suppressed, 54,
        "what is not followed is not counted as a notice"
    );
    let outcome = board.merge(
        &rule,
        Moment {
            mono: START + 30 * MINUTE,
            wall: 0,
        },
        0,
        &[],
    );
    assert_eq!(
        outcome
            .signals
            .iter()
            .filter(|signal| signal.status == Status::Resolved)
            .count(),
        10
    );
    assert!(board.followed.is_empty(), "nothing is kept of what is over");
}

#[test]
fn a_mono_clock_that_starts_anew_and_garbage_stop_nothing() {
    let (title, rule) = (
        Title::default(),
        rule(When::Frequency {
            count: 1,
            window: MINUTE,
            all: false,
        }),
    );
    let mut board = Board::default();
    board.merge(
        &rule,
        Moment {
            mono: u64::MAX - 5,
            wall: u64::MAX,
        },
        u64::MAX,
        &[seen(&title, u64::MAX)],
    );
    board.merge(
        &rule,
        Moment { mono: 1, wall: 0 },
        0,
        &[seen(&title, u64::MAX)],
    );
    assert_eq!(Board::decode(b"\x01\x01\0\0\0x"), Board::default());
}

proptest::proptest! {
    #[test]
    fn an_interval_never_holds_two_notices_of_one_error(steps in proptest::collection::vec((0_u64..10 * MINUTE, 0_u64..200), 1..200)) {
        let (title, rule) = (Title::default(), rule(When::Frequency { count: 100, window: MINUTE, all: false }));
        let (mut board, mut mono, mut last) = (Vec::new(), 0, None);
        for (wait, count) in steps {
            mono += wait;
            for (status, _) in merge(&mut board, &rule, mono, 0, &[seen(&title, count)]) {
                if status == Status::Firing {
                    proptest::prop_assert!(last.is_none_or(|last| mono - last >= 30 * MINUTE));
                    last = Some(mono);
                }
            }
        }
    }
}
