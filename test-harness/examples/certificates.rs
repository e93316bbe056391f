//! Writes the certificates that `envoy-configs/envoy/tls.yaml` and `suite.yaml` name: an authority made anew, a server
//! certificate for each of two names, and one for a client. `cargo run -p launchgate-harness --example certificates [folder]`,
//! default `dist/certs`. `launchgate gateway` makes them itself where they are missing.

use std::path::PathBuf;

use launchgate_harness::envoy::write_shipped_certificates;

fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("dist/certs"), PathBuf::from);
    write_shipped_certificates(&folder)?;
    println!("{}", folder.display());
    Ok(())
}
