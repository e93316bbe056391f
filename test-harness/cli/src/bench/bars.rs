//! The bars that a run is held to, and whether it met them.

use std::fmt::Write as _;

use super::report::Report;
use super::variant::{LUAS_RECORD, PLUGINS};

/// Writes the table.
pub(crate) fn write(report: &Report<'_>, text: &mut String) {
    text.push_str("\n## Bars\n\nOf what each adds to no filter.\n\n| bar | measured | limit | met |\n| --- | ---: | ---: | --- |\n");
    let added = |name: &str| report.added_by(name);
    let mut bar = |what: &str, measured: Option<f64>, limit: Option<f64>| {
        if let (Some(measured), Some(limit)) = (measured, limit) {
            let met = if measured <= limit { "yes" } else { "no" };
            let _ = writeln!(
                text,
                "| {what} | {measured:.1} µs | {limit:.1} µs | {met} |"
            );
        }
    };
    let empty = added("empty filter");
    for plugin in PLUGINS {
        bar(
            &format!("`{plugin}` on a request that it only passes: 1.5 times the empty filter"),
            added(&format!("{plugin}, passing")),
            empty.map(|empty| empty * 1.5),
        );
    }
    let suite = added("suite");
    bar(
        "`suite`: 0.6 times the chain of six",
        suite,
        added("chain of six").map(|chain| chain * 0.6),
    );
    for (what, name) in [
        ("`suite`: below the six Lua filters", "suite"),
        (
            "`suite` with the record that the Lua filters write: below them",
            LUAS_RECORD,
        ),
    ] {
        bar(what, added(name), added("Lua: chain of six"));
    }
    bar(
        "`suite`: the empty filter and 1.3 times what its host calls cost (below)",
        suite,
        empty
            .zip(report.price_of("suite"))
            .map(|(empty, calls)| empty + 1.3 * calls),
    );
    bar(
        "`suite`, the goal beyond: 2 times the empty filter",
        suite,
        empty.map(|empty| empty * 2.0),
    );
}
