//! `launchgate matrix`: the README's compatibility table, from the results of the same scenarios on several Envoy versions.
//!
//! 1. Each input is `<version>.json`, printed by `launchgate test --mode diff --format json` with that Envoy.
//! 2. A cell is `passed/run` of a plugin's cases; cases that cannot run on an Envoy are not counted. Under the table stands
//!    every case that failed: on which Envoys, and the first difference.
//! 3. The record beside the table names, for each plugin, the versions on which no case failed; `launchgate image` takes it
//!    into the registry's index as `tested`.
//! 4. A failed case fails the command, after table and record are written.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use serde_json::Value;

const BEGIN: &str = "<!-- matrix: begin, written by make matrix -->";
const END: &str = "<!-- matrix: end -->";

/// Write the table of Envoy versions and plugins from test results.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Results, one `<version>.json` each.
    #[arg(required = true)]
    results: Vec<PathBuf>,
    /// The file whose part between the two `matrix` comments is replaced; without it the table is printed.
    #[arg(long)]
    readme: Option<PathBuf>,
    /// Where the record goes: JSON, plugin to versions.
    #[arg(long)]
    record: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut table = Table::default();
    for file in &args.results {
        let version = file
            .file_stem()
            .and_then(|s| s.to_str())
            .context("a result without a name")?;
        let text = fs::read(file).with_context(|| file.display().to_string())?;
        table.add(
            version,
            &serde_json::from_slice(&text).with_context(|| file.display().to_string())?,
        );
    }
    match &args.readme {
        Some(readme) => replace(readme, &table.render())?,
        None => print!("{}", table.render()),
    }
    if let Some(file) = &args.record {
        let record = serde_json::to_string_pretty(&table.passed())? + "\n";
        fs::write(file, record).with_context(|| file.display().to_string())?;
    }
    Ok(if table.failed() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Cases passed and run, by plugin and version.
#[derive(Debug, Default)]
struct Table {
    cells: BTreeMap<String, BTreeMap<String, (usize, usize)>>,
    /// Versions by what failed there.
    failures: BTreeMap<Failure, Vec<String>>,
}

/// A failed case: plugin, name, first difference.
type Failure = (String, String, String);

impl Table {
    fn add(&mut self, version: &str, results: &Value) {
        for file in results["files"].as_array().into_iter().flatten() {
            let plugin = plugin(file["file"].as_str().unwrap_or_default()).to_owned();
            let cell = self
                .cells
                .entry(plugin.clone())
                .or_default()
                .entry(version.to_owned())
                .or_default();
            let cases = file["cases"].as_array().into_iter().flatten();
            for case in cases.filter(|case| case["not_on_envoy"].is_null()) {
                cell.0 += usize::from(case["passed"] == true);
                cell.1 += 1;
                if case["passed"] != true {
                    let name = case["case"].as_str().unwrap_or_default().to_owned();
                    let failure = (plugin.clone(), name, difference(case));
                    let versions = self.failures.entry(failure).or_default();
                    // A case is run with several numbers of workers.
                    if versions.last().is_none_or(|last| last != version) {
                        versions.push(version.to_owned());
                    }
                }
            }
        }
    }

    fn failed(&self) -> bool {
        self.cells
            .values()
            .flat_map(BTreeMap::values)
            .any(|(passed, run)| passed < run)
    }

    /// The versions on which no case of a plugin failed, by plugin.
    fn passed(&self) -> BTreeMap<&String, Vec<&String>> {
        let versions = self.versions();
        let whole = |cells: &BTreeMap<String, (usize, usize)>, version: &String| {
            cells
                .get(version)
                .is_some_and(|(passed, run)| passed == run && *run > 0)
        };
        let of = |cells| {
            versions
                .iter()
                .copied()
                .filter(|v| whole(cells, v))
                .collect()
        };
        self.cells
            .iter()
            .map(|(plugin, cells)| (plugin, of(cells)))
            .collect()
    }

    /// Every version, the oldest first.
    fn versions(&self) -> Vec<&String> {
        let versions: BTreeSet<_> = self.cells.values().flat_map(BTreeMap::keys).collect();
        let mut versions: Vec<_> = versions.into_iter().collect();
        let number = |part: &str| part.parse().unwrap_or(0);
        versions.sort_by_key(|version| version.split('.').map(number).collect::<Vec<u32>>());
        versions
    }

    fn render(&self) -> String {
        let versions = self.versions();
        let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let heads = versions.iter().map(|version| format!("Envoy {version}"));
        let mut text = row(std::iter::once("plugin".to_owned()).chain(heads).collect());
        text += &row(vec!["---".to_owned(); versions.len() + 1]);
        for (plugin, cells) in &self.cells {
            let cell = |version: &&String| {
                cells
                    .get(*version)
                    .map_or_else(|| "-".to_owned(), |(passed, run)| format!("{passed}/{run}"))
            };
            text += &row(std::iter::once(format!("`{plugin}`"))
                .chain(versions.iter().map(cell))
                .collect());
        }
        if !self.failures.is_empty() {
            text += "\nFailed:\n\n";
        }
        for ((plugin, name, difference), versions) in &self.failures {
            let on = versions.join(", ");
            text += &format!("- `{plugin}` on Envoy {on}, \"{name}\": {difference}\n");
        }
        text
    }
}

/// The first fault of a case, short.
fn difference(case: &Value) -> String {
    let fault = &case["faults"][0];
    let short = |field: &str| {
        let line = fault[field]
            .as_str()
            .unwrap_or_default()
            .replace(['\n', '`'], " ");
        match line.char_indices().nth(160) {
            Some((end, _)) => format!("`{}…`", &line[..end]),
            None => format!("`{line}`"),
        }
    };
    let what = fault["what"].as_str().unwrap_or("no result");
    format!(
        "{what}: expected {}, got {}",
        short("expected"),
        short("got")
    )
}

/// The plugin of `…/plugins/<name>/scenarios/x.yaml`.
fn plugin(file: &str) -> &str {
    let mut parts = file.split('/').skip_while(|part| *part != "plugins");
    parts.nth(1).unwrap_or(file)
}

fn replace(readme: &Path, table: &str) -> anyhow::Result<()> {
    let text = fs::read_to_string(readme).with_context(|| readme.display().to_string())?;
    fs::write(
        readme,
        replaced(&text, table).with_context(|| readme.display().to_string())?,
    )?;
    Ok(())
}

fn replaced(text: &str, table: &str) -> anyhow::Result<String> {
    let (before, rest) = text
        .split_once(BEGIN)
        .with_context(|| format!("no line {BEGIN}"))?;
    let (_, after) = rest
        .split_once(END)
        .with_context(|| format!("no line {END}"))?;
    ensure!(!after.contains(BEGIN), "{BEGIN} stands twice");
    Ok(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn results(passed: bool) -> Value {
        json!({"files": [
            {"file": "/w/plugins/tls/scenarios/a.yaml", "cases": [{"passed": true, "not_on_envoy": null}, {"case": "b", "passed": passed, "not_on_envoy": null, "faults": [{"what": "status", "expected": "301", "got": "404"}]}]},
            {"file": "plugins/tls/scenarios/b.yaml", "cases": [{"passed": true, "not_on_envoy": null}, {"passed": true, "not_on_envoy": "faults"}]},
        ]})
    }

    #[test]
    fn versions_are_in_order_and_cases_counted() {
        let mut table = Table::default();
        table.add("1.40.0", &results(true));
        table.add("1.9.1", &results(false));
        assert_eq!(
            table.render(),
            "| plugin | Envoy 1.9.1 | Envoy 1.40.0 |\n| --- | --- | --- |\n| `tls` | 2/3 | 3/3 |\n\nFailed:\n\n- `tls` on Envoy 1.9.1, \"b\": status: expected `301`, got `404`\n"
        );
        assert!(table.failed());
        assert_eq!(json!(table.passed()), json!({"tls": ["1.40.0"]}));
    }

    #[test]
    fn only_what_is_between_the_comments_is_replaced() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(
            replaced(&text, "new\n").unwrap(),
            format!("a\n{BEGIN}\nnew\n{END}\nb\n")
        );
        assert!(replaced("a", "new").is_err());
    }
}
