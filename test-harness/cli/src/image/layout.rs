//! An OCI image layout on disk: what `make image` leaves and `make push` (or `skopeo copy oci:…`) takes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde_json::{Value, json};

use super::{
    build::Image,
    layer::{digest, media_type},
};

/// Writes a layout that holds exactly these images.
pub(crate) fn write(folder: &Path, images: &[Image]) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| blobs.display().to_string())?;
    let mut manifests = Vec::new();
    for image in images {
        for (digest, bytes) in image.blobs() {
            fs::write(blob(folder, &digest), bytes)?;
        }
        fs::write(blob(folder, &image.digest()), &image.manifest)?;
        manifests.push(json!({
            "mediaType": media_type::MANIFEST, "digest": image.digest(), "size": image.manifest.len(),
            "annotations": {"org.opencontainers.image.ref.name": format!("{}:{}", image.name, image.version)},
        }));
    }
    let index = json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": manifests});
    fs::write(
        folder.join("oci-layout"),
        "{\"imageLayoutVersion\":\"1.0.0\"}",
    )?;
    fs::write(folder.join("index.json"), index.to_string())?;
    Ok(())
}

/// One image of a layout.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) digest: String,
    pub(crate) manifest: Vec<u8>,
}

/// The images of a layout; every digest is compared.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Vec<Stored>> {
    let file = folder.join("index.json");
    let bytes = fs::read(&file)
        .with_context(|| format!("{}: no image layout, run `make image`", file.display()))?;
    let index: Value =
        serde_json::from_slice(&bytes).with_context(|| file.display().to_string())?;
    let mut images = Vec::new();
    for entry in index["manifests"].as_array().into_iter().flatten() {
        let reference = entry["annotations"]["org.opencontainers.image.ref.name"]
            .as_str()
            .unwrap_or_default();
        let (name, version) = reference
            .split_once(':')
            .with_context(|| format!("{}: {reference:?} is no name:version", file.display()))?;
        let digest = entry["digest"].as_str().unwrap_or_default().to_owned();
        let manifest = read_blob(folder, &digest)?;
        images.push(Stored {
            name: name.to_owned(),
            version: version.to_owned(),
            digest,
            manifest,
        });
    }
    Ok(images)
}

/// A blob whose bytes have its digest.
pub(crate) fn read_blob(folder: &Path, wanted: &str) -> anyhow::Result<Vec<u8>> {
    let file = blob(folder, wanted);
    let bytes = fs::read(&file).with_context(|| format!("{}: cannot be read", file.display()))?;
    anyhow::ensure!(
        digest(&bytes) == wanted,
        "{}: its bytes are {}, expected {wanted}",
        file.display(),
        digest(&bytes)
    );
    Ok(bytes)
}

fn blob(folder: &Path, digest: &str) -> PathBuf {
    folder.join("blobs").join(digest.replacen(':', "/", 1))
}
