//! Strict JSON: no duplicate keys, and whole numbers are integers however they are written (protobuf's `Struct`, through
//! which Istio passes a config, has doubles only).

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::ConfigErrors;

const LIMIT: usize = 4 * 1024 * 1024;

/// Parses a configuration, which must be an object. No bytes, white space and `null` count as `{}`.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, ConfigErrors> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(Map::new()));
    }
    if bytes.len() > LIMIT {
        return Err(ConfigErrors::one(
            "",
            format!("config of {} bytes: expected at most {LIMIT}", bytes.len()),
        ));
    }
    match serde_json::from_slice::<Strict>(bytes) {
        Ok(Strict(Value::Null)) => Ok(Value::Object(Map::new())),
        Ok(Strict(value @ Value::Object(_))) => Ok(value),
        Ok(Strict(_)) => Err(ConfigErrors::one("", "expected a JSON object")),
        // Of the message only what serde_json or this file wrote: positions, and the name of a duplicate key.
        Err(error) => Err(ConfigErrors::one(
            "",
            format!("expected valid JSON: {error}"),
        )),
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if value.fract() == 0.0 && value.abs() < EXACT {
            return Ok((value as i64).into());
        }
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = access.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let Strict(value) = access.next_value()?;
            if object.contains_key(&key) {
                return Err(de::Error::custom(format_args!("duplicate key {key:?}")));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
