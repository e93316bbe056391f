//! Which stage it is: a pure function of wall time, so that every proxy gives the same answer.
//!
//! 1. A stage holds for the half-open time from its begin to its end: with 15m, second 899.999 is inside, 900 is not.
//! 2. Before `start` it is stage 0, nobody by share. Without `start` it is stage 1.
//! 3. A stage without `for`, and the last one, has no end.
//! 4. Stages are counted from 1, as people do.

use std::time::Duration;

use launchgate_sdk::config::ConfigErrors;
use launchgate_sdk::hash::Digest;
use launchgate_sdk::{Percent, Timestamp};

use crate::config::StageConfig;

const MOST_STAGES: usize = 64;

/// The checked stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    start: Option<Timestamp>,
    stages: Vec<(Percent, Option<Duration>)>,
}

impl Schedule {
    /// Checks start and stages. Notes every mistake.
    pub(crate) fn new(
        start: Option<&str>,
        stages: &[StageConfig],
        errors: &mut ConfigErrors,
    ) -> Self {
        let start = start.filter(|text| !text.is_empty());
        let read = start.and_then(Timestamp::parse_rfc3339);
        errors.check(
            start.is_none() || read.is_some(),
            "start",
            "expected a time such as \"2026-11-22T12:00:00Z\" (RFC 3339)",
        );
        errors.check(
            stages.len() <= MOST_STAGES,
            "stages",
            "expected at most 64 stages",
        );
        let mut least = Percent::default();
        for (index, stage) in stages.iter().enumerate() {
            match stage.percent {
                None => errors.push(format!("stages[{index}].percent"), "is required"),
                Some(percent) if percent < least => {
                    errors.push(
                        format!("stages[{index}].percent"),
                        "expected at least the share of the stage before",
                    );
                }
                Some(percent) => least = percent,
            }
            let lasts = stage.lasts.is_none_or(|period| !period.0.is_zero());
            errors.check(
                lasts,
                format!("stages[{index}].for"),
                "expected a duration above zero",
            );
        }
        let stages = stages
            .iter()
            .map(|stage| {
                (
                    stage.percent.unwrap_or_default(),
                    stage.lasts.map(Duration::from),
                )
            })
            .collect();
        Self {
            start: read,
            stages,
        }
    }

    /// The stage that wall time gives; 0 before the start.
    pub(crate) fn stage(&self, wall: Timestamp) -> u32 {
        let Some(start) = self.start else {
            return u32::from(!self.stages.is_empty());
        };
        if wall < start {
            return 0;
        }
        let mut end = start;
        for (number, (_, lasts)) in (1..).zip(&self.stages) {
            match lasts {
                Some(lasts) if number < self.count() => end = end.plus(*lasts),
                _ => return number,
            }
            if wall < end {
                return number;
            }
        }
        self.count()
    }

    /// When the stage after `stage` begins, as far as time alone decides.
    pub(crate) fn next_at(&self, stage: u32) -> Option<Timestamp> {
        let start = self.start?;
        let mut end = start;
        for (_, lasts) in self.stages.iter().take(stage as usize) {
            end = end.plus((*lasts)?);
        }
        (stage < self.count()).then_some(end)
    }

    /// Share of a stage in millionths; nobody in stage 0.
    pub(crate) fn share(&self, stage: u32) -> u32 {
        let index = (stage as usize).checked_sub(1);
        index
            .and_then(|index| self.stages.get(index))
            .map_or(0, |(percent, _)| percent.millionths())
    }

