//! What a dying VM says.
//!
//! 1. A panic is a trap: the exchange gets 503, and this VM serves no more. Before that, the hook counts it in
//!    `launchgate_panics_total`, logs one line, and leaves a note in shared data that a reporter can turn into an event.
//! 2. Only the place in the source is said, never the message: it can hold header bytes.
//! 3. Out-of-memory and stack overflow never come here: watch the host's own VM statistics too (docs/host.md).

use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU32, Ordering};

use super::abi;
use crate::last_words::{KEY, LastWords};
use crate::member::Module;
use crate::time::Timestamp;

static PANICS: AtomicU32 = AtomicU32::new(UNDEFINED);
const UNDEFINED: u32 = u32::MAX;
const CRITICAL: u32 = 5;

/// Installs the hook.
pub(super) fn install<M: Module>() {
    std::panic::set_hook(Box::new(|panic| speak(M::NAME, M::VERSION, panic)));
}

/// Tells the hook the host's id of the counter.
pub(super) fn count_in(id: u32) {
    PANICS.store(id, Ordering::Relaxed);
}

fn speak(name: &str, version: &str, panic: &PanicHookInfo<'_>) {
    let id = PANICS.load(Ordering::Relaxed);
    if id != UNDEFINED {
        let _ = abi::increment_metric(id, 1);
    }
    let place = panic.location().map_or_else(String::new, |location| {
        format!("{}:{}", location.file(), location.line())
    });
    abi::log(
        CRITICAL,
        &format!("launchgate {name} {version} panicked at {place}; this worker's VM ends"),
    );
    let words = LastWords {
        at: Timestamp::from_nanos(abi::wall_nanos()),
        plugin: name.to_owned(),
        version: version.to_owned(),
        place,
    };
    let _ = abi::set_shared_data(KEY, &words.encode(), 0);
}
