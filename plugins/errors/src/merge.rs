//! What happens on a tick: this worker's failures meet what all workers share.
//!
//! 1. The first tick creates the shared values; from the second on they are there for everybody, so that every
//!    compare-and-set has something to compare with.
//! 2. Each fingerprint asks the shared throttle how many of its events may go; a window that is over gives a summary.
//! 3. Each alert merges what it looks at; whoever turns it on or off sends the notice.
//! 4. A note that a dying VM left becomes an event ([`crate::words`]).

use launchgate_sdk::map::Map;
use std::time::Duration;

use launchgate_sdk::{Level, Mode, RootContext, Timestamp};

use crate::alert::{Board, Delta, Outcome, Title, When};
use crate::desk::count_dropped;
use crate::event;
use crate::failure::Failure;
use crate::losses::Reason;
use crate::metrics;
use crate::notice::notice;
use crate::pending::Group;
use crate::policy::{Errors, Tag};
use crate::rate_limit::{Category, Deadlines};
use crate::seen::{self, Batch, Moment, Summary};
use crate::sender::{Item, LIMITS};

/// What a worker remembers of fingerprints that it met, to write summaries and to build no event in vain.
#[derive(Default)]
pub(crate) struct Templates(Map<u64, Template>);

struct Template {
    failure: Failure,
    tags: Map<String, String>,
    window_ends: u64,
    is_exhausted: bool,
    holds_back: bool,
}

const TEMPLATES: usize = 512;

impl Templates {
    /// Whether the window of a fingerprint surely lets nothing more pass.
    pub(crate) fn is_exhausted(&self, digest: u64, mono: Duration) -> bool {
        self.0
            .get(&digest)
            .is_some_and(|template| template.is_exhausted && millis(mono) < template.window_ends)
    }
}

/// A merged fingerprint, for the alerts.
struct Met {
    digest: u64,
    title: Title,
    count: u64,
    is_new: bool,
    quiet: Option<u64>,
    users: Vec<u64>,
    matched: Map<usize, u64>,
}

const SWEEP: Duration = Duration::from_secs(1);

impl Errors {
    /// Creates the shared values that are absent.
    pub(crate) fn prepare(&mut self, cx: &mut RootContext<'_, Tag>) {
        let mut state = cx.state();
        seen::prepare(&mut state);
        state.update(LIMITS, |old| {
            old.is_none().then(|| Deadlines::default().encode())
        });
        crate::words::prepare(&mut state);
        for position in 0..self.settings.alerts.len() {
            state.update(&self.board_key(position), |old| {
                old.is_none().then(|| Board::default().encode())
            });
        }
    }

    /// Merges everything.
    pub(crate) fn merge(&mut self, cx: &mut RootContext<'_, Tag>) {
        let sweep = cx.now.mono.saturating_sub(self.swept) >= SWEEP;
        if sweep {
            self.swept = cx.now.mono;
            self.read_last_words(cx);
        }
        for ((reason, category), quantity) in std::mem::take(&mut self.losses) {
            self.sender.lose(reason, category, quantity, cx);
        }
        let groups = self.pending.take();
        let met: Vec<Met> = groups
            .into_iter()
            .filter_map(|(digest, group)| self.admit(digest, group, cx))
            .collect();
        if sweep {
            self.close_windows(cx);
        }
        for item in std::mem::take(&mut self.transactions) {
            self.queue(item, cx);
        }
        let requests = std::mem::take(&mut self.exchanges);
        cx.fx.add(self.counted, requests);
        for position in 0..self.settings.alerts.len() {
            self.alert(position, requests, &met, sweep, cx);
        }
    }

    /// Queues a payload; in mode `report` it is only counted.
    fn queue(&mut self, item: Item, cx: &mut RootContext<'_, Tag>) {
        if self.mode == Mode::Report {
            let counter = cx
                .metrics
                .counter(&metrics::WOULD_REPORT, &[item.category.as_str().as_bytes()]);
            cx.fx.count(counter);
        } else {
            self.sender.push(item, cx);
        }
    }

    fn admit(
        &mut self,
        digest: u64,
        mut group: Group,
        cx: &mut RootContext<'_, Tag>,
    ) -> Option<Met> {
        let now = moment(cx);
        let batch = Batch {
            count: group.count,
            kept: group.kept,
            offered: u32::try_from(group.events.len()).unwrap_or(u32::MAX),
        };
        let Some(admission) =
            seen::admit(&mut cx.state(), digest, now, self.settings.throttle, batch)
        else {
            let conflicts = cx.metrics.counter(&metrics::CONFLICTS, &[]);
            cx.fx.count(conflicts);
            self.pending.restore(digest, group);
            return None;
        };
        if admission.evicted {
            let evicted = cx.metrics.counter(&metrics::EVICTED, &[]);
            cx.fx.count(evicted);
        }
        let held_back = group.kept.saturating_sub(u64::from(admission.tokens));
        for item in group.events.drain(..).take(admission.tokens as usize) {
            self.queue(item, cx);
        }
        if self.mode != Mode::Report {
            self.sender
                .lose(Reason::EventProcessor, Category::Error, held_back, cx);
        }
        let met = Met {
            digest,
            title: group.failure.title(),
            count: group.count,
            is_new: admission.is_new,
            quiet: admission.quiet.map(millis),
            users: group.users.iter().copied().collect(),
            matched: group.matched,
        };
        if let Some(summary) = admission.summary {
            self.summarise(&group.failure, &group.tags, summary, cx);
        }
        let holds_back = held_back > 0
            || self.templates.0.get(&digest).is_some_and(|known| {
                known.holds_back && known.window_ends == admission.window_ends
            });
        let template = Template {
            failure: group.failure,
            tags: group.tags,
            window_ends: admission.window_ends,
            is_exhausted: held_back > 0,
            holds_back,
        };
        if self.templates.0.len() < TEMPLATES || self.templates.0.contains_key(&digest) {
            self.templates.0.insert(digest, template);
        }
        Some(met)
    }

