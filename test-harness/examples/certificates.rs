//! Writes the certificates that `envoy-configs/envoy/tls.yaml` names: an authority made anew, a server certificate for each of
//! two names, and one for a client. `cargo run -p launchgate-harness --example certificates [folder]`, default `dist/certs`.

use std::path::PathBuf;

use anyhow::Context as _;
use launchgate_harness::envoy::Authority;

fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("dist/certs"), PathBuf::from);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {folder:?}"))?;
    let authority = Authority::new("Launchgate demo")?;
    let file = folder.join("ca.crt");
    std::fs::write(&file, authority.pem()).with_context(|| format!("cannot write {file:?}"))?;
    for name in ["shop.example.org", "api.example.org"] {
        authority.server(&[name])?.write(&folder, name)?;
    }
    authority
        .client("client.example.org")?
        .write(&folder, "client")?;
    println!("{}", folder.display());
    Ok(())
}
