//! `launchgate dist`: from what cargo built to what is shipped.
//!
//! For each plugin folder: (1) the description that the plugin prints of itself gives schema, metrics and phases; (2) the
//! module loses the exports of callbacks that no policy handles, its debug sections, and what binaryen finds superfluous;
//! names stay inside, since Envoy's backtraces need them; (3) sizes are held against the plugin's own limit; (4) the index
//! is written last, so that an index never names what is not there.

mod describe;
mod module;
mod strip;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use describe::Plugin;

/// Makes `dist/` from built modules: strips, optimises, describes, indexes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folders of plugins; each has a Cargo.toml and a config.example.json.
    #[arg(required = true)]
    plugins: Vec<PathBuf>,
    /// Folder with the modules that cargo built, `<name>.wasm`.
    #[arg(long)]
    modules: PathBuf,
    /// Folder with what each plugin printed of itself, `<name>.json`.
    #[arg(long)]
    descriptions: PathBuf,
    /// The wasm-opt program of binaryen.
    #[arg(long, default_value = "wasm-opt")]
    wasm_opt: PathBuf,
    /// The modules can open sealed values, which makes each larger than its limit counts with.
    #[arg(long)]
    sealed: bool,
    /// Where the result goes.
    #[arg(long, default_value = "dist")]
    out: PathBuf,
}

/// What AES-256-GCM may add to a module, in kB.
const SEALED_KB: usize = 20;

/// The plugin to copy is built and tested like the others, but not published.
const UNPUBLISHED: &str = "template";

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    fs::create_dir_all(&args.out)?;
    let mut entries = Vec::new();
    let mut too_large = Vec::new();
    println!(
        "{:<12} {:>12} {:>10} {:>10} {:>8}",
        "module", "code+data", "limit", "names", "file"
    );
    let plugins: Vec<_> = args
        .plugins
        .iter()
        .map(|folder| Plugin::read(folder, &args.descriptions))
        .collect::<anyhow::Result<_>>()?;
    for (plugin, wasm) in plugins.iter().zip(finished(&plugins, args)) {
        let (name, wasm) = (plugin.name(), wasm?);
        let sizes = module::Sizes::of(&wasm)?;
        let limit_kb = plugin.limit_kb + if args.sealed { SEALED_KB } else { 0 };
        println!(
            "{name:<12} {:>9} kB {:>7} kB {:>7} kB {:>5} kB",
            kb(sizes.code_and_data),
            limit_kb,
            kb(sizes.names),
            kb(wasm.len())
        );
        if sizes.code_and_data > limit_kb * 1000 {
            too_large.push(format!(
                "{name}: code and data {} kB, expected at most {} kB",
                kb(sizes.code_and_data),
                limit_kb
            ));
        }
        fs::write(args.out.join(format!("{name}.wasm")), &wasm)?;
        write_json(args, &format!("{name}.schema.json"), &plugin.schema)?;
        write_json(args, &format!("{name}.metrics.json"), &plugin.metrics)?;
        if name != UNPUBLISHED {
            entries.push(entry(plugin, &wasm)?);
        }
    }
    write_json(
        args,
        "index.json",
        &json!({"schema_version": 1, "plugins": entries}),
    )?;
    for line in &too_large {
        eprintln!("launchgate dist: {line}");
    }
    Ok(if too_large.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The modules as they are shipped, all made at once: wasm-opt uses one core.
fn finished(plugins: &[Plugin], args: &Args) -> Vec<anyhow::Result<Vec<u8>>> {
    let finish = |plugin: &Plugin| {
        // Cargo names a library after its crate, with `_` for `-`.
        let file = format!("{}.wasm", plugin.name().replace('-', "_"));
        let built = args.modules.join(file);
        module::finish(&built, &plugin.phases, &args.wasm_opt)
            .with_context(|| format!("{}", built.display()))
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = plugins
            .iter()
            .map(|plugin| scope.spawn(move || finish(plugin)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}

fn entry(plugin: &Plugin, wasm: &[u8]) -> anyhow::Result<Value> {
    let name = plugin.name();
    Ok(json!({
        "name": name,
        "version": plugin.version,
        "file": format!("{name}.wasm"),
        "sha256": Sha256::digest(wasm).iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        "size": wasm.len(),
        "abi": "0.2.1",
        "schema": format!("{name}.schema.json"),
        "imports": module::imports(wasm)?,
        "env": plugin.env,
        "metrics": format!("{name}.metrics.json"),
    }))
}

fn write_json(args: &Args, file: &str, value: &Value) -> anyhow::Result<()> {
    let path = args.out.join(file);
    fs::write(&path, serde_json::to_string_pretty(value)? + "\n")
        .with_context(|| format!("{}", path.display()))
}

fn kb(bytes: usize) -> usize {
    bytes.div_ceil(1000)
}
