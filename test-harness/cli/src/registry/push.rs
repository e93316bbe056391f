//! `launchgate push`: an image layout to a registry, with signatures and the registry's index.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, ensure};
use p256::ecdsa::SigningKey;
use serde_json::Value;

use super::{catalog, client::Client, progress::Progress, reference::Registry, signature};
use crate::{
    image::layout::{self, Stored},
    index::Index,
};

/// Push the images of `launchgate image` to a registry.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Host and path, such as `registry.example.org/launchgate`.
    registry: Registry,
    /// The image layout.
    #[arg(long, default_value = "dist/images")]
    images: PathBuf,
    /// Sign with this private key (P-256, PKCS#8 PEM).
    #[arg(long)]
    key: Option<PathBuf>,
    /// Move a version that was published with other bytes.
    #[arg(long)]
    force: bool,
    /// Speak HTTP to a host that is not loopback.
    #[arg(long)]
    plain_http: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let images = layout::read(&args.images)?;
    let index = Index::read(&args.images.with_file_name("registry.json"))?;
    let key = args
        .key
        .as_deref()
        .map(signature::private_key)
        .transpose()?;
    let client = Client::new(args.plain_http);
    let progress = Progress::new(images.len() + 1);
    let mut pushed = Vec::new();
    for image in &images {
        progress.step(format!("{} {}", image.name, image.version));
        let sent = push_image(&client, args, image, key.as_ref())?;
        let entry = index
            .plugins
            .iter()
            .find(|e| e.name == image.name && e.version == image.version);
        let entry = entry
            .with_context(|| format!("registry.json has no {} {}", image.name, image.version))?;
        ensure!(
            entry.manifest_digest.as_deref() == Some(&image.digest),
            "{}: registry.json says {:?}, the layout {}",
            image.name,
            entry.manifest_digest,
            image.digest
        );
        pushed.push(entry.clone());
        let reference = args.registry.plugin(&image.name, &image.version);
        progress.say(&format!(
            "{reference}@{} ({sent} new layers{})",
            image.digest,
            if key.is_some() { ", signed" } else { "" }
        ));
    }
    progress.step("index");
    catalog::write(
        &client,
        &args.registry,
        &catalog::merge(catalog::read(&client, &args.registry)?, &pushed),
    )?;
    progress.say(&format!(
        "{}: {} plugins",
        args.registry.index(),
        pushed.len()
    ));
    Ok(ExitCode::SUCCESS)
}

fn push_image(
    client: &Client,
    args: &Args,
    image: &Stored,
    key: Option<&SigningKey>,
) -> anyhow::Result<usize> {
    let reference = args.registry.plugin(&image.name, &image.version);
    if let Some(published) = client.manifest(&reference)? {
        ensure!(
            published.digest == image.digest || args.force,
            "{reference}: published as {}, now {}: a version is never moved; raise the version or use --force",
            published.digest,
            image.digest
        );
    }
    let manifest: Value = serde_json::from_slice(&image.manifest)?;
    let layers = manifest["layers"].as_array().into_iter().flatten();
    let mut sent = 0;
    for descriptor in std::iter::once(&manifest["config"]).chain(layers) {
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        sent += usize::from(client.push_blob(
            &reference,
            digest,
            &layout::read_blob(&args.images, digest)?,
        )?);
    }
    client.push_manifest(&reference, &image.manifest)?;
    if let Some(key) = key {
        signature::push(client, &reference, &image.digest, key)?;
    }
    Ok(sent)
}
