//! Matching one text (a header, a body, a log line, a record) against what a scenario says of it.
//!
//! `null` is "absent", a scalar is "equal", a list is "these values in this order" (duplicate headers), and a mapping
//! states what else: `matches`, `contains`, `json`, and so on, all of which must hold.

use std::borrow::Cow;
use std::collections::BTreeMap;

use regex::bytes::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::json::JsonRule;
use super::text::{Bytes, show};

/// What a text must be.
#[derive(Debug, Clone)]
pub enum TextMatch {
    /// Not there.
    Absent,
    /// Exactly this.
    Equals(Bytes),
    /// Exactly these values, in order.
    Values(Vec<TextMatch>),
    /// All of this.
    Rule(Box<Rule>),
}

/// Statements about a text; all must hold.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Exactly these bytes.
    pub equals: Option<Bytes>,
    /// Not these bytes (but something).
    pub not: Option<Bytes>,
    /// A regular expression that matches somewhere in it (anchor with `^…$`; bytes, `(?-u)` for raw ones).
    pub matches: Option<Pattern>,
    /// This text is in it, or each of these.
    pub contains: Option<OneOrMany>,
    /// This text is not in it, or none of these.
    pub lacks: Option<OneOrMany>,
    /// `true`: there, with any value; `false`: absent.
    pub present: Option<bool>,
    /// How many bytes.
    pub length: Option<usize>,
    /// It is JSON, and at each path (`a.b.0`, or `/a/b/0`) there is this: a literal, a mapping of some fields, or one of `equals`, `not`,
    /// `matches`, `contains`, `lacks`, `present`, `min`, `max`, `length`, `type`. `null` is null or absent.
    pub json: Option<BTreeMap<String, JsonRule>>,
    /// It is JSON equal to this, whole.
    pub json_equals: Option<Value>,
    /// Statements about single lines, by number from 0 (envelopes, NDJSON).
    pub lines: Option<BTreeMap<String, TextMatch>>,
}

/// A text, or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(Bytes),
    /// Several.
    Many(Vec<Bytes>),
}

impl OneOrMany {
    fn iter(&self) -> std::slice::Iter<'_, Bytes> {
        match self {
            OneOrMany::One(one) => std::slice::from_ref(one).iter(),
            OneOrMany::Many(many) => many.iter(),
        }
    }
}

/// A compiled regular expression over bytes.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Whether it matches somewhere in `bytes`.
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Regex::new(&text)
            .map(Pattern)
            .map_err(|e| D::Error::custom(format!("`{text}` is no regular expression: {e}")))
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "regex" })
    }
}

impl<'de> Deserialize<'de> for TextMatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        TextMatch::from_value(value).map_err(D::Error::custom)
    }
}

impl TextMatch {
    fn from_value(value: Value) -> Result<Self, String> {
        Ok(match value {
            Value::Null => TextMatch::Absent,
            Value::String(text) => TextMatch::Equals(Bytes(text.into_bytes())),
            Value::Number(number) => TextMatch::Equals(Bytes(number.to_string().into_bytes())),
            Value::Bool(flag) => TextMatch::Equals(Bytes(flag.to_string().into_bytes())),
            Value::Array(values) => TextMatch::Values(
                values
                    .into_iter()
                    .map(TextMatch::from_value)
                    .collect::<Result<_, _>>()?,
            ),
            Value::Object(ref map) if map.contains_key("hex") || map.contains_key("repeat") => {
                TextMatch::Equals(serde_json::from_value(value).map_err(|e| e.to_string())?)
            }
            Value::Object(_) => {
                TextMatch::Rule(serde_json::from_value(value).map_err(|e| e.to_string())?)
            }
        })
    }

    /// Checks the values found (none: absent; several: duplicates). `Err` says what is wrong.
    pub fn check(&self, found: &[&[u8]]) -> Result<(), Mismatch> {
        match self {
            TextMatch::Absent => match found.first() {
                None => Ok(()),
                Some(_) => Err(Mismatch::new("absent", found)),
            },
            TextMatch::Equals(expected) => match found {
                [one] if *one == &expected[..] => Ok(()),
                _ => Err(Mismatch::new(expected.show(), found)),
            },
            TextMatch::Values(expected) => {
                if expected.len() != found.len() {
                    return Err(Mismatch::new(format!("{} values", expected.len()), found));
                }
                expected
                    .iter()
                    .zip(found)
                    .try_for_each(|(rule, value)| rule.check(&[value]))
            }
            TextMatch::Rule(rule) => rule.check(found),
        }
    }
}

