//! When people are told.
//!
//! 1. An alert looks at each error (fingerprint) by itself; `percent` and `frequency` with `"per": "all"` look at all
//!    together. It is evaluated on the state that all workers share: what a worker saw since its last tick is merged by
//!    compare-and-set, and the worker whose merge turns an alert on or off sends the notice. So there is one a proxy.
//! 2. `first_seen`, `regression` and `match` turn on by an occurrence; `frequency`, `percent` and `unique_users` when
//!    their window holds enough (60 slots; what is older than the window never counts).
//! 3. After a notice the same error stays quiet for `interval`; then a condition that still holds gives a reminder
//!    (`first_seen` never does). All errors together give at most `limit` notices in an interval.
//! 4. An alert is over when its condition did not hold for `resolve_after`; then, if its start was told, its end is too.
//! 5. At most 64 errors are followed by an alert. The one that is not firing and was quiet longest goes.

mod ring;
pub(crate) mod rule;

use launchgate_sdk::notifier::Status;

use crate::codec::{Reader, Writer};
use crate::seen::Moment;
use ring::Ring;
pub(crate) use rule::{Rule, Target, When};

/// What an error is called in a notice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Title {
    /// What happened: `HTTP 503`.
    pub what: String,
    /// Method and route template.
    pub route: String,
    /// Upstream cluster, may be empty.
    pub cluster: String,
}

/// What a worker saw of one error since its last tick.
#[derive(Debug, Clone)]
pub(crate) struct Delta<'a> {
    /// Fingerprint.
    pub fingerprint: u64,
    /// Occurrences that count for this alert (of `match` those that match).
    pub count: u64,
    /// Never seen before.
    pub is_new: bool,
    /// How long it was not seen, milliseconds.
    pub quiet: Option<u64>,
    /// Hashes of the users.
    pub users: &'a [u64],
    /// Its name.
    pub title: &'a Title,
}

/// A notice to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signal {
    /// On or off.
    pub status: Status,
    /// The error.
    pub title: Title,
    /// What was measured: occurrences, users, or failed requests in the window.
    pub measured: u64,
    /// Requests in the window (`percent`).
    pub requests: u64,
    /// Occurrences since it turned on.
    pub total: u64,
    /// When it turned on, milliseconds of `wall`.
    pub since: u64,
}

/// What one merge did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Notices.
    pub signals: Vec<Signal>,
    /// Notices that the limit held back.
    pub suppressed: u32,
    /// Whether the state changed.
    pub changed: bool,
}

/// The shared state of an alert.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Board {
    term: u64,
    sent: u32,
    requests: Ring,
    followed: Vec<Followed>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Followed {
    fingerprint: u64,
    firing: bool,
    told: bool,
    notified: u64,
    held: u64,
    since: u64,
    total: u64,
    title: Title,
    ring: Ring,
    users: Vec<(u64, u64)>,
}

const FOLLOWED: usize = 64;
const VERSION: u8 = 1;

