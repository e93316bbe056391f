//! `launchgate image`: every plugin of a build as an OCI image, byte for byte reproducible, in a layout that Istio's agent and
//! Envoy Gateway accept.

pub(crate) mod accept;
pub(crate) mod build;
pub(crate) mod layer;
pub(crate) mod layout;
mod sbom;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

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
    /// The record of `make matrix`, for the registry's index: on which Envoys each plugin's scenarios passed
    /// [default: <workspace>/test-harness/deps/matrix/tested.json].
    #[arg(long, value_name = "FILE")]
    tested: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut index = Index::read(&args.dist.join("index.json"))?;
    let sources = Sources {
        dist: &args.dist,
        workspace: &args.workspace,
    };
    let record = args.workspace.join("test-harness/deps/matrix/tested.json");
    let tested = tested(args.tested.as_ref().unwrap_or(&record))?;
    let mut images = Vec::new();
    for entry in &mut index.plugins {
        let image =
            build::build(entry, sources).with_context(|| format!("image of {}", entry.name))?;
        accept::check_image(&image).with_context(|| format!("image of {}", entry.name))?;
        entry.manifest_digest = Some(image.digest());
        entry.tested = Some(tested.get(&entry.name).cloned().unwrap_or_default());
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

fn tested(record: &Path) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let bytes =
        fs::read(record).with_context(|| format!("{}: run `make matrix`", record.display()))?;
    serde_json::from_slice(&bytes).with_context(|| record.display().to_string())
}

fn kilobytes(image: &build::Image) -> usize {
    image
        .layers
        .iter()
        .map(|layer| layer.bytes.len())
        .sum::<usize>()
        .div_ceil(1000)
}
