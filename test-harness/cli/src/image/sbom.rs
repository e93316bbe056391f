//! The bill of materials of a module: CycloneDX 1.5 JSON, the crates that are linked into the wasm and no others. Without
//! time and serial number, so that the same lock file gives the same bytes.
//!
//! 1. `cargo metadata` knows every crate of the workspace, but with the features of all members together;
//! 2. `cargo tree` of the one plugin knows which of them its wasm has: no tests, no build scripts, no procedural macros.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use anyhow::Context;
use launchgate_sdk::config::sealed::PURPOSE;
use serde_json::{Value, json};

use super::layer::hex;

const TARGET: &str = "wasm32-wasip1";

/// The document for `plugin` with this module.
pub(crate) fn render(workspace: &Path, plugin: &str, wasm: &[u8]) -> anyhow::Result<String> {
    let metadata: Value = serde_json::from_slice(&cargo(
        workspace,
        &[
            "metadata",
            "--format-version",
            "1",
            "--filter-platform",
            TARGET,
        ],
    )?)?;
    let crate_name = if plugin == "_template" {
        "launchgate-template".to_owned()
    } else {
        format!("launchgate-{plugin}")
    };
    let packages: BTreeMap<&str, &Value> = items(&metadata["packages"])
        .filter_map(|p| Some((p["id"].as_str()?, p)))
        .collect();
    let root = packages
        .iter()
        .find(|(_, p)| p["name"] == crate_name.as_str())
        .map(|(id, _)| *id);
    let root = root.with_context(|| format!("no crate {crate_name} in {}", workspace.display()))?;
    let crates = crates(workspace, &crate_name, opens_sealed_values(wasm))?;
    let graph = linked(&metadata, root, |id| {
        packages.get(id).is_some_and(|p| crates.contains(&key(p)))
    });
    let checksums =
        checksums(&fs::read_to_string(workspace.join("Cargo.lock")).context("Cargo.lock")?);
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    for (id, on) in &graph {
        let Some(package) = packages.get(id) else {
            continue;
        };
        if *id != root {
            components.push(component(package, &checksums));
        }
        let on: BTreeSet<_> = on
            .iter()
            .filter_map(|id| packages.get(id))
            .map(|p| purl(p))
            .collect();
        dependencies.push(json!({"ref": purl(package), "dependsOn": on}));
    }
    components.sort_by_key(|c| c["bom-ref"].to_string());
    dependencies.sort_by_key(|d| d["ref"].to_string());
    let root = packages.get(root).context("root crate")?;
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {
            "type": "library", "bom-ref": purl(root), "name": root["name"], "version": root["version"], "purl": purl(root),
            "licenses": licenses(root), "hashes": [{"alg": "SHA-256", "content": hex(wasm)}],
        }},
        "components": components,
        "dependencies": dependencies,
    });
    Ok(serde_json::to_string_pretty(&super::build::sorted(&document))? + "\n")
}

fn cargo(workspace: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let command = arguments.first().copied().unwrap_or_default();
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .args(["--locked", "--offline", "--manifest-path"])
        .arg(workspace.join("Cargo.toml"))
        .output()
        .with_context(|| format!("cargo {command}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(
        output.status.success(),
        "cargo {command}: {}",
        errors.lines().last().unwrap_or_default()
    );
    Ok(output.stdout)
}

/// Name and version of every crate that is linked into the module of `crate_name`.
fn crates(
    workspace: &Path,
    crate_name: &str,
    sealed: bool,
) -> anyhow::Result<BTreeSet<(String, String)>> {
    let mut arguments = vec![
        "tree",
        "--target",
        TARGET,
        "--edges",
        "normal,no-proc-macro",
    ];
    arguments.extend([
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--package",
        crate_name,
    ]);
    if sealed {
        arguments.extend([
            "--package",
            "launchgate-sdk",
            "--features",
            "launchgate-sdk/sealed",
        ]);
    }
    let lines = cargo(workspace, &arguments)?;
    let named = String::from_utf8_lossy(&lines);
    let named = named.lines().filter_map(|line| {
        let (name, rest) = line.split_once(" v")?;
        Some((name.to_owned(), rest.split(' ').next()?.to_owned()))
    });
    Ok(named.collect())
}

/// Built with the feature `sealed`: the purpose of sealing stands in the module's data.
fn opens_sealed_values(wasm: &[u8]) -> bool {
    wasm.windows(PURPOSE.len()).any(|window| window == PURPOSE)
}

/// `root`, every crate below it that `keep` takes, and which of them each links itself.
fn linked<'a>(
    metadata: &'a Value,
    root: &'a str,
    keep: impl Fn(&str) -> bool,
) -> BTreeMap<&'a str, Vec<&'a str>> {
    let nodes: BTreeMap<&str, &Value> = items(&metadata["resolve"]["nodes"])
        .filter_map(|n| Some((n["id"].as_str()?, n)))
        .collect();
    let mut graph = BTreeMap::new();
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        if graph.contains_key(id) {
            continue;
        }
        let edges = nodes.get(id).map(|node| &node["deps"]);
        let normal = |edge: &&Value| items(&edge["dep_kinds"]).any(|kind| kind["kind"].is_null());
        let on: Vec<_> = edges
            .into_iter()
            .flat_map(items)
            .filter(normal)
            .filter_map(|edge| edge["pkg"].as_str())
            .filter(|id| keep(id))
            .collect();
        open.extend(&on);
        graph.insert(id, on);
    }
    graph
}

fn key(package: &Value) -> (String, String) {
    (text(&package["name"]), text(&package["version"]))
}

fn component(package: &Value, checksums: &BTreeMap<(String, String), String>) -> Value {
    let mut component = json!({
        "type": "library", "bom-ref": purl(package), "name": package["name"], "version": package["version"],
        "purl": purl(package), "licenses": licenses(package),
    });
    if let Some(checksum) = checksums.get(&key(package)) {
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    component
}

fn licenses(package: &Value) -> Value {
    package["license"].as_str().map_or_else(
        || json!([]),
        |text| json!([{"expression": text.replace('/', " OR ")}]),
    )
}

fn purl(package: &Value) -> String {
    format!(
        "pkg:cargo/{}@{}",
        text(&package["name"]),
        text(&package["version"])
    )
}

/// Checksums by name and version, from a lock file.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let field = |block: &str, name: &str| {
        let line = block
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let blocks = lock.split("[[package]]");
    blocks
        .filter_map(|b| {
            Some((
                (field(b, "name")?, field(b, "version")?),
                field(b, "checksum")?,
            ))
        })
        .collect()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_come_from_the_lock_file() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"00ff\"\n\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\n";
        let expected = BTreeMap::from([(("a".to_owned(), "1.0.0".to_owned()), "00ff".to_owned())]);
        assert_eq!(checksums(lock), expected);
    }

    #[test]
    fn only_what_is_linked_counts() {
        let metadata = json!({"resolve": {"nodes": [
            {"id": "a", "deps": [{"pkg": "b", "dep_kinds": [{"kind": null}]}, {"pkg": "c", "dep_kinds": [{"kind": "dev"}]}, {"pkg": "d", "dep_kinds": [{"kind": "build"}]}]},
            {"id": "b", "deps": []},
        ]}});
        let all = BTreeMap::from([("a", vec!["b"]), ("b", vec![])]);
        assert_eq!(linked(&metadata, "a", |_| true), all);
        let alone = BTreeMap::from([("a", vec![])]);
        assert_eq!(linked(&metadata, "a", |id| id != "b"), alone);
    }
}