impl Board {
    /// Merges what a worker saw. Without deltas it only looks whether something is over.
    pub(crate) fn merge(
        &mut self,
        rule: &Rule,
        now: Moment,
        requests: u64,
        deltas: &[Delta<'_>],
    ) -> Outcome {
        let mut outcome = Outcome {
            changed: requests > 0 || !deltas.is_empty(),
            ..Outcome::default()
        };
        if now.mono.saturating_sub(self.term) >= rule.interval {
            (self.term, self.sent) = (now.mono, 0);
        }
        if matches!(rule.when, When::Percent { .. }) {
            self.requests.add(rule.when.window(), now.mono, requests);
        }
        let sum = self.requests.sum(rule.when.window(), now.mono);
        let mut sent = self.sent;
        for delta in deltas.iter().filter(|delta| delta.count > 0) {
            if let Some(followed) = self.follow(rule, delta) {
                followed.note(rule, now, delta);
                let holds = followed.holds(rule, now, sum, delta);
                followed.turn_on(rule, now, sum, holds, (&mut sent, &mut outcome));
            }
        }
        self.sent = sent;
        for followed in &mut self.followed {
            followed.turn_off(rule, now, sum, &mut outcome);
        }
        let is_idle = |followed: &Followed| {
            !followed.firing
                && now.mono.saturating_sub(followed.notified) >= rule.interval
                && followed.ring.sum(rule.when.window(), now.mono) == 0
        };
        self.followed.retain(|followed| !is_idle(followed));
        outcome
    }

    fn follow(&mut self, rule: &Rule, delta: &Delta<'_>) -> Option<&mut Followed> {
        let fingerprint = if rule.when.is_global() {
            0
        } else {
            delta.fingerprint
        };
        if let Some(at) = self
            .followed
            .iter()
            .position(|followed| followed.fingerprint == fingerprint)
        {
            return self.followed.get_mut(at);
        }
        let idle = (0..self.followed.len()).filter(|at| {
            self.followed
                .get(*at)
                .is_some_and(|followed| !followed.firing)
        });
        if self.followed.len() >= FOLLOWED {
            let oldest =
                idle.min_by_key(|at| self.followed.get(*at).map(|followed| followed.held))?;
            self.followed.swap_remove(oldest);
        }
        self.followed.push(Followed {
            fingerprint,
            title: delta.title.clone(),
            ..Followed::default()
        });
        self.followed.last_mut()
    }

    /// For shared state.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(VERSION);
        writer.u64(self.term);
        writer.u32(self.sent);
        write_pairs(&mut writer, &self.requests.0);
        for followed in &self.followed {
            writer.u32(u32::from(followed.firing) | u32::from(followed.told) << 1);
            [
                followed.fingerprint,
                followed.notified,
                followed.held,
                followed.since,
                followed.total,
            ]
            .iter()
            .for_each(|number| writer.u64(*number));
            [
                &followed.title.what,
                &followed.title.route,
                &followed.title.cluster,
            ]
            .iter()
            .for_each(|text| writer.text(text));
            write_pairs(&mut writer, &followed.ring.0);
            write_pairs(&mut writer, &followed.users);
        }
        writer.finish()
    }

    /// From shared state; what is no such value is an empty state.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let read = || {
            let mut reader = Reader::new(bytes, VERSION)?;
            let mut board = Self {
                term: reader.u64()?,
                sent: reader.u32()?,
                requests: Ring(read_pairs(&mut reader)?),
                followed: Vec::new(),
            };
            while !reader.is_empty() {
                board.followed.push(Followed::read(&mut reader)?);
            }
            Some(board)
        };
        read().unwrap_or_default()
    }
}

impl Followed {
    fn note(&mut self, rule: &Rule, now: Moment, delta: &Delta<'_>) {
        if self.firing {
            self.total = self.total.saturating_add(delta.count);
        }
        self.ring.add(rule.when.window(), now.mono, delta.count);
        if let When::UniqueUsers { count, window } = rule.when {
            self.users
                .retain(|(_, last)| last.saturating_add(window) > now.mono);
            for user in delta.users {
                let room = self.users.len() < count;
                match self.users.iter_mut().find(|(own, _)| own == user) {
                    Some((_, last)) => *last = now.mono,
                    None if room => self.users.push((*user, now.mono)),
                    None => {}
                }
            }
        }
    }

    /// Whether the condition holds, with this occurrence.
    fn holds(&self, rule: &Rule, now: Moment, requests: u64, delta: &Delta<'_>) -> bool {
        match rule.when {
            When::FirstSeen => delta.is_new,
            When::Regression { quiet } => delta.quiet.is_some_and(|own| own >= quiet),
            When::Match => true,
            _ => self.holds_still(rule, now, requests),
        }
    }

