use super::*;
use launchgate_sdk::map::Map;
use launchgate_sdk::{Counter, Gauge, Percent, Period, Ports};

#[derive(Default)]
struct Memory(Map<String, (Vec<u8>, u32)>);

impl Ports for Memory {
    fn shared(&mut self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.0.get(key).cloned()
    }
    fn compare_and_set(&mut self, key: &str, _: Option<u32>, value: &[u8]) -> bool {
        self.0.insert(key.to_owned(), (value.to_vec(), 1));
        true
    }
    fn counter(&mut self, _: Counter) -> u64 {
        0
    }
    fn gauge(&mut self, _: Gauge) -> u64 {
        0
    }
    fn random(&mut self) -> u64 {
        0
    }
}

fn rollout(start: Option<&str>) -> Rollout {
    let stage = |percent, lasts| crate::config::StageConfig {
        percent: Some(Percent::whole(percent)),
        lasts: Period::parse(lasts),
    };
    let mut errors = launchgate_sdk::ConfigErrors::default();
    let schedule = Schedule::new(
        start,
        &[stage(5, "15m"), stage(25, "30m"), stage(100, "")],
        &mut errors,
    );
    Rollout::new("r", schedule, None, None)
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(&format!("2026-11-22T{text}Z")).unwrap()
}

const START: Option<&str> = Some("2026-11-22T12:00:00Z");

#[test]
fn a_clock_that_goes_back_never_lowers_a_stage() {
    let mut memory = Memory::default();
    let mut one = rollout(START);
    assert!(one.climb(at("12:20:00")));
    one.keep_floor(&mut State::new(&mut memory, ""));
    assert!(!one.climb(at("12:00:00")));
    assert_eq!(one.stage(at("11:00:00")), 2);
    let mut other = rollout(START);
    assert_eq!(other.stage(at("11:00:00")), 0);
    other.sync(&mut State::new(&mut memory, ""));
    assert_eq!(other.stage(at("11:00:00")), 2);
}

#[test]
fn a_pause_holds_the_stage_and_resume_goes_back_to_the_schedule() {
    let mut memory = Memory::default();
    let mut state = State::new(&mut memory, "");
    let mut one = rollout(START);
    assert_eq!(one.act(Action::Pause, at("12:01:00"), &mut state), Ok(()));
    assert_eq!(
        (one.stage(at("13:00:00")), one.climb(at("13:00:00"))),
        (1, false)
    );
    assert_eq!(one.act(Action::Promote, at("13:00:00"), &mut state), Ok(()));
    assert_eq!((one.stage(at("13:00:00")), one.position.held), (2, Some(2)));
    assert_eq!(one.act(Action::Resume, at("12:02:00"), &mut state), Ok(()));
    assert_eq!(
        (one.stage(at("12:02:00")), one.stage(at("12:45:00"))),
        (2, 3)
    );
}

#[test]
fn without_a_start_each_promotion_is_one_stage() {
    let mut memory = Memory::default();
    let mut state = State::new(&mut memory, "");
    let mut one = rollout(None);
    for stage in 1..=3 {
        assert_eq!(one.stage(at("23:00:00")), stage);
        let expected = if stage < 3 {
            Ok(())
        } else {
            Err(Refusal::LastStage)
        };
        assert_eq!(
            one.act(Action::Promote, at("23:00:00"), &mut state),
            expected
        );
    }
}

#[test]
fn the_first_end_counts_and_nothing_opens_it_again() {
    let mut memory = Memory::default();
    let mut state = State::new(&mut memory, "");
    let mut one = rollout(START);
    assert!(one.finish(Cause::Slow, at("12:01:00"), 50_000, &mut state));
    assert!(!one.finish(Cause::Errors, at("12:02:00"), 50_000, &mut state));
    let mut other = rollout(START);
    other.sync(&mut state);
    assert_eq!(
        other.end,
        Some(End {
            cause: Cause::Slow,
            at: at("12:01:00"),
            share: 50_000,
            noticed: false
        })
    );
    assert!(other.mark_noticed(&mut state) && !one.mark_noticed(&mut state));
    for action in [Action::Pause, Action::Resume, Action::Promote] {
        assert_eq!(
            other.act(action, at("12:03:00"), &mut state),
            Err(Refusal::Ended)
        );
    }
    assert_eq!(other.act(Action::Abort, at("12:03:00"), &mut state), Ok(()));
    assert_eq!(other.end.map(|end| end.cause), Some(Cause::Slow));
}

#[test]
fn a_gradual_rollback_falls_in_a_straight_line() {
    let end = End {
        cause: Cause::Errors,
        at: at("12:00:00"),
        share: 250_000,
        noticed: true,
    };
    let minute = Duration::from_secs(60);
    for (time, left) in [
        ("11:59:00", 250_000),
        ("12:00:00", 250_000),
        ("12:00:30", 125_000),
        ("12:00:59", 4166),
        ("12:01:00", 0),
        ("13:00:00", 0),
    ] {
        assert_eq!(end.share_left(at(time), minute), left, "{time}");
    }
    assert_eq!(end.share_left(at("12:00:00"), Duration::ZERO), 0);
}

#[test]
fn the_fleets_config_bounds_and_lifts_the_stage() {
    let mut one = rollout(START);
    one.hold_at = Some(2);
    assert_eq!(one.stage(at("13:00:00")), 2);
    one.promote_to = 3;
    assert_eq!(one.stage(at("11:00:00")), 2);
    one.hold_at = None;
    assert_eq!(one.stage(at("11:00:00")), 3);
    one.promote_to = 9;
    assert_eq!(one.stage(at("11:00:00")), 3);
}

#[test]
fn foreign_bytes_count_as_absent() {
    for bytes in [
        &b""[..],
        b"x",
        &[1, 14],
        &[1, 14, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[2, 14, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        assert_eq!(End::decode(bytes), None, "{bytes:?}");
        assert_eq!(Position::decode(bytes), None, "{bytes:?}");
    }
}
