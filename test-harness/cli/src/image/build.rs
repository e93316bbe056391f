//! A plugin's image.
//!
//! Istio's agent and Envoy Gateway take an image whose **last** layer is a gzipped tar with `plugin.wasm`, whatever stands
//! before it. So the metadata comes first: `spec.yaml`, schema, metrics, README, SBOM, the raw module (a bare Envoy fetches
//! it as a blob by the digest that it knows anyway), and the tar last.
//!
//! No commit, time or path goes into an image: its digest is a function of the plugin's files.

use std::{fs, path::Path};

use anyhow::Context;
use serde_json::{Value, json};

use super::{
    layer::{Layer, digest, hex, media_type},
    sbom,
};
use crate::index::Entry;

/// An image in memory.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) config: Vec<u8>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) manifest: Vec<u8>,
}

impl Image {
    /// The digest by which a gateway pins the image.
    pub(crate) fn digest(&self) -> String {
        digest(&self.manifest)
    }

    /// Every blob but the manifest: digest and bytes.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = (String, &[u8])> {
        let layers = self.layers.iter().map(|layer| layer.bytes.as_slice());
        std::iter::once(self.config.as_slice())
            .chain(layers)
            .map(|bytes| (digest(bytes), bytes))
    }

    /// Makes the manifest of layers.
    pub(crate) fn of_layers(
        name: &str,
        version: &str,
        layers: Vec<Layer>,
        annotations: Value,
    ) -> Self {
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let config = json!({
            "architecture": "wasm", "os": "wasi", "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = canonical(&config);
        let entries: Vec<_> = layers
            .iter()
            .map(|layer| descriptor(layer.media_type, &layer.bytes, &layer.title))
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::MANIFEST,
            "config": {"mediaType": media_type::CONFIG, "digest": digest(&config), "size": config.len()},
            "layers": entries,
            "annotations": annotations,
        });
        let manifest = canonical(&manifest);
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            config,
            layers,
            manifest,
        }
    }
}

/// JSON with sorted keys: the same bytes whatever map `serde_json` was built with.
pub(crate) fn canonical(value: &Value) -> Vec<u8> {
    sorted(value).to_string().into_bytes()
}

pub(super) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: std::collections::BTreeMap<_, _> = map.iter().collect();
            ordered
                .into_iter()
                .map(|(k, v)| (k.clone(), sorted(v)))
                .collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

fn descriptor(media_type: &str, bytes: &[u8], title: &str) -> Value {
    json!({
        "mediaType": media_type, "digest": digest(bytes), "size": bytes.len(),
        "annotations": {"org.opencontainers.image.title": title},
    })
}

/// Where a plugin's files are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'a> {
    /// The build's output.
    pub(crate) dist: &'a Path,
    /// The workspace: `plugins/<name>/README.md`, `Cargo.lock`.
    pub(crate) workspace: &'a Path,
}

/// Builds the image of a plugin in the build's index.
pub(crate) fn build(entry: &Entry, sources: Sources<'_>) -> anyhow::Result<Image> {
    let dist = |file: String| read(&sources.dist.join(file));
    let wasm = dist(entry.file.clone())?;
    anyhow::ensure!(
        hex(&wasm) == entry.sha256,
        "{}: sha256 {}, index.json says {}",
        entry.file,
        hex(&wasm),
        entry.sha256
    );
    let readme = read(
        &sources
            .workspace
            .join("plugins")
            .join(&entry.name)
            .join("README.md"),
    )?;
    let summary = summary(&String::from_utf8_lossy(&readme));
    let schema = dist(format!("{}.schema.json", entry.name))?;
    let spec = spec(entry, &summary, &schema)?;
    let sbom = sbom::render(sources.workspace, &entry.name, &wasm)?;
    let layers = vec![
        Layer::raw(media_type::SPEC, "spec.yaml", spec.into_bytes()),
        Layer::raw(media_type::SCHEMA, "config.schema.json", schema),
        Layer::raw(
            media_type::METRICS,
            "metrics.json",
            dist(format!("{}.metrics.json", entry.name))?,
        ),
        Layer::raw(media_type::README, "README.md", readme),
        Layer::raw(media_type::SBOM, "sbom.cdx.json", sbom.into_bytes()),
        Layer::raw(media_type::WASM, &entry.file, wasm.clone()),
        Layer::module(&wasm)?,
    ];
    let annotations = json!({
        "module.wasm.image/variant": "compat",
        "org.opencontainers.image.created": "1970-01-01T00:00:00Z",
        "org.opencontainers.image.description": summary,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.title": format!("launchgate {}", entry.name),
        "org.opencontainers.image.version": entry.version,
    });
    Ok(Image::of_layers(
        &entry.name,
        &entry.version,
        layers,
        annotations,
    ))
}

/// The README's first paragraph after its title.
fn summary(readme: &str) -> String {
    let mut lines = readme
        .lines()
        .skip_while(|line| line.trim().is_empty() || line.starts_with('#'));
    let paragraph: Vec<_> = lines
        .by_ref()
        .take_while(|line| !line.trim().is_empty())
        .collect();
    paragraph.join(" ")
}

/// Metadata in the form of the Higress hub: who, what, where in the chain, which configuration.
fn spec(entry: &Entry, summary: &str, schema: &[u8]) -> anyhow::Result<String> {
    let schema: Value =
        serde_json::from_slice(schema).with_context(|| format!("{}.schema.json", entry.name))?;
    let (category, phase, priority) = match entry.name.as_str() {
        "metrics" => ("flow-monitor", "AUTHN", 60),
        "access-log" => ("flow-monitor", "AUTHN", 50),
        "errors" => ("flow-monitor", "AUTHN", 40),
        "tls" => ("security", "AUTHN", 30),
        "health" => ("flow-monitor", "AUTHN", 20),
        "canary" => ("flow-control", "UNSPECIFIED_PHASE", 10),
        _ => ("custom", "UNSPECIFIED_PHASE", 0),
    };
    let spec = json!({
        "apiVersion": "1.0.0",
        "info": {"category": category, "name": entry.name, "title": entry.name, "description": summary, "version": entry.version},
        "spec": {"phase": phase, "priority": priority, "configSchema": {"openAPIV3Schema": schema}},
    });
    Ok(serde_norway::to_string(&sorted(&spec))?)
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{}: cannot be read", file.display()))
}
