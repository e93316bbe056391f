//! Layers of an image, the same bytes whenever and wherever they are made: fixed times, owners and modes.

use std::io::Write;

use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};

/// Media types, by what a layer holds.
pub(crate) mod media_type {
    /// An OCI image manifest.
    pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image configuration.
    pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// An OCI index (a layout's table of contents, or one image for several platforms).
    pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// The latter in Docker's words.
    pub(crate) const DOCKER_INDEX: &str =
        "application/vnd.docker.distribution.manifest.list.v2+json";
    /// A gzipped tar: what Istio's agent and Envoy Gateway unpack.
    pub(crate) const TAR_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// The same in Docker's words.
    pub(crate) const DOCKER_TAR_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker's image manifest.
    pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// The raw module of the two-layer layout.
    pub(crate) const WASM_CONTENT: &str = "application/vnd.module.wasm.content.layer.v1+wasm";
    /// The raw module, for an Envoy that fetches a registry's blob.
    pub(crate) const WASM: &str = "application/wasm";
    /// Plugin metadata, in the form of the Higress hub.
    pub(crate) const SPEC: &str = "application/vnd.module.wasm.spec.v1+yaml";
    /// The README.
    pub(crate) const README: &str = "application/vnd.module.wasm.doc.v1+markdown";
    /// JSON Schema of the configuration.
    pub(crate) const SCHEMA: &str = "application/schema+json";
    /// The metrics that the plugin emits.
    pub(crate) const METRICS: &str = "application/vnd.launchgate.metrics.v1+json";
    /// The bill of materials.
    pub(crate) const SBOM: &str = "application/vnd.cyclonedx+json";
    /// A registry's index of plugins.
    pub(crate) const REGISTRY_INDEX: &str = "application/vnd.launchgate.index.v1+json";
    /// What cosign signs.
    pub(crate) const SIGNATURE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
}

/// A blob with its media type and title.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) media_type: &'static str,
    /// The file's name, `org.opencontainers.image.title`.
    pub(crate) title: String,
    pub(crate) bytes: Vec<u8>,
    /// Digest of the bytes before compression.
    pub(crate) diff_id: String,
}

impl Layer {
    /// A layer that is the file itself.
    pub(crate) fn raw(media_type: &'static str, title: &str, bytes: Vec<u8>) -> Self {
        let diff_id = digest(&bytes);
        Self {
            media_type,
            title: title.to_owned(),
            bytes,
            diff_id,
        }
    }

    /// The layer that gateways unpack: a gzipped tar with one file, `plugin.wasm`.
    ///
    /// # Errors
    /// When writing to memory fails.
    pub(crate) fn module(wasm: &[u8]) -> std::io::Result<Self> {
        let tar = tar(wasm)?;
        let mut gzip = GzBuilder::new()
            .mtime(0)
            .operating_system(255)
            .write(Vec::new(), Compression::best());
        gzip.write_all(&tar)?;
        let bytes = gzip.finish()?;
        Ok(Self {
            media_type: media_type::TAR_GZIP,
            title: "plugin.tar.gz".to_owned(),
            bytes,
            diff_id: digest(&tar),
        })
    }
}

fn tar(wasm: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_size(wasm.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "plugin.wasm", wasm)?;
    archive.into_inner()
}

/// `sha256:` and 64 hexadecimal digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

/// The SHA-256 of bytes, 64 hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_module_gives_the_same_layer() {
        let (a, b) = (
            Layer::module(b"\0asm\x01").unwrap(),
            Layer::module(b"\0asm\x01").unwrap(),
        );
        assert_eq!(a.bytes, b.bytes);
        assert_eq!(
            a.bytes.get(4..10),
            Some([0, 0, 0, 0, 2, 255].as_slice()),
            "no time, no system in the gzip header"
        );
    }

    #[test]
    fn a_digest_is_that_of_the_bytes() {
        assert_eq!(
            digest(b""),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
