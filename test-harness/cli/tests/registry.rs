//! Images from a build to a registry and back, against Debian's docker-registry: one command each.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use launchgate_harness::envoy::workspace;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The smallest module: magic and version.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// A registry on a free port, stopped when dropped.
struct Registry {
    child: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Registry {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // The port is free now; another process may take it first, so a failed start is tried again.
        for _ in 0..5 {
            let port = std::net::TcpListener::bind("127.0.0.1:0")?
                .local_addr()?
                .port();
            let address = format!("127.0.0.1:{port}");
            let config = json!({
                "version": 0.1, "log": {"level": "error", "accesslog": {"disabled": true}},
                "storage": {"filesystem": {"rootdirectory": folder.path().join("data")}}, "http": {"addr": address},
            });
            let file = folder.path().join("config.yml");
            fs::write(&file, config.to_string())?;
            let mut command = Command::new("docker-registry");
            command
                .arg("serve")
                .arg(&file)
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let mut child = command
                .spawn()
                .context("docker-registry: run `make deps`")?;
            for _ in 0..1000 {
                if child.try_wait()?.is_some() {
                    break;
                }
                if TcpStream::connect(&address).is_ok() {
                    return Ok(Self {
                        child,
                        address,
                        folder,
                    });
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            child.kill().ok();
            child.wait().ok();
        }
        bail!("docker-registry does not start")
    }

    fn prefix(&self) -> String {
        format!("{}/team/launchgate", self.address)
    }

    /// The file in which the registry keeps a blob.
    fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = self
            .folder
            .path()
            .join("data/docker/registry/v2/blobs/sha256");
        blobs
            .join(hex.get(..2).unwrap_or_default())
            .join(hex)
            .join("data")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A build of one plugin with a stand-in module.
fn build(folder: &Path, module: &[u8]) -> Result<()> {
    let sha256: String = Sha256::digest(module)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let entry = json!({
        "name": "health", "version": "0.1.0", "file": "health.wasm", "sha256": sha256, "size": module.len(), "abi": "0.2.1",
        "schema": "health.schema.json", "imports": ["proxy_log"], "env": ["HEALTH_TOKEN"], "metrics": "health.metrics.json",
    });
    fs::create_dir_all(folder)?;
    fs::write(folder.join("health.wasm"), module)?;
    fs::write(folder.join("health.schema.json"), "{\"type\": \"object\"}")?;
    fs::write(folder.join("health.metrics.json"), "[]")?;
    fs::write(
        folder.join("index.json"),
        json!({"schema_version": 1, "plugins": [entry]}).to_string(),
    )?;
    Ok(())
}

fn launchgate(folder: &Path, arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(env!("CARGO_BIN_EXE_launchgate"))
        .args(arguments)
        .current_dir(folder)
        .output()?)
}

fn succeed(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = launchgate(folder, arguments)?;
    ensure!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn fail(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = launchgate(folder, arguments)?;
    ensure!(
        !output.status.success(),
        "{arguments:?} succeeded: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn image(folder: &Path, module: &[u8]) -> Result<Value> {
    build(&folder.join("dist"), module)?;
    let workspace = workspace().to_str().context("workspace")?;
    succeed(
        folder,
        &["image", "--workspace", workspace, "--tested", "1.40.0"],
    )?;
    Ok(serde_json::from_slice(&fs::read(
        folder.join("dist/registry.json"),
    )?)?)
}

#[test]
fn two_builds_in_two_folders_give_the_same_image() -> Result<()> {
    let (one, two) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let digest = |index: Value| index["plugins"][0]["manifest_digest"].clone();
    assert_eq!(
        digest(image(one.path(), MODULE)?),
        digest(image(two.path(), MODULE)?)
    );
    let mut other = MODULE.to_vec();
    other.extend_from_slice(&[0, 2, 1, b'x']);
    assert_ne!(
        digest(image(one.path(), MODULE)?),
        digest(image(two.path(), &other)?)
    );
    Ok(())
}

#[test]
fn push_list_show_verify_and_pull_are_one_command_each() -> Result<()> {
    let registry = Registry::start()?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let index = image(folder, MODULE)?;
    let digest = index["plugins"][0]["manifest_digest"]
        .as_str()
        .context("digest")?
        .to_owned();
    succeed(folder, &["registry", "keygen", "good"])?;
    succeed(folder, &["registry", "keygen", "other"])?;
    let prefix = registry.prefix();
    let reference = format!("{prefix}/plugins/health:0.1.0");

    let pushed = succeed(folder, &["push", &prefix, "--key", "good.key"])?;
    assert!(
        pushed.contains(&format!("{reference}@{digest} (8 new layers, signed)")),
        "{pushed}"
    );
    assert!(
        succeed(folder, &["push", &prefix, "--key", "good.key"])?
            .contains("(0 new layers, signed)")
    );

    let listed: Value =
        serde_json::from_str(&succeed(folder, &["registry", "list", &prefix, "--json"])?)?;
    assert_eq!(listed, index);
    let shown = succeed(folder, &["registry", "show", &prefix, "health"])?;
    assert!(
        shown.contains(&digest) && shown.contains("HEALTH_TOKEN") && shown.contains("Envoy 1.40.0"),
        "{shown}"
    );
    assert_eq!(
        succeed(
            folder,
            &[
                "registry",
                "show",
                &prefix,
                "health",
                "--file",
                "config.schema.json"
            ]
        )?,
        "{\"type\": \"object\"}"
    );
    let sbom: Value = serde_json::from_str(&succeed(
        folder,
        &[
            "registry",
            "show",
            &prefix,
            "health",
            "--file",
            "sbom.cdx.json",
        ],
    )?)?;
    assert_eq!(sbom["bomFormat"], "CycloneDX");
    assert!(
        sbom["components"]
            .as_array()
            .is_some_and(|c| c.iter().any(|c| c["name"] == "proxy-wasm"))
    );

    assert!(
        succeed(
            folder,
            &["registry", "verify", &reference, "--key", "good.pub"]
        )?
        .contains("7 layers intact")
    );
    succeed(
        folder,
        &[
            "registry", "pull", &reference, "--output", "out", "--key", "good.pub",
        ],
    )?;
    assert_eq!(fs::read(folder.join("out/health.wasm"))?, MODULE);
    assert_eq!(
        fs::read_to_string(folder.join("out/health.config.schema.json"))?,
        "{\"type\": \"object\"}"
    );

    succeed(folder, &["registry", "pin", &prefix, "source.yaml"])?;
    let source = fs::read_to_string(folder.join("source.yaml"))?;
    assert!(
        source.contains(&format!(
            "  health.sha256: {}\n  health.url: oci://{reference}\n",
            digest.trim_start_matches("sha256:")
        )),
        "{source}"
    );
    Ok(())
}

#[test]
fn every_failure_says_what_is_wrong() -> Result<()> {
    let registry = Registry::start()?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let index = image(folder, MODULE)?;
    let digest = index["plugins"][0]["manifest_digest"]
        .as_str()
        .context("digest")?
        .to_owned();
    succeed(folder, &["registry", "keygen", "good"])?;
    succeed(folder, &["registry", "keygen", "other"])?;
    let prefix = registry.prefix();
    let reference = format!("{prefix}/plugins/health:0.1.0");

    assert!(
        fail(folder, &["registry", "list", &prefix])?.contains("no index, nothing was pushed here")
    );
    succeed(folder, &["push", &prefix])?;
    assert!(
        fail(
            folder,
            &["registry", "verify", &reference, "--key", "good.pub"]
        )?
        .contains("is not signed")
    );
    succeed(folder, &["push", &prefix, "--key", "good.key"])?;
    assert!(
        fail(
            folder,
            &["registry", "verify", &reference, "--key", "other.pub"]
        )?
        .contains("made with another key")
    );
    assert!(
        fail(folder, &["registry", "show", &prefix, "nothing"])?
            .contains("no plugin \"nothing\", the registry has health")
    );
    assert!(
        fail(folder, &["registry", "show", &prefix, "health:9"])?
            .contains("health has no version 9, but 0.1.0")
    );
    assert!(
        fail(
            folder,
            &["registry", "pull", &format!("{prefix}/plugins/health:9")]
        )?
        .contains("not found")
    );
    let unreachable = fail(folder, &["registry", "list", "127.0.0.1:1/launchgate"])?;
    assert!(
        unreachable.contains("127.0.0.1:1: registry cannot be reached"),
        "{unreachable}"
    );

    let mut changed = MODULE.to_vec();
    changed.extend_from_slice(&[0, 2, 1, b'x']);
    image(folder, &changed)?;
    assert!(fail(folder, &["push", &prefix])?.contains("a version is never moved"));

    let manifest: Value = serde_json::from_slice(&fs::read(registry.blob(&digest))?)?;
    let layer = manifest["layers"][6]["digest"].as_str().context("layer")?;
    let mut bytes = fs::read(registry.blob(layer))?;
    *bytes.last_mut().context("empty layer")? ^= 1;
    fs::write(registry.blob(layer), bytes)?;
    let tampered = fail(
        folder,
        &["registry", "verify", &reference, "--key", "good.pub"],
    )?;
    assert!(
        tampered.contains(layer) && tampered.contains("tampered with"),
        "{tampered}"
    );
    Ok(())
}
