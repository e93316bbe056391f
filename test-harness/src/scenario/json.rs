//! Statements about one value inside a JSON document.

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
    /// Equal to this.
    Equals(Value),
}

/// Statements about a JSON value; all must hold.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JsonDetail {
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
        const WORDS: [&str; 7] = [
            "matches", "contains", "present", "min", "max", "length", "type",
        ];
        let value = Value::deserialize(deserializer)?;
        match &value {
            Value::Object(map)
                if !map.is_empty() && map.keys().all(|key| WORDS.contains(&key.as_str())) =>
            {
                serde_json::from_value(value)
                    .map(JsonRule::Detail)
                    .map_err(serde::de::Error::custom)
            }
            _ => Ok(JsonRule::Equals(value)),
        }
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
            JsonRule::Equals(expected) if found == Some(expected) => Ok(()),
            JsonRule::Equals(expected) => fail(expected.to_string()),
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
