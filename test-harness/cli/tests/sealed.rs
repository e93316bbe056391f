//! A secret that stands in a manifest as ciphertext, from `launchgate seal` to a real Envoy with the key in its environment.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use launchgate_harness::envoy::{
    Bootstrap, Launch, Plugin, Reply, Request, Upstream, built_module, workspace,
};
use serde_json::json;

const TOKEN: &str = "a-drain-token-of-32-characters...";
const KEY_VARIABLE: &str = "LAUNCHGATE_SEAL_KEY";

fn launchgate(arguments: &[&str], input: &str, key: &str) -> Result<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_launchgate"));
    command.args(arguments).env(KEY_VARIABLE, key);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .context("stdin")?
        .write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{arguments:?}: {}", output.status);
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// `health` as `make … SEALED=1` builds it, in a target folder of its own: another build must not take its place.
fn sealed_module() -> Result<PathBuf> {
    let command = PathBuf::from(env!("CARGO_BIN_EXE_launchgate"));
    let target = command
        .parent()
        .and_then(|debug| debug.parent())
        .context("target")?
        .join("sealed");
    let made = Command::new("make")
        .args(["modules", "SEALED=1", "FOLDERS=plugins/health"])
        .env_remove("MAKEFLAGS")
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(workspace())
        .output()?;
    ensure!(
        made.status.success(),
        "make modules SEALED=1: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    Ok(target.join("wasm32-wasip1/release/examples/health.wasm"))
}

/// The same value with one bit of its ciphertext turned over.
fn tampered(sealed: &str) -> Result<String> {
    let (head, last) = sealed
        .strip_suffix('}')
        .and_then(|value| value.split_at_checked(value.len() - 6))
        .context("a sealed value")?;
    let turned = if last.starts_with('A') { "B" } else { "A" };
    Ok(format!("{head}{turned}{}}}", &last[1..]))
}

/// `health` with a sealed drain token, and the key from Envoy's own environment.
fn gateway(module: PathBuf, sealed: &str, key: &str) -> Result<Launch> {
    let app = Upstream::always(Reply::status(200))?;
    let plugin = Plugin::new("health", module).config(&json!({"drain": {"token": sealed}}));
    let bootstrap = Bootstrap::gateway(&[plugin])
        .upstream("app", &app)
        .edit(|document| {
            let filters =
                "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
            if let Some(vm) =
                document.pointer_mut(&format!("{filters}/0/typed_config/config/vm_config"))
            {
                vm["environment_variables"] = json!({"host_env_keys": [KEY_VARIABLE]});
            }
        });
    Ok(Launch::new(bootstrap)
        .concurrency(1)
        .environment(KEY_VARIABLE, key))
}

#[test]
fn a_sealed_secret_opens_in_envoy_with_its_key_and_with_no_other() -> Result<()> {
    let key = launchgate(&["seal", "--new-key"], "", "")?;
    let sealed = launchgate(&["seal"], TOKEN, &key)?;
    ensure!(
        sealed.starts_with("${sealed:v1.") && !sealed.contains(TOKEN),
        "{sealed}"
    );
    let module = sealed_module()?;

    let envoy = gateway(module.clone(), &sealed, &key)?.start()?;
    let ask = |token: &str| -> Result<u16> {
        let bearer = format!("Bearer {token}");
        Ok(envoy
            .send(&Request::get("/launchgate/drain").header("authorization", bearer))?
            .status)
    };
    assert_eq!(ask(TOKEN)?, 200);
    assert_eq!(ask(&sealed)?, 404, "the ciphertext is no token");
    for line in envoy.log() {
        assert!(
            !line.text.contains(TOKEN) && !line.text.contains(&key),
            "{}",
            line.text
        );
    }
    drop(envoy);

    let other = launchgate(&["seal", "--new-key"], "", "")?;
    let changed = tampered(&sealed)?;
    let unsealed = built_module("health")?;
    let wrong_key_or_value = "expected a value that was sealed with the key in LAUNCHGATE_SEAL_KEY";
    let refused = [
        (&module, &sealed, &other, wrong_key_or_value),
        (&module, &changed, &key, wrong_key_or_value),
        (
            &unsealed,
            &sealed,
            &key,
            "expected a module built with the feature \"sealed\"",
        ),
    ];
    for (module, sealed, with, reason) in refused {
        let validation = gateway(module.clone(), sealed, with)?.validate()?;
        let log: Vec<_> = validation
            .log
            .iter()
            .map(|line| line.text.as_str())
            .collect();
        let log = log.join("\n");
        assert!(
            !validation.accepted && log.contains("drain.token") && log.contains(reason),
            "{log}"
        );
        for secret in [TOKEN, &key, &other] {
            assert!(!log.contains(secret), "{log}");
        }
    }
    Ok(())
}
