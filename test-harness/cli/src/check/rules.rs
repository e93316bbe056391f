//! The named rules between fields: those of the resources' own CEL validations, those that Istio and Envoy Gateway apply
//! silently, and those that keep a release safe. A rule's name is in every finding that it makes.

use serde_json::Value;

use super::finding::Finding;
use crate::{
    extension::{self, Extension, FailurePolicy, Origin, Source},
    manifest::Manifest,
};

/// The annotation that says why an extension may fail open.
pub(crate) const FAIL_OPEN_REASON: &str = "launchgate.dev/fail-open-reason";

/// The order of the chain, first to last.
const CHAIN: [&str; 6] = ["metrics", "access-log", "errors", "tls", "health", "canary"];

/// Largest whole number that a protobuf `Struct` (doubles) carries exactly.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// All findings of one manifest.
pub(crate) fn check(manifest: &Manifest) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut note = |rule, path: String, message: String| {
        found.push(Finding::new(manifest, rule, path, message))
    };
    check_labels(&manifest.value["spec"], &mut note);
    check_target_namespaces(&manifest.value["spec"], &mut note);
    match manifest.kind() {
        "TrafficExtension" => check_traffic_extension(&manifest.value["spec"], &mut note),
        "EnvoyExtensionPolicy" => check_policy(&manifest.value["spec"], &mut note),
        "ServiceEntry" => check_service_entry(&manifest.value["spec"], &mut note),
        _ => {}
    }
    for extension in extension::of(manifest) {
        check_source(&extension, &mut note);
        check_environment(manifest, &extension, &mut note);
        check_failure(manifest, &extension, &mut note);
        check_numbers(
            extension.config.as_ref(),
            &extension.config_path(),
            &mut note,
        );
        let at = format!("{}.verificationKey", extension.path);
        if manifest
            .value
            .pointer(&format!("/{}", at.replace('.', "/")))
            .is_some()
        {
            note("verification-key", at, "Istio does not implement it: verify images in CI with `launchgate registry verify`".to_owned());
        }
    }
    found
}

/// Findings between manifests: the chain's order, and two resources of one name.
pub(crate) fn check_together(manifests: &[Manifest]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, manifest) in manifests.iter().enumerate() {
        let same = |other: &&Manifest| {
            other.identity() == manifest.identity() && other.api_version() == manifest.api_version()
        };
        if let Some(first) = manifests.iter().take(index).find(same) {
            let file = first.origin.file_name().unwrap_or(first.origin.as_os_str());
            let message = format!("declared twice, first in {}", file.to_string_lossy());
            found.push(Finding::new(
                manifest,
                "duplicate-resource",
                "metadata.name",
                message,
            ));
        }
    }
    for origin in ["WasmPlugin", "TrafficExtension", "EnvoyExtensionPolicy"] {
        check_order(manifests.iter().filter(|m| m.kind() == origin), &mut found);
    }
    found
}

fn check_order<'a>(manifests: impl Iterator<Item = &'a Manifest>, found: &mut Vec<Finding>) {
    let all: Vec<_> = manifests
        .flat_map(|m| extension::of(m).into_iter().map(move |e| (m, e)))
        .collect();
    let ordered = extension::in_chain_order(all.iter().map(|(_, e)| e.clone()).collect());
    let place = |e: &Extension| CHAIN.iter().position(|p| *p == e.source.plugin());
    for pair in ordered.windows(2) {
        let [before, after] = pair else { continue };
        let (Some(first), Some(second)) = (place(before), place(after)) else {
            continue;
        };
        if first > second && before.namespace == after.namespace {
            let manifest = all
                .iter()
                .find(|(_, e)| e.path == after.path && e.name == after.name)
                .map(|(m, _)| *m);
            let message = format!(
                "{} runs after {}, expected the order {}",
                CHAIN[second],
                CHAIN[first],
                CHAIN.join(", ")
            );
            found.extend(manifest.map(|m| {
                Finding::new(
                    m,
                    "chain-order",
                    after.field_path("priority", "name"),
                    message,
                )
            }));
        }
    }
}

type Note<'a> = dyn FnMut(&'static str, String, String) + 'a;

fn check_labels(spec: &Value, note: &mut Note<'_>) {
    for selector in ["selector", "workloadSelector"] {
        let labels = spec[selector]["matchLabels"]
            .as_object()
            .into_iter()
            .flatten();
        for (key, value) in labels {
            let path = format!("spec.{selector}.matchLabels");
            if key.is_empty() {
                note("label-selector", path, "empty label name".to_owned());
            } else if key.contains('*') || value.as_str().is_some_and(|v| v.contains('*')) {
                note(
                    "label-selector",
                    path,
                    format!("{key}: a wildcard is not allowed in a label selector"),
                );
            }
        }
    }
}

