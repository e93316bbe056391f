//! Envoy routes from Istio's `VirtualService`. A field that is not understood is an error: a rendering that leaves out a
//! rule would test something else than what runs.

use serde_json::{Map, Value, json};

use crate::manifest::Manifest;

/// A virtual host: its domains and its routes.
pub(crate) fn virtual_hosts(manifest: &Manifest) -> Result<Vec<Value>, String> {
    let spec = &manifest.value["spec"];
    let mut routes = Vec::new();
    for (index, rule) in items(&spec["http"]).enumerate() {
        routes.extend(rule_routes(rule).map_err(|e| format!("{manifest}: spec.http[{index}]{e}"))?);
    }
    if spec.get("tcp").is_some() || spec.get("tls").is_some() {
        return Err(format!(
            "{manifest}: spec: tcp and tls routes are not rendered"
        ));
    }
    let domains: Vec<_> = items(&spec["hosts"])
        .filter_map(Value::as_str)
        .flat_map(domains_of)
        .collect();
    Ok(vec![
        json!({"name": format!("{}/{}", manifest.namespace(), manifest.name()), "domains": domains, "routes": routes}),
    ])
}

/// `host` and `host:*`, as Istio does.
pub(crate) fn domains_of(host: &str) -> Vec<String> {
    match host {
        "*" => vec!["*".to_owned()],
        host => vec![host.to_owned(), format!("{host}:*")],
    }
}

/// Istio's name of a cluster.
pub(crate) fn cluster_name(destination: &Value) -> Result<String, String> {
    let host = destination["host"]
        .as_str()
        .ok_or(".destination.host: missing")?;
    let port = destination["port"]["number"]
        .as_u64()
        .ok_or(".destination.port.number: missing, it cannot be guessed here")?;
    Ok(format!(
        "outbound|{port}|{}|{host}",
        destination["subset"].as_str().unwrap_or_default()
    ))
}

fn rule_routes(rule: &Value) -> Result<Vec<Value>, String> {
    const KNOWN: [&str; 8] = [
        "name",
        "match",
        "route",
        "redirect",
        "directResponse",
        "timeout",
        "retries",
        "headers",
    ];
    if let Some(key) = keys(rule).find(|k| !KNOWN.contains(k)) {
        return Err(format!(".{key}: not rendered"));
    }
    let everything = vec![json!({})];
    let matches = rule["match"]
        .as_array()
        .filter(|m| !m.is_empty())
        .unwrap_or(&everything);
    matches
        .iter()
        .map(|one| route(rule, matcher(one)?))
        .collect()
}

fn route(rule: &Value, matcher: Value) -> Result<Value, String> {
    let mut route = json!({"match": matcher});
    if let Some(name) = rule["name"].as_str() {
        route["name"] = Value::from(name);
    }
    if let Some(reply) = rule.get("directResponse") {
        route["direct_response"] = json!({"status": reply["status"], "body": {"inline_string": reply["body"]["string"].as_str().unwrap_or_default()}});
        return Ok(route);
    }
    if let Some(redirect) = rule.get("redirect") {
        route["redirect"] = redirect_action(redirect)?;
        return Ok(route);
    }
    let mut action = destinations(&rule["route"], &mut route)?;
    if let Some(timeout) = rule["timeout"].as_str() {
        action["timeout"] = Value::from(timeout);
    }
    if rule["retries"].is_object() {
        action["retry_policy"] = retries(&rule["retries"])?;
    }
    route["route"] = action;
    merge_headers(&rule["headers"], &mut route);
    Ok(route)
}

fn destinations(routes: &Value, route: &mut Value) -> Result<Value, String> {
    match routes.as_array().map(Vec::as_slice) {
        Some([only]) => {
            merge_headers(&only["headers"], route);
            Ok(json!({"cluster": cluster_name(&only["destination"])?}))
        }
        Some([]) | None => Err(".route: missing".to_owned()),
        Some(several) => {
            let weighted = several.iter().map(|one| {
                let mut cluster = json!({"name": cluster_name(&one["destination"])?, "weight": one["weight"].as_u64().unwrap_or(0)});
                merge_headers(&one["headers"], &mut cluster);
                Ok(cluster)
            });
            Ok(
                json!({"weighted_clusters": {"clusters": weighted.collect::<Result<Vec<_>, String>>()?}}),
            )
        }
    }
}

