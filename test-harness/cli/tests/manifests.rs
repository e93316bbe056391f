//! The shipped manifests of Istio and Envoy Gateway, run in a real Envoy: rendered as the gateways would, with the modules of
//! `make build`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, ensure};
use launchgate_harness::envoy::{
    Authority, Bootstrap, Connection, Launch, Reply, Request, TlsClient, Upstream, built_module,
    send, workspace,
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

/// Stand-ins for the gateways' secrets: the folder, and who signed them.
fn certificates() -> Result<(tempfile::TempDir, Authority)> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::new("launchgate tests")?;
    for host in ["shop", "api"] {
        let identity = authority.server(&[&format!("{host}.example.org")])?;
        identity.write(folder.path(), &format!("{host}-example-org"))?;
    }
    Ok((folder, authority))
}

/// The bootstrap of a kustomization, with TLS.
fn render(kustomization: &str, certificates: &Path) -> Result<Bootstrap> {
    let dist = dist()?;
    let output = launchgate(&[
        "render",
        "--as",
        "bootstrap",
        "--modules",
        dist.to_str().context("dist")?,
        "--certificates",
        certificates.to_str().context("certificates")?,
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

/// The production overlays are not only accepted: they are run below.
#[test]
fn every_kustomization_is_accepted_by_envoy() -> Result<()> {
    let (folder, _) = certificates()?;
    for gateway in ["istio", "envoy-gateway"] {
        for kustomization in ["base", "overlays/development", "overlays/staging"] {
            let kustomization = format!("envoy-configs/{gateway}/{kustomization}");
            let validation = launch(render(&kustomization, folder.path())?).validate()?;
            let last: Vec<_> = validation
                .log
                .iter()
                .rev()
                .take(5)
                .map(|line| line.text.as_str())
                .collect();
            ensure!(validation.accepted, "{kustomization}: {last:#?}");
        }
    }
    Ok(())
}

/// What the chain does to requests, by the whole production overlay of a gateway.
fn walk_through(overlay: &str, stable: &str, canary: &str) -> Result<()> {
    let (folder, authority) = certificates()?;
    let stable_upstream = Upstream::always(Reply::status(200).body("stable"))?;
    let canary_upstream = Upstream::always(Reply::status(200).body("canary"))?;
    let bootstrap = render(overlay, folder.path())?
        .upstream(stable, &stable_upstream)
        .upstream(canary, &canary_upstream);
    let envoy = launch(bootstrap).start()?;

    let plain = |request: Request| send(envoy.port(10000)?, &request.host("shop.example.org"));
    let live = plain(Request::get("/livez"))?;
    assert_eq!(live.status, 200, "{}", live.text());
    let redirect = plain(Request::get("/cart?a=1"))?;
    assert_eq!(
        (redirect.status, redirect.header("location").as_deref()),
        (301, Some("https://shop.example.org/cart?a=1"))
    );

    let tls = TlsClient::new("shop.example.org").trust(authority.pem());
    let secure = |request: Request, host: &str| {
        Connection::open_tls(envoy.port(10443)?, &tls)?.exchange(&request.host(host))
    };
    let always = secure(
        Request::get("/cart").header("x-canary", "always"),
        "shop.example.org",
    )?;
    assert_eq!(
        (
            always.text().as_str(),
            always.header("strict-transport-security").as_deref()
        ),
        ("canary", Some("max-age=31536000; includeSubDomains"))
    );
    let forged = Request::get("/cart")
        .header("x-canary", "never")
        .header("x-launchgate-variant", "canary");
    assert_eq!(secure(forged, "shop.example.org")?.text(), "stable");
    let misdirected = secure(Request::get("/cart"), "api.example.org")?;
    assert_eq!(
        misdirected.status, 421,
        "the certificate is the other host's"
    );
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

/// Structure is the same in every environment: a copy of the Istio manifests with one field more in staging is refused.
#[test]
fn an_overlay_that_adds_a_field_is_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("istio");
    let status = Command::new("cp")
        .args(["-r", "envoy-configs/istio"])
        .arg(&copy)
        .current_dir(workspace())
        .status()?;
    ensure!(status.success(), "cp");
    let staging = copy.join("overlays/staging/kustomization.yaml");
    let patch = "  - target: {kind: WasmPlugin, name: launchgate-tls}\n    patch: |\n      - {op: add, path: /spec/pluginConfig/server, value: remove}\n";
    let text = std::fs::read_to_string(&staging)?;
    std::fs::write(
        &staging,
        text.replace("patches:\n", &format!("patches:\n{patch}")),
    )?;
    let output = launchgate(&["check", "--without-modules", copy.to_str().context("copy")?])?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{said}");
    let expected = ".spec.pluginConfig.server: the overlay adds a field that the base does not have [overlay-structure]";
    assert!(
        said.contains("launchgate-tls") && said.contains(expected),
        "{said}"
    );
    assert!(said.contains(" 1 findings"), "{said}");
    Ok(())
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

#[test]
fn a_reader_that_stops_reading_is_no_fault() -> Result<()> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_launchgate"))
        .args(["render", "envoy-configs/istio/base"])
        .current_dir(workspace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success(), "{}", output.status);
    Ok(())
}
