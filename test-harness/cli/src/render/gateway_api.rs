//! Envoy routes from the Gateway API's `HTTPRoute`, with Envoy Gateway's cluster names and order: the more specific match
//! first, whatever the order in the file.

use std::cmp::Reverse;

use serde_json::{Value, json};

use super::route::domains_of;
use crate::manifest::Manifest;

/// The virtual host of a route; `filters` are switched on for every one of its routes.
pub(crate) fn virtual_host(manifest: &Manifest, filters: &[String]) -> Result<Value, String> {
    let spec = &manifest.value["spec"];
    let mut routes = Vec::new();
    for (index, rule) in items(&spec["rules"]).enumerate() {
        let cluster = cluster_name(manifest, index);
        let everything = vec![json!({})];
        let matches = rule["matches"]
            .as_array()
            .filter(|m| !m.is_empty())
            .unwrap_or(&everything);
        for one in matches {
            let route = route(rule, one, &cluster, filters)
                .map_err(|e| format!("{manifest}: spec.rules[{index}]{e}"))?;
            routes.push((specificity(one), route));
        }
    }
    routes.sort_by_key(|(specificity, _)| Reverse(*specificity));
    let routes: Vec<_> = routes.into_iter().map(|(_, route)| route).collect();
    let hosts: Vec<_> = items(&spec["hostnames"])
        .filter_map(Value::as_str)
        .flat_map(domains_of)
        .collect();
    let domains = if hosts.is_empty() {
        vec!["*".to_owned()]
    } else {
        hosts
    };
    Ok(
        json!({"name": format!("{}/{}", manifest.namespace(), manifest.name()), "domains": domains, "routes": routes}),
    )
}

/// The clusters of a route and the service host and port behind each.
pub(crate) fn clusters(manifest: &Manifest) -> Vec<(String, Vec<(String, u16)>)> {
    let backend = |reference: &Value| {
        let namespace = reference["namespace"]
            .as_str()
            .unwrap_or(manifest.namespace());
        let host = format!(
            "{}.{namespace}.svc.cluster.local",
            reference["name"].as_str()?
        );
        Some((host, u16::try_from(reference["port"].as_u64()?).ok()?))
    };
    let rules = items(&manifest.value["spec"]["rules"]).enumerate();
    rules
        .map(|(i, rule)| {
            (
                cluster_name(manifest, i),
                items(&rule["backendRefs"]).filter_map(backend).collect(),
            )
        })
        .collect()
}

fn cluster_name(manifest: &Manifest, rule: usize) -> String {
    format!(
        "httproute/{}/{}/rule/{rule}",
        manifest.namespace(),
        manifest.name()
    )
}

/// Exact path, length of the prefix, method, number of headers, number of query parameters: the Gateway API's precedence.
fn specificity(condition: &Value) -> (bool, usize, bool, usize, usize) {
    let path = &condition["path"];
    (
        path["type"] == "Exact",
        path["value"].as_str().map_or(1, str::len),
        condition.get("method").is_some(),
        items(&condition["headers"]).count(),
        items(&condition["queryParams"]).count(),
    )
}

fn route(
    rule: &Value,
    condition: &Value,
    cluster: &str,
    filters: &[String],
) -> Result<Value, String> {
    let mut route = json!({"match": matcher(condition)?, "route": {"cluster": cluster}});
    if let Some(timeout) = rule["timeouts"]["request"].as_str() {
        route["route"]["timeout"] = Value::from(timeout);
    }
    for filter in items(&rule["filters"]) {
        apply(filter, &mut route)?;
    }
    for name in filters {
        route["typed_per_filter_config"][name] = json!({"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}});
    }
    Ok(route)
}

fn apply(filter: &Value, route: &mut Value) -> Result<(), String> {
    let (direction, operations) = match filter["type"].as_str() {
        Some("RequestHeaderModifier") => ("request", &filter["requestHeaderModifier"]),
        Some("ResponseHeaderModifier") => ("response", &filter["responseHeaderModifier"]),
        other => {
            return Err(format!(
                ".filters: {} is not rendered",
                other.unwrap_or("a filter without type")
            ));
        }
    };
    if operations["remove"].is_array() {
        route[format!("{direction}_headers_to_remove")] = operations["remove"].clone();
    }
    let mut add = Vec::new();
    for (verb, action) in [
        ("set", "OVERWRITE_IF_EXISTS_OR_ADD"),
        ("add", "APPEND_IF_EXISTS_OR_ADD"),
    ] {
        add.extend(items(&operations[verb]).map(
            |h| json!({"header": {"key": h["name"], "value": h["value"]}, "append_action": action}),
        ));
    }
    if !add.is_empty() {
        route[format!("{direction}_headers_to_add")] = Value::from(add);
    }
    Ok(())
}

fn matcher(condition: &Value) -> Result<Value, String> {
    let path = &condition["path"];
    let value = path["value"].as_str().unwrap_or("/");
    let mut matcher = match path["type"].as_str().unwrap_or("PathPrefix") {
        "Exact" => json!({"path": value}),
        "PathPrefix" if value == "/" => json!({"prefix": "/"}),
        "PathPrefix" => json!({"path_separated_prefix": value.trim_end_matches('/')}),
        "RegularExpression" => json!({"safe_regex": {"regex": value}}),
        other => return Err(format!(".matches.path.type: {other:?} is not rendered")),
    };
    let mut headers: Vec<_> = items(&condition["headers"]).map(header).collect();
    if let Some(method) = condition["method"].as_str() {
        headers.push(json!({"name": ":method", "string_match": {"exact": method}}));
    }
    if !headers.is_empty() {
        matcher["headers"] = Value::from(headers);
    }
    if condition.get("queryParams").is_some() {
        return Err(".matches.queryParams: not rendered".to_owned());
    }
    Ok(matcher)
}

fn header(condition: &Value) -> Value {
    if condition["type"] == "RegularExpression" {
        return json!({"name": condition["name"], "string_match": {"safe_regex": {"regex": condition["value"]}}});
    }
    json!({"name": condition["name"], "string_match": {"exact": condition["value"]}})
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
