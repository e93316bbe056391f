//! Images from a build to a registry and back, against Debian's docker-registry: one command each; and a real Envoy that
//! fetches its module from there.

mod server;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use launchgate_harness::envoy::{
    Bootstrap, Launch, Plugin, Reply, Request, Upstream, built_module, send, workspace,
};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use server::Registry;

/// The smallest module: magic and version.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// What BuildKit pushes for an image with a provenance.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A build of one plugin with a stand-in module.
fn build(folder: &Path, module: &[u8]) -> Result<()> {
    let sha256 = hex(module);
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

fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
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
    fs::write(folder.join("tested.json"), "{\"health\": [\"1.40.0\"]}")?;
    succeed(
        folder,
        &["image", "--workspace", workspace, "--tested", "tested.json"],
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

/// An image of `health` and keys to sign it, beside an empty registry.
struct Shop {
    registry: Registry,
    folder: tempfile::TempDir,
    /// `dist/registry.json`.
    index: Value,
    /// The image's manifest.
    digest: String,
    prefix: String,
    reference: String,
}

impl Shop {
    fn open(module: &[u8]) -> Result<Self> {
        let registry = Registry::start()?;
        let folder = tempfile::tempdir()?;
        let index = image(folder.path(), module)?;
        let digest = index["plugins"][0]["manifest_digest"]
            .as_str()
            .context("digest")?
            .to_owned();
        succeed(folder.path(), &["registry", "keygen", "good"])?;
        succeed(folder.path(), &["registry", "keygen", "other"])?;
        let prefix = registry.prefix();
        let reference = format!("{prefix}/plugins/health:0.1.0");
        Ok(Self {
            registry,
            folder,
            index,
            digest,
            prefix,
            reference,
        })
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn succeed(&self, arguments: &[&str]) -> Result<String> {
        succeed(self.folder(), arguments)
    }

    fn fail(&self, arguments: &[&str]) -> Result<String> {
        fail(self.folder(), arguments)
    }

    /// What the registry answers to a path below the image's repository.
    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let path = format!("/v2/team/launchgate/plugins/health/{path}");
        let accept = "application/vnd.oci.image.manifest.v1+json, */*";
        let request = Request::get(&path).header("accept", accept);
        let response = send(self.registry.address, &request)?;
        ensure!(response.status == 200, "{path}: {}", response.status);
        Ok(response.body)
    }
}

#[test]
fn push_list_show_verify_and_pull_are_one_command_each() -> Result<()> {
    let shop = Shop::open(MODULE)?;
    let (prefix, reference, digest) = (&shop.prefix, &shop.reference, &shop.digest);

    let pushed = shop.succeed(&["push", prefix, "--key", "good.key"])?;
    assert!(
        pushed.contains(&format!("{reference}@{digest} (8 new layers, signed)")),
        "{pushed}"
    );
    let again = shop.succeed(&["push", prefix, "--key", "good.key"])?;
    assert!(again.contains("(0 new layers, signed)"), "{again}");

    let listed = shop.succeed(&["registry", "list", prefix, "--json"])?;
    assert_eq!(serde_json::from_str::<Value>(&listed)?, shop.index);
    let shown = shop.succeed(&["registry", "show", prefix, "health"])?;
    for part in [digest.as_str(), "HEALTH_TOKEN", "Envoy 1.40.0"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let verified = shop.succeed(&["registry", "verify", reference, "--key", "good.pub"])?;
    assert!(verified.contains("7 layers intact"), "{verified}");
    shop.succeed(&[
        "registry", "pull", reference, "--output", "out", "--key", "good.pub",
    ])?;
    let out = shop.folder().join("out");
    assert_eq!(fs::read(out.join("health.wasm"))?, MODULE);
    let schema = fs::read_to_string(out.join("health.config.schema.json"))?;
    assert_eq!(schema, "{\"type\": \"object\"}");
    Ok(())
}

#[test]
fn the_index_is_the_builds_plus_manifest_digest_and_tested() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut index = image(folder.path(), MODULE)?;
    let entry = index["plugins"][0].as_object_mut().context("entry")?;
    assert_eq!(entry.remove("tested"), Some(json!(["1.40.0"])));
    let digest = entry.remove("manifest_digest").context("manifest_digest")?;
    assert!(
        digest.as_str().is_some_and(|d| d.starts_with("sha256:")),
        "{digest}"
    );
    let built = fs::read(folder.path().join("dist/index.json"))?;
    assert_eq!(index, serde_json::from_slice::<Value>(&built)?);
    Ok(())
}

#[test]
fn the_files_of_an_image_say_what_it_is() -> Result<()> {
    let shop = Shop::open(MODULE)?;
    shop.succeed(&["push", &shop.prefix])?;
    let file = |name| shop.succeed(&["registry", "show", &shop.prefix, "health", "--file", name]);
    assert_eq!(file("config.schema.json")?, "{\"type\": \"object\"}");
    let readme = fs::read_to_string(workspace().join("plugins/health/README.md"))?;
    assert_eq!(file("README.md")?, readme);
    let bill: Value = serde_json::from_str(&file("sbom.cdx.json")?)?;
    assert_eq!(bill["bomFormat"], "CycloneDX");
    assert_eq!(
        bill["metadata"]["component"]["hashes"][0]["content"],
        hex(MODULE)
    );
    let names: Vec<_> = bill["components"]
        .as_array()
        .context("components")?
        .iter()
        .filter_map(|component| component["name"].as_str())
        .collect();
    for linked in ["launchgate-sdk", "proxy-wasm", "serde_json"] {
        assert!(
            names.contains(&linked),
            "{linked} is in the module: {names:?}"
        );
    }
    // Of the native command, of the compiler, of another feature.
    for absent in ["wasmtime", "serde_derive", "aes-gcm"] {
        assert!(
            !names.contains(&absent),
            "{absent} is not in the module: {names:?}"
        );
    }
    Ok(())
}

#[test]
fn pins_name_the_pushed_bytes_and_stale_ones_are_told() -> Result<()> {
    let shop = Shop::open(MODULE)?;
    let (prefix, reference) = (&shop.prefix, &shop.reference);
    shop.succeed(&["push", prefix])?;
    shop.succeed(&["registry", "pin", prefix, "source.yaml"])?;
    let source = fs::read_to_string(shop.folder().join("source.yaml"))?;
    let hex = shop.digest.trim_start_matches("sha256:");
    let lines = format!("  health.sha256: \"{hex}\"\n  health.url: oci://{reference}\n");
    assert!(source.contains(&lines), "{source}");
    let check = [
        "registry",
        "pin",
        "--check",
        prefix,
        "--index",
        "dist/registry.json",
        "source.yaml",
    ];
    shop.succeed(&check)?;
    image(shop.folder(), &changed())?;
    let stale = shop.fail(&check)?;
    let expected = format!(
        "source.yaml: stale pins, write them with `make pin`: health.sha256 is {hex}, expected "
    );
    assert!(stale.contains(&expected), "{stale}");
    Ok(())
}

/// Another module.
fn changed() -> Vec<u8> {
    [MODULE, &[0, 2, 1, b'x']].concat()
}

/// The check is an implementation of its own: a raw HTTP client, and ring instead of the command's p256.
#[test]
fn a_signature_is_what_cosign_makes_with_a_key() -> Result<()> {
    let shop = Shop::open(MODULE)?;
    shop.succeed(&["push", &shop.prefix, "--key", "good.key"])?;
    let tag = format!("{}.sig", shop.digest.replacen(':', "-", 1));
    let manifest: Value = serde_json::from_slice(&shop.read(&format!("manifests/{tag}"))?)?;
    let layer = &manifest["layers"][0];
    assert_eq!(
        layer["mediaType"],
        "application/vnd.dev.cosign.simplesigning.v1+json"
    );
    let payload = shop.read(&format!(
        "blobs/{}",
        layer["digest"].as_str().context("digest")?
    ))?;
    let expected = json!({
        "critical": {
            "identity": {"docker-reference": shop.reference.trim_end_matches(":0.1.0")},
            "image": {"docker-manifest-digest": shop.digest},
            "type": "cosign container image signature",
        },
        "optional": null,
    });
    assert_eq!(serde_json::from_slice::<Value>(&payload)?, expected);
    let signature = &layer["annotations"]["dev.cosignproject.cosign/signature"];
    let signature = STANDARD.decode(signature.as_str().context("annotation")?)?;
    let fits = |key: &str| -> Result<bool> {
        let pem = fs::read_to_string(shop.folder().join(key))?;
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(base64)?;
        // A P-256 public key in DER ends with the point: 04, x, y.
        let point = der.get(der.len() - 65..).context("point")?;
        Ok(UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
            .verify(&payload, &signature)
            .is_ok())
    };
    assert!(fits("good.pub")?);
    assert!(!fits("other.pub")?);
    Ok(())
}

#[test]
fn a_second_key_signs_beside_the_first_and_the_same_key_only_once() -> Result<()> {
    let shop = Shop::open(MODULE)?;
    for key in ["good.key", "other.key", "good.key"] {
        shop.succeed(&["push", &shop.prefix, "--key", key])?;
    }
    for key in ["good.pub", "other.pub"] {
        shop.succeed(&["registry", "verify", &shop.reference, "--key", key])?;
    }
    let tag = format!("{}.sig", shop.digest.replacen(':', "-", 1));
    let manifest: Value = serde_json::from_slice(&shop.read(&format!("manifests/{tag}"))?)?;
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(2));
    Ok(())
}

#[test]
fn every_failure_says_what_is_wrong() -> Result<()> {
    let shop = Shop::open(MODULE)?;
    let (prefix, reference) = (&shop.prefix, &shop.reference);
    let says = |arguments: &[&str], expected: &str| -> Result<()> {
        let said = shop.fail(arguments)?;
        assert!(said.contains(expected), "{arguments:?}: {said}");
        Ok(())
    };
    let verify = ["registry", "verify", reference, "--key", "good.pub"];

    says(
        &["registry", "list", prefix],
        "no index, nothing was pushed here",
    )?;
    shop.succeed(&["push", prefix])?;
    says(&verify, "is not signed")?;
    shop.succeed(&["push", prefix, "--key", "good.key"])?;
    says(
        &["registry", "verify", reference, "--key", "other.pub"],
        "made with another key",
    )?;
    says(
        &["registry", "verify", reference, "--key", "good.key"],
        "no P-256 public key in PEM",
    )?;
    says(
        &["registry", "show", prefix, "nothing"],
        "no plugin \"nothing\", the registry has health",
    )?;
    says(
        &["registry", "show", prefix, "health:9"],
        "health has no version 9, but 0.1.0",
    )?;
    says(
        &["registry", "pull", &format!("{prefix}/plugins/health:9")],
        "not found",
    )?;
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": shop.digest, "size": shop.read("manifests/0.1.0")?.len(),
    }]});
    let put = Request::new(
        "PUT",
        "/v2/team/launchgate/plugins/health/manifests/several",
    )
    .header("content-type", INDEX)
    .body(index.to_string());
    assert_eq!(send(shop.registry.address, &put)?.status, 201);
    says(
        &[
            "registry",
            "pull",
            &format!("{prefix}/plugins/health:several"),
        ],
        "an index of images, expected one image",
    )?;
    let nobody = "127.0.0.1:1/launchgate";
    says(
        &["registry", "list", nobody],
        "127.0.0.1:1: registry cannot be reached",
    )?;
    image(shop.folder(), &changed())?;
    says(&["push", prefix], "a version is never moved")?;

    let manifest: Value = serde_json::from_slice(&fs::read(shop.registry.blob(&shop.digest))?)?;
    let layer = manifest["layers"][6]["digest"].as_str().context("layer")?;
    let mut bytes = fs::read(shop.registry.blob(layer))?;
    *bytes.last_mut().context("empty layer")? ^= 1;
    fs::write(shop.registry.blob(layer), bytes)?;
    let tampered = shop.fail(&verify)?;
    assert!(
        tampered.contains(layer) && tampered.contains("tampered with"),
        "{tampered}"
    );
    says(
        &["registry", "pull", reference, "--output", "bad"],
        "tampered with",
    )?;
    assert!(
        !shop.folder().join("bad/health.wasm").exists(),
        "nothing is written"
    );
    Ok(())
}

