//! Bytes, headers and durations as a scenario writes them.
//!
//! 1. A YAML string is its UTF-8 bytes. Bytes that are no text are written `{hex: fffe}`, or `{repeat: a, times: 9000}`.
//! 2. Headers are a mapping, in order; a name with several values has a list.
//! 3. Durations are strings such as `250ms`, `15m`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Bytes.
#[derive(Clone, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// As text for messages, with what is not UTF-8 escaped.
    pub fn show(&self) -> String {
        show(&self.0)
    }
}

impl From<&str> for Bytes {
    fn from(text: &str) -> Self {
        Bytes(text.as_bytes().to_vec())
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.show())
    }
}

/// Bytes as text for messages: UTF-8 as it is, anything else as `\xNN`.
pub fn show(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum RawBytes {
    /// Text.
    Text(String),
    /// A number, as its decimal text.
    Int(i64),
    /// A number with a fraction, as its decimal text.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// Bytes in hexadecimal.
    Hex(RawHex),
    /// A text many times over.
    Repeat(RawRepeat),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawHex {
    /// Hexadecimal digits.
    hex: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawRepeat {
    /// The text.
    repeat: String,
    /// How often.
    times: usize,
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawBytes::deserialize(deserializer)
            .map_err(|_| D::Error::custom("expected text, {hex: …}, or {repeat: …, times: n}"))?;
        Ok(match raw {
            RawBytes::Text(text) => Bytes(text.into_bytes()),
            RawBytes::Int(number) => Bytes(number.to_string().into_bytes()),
            RawBytes::Float(number) => Bytes(number.to_string().into_bytes()),
            RawBytes::Bool(flag) => Bytes(flag.to_string().into_bytes()),
            RawBytes::Hex(RawHex { hex }) => Bytes(
                decode_hex(&hex)
                    .ok_or_else(|| D::Error::custom(format!("`{hex}` is not hexadecimal")))?,
            ),
            RawBytes::Repeat(RawRepeat { repeat, times }) => {
                Bytes(repeat.repeat(times).into_bytes())
            }
        })
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        RawBytes::json_schema(generator)
    }
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).ok())
        .collect()
}

/// Header names and values, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers(pub Vec<(Vec<u8>, Vec<u8>)>);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum RawValues {
    /// One value.
    One(Bytes),
    /// Several, each a header of its own.
    Many(Vec<Bytes>),
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of header names to a value or a list of values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, values)) = map.next_entry::<String, RawValues>()? {
                    let name = name.into_bytes();
                    match values {
                        RawValues::One(value) => pairs.push((name, value.0)),
                        RawValues::Many(values) => {
                            pairs.extend(values.into_iter().map(|v| (name.clone(), v.0)))
                        }
                    }
                }
                Ok(Headers(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl JsonSchema for Headers {
    fn schema_name() -> Cow<'static, str> {
        "Headers".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let values = generator.subschema_for::<RawValues>();
        json_schema!({ "type": "object", "additionalProperties": values })
    }
}

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "0" {
            return Ok(Span::default());
        }
        humantime::parse_duration(&text).map(Span).map_err(|e| {
            D::Error::custom(format!(
                "`{text}` is no duration such as `250ms` or `15m`: {e}"
            ))
        })
    }
}

/// A step of the wall clock: a span with a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leap {
    /// How far.
    pub by: Duration,
    /// Whether it goes back.
    pub back: bool,
}

impl<'de> Deserialize<'de> for Leap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (back, span) = match (text.strip_prefix('-'), text.strip_prefix('+')) {
            (Some(span), _) => (true, span),
            (_, Some(span)) => (false, span),
            _ => {
                return Err(D::Error::custom(format!(
                    "`{text}` has no sign; expected a leap such as `-1h` or `+90m`"
                )));
            }
        };
        let by = humantime::parse_duration(span).map_err(|e| {
            D::Error::custom(format!("`{text}` is no leap such as `-1h` or `+90m`: {e}"))
        })?;
        Ok(Leap { by, back })
    }
}

impl JsonSchema for Leap {
    fn schema_name() -> Cow<'static, str> {
        "Leap".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[+-]", "examples": ["-1h", "+90m"] })
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["250ms", "15m"] })
    }
}
