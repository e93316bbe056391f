//! An image in a registry, read whole and checked.

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{client::Client, reference::Reference};
use crate::image::accept;

/// A pulled image: every layer has its digest, and both gateways would take it.
#[derive(Debug)]
pub(crate) struct Pulled {
    /// The manifest's.
    pub(crate) digest: String,
    pub(crate) annotations: Value,
    /// Title, media type, bytes.
    pub(crate) layers: Vec<(String, String, Vec<u8>)>,
    /// What a gateway loads.
    pub(crate) wasm: Vec<u8>,
}

impl Pulled {
    /// A layer by its file name.
    pub(crate) fn file(&self, title: &str) -> Option<&[u8]> {
        self.layers
            .iter()
            .find(|(name, ..)| name == title)
            .map(|(.., bytes)| bytes.as_slice())
    }
}

/// Pulls an image.
pub(crate) fn pull(client: &Client, reference: &Reference) -> anyhow::Result<Pulled> {
    let found = client
        .manifest(reference)?
        .with_context(|| format!("{reference}: not found"))?;
    let manifest: Value =
        serde_json::from_slice(&found.bytes).with_context(|| format!("{reference}: manifest"))?;
    ensure!(
        manifest.get("manifests").is_none(),
        "{reference}: an index of images, expected one image (docker build --provenance=false makes no index)"
    );
    let mut layers = Vec::new();
    for layer in manifest["layers"].as_array().into_iter().flatten() {
        let digest = layer["digest"].as_str().unwrap_or_default();
        let bytes = client.blob(reference, digest)?;
        ensure!(
            layer["size"].as_u64() == Some(bytes.len() as u64),
            "{reference}: layer {digest} has {} bytes, its manifest says {}",
            bytes.len(),
            layer["size"]
        );
        let title = layer["annotations"]["org.opencontainers.image.title"]
            .as_str()
            .unwrap_or(digest);
        layers.push((
            title.to_owned(),
            layer["mediaType"].as_str().unwrap_or_default().to_owned(),
            bytes,
        ));
    }
    let kinds: Vec<_> = layers
        .iter()
        .map(|(_, kind, bytes)| (kind.clone(), bytes.clone()))
        .collect();
    let wasm = accept::module(manifest["mediaType"].as_str().unwrap_or_default(), &kinds)
        .with_context(|| reference.to_string())?;
    Ok(Pulled {
        digest: found.digest,
        annotations: manifest["annotations"].clone(),
        layers,
        wasm,
    })
}
