//! Results of scenarios, for people, for scripts (JSON) and for CI (JUnit XML).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use launchgate_harness::scenario::run::{CaseResult, Pace};
use serde_json::json;

/// What one callback of one plugin cost over a run: the sum of instructions, and the dearest call.
#[derive(Default)]
struct Tally {
    calls: u64,
    instructions: u64,
    most: u64,
    host_calls: u64,
    bytes: u64,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// Results by file.
#[derive(Default)]
pub(crate) struct Report {
    files: Vec<(PathBuf, Vec<CaseResult>, Vec<String>)>,
}

impl Report {
    pub(crate) fn add(&mut self, path: &Path, results: Vec<CaseResult>, trace: Vec<String>) {
        self.files.push((path.to_path_buf(), results, trace));
    }

    fn results(&self) -> impl Iterator<Item = &CaseResult> {
        self.files.iter().flat_map(|(_, results, _)| results)
    }

    pub(crate) fn failed(&self) -> usize {
        self.results().filter(|result| !result.passed()).count()
    }

    pub(crate) fn print(&self, format: Format, quiet: bool, profile: bool) -> anyhow::Result<()> {
        match format {
            Format::Json => println!("{}", serde_json::to_string_pretty(&self.json())?),
            Format::Text => print!("{}", self.text(quiet, profile, Colour::detect())),
        }
        Ok(())
    }

    fn text(&self, quiet: bool, profile: bool, colour: Colour) -> String {
        let mut text = String::new();
        for (path, results, trace) in &self.files {
            let shown = results
                .iter()
                .filter(|result| !quiet || !result.passed())
                .count();
            if shown > 0 {
                let _ = writeln!(text, "{}", path.display());
            }
            for result in results {
                match (result.passed(), quiet) {
                    (true, true) => {}
                    (true, false) => {
                        let _ = writeln!(text, "{}", pass(result, colour));
                    }
                    (false, _) => failure(&mut text, result, colour),
                }
            }
            for line in trace {
                let _ = writeln!(text, "    {line}");
            }
        }
        if profile {
            self.profile(&mut text);
        }
        if !quiet {
            self.failures(&mut text, colour);
        }
        let (all, failed) = (self.results().count(), self.failed());
        let took: f64 = self.results().map(|result| result.took.as_secs_f64()).sum();
        let unplayed = self
            .results()
            .filter(|result| result.skipped.is_some())
            .count();
        let unplayed = if unplayed > 0 {
            format!(", {unplayed} not on Envoy")
        } else {
            String::new()
        };
        let verdict = format!(
            "{} passed, {failed} failed{unplayed}, {took:.2} s{}",
            all - failed,
            self.pace()
        );
        let _ = writeln!(
            text,
            "{}",
            if failed == 0 {
                colour.green(&verdict)
            } else {
                colour.red(&verdict)
            }
        );
        text
    }

    /// All failures once more, below everything: of a long run only the end may be kept.
    fn failures(&self, text: &mut String, colour: Colour) {
        for (path, results, _) in &self.files {
            let mut failed = results.iter().filter(|result| !result.passed()).peekable();
            if failed.peek().is_some() {
                let _ = writeln!(text, "\nfailed: {}", path.display());
            }
            for result in failed {
                failure(text, result, colour);
            }
        }
    }

    /// Exchanges a second, on emulators only: a real Envoy's time is mostly waiting.
    fn pace(&self) -> String {
        let mut pace = Pace::default();
        for result in self.results() {
            if !result.host.starts_with("emulator, ") {
                return String::new();
            }
            pace += result.pace;
        }
        if pace.exchanges == 0 {
            return String::new();
        }
        let rate = pace.exchanges as f64 / pace.spent.as_secs_f64().max(1e-9);
        format!(
            "; {} exchanges, {rate:.0} a second on one core",
            pace.exchanges
        )
    }

    fn profile(&self, text: &mut String) {
        let mut rows: BTreeMap<(String, &str), Tally> = BTreeMap::new();
        for cost in self.results().flat_map(|result| &result.costs) {
            let row = rows
                .entry((cost.plugin.clone(), cost.callback))
                .or_default();
            row.calls += 1;
            row.instructions += cost.instructions;
            row.most = row.most.max(cost.instructions);
            row.host_calls = row.host_calls.max(cost.host_calls);
            row.bytes = row.bytes.max(cost.bytes);
        }
        let _ = writeln!(
            text,
            "\n{:<16} {:<26} {:>7} {:>12} {:>12} {:>10} {:>9}",
            "plugin", "callback", "calls", "instructions", "at most", "host calls", "bytes"
        );
        for ((plugin, callback), row) in rows {
            let mean = row.instructions / row.calls.max(1);
            let Tally {
                calls,
                most,
                host_calls,
                bytes,
                ..
            } = row;
            let _ = writeln!(
                text,
                "{plugin:<16} {callback:<26} {calls:>7} {mean:>12} {most:>12} {host_calls:>10} {bytes:>9}"
            );
        }
        let _ = writeln!(text);
    }

