//! The tutorial's commands, run in their order and as they stand, in a copy of the repository: at their end a plugin of one's own has greeted
//! by name in a real Envoy.
//!
//! 1. A block under `<!-- run in a copy -->` is run. The first one, which builds and shows everything, is `make test` itself and is not.
//! 2. Two things are bounded: `make build` builds the new plugin's module alone, and the gateway listens on free ports.
//! 3. The copy keeps its place and the files their times, so that only the new plugin is compiled on the next run.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use launchgate_harness::envoy::workspace;

const MARKER: &str = "<!-- run in a copy -->";
const COPY: &str = r#"
mkdir -p "$COPY"
rm -rf "$COPY"/src && mkdir "$COPY"/src
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
  if test -e "$file"; then printf '%s\0' "$file"; fi
done | xargs -0 cp -a --parents -t "$COPY"/src
"#;
/// What the full build would do of the new plugin, and nothing of the others.
const MAKE: &str = r#"#!/bin/bash
set -euo pipefail
test "$*" = build
cargo build --quiet --release --locked --target wasm32-wasip1 -p launchgate-greeter --example greeter
install -m 644 "$CARGO_TARGET_DIR"/wasm32-wasip1/release/examples/greeter.wasm dist/greeter.wasm
"#;

fn blocks() -> Vec<String> {
    let text = fs::read_to_string(workspace().join("docs/tutorial.md")).unwrap();
    let blocks = text.split(MARKER).skip(1).map(|rest| {
        let rest = rest.strip_prefix("\n```sh\n").expect("a block of commands");
        rest.split("\n```").next().unwrap().to_owned()
    });
    blocks.collect()
}

/// Runs commands in a folder; what they print.
fn run(folder: &Path, commands: &str, variables: &[(&str, &Path)], path: &str) -> String {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c"])
        .arg(format!(
            "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n{commands}"
        ))
        .current_dir(folder)
        .envs(variables.iter().copied())
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{commands}\n{told}{complaint}");
    told
}

fn free_ports() -> [u16; 3] {
    let listeners = [0; 3].map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

#[test]
fn the_tutorial_leads_to_a_plugin_of_ones_own_in_envoy() {
    let launchgate = Path::new(env!("CARGO_BIN_EXE_launchgate"));
    let copy = launchgate.parent().unwrap().join("tutorial");
    let path = env::var("PATH").unwrap();
    run(workspace(), COPY, &[("COPY", &copy)], &path);
    let (source, shims) = (copy.join("src"), copy.join("bin"));
    fs::create_dir_all(&shims).unwrap();
    fs::create_dir(source.join("dist")).unwrap();
    symlink(launchgate, source.join("dist/launchgate")).unwrap();
    symlink(workspace().join(".tools"), source.join(".tools")).unwrap();
    fs::write(shims.join("make"), MAKE).unwrap();
    fs::set_permissions(shims.join("make"), fs::Permissions::from_mode(0o755)).unwrap();

    let [plain, tls, admin] = free_ports();
    let path = format!("{}:{path}", shims.display());
    let target = copy.join("target");
    let mut told = String::new();
    let blocks = blocks();
    assert!(blocks.len() >= 5, "{} blocks", blocks.len());
    for block in blocks {
        let ports = format!("gateway --port {plain} --tls-port {tls} --admin-port {admin} ");
        let commands = block
            .replace(
                "dist/launchgate gateway ",
                &format!("dist/launchgate {ports}"),
            )
            .replace("localhost:10000", &format!("localhost:{plain}"));
        told += &run(&source, &commands, &[("CARGO_TARGET_DIR", &target)], &path);
    }
    assert!(told.contains("red, as it should be\n"), "{told}");
    assert!(told.contains("x-greeting: hello, Ada"), "{told}");
}