impl Rule {
    fn check(&self, found: &[&[u8]]) -> Result<(), Mismatch> {
        if self.present == Some(false) {
            return TextMatch::Absent.check(found);
        }
        let [one] = found else {
            return match found {
                [] => Err(Mismatch::new("present", found)),
                many => many.iter().try_for_each(|value| self.check(&[value])),
            };
        };
        self.check_bytes(one, found)?;
        self.check_json(one, found)
    }

    fn check_bytes(&self, one: &[u8], found: &[&[u8]]) -> Result<(), Mismatch> {
        let fail = |expected: String| Err(Mismatch::new(expected, found));
        if let Some(expected) = self.equals.as_ref().filter(|e| one != &e[..]) {
            return fail(expected.show());
        }
        if let Some(unwanted) = self.not.as_ref().filter(|e| one == &e[..]) {
            return fail(format!("anything but {}", unwanted.show()));
        }
        if let Some(pattern) = self.matches.as_ref().filter(|p| !p.is_match(one)) {
            return fail(format!("a match of /{}/", pattern.0));
        }
        if let Some(part) = self
            .contains
            .iter()
            .flat_map(OneOrMany::iter)
            .find(|part| !has(one, part))
        {
            return fail(format!("text containing {}", part.show()));
        }
        if let Some(part) = self
            .lacks
            .iter()
            .flat_map(OneOrMany::iter)
            .find(|part| has(one, part))
        {
            return fail(format!("text without {}", part.show()));
        }
        match self.length {
            Some(length) if length != one.len() => {
                fail(format!("{length} bytes (there are {})", one.len()))
            }
            _ => Ok(()),
        }
    }

    fn check_json(&self, one: &[u8], found: &[&[u8]]) -> Result<(), Mismatch> {
        for (number, rule) in self.lines.iter().flatten() {
            let index: usize = number
                .parse()
                .map_err(|_| Mismatch::new(format!("line number {number}"), found))?;
            let line = one.split(|byte| *byte == b'\n').nth(index);
            rule.check(line.as_slice())
                .map_err(|m| m.at(&format!("line {index}")))?;
        }
        if self.json.is_none() && self.json_equals.is_none() {
            return Ok(());
        }
        let value: Value =
            serde_json::from_slice(one).map_err(|e| Mismatch::new(format!("JSON ({e})"), found))?;
        if let Some(expected) = self.json_equals.as_ref().filter(|e| **e != value) {
            return Err(Mismatch {
                expected: expected.to_string(),
                got: value.to_string(),
            });
        }
        for (path, rule) in self.json.iter().flatten() {
            rule.check(super::json::at(&value, path))
                .map_err(|m| m.at(path))?;
        }
        Ok(())
    }
}

/// What was expected, and what was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Expected.
    pub expected: String,
    /// Got.
    pub got: String,
}

impl Mismatch {
    /// From what was found.
    pub fn new(expected: impl Into<String>, found: &[&[u8]]) -> Self {
        let got = match found {
            [] => "absent".to_owned(),
            [one] => show(one),
            many => format!(
                "{:?}",
                many.iter().map(|value| show(value)).collect::<Vec<_>>()
            ),
        };
        Mismatch {
            expected: expected.into(),
            got,
        }
    }

    /// The same, with the place in front.
    #[must_use]
    pub fn at(self, place: &str) -> Self {
        Mismatch {
            expected: format!("{place}: {}", self.expected),
            got: format!("{place}: {}", self.got),
        }
    }
}

fn has(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

impl JsonSchema for TextMatch {
    fn schema_name() -> Cow<'static, str> {
        "TextMatch".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rule = generator.subschema_for::<Rule>();
        let bytes = generator.subschema_for::<Bytes>();
        json_schema!({
            "description": "null: absent; text: equal; a list: these values in this order; a mapping: all of its statements.",
            "anyOf": [{ "type": "null" }, bytes, rule, { "type": "array", "items": { "$ref": "#/$defs/TextMatch" } }]
        })
    }
}
