//! One Envoy with a listener for each variant.

use anyhow::Result;
use launchgate_harness::envoy::{Bootstrap, Plugin};
use serde_json::{Value, json};

use super::variant::{Filter, Variant};

/// Variants to be listened for.
pub(crate) struct Gateway<'a>(&'a [Variant]);

impl<'a> Gateway<'a> {
    /// One listener each.
    pub(crate) fn new(variants: &'a [Variant]) -> Self {
        Self(variants)
    }

    /// The bootstrap.
    pub(crate) fn bootstrap(&self) -> Result<Bootstrap> {
        let mut bootstrap = Bootstrap::empty();
        for variant in self.0 {
            let plugins: Vec<Plugin> = variant
                .filters
                .iter()
                .filter_map(|filter| {
                    if let Filter::Wasm(plugin) = filter {
                        Some(plugin.clone())
                    } else {
                        None
                    }
                })
                .collect();
            bootstrap = bootstrap
                .listener(&variant.name, &plugins)
                .edit(|document| finish(document, variant));
        }
        Ok(bootstrap)
    }
}

/// Direct responses, and the filters that are no plugins, before the router.
fn finish(document: &mut Value, variant: &Variant) {
    let Some(listener) = document["static_resources"]["listeners"]
        .as_array_mut()
        .and_then(|listeners| listeners.last_mut())
    else {
        return;
    };
    let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    manager["route_config"]["virtual_hosts"][0]["routes"] = json!([
        {"match": {"path": "/fails"}, "direct_response": {"status": 500, "body": {"inline_string": "no\n"}}},
        {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok\n"}}},
    ]);
    manager["route_config"]["virtual_hosts"][0]["response_headers_to_add"] =
        json!([{"header": {"key": "x-powered-by", "value": "service"}}]);
    // Each run is one connection a client: keep it.
    manager["common_http_protocol_options"] = json!({"idle_timeout": "600s"});
    if let Some(logger) = &variant.access_log {
        manager["access_log"] = logger.clone();
    }
    if let Some(filters) = manager["http_filters"].as_array_mut() {
        let native = variant.filters.iter().filter_map(|filter| {
            if let Filter::Native(filter) = filter {
                Some(filter.clone())
            } else {
                None
            }
        });
        let router = filters.len().saturating_sub(1);
        filters.splice(router..router, native);
    }
}
