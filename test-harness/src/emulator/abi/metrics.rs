//! Metrics.

use crate::emulator::memory::{Answer, Cx};
use crate::emulator::stats::Kind;
use crate::emulator::status::Status;

/// `proxy_define_metric`: a type above 2 is a bad argument; any name goes.
pub fn define(cx: &mut Cx<'_>, kind: u32, name: u32, name_len: u32, id: u32) -> Answer {
    let name = cx.read_text(name, name_len)?;
    let Some(kind) = Kind::from_abi(kind) else {
        return Ok(Status::BadArgument);
    };
    let state = cx.state();
    let new = state
        .metrics
        .define(&mut state.world.borrow_mut().stats, kind, name);
    cx.write_u32(id, new)?;
    Ok(Status::Ok)
}

/// `proxy_increment_metric`.
pub fn increment(cx: &mut Cx<'_>, id: u32, by: i64) -> Answer {
    let state = cx.state();
    let status = state
        .metrics
        .increment(&mut state.world.borrow_mut().stats, id, by);
    Ok(status)
}

/// `proxy_record_metric`.
pub fn record(cx: &mut Cx<'_>, id: u32, value: u64) -> Answer {
    let state = cx.state();
    let status = state
        .metrics
        .record(&mut state.world.borrow_mut().stats, id, value);
    Ok(status)
}

/// `proxy_get_metric`.
pub fn get(cx: &mut Cx<'_>, id: u32, out: u32) -> Answer {
    let state = cx.state();
    let value = state.metrics.get(&mut state.world.borrow_mut().stats, id)?;
    cx.write_u64(out, value)?;
    Ok(Status::Ok)
}
