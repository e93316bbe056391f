//! `source.yaml` of an overlay: the reference and the manifest digest of every plugin, written from an index, so that a
//! release of manifests is one generated file.

use std::{fs, path::Path};

use anyhow::Context;

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
        lines.push(format!("  {}.sha256: {digest}", entry.name));
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
    let envoy_gateway = file.components().any(|c| c.as_os_str() == "envoy-gateway");
    let text = render(index, registry, if envoy_gateway { "" } else { "oci://" })?;
    fs::write(file, text).with_context(|| file.display().to_string())
}

fn is_in_chain(name: &str) -> bool {
    ["metrics", "access-log", "errors", "tls", "health", "canary"].contains(&name)
}