#[test]
fn envoy_runs_what_it_fetches_from_the_registry_and_nothing_else() -> Result<()> {
    let module = fs::read(built_module("health")?)?;
    let shop = Shop::open(&module)?;
    shop.succeed(&["push", &shop.prefix])?;
    let app = Upstream::always(Reply::status(200).body("app"))?;
    // The raw module is a layer of the image: its digest is the one of dist/index.json.
    let fetching = |sha256: &str| {
        let uri = format!(
            "http://{}/v2/team/launchgate/plugins/health/blobs/sha256:{}",
            shop.registry.address,
            hex(&module)
        );
        let remote = json!({
            "http_uri": {"uri": uri, "cluster": "registry", "timeout": "30s"},
            "sha256": sha256,
            "retry_policy": {"num_retries": 1},
        });
        let bootstrap = Bootstrap::gateway(&[Plugin::new("health", "from the registry")])
            .edit(|document| {
                let filters = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
                let code = format!("{filters}/0/typed_config/config/vm_config/code");
                if let Some(code) = document.pointer_mut(&code) {
                    *code = json!({"remote": remote});
                }
            })
            .upstream("app", &app)
            .endpoint("registry", shop.registry.address);
        Launch::new(bootstrap).concurrency(1).start()
    };
    let envoy = fetching(&hex(&module))?;
    let live = envoy.get("/livez")?;
    assert_eq!(
        (live.status, app.received().len()),
        (200, 0),
        "the plugin answers: {}",
        live.text()
    );
    assert_eq!(envoy.get("/")?.text(), "app");
    drop(envoy);

    let envoy = fetching(&hex(MODULE))?;
    assert_eq!(
        envoy.get("/")?.status,
        503,
        "other bytes than the digest's are not run"
    );
    Ok(())
}

#[test]
fn envoy_runs_what_was_pulled() -> Result<()> {
    let shop = Shop::open(&fs::read(built_module("health")?)?)?;
    shop.succeed(&["push", &shop.prefix, "--key", "good.key"])?;
    shop.succeed(&[
        "registry",
        "pull",
        &shop.reference,
        "--output",
        "out",
        "--key",
        "good.pub",
    ])?;
    let app = Upstream::always(Reply::status(200).body("app"))?;
    let plugin = Plugin::new("health", shop.folder().join("out/health.wasm"));
    let envoy = Launch::new(Bootstrap::gateway(&[plugin]).upstream("app", &app)).start()?;
    assert_eq!(
        (envoy.get("/livez")?.status, app.received().len()),
        (200, 0)
    );
    Ok(())
}
