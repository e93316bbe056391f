//! Log lines and the log level.

use crate::emulator::memory::{Answer, Cx};
use crate::emulator::status::Status;
use crate::scenario::host::LogLine;
use crate::scenario::schema::Level;

const LEVELS: [Level; 6] = [
    Level::Trace,
    Level::Debug,
    Level::Info,
    Level::Warn,
    Level::Error,
    Level::Critical,
];

/// `proxy_log`: a level above 5 is a bad argument; a line below the level of the logger is dropped.
pub fn log(cx: &mut Cx<'_>, level: u32, ptr: u32, len: u32) -> Answer {
    let Some(level) = LEVELS.get(level as usize).copied() else {
        return Ok(Status::BadArgument);
    };
    let message = cx.read_text(ptr, len)?;
    write(cx, level, message);
    Ok(Status::Ok)
}

/// Writes a line of the plugin at work.
pub fn write(cx: &mut Cx<'_>, level: Level, message: String) {
    let state = cx.state();
    let plugin = state.plugin_name(state.current);
    let mut world = state.world.borrow_mut();
    if level >= world.log_level {
        if world.tracing {
            world
                .record
                .trace
                .push(format!("  log {level:?}: {message}"));
        }
        world.record.logs.push(LogLine {
            level,
            plugin,
            message,
        });
    }
}

/// `proxy_get_log_level`.
pub fn get_log_level(cx: &mut Cx<'_>, out: u32) -> Answer {
    let level = cx.state().world.borrow().log_level;
    cx.write_u32(out, level as u32)?;
    Ok(Status::Ok)
}
