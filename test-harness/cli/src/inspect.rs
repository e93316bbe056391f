//! `launchgate inspect`: what a module is made of, and whether Envoy would load it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use launchgate_harness::emulator::Module;
use wasmparser::{Parser, Payload};

/// Shows a module's ABI, imports, exports and sizes, and whether Envoy would load it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  launchgate inspect dist/health.wasm

Exit codes: 0 Envoy would load it, 1 it would not.")]
pub(crate) struct Args {
    /// The module.
    module: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Callbacks that cannot run unless one of these host functions is imported.
const NEEDS: &[(&str, &[&str])] = &[
    ("proxy_on_tick", &["proxy_set_tick_period_milliseconds"]),
    ("proxy_on_queue_ready", &["proxy_register_shared_queue"]),
    ("proxy_on_http_call_response", &["proxy_http_call"]),
    (
        "proxy_on_grpc_receive",
        &["proxy_grpc_call", "proxy_grpc_stream"],
    ),
    (
        "proxy_on_grpc_close",
        &["proxy_grpc_call", "proxy_grpc_stream"],
    ),
    (
        "proxy_on_grpc_receive_initial_metadata",
        &["proxy_grpc_call", "proxy_grpc_stream"],
    ),
    (
        "proxy_on_grpc_receive_trailing_metadata",
        &["proxy_grpc_call", "proxy_grpc_stream"],
    ),
    (
        "proxy_on_request_body",
        &["proxy_get_buffer_bytes", "proxy_set_buffer_bytes"],
    ),
    (
        "proxy_on_response_body",
        &["proxy_get_buffer_bytes", "proxy_set_buffer_bytes"],
    ),
];

/// Callbacks of TCP filters.
const TCP: &[&str] = &[
    "proxy_on_new_connection",
    "proxy_on_downstream_data",
    "proxy_on_upstream_data",
    "proxy_on_downstream_connection_close",
    "proxy_on_upstream_connection_close",
];

#[derive(Debug, Default, serde::Serialize)]
struct Facts {
    size: usize,
    abi: Vec<String>,
    imports: Vec<String>,
    exports: Vec<String>,
    sections: Vec<(String, usize)>,
    could_strip: Vec<String>,
    problem: Option<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let bytes = std::fs::read(&args.module)
        .with_context(|| format!("cannot read {}", args.module.display()))?;
    let facts = facts(&bytes)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&facts)?);
    } else {
        print(&args.module.display().to_string(), &facts);
    }
    Ok(if facts.problem.is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn facts(bytes: &[u8]) -> anyhow::Result<Facts> {
    let mut facts = Facts {
        size: bytes.len(),
        ..Facts::default()
    };
    for payload in Parser::new(0).parse_all(bytes) {
        read(&payload.context("not a WebAssembly module")?, &mut facts)?;
    }
    facts.abi = facts
        .exports
        .iter()
        .filter(|name| name.starts_with("proxy_abi_version_"))
        .cloned()
        .collect();
    facts
        .sections
        .sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    facts.could_strip = could_strip(&facts);
    facts.problem = Module::new(bytes).err().map(|error| error.to_string());
    Ok(facts)
}

fn read(payload: &Payload<'_>, facts: &mut Facts) -> anyhow::Result<()> {
    let mut section = |name: &str, range: std::ops::Range<usize>| {
        facts.sections.push((name.to_owned(), range.len()))
    };
    match payload {
        Payload::ImportSection(reader) => {
            section("import", reader.range());
            for import in reader.clone().into_imports() {
                let import = import?;
                facts
                    .imports
                    .push(format!("{}.{}", import.module, import.name));
            }
        }
        Payload::ExportSection(reader) => {
            section("export", reader.range());
            for export in reader.clone() {
                facts.exports.push(export?.name.to_owned());
            }
        }
        Payload::CodeSectionStart { range, .. } => section("code", range.clone()),
        Payload::DataSection(reader) => section("data", reader.range()),
        Payload::TypeSection(reader) => section("type", reader.range()),
        Payload::FunctionSection(reader) => section("function", reader.range()),
        Payload::ElementSection(reader) => section("element", reader.range()),
        Payload::CustomSection(reader) => {
            section(&format!("custom {}", reader.name()), reader.range())
        }
        _ => {}
    }
    Ok(())
}

/// Callbacks that are exported and can have no work, since their host functions are not imported.
fn could_strip(facts: &Facts) -> Vec<String> {
    let imports: BTreeSet<&str> = facts
        .imports
        .iter()
        .filter_map(|import| import.strip_prefix("env."))
        .collect();
    let idle = |name: &str| match NEEDS.iter().find(|(callback, _)| *callback == name) {
        Some((_, needs)) => !needs.iter().any(|function| imports.contains(function)),
        None => TCP.contains(&name),
    };
    facts
        .exports
        .iter()
        .filter(|name| idle(name))
        .cloned()
        .collect()
}

fn print(path: &str, facts: &Facts) {
    println!("{path}: {} bytes", facts.size);
    println!(
        "abi        {}",
        if facts.abi.is_empty() {
            "none".to_owned()
        } else {
            facts.abi.join(", ")
        }
    );
    println!(
        "envoy      {}",
        facts.problem.as_deref().unwrap_or("would load it")
    );
    println!("sections");
    for (name, size) in &facts.sections {
        println!("  {size:>9}  {name}");
    }
    println!("imports    {}", facts.imports.len());
    for import in &facts.imports {
        println!("  {import}");
    }
    println!("exports    {}", facts.exports.len());
    for export in &facts.exports {
        println!("  {export}");
    }
    if !facts.could_strip.is_empty() {
        println!(
            "exported, but without work (strip them, and Envoy does not enter the VM for them)"
        );
        for name in &facts.could_strip {
            println!("  {name}");
        }
    }
}
