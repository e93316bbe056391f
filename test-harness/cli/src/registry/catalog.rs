//! A registry's index: which plugins it holds, in which versions. One artifact, `<registry>/index:v1`, that every push
//! extends; versions are never moved or dropped.

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{client::Client, reference::Registry};
use crate::{
    image::{
        build::Image,
        layer::{Layer, media_type},
    },
    index::{Entry, Index},
};

/// Reads the index; `None` when the registry has none.
pub(crate) fn read(client: &Client, registry: &Registry) -> anyhow::Result<Option<Index>> {
    let reference = registry.index();
    let Some(found) = client.manifest(&reference)? else {
        return Ok(None);
    };
    let manifest: Value = serde_json::from_slice(&found.bytes)?;
    let digest = manifest["layers"][0]["digest"]
        .as_str()
        .with_context(|| format!("{reference}: no layer"))?;
    let bytes = client.blob(&reference, digest)?;
    Index::parse(&bytes)
        .with_context(|| reference.to_string())
        .map(Some)
}

/// Writes the index.
pub(crate) fn write(client: &Client, registry: &Registry, index: &Index) -> anyhow::Result<()> {
    let reference = registry.index();
    let bytes = serde_json::to_vec_pretty(index)?;
    let image = Image::of_layers(
        "index",
        "v1",
        vec![Layer::raw(media_type::REGISTRY_INDEX, "index.json", bytes)],
        json!({}),
    );
    for (digest, bytes) in image.blobs() {
        client.push_blob(&reference, &digest, bytes)?;
    }
    client.push_manifest(&reference, &image.manifest)
}

/// `new` entries put beside the `old` ones, sorted by name and version.
pub(crate) fn merge(old: Option<Index>, new: &[Entry]) -> Index {
    let mut plugins = old.map(|index| index.plugins).unwrap_or_default();
    plugins.retain(|entry| {
        !new.iter()
            .any(|n| n.name == entry.name && n.version == entry.version)
    });
    plugins.extend_from_slice(new);
    plugins.sort_by(|a, b| {
        (&a.name, version_key(&a.version)).cmp(&(&b.name, version_key(&b.version)))
    });
    Index {
        schema_version: 1,
        plugins,
    }
}

/// The entry of `name` or `name:version`; without a version the highest.
pub(crate) fn find<'a>(index: &'a Index, plugin: &str) -> anyhow::Result<&'a Entry> {
    let (name, version) = plugin
        .split_once(':')
        .map_or((plugin, None), |(name, version)| (name, Some(version)));
    let mut entries: Vec<_> = index.plugins.iter().filter(|e| e.name == name).collect();
    ensure!(
        !entries.is_empty(),
        "no plugin {name:?}, the registry has {}",
        names(index)
    );
    entries.sort_by_key(|e| version_key(&e.version));
    match version {
        None => entries.last().copied().context("no version"),
        Some(version) => {
            let all: Vec<_> = entries.iter().map(|e| e.version.as_str()).collect();
            entries
                .iter()
                .find(|e| e.version == version)
                .copied()
                .with_context(|| format!("{name} has no version {version}, but {}", all.join(", ")))
        }
    }
}

fn names(index: &Index) -> String {
    let mut names: Vec<_> = index.plugins.iter().map(|e| e.name.as_str()).collect();
    names.dedup();
    names.join(", ")
}

fn version_key(version: &str) -> (Vec<u64>, String) {
    (
        version
            .split(['.', '-', '+'])
            .map_while(|part| part.parse().ok())
            .collect(),
        version.to_owned(),
    )
}
