//! `launchgate registry`: what a registry holds, and whether it is what was published.

mod catalog;
pub(crate) mod client;
pub(crate) mod image;
pub(crate) mod pin;
mod progress;
pub(crate) mod push;
pub(crate) mod reference;
pub(crate) mod signature;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, ensure};
use serde_json::Value;

use self::{
    client::Client,
    image::Pulled,
    progress::Progress,
    reference::{Reference, Registry},
};
use crate::{
    image::layer::hex,
    index::{Entry, Index},
    output,
};

/// List, show, pull, verify and pin plugins of a registry.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Speak HTTP to a host that is not loopback.
    #[arg(long, global = true)]
    plain_http: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The plugins of a registry.
    List {
        /// Host and path, such as `registry.example.org/launchgate`.
        registry: Registry,
        /// Print the index as it is.
        #[arg(long)]
        json: bool,
    },
    /// What one plugin is: digests, ABI, host calls, environment, metrics.
    Show {
        /// Host and path.
        registry: Registry,
        /// `name` or `name:version`.
        plugin: String,
        /// Print a file of the image instead: README.md, config.schema.json, sbom.cdx.json, spec.yaml, metrics.json.
        #[arg(long)]
        file: Option<String>,
    },
    /// Fetch an image's files, all digests compared.
    Pull {
        /// `registry.example.org/launchgate/plugins/health:1.0.0`, also with `@sha256:…`.
        image: Reference,
        /// Where the files go.
        #[arg(long, default_value = ".")]
        output: PathBuf,
        /// Verify the signature with this public key first.
        #[arg(long)]
        key: Option<PathBuf>,
    },
    /// Verify an image: signature, every layer, and that gateways accept it.
    Verify {
        /// The image.
        image: Reference,
        /// The public key (PEM).
        #[arg(long)]
        key: PathBuf,
    },
    /// Write the overlays' `source.yaml` from an index, or say what is stale in them.
    Pin {
        /// Host and path that the manifests shall name.
        registry: Registry,
        /// The index; without it, the registry's own.
        #[arg(long)]
        index: Option<PathBuf>,
        /// Write nothing; fail when a file names other bytes than the index.
        #[arg(long)]
        check: bool,
        /// Files to write.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Make a key pair for signatures: `<stem>.key` and `<stem>.pub`.
    Keygen {
        /// Path without extension.
        stem: PathBuf,
    },
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let client = Client::new(args.plain_http);
    match &args.command {
        Command::List { registry, json } => list(&client, registry, *json)?,
        Command::Show {
            registry,
            plugin,
            file,
        } => show(&client, registry, plugin, file.as_deref())?,
        Command::Pull { image, output, key } => {
            if let Some(key) = key {
                verify(&client, image, key)?;
            }
            pull(&client, image, output)?;
        }
        Command::Verify { image, key } => {
            let pulled = verify(&client, image, key)?;
            println!(
                "{image}: {} is signed with {}; {} layers intact",
                pulled.digest,
                key.display(),
                pulled.layers.len()
            );
        }
        Command::Pin {
            registry,
            index,
            check,
            files,
        } => {
            let index = match index {
                Some(file) => Index::read(file)?,
                None => read_index(&client, registry)?,
            };
            for file in files {
                if *check {
                    pin::check(&index, registry, file)?;
                } else {
                    pin::write(&index, registry, file)?;
                }
                println!("{}", file.display());
            }
        }
        Command::Keygen { stem } => {
            signature::generate(stem)?;
            println!(
                "{} and {}",
                stem.with_extension("key").display(),
                stem.with_extension("pub").display()
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read_index(client: &Client, registry: &Registry) -> anyhow::Result<Index> {
    catalog::read(client, registry)?
        .with_context(|| format!("{}: no index, nothing was pushed here", registry.index()))
}

fn list(client: &Client, registry: &Registry, json: bool) -> anyhow::Result<()> {
    let index = read_index(client, registry)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&index)?);
        return Ok(());
    }
    println!(
        "{:<12} {:<10} {:>8}  {:<34} MANIFEST",
        "PLUGIN", "VERSION", "KB", "TESTED"
    );
    for entry in &index.plugins {
        let tested = entry.tested.as_deref().unwrap_or_default().join(",");
        let digest = entry.manifest_digest.as_deref().unwrap_or("-");
        println!(
            "{:<12} {:<10} {:>8}  {tested:<34} {digest}",
            entry.name,
            entry.version,
            entry.size.div_ceil(1000)
        );
    }
    Ok(())
}

fn show(
    client: &Client,
    registry: &Registry,
    plugin: &str,
    file: Option<&str>,
) -> anyhow::Result<()> {
    let index = read_index(client, registry)?;
    let entry = catalog::find(&index, plugin)?;
    let mut reference = registry.plugin(&entry.name, &entry.version);
    reference.digest.clone_from(&entry.manifest_digest);
    let pulled = image::pull(client, &reference)?;
    if let Some(title) = file {
        let titles: Vec<_> = pulled
            .layers
            .iter()
            .map(|(title, ..)| title.as_str())
            .collect();
        let bytes = pulled
            .file(title)
            .with_context(|| format!("{reference}: no {title}, it has {}", titles.join(", ")))?;
        output::print(&String::from_utf8_lossy(bytes))?;
        return Ok(());
    }
    print_entry(entry, &reference, &pulled);
    Ok(())
}

fn print_entry(entry: &Entry, reference: &Reference, pulled: &Pulled) {
    let other = |name: &str| entry.others.get(name).map(in_words).unwrap_or_default();
    println!("image      {reference}");
    println!(
        "about      {}",
        pulled.annotations["org.opencontainers.image.description"]
            .as_str()
            .unwrap_or_default()
    );
    println!(
        "manifest   {} (sha256 of a WasmPlugin with oci://)",
        pulled.digest
    );
    println!(
        "wasm       {} (sha256 over http), {} bytes",
        hex(&pulled.wasm),
        pulled.wasm.len()
    );
    println!(
        "tested     {}",
        entry
            .tested
            .as_deref()
            .map_or_else(|| "-".to_owned(), |t| format!("Envoy {}", t.join(", ")))
    );
    for name in ["abi", "env", "imports", "metrics"] {
        println!("{name:<10} {}", other(name));
    }
    for (title, kind, bytes) in &pulled.layers {
        println!("layer      {title} ({kind}, {} bytes)", bytes.len());
    }
}

/// A JSON value on one line: lists by their names.
fn in_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(in_words).collect::<Vec<_>>().join(", "),
        Value::Object(map) => map.get("name").map_or_else(|| value.to_string(), in_words),
        other => other.to_string(),
    }
}

