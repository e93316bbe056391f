//! The drain switch, one for all workers of a proxy.

use launchgate_sdk::State;

const KEY: &str = "drain";
/// Format version, length of the rest, and the switch.
const ON: [u8; 4] = [1, 1, 0, 1];
const OFF: [u8; 4] = [1, 1, 0, 0];

/// Whether readiness is withdrawn.
pub(crate) fn is_on(state: &mut State<'_>) -> bool {
    state.get(KEY).is_some_and(|value| value == ON)
}

/// Switches it; returns whether that changed anything.
pub(crate) fn switch(state: &mut State<'_>, on: bool) -> bool {
    let new = if on { ON } else { OFF };
    let is_new = |old: Option<&[u8]>| old.map_or(on, |old| old != new);
    state
        .update(KEY, |old| is_new(old).then(|| new.to_vec()))
        .is_some()
}
