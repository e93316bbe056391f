//! WASI preview 1, as Envoy offers it: no files, no sleep, the log as standard output, virtual clocks, repeatable randomness.

use wasmtime::{Caller, FuncType, Linker, Val, ValType};

use super::guest::VmState;
use crate::scenario::host::LogLine;
use crate::scenario::schema::Level;

const MODULES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];
const BADF: i32 = 8;
const FAULT: i32 = 21;
const INVAL: i32 = 28;
const NOENT: i32 = 44;
const NOTSUP: i32 = 58;

/// What Envoy offers and refuses: name, parameters (`i` 32 bits, `I` 64 bits), error number.
const REFUSED: &[(&str, &str, i32)] = &[
    ("clock_res_get", "ii", NOTSUP),
    ("fd_advise", "iIIi", NOTSUP),
    ("fd_allocate", "iII", NOTSUP),
    ("fd_close", "i", NOTSUP),
    ("fd_datasync", "i", NOTSUP),
    ("fd_fdstat_set_flags", "ii", NOTSUP),
    ("fd_fdstat_set_rights", "iII", NOTSUP),
    ("fd_filestat_get", "ii", NOTSUP),
    ("fd_filestat_set_size", "iI", NOTSUP),
    ("fd_filestat_set_times", "iIIi", NOTSUP),
    ("fd_pread", "iiiIi", NOTSUP),
    ("fd_prestat_dir_name", "iii", NOTSUP),
    ("fd_prestat_get", "ii", BADF),
    ("fd_pwrite", "iiiIi", NOTSUP),
    ("fd_read", "iiii", NOTSUP),
    ("fd_readdir", "iiiIi", NOTSUP),
    ("fd_renumber", "ii", NOTSUP),
    ("fd_seek", "iIii", NOTSUP),
    ("fd_sync", "i", NOTSUP),
    ("fd_tell", "ii", NOTSUP),
    ("path_create_directory", "iii", NOTSUP),
    ("path_filestat_get", "iiiii", NOTSUP),
    ("path_filestat_set_times", "iiiiIIi", NOTSUP),
    ("path_link", "iiiiiii", NOTSUP),
    ("path_open", "iiiiiIIii", NOENT),
    ("path_readlink", "iiiiii", NOTSUP),
    ("path_remove_directory", "iii", NOTSUP),
    ("path_rename", "iiiiii", NOTSUP),
    ("path_symlink", "iiiii", NOTSUP),
    ("path_unlink_file", "iii", NOTSUP),
    ("poll_oneoff", "iiii", NOTSUP),
    ("proc_raise", "i", NOTSUP),
    ("sock_accept", "iii", NOTSUP),
    ("sock_recv", "iiiiii", NOTSUP),
    ("sock_send", "iiiii", NOTSUP),
    ("sock_shutdown", "ii", NOTSUP),
];

const OFFERED: &[&str] = &[
    "args_get",
    "args_sizes_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_fdstat_get",
    "fd_write",
    "proc_exit",
    "random_get",
    "sched_yield",
];

/// Whether Envoy has a function of this name.
pub fn offers(name: &str) -> bool {
    OFFERED.contains(&name) || REFUSED.iter().any(|(known, _, _)| *known == name)
}

type Guest<'a> = Caller<'a, VmState>;

/// Defines all of them under both module names.
pub fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
    for module in MODULES {
        for (name, params, error) in REFUSED {
            let params = params
                .chars()
                .map(|c| if c == 'I' { ValType::I64 } else { ValType::I32 });
            let ty = FuncType::new(linker.engine(), params, [ValType::I32]);
            linker.func_new(module, name, ty, move |_, _, results| {
                if let Some(result) = results.first_mut() {
                    *result = Val::I32(*error);
                }
                Ok(())
            })?;
        }
        linker.func_wrap(module, "args_get", |_: Guest<'_>, _: u32, _: u32| 0)?;
        linker.func_wrap(
            module,
            "args_sizes_get",
            |mut g: Guest<'_>, count: u32, size: u32| {
                done(write(&mut g, count, &[0; 4]).and_then(|()| write(&mut g, size, &[0; 4])))
            },
        )?;
        linker.func_wrap(module, "environ_sizes_get", environ_sizes)?;
        linker.func_wrap(module, "environ_get", environ)?;
        linker.func_wrap(module, "clock_time_get", clock_time)?;
        linker.func_wrap(module, "fd_write", fd_write)?;
        linker.func_wrap(
            module,
            "fd_fdstat_get",
            |mut g: Guest<'_>, fd: u32, out: u32| {
                if fd > 2 {
                    BADF
                } else {
                    done(write(&mut g, out, &[0; 24]))
                }
            },
        )?;
        linker.func_wrap(module, "random_get", random)?;
        linker.func_wrap(module, "sched_yield", |_: Guest<'_>| 0)?;
        linker.func_wrap(
            module,
            "proc_exit",
            |_: Guest<'_>, code: u32| -> wasmtime::Result<()> {
                Err(wasmtime::Error::msg(format!(
                    "Uncaught RuntimeError: unreachable (proc_exit({code}))"
                )))
            },
        )?;
    }
    Ok(())
}

