//! A configuration as a tree: JSON, an object, and not too long.

use crate::json_tree::{Object, Value};

use super::ConfigErrors;
use crate::json_tree;

const LIMIT: usize = 4 * 1024 * 1024;

/// Parses a configuration, which must be an object. No bytes, white space and `null` count as `{}`.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, ConfigErrors> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(Object::new()));
    }
    if bytes.len() > LIMIT {
        return Err(ConfigErrors::one(
            "",
            format!("config of {} bytes: expected at most {LIMIT}", bytes.len()),
        ));
    }
    match json_tree::read(bytes) {
        Ok(Value::Null) => Ok(Value::Object(Object::new())),
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(ConfigErrors::one("", "expected a JSON object")),
        Err(malformed) => Err(ConfigErrors::one(
            "",
            format!("expected valid JSON: {malformed}"),
        )),
    }
}