fn verify(client: &Client, image: &Reference, key: &std::path::Path) -> anyhow::Result<Pulled> {
    let key = signature::public_key(key)?;
    let progress = Progress::new(2);
    progress.step(format!("{image}: layers"));
    let pulled = image::pull(client, image)?;
    progress.step(format!("{image}: signature"));
    signature::verify(client, image, &pulled.digest, &key)?;
    Ok(pulled)
}

fn pull(client: &Client, image: &Reference, output: &std::path::Path) -> anyhow::Result<()> {
    let progress = Progress::new(1);
    progress.step(image.to_string());
    let pulled = image::pull(client, image)?;
    fs::create_dir_all(output).with_context(|| output.display().to_string())?;
    let name = image.repository.rsplit('/').next().unwrap_or("plugin");
    let wasm = output.join(format!("{name}.wasm"));
    fs::write(&wasm, &pulled.wasm).with_context(|| wasm.display().to_string())?;
    for (title, _, bytes) in &pulled.layers {
        // Titles come from the registry: only plain names of metadata files become paths.
        let plain = title
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
            && !title.starts_with('.');
        if plain && !title.ends_with(".wasm") && !title.ends_with(".gz") {
            fs::write(output.join(format!("{name}.{title}")), bytes)?;
        }
    }
    ensure!(!pulled.wasm.is_empty(), "{image}: empty module");
    progress.say(&format!(
        "{} from {image}@{} (sha256 {})",
        wasm.display(),
        pulled.digest,
        hex(&pulled.wasm)
    ));
    Ok(())
}
