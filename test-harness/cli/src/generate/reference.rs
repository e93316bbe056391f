//! `generate reference`: `docs/reference/` from what is built: each plugin's JSON Schema and metrics, and the rules of preflight.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::preflight;

const HEADER: &str = "<!-- Written by `make reference` from what was built. Change the doc comments in the code instead. -->\n";
/// `suite` has the others as sections.
const PLUGINS: &[&str] = &["metrics", "access-log", "errors", "tls", "health", "canary"];
/// In every configuration; told once.
const COMMON: &[&str] = &["scope", "mode", "trust_envoy_xff"];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder with `<plugin>.schema.json` and `<plugin>.metrics.json`
    #[arg(long, default_value = "dist")]
    dist: PathBuf,
    /// Folder to write to
    #[arg(long, default_value = "docs/reference")]
    out: PathBuf,
    /// Write nothing; fail where a file is not what would be written
    #[arg(long)]
    check: bool,
}

/// Writes or compares.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let mut stale = Vec::new();
    for (name, text) in pages(args)? {
        let path = args.out.join(&name);
        if !args.check {
            std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        } else if std::fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            stale.push(name);
        }
    }
    let folder = args.out.display();
    ensure!(
        stale.is_empty(),
        "{folder}: {} are not what the code says; run `make reference`",
        stale.join(", ")
    );
    Ok(ExitCode::SUCCESS)
}

/// All pages: name and text.
fn pages(args: &Args) -> Result<Vec<(String, String)>> {
    let mut pages = vec![("preflight.md".to_owned(), preflight_rules())];
    for plugin in PLUGINS {
        pages.push((format!("{plugin}.md"), page(&args.dist, plugin)?));
    }
    pages.push(("README.md".to_owned(), index(&args.dist)?));
    Ok(pages)
}

fn read(dist: &Path, file: &str) -> Result<Value> {
    let path = dist.join(file);
    let text = std::fs::read(&path)
        .with_context(|| format!("{}: run `make build` first", path.display()))?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}

fn index(dist: &Path) -> Result<String> {
    let mut text = format!(
        "{HEADER}# Reference\n\n| plugin | every field, every metric | what it does |\n| --- | --- | --- |\n"
    );
    for plugin in PLUGINS {
        let _ = writeln!(
            text,
            "| `{plugin}` | [{plugin}]({plugin}.md) | [README](../../plugins/{plugin}/README.md) |"
        );
    }
    text.push_str("\n`suite` takes each of these as a section: `metrics`, `access_log`, `errors`, `tls`, `health`, `canary`.\n");
    text.push_str("Also: [every rule of preflight](preflight.md), [the language of scenarios](../scenarios.md).\n\n## In every configuration\n\n");
    let schema = read(dist, "health.schema.json")?;
    let mut rows = Rows {
        defs: &schema["$defs"],
        text: String::new(),
    };
    let common = |name: &str| COMMON.contains(&name);
    rows.object(&schema, "", &common);
    text.push_str(&table(&rows.text));
    Ok(text)
}

fn page(dist: &Path, plugin: &str) -> Result<String> {
    let schema = read(dist, &format!("{plugin}.schema.json"))?;
    let metrics = read(dist, &format!("{plugin}.metrics.json"))?;
    let mut rows = Rows {
        defs: &schema["$defs"],
        text: String::new(),
    };
    rows.object(&schema, "", &|name| !COMMON.contains(&name));
    let mut text = format!(
        "{HEADER}# {plugin}\n\nWhat it does stands in [its README](../../plugins/{plugin}/README.md); `scope`, `mode` and `trust_envoy_xff` are [in every configuration](README.md#in-every-configuration).\n\n## Configuration\n\n{}\n## Metrics\n\n| name | kind | labels | meaning |\n| --- | --- | --- | --- |\n",
        table(&rows.text)
    );
    for metric in metrics.as_array().into_iter().flatten() {
        let labels: Vec<_> = metric["labels"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|l| format!("`{l}`"))
            .collect();
        let of = |key: &str| cell(metric[key].as_str().unwrap_or_default());
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            of("name"),
            of("kind"),
            labels.join(", "),
            of("help")
        );
    }
    Ok(text)
}

