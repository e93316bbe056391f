//! Long text on standard output. A reader that closes the pipe (`… | head`) has what it wanted: that is no fault.

use std::io::{ErrorKind, Write as _};

/// Prints the text.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
