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
        let left = millis(gradual.saturating_sub(now.since(self.at)));
        let share = u64::from(self.share).saturating_mul(left) / millis(gradual).max(1);
        u32::try_from(share).unwrap_or(0)
    }
}

/// Whole milliseconds, without the division of 128 bits that `as_millis` takes.
fn millis(duration: Duration) -> u64 {
    let whole = duration.as_secs().saturating_mul(1000);
    whole.saturating_add(u64::from(duration.subsec_millis()))
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, launchgate_sdk::config::Decode)]
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
mod tests;
