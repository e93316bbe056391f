//! `launchgate render`: what Envoy gets of a manifest. A pipeline for tests and for the curious: the filter chain as Istio or
//! Envoy Gateway makes it, or a whole bootstrap that an Envoy runs without either.

mod bootstrap;
mod cluster;
mod filter;
mod gateway_api;
mod route;
mod tls;
mod traffic_extension;

use std::{path::PathBuf, process::ExitCode};

use anyhow::anyhow;
use serde_json::Value;

pub(crate) use self::bootstrap::chain;
use self::cluster::Endpoints;
use crate::{manifest, output};

/// Render manifests as Envoy would get them from Istio or Envoy Gateway.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files, folders, kustomizations, or `-` for standard input.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// What to print.
    #[arg(long = "as", value_enum, default_value_t = Form::Filters)]
    form: Form,
    /// Load each module from `<folder>/<plugin>.wasm` instead of its registry.
    #[arg(long, value_name = "FOLDER")]
    modules: Option<PathBuf>,
    /// Put a cluster on a plain address: a cluster's name, `host:port` or `host`, then the address.
    #[arg(long = "endpoint", value_name = "KEY=ADDRESS:PORT")]
    endpoints: Vec<String>,
    /// Adds the TLS listener; `<folder>/<secret>.crt` and `.key` stand for the gateways' secrets.
    #[arg(long, value_name = "FOLDER")]
    certificates: Option<PathBuf>,
    /// Port of the plain listener.
    #[arg(long, default_value_t = 10000)]
    port: u16,
    /// Port of the TLS listener.
    #[arg(long, default_value_t = 10443)]
    tls_port: u16,
    /// Port of the admin interface, on 127.0.0.1.
    #[arg(long, default_value_t = 9901)]
    admin_port: u16,
}

/// What a rendering is.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Form {
    /// The wasm filters in the order of the chain.
    Filters,
    /// A bootstrap that Envoy runs.
    Bootstrap,
    /// `TrafficExtension`s (Istio 1.30 and later) in place of `WasmPlugin`s.
    TrafficExtension,
}

/// What a rendering needs beside the manifests.
#[derive(Debug, Default)]
pub(crate) struct Options {
    modules: Option<PathBuf>,
    endpoints: Endpoints,
    certificates: Option<PathBuf>,
    port: u16,
    tls_port: u16,
    admin_port: u16,
}

/// Runs the command: prints YAML.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let manifests = manifest::load(&args.paths)?;
    let chain = chain(&manifests);
    let documents = match args.form {
        Form::Filters => vec![
            chain
                .iter()
                .map(|e| filter::render(e, args.modules.as_deref()))
                .collect::<Value>(),
        ],
        Form::Bootstrap => {
            let options = Options {
                modules: args.modules.clone(),
                endpoints: Endpoints::parse(&args.endpoints).map_err(|e| anyhow!(e))?,
                certificates: args.certificates.clone(),
                port: args.port,
                tls_port: args.tls_port,
                admin_port: args.admin_port,
            };
            vec![bootstrap::render(&manifests, &chain, &options).map_err(|e| anyhow!(e))?]
        }
        Form::TrafficExtension => manifests.iter().filter_map(traffic_extension::of).collect(),
    };
    let documents: Result<Vec<_>, _> = documents.iter().map(serde_norway::to_string).collect();
    output::print(&documents?.join("---\n"))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
