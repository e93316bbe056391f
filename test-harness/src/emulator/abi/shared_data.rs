//! Shared data.

use crate::emulator::flaw::Flaw;
use crate::emulator::memory::{Answer, Cx};
use crate::emulator::status::Status;

/// `proxy_get_shared_data`.
pub fn get(cx: &mut Cx<'_>, key: u32, key_len: u32, ptr: u32, len: u32, cas: u32) -> Answer {
    let key = cx.read(key, key_len)?;
    let state = cx.state();
    let found = state
        .world
        .borrow()
        .shared
        .get(&state.vm_id, &key)
        .map(|(value, cas)| (value.to_vec(), cas));
    let Some((value, present)) = found else {
        return Ok(Status::NotFound);
    };
    cx.give(&value, ptr, len)?;
    cx.write_u32(cas, present)?;
    Ok(Status::Ok)
}

/// `proxy_set_shared_data`.
pub fn set(
    cx: &mut Cx<'_>,
    key: u32,
    key_len: u32,
    value: u32,
    value_len: u32,
    cas: u32,
) -> Answer {
    let (key, value) = (cx.read(key, key_len)?, cx.read(value, value_len)?);
    let state = cx.state();
    let mut world = state.world.borrow_mut();
    let cas = match world.flaw {
        Some(Flaw::StrictCas) if cas != 0 && world.shared.get(&state.vm_id, &key).is_none() => {
            return Ok(Status::CasMismatch);
        }
        Some(Flaw::BlindCas) => 0,
        _ => cas,
    };
    Ok(world.shared.set(&state.vm_id, &key, value, cas))
}
