//! A value of an attribute or of an expression, and the bytes that a plugin gets for it.
//!
//! 1. Text and bytes as they are; numbers, and times and durations in nanoseconds, as 8 little-endian bytes; booleans as one byte.
//! 2. A map is pairs. A list is pairs too: each element is a name, its value is empty.
//! 3. A message has bytes only where Envoy has a protobuf message; anything else that holds a value without bytes fails as a whole.

use serde_json::Value;

use super::header_map::serialize;
use super::status::Status;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    /// Text, as far as it is UTF-8.
    Text(Vec<u8>),
    /// Bytes, even if they are UTF-8.
    Bytes(Vec<u8>),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A floating point number.
    Double(f64),
    /// A boolean.
    Bool(bool),
    /// Nanoseconds since 1970.
    Time(i64),
    /// Nanoseconds.
    Duration(i64),
    /// Values in a row.
    List(Vec<Datum>),
    /// Values by key.
    Map(Vec<(Datum, Datum)>),
    /// Headers: names are found whatever their case.
    Headers(Vec<(Vec<u8>, Vec<u8>)>),
    /// What has fields, and cannot be listed.
    Message {
        /// Its fields, as far as they are there.
        fields: Vec<(String, Datum)>,
        /// Its bytes, if it has any.
        bytes: Option<Vec<u8>>,
    },
}

impl Datum {
    /// An integer; what is too great for one is the greatest.
    pub fn int(number: u64) -> Self {
        Datum::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// A duration in nanoseconds.
    pub fn duration(nanoseconds: u64) -> Self {
        Datum::Duration(i64::try_from(nanoseconds).unwrap_or(i64::MAX))
    }

    /// A value of a scenario or of dynamic metadata; null is none.
    pub fn from_json(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => return None,
            Value::Bool(flag) => Datum::Bool(*flag),
            Value::String(text) => Datum::Text(text.clone().into_bytes()),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Datum::Int(int),
                (None, Some(int)) => Datum::Uint(int),
                (None, None) => Datum::Double(number.as_f64()?),
            },
            Value::Array(items) => Datum::List(items.iter().filter_map(Datum::from_json).collect()),
            Value::Object(map) => {
                let entry = |(key, value): (&String, &Value)| {
                    Some((
                        Datum::Text(key.clone().into_bytes()),
                        Datum::from_json(value)?,
                    ))
                };
                Datum::Map(map.iter().filter_map(entry).collect())
            }
        })
    }

    /// Its bytes, or a serialisation failure.
    pub fn encode(&self) -> Result<Vec<u8>, Status> {
        Ok(match self {
            Datum::Text(bytes) | Datum::Bytes(bytes) => bytes.clone(),
            Datum::Int(number) | Datum::Time(number) | Datum::Duration(number) => {
                number.to_le_bytes().to_vec()
            }
            Datum::Uint(number) => number.to_le_bytes().to_vec(),
            Datum::Double(number) => number.to_le_bytes().to_vec(),
            Datum::Bool(flag) => vec![u8::from(*flag)],
            Datum::List(items) => {
                let pair = |item: &Datum| Ok((item.encode()?, Vec::new()));
                serialize(&items.iter().map(pair).collect::<Result<Vec<_>, Status>>()?)
            }
            Datum::Map(entries) => {
                let pair = |(key, value): &(Datum, Datum)| Ok((key.encode()?, value.encode()?));
                serialize(
                    &entries
                        .iter()
                        .map(pair)
                        .collect::<Result<Vec<_>, Status>>()?,
                )
            }
            Datum::Headers(pairs) => serialize(pairs),
            Datum::Message { bytes, .. } => bytes.clone().ok_or(Status::SerializationFailure)?,
        })
    }
}
