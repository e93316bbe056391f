//! JSON text (RFC 8259) as a tree. Small: modules carry it, and no other reader.
//!
//! 1. A key that stands twice in an object is refused: which of the two counts, others may see differently.
//! 2. Whole numbers are integers however they are written: protobuf's `Struct`, through which Istio passes a configuration, has
//!    doubles only.
//! 3. Text is UTF-8, nesting has a limit, and nothing follows the value but white space.
//! 4. Written, the keys of an object stand in order, and there is no white space.

mod build;
mod decimal;
mod reader;
#[cfg(test)]
mod tests;

use std::fmt;

pub use reader::{Malformed, number, read};

use crate::json::{text, write_integer, write_text};
pub use crate::json_value as json;
use crate::map::Map;

/// The fields of an object.
pub type Object = Map<String, Value>;

/// A tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Value>),
    /// An object.
    Object(Object),
}

/// A number, in one form only.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number that is not negative.
    Whole(u64),
    /// A whole number below zero.
    Negative(i64),
    /// Any other; finite.
    Double(f64),
}

// Finite numbers are equal to themselves.
impl Eq for Number {}

impl Value {
    /// A field of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.get(key)
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The truth value.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The fields of an object.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// The fields of an object.
    pub fn as_object_mut(&mut self) -> Option<&mut Object> {
        match self {
            Self::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// A whole number that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(Number::Whole(number)) => Some(*number),
            _ => None,
        }
    }

    /// A whole number.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(Number::Whole(number)) => i64::try_from(*number).ok(),
            Self::Number(Number::Negative(number)) => Some(*number),
            _ => None,
        }
    }

    /// Any number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(Number::Whole(number)) => Some(*number as f64),
            Self::Number(Number::Negative(number)) => Some(*number as f64),
            Self::Number(Number::Double(number)) => Some(*number),
            _ => None,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(flag) => out.extend_from_slice(if *flag { &b"true"[..] } else { b"false" }),
            Self::Number(number) => number.write(out),
            Self::String(text) => write_text(out, text.as_bytes()),
            Self::Array(items) => {
                out.push(b'[');
                for (position, item) in items.iter().enumerate() {
                    if position > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Object(fields) => {
                out.push(b'{');
                for (position, (key, value)) in fields.iter().enumerate() {
                    if position > 0 {
                        out.push(b',');
                    }
                    write_text(out, key.as_bytes());
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }
}

impl Number {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Whole(number) => write_integer(out, number),
            Self::Negative(number) => out.extend_from_slice(number.to_string().as_bytes()),
            // The shortest digits that read back as this number; std's own way to them is 12 kB.
            Self::Double(number) => {
                out.extend_from_slice(zmij::Buffer::new().format(number).as_bytes())
            }
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = Vec::new();
        self.write(&mut written);
        f.write_str(&text(written))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = Vec::new();
        self.write(&mut written);
        f.write_str(&text(written))
    }
}
