//! Where a rollout stands on this proxy: what all its workers share.
//!
//! 1. The **end** of a rollout (rolled back or aborted) is written once under the rollout's id and never taken back: only a
//!    new id opens again. It outlives config reloads.
//! 2. The **position** (lowest stage, pause) is kept under id and schedule: a new schedule begins anew.
//! 3. The stage is the schedule's, but never lower than one that was reached (a clock may go back) or promoted; a pause
//!    holds it; the fleet's `hold_at` bounds it.
//! 4. After a gradual rollback begins the share falls to 0 in a straight line, by wall time.

use std::time::Duration;

use launchgate_sdk::{State, Timestamp};

use crate::schedule::Schedule;

/// Why a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Too many 5xx.
    Errors,
    /// Too slow.
    Slow,
    /// Far more errors than stable.
    Surge,
    /// Another proxy rolled back.
    Fleet,
    /// An operator aborted it on this proxy.
    Abort,
}

const CAUSES: [(Cause, &str); 5] = [
    (Cause::Errors, "errors"),
    (Cause::Slow, "slow"),
    (Cause::Surge, "surge"),
    (Cause::Fleet, "fleet"),
    (Cause::Abort, "abort"),
];

impl Cause {
    /// As a label value.
    pub(crate) fn as_str(self) -> &'static str {
        CAUSES
            .iter()
            .find(|(cause, _)| *cause == self)
            .map_or("", |(_, text)| text)
    }

    fn code(self) -> u8 {
        (1..)
            .zip(CAUSES)
            .find(|(_, (cause, _))| *cause == self)
            .map_or(0, |(code, _)| code)
    }

    fn of(code: u8) -> Option<Self> {
        CAUSES
            .get(usize::from(code).checked_sub(1)?)
            .map(|(cause, _)| *cause)
    }
}

/// The end of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// Why.
    pub(crate) cause: Cause,
    /// When.
    pub(crate) at: Timestamp,
    /// Share at that time, in millionths.
    pub(crate) share: u32,
    /// Whether the notifiers were told.
    pub(crate) noticed: bool,
}

const END_VERSION: u8 = 1;
const END_SIZE: u8 = 14;

impl End {
    fn encode(self) -> Vec<u8> {
        let mut bytes = vec![END_VERSION, END_SIZE, self.cause.code()];
        bytes.extend_from_slice(&self.at.nanos().to_le_bytes());
        bytes.extend_from_slice(&self.share.to_le_bytes());
        bytes.push(u8::from(self.noticed));
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[END_VERSION, END_SIZE])?;
        let (cause, rest) = rest.split_first()?;
        let (at, rest) = rest.split_first_chunk()?;
        let (share, rest) = rest.split_first_chunk()?;
        let [noticed] = rest else { return None };
        let at = Timestamp::from_nanos(u64::from_le_bytes(*at));
        Some(Self {
            cause: Cause::of(*cause)?,
            at,
            share: u32::from_le_bytes(*share),
            noticed: *noticed != 0,
        })
    }

    /// Share that is left at `now` of a rollback that takes `gradual`.
    pub(crate) fn share_left(&self, now: Timestamp, gradual: Duration) -> u32 {
        let left = gradual.saturating_sub(now.since(self.at)).as_nanos();
        let share = u128::from(self.share) * left / gradual.as_nanos().max(1);
        u32::try_from(share).unwrap_or(0)
    }
}

/// Where the rollout stands among its stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    /// Lowest stage from here on.
    pub(crate) floor: u32,
    /// Stage at which it is paused.
    pub(crate) held: Option<u32>,
}

const POSITION_VERSION: u8 = 1;
const POSITION_SIZE: u8 = 3;

impl Position {
    fn encode(self) -> Vec<u8> {
        let byte = |stage: u32| u8::try_from(stage).unwrap_or(u8::MAX);
        vec![
            POSITION_VERSION,
            POSITION_SIZE,
            byte(self.floor),
            self.held.map_or(0, byte),
            u8::from(self.held.is_some()),
        ]
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let [POSITION_VERSION, POSITION_SIZE, floor, held, paused] = bytes else {
            return None;
        };
        Some(Self {
            floor: u32::from(*floor),
            held: (*paused != 0).then_some(u32::from(*held)),
        })
    }
}

/// A rollout on this proxy, as this worker knows it.
#[derive(Debug)]
pub(crate) struct Rollout {
    /// Its schedule.
    pub(crate) schedule: Schedule,
    /// Never beyond this stage.
    pub(crate) hold_at: Option<u32>,
    /// At least this stage.
    pub(crate) promote_to: u32,
    /// How it ended.
    pub(crate) end: Option<End>,
    /// Where it stands.
    pub(crate) position: Position,
    end_key: String,
    position_key: String,
}

