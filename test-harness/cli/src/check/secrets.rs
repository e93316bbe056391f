//! Secrets in manifests: whoever may read the resource reads them, so they come from the proxy's environment.
//!
//! 1. A variable whose name says secret has `valueFrom: HOST`.
//! 2. A secret field of a plugin's config is `${NAME}`, `${NAME:-}` or sealed; never a literal, and no default with text.
//! 3. Every `${NAME}` without a default is a variable of the extension, so that no gateway refuses the config at load.

use serde_json::Value;

use crate::extension::Extension;

const SECRET_NAMES: [&str; 7] = [
    "SECRET",
    "TOKEN",
    "DSN",
    "PASSWORD",
    "WEBHOOK",
    "CREDENTIAL",
    "_KEY",
];
const SECRET_FIELDS: [&str; 6] = [
    "dsn",
    "token",
    "secret",
    "hmac_key",
    "password",
    "authorization",
];

type Note<'a> = dyn FnMut(&'static str, String, String) + 'a;

/// Adds what is found; a finding names the field, never its value.
pub(crate) fn check(extension: &Extension, note: &mut Note<'_>) {
    let path = extension.field_path("vmConfig.env", "env.hostKeys");
    for (index, variable) in extension.variables.iter().enumerate() {
        let secret = SECRET_NAMES
            .iter()
            .any(|s| variable.name.to_ascii_uppercase().contains(s));
        if secret
            && variable
                .value
                .as_ref()
                .is_some_and(|v| !v.is_empty() && !is_sealed(v))
        {
            note(
                "inline-secret",
                format!("{path}[{index}]"),
                format!(
                    "{} is given INLINE: use valueFrom HOST and a Kubernetes Secret",
                    variable.name
                ),
            );
        }
    }
    if let Some(config) = &extension.config {
        visit(extension, config, "", &extension.config_path(), note);
    }
}

fn visit(extension: &Extension, value: &Value, field: &str, path: &str, note: &mut Note<'_>) {
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(k, v)| visit(extension, v, k, &format!("{path}.{k}"), note)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(i, v)| visit(extension, v, field, &format!("{path}[{i}]"), note)),
        Value::String(text) => {
            if is_secret_field(field, path) && !text.is_empty() && !is_reference(text) {
                note(
                    "inline-secret",
                    path.to_owned(),
                    "a literal secret: use ${NAME} with a variable from the proxy's environment"
                        .to_owned(),
                );
            }
            for name in required_variables(text) {
                if !extension.variables.iter().any(|v| v.name == name) {
                    let env = extension.field_path("vmConfig.env", "env.hostKeys");
                    note(
                        "missing-variable",
                        path.to_owned(),
                        format!("${{{name}}} has no default and {name} is not in {env}"),
                    );
                }
            }
        }
        _ => {}
    }
}

/// A notifier's URL holds its token (Slack's webhooks). Under `redact` names are what to hide, not what is hidden.
fn is_secret_field(field: &str, path: &str) -> bool {
    if path.contains(".redact.") {
        return false;
    }
    SECRET_FIELDS.contains(&field.to_ascii_lowercase().as_str())
        || (field == "url" && path.contains(".notifiers."))
}

/// One reference and nothing else, without a default that has text.
fn is_reference(text: &str) -> bool {
    let Some(inner) = text.strip_prefix("${").and_then(|t| t.strip_suffix('}')) else {
        return false;
    };
    is_sealed(text)
        || inner
            .split_once(":-")
            .is_none_or(|(_, default)| default.is_empty())
}

fn is_sealed(text: &str) -> bool {
    text.starts_with("${sealed:")
}

/// Names of `${NAME}` that have no default; `$${` is a literal.
fn required_variables(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let literal = rest
            .get(..start)
            .is_some_and(|before| before.ends_with('$'));
        let Some(after) = rest.get(start + 2..) else {
            break;
        };
        let Some(end) = after.find('}') else { break };
        let inner = after.get(..end).unwrap_or_default();
        if !literal && !inner.contains(":-") && !inner.starts_with("sealed:") {
            names.push(inner);
        }
        rest = after.get(end..).unwrap_or_default();
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_reference_is_no_literal() {
        for (text, expected) in [
            ("${SENTRY_DSN}", true),
            ("${TOKEN:-}", true),
            ("${TOKEN:-hunter2}", false),
            ("hunter2", false),
            ("Bearer ${TOKEN}", false),
            ("${sealed:v1.AAAA}", true),
        ] {
            assert_eq!(is_reference(text), expected, "{text}");
        }
    }

    #[test]
    fn a_name_with_default_or_a_literal_dollar_needs_no_variable() {
        assert_eq!(required_variables("${A} ${B:-x} $${C} ${D}"), ["A", "D"]);
        assert!(required_variables("${open").is_empty());
    }
}
