//! Signatures in cosign's format with a key (`cosign sign --key`, simple signing): what is signed is a small JSON that holds the
//! manifest's digest; the signature is an image of its own under the tag `sha256-<hex>.sig`.
//!
//! 1. Key: P-256, PKCS#8 PEM (`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`); public key: SPKI PEM.
//! 2. A signature counts when its payload's layer has its digest, the payload names this manifest's digest, and the key
//!    fits. One that counts is enough; otherwise every reason is told.
//! 3. Signatures of other keys stay, so that a key can be exchanged: one key has one signature of an image.

use std::{fs, path::Path};

use anyhow::{Context, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use p256::{
    ecdsa::{
        Signature, SigningKey, VerifyingKey,
        signature::{Signer, Verifier},
    },
    pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding},
};
use serde_json::{Value, json};

use super::{client::Client, reference::Reference};
use crate::image::{
    build::{Image, canonical},
    layer::{Layer, media_type},
};

const ANNOTATION: &str = "dev.cosignproject.cosign/signature";

/// Reads a private key.
pub(crate) fn private_key(file: &Path) -> anyhow::Result<SigningKey> {
    let pem =
        fs::read_to_string(file).with_context(|| format!("{}: cannot be read", file.display()))?;
    // The reason is left out: it must not quote the key.
    SigningKey::from_pkcs8_pem(&pem)
        .map_err(|_| anyhow::anyhow!("{}: no P-256 private key in PKCS#8 PEM", file.display()))
}

/// Reads a public key.
pub(crate) fn public_key(file: &Path) -> anyhow::Result<VerifyingKey> {
    let pem =
        fs::read_to_string(file).with_context(|| format!("{}: cannot be read", file.display()))?;
    VerifyingKey::from_public_key_pem(&pem)
        .map_err(|e| anyhow::anyhow!("{}: no P-256 public key in PEM: {e}", file.display()))
}

/// Writes a new pair, `<stem>.key` (readable by the owner only) and `<stem>.pub`.
pub(crate) fn generate(stem: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let key = SigningKey::random(&mut p256::elliptic_curve::rand_core::OsRng);
    let private = key
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|e| anyhow::anyhow!("key: {e}"))?;
    let public = key
        .verifying_key()
        .to_public_key_pem(LineEnding::LF)
        .map_err(|e| anyhow::anyhow!("key: {e}"))?;
    let file = stem.with_extension("key");
    let mut options = fs::OpenOptions::new();
    let opened = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&file)
        .with_context(|| file.display().to_string());
    std::io::Write::write_all(&mut opened?, private.as_bytes())?;
    fs::write(stem.with_extension("pub"), public)?;
    Ok(())
}

/// Signs the manifest with this digest and stores the signature beside the image, behind those of other keys.
pub(crate) fn push(
    client: &Client,
    image: &Reference,
    digest: &str,
    key: &SigningKey,
) -> anyhow::Result<()> {
    let payload = payload(&image.repository(), digest);
    let signature: Signature = key.sign(payload.as_bytes());
    let own = json!({ANNOTATION: STANDARD.encode(signature.to_der().as_bytes())});
    let reference = image.with_tag(&tag(digest));
    let mut signatures = others(client, &reference, digest, key.verifying_key())?;
    signatures.push((payload.into_bytes(), own));
    let (payloads, annotations): (Vec<_>, Vec<_>) = signatures.into_iter().unzip();
    let layers = payloads
        .into_iter()
        .map(|payload| Layer::raw(media_type::SIGNATURE, "signature", payload))
        .collect();
    let mut signed = Image::of_layers("signature", digest, layers, json!({}));
    let mut manifest: Value = serde_json::from_slice(&signed.manifest)?;
    for (position, annotations) in annotations.into_iter().enumerate() {
        manifest["layers"][position]["annotations"] = annotations;
    }
    signed.manifest = canonical(&manifest);
    for (digest, bytes) in signed.blobs() {
        client.push_blob(&reference, &digest, bytes)?;
    }
    client.push_manifest(&reference, &signed.manifest)
}

/// Payloads and annotations of the signatures that are there and are not this key's.
fn others(
    client: &Client,
    reference: &Reference,
    digest: &str,
    key: &VerifyingKey,
) -> anyhow::Result<Vec<(Vec<u8>, Value)>> {
    let Some(found) = client.manifest(reference)? else {
        return Ok(Vec::new());
    };
    let manifest: Value =
        serde_json::from_slice(&found.bytes).with_context(|| format!("{reference}: signatures"))?;
    let layers = manifest["layers"].as_array().into_iter().flatten();
    layers
        .filter(|layer| layer["mediaType"] == media_type::SIGNATURE)
        .filter(|layer| verify_layer(client, reference, layer, digest, key).is_err())
        .map(|layer| {
            let payload = client.blob(reference, layer["digest"].as_str().unwrap_or_default())?;
            Ok((payload, layer["annotations"].clone()))
        })
        .collect()
}

/// Whether a signature beside the image fits the key.
pub(crate) fn verify(
    client: &Client,
    image: &Reference,
    digest: &str,
    key: &VerifyingKey,
) -> anyhow::Result<()> {
    let reference = image.with_tag(&tag(digest));
    let Some(found) = client.manifest(&reference)? else {
        bail!("{image}: {digest} is not signed (no tag {})", tag(digest))
    };
    let manifest: Value = serde_json::from_slice(&found.bytes)?;
    let mut reasons = Vec::new();
    for layer in manifest["layers"].as_array().into_iter().flatten() {
        match verify_layer(client, &reference, layer, digest, key) {
            Ok(()) => return Ok(()),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    bail!(
        "{image}: no signature of {digest} fits the key: {}",
        reasons.join("; ")
    )
}

fn verify_layer(
    client: &Client,
    reference: &Reference,
    layer: &Value,
    digest: &str,
    key: &VerifyingKey,
) -> anyhow::Result<()> {
    let encoded = layer["annotations"][ANNOTATION]
        .as_str()
        .context("a layer without signature")?;
    let signature = Signature::from_der(&STANDARD.decode(encoded).context("signature: no base64")?)
        .context("signature: no DER")?;
    let payload = client.blob(reference, layer["digest"].as_str().unwrap_or_default())?;
    key.verify(&payload, &signature)
        .map_err(|_| anyhow::anyhow!("made with another key"))?;
    let payload: Value = serde_json::from_slice(&payload).context("payload")?;
    let signed = &payload["critical"]["image"]["docker-manifest-digest"];
    ensure!(signed == digest, "it signs {signed}");
    Ok(())
}

/// Whether a detached signature (`cosign sign-blob --key`: base64 of DER) of these bytes fits the key.
pub(crate) fn verify_blob(bytes: &[u8], signature: &str, key: &VerifyingKey) -> anyhow::Result<()> {
    let der = STANDARD
        .decode(signature.trim())
        .context("signature: no base64")?;
    let signature = Signature::from_der(&der).context("signature: no DER")?;
    key.verify(bytes, &signature)
        .map_err(|_| anyhow::anyhow!("made with another key, or of other bytes"))
}

/// The detached signature of these bytes.
pub(crate) fn sign_blob(bytes: &[u8], key: &SigningKey) -> String {
    let signature: Signature = key.sign(bytes);
    STANDARD.encode(signature.to_der().as_bytes())
}

fn payload(repository: &str, digest: &str) -> String {
    json!({
        "critical": {
            "identity": {"docker-reference": repository},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        },
        "optional": null,
    })
    .to_string()
}

fn tag(digest: &str) -> String {
    format!("{}.sig", digest.replacen(':', "-", 1))
}