    /// Whether the condition of a window holds.
    fn holds_still(&self, rule: &Rule, now: Moment, requests: u64) -> bool {
        let measured = self.measured(rule, now);
        match rule.when {
            When::Frequency { count, .. } => measured >= count,
            When::UniqueUsers { count, .. } => measured >= count as u64,
            When::Percent {
                share,
                min_requests,
                ..
            } => {
                requests >= min_requests
                    && u128::from(measured) * 1_000_000 >= u128::from(share) * u128::from(requests)
            }
            When::FirstSeen | When::Regression { .. } | When::Match => false,
        }
    }

    fn measured(&self, rule: &Rule, now: Moment) -> u64 {
        match rule.when {
            When::UniqueUsers { window, .. } => self
                .users
                .iter()
                .filter(|(_, last)| last.saturating_add(window) > now.mono)
                .count() as u64,
            when => self.ring.sum(when.window(), now.mono),
        }
    }

    fn turn_on(
        &mut self,
        rule: &Rule,
        now: Moment,
        requests: u64,
        holds: bool,
        (sent, outcome): (&mut u32, &mut Outcome),
    ) {
        let occurrence = matches!(rule.when, When::FirstSeen | When::Regression { .. });
        // While on, any occurrence keeps the kinds on that an occurrence turned on.
        if holds || (self.firing && occurrence) {
            self.held = now.mono;
        }
        let rested = self.notified == 0 || now.mono.saturating_sub(self.notified) >= rule.interval;
        if !holds || !rested || (self.firing && rule.when == When::FirstSeen) {
            return;
        }
        if !self.firing {
            (self.firing, self.told, self.since) = (true, false, now.wall);
            self.total = self.ring.sum(rule.when.window(), now.mono);
        }
        self.notified = now.mono.max(1);
        if *sent >= rule.limit {
            outcome.suppressed += 1;
            return;
        }
        *sent += 1;
        self.told = true;
        outcome
            .signals
            .push(self.signal(rule, now, Status::Firing, requests));
    }

    fn turn_off(&mut self, rule: &Rule, now: Moment, requests: u64, outcome: &mut Outcome) {
        if !self.firing {
            return;
        }
        if self.holds_still(rule, now, requests) {
            self.held = self.held.max(now.mono);
            return;
        }
        if now.mono.saturating_sub(self.held) < rule.resolve_after {
            return;
        }
        self.firing = false;
        outcome.changed = true;
        if self.told && rule.resolved {
            outcome
                .signals
                .push(self.signal(rule, now, Status::Resolved, requests));
        }
    }

    fn signal(&self, rule: &Rule, now: Moment, status: Status, requests: u64) -> Signal {
        Signal {
            status,
            title: self.title.clone(),
            measured: self.measured(rule, now),
            requests,
            total: self.total,
            since: self.since,
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let flags = reader.u32()?;
        let [fingerprint, notified, held, since, total] = [
            reader.u64()?,
            reader.u64()?,
            reader.u64()?,
            reader.u64()?,
            reader.u64()?,
        ];
        let title = Title {
            what: reader.text()?,
            route: reader.text()?,
            cluster: reader.text()?,
        };
        let (ring, users) = (Ring(read_pairs(reader)?), read_pairs(reader)?);
        Some(Self {
            fingerprint,
            firing: flags & 1 == 1,
            told: flags & 2 == 2,
            notified,
            held,
            since,
            total,
            title,
            ring,
            users,
        })
    }
}

fn write_pairs(writer: &mut Writer, pairs: &[(u64, u64)]) {
    writer.u32(u32::try_from(pairs.len()).unwrap_or(0));
    for (one, other) in pairs {
        writer.u64(*one);
        writer.u64(*other);
    }
}

fn read_pairs(reader: &mut Reader<'_>) -> Option<Vec<(u64, u64)>> {
    let count = reader.u32()?;
    (0..count)
        .map(|_| Some((reader.u64()?, reader.u64()?)))
        .collect()
}

#[cfg(test)]
mod tests;
