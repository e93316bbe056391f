//! Shared queues. The last to register one is told of each message, after the caller has returned.

use crate::emulator::memory::{Answer, Cx};
use crate::emulator::status::Status;
use crate::emulator::world::Event;

/// `proxy_register_shared_queue`, under the VM's own id.
pub fn register(cx: &mut Cx<'_>, name: u32, name_len: u32, id: u32) -> Answer {
    let name = cx.read(name, name_len)?;
    let state = cx.state();
    let registrant = (state.this.clone(), state.root_id());
    let new = state
        .world
        .borrow_mut()
        .queues
        .register(&state.vm_id, &name, registrant);
    cx.write_u32(id, new)?;
    Ok(Status::Ok)
}

/// `proxy_resolve_shared_queue`: an empty VM id is the caller's own.
pub fn resolve(cx: &mut Cx<'_>, vm: u32, vm_len: u32, name: u32, name_len: u32, id: u32) -> Answer {
    let (vm, name) = (cx.read_text(vm, vm_len)?, cx.read(name, name_len)?);
    let state = cx.state();
    let vm = if vm.is_empty() {
        state.vm_id.clone()
    } else {
        vm
    };
    let Some(found) = state.world.borrow().queues.resolve(&vm, &name) else {
        return Ok(Status::NotFound);
    };
    cx.write_u32(id, found)?;
    Ok(Status::Ok)
}

/// `proxy_enqueue_shared_queue`.
pub fn enqueue(cx: &mut Cx<'_>, id: u32, ptr: u32, len: u32) -> Answer {
    let message = cx.read(ptr, len)?;
    let mut world = cx.state().world.borrow_mut();
    let Some((vm, root)) = world.queues.enqueue(id, message) else {
        return Ok(Status::NotFound);
    };
    if let Some(vm) = vm.upgrade() {
        world.clock.after(
            0,
            Event::Queue {
                vm,
                root,
                queue: id,
            },
        );
    }
    Ok(Status::Ok)
}

/// `proxy_dequeue_shared_queue`.
pub fn dequeue(cx: &mut Cx<'_>, id: u32, ptr: u32, len: u32) -> Answer {
    let message = cx.state().world.borrow_mut().queues.dequeue(id)?;
    cx.give(&message, ptr, len)?;
    Ok(Status::Ok)
}
