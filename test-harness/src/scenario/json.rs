//! Statements about one value inside a JSON document.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::matcher::{Mismatch, Pattern};

/// What a JSON value must be.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum JsonRule {
    /// All of these statements.
    Detail(Box<JsonDetail>),
    /// A mapping in which these keys are so; others may be anything.
    Fields(BTreeMap<String, JsonRule>),
    /// Equal to this; `null` is null or absent.
    Equals(Value),
}

/// Statements about a JSON value; all must hold.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JsonDetail {
    /// Equal to this, whole.
    #[serde(alias = "json_equals")]
    pub equals: Option<Value>,
    /// There, and not this.
    pub not: Option<Value>,
    /// Text that does not contain this.
    pub lacks: Option<String>,
    /// Text that this regular expression matches.
    pub matches: Option<Pattern>,
    /// Text that contains this, or a list that contains this value.
    pub contains: Option<Value>,
    /// `true`: there; `false`: not there.
    pub present: Option<bool>,
    /// A number, at least.
    pub min: Option<f64>,
    /// A number, at most.
    pub max: Option<f64>,
    /// Length of a list, a text (characters) or a mapping.
    pub length: Option<usize>,
    /// `string`, `number`, `boolean`, `array`, `object` or `null`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

impl<'de> Deserialize<'de> for JsonRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const WORDS: [&str; 11] = [
            "equals",
            "json_equals",
            "not",
            "lacks",
            "matches",
            "contains",
            "present",
            "min",
            "max",
            "length",
            "type",
        ];
        let value = Value::deserialize(deserializer)?;
        let Value::Object(map) = &value else {
            return Ok(JsonRule::Equals(value));
        };
        if map.is_empty() {
            return Ok(JsonRule::Equals(value));
        }
        if map.keys().all(|key| WORDS.contains(&key.as_str())) {
            let detail: JsonDetail =
                serde_json::from_value(value).map_err(serde::de::Error::custom)?;
            return Ok(JsonRule::Detail(Box::new(detail)));
        }
        let fields: BTreeMap<String, JsonRule> =
            serde_json::from_value(value).map_err(serde::de::Error::custom)?;
        Ok(JsonRule::Fields(fields))
    }
}

impl JsonRule {
    /// Checks the value at a path.
    pub fn check(&self, found: Option<&Value>) -> Result<(), Mismatch> {
        let got = found.map_or_else(|| "absent".to_owned(), Value::to_string);
        let fail = |expected: String| {
            Err(Mismatch {
                expected,
                got: got.clone(),
            })
        };
        match self {
            JsonRule::Equals(Value::Null) if found.is_none() => Ok(()),
            JsonRule::Equals(expected) if found == Some(expected) => Ok(()),
            JsonRule::Equals(expected) => fail(expected.to_string()),
            JsonRule::Fields(fields) => match found {
                Some(Value::Object(map)) => fields.iter().try_for_each(|(key, rule)| {
                    rule.check(map.get(key))
                        .map_err(|mismatch| mismatch.at(key))
                }),
                _ => fail("a mapping".to_owned()),
            },
            JsonRule::Detail(detail) => match detail.broken(found) {
                Some(expected) => fail(expected),
                None => Ok(()),
            },
        }
    }
}

impl JsonDetail {
    fn broken(&self, found: Option<&Value>) -> Option<String> {
        if self.present == Some(false) {
            return found.map(|_| "absent".to_owned());
        }
        let Some(value) = found else {
            return Some("present".to_owned());
        };
        let text = value.as_str().unwrap_or_default();
        if let Some(expected) = self.equals.as_ref().filter(|expected| *expected != value) {
            return Some(expected.to_string());
        }
        if let Some(unwanted) = self.not.as_ref().filter(|unwanted| *unwanted == value) {
            return Some(format!("anything but {unwanted}"));
        }
        if let Some(part) = self
            .lacks
            .as_ref()
            .filter(|part| text.contains(part.as_str()))
        {
            return Some(format!("text without {part}"));
        }
        if self
            .matches
            .as_ref()
            .is_some_and(|p| !value.is_string() || !p.is_match(text.as_bytes()))
        {
            return Some(format!("text matching {:?}", self.matches));
        }
        if let Some(part) = &self.contains {
            let holds = match value {
                Value::Array(list) => list.contains(part),
                Value::Object(map) => part.as_str().is_some_and(|key| map.contains_key(key)),
                _ => part.as_str().is_some_and(|part| text.contains(part)),
            };
            if !holds {
                return Some(format!("containing {part}"));
            }
        }
        if let Some(min) = self
            .min
            .filter(|min| value.as_f64().is_none_or(|n| n < *min))
        {
            return Some(format!("at least {min}"));
        }
        if let Some(max) = self
            .max
            .filter(|max| value.as_f64().is_none_or(|n| n > *max))
        {
            return Some(format!("at most {max}"));
        }
        if let Some(length) = self.length.filter(|length| len(value) != *length) {
            return Some(format!("length {length}"));
        }
        self.kind
            .as_ref()
            .filter(|kind| kind_of(value) != kind.as_str())
            .cloned()
    }
}

/// The value at a path: `a.b.0`, or a JSON pointer `/a/b/0` where a key holds a dot. The empty path is the document.
pub fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() || path.starts_with('/') {
        return value.pointer(path);
    }
    path.split('.').try_fold(value, |value, key| match value {
        Value::Array(list) => key.parse::<usize>().ok().and_then(|index| list.get(index)),
        other => other.get(key),
    })
}

fn len(value: &Value) -> usize {
    match value {
        Value::Array(list) => list.len(),
        Value::Object(map) => map.len(),
        Value::String(text) => text.chars().count(),
        _ => 0,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(rule: Value, found: Option<Value>) -> bool {
        serde_json::from_value::<JsonRule>(rule)
            .unwrap()
            .check(found.as_ref())
            .is_ok()
    }

    #[test]
    fn a_mapping_states_some_fields_and_equals_states_all() {
        let both = Some(json!({"a": 1, "b": {"c": "x"}}));
        assert!(holds(json!({"b": {"c": "x"}}), both.clone()));
        assert!(!holds(json!({"b": {"c": "y"}}), both.clone()));
        assert!(!holds(json!({"equals": {"a": 1}}), both.clone()));
        assert!(holds(
            json!({"json_equals": {"a": 1, "b": {"c": "x"}}}),
            both
        ));
    }

    #[test]
    fn null_is_null_or_absent() {
        assert!(holds(json!(null), None));
        assert!(holds(json!(null), Some(json!(null))));
        assert!(!holds(json!(null), Some(json!(0))));
        assert!(holds(json!({"not": "a"}), Some(json!("b"))));
        assert!(!holds(json!({"not": "a"}), None));
    }
}
