//! The bill of materials of a module: CycloneDX 1.5 JSON from `cargo metadata`, the crates that are linked into the wasm and
//! no others. Without time and serial number, so that the same lock file gives the same bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use anyhow::Context;
use serde_json::{Value, json};

const TARGET: &str = "wasm32-wasip1";

/// The document for `plugin`, whose module has the SHA-256 `wasm`.
pub(crate) fn render(workspace: &Path, plugin: &str, wasm: &str) -> anyhow::Result<String> {
    let metadata = metadata(workspace)?;
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
    let graph = linked(&metadata, root);
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
            "licenses": licenses(root), "hashes": [{"alg": "SHA-256", "content": wasm}],
        }},
        "components": components,
        "dependencies": dependencies,
    });
    Ok(serde_json::to_string_pretty(&super::build::sorted(&document))? + "\n")
}

fn metadata(workspace: &Path) -> anyhow::Result<Value> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--offline",
            "--filter-platform",
            TARGET,
            "--manifest-path",
        ])
        .arg(workspace.join("Cargo.toml"))
        .output()
        .context("cargo metadata")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(
        output.status.success(),
        "cargo metadata: {}",
        errors.lines().last().unwrap_or_default()
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Every crate that `root` links, with those that it links itself: normal dependencies, no tests, no build scripts.
fn linked<'a>(metadata: &'a Value, root: &'a str) -> BTreeMap<&'a str, Vec<&'a str>> {
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
            .collect();
        open.extend(&on);
        graph.insert(id, on);
    }
    graph
}

fn component(package: &Value, checksums: &BTreeMap<(String, String), String>) -> Value {
    let key = (text(&package["name"]), text(&package["version"]));
    let mut component = json!({
        "type": "library", "bom-ref": purl(package), "name": package["name"], "version": package["version"],
        "purl": purl(package), "licenses": licenses(package),
    });
    if let Some(checksum) = checksums.get(&key) {
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
        assert_eq!(
            linked(&metadata, "a"),
            BTreeMap::from([("a", vec!["b"]), ("b", vec![])])
        );
    }
}
