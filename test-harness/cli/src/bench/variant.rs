//! What is compared.

use std::path::{Path, PathBuf};

use launchgate_harness::envoy::{Plugin, Request, built_module, workspace};
use serde_json::{Value, json};

/// The plugins in the order of a chain.
pub(crate) const PLUGINS: [&str; 6] =
    ["metrics", "access-log", "errors", "tls", "health", "canary"];

/// One filter of a listener.
#[derive(Clone)]
pub(crate) enum Filter {
    /// A wasm plugin.
    Wasm(Plugin),
    /// A filter of Envoy's own, as it stands in the bootstrap.
    Native(Value),
}

/// A listener with filters, and the request that is sent to it.
#[derive(Clone)]
pub(crate) struct Variant {
    /// Name of the listener and of the row.
    pub(crate) name: String,
    /// Filters in order.
    pub(crate) filters: Vec<Filter>,
    /// Envoy's access logger, where it is what is measured.
    pub(crate) access_log: Option<Value>,
    /// Path of what is sent.
    pub(crate) path: &'static str,
    /// Headers of what is sent.
    pub(crate) headers: Vec<(String, String)>,
}

impl Variant {
    /// What is sent.
    pub(crate) fn request(&self) -> Request {
        let request = Request::get(self.path).host("shop.example.org");
        self.headers.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    }
}

/// All variants, and the names of those that could not be made, with the reason.
pub(crate) fn all(empty: &Path) -> (Vec<Variant>, Vec<String>) {
    let mut missing = Vec::new();
    let mut variants = vec![
        variant("no filter", Vec::new(), ORDINARY),
        variant(
            "empty filter",
            vec![Filter::Wasm(Plugin::new("empty", empty))],
            ORDINARY,
        ),
    ];
    let mut chain = Some(Vec::new());
    for name in PLUGINS {
        match (built_module(name), config(name)) {
            (Ok(module), Ok(acting)) => {
                let plugin =
                    |config: &Value| Filter::Wasm(Plugin::new(name, &module).config(config));
                // No health path, no failure: these two have nothing to do with an ordinary request.
                let passing = if matches!(name, "health" | "errors") {
                    acting.clone()
                } else {
                    out_of_scope(&acting)
                };
                variants.push(variant(
                    &format!("{name}, passing"),
                    vec![plugin(&passing)],
                    ORDINARY,
                ));
                variants.push(variant(
                    &format!("{name}, acting"),
                    vec![plugin(&acting)],
                    acted_on(name),
                ));
                chain
                    .iter_mut()
                    .for_each(|chain| chain.push(plugin(&acting)));
            }
            (Err(error), _) | (_, Err(error)) => {
                missing.push(format!("{name}: {error:#}"));
                chain = None;
            }
        }
    }
    variants.extend(chain.map(|chain| variant("chain of six", chain, ORDINARY)));
    match built_module("suite").and_then(|module| Ok((module, sections()?))) {
        Ok((module, sections)) => {
            let plugin =
                |config: &Value| Filter::Wasm(Plugin::new("suite", &module).config(config));
            variants.push(variant(
                "suite, passing",
                vec![plugin(&out_of_scope(&sections))],
                ORDINARY,
            ));
            variants.push(variant("suite", vec![plugin(&sections)], ORDINARY));
            variants.push(variant(
                LUAS_RECORD,
                vec![plugin(&with_luas_record(&sections))],
                ORDINARY,
            ));
        }
        Err(error) => missing.push(format!("suite: {error:#}")),
    }
    variants.extend(alternatives());
    (variants, missing)
}

fn variant(name: &str, filters: Vec<Filter>, path: &'static str) -> Variant {
    Variant {
        name: name.to_owned(),
        filters,
        access_log: None,
        path,
        headers: usual_headers(),
    }
}

