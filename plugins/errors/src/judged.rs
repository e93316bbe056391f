//! A failure after the rules: whether and how it is told.

use launchgate_sdk::map::Map;
use std::time::Duration;

use launchgate_sdk::StreamContext;
use launchgate_sdk::headers::Headers;

use crate::config::Level;
use crate::event::{self, Story};
use crate::failure::{self, Failure};
use crate::losses::Reason;
use crate::matcher::Facts;
use crate::metrics;
use crate::policy::Errors;
use crate::rate_limit::Category;
use crate::sender::Item;
use crate::settings::Settings;
use launchgate_sdk::Rate;

/// A failure after the rules.
pub(crate) struct Judged {
    pub(crate) failure: Failure,
    pub(crate) tags: Map<String, String>,
    pub(crate) digest: u64,
    level: Option<Level>,
    is_kept: bool,
}

impl Errors {
    /// Applies the rules; `None` where one drops the event.
    pub(crate) fn judge(
        &mut self,
        mut failure: Failure,
        facts: &Facts<'_>,
        cx: &mut StreamContext<'_>,
    ) -> Option<Judged> {
        let mut tags = event::tags(&failure, &self.settings.identity);
        let (mut level, mut rate) = (None, self.settings.sample_rate);
        for rule in self
            .settings
            .rules
            .iter()
            .filter(|rule| rule.when.is_match(facts))
        {
            if rule.drop {
                *self
                    .losses
                    .or_insert_with((Reason::BeforeSend, Category::Error), Default::default) += 1;
                return None;
            }
            level = rule.level.or(level);
            rate = rule.sample_rate.unwrap_or(rate);
            tags.extend(
                rule.tags
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone())),
            );
            if !rule.fingerprint.is_empty() {
                failure.fingerprint.clone_from(&rule.fingerprint);
            }
        }
        let counter = cx
            .metrics
            .counter(&metrics::FAILURES, &[failure.kind.as_str().as_bytes()]);
        cx.fx.count(counter);
        let is_kept = self.is_admitted(rate, cx);
        Some(Judged {
            digest: failure::digest(&failure.fingerprint),
            failure,
            tags,
            level,
            is_kept,
        })
    }

    fn is_admitted(&mut self, rate: Rate, cx: &mut StreamContext<'_>) -> bool {
        if self.settings.sentry.is_none() {
            return false;
        }
        let is_kept = rate == Rate::ALL || rate.admits(cx.ports.random());
        if !is_kept {
            *self
                .losses
                .or_insert_with((Reason::SampleRate, Category::Error), Default::default) += 1;
        }
        is_kept
    }

    /// The event of a failure, unless it is sure that the throttle would hold it back.
    pub(crate) fn event(
        &self,
        id: &str,
        judged: &Judged,
        story: &Story<'_>,
        mono: Duration,
    ) -> Option<Item> {
        let Settings {
            throttle, queue, ..
        } = &self.settings;
        if !judged.is_kept
            || self.templates.is_exhausted(judged.digest, mono)
            || !self
                .pending
                .has_room(judged.digest, throttle.burst, queue.1)
        {
            return None;
        }
        let payload = event::event(id, &judged.failure, &judged.tags, judged.level, story)
            .to_string()
            .into_bytes();
        Some(Item {
            category: Category::Error,
            id: id.to_owned(),
            trace: Some(self.sampling_context(story.trace, None, None)),
            payload,
        })
    }

    /// Notes a failure for the next tick.
    pub(crate) fn note(
        &mut self,
        judged: Judged,
        item: Option<Item>,
        request: &Headers,
        user: Option<u64>,
        cx: &mut StreamContext<'_>,
    ) {
        let matched: Vec<usize> = self.matched(&judged.tags, request).collect();
        let Some(group) = self
            .pending
            .group(judged.digest, &judged.failure, &judged.tags)
        else {
            cx.fx.count(self.overflow);
            if judged.is_kept {
                *self
                    .losses
                    .or_insert_with((Reason::QueueOverflow, Category::Error), Default::default) +=
                    1;
            }
            return;
        };
        group.count += 1;
        group.kept += u64::from(judged.is_kept);
        user.into_iter().for_each(|user| group.note_user(user));
        matched
            .into_iter()
            .for_each(|alert| *group.matched.or_insert_with(alert, Default::default) += 1);
        if let Some(item) = item {
            self.pending.keep(judged.digest, item);
        }
    }

    /// Alerts of kind `match` that this failure matches.
    fn matched(
        &self,
        tags: &Map<String, String>,
        request: &Headers,
    ) -> impl Iterator<Item = usize> {
        let wanted = self
            .settings
            .alerts
            .iter()
            .enumerate()
            .filter(|(_, (_, target))| {
                target
                    .as_ref()
                    .is_some_and(|target| match target.header.as_str() {
                        "" => tags
                            .get(&target.tag)
                            .is_some_and(|value| target.wants(value.as_bytes())),
                        header => request.all(header).any(|value| target.wants(value)),
                    })
            });
        wanted.map(|(position, _)| position)
    }
}
