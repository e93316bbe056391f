//! Variables in strings: `${NAME}`, `${NAME:-default}`, `${sealed:…}` (see [`sealed`]), and `$${` for a literal `${`.
//!
//! 1. They are resolved from the VM's environment (Envoy `environment_variables`, Istio `vmConfig.env`).
//! 2. A variable without value and default is an error that names it. A default stands also for an empty variable, as in
//!    a shell.
//! 3. Keys are never resolved.

use crate::json_tree::{Object, Value};

use super::{ConfigErrors, Environment, sealed};

/// Resolves all strings of a tree.
pub(super) fn resolve(
    value: &Value,
    environment: &Environment,
    errors: &mut ConfigErrors,
) -> Value {
    walk(value, "", environment, errors)
}

fn walk(value: &Value, path: &str, environment: &Environment, errors: &mut ConfigErrors) -> Value {
    match value {
        Value::String(text) if text.contains("${") => match expand(text, environment) {
            Ok(text) => Value::String(text),
            Err(expected) => {
                errors.push(path, expected);
                Value::Null
            }
        },
        Value::Array(values) => {
            let resolve =
                |(index, value)| walk(value, &format!("{path}[{index}]"), environment, errors);
            Value::Array(values.iter().enumerate().map(resolve).collect())
        }
        Value::Object(object) => {
            let mut resolved = Object::new();
            for (key, value) in object {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                resolved.insert(key.clone(), walk(value, &path, environment, errors));
            }
            Value::Object(resolved)
        }
        other => other.clone(),
    }
}

fn expand(text: &str, environment: &Environment) -> Result<String, String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            result.push_str(before);
            result.push_str("${");
            rest = after;
            continue;
        }
        result.push_str(before);
        let Some((inner, after)) = after.split_once('}') else {
            return Err(
                "expected a closing \"}\" after \"${\"; \"$${\" is a literal \"${\"".to_owned(),
            );
        };
        result.push_str(&variable(inner, environment)?);
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

fn variable(inner: &str, environment: &Environment) -> Result<String, String> {
    if let Some(text) = inner.strip_prefix("sealed:") {
        return sealed::open(
            text,
            environment.get(sealed::KEY_VARIABLE).map(String::as_str),
        );
    }
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let first_is_letter = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if !first_is_letter
        || !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        return Err("expected a variable as \"${NAME}\" or \"${NAME:-default}\" with a name of letters, digits and \"_\"".to_owned());
    }
    match (environment.get(name), default) {
        (Some(value), None) => Ok(value.clone()),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value.clone()),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!(
            "expected the variable {name} in the environment of the VM, where it is missing"
        )),
    }
}
