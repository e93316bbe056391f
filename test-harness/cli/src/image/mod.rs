//! `launchgate image`: every plugin of a build as an OCI image, byte for byte reproducible, in a layout that Istio's agent and
//! Envoy Gateway accept.

pub(crate) mod accept;
pub(crate) mod build;
pub(crate) mod layer;
pub(crate) mod layout;
mod sbom;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context;

use self::build::Sources;
use crate::index::Index;

/// Make an OCI image of each plugin of a build.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The build's output: `index.json` and the files that it names.
    #[arg(long, default_value = "dist")]
    dist: PathBuf,
    /// The workspace with the plugins' READMEs and `Cargo.lock`.
    #[arg(long, default_value = ".")]
    workspace: PathBuf,
    /// Folder of the image layout; the registry's index goes beside it.
    #[arg(long, default_value = "dist/images")]
    output: PathBuf,
    /// Envoy versions on which the scenarios passed, for the registry's index.
    #[arg(long, value_delimiter = ',')]
    tested: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut index = Index::read(&args.dist.join("index.json"))?;
    let sources = Sources {
        dist: &args.dist,
        workspace: &args.workspace,
    };
    let mut images = Vec::new();
    for entry in &mut index.plugins {
        let image =
            build::build(entry, sources).with_context(|| format!("image of {}", entry.name))?;
        accept::check_image(&image).with_context(|| format!("image of {}", entry.name))?;
        entry.manifest_digest = Some(image.digest());
        if !args.tested.is_empty() {
            entry.tested = Some(args.tested.clone());
        }
        println!(
            "{:<12} {:<8} {} ({} kB)",
            entry.name,
            entry.version,
            image.digest(),
            kilobytes(&image)
        );
        images.push(image);
    }
    layout::write(&args.output, &images)?;
    let file = args.output.with_file_name("registry.json");
    fs::write(&file, serde_json::to_string_pretty(&index)? + "\n")
        .with_context(|| file.display().to_string())?;
    println!(
        "{} images in {}, their index in {}",
        images.len(),
        args.output.display(),
        file.display()
    );
    Ok(ExitCode::SUCCESS)
}

fn kilobytes(image: &build::Image) -> usize {
    image
        .layers
        .iter()
        .map(|layer| layer.bytes.len())
        .sum::<usize>()
        .div_ceil(1000)
}