fn done(outcome: Option<()>) -> i32 {
    if outcome.is_some() { 0 } else { FAULT }
}

fn write(guest: &mut Guest<'_>, ptr: u32, bytes: &[u8]) -> Option<()> {
    let memory = guest.data().memory?;
    memory.write(guest, ptr as usize, bytes).ok()
}

fn read(guest: &Guest<'_>, ptr: u32, len: u32) -> Option<Vec<u8>> {
    let memory = guest.data().memory?;
    let start = ptr as usize;
    memory
        .data(guest)
        .get(start..start.checked_add(len as usize)?)
        .map(<[u8]>::to_vec)
}

fn read_u32(guest: &Guest<'_>, ptr: u32) -> Option<u32> {
    read(guest, ptr, 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_le_bytes)
}

fn environ_sizes(mut guest: Guest<'_>, count: u32, size: u32) -> i32 {
    let variables = &guest.data().environment;
    let entries = u32::try_from(variables.len()).unwrap_or(u32::MAX);
    let bytes =
        u32::try_from(variables.iter().map(|v| v.len() + 1).sum::<usize>()).unwrap_or(u32::MAX);
    done(
        write(&mut guest, count, &entries.to_le_bytes())
            .and_then(|()| write(&mut guest, size, &bytes.to_le_bytes())),
    )
}

fn environ(mut guest: Guest<'_>, pointers: u32, buffer: u32) -> i32 {
    let variables = guest.data().environment.clone();
    let (mut slot, mut at) = (pointers, buffer);
    for variable in variables {
        let mut bytes = variable.into_bytes();
        bytes.push(0);
        let outcome =
            write(&mut guest, slot, &at.to_le_bytes()).and_then(|()| write(&mut guest, at, &bytes));
        if outcome.is_none() {
            return FAULT;
        }
        slot += 4;
        at += u32::try_from(bytes.len()).unwrap_or(0);
    }
    0
}

/// Clock 0 is the wall clock, 1 the monotonic one; Envoy has no others.
fn clock_time(mut guest: Guest<'_>, clock: u32, _precision: u64, out: u32) -> i32 {
    let time = {
        let world = guest.data().world.borrow();
        match clock {
            0 => world.clock.wall(),
            1 => world.clock.monotonic(),
            _ => return NOTSUP,
        }
    };
    done(write(&mut guest, out, &time.to_le_bytes()))
}

/// Standard output is the log at info, standard error at error.
fn fd_write(mut guest: Guest<'_>, fd: u32, vectors: u32, count: u32, written: u32) -> i32 {
    let level = match fd {
        1 => Level::Info,
        2 => Level::Error,
        _ => return BADF,
    };
    let mut bytes = Vec::new();
    for index in 0..count {
        let at = vectors.wrapping_add(index * 8);
        let part = read_u32(&guest, at)
            .zip(read_u32(&guest, at.wrapping_add(4)))
            .and_then(|(ptr, len)| read(&guest, ptr, len));
        match part {
            Some(part) => bytes.extend(part),
            None => return FAULT,
        }
    }
    let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let text = String::from_utf8_lossy(&bytes);
    let message = text.strip_suffix('\n').unwrap_or(&text).to_owned();
    let state = guest.data();
    let plugin = state.plugin_name(state.current);
    let mut world = state.world.borrow_mut();
    if !message.is_empty() && level >= world.log_level {
        world.record.logs.push(LogLine {
            level,
            plugin,
            message,
        });
    }
    drop(world);
    done(write(&mut guest, written, &size.to_le_bytes()))
}

/// Repeatable bytes (xorshift64*), at most 64 KiB.
fn random(mut guest: Guest<'_>, ptr: u32, len: u32) -> i32 {
    if len > 65_536 {
        return INVAL;
    }
    let mut bytes = Vec::with_capacity(len as usize + 8);
    while bytes.len() < len as usize {
        let state = &mut guest.data_mut().random;
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(len as usize);
    done(write(&mut guest, ptr, &bytes))
}