    /// How many stages there are.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.stages.len()).unwrap_or(u32::MAX)
    }

    /// When it starts.
    pub(crate) fn start(&self) -> Option<Timestamp> {
        self.start
    }

    /// Tells schedules apart, so that what was promoted under one means nothing under another.
    pub(crate) fn digest(&self) -> String {
        Digest::sha256(format!("{self:?}").as_bytes()).hex(8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use launchgate_sdk::Period;

    fn schedule(start: Option<&str>, stages: &[(u32, Option<&str>)]) -> Schedule {
        let stages: Vec<_> = stages
            .iter()
            .map(|(percent, lasts)| StageConfig {
                percent: Some(Percent::whole(*percent)),
                lasts: lasts.map(|text| Period::parse(text).unwrap()),
            })
            .collect();
        let mut errors = ConfigErrors::default();
        let schedule = Schedule::new(start, &stages, &mut errors);
        assert!(errors.is_empty(), "{errors}");
        schedule
    }

    const CHECKLIST: &[(u32, Option<&str>)] = &[(5, Some("15m")), (25, Some("30m")), (100, None)];

    #[test]
    fn the_checklists_schedule_has_half_open_bounds() {
        let schedule = schedule(Some("2026-11-22T12:00:00Z"), CHECKLIST);
        for (time, stage, percent) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("2026-11-22T11:59:59.999999999Z", 0, 0),
            ("2026-11-22T12:00:00Z", 1, 5),
            ("2026-11-22T12:14:59.999999999Z", 1, 5),
            ("2026-11-22T12:15:00Z", 2, 25),
            ("2026-11-22T12:44:59.999999999Z", 2, 25),
            ("2026-11-22T12:45:00Z", 3, 100),
            ("2500-01-01T00:00:00Z", 3, 100),
        ] {
            let now = Timestamp::parse_rfc3339(time).unwrap();
            assert_eq!(
                (schedule.stage(now), schedule.share(stage)),
                (stage, percent * 10_000),
                "{time}"
            );
        }
        let at = |stage| schedule.next_at(stage).map(|time| time.to_string());
        assert_eq!(at(0).as_deref(), Some("2026-11-22T12:00:00.000Z"));
        assert_eq!(at(1).as_deref(), Some("2026-11-22T12:15:00.000Z"));
        assert_eq!(at(2).as_deref(), Some("2026-11-22T12:45:00.000Z"));
        assert_eq!(at(3), None);
    }

    #[test]
    fn a_stage_without_an_end_and_a_schedule_without_a_start_hold() {
        let late = Timestamp::parse_rfc3339("2500-01-01T00:00:00Z").unwrap();
        assert_eq!(schedule(None, CHECKLIST).stage(late), 1);
        assert_eq!(schedule(Some(""), CHECKLIST).stage(late), 1);
        assert_eq!(
            schedule(
                Some("2026-11-22T12:00:00Z"),
                &[(5, Some("1m")), (10, None), (100, None)]
            )
            .stage(late),
            2
        );
        assert_eq!(
            schedule(Some("2026-11-22T12:00:00Z"), &[(5, Some("1m"))]).stage(late),
            1
        );
        assert_eq!(schedule(Some("2026-11-22T12:00:00Z"), &[]).stage(late), 0);
        assert_eq!(schedule(None, &[]).stage(late), 0);
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        let stage = |percent, lasts| StageConfig { percent, lasts };
        let mut errors = ConfigErrors::default();
        let stages = [
            stage(Some(Percent::whole(25)), Some(Period::seconds(0))),
            stage(Some(Percent::whole(5)), None),
            stage(None, None),
        ];
        Schedule::new(Some("tomorrow"), &stages, &mut errors);
        let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "start",
                "stages[0].for",
                "stages[1].percent",
                "stages[2].percent"
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn time_never_lowers_a_stage(seconds in 0_u64..20_000, later in 0_u64..20_000) {
            let schedule = schedule(Some("1970-01-01T01:00:00Z"), CHECKLIST);
            let now = Timestamp::from_seconds(seconds);
            let then = Timestamp::from_seconds(seconds + later);
            proptest::prop_assert!(schedule.stage(now) <= schedule.stage(then));
            proptest::prop_assert!(schedule.share(schedule.stage(now)) <= schedule.share(schedule.stage(then)));
        }
    }
}