fn table(rows: &str) -> String {
    format!("| field | type | meaning |\n| --- | --- | --- |\n{rows}")
}

/// The rows of a configuration's table.
struct Rows<'a> {
    defs: &'a Value,
    text: String,
}

impl<'a> Rows<'a> {
    fn object(&mut self, schema: &'a Value, path: &str, wanted: &dyn Fn(&str) -> bool) {
        let fields = schema["properties"].as_object().into_iter().flatten();
        for (name, field) in fields.filter(|(name, _)| wanted(name)) {
            self.field(field, &format!("{path}{name}"));
        }
    }

    fn field(&mut self, field: &'a Value, path: &str) {
        let target = self.resolve(field);
        let said = [field, target]
            .into_iter()
            .find_map(|f| f["description"].as_str());
        let _ = writeln!(
            self.text,
            "| `{path}` | {} | {} |",
            self.kind(field),
            cell(said.unwrap_or_default())
        );
        let (inside, path) = match target["type"].as_str() {
            Some("array") => (self.resolve(&target["items"]), format!("{path}[]")),
            Some("object") if target["additionalProperties"].is_object() => (
                self.resolve(&target["additionalProperties"]),
                format!("{path}.<name>"),
            ),
            _ => (target, path.to_owned()),
        };
        self.object(inside, &format!("{path}."), &|_| true);
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let name = schema["$ref"]
            .as_str()
            .and_then(|r| r.strip_prefix("#/$defs/"));
        // An optional value is `anyOf` of itself and null.
        let some = schema["anyOf"]
            .as_array()
            .and_then(|all| all.iter().find(|s| s["type"] != "null"));
        match (name, some) {
            (Some(name), _) => self.resolve(&self.defs[name]),
            (None, Some(inner)) => self.resolve(inner),
            (None, None) => schema,
        }
    }

    fn kind(&self, schema: &'a Value) -> String {
        let target = self.resolve(schema);
        let words: Vec<_> = words(target);
        if !words.is_empty() {
            return words.join(", ");
        }
        match target["type"].as_str() {
            Some("array") => format!("list of {}", self.kind(&target["items"])),
            Some("object") if target["additionalProperties"].is_object() => {
                format!("map to {}", self.kind(&target["additionalProperties"]))
            }
            Some(kind) => kind.to_owned(),
            None => match target["type"].as_array() {
                Some(kinds) => kinds
                    .iter()
                    .filter_map(Value::as_str)
                    .filter(|k| *k != "null")
                    .collect::<Vec<_>>()
                    .join(" or "),
                None => "any".to_owned(),
            },
        }
    }
}

/// The words of an enumeration, also where each has its own description.
fn words(schema: &Value) -> Vec<String> {
    let quoted = |v: &Value| v.as_str().map(|w| format!("`{w}`"));
    let plain = schema["enum"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(quoted);
    let each = schema["oneOf"].as_array().into_iter().flatten();
    let each = each.flat_map(|s| quoted(&s["const"]).into_iter().chain(words(s)));
    plain.chain(each).collect()
}

/// Text inside a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
        .replace("\n\n", " ")
        .replace('\n', " ")
}

fn preflight_rules() -> String {
    let mut text = format!(
        "{HEADER}# Rules of preflight\n\nHow it is run: [check before launch](../how-to/preflight.md).\n"
    );
    let mut area = "";
    for rule in preflight::rules() {
        if rule.area.name() != area {
            area = rule.area.name();
            let _ = writeln!(
                text,
                "\n## {area}\n\n| rule | severity | green when | mend |\n| --- | --- | --- | --- |"
            );
        }
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} [More](../../{}) |",
            rule.id,
            rule.severity.name(),
            cell(rule.title),
            cell(rule.mend),
            rule.link
        );
    }
    text
}
