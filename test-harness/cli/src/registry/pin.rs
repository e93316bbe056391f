//! `source.yaml` of an overlay: the reference and the manifest digest of every plugin, written from an index, so that a
//! release of manifests is one generated file. A pin is stale when the index names other bytes than the file.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::reference::Registry;
use crate::index::Index;

/// The file for Istio (`oci://` references) or, without the scheme, for Envoy Gateway.
pub(crate) fn render(index: &Index, registry: &Registry, scheme: &str) -> anyhow::Result<String> {
    let mut lines = vec![
        "# Written by `launchgate registry pin`: which bytes this environment runs. `sha256` is the digest of the image's".to_owned(),
        "# manifest, which is what Istio and Envoy Gateway compare for an image.".to_owned(),
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: launchgate-source\n  annotations:".to_owned(),
        "    config.kubernetes.io/local-config: \"true\"\ndata:".to_owned(),
    ];
    for entry in index.plugins.iter().filter(|e| is_in_chain(&e.name)) {
        let digest = entry
            .manifest_hex()
            .with_context(|| format!("{}: no manifest_digest, run `make image`", entry.name))?;
        // Quoted: YAML reads digits alone as a number.
        lines.push(format!("  {}.sha256: \"{digest}\"", entry.name));
        lines.push(format!(
            "  {}.url: {scheme}{}",
            entry.name,
            registry.plugin(&entry.name, &entry.version)
        ));
    }
    Ok(lines.join("\n") + "\n")
}

/// Writes the file; Envoy Gateway's overlays are known by their folder.
pub(crate) fn write(index: &Index, registry: &Registry, file: &Path) -> anyhow::Result<()> {
    let text = render(index, registry, scheme(file))?;
    fs::write(file, text).with_context(|| file.display().to_string())
}

/// Fails with every line of the file that the index would write otherwise.
pub(crate) fn check(index: &Index, registry: &Registry, file: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let pinned = data(&text).with_context(|| file.display().to_string())?;
    let expected = data(&render(index, registry, scheme(file))?)?;
    let keys = expected
        .keys()
        .chain(pinned.keys().filter(|k| !expected.contains_key(*k)));
    let differ = keys.filter(|key| expected.get(*key) != pinned.get(*key));
    let show = |map: &BTreeMap<String, String>, key| match map.get(key).map(String::as_str) {
        None | Some("") => "nothing".to_owned(),
        Some(text) => text.to_owned(),
    };
    let stale: Vec<_> = differ
        .map(|key| {
            format!(
                "{key} is {}, expected {}",
                show(&pinned, key),
                show(&expected, key)
            )
        })
        .collect();
    ensure!(
        stale.is_empty(),
        "{}: stale pins, write them with `make pin`: {}",
        file.display(),
        stale.join("; ")
    );
    Ok(())
}

fn data(yaml: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let document: Value = serde_norway::from_str(yaml)?;
    Ok(serde_json::from_value(document["data"].clone())?)
}

fn scheme(file: &Path) -> &'static str {
    let envoy_gateway = file.components().any(|c| c.as_os_str() == "envoy-gateway");
    if envoy_gateway { "" } else { "oci://" }
}

fn is_in_chain(name: &str) -> bool {
    ["metrics", "access-log", "errors", "tls", "health", "canary"].contains(&name)
}
