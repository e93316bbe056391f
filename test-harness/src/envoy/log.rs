//! What an Envoy process says: its log on stderr, access logs on stdout, line by line as they come.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// One line of Envoy's log (stderr) or of an access log on stdout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// `info`, `warning`, `error`, …; `stdout` for what came there.
    pub level: String,
    /// `wasm`, `main`, …; empty on stdout.
    pub logger: String,
    /// The message, several lines of a backtrace included.
    pub text: String,
}

/// `level|logger|message`, the message with its newlines escaped as in JSON.
pub(super) const LOG_FORMAT: &str = "%l|%n|%j";

/// Lines of both outputs as they come.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    shared: Arc<(Mutex<Vec<LogLine>>, Condvar)>,
}

impl Log {
    /// Reads both outputs of the process until they end.
    pub(super) fn follow(&self, child: &mut Child) -> Vec<JoinHandle<()>> {
        let error = child
            .stderr
            .take()
            .map(|stream| self.read(stream, log_line));
        let output = child
            .stdout
            .take()
            .map(|stream| self.read(stream, output_line));
        error.into_iter().chain(output).collect()
    }

    fn read(
        &self,
        stream: impl Read + Send + 'static,
        parse: fn(&str) -> LogLine,
    ) -> JoinHandle<()> {
        let log = self.clone();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream
                .read_until(b'\n', &mut line)
                .is_ok_and(|read| read > 0)
            {
                let (lines, arrived) = &*log.shared;
                let text = String::from_utf8_lossy(&line);
                lines
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(parse(text.trim_end_matches(['\r', '\n'])));
                arrived.notify_all();
                line.clear();
            }
        })
    }

    /// Everything so far.
    pub(super) fn lines(&self) -> Vec<LogLine> {
        self.shared
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for a line.
    pub(super) fn wait(
        &self,
        limit: Duration,
        wanted: impl Fn(&LogLine) -> bool,
    ) -> Option<LogLine> {
        let (lines, arrived) = &*self.shared;
        let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |lines: &mut Vec<LogLine>| !lines.iter().any(&wanted);
        let (lines, _) = arrived
            .wait_timeout_while(lines, limit, missing)
            .unwrap_or_else(PoisonError::into_inner);
        lines.iter().find(|line| wanted(line)).cloned()
    }

    /// What to show when a start failed.
    pub(super) fn complaints(&self) -> String {
        let serious = |line: &LogLine| matches!(line.level.as_str(), "error" | "critical");
        let lines: Vec<String> = self
            .lines()
            .into_iter()
            .filter(serious)
            .map(|line| line.text)
            .collect();
        lines.join("\n")
    }
}

fn log_line(line: &str) -> LogLine {
    let mut parts = line.splitn(3, '|');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(level), Some(logger), Some(text))
            if level.chars().all(|c| c.is_ascii_lowercase()) =>
        {
            let text =
                serde_json::from_str(&format!("\"{text}\"")).unwrap_or_else(|_| text.to_owned());
            LogLine {
                level: level.to_owned(),
                logger: logger.to_owned(),
                text,
            }
        }
        _ => LogLine {
            level: "stderr".to_owned(),
            logger: String::new(),
            text: line.to_owned(),
        },
    }
}

fn output_line(line: &str) -> LogLine {
    LogLine {
        level: "stdout".to_owned(),
        logger: String::new(),
        text: line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_keeps_the_newlines_of_its_message() {
        let line = log_line(r#"error|wasm|trap\n  at \"x|y\""#);
        assert_eq!(
            (
                line.level.as_str(),
                line.logger.as_str(),
                line.text.as_str()
            ),
            ("error", "wasm", "trap\n  at \"x|y\"")
        );
        assert_eq!(log_line("terminate called").level, "stderr");
    }
}