fn check_target_namespaces(spec: &Value, note: &mut Note<'_>) {
    let one = std::iter::once(&spec["targetRef"]);
    for target in one.chain(spec["targetRefs"].as_array().into_iter().flatten()) {
        if let Some(namespace) = target["namespace"].as_str().filter(|n| !n.is_empty()) {
            note(
                "cross-namespace-target",
                "spec.targetRefs.namespace".to_owned(),
                format!("{namespace:?}: another namespace cannot be targeted"),
            );
        }
    }
    if spec["targetRefs"].as_array().is_some_and(|t| t.len() > 16) {
        note(
            "range",
            "spec.targetRefs".to_owned(),
            "more than 16 targets".to_owned(),
        );
    }
}

fn check_traffic_extension(spec: &Value, note: &mut Note<'_>) {
    if spec.get("wasm").is_some() == spec.get("lua").is_some() {
        note(
            "wasm-xor-lua",
            "spec".to_owned(),
            "exactly one of wasm and lua must be set".to_owned(),
        );
    }
}

fn check_policy(spec: &Value, note: &mut Note<'_>) {
    const ROUTES: [&str; 6] = [
        "HTTPRoute",
        "GRPCRoute",
        "UDPRoute",
        "TCPRoute",
        "TLSRoute",
        "ListenerSet",
    ];
    let targets: Vec<_> = std::iter::once(&spec["targetRef"])
        .chain(spec["targetRefs"].as_array().into_iter().flatten())
        .filter(|t| t.is_object())
        .collect();
    if targets.is_empty() && spec["targetSelectors"].as_array().is_none_or(Vec::is_empty) {
        note(
            "policy-target",
            "spec".to_owned(),
            "one of targetRef, targetRefs and targetSelectors must be set".to_owned(),
        );
    }
    for target in targets {
        let (group, kind) = (
            target["group"].as_str().unwrap_or_default(),
            target["kind"].as_str().unwrap_or_default(),
        );
        if group != "gateway.networking.k8s.io" || (kind != "Gateway" && !ROUTES.contains(&kind)) {
            note(
                "policy-target",
                "spec.targetRefs".to_owned(),
                format!(
                    "{group}/{kind} cannot be targeted, expected a Gateway or a route of gateway.networking.k8s.io"
                ),
            );
        }
    }
    if spec["wasm"].as_array().is_some_and(|w| w.len() > 16) {
        note(
            "range",
            "spec.wasm".to_owned(),
            "more than 16 extensions".to_owned(),
        );
    }
    for (index, entry) in spec["wasm"].as_array().into_iter().flatten().enumerate() {
        let code = &entry["code"];
        let (wanted, other) = if code["type"] == "HTTP" {
            ("http", "image")
        } else {
            ("image", "http")
        };
        if code.get(wanted).is_none() || code.get(other).is_some() {
            note(
                "code-type",
                format!("spec.wasm[{index}].code"),
                format!("type {} needs {wanted} and excludes {other}", code["type"]),
            );
        }
    }
}

fn check_service_entry(spec: &Value, note: &mut Note<'_>) {
    let resolution = spec["resolution"].as_str().unwrap_or("NONE");
    let endpoints = spec["endpoints"].as_array().map_or(0, Vec::len);
    let list = |field: &str| spec[field].as_array().into_iter().flatten();
    if resolution == "NONE" && spec.get("endpoints").is_some() {
        note(
            "service-entry-resolution",
            "spec.endpoints".to_owned(),
            "resolution NONE cannot have endpoints".to_owned(),
        );
    }
    if resolution == "DNS_ROUND_ROBIN" && endpoints > 1 {
        note(
            "service-entry-resolution",
            "spec.endpoints".to_owned(),
            "resolution DNS_ROUND_ROBIN has at most one endpoint".to_owned(),
        );
    }
    if !matches!(resolution, "NONE" | "STATIC")
        && list("addresses").any(|a| a.as_str().is_some_and(|a| a.contains('/')))
    {
        note(
            "service-entry-resolution",
            "spec.addresses".to_owned(),
            "CIDR addresses need resolution NONE or STATIC".to_owned(),
        );
    }
    if list("hosts").any(|h| h == "*") {
        note(
            "service-entry-host",
            "spec.hosts".to_owned(),
            "\"*\" is no host name".to_owned(),
        );
    }
    let mut numbers: Vec<_> = list("ports").filter_map(|p| p["number"].as_i64()).collect();
    numbers.sort_unstable();
    if numbers.windows(2).any(|w| w.first() == w.last()) {
        note(
            "duplicate-port",
            "spec.ports".to_owned(),
            "a port number stands twice".to_owned(),
        );
    }
}

