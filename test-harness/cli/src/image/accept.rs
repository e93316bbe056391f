//! What Istio's agent (`pkg/wasm/imagefetcher.go`) and Envoy Gateway accept, as a gate before anything is published.
//!
//! 1. A Docker image whose last layer is a gzipped tar, or an OCI image whose last layer is one: the file with the base name
//!    `plugin.wasm` in it.
//! 2. Else exactly two layers, one of them the raw module.
//! 3. The module is at most 256 MiB and begins with `\0asm`.

use std::io::Read;

use anyhow::{Context, bail, ensure};
use flate2::read::GzDecoder;
use serde_json::Value;

use super::{build::Image, layer::media_type};

/// Istio's `ISTIO_WASM_MAX_BINARY_SIZE_BYTES`.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Whether both would take this image: the gate of `launchgate image`.
pub(crate) fn check_image(image: &Image) -> anyhow::Result<()> {
    let manifest: Value = serde_json::from_slice(&image.manifest)?;
    let layers: Vec<_> = image
        .layers
        .iter()
        .map(|layer| (layer.media_type.to_owned(), layer.bytes.clone()))
        .collect();
    module(manifest["mediaType"].as_str().unwrap_or_default(), &layers).map(|_| ())
}

/// The module that a gateway takes out of an image's layers.
pub(crate) fn module(manifest_type: &str, layers: &[(String, Vec<u8>)]) -> anyhow::Result<Vec<u8>> {
    let (last, bytes) = layers.last().context("the image has no layers")?;
    let docker =
        manifest_type == media_type::DOCKER_MANIFEST && last == media_type::DOCKER_TAR_GZIP;
    let wasm = if docker || last == media_type::TAR_GZIP {
        unpack(bytes)?
    } else if let ([_, _], Some((_, raw))) = (
        layers,
        layers
            .iter()
            .find(|(kind, _)| kind == media_type::WASM_CONTENT),
    ) {
        raw.clone()
    } else {
        bail!(
            "no gateway accepts this image: its last layer is {last}, expected {}",
            media_type::TAR_GZIP
        );
    };
    ensure!(
        wasm.starts_with(b"\0asm"),
        "plugin.wasm is no wasm module: its first bytes are {:02x?}",
        wasm.get(..4).unwrap_or(&wasm)
    );
    Ok(wasm)
}

fn unpack(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut archive = tar::Archive::new(GzDecoder::new(bytes).take(MAX_BYTES + 1_048_576));
    for entry in archive.entries()? {
        let mut entry = entry.context("the last layer is no gzipped tar")?;
        let named = entry
            .path()?
            .file_name()
            .is_some_and(|name| name == "plugin.wasm");
        if named {
            ensure!(
                entry.size() <= MAX_BYTES,
                "plugin.wasm has {} bytes, gateways take {MAX_BYTES}",
                entry.size()
            );
            let mut wasm = Vec::new();
            entry.read_to_end(&mut wasm)?;
            return Ok(wasm);
        }
    }
    bail!("no plugin.wasm in the last layer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::layer::Layer;

    #[test]
    fn the_layouts_are_those_of_the_gateways() {
        let wasm = b"\0asm\x01\0\0\0".to_vec();
        let tar = || {
            (
                media_type::TAR_GZIP.to_owned(),
                Layer::module(&wasm).unwrap().bytes,
            )
        };
        let docker = || (media_type::DOCKER_TAR_GZIP.to_owned(), tar().1);
        let raw = |kind: &str| (kind.to_owned(), wasm.clone());
        let (oci, docker_manifest) = (media_type::MANIFEST, media_type::DOCKER_MANIFEST);
        let rows = [
            (
                "oci, tar last",
                oci,
                vec![raw("text/plain"), raw(media_type::WASM), tar()],
                true,
            ),
            ("docker, tar last", docker_manifest, vec![docker()], true),
            (
                "docker's layer in an OCI manifest",
                oci,
                vec![docker()],
                false,
            ),
            (
                "two layers, one raw",
                oci,
                vec![raw(media_type::WASM_CONTENT), raw("config")],
                true,
            ),
            (
                "three layers, one raw",
                oci,
                vec![raw(media_type::WASM_CONTENT), raw("a"), raw("b")],
                false,
            ),
            (
                "one raw layer",
                oci,
                vec![raw(media_type::WASM_CONTENT)],
                false,
            ),
            (
                "the component layout",
                oci,
                vec![raw(media_type::WASM)],
                false,
            ),
            (
                "tar not last",
                oci,
                vec![tar(), raw("text/plain"), raw("b")],
                false,
            ),
            ("no layers", oci, vec![], false),
        ];
        for (name, manifest, layers, accepted) in rows {
            assert_eq!(module(manifest, &layers).is_ok(), accepted, "{name}");
        }
    }

    #[test]
    fn what_is_no_module_is_refused() {
        let tar = Layer::module(b"<html>").unwrap();
        let error = module(
            media_type::MANIFEST,
            &[(media_type::TAR_GZIP.to_owned(), tar.bytes)],
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "plugin.wasm is no wasm module: its first bytes are [3c, 68, 74, 6d]"
        );
    }
}
