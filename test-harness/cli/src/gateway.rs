//! `launchgate gateway`: a shipped bootstrap in the foreground, on ports of choice.
//!
//! 1. Listeners and the admin interface are put on the ports asked for, and the plugin `tls` redirects to the TLS port. What
//!    plays the services behind takes no port at all.
//! 2. Certificates of the demo that the bootstrap names are made where they are missing, and stay.
//! 3. SIGINT and SIGTERM stop Envoy, then this command; it ends with Envoy's status, 0 after a clean stop.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use launchgate_harness::envoy::{Bootstrap, Launch, get, write_shipped_certificates};
use serde_json::{Value, json};

/// Ports that shipped bootstraps listen on.
const PORT: u16 = 10000;
const TLS_PORT: u16 = 10443;
const ADMIN_PORT: u16 = 9901;

/// Between two looks at whether the gateway is ready.
const POLL: Duration = Duration::from_millis(100);

/// Starts Envoy with a shipped bootstrap, in the foreground, until Ctrl-C.
///
/// Run it from the root of the repository, after `make build`: bootstraps name modules as `dist/<plugin>.wasm`.
/// The Envoy is that of ENVOY=, or the one that `make deps` brought.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  launchgate gateway                                                   all policies, on ports 10000, 10443 and 9901
  launchgate gateway --bootstrap envoy-configs/envoy/tls.yaml --tls-port 8443")]
pub(crate) struct Args {
    /// The bootstrap.
    #[arg(long, default_value = "envoy-configs/envoy/suite.yaml")]
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
        .on_port(ADMIN_PORT, args.admin_port)
        .plugin_configs(|config| redirect_to(config, args.tls_port));
    if let Some(folder) = missing_certificates(&bootstrap) {
        write_shipped_certificates(&folder)?;
        eprintln!("certificates made in {}", folder.display());
    }
    announce(args, has_port(&bootstrap, args.tls_port));
    let status = Launch::new(bootstrap)
        .concurrency(args.concurrency)
        .foreground()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// Lets the plugin `tls`, alone or in the suite, redirect to the port that TLS is on.
fn redirect_to(config: &mut Value, port: u16) {
    for at in ["/redirect/port", "/tls/redirect/port"] {
        if let Some(own) = config.pointer_mut(at).filter(|own| **own == TLS_PORT) {
            *own = json!(port);
        }
    }
}

/// The folder of a certificate or key that the bootstrap names and that is not there.
fn missing_certificates(bootstrap: &Bootstrap) -> Option<PathBuf> {
    let missing = bootstrap.missing_files().into_iter();
    let mut certificates = missing.filter(|path| {
        path.extension()
            .is_some_and(|ending| ending == "crt" || ending == "key")
    });
    Some(certificates.next()?.parent()?.to_owned())
}

fn has_port(bootstrap: &Bootstrap, port: u16) -> bool {
    let listeners = bootstrap.document()["static_resources"]["listeners"].as_array();
    let of = |listener: &Value| listener["address"]["socket_address"]["port_value"] == port;
    listeners.into_iter().flatten().any(of)
}

/// Says where the gateway is, as soon as it is there.
fn announce(args: &Args, has_tls: bool) {
    let (port, tls_port, admin_port) = (args.port, args.tls_port, args.admin_port);
    std::thread::spawn(move || {
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, admin_port));
        while !get(admin, "/ready").is_ok_and(|answer| answer.status == 200) {
            std::thread::sleep(POLL);
        }
        eprintln!(
            "gateway on http://localhost:{port}, admin on http://localhost:{admin_port}; Ctrl-C stops it"
        );
        if has_tls {
            let authority = Path::new("dist/certs/ca.crt").display();
            eprintln!(
                "TLS: curl --cacert {authority} --connect-to shop.example.org:443:localhost:{tls_port} https://shop.example.org/"
            );
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_redirect_to_the_shipped_port_follows() {
        for (before, after) in [
            (
                json!({"redirect": {"port": 10443}}),
                json!({"redirect": {"port": 8443}}),
            ),
            (
                json!({"tls": {"redirect": {"port": 10443}}}),
                json!({"tls": {"redirect": {"port": 8443}}}),
            ),
            (
                json!({"redirect": {"port": 443}}),
                json!({"redirect": {"port": 443}}),
            ),
            (json!({}), json!({})),
        ] {
            let mut config = before;
            redirect_to(&mut config, 8443);
            assert_eq!(config, after);
        }
    }
}
