//! What files tell: the index with its schemas, manifests, signatures.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::Context as _;

use crate::{
    check,
    index::Index,
    preflight::facts::{IndexFile, Manifests, Signature},
    registry::{client::Client, image, signature},
};

pub(super) fn index(file: &Path) -> anyhow::Result<IndexFile> {
    let index = Index::read(file)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let schema = |name: &str| {
        let text = fs::read(folder.join(format!("{name}.schema.json"))).ok()?;
        Some((name.to_owned(), serde_json::from_slice(&text).ok()?))
    };
    let schemas = index
        .plugins
        .iter()
        .filter_map(|p| schema(&p.name))
        .collect();
    Ok(IndexFile { index, schemas })
}

/// Facts of manifests, and the images behind them.
pub(super) struct Gathered {
    pub(super) facts: Manifests,
    images: BTreeSet<(String, String)>,
}

pub(super) fn manifests(folder: &Path, index: Option<&Path>) -> anyhow::Result<Gathered> {
    anyhow::ensure!(
        folder.exists(),
        "--manifests {}: not found",
        folder.display()
    );
    // Modules and schemas are beside the index; without one only shape and rules are checked.
    let dist = index.map(|file| file.parent().unwrap_or(Path::new(".")));
    let summary = check::summary(folder, dist)?;
    let images = summary.pinned.iter();
    Ok(Gathered {
        images: images
            .clone()
            .map(|(_, image, digest)| (image.clone(), digest.clone()))
            .collect(),
        facts: Manifests {
            resources: summary.resources,
            findings: summary.findings,
            images: images
                .map(|(plugin, _, digest)| (plugin.clone(), digest.clone()))
                .collect(),
        },
    })
}

/// `None`: there is neither an index with a signature nor an image.
pub(super) fn signatures(
    key: &Path,
    index: Option<&Path>,
    manifests: Option<&Gathered>,
) -> anyhow::Result<Option<Vec<Signature>>> {
    let key = signature::public_key(key)?;
    if let Some(file) = index {
        let mut beside = file.as_os_str().to_owned();
        beside.push(".sig");
        if let Ok(text) = fs::read_to_string(Path::new(&beside)) {
            let bytes = fs::read(file).with_context(|| file.display().to_string())?;
            return Ok(Some(vec![Signature {
                of: file.display().to_string(),
                valid: signature::verify_blob(&bytes, &text, &key).map_err(|e| format!("{e:#}")),
            }]));
        }
    }
    let client = Client::new(false);
    let verify = |(name, digest): &(String, String)| -> anyhow::Result<()> {
        let mut reference: crate::registry::reference::Reference = name.parse()?;
        reference.digest = Some(format!("sha256:{digest}"));
        let pulled = image::pull(&client, &reference)?;
        signature::verify(&client, &reference, &pulled.digest, &key)
    };
    let signed = |image: &(String, String)| Signature {
        of: image.0.clone(),
        valid: verify(image).map_err(|e| format!("{e:#}")),
    };
    Ok(manifests.map(|m| m.images.iter().map(signed).collect()))
}
