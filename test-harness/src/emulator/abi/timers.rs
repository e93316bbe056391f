//! Time and ticks.

use crate::emulator::context::Kind;
use crate::emulator::guest::VmState;
use crate::emulator::memory::{Answer, Cx};
use crate::emulator::status::Status;
use crate::emulator::world::Event;

/// `proxy_get_current_time_nanoseconds`: wall time.
pub fn get_current_time(cx: &mut Cx<'_>, out: u32) -> Answer {
    let now = cx.state().world.borrow().clock.wall();
    cx.write_u64(out, now)?;
    Ok(Status::Ok)
}

/// `proxy_set_tick_period_milliseconds`: from a stream it sets its root's; 0 stops.
pub fn set_tick_period(cx: &mut Cx<'_>, period: u32) -> Answer {
    let state = cx.state();
    let root = state.root_id();
    if let Some(Kind::Root(timer)) = state
        .contexts
        .get_mut(&root)
        .map(|context| &mut context.kind)
    {
        timer.tick_ms = period;
        timer.generation += 1;
    }
    arm(state, root);
    Ok(Status::Ok)
}

/// Lets a root context's next tick fall due; a canary's never does.
pub fn arm(state: &VmState, root: u32) {
    let Some(Kind::Root(timer)) = state.contexts.get(&root).map(|context| &context.kind) else {
        return;
    };
    let Some(vm) = state
        .this
        .upgrade()
        .filter(|_| timer.tick_ms > 0 && !state.canary)
    else {
        return;
    };
    let event = Event::Tick {
        vm,
        root,
        generation: timer.generation,
    };
    state
        .world
        .borrow_mut()
        .clock
        .after(u64::from(timer.tick_ms) * 1_000_000, event);
}
