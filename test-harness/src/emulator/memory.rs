//! Host calls seen from inside: the guest's memory, and how a call is entered and left.

use wasmtime::Caller;

use super::guest::VmState;
use super::status::Status;

/// Why a host call did not do its work.
pub enum Fail {
    /// It answers this status.
    Status(Status),
    /// It traps.
    Trap(wasmtime::Error),
}

impl From<Status> for Fail {
    fn from(status: Status) -> Self {
        Fail::Status(status)
    }
}

impl From<wasmtime::Error> for Fail {
    fn from(error: wasmtime::Error) -> Self {
        Fail::Trap(error)
    }
}

/// A status, or a failure.
pub type Answer = Result<Status, Fail>;

/// A host call at work.
pub struct Cx<'a> {
    caller: Caller<'a, VmState>,
}

/// Enters a host call: faults first, then the work.
pub fn enter<'a>(
    mut caller: Caller<'a, VmState>,
    name: &'static str,
    work: impl FnOnce(&mut Cx<'a>) -> Answer,
) -> wasmtime::Result<i32> {
    let state = caller.data_mut();
    *state.host_calls.entry(name).or_default() += 1;
    let fault = state.world.borrow().faults.get(name).copied();
    let answer = match fault {
        Some(code) => Ok(Status::Other(code)),
        None if state.initializing && !ALLOWED_EARLY.contains(&name) => {
            return Err(wasmtime::Error::msg(format!(
                "{name} may not be called before the VM has started (restricted_callback)"
            )));
        }
        None => work(&mut Cx { caller }),
    };
    let status = match answer {
        Ok(status) | Err(Fail::Status(status)) => status,
        Err(Fail::Trap(error)) => return Err(error),
    };
    Ok(status.code())
}

/// What `_initialize` may call.
const ALLOWED_EARLY: &[&str] = &[
    "proxy_log",
    "proxy_get_log_level",
    "proxy_get_current_time_nanoseconds",
];

impl Cx<'_> {
    /// The VM's state.
    pub fn state(&mut self) -> &mut VmState {
        self.caller.data_mut()
    }

    /// Copies bytes out of the guest.
    pub fn read(&mut self, ptr: u32, len: u32) -> Result<Vec<u8>, Fail> {
        let memory = self
            .caller
            .data()
            .memory
            .ok_or(Status::InvalidMemoryAccess)?;
        let (start, len) = (ptr as usize, len as usize);
        let end = start.checked_add(len).ok_or(Status::InvalidMemoryAccess)?;
        let bytes = memory
            .data(&self.caller)
            .get(start..end)
            .ok_or(Status::InvalidMemoryAccess)?
            .to_vec();
        self.caller.data_mut().bytes += len as u64;
        Ok(bytes)
    }

    /// Copies text out of the guest; what is not UTF-8 is replaced.
    pub fn read_text(&mut self, ptr: u32, len: u32) -> Result<String, Fail> {
        Ok(String::from_utf8_lossy(&self.read(ptr, len)?).into_owned())
    }

    /// Writes into the guest.
    pub fn write(&mut self, ptr: u32, bytes: &[u8]) -> Result<(), Fail> {
        let memory = self
            .caller
            .data()
            .memory
            .ok_or(Status::InvalidMemoryAccess)?;
        memory
            .write(&mut self.caller, ptr as usize, bytes)
            .map_err(|_| Status::InvalidMemoryAccess)?;
        Ok(())
    }

    /// Writes a 32-bit number.
    pub fn write_u32(&mut self, ptr: u32, value: u32) -> Result<(), Fail> {
        self.write(ptr, &value.to_le_bytes())
    }

    /// Writes a 64-bit number.
    pub fn write_u64(&mut self, ptr: u32, value: u64) -> Result<(), Fail> {
        self.write(ptr, &value.to_le_bytes())
    }

    /// Gives bytes to the guest, in memory that its allocator provides. Empty is null and 0, without allocating.
    pub fn give(&mut self, bytes: &[u8], ptr_out: u32, len_out: u32) -> Result<(), Fail> {
        if bytes.is_empty() {
            self.write_u32(ptr_out, 0)?;
            return self.write_u32(len_out, 0);
        }
        self.give_allocated(bytes, ptr_out, len_out)
    }

    /// Gives bytes to the guest; its allocator is asked for memory even if there are none.
    pub fn give_allocated(&mut self, bytes: &[u8], ptr_out: u32, len_out: u32) -> Result<(), Fail> {
        let malloc = self
            .caller
            .data()
            .malloc
            .clone()
            .ok_or(Status::InternalFailure)?;
        let size = u32::try_from(bytes.len()).map_err(|_| Status::InternalFailure)?;
        let ptr = malloc.call(&mut self.caller, size)?;
        if ptr == 0 && size != 0 {
            return Err(Status::InvalidMemoryAccess.into());
        }
        self.write(ptr, bytes)?;
        self.caller.data_mut().bytes += u64::from(size);
        self.write_u32(ptr_out, ptr)?;
        self.write_u32(len_out, size)
    }
}
