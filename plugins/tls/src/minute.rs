//! Something that is done at most once a minute by a whole proxy.
//!
//! 1. The time of the last one is shared by all workers; each remembers it as well, so that the shared value is read at most
//!    once a minute and worker.
//! 2. Two workers that begin at the same moment may both do it: a line too many, never one too few.

use std::time::Duration;

use launchgate_sdk::State;

const MINUTE: Duration = Duration::from_secs(60);
const FORMAT: u8 = 1;

/// When it was done last.
#[derive(Debug)]
pub(crate) struct Minute {
    key: &'static str,
    last: Option<Duration>,
}

impl Minute {
    /// Never done, under this key of the shared state.
    pub(crate) fn new(key: &'static str) -> Self {
        Self { key, last: None }
    }

    /// Whether it is due, in which case it counts as done now.
    pub(crate) fn is_due(&mut self, now: Duration, state: &mut State<'_>) -> bool {
        if self.last.is_some_and(|last| is_recent(last, now)) {
            return false;
        }
        let mut seen = None;
        let written = state.update(self.key, |old| {
            seen = old.and_then(decode).filter(|last| is_recent(*last, now));
            seen.is_none().then(|| encode(now))
        });
        self.last = Some(seen.unwrap_or(now));
        written.is_some()
    }
}

/// A time ahead of now is from another clock and counts as long ago.
fn is_recent(last: Duration, now: Duration) -> bool {
    now.checked_sub(last).is_some_and(|passed| passed < MINUTE)
}

fn encode(time: Duration) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    bytes.extend_from_slice(
        &u64::try_from(time.as_nanos())
            .unwrap_or(u64::MAX)
            .to_le_bytes(),
    );
    bytes
}

fn decode(bytes: &[u8]) -> Option<Duration> {
    let (format, rest) = bytes.split_first()?;
    let nanos = <[u8; 8]>::try_from(rest).ok()?;
    (*format == FORMAT).then_some(Duration::from_nanos(u64::from_le_bytes(nanos)))
}