    fn json(&self) -> serde_json::Value {
        let files: Vec<_> = self
            .files
            .iter()
            .map(|(path, results, _)| {
                let cases: Vec<_> = results
                    .iter()
                    .map(|result| {
                        let faults: Vec<_> = result
                            .faults
                            .iter()
                            .map(|fault| {
                                let finding = &fault.finding;
                                json!({"step": fault.step, "what": finding.what, "expected": finding.expected, "got": finding.got})
                            })
                            .collect();
                        json!({
                            "case": result.case,
                            "passed": result.passed(),
                            "not_on_envoy": result.skipped,
                            "host": result.host,
                            "seconds": result.took.as_secs_f64(),
                            "faults": faults,
                        })
                    })
                    .collect();
                json!({"file": path.display().to_string(), "cases": cases})
            })
            .collect();
        json!({"files": files, "passed": self.results().count() - self.failed(), "failed": self.failed()})
    }

    pub(crate) fn junit(&self) -> String {
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let (tests, failures) = (self.results().count(), self.failed());
        let _ = writeln!(
            text,
            "<testsuites name=\"launchgate\" tests=\"{tests}\" failures=\"{failures}\">"
        );
        for (path, results, _) in &self.files {
            let failures = results.iter().filter(|result| !result.passed()).count();
            let name = xml(&path.display().to_string());
            let _ = writeln!(
                text,
                "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failures}\">",
                results.len()
            );
            for result in results {
                let case = xml(&result.case);
                let _ = write!(
                    text,
                    "    <testcase classname=\"{name}\" name=\"{case}\" time=\"{:.6}\"",
                    result.took.as_secs_f64()
                );
                if let Some(reason) = result.skipped.as_ref().filter(|_| result.passed()) {
                    let _ = writeln!(
                        text,
                        "><skipped message=\"not on Envoy: {}\"/></testcase>",
                        xml(reason)
                    );
                    continue;
                }
                if result.passed() {
                    let _ = writeln!(text, "/>");
                    continue;
                }
                let mut detail = String::new();
                failure(&mut detail, result, Colour(false));
                let message = result
                    .faults
                    .first()
                    .map(|fault| xml(&fault.finding.what))
                    .unwrap_or_default();
                let _ = writeln!(
                    text,
                    ">\n      <failure message=\"{message}\">{}</failure>\n    </testcase>",
                    xml(&detail)
                );
            }
            let _ = writeln!(text, "  </testsuite>");
        }
        text.push_str("</testsuites>\n");
        text
    }
}

/// A case that a real Envoy did not run says so, whatever the emulator found.
fn pass(result: &CaseResult, colour: Colour) -> String {
    match &result.skipped {
        None => format!("  {} {}", colour.green("✓"), result.case),
        Some(reason) => format!("  - {} (not on Envoy: {reason})", result.case),
    }
}

fn failure(text: &mut String, result: &CaseResult, colour: Colour) {
    let _ = writeln!(
        text,
        "  {} {} ({})",
        colour.red("✗"),
        result.case,
        result.host
    );
    for fault in &result.faults {
        let finding = &fault.finding;
        let _ = writeln!(text, "      {}: {}", fault.step, finding.what);
        let _ = writeln!(
            text,
            "        {}",
            colour.green(&format!("expected: {}", indent(&finding.expected)))
        );
        let _ = writeln!(
            text,
            "        {}",
            colour.red(&format!("got:      {}", indent(&finding.got)))
        );
    }
}

fn indent(text: &str) -> String {
    text.trim_end().replace('\n', "\n                  ")
}

pub(crate) fn xml(text: &str) -> String {
    let legal = text
        .chars()
        .filter(|c| *c == '\n' || *c == '\t' || !c.is_control());
    let mut escaped = String::new();
    for c in legal {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Whether to colour: a terminal, and no `NO_COLOR`.
#[derive(Clone, Copy)]
struct Colour(bool);

impl Colour {
    fn detect() -> Self {
        Colour(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none())
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    fn red(self, text: &str) -> String {
        self.paint("31", text)
    }
}