fn check_source(extension: &Extension, note: &mut Note<'_>) {
    let url = extension.field_path("url", "code.image.url");
    let sha256 = extension.field_path("sha256", "code.image.sha256");
    let digest = extension.sha256.as_str();
    let valid = digest.len() == 64
        && digest
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !digest.is_empty() && !valid {
        note(
            "sha256-form",
            sha256.clone(),
            format!("{digest:?}, expected 64 lower-case hexadecimal digits"),
        );
    }
    match &extension.source {
        Source::Unknown(text) => note(
            "url-scheme",
            url,
            format!("{text:?}, expected oci, http, https or file"),
        ),
        Source::File(path) if !digest.is_empty() => {
            note(
                "sha256-kind",
                sha256,
                format!(
                    "a digest is never compared for file://{path}: remove it or fetch from a registry"
                ),
            );
        }
        Source::Image(reference) if !reference.is_empty() => {
            check_image(reference, digest, &url, &sha256, note)
        }
        _ => {}
    }
}

fn check_image(reference: &str, digest: &str, url: &str, sha256: &str, note: &mut Note<'_>) {
    let (name, pinned) = match reference.split_once('@') {
        Some((name, pinned)) => (name, Some(pinned)),
        None => (reference, None),
    };
    let tag = name
        .rsplit('/')
        .next()
        .and_then(|last| last.split_once(':'))
        .map(|(_, tag)| tag);
    match (tag, pinned) {
        (Some("latest"), _) => note(
            "latest",
            url.to_owned(),
            format!("{reference}: `latest` moves; name a version"),
        ),
        (None, None) => note(
            "latest",
            url.to_owned(),
            format!("{reference}: no tag means `latest`, which moves; name a version"),
        ),
        _ => {}
    }
    if let Some(pinned) = pinned {
        let hex = pinned.strip_prefix("sha256:");
        if hex.is_none_or(|h| h.len() != 64) {
            note(
                "sha256-form",
                url.to_owned(),
                format!("@{pinned}, expected @sha256: and 64 hexadecimal digits"),
            );
        } else if !digest.is_empty() && hex != Some(digest) {
            note(
                "sha256-kind",
                sha256.to_owned(),
                format!("{digest} differs from the digest in the url"),
            );
        }
    }
}

fn check_environment(manifest: &Manifest, extension: &Extension, note: &mut Note<'_>) {
    let path = extension.field_path("vmConfig.env", "env.hostKeys");
    for (index, variable) in extension.variables.iter().enumerate() {
        if extension
            .variables
            .iter()
            .take(index)
            .any(|v| v.name == variable.name)
        {
            note(
                "duplicate-env",
                format!("{path}[{index}]"),
                format!("{} stands twice", variable.name),
            );
        }
    }
    if !matches!(extension.origin, Origin::EnvoyExtensionPolicy(_)) {
        let wasm = if extension.origin == Origin::WasmPlugin {
            "/spec"
        } else {
            "/spec/wasm"
        };
        let env = manifest
            .value
            .pointer(&format!("{wasm}/vmConfig/env"))
            .and_then(Value::as_array);
        for (index, variable) in env.into_iter().flatten().enumerate() {
            if variable["valueFrom"] == "HOST" && variable.get("value").is_some() {
                note(
                    "env-value",
                    format!("{path}[{index}].value"),
                    "a value is only allowed with valueFrom INLINE".to_owned(),
                );
            }
        }
    }
    super::secrets::check(extension, note);
}

fn check_failure(manifest: &Manifest, extension: &Extension, note: &mut Note<'_>) {
    if extension.failure != FailurePolicy::Open {
        return;
    }
    let path = extension.field_path("failStrategy", "failOpen");
    if manifest
        .annotation(FAIL_OPEN_REASON)
        .is_none_or(|reason| reason.trim().is_empty())
    {
        note(
            "fail-open-reason",
            path.clone(),
            format!(
                "failing open bypasses the plugin until restart: say why in the annotation {FAIL_OPEN_REASON}, or use FAIL_RELOAD"
            ),
        );
    }
    let steer = extension
        .config
        .as_ref()
        .and_then(|c| c.pointer("/steer/kind"))
        .and_then(Value::as_str);
    if steer == Some("cluster_header") {
        note("fail-open-cluster-header", path, "with steer.kind cluster_header a bypassed plugin lets the client's own header choose the cluster".to_owned());
    }
}

fn check_numbers(value: Option<&Value>, path: &str, note: &mut Note<'_>) {
    match value {
        Some(Value::Number(number)) if number.as_f64().is_some_and(|n| n.abs() > MAX_EXACT) => {
            note(
                "number-precision",
                path.to_owned(),
                format!("{number} is not carried exactly: Istio passes numbers as doubles"),
            );
        }
        Some(Value::Array(items)) => items
            .iter()
            .enumerate()
            .for_each(|(i, v)| check_numbers(Some(v), &format!("{path}[{i}]"), note)),
        Some(Value::Object(map)) => map
            .iter()
            .for_each(|(k, v)| check_numbers(Some(v), &format!("{path}.{k}"), note)),
        _ => {}
    }
}