    /// Sends the summaries of windows that are over and that this worker knows of.
    fn close_windows(&mut self, cx: &mut RootContext<'_, Tag>) {
        let now = moment(cx);
        let over: Vec<u64> = self
            .templates
            .0
            .iter()
            .filter(|(_, template)| template.window_ends <= now.mono)
            .map(|(digest, _)| *digest)
            .collect();
        for digest in over {
            let Some(template) = self.templates.0.remove(&digest) else {
                continue;
            };
            if !template.holds_back {
                continue;
            }
            let admission = seen::admit(
                &mut cx.state(),
                digest,
                now,
                self.settings.throttle,
                Batch::default(),
            );
            if let Some(summary) = admission.and_then(|admission| admission.summary) {
                self.summarise(&template.failure, &template.tags, summary, cx);
            }
        }
    }

    fn summarise(
        &mut self,
        failure: &Failure,
        tags: &Map<String, String>,
        summary: Summary,
        cx: &mut RootContext<'_, Tag>,
    ) {
        let id = new_id(cx);
        let since = Timestamp::from_nanos(summary.since.saturating_mul(1_000_000));
        let payload = event::summary(
            &id,
            failure,
            tags,
            &self.settings.identity,
            summary.suppressed,
            since,
            cx.now.wall,
        );
        let counter = cx.metrics.counter(&metrics::SUMMARIES, &[]);
        cx.fx.count(counter);
        self.queue(
            Item {
                category: Category::Error,
                id,
                trace: None,
                payload: payload.to_string().into_bytes(),
            },
            cx,
        );
    }

    fn alert(
        &mut self,
        position: usize,
        requests: u64,
        met: &[Met],
        sweep: bool,
        cx: &mut RootContext<'_, Tag>,
    ) {
        let Some((rule, target)) = self.settings.alerts.get(position) else {
            return;
        };
        let requests = if matches!(rule.when, When::Percent { .. }) {
            requests
        } else {
            0
        };
        let counts = |met: &Met| {
            if target.is_some() {
                met.matched.get(&position).copied().unwrap_or(0)
            } else {
                met.count
            }
        };
        let deltas: Vec<Delta<'_>> = (met.iter())
            .filter(|met| counts(met) > 0)
            .map(|met| Delta {
                fingerprint: met.digest,
                count: counts(met),
                is_new: met.is_new,
                quiet: met.quiet,
                users: &met.users,
                title: &met.title,
            })
            .collect();
        if deltas.is_empty() && requests == 0 && !sweep {
            return;
        }
        let (key, now) = (self.board_key(position), moment(cx));
        let mut outcome = Outcome::default();
        let written = cx.state().update(&key, |old| {
            let mut board = old.map(Board::decode).unwrap_or_default();
            outcome = board.merge(rule, now, requests, &deltas);
            outcome.changed.then(|| board.encode())
        });
        if written.is_none() {
            if outcome.changed {
                let conflicts = cx.metrics.counter(&metrics::CONFLICTS, &[]);
                cx.fx.count(conflicts);
            }
            return;
        }
        count_dropped("limit", outcome.suppressed as usize, cx);
        let notices: Vec<_> = outcome
            .signals
            .iter()
            .map(|signal| notice(rule, signal, &self.settings.identity, cx.now.wall))
            .collect();
        let targets = rule.notify.clone();
        for notice in notices {
            cx.log(Level::Info, || {
                format!("alert {}; alert={:?}", notice.status.as_str(), notice.alert)
            });
            for target in &targets {
                self.notify(*target, notice.clone(), cx);
            }
        }
    }

    fn notify(
        &mut self,
        target: usize,
        notice: launchgate_sdk::notifier::Notice,
        cx: &mut RootContext<'_, Tag>,
    ) {
        if self.mode == Mode::Report {
            let counter = cx.metrics.counter(&metrics::WOULD_NOTIFY, &[]);
            cx.fx.count(counter);
        } else {
            self.desk.push(target, notice, cx);
        }
    }

    fn board_key(&self, position: usize) -> String {
        let name = self
            .settings
            .alerts
            .get(position)
            .map_or("", |(rule, _)| &rule.name);
        format!("alert/{name}")
    }
}

pub(crate) fn new_id(cx: &mut RootContext<'_, Tag>) -> String {
    format!("{:016x}{:016x}", cx.ports.random(), cx.ports.random())
}

/// `mono` begins anywhere, also at zero: one millisecond more keeps zero for "never".
fn moment(cx: &RootContext<'_, Tag>) -> Moment {
    Moment {
        mono: millis(cx.now.mono).saturating_add(1),
        wall: cx.now.wall.millis(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
