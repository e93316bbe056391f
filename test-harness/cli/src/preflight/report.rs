//! What came of all rules: for people, and as JSON.

use std::{fmt::Write as _, io::IsTerminal as _, time::SystemTime};

use serde_json::{Value, json};

use super::{
    build, configuration,
    facts::Facts,
    health, observability, release,
    rule::{Area, NotChecked, Outcome, Rule, Severity},
    tls,
};

/// Every rule, in the order of the checklist.
pub(crate) fn rules() -> impl Iterator<Item = &'static Rule> {
    [
        build::RULES,
        configuration::RULES,
        tls::RULES,
        health::RULES,
        observability::RULES,
        release::RULES,
    ]
    .into_iter()
    .flatten()
}

/// A rule and what came of it.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) rule: &'static Rule,
    pub(crate) outcome: Result<Outcome, NotChecked>,
}

impl Line {
    /// `green`, `error`, `warning`, `not checked`.
    pub(crate) fn verdict(&self) -> &'static str {
        match &self.outcome {
            Ok(Outcome::Holds(_)) => "green",
            Ok(Outcome::Broken(_)) => self.rule.severity.name(),
            Err(_) => "not checked",
        }
    }

    /// What shows it, one line each.
    pub(crate) fn evidence(&self) -> Vec<&str> {
        match &self.outcome {
            Ok(Outcome::Holds(evidence)) => vec![evidence],
            Ok(Outcome::Broken(evidence)) => evidence.iter().map(String::as_str).collect(),
            Err(NotChecked(why)) => vec![why],
        }
    }

    /// Whether it is a finding.
    pub(crate) fn is_finding(&self) -> bool {
        matches!(self.outcome, Ok(Outcome::Broken(_)))
    }
}

/// The whole checklist.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) url: String,
    pub(crate) time: SystemTime,
    pub(crate) lines: Vec<Line>,
}

impl Report {
    /// Judges; of all areas, or of `only` those.
    pub(crate) fn of(facts: &Facts, only: &[Area]) -> Self {
        let wanted = rules().filter(|rule| only.is_empty() || only.contains(&rule.area));
        let lines = wanted.map(|rule| Line {
            rule,
            outcome: (rule.check)(facts),
        });
        Self {
            url: facts.url.clone(),
            time: facts.now,
            lines: lines.collect(),
        }
    }

    /// Whether every rule was checked and holds.
    pub(crate) fn is_green(&self) -> bool {
        self.lines
            .iter()
            .all(|line| matches!(line.outcome, Ok(Outcome::Holds(_))))
    }

    /// Findings of this severity.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        let found = self.lines.iter().filter(|l| l.is_finding());
        found.filter(|l| l.rule.severity == severity).count()
    }

    pub(crate) fn not_checked(&self) -> usize {
        self.lines.iter().filter(|l| l.outcome.is_err()).count()
    }

    /// One sentence.
    pub(crate) fn summary(&self) -> String {
        let green = self
            .lines
            .iter()
            .filter(|l| matches!(l.outcome, Ok(Outcome::Holds(_))));
        format!(
            "{} of {} green, {} errors, {} warnings, {} not checked",
            green.count(),
            self.lines.len(),
            self.count(Severity::Error),
            self.count(Severity::Warning),
            self.not_checked()
        )
    }

    /// The lines of an area.
    pub(crate) fn areas(&self) -> Vec<(Area, Vec<&Line>)> {
        let mut areas: Vec<(Area, Vec<&Line>)> = Vec::new();
        for line in &self.lines {
            match areas.last_mut() {
                Some((area, lines)) if *area == line.rule.area => lines.push(line),
                _ => areas.push((line.rule.area, vec![line])),
            }
        }
        areas
    }

    /// For a terminal.
    pub(crate) fn table(&self) -> String {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let paint = |verdict: &str, text: &str| match (colour, verdict) {
            (false, _) => text.to_owned(),
            (_, "green") => format!("\u{1b}[32m{text}\u{1b}[0m"),
            (_, "error") => format!("\u{1b}[31m{text}\u{1b}[0m"),
            _ => format!("\u{1b}[33m{text}\u{1b}[0m"),
        };
        let mut text = format!("{}\n", self.url);
        for (area, lines) in self.areas() {
            let _ = writeln!(text, "\n{}", area.name());
            for line in lines {
                let verdict = line.verdict();
                let mark = paint(verdict, &format!("{verdict:<11}"));
                let _ = writeln!(text, "  {mark}  {:<26}  {}", line.rule.id, line.rule.title);
                for evidence in line.evidence() {
                    let colon = if line.outcome.is_err() {
                        "not checked: "
                    } else {
                        ""
                    };
                    let _ = writeln!(text, "               {colon}{evidence}");
                }
                if line.is_finding() {
                    let _ = writeln!(
                        text,
                        "               mend: {} ({})",
                        line.rule.mend, line.rule.link
                    );
                }
            }
        }
        let _ = writeln!(text, "\n{}", self.summary());
        text
    }

    /// For scripts.
    pub(super) fn json(&self) -> String {
        let findings: Vec<_> = self
            .lines
            .iter()
            .filter(|l| l.is_finding())
            .map(finding)
            .collect();
        let rules: Vec<_> = self
            .lines
            .iter()
            .map(|line| {
                let verdict = match line.verdict() {
                    "not checked" => format!("not checked: {}", line.evidence().join("; ")),
                    other => other.to_owned(),
                };
                json!({"id": line.rule.id, "check": line.rule.area.name(), "title": line.rule.title,
                       "verdict": verdict, "evidence": line.evidence()})
            })
            .collect();
        let report = json!({
            "schema_version": 1,
            "url": self.url,
            "time": humantime::format_rfc3339_seconds(self.time).to_string(),
            "green": self.is_green(),
            "summary": self.summary(),
            "findings": findings,
            "rules": rules,
        });
        format!("{report:#}\n")
    }
}

fn finding(line: &Line) -> Value {
    json!({
        "id": line.rule.id,
        "check": line.rule.area.name(),
        "severity": line.rule.severity.name(),
        "title": line.rule.title,
        "evidence": line.evidence().join("\n"),
        "mend": line.rule.mend,
        "link": line.rule.link,
    })
}
