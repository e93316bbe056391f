//! The shipped manifests of Istio and Envoy Gateway, run in a real Envoy: rendered as the gateways would, with the modules of
//! `make build`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use launchgate_harness::envoy::{
    Bootstrap, Launch, Reply, Request, Upstream, built_module, workspace,
};

const SECRETS: [(&str, &str); 5] = [
    (
        "SENTRY_DSN",
        "https://0123456789abcdef0123456789abcdef@o0.ingest.sentry.io/1",
    ),
    (
        "SLACK_WEBHOOK",
        "https://hooks.slack.com/services/T0/B0/stand-in",
    ),
    ("LOG_HMAC_KEY", "stand-in-of-32-characters-000001"),
    ("HEALTH_TOKEN", "stand-in-of-32-characters-000002"),
    ("CANARY_SECRET", "stand-in-of-32-characters-000003"),
];

fn launchgate(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_launchgate"));
    Ok(command.args(arguments).current_dir(workspace()).output()?)
}

fn dist() -> Result<PathBuf> {
    Ok(built_module("health")?.parent().context("dist")?.to_owned())
}

/// The bootstrap of a kustomization.
fn render(kustomization: &str) -> Result<Bootstrap> {
    let dist = dist()?;
    let modules = dist.to_str().context("dist")?;
    let output = launchgate(&[
        "render",
        "--as",
        "bootstrap",
        "--modules",
        modules,
        kustomization,
    ])?;
    ensure!(
        output.status.success(),
        "{kustomization}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut bootstrap = Bootstrap::from_yaml(&String::from_utf8_lossy(&output.stdout))?;
    for plugin in ["metrics", "access-log", "errors", "tls", "health", "canary"] {
        bootstrap = bootstrap.file(&format!("{plugin}.wasm"), built_module(plugin)?);
    }
    Ok(bootstrap)
}

fn launch(bootstrap: Bootstrap) -> Launch {
    let launch = Launch::new(bootstrap).concurrency(1);
    SECRETS.iter().fold(launch, |launch, (name, value)| {
        launch.environment(name, value)
    })
}

#[test]
fn every_kustomization_is_accepted_by_envoy() -> Result<()> {
    for gateway in ["istio", "envoy-gateway"] {
        for kustomization in [
            "base",
            "overlays/development",
            "overlays/staging",
            "overlays/production",
        ] {
            let folder = format!("envoy-configs/{gateway}/{kustomization}");
            let validation = launch(render(&folder)?).validate()?;
            let last: Vec<_> = validation
                .log
                .iter()
                .rev()
                .take(5)
                .map(|line| line.text.as_str())
                .collect();
            ensure!(validation.accepted, "{folder}: {last:#?}");
        }
    }
    Ok(())
}

/// What the chain does to four requests, by the whole production overlay of a gateway.
fn walk_through(folder: &str, stable: &str, canary: &str) -> Result<()> {
    let stable_upstream = Upstream::always(Reply::status(200).body("stable"))?;
    let canary_upstream = Upstream::always(Reply::status(200).body("canary"))?;
    let bootstrap = render(folder)?
        .upstream(stable, &stable_upstream)
        .upstream(canary, &canary_upstream);
    // The listener has no TLS here: what the tls plugin does with plaintext is asserted, then it is told to report only.
    let envoy = launch(bootstrap.clone()).start()?;
    let ask = |envoy: &launchgate_harness::envoy::Envoy, request: Request| {
        envoy.send(&request.host("shop.example.org"))
    };
    let live = ask(&envoy, Request::get("/livez"))?;
    assert_eq!(live.status, 200, "{}", live.text());
    let redirect = ask(&envoy, Request::get("/cart?a=1"))?;
    assert_eq!(
        (redirect.status, redirect.header("location").as_deref()),
        (301, Some("https://shop.example.org/cart?a=1"))
    );
    drop(envoy);
    let envoy = launch(reporting(bootstrap)).start()?;
    assert_eq!(
        ask(&envoy, Request::get("/cart").header("x-canary", "always"))?.text(),
        "canary"
    );
    let forged = Request::get("/cart")
        .header("x-canary", "never")
        .header("x-launchgate-variant", "canary");
    assert_eq!(ask(&envoy, forged)?.text(), "stable");
    for received in stable_upstream
        .received()
        .iter()
        .chain(&canary_upstream.received())
    {
        assert_eq!(
            received.header("x-launchgate-variant"),
            None,
            "the steering header stays inside"
        );
    }
    Ok(())
}

/// The tls plugin in report mode, so that plain requests reach the routes.
fn reporting(bootstrap: Bootstrap) -> Bootstrap {
    bootstrap.edit(|document| {
        let text = document
            .to_string()
            .replace(r#"\"mode\":\"enforce\""#, r#"\"mode\":\"report\""#);
        if let Ok(changed) = serde_json::from_str(&text) {
            *document = changed;
        }
    })
}

#[test]
fn istio_in_production_answers_redirects_and_steers() -> Result<()> {
    let cluster = |subset| format!("outbound|8080|{subset}|checkout.shop.svc.cluster.local");
    walk_through(
        "envoy-configs/istio/overlays/production",
        &cluster("stable"),
        &cluster("canary"),
    )
}

#[test]
fn envoy_gateway_in_production_answers_redirects_and_steers() -> Result<()> {
    walk_through(
        "envoy-configs/envoy-gateway/overlays/production",
        "httproute/shop/checkout/rule/1",
        "httproute/shop/checkout/rule/0",
    )
}

#[test]
fn every_manifest_passes_with_schemas_and_modules() -> Result<()> {
    let dist = dist()?;
    let folders = [
        "envoy-configs/istio",
        "envoy-configs/envoy-gateway",
        "envoy-configs/istio/traffic-extension",
    ];
    for folder in folders {
        let output = launchgate(&["check", "--dist", dist.to_str().context("dist")?, folder])?;
        ensure!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

#[test]
fn a_configuration_that_the_plugin_refuses_is_refused_with_its_reason() -> Result<()> {
    let dist = dist()?;
    let file = tempfile::NamedTempFile::with_suffix(".yaml")?;
    std::fs::write(
        file.path(),
        "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: health}\n\
         spec: {url: 'registry.example.org/plugins/health:0.1.0', pluginName: health, pluginConfig: {max_age: 30 parsecs}}\n",
    )?;
    let path: &Path = file.path();
    let output = launchgate(&[
        "check",
        "--dist",
        dist.to_str().context("dist")?,
        path.to_str().context("path")?,
    ])?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success());
    assert!(
        said.contains("[plugin-module]") && said.contains("max_age") && said.contains("30 parsecs"),
        "{said}"
    );
    Ok(())
}