fn redirect_action(redirect: &Value) -> Result<Value, String> {
    const KNOWN: [(&str, &str); 5] = [
        ("uri", "path_redirect"),
        ("prefixRewrite", "prefix_rewrite"),
        ("authority", "host_redirect"),
        ("scheme", "scheme_redirect"),
        ("port", "port_redirect"),
    ];
    let mut action = Map::new();
    for (key, value) in redirect.as_object().into_iter().flatten() {
        if key == "redirectCode" {
            action.insert(
                "response_code".to_owned(),
                Value::from(response_code(value)?),
            );
        } else if let Some((_, field)) = KNOWN.iter().find(|(known, _)| known == key) {
            action.insert((*field).to_owned(), value.clone());
        } else {
            return Err(format!(".redirect.{key}: not rendered"));
        }
    }
    Ok(Value::from(action))
}

fn response_code(code: &Value) -> Result<&'static str, String> {
    match code.as_u64() {
        Some(301) => Ok("MOVED_PERMANENTLY"),
        Some(302) => Ok("FOUND"),
        Some(303) => Ok("SEE_OTHER"),
        Some(307) => Ok("TEMPORARY_REDIRECT"),
        Some(308) => Ok("PERMANENT_REDIRECT"),
        _ => Err(format!(
            ".redirect.redirectCode: {code}, expected 301, 302, 303, 307 or 308"
        )),
    }
}

fn retries(retries: &Value) -> Result<Value, String> {
    let mut policy = Map::new();
    for (key, value) in retries.as_object().into_iter().flatten() {
        let field = match key.as_str() {
            "attempts" => "num_retries",
            "perTryTimeout" => "per_try_timeout",
            "retryOn" => "retry_on",
            _ => return Err(format!(".retries.{key}: not rendered")),
        };
        policy.insert(field.to_owned(), value.clone());
    }
    Ok(Value::from(policy))
}

/// Istio's header operations as Envoy's, added to what is there.
fn merge_headers(headers: &Value, into: &mut Value) {
    for direction in ["request", "response"] {
        let operations = &headers[direction];
        let mut add = Vec::new();
        for (verb, action) in [
            ("set", "OVERWRITE_IF_EXISTS_OR_ADD"),
            ("add", "APPEND_IF_EXISTS_OR_ADD"),
        ] {
            let pairs = operations[verb].as_object().into_iter().flatten();
            add.extend(pairs.map(|(key, value)| json!({"header": {"key": key, "value": value}, "append_action": action})));
        }
        if !add.is_empty() {
            into[format!("{direction}_headers_to_add")] = Value::from(add);
        }
        if operations["remove"].is_array() {
            into[format!("{direction}_headers_to_remove")] = operations["remove"].clone();
        }
    }
}

fn matcher(condition: &Value) -> Result<Value, String> {
    let mut matcher = json!({});
    let mut headers = Vec::new();
    for (key, value) in condition.as_object().into_iter().flatten() {
        match key.as_str() {
            "name" | "gateways" => {}
            "uri" => path_match(value, &mut matcher)?,
            "method" => headers.push(header_match(":method", value)?),
            "authority" => headers.push(header_match(":authority", value)?),
            "headers" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    headers.push(header_match(name, value)?);
                }
            }
            "withoutHeaders" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    let mut one = header_match(name, value)?;
                    one["invert_match"] = Value::Bool(true);
                    headers.push(one);
                }
            }
            _ => return Err(format!(".match.{key}: not rendered")),
        }
    }
    if matcher.as_object().is_some_and(Map::is_empty) {
        matcher["prefix"] = Value::from("/");
    }
    if !headers.is_empty() {
        matcher["headers"] = Value::from(headers);
    }
    Ok(matcher)
}

fn path_match(condition: &Value, matcher: &mut Value) -> Result<(), String> {
    match one_of(condition) {
        Some(("exact", path)) => matcher["path"] = path.clone(),
        Some(("prefix", path)) => matcher["prefix"] = path.clone(),
        Some(("regex", pattern)) => matcher["safe_regex"] = json!({"regex": pattern}),
        _ => return Err(".match.uri: expected one of exact, prefix and regex".to_owned()),
    }
    Ok(())
}

fn header_match(name: &str, condition: &Value) -> Result<Value, String> {
    match one_of(condition) {
        None => Ok(json!({"name": name, "present_match": true})),
        Some((kind @ ("exact" | "prefix"), text)) => {
            Ok(json!({"name": name, "string_match": {kind: text}}))
        }
        Some(("regex", pattern)) => {
            Ok(json!({"name": name, "string_match": {"safe_regex": {"regex": pattern}}}))
        }
        Some((kind, _)) => Err(format!(".match.headers.{name}.{kind}: not rendered")),
    }
}

fn one_of(condition: &Value) -> Option<(&str, &Value)> {
    condition
        .as_object()?
        .iter()
        .next()
        .map(|(k, v)| (k.as_str(), v))
}

fn keys(value: &Value) -> impl Iterator<Item = &str> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, _)| k.as_str())
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
