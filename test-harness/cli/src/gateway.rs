//! `launchgate gateway`: a shipped bootstrap in the foreground, on ports of choice.

use std::path::PathBuf;
use std::process::ExitCode;

use launchgate_harness::envoy::{Bootstrap, Launch};

/// Ports that shipped bootstraps listen on.
const PORT: u16 = 10000;
const TLS_PORT: u16 = 10443;
const ADMIN_PORT: u16 = 9901;

/// Starts Envoy with a shipped bootstrap, in the foreground.
///
/// Run it from the root of the repository, after `make build`: bootstraps name modules as `dist/<plugin>.wasm`.
/// The Envoy is that of ENVOY=, or the one that `make deps` brought.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  launchgate gateway                                                   the gateway on ports 10000 and 9901
  launchgate gateway --bootstrap envoy-configs/envoy/tls.yaml --tls-port 8443")]
pub(crate) struct Args {
    /// The bootstrap.
    #[arg(long, default_value = "envoy-configs/envoy/health.yaml")]
    bootstrap: PathBuf,
    /// Port in place of 10000.
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// Port in place of 10443.
    #[arg(long, default_value_t = TLS_PORT)]
    tls_port: u16,
    /// Port in place of 9901, the admin interface.
    #[arg(long, default_value_t = ADMIN_PORT)]
    admin_port: u16,
    /// Worker threads.
    #[arg(long, default_value_t = 2)]
    concurrency: u32,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let bootstrap = Bootstrap::read(&args.bootstrap)?
        .on_port(PORT, args.port)
        .on_port(TLS_PORT, args.tls_port)
        .on_port(ADMIN_PORT, args.admin_port);
    eprintln!(
        "gateway on http://localhost:{}, admin on http://localhost:{}",
        args.port, args.admin_port
    );
    let status = Launch::new(bootstrap)
        .concurrency(args.concurrency)
        .foreground()?;
    Ok(ExitCode::from(
        status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(1),
    ))
}
