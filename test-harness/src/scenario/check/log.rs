//! Log lines, and counting.

use regex::Regex;

use super::Finding;
use crate::scenario::expect::{Bounds, Count, LogMatch};
use crate::scenario::host::LogLine;

/// Checks log expectations, of a step or of loading.
pub fn check_logs(rules: &[LogMatch], logs: &[LogLine], findings: &mut Vec<Finding>) {
    for rule in rules {
        let count = logs.iter().filter(|line| log_matches(rule, line)).count() as u64;
        let wanted = rule.count.unwrap_or(Count::Between(Bounds {
            min: Some(1),
            max: None,
        }));
        if let Some(expected) = count_fault(wanted, count) {
            let lines: Vec<String> = logs
                .iter()
                .map(|line| format!("[{:?}] {}", line.level, line.message))
                .collect();
            let what = format!("log {}", log_text(rule));
            findings.push(Finding::new(
                what,
                format!("{expected} lines"),
                format!("{count}; all lines:\n{}", lines.join("\n")),
            ));
        }
    }
}

pub(super) fn log_matches(rule: &LogMatch, line: &LogLine) -> bool {
    rule.level.is_none_or(|level| level == line.level)
        && rule
            .contains
            .as_ref()
            .is_none_or(|part| line.message.contains(part))
        && rule
            .matches
            .as_ref()
            .is_none_or(|pattern| Regex::new(pattern).is_ok_and(|r| r.is_match(&line.message)))
}

pub(super) fn log_text(rule: &LogMatch) -> String {
    let level = rule
        .level
        .map(|level| format!("[{level:?}] "))
        .unwrap_or_default();
    let matches = rule
        .matches
        .as_ref()
        .map(|pattern| format!("/{pattern}/"))
        .unwrap_or_default();
    format!(
        "{level}{matches}{}",
        rule.contains.clone().unwrap_or_default()
    )
}

pub(super) fn count_fault(wanted: Count, count: u64) -> Option<String> {
    match wanted {
        Count::Exactly(number) => (number != count).then(|| number.to_string()),
        Count::Between(bounds) => {
            let fits = bounds.min.is_none_or(|min| count >= min)
                && bounds.max.is_none_or(|max| count <= max);
            let text = match (bounds.min, bounds.max) {
                (Some(min), Some(max)) => format!("{min} to {max}"),
                (Some(min), None) => format!("at least {min}"),
                (None, Some(max)) => format!("at most {max}"),
                (None, None) => "any number".into(),
            };
            (!fits).then_some(text)
        }
    }
}