/// The configuration in `bench/config`.
pub(crate) fn config(plugin: &str) -> anyhow::Result<Value> {
    let path = workspace().join(format!("bench/config/{plugin}.json"));
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// The configurations of all plugins as sections of the suite's.
pub(crate) fn sections() -> anyhow::Result<Value> {
    let mut sections = json!({});
    for name in PLUGINS {
        sections[name.replace('-', "_")] = config(name)?;
    }
    Ok(sections)
}

/// The same plugin on a gateway that it shares with others.
fn out_of_scope(config: &Value) -> Value {
    let mut config = config.clone();
    config["scope"] = json!({"hosts": ["*.another.example"]});
    config
}

/// The suite, with a record of what the Lua filter's has.
pub(crate) const LUAS_RECORD: &str = "suite, Lua's record";

/// Without the fields that Envoy is asked for one by one, none of which the Lua filter writes.
fn with_luas_record(sections: &Value) -> Value {
    let mut sections = sections.clone();
    sections["access_log"]["omit"] = json!([
        "http_version",
        "request_bytes",
        "response_bytes",
        "route",
        "upstream_cluster",
        "upstream_address",
        "attempts",
        "response_code_details",
        "client_ip",
        "client_ip_claimed",
    ]);
    sections
}

/// Lua filters that do the same, and Envoy's own.
fn alternatives() -> Vec<Variant> {
    let mut variants = Vec::new();
    for name in PLUGINS {
        variants.push(variant(
            &format!("Lua: {name}"),
            vec![lua(name)],
            acted_on(name),
        ));
    }
    variants.push(variant(
        "Lua: chain of six",
        PLUGINS.into_iter().map(lua).collect(),
        ORDINARY,
    ));
    variants.push(variant(
        "Envoy: health_check",
        vec![health_check()],
        acted_on("health"),
    ));
    variants.push(variant(
        "Envoy: header_mutation",
        vec![header_mutation()],
        ORDINARY,
    ));
    let mut logger = variant("Envoy: JSON access log", Vec::new(), ORDINARY);
    logger.access_log = Some(access_log());
    variants.push(logger);
    variants
}

fn lua(name: &str) -> Filter {
    let script: PathBuf = workspace().join(format!("bench/lua/{}.lua", name.replace('-', "_")));
    Filter::Native(json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"filename": script},
        },
    }))
}

fn health_check() -> Filter {
    Filter::Native(json!({
        "name": "envoy.filters.http.health_check",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck",
            "pass_through_mode": false,
            "headers": [{"name": ":path", "string_match": {"exact": "/healthz"}}],
        },
    }))
}

fn header_mutation() -> Filter {
    let append = |name: &str, value: &str| json!({"append": {"header": {"key": name, "value": value}, "append_action": "ADD_IF_ABSENT"}});
    let remove = |name: &str| json!({"remove": name});
    Filter::Native(json!({
        "name": "envoy.filters.http.header_mutation",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": {"response_mutations": [
                append("content-security-policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
                append("x-content-type-options", "nosniff"),
                append("x-frame-options", "DENY"),
                append("referrer-policy", "no-referrer"),
                append("cross-origin-resource-policy", "same-origin"),
                remove("x-powered-by"),
                remove("x-envoy-upstream-service-time"),
            ]},
        },
    }))
}

fn access_log() -> Value {
    json!([{
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": "/dev/null",
            "log_format": {"json_format": {
                "timestamp": "%START_TIME%", "method": "%REQ(:METHOD)%", "path": "%REQ(:PATH)%", "host": "%REQ(:AUTHORITY)%",
                "status": "%RESPONSE_CODE%", "duration_ms": "%DURATION%", "user_agent": "%REQ(USER-AGENT)%", "request_id": "%REQ(X-REQUEST-ID)%",
                "trace": "%REQ(TRACEPARENT)%", "peer": "%DOWNSTREAM_REMOTE_ADDRESS%", "flags": "%RESPONSE_FLAGS%",
            }},
        },
    }])
}

/// What a client usually sends.
pub(crate) fn usual_headers() -> Vec<(String, String)> {
    [
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/145.0",
        ),
        ("accept", "application/json"),
        ("accept-language", "en"),
        ("cookie", "session=0123456789abcdef; theme=dark"),
        ("x-user-id", "user-4711"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// A path that nothing is special about.
pub(crate) const ORDINARY: &str = "/users/42";

/// The path of a request that a plugin does its work on.
fn acted_on(plugin: &str) -> &'static str {
    match plugin {
        "health" => "/healthz",
        "errors" => "/fails",
        "access-log" => "/users/42?token=secret&page=2",
        _ => ORDINARY,
    }
}