/// What an operator asks of this proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// Hold the stage.
    Pause,
    /// Go on as the schedule says.
    Resume,
    /// One stage on.
    Promote,
    /// Everybody gets stable.
    Abort,
}

/// Why an action was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The rollout is over.
    Ended,
    /// There is no further stage.
    LastStage,
    /// Shared state could not be written.
    Contended,
}

impl Rollout {
    /// A rollout under its id, of which nothing is known yet.
    pub(crate) fn new(
        id: &str,
        schedule: Schedule,
        hold_at: Option<u32>,
        promote_to: Option<u32>,
    ) -> Self {
        Self {
            end_key: format!("end/{id}"),
            position_key: format!("position/{id}/{}", schedule.digest()),
            schedule,
            hold_at,
            promote_to: promote_to.unwrap_or(0),
            end: None,
            position: Position::default(),
        }
    }

    /// Reads what the workers share.
    pub(crate) fn sync(&mut self, state: &mut State<'_>) {
        self.end = state
            .get(&self.end_key)
            .and_then(|bytes| End::decode(&bytes))
            .or(self.end);
        let shared = state
            .get(&self.position_key)
            .and_then(|bytes| Position::decode(&bytes));
        if let Some(shared) = shared {
            self.position = Position {
                floor: shared.floor.max(self.position.floor),
                held: shared.held,
            };
        }
    }

    /// The stage, 0 before the start.
    pub(crate) fn stage(&self, now: Timestamp) -> u32 {
        let bound = |stage: u32| {
            self.hold_at
                .map_or(stage, |most| stage.min(most))
                .min(self.schedule.count())
        };
        if let Some(held) = self.position.held {
            return bound(held);
        }
        bound(self.schedule.stage(now).max(self.promote_to)).max(bound(self.position.floor))
    }

    /// Remembers the highest stage reached, so that a clock that goes back lowers nothing. Returns whether it is new.
    pub(crate) fn climb(&mut self, now: Timestamp) -> bool {
        let stage = self.stage(now);
        let higher = self.position.held.is_none() && stage > self.position.floor;
        if higher {
            self.position.floor = stage;
        }
        higher
    }

    /// Writes the highest stage reached.
    pub(crate) fn keep_floor(&self, state: &mut State<'_>) {
        let floor = self.position.floor;
        state.update(&self.position_key, |old| {
            let old = old.and_then(Position::decode).unwrap_or_default();
            (old.floor < floor).then(|| Position { floor, ..old }.encode())
        });
    }

    /// Ends the rollout, unless it ended before. Returns whether this call ended it.
    pub(crate) fn finish(
        &mut self,
        cause: Cause,
        now: Timestamp,
        share: u32,
        state: &mut State<'_>,
    ) -> bool {
        let end = End {
            cause,
            at: now,
            share,
            noticed: cause == Cause::Abort,
        };
        let written = state.update(&self.end_key, |old| {
            let known = old.and_then(End::decode).is_some();
            (!known).then(|| end.encode())
        });
        self.sync(state);
        written.is_some()
    }

    /// Marks the end as told. Returns whether this call marked it.
    pub(crate) fn mark_noticed(&mut self, state: &mut State<'_>) -> bool {
        let written = state.update(&self.end_key, |old| {
            let end = old.and_then(End::decode).filter(|end| !end.noticed)?;
            Some(
                End {
                    noticed: true,
                    ..end
                }
                .encode(),
            )
        });
        self.sync(state);
        written.is_some()
    }

    /// Does what an operator asks of this proxy.
    pub(crate) fn act(
        &mut self,
        action: Action,
        now: Timestamp,
        state: &mut State<'_>,
    ) -> Result<(), Refusal> {
        self.sync(state);
        let stage = self.stage(now);
        let ended = self.end.is_some();
        if action == Action::Abort {
            if !ended {
                let share = self.schedule.share(stage);
                self.finish(Cause::Abort, now, share, state);
            }
            return Ok(());
        }
        if ended {
            return Err(Refusal::Ended);
        }
        if action == Action::Promote && stage >= self.schedule.count() {
            return Err(Refusal::LastStage);
        }
        let written = state.update(&self.position_key, |old| {
            let old = old.and_then(Position::decode).unwrap_or_default();
            let new = match action {
                Action::Pause => Position {
                    held: old.held.or(Some(stage)),
                    ..old
                },
                Action::Resume => Position {
                    held: None,
                    floor: old.floor.max(stage),
                },
                _ => Position {
                    floor: old.floor.max(stage + 1),
                    held: old.held.map(|_| stage + 1),
                },
            };
            Some(new.encode())
        });
        self.sync(state);
        written.map(|_| ()).ok_or(Refusal::Contended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use launchgate_sdk::{Counter, Gauge, Percent, Period, Ports};
    use std::collections::BTreeMap;

    #[derive(Default)]
    struct Memory(BTreeMap<String, (Vec<u8>, u32)>);

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
}
