//! From plugin bytes to a typed configuration, or to everything that is wrong with it.
//!
//! 1. [`Parsed::read`]: strict JSON (no duplicate keys), an empty or absent config counts as `{}`.
//! 2. `${NAME}`, `${NAME:-default}` and `$${` are resolved **in the tree**, so that no value can inject JSON. Errors show
//!    the text as it was written, never what a variable held.
//! 3. [`decode`] reads types that derive [`Decode`] and finds all mistakes of shape at once; the policy then checks values.
//!    [`ConfigErrors`] holds all of them, each with its path.
//! 4. The keys of [`crate::Common`] belong to every plugin and are taken out first.

mod decode;
mod document;
mod error;
mod period;
pub mod sealed;
mod share;
mod substitute;

use crate::json_tree::{Object, Value};

/// What [`Decode`] reads.
pub use crate::json_tree::Value as Json;
pub use decode::{Decode, Mistakes, Slot, Wanted, decode};
pub use error::{ConfigError, ConfigErrors};
pub use launchgate_sdk_derive::Decode;
pub use period::Period;
pub use share::{Percent, Rate, Share};

use crate::scope::Common;

/// Variables of the VM's environment.
pub type Environment = crate::map::Map<String, String>;

/// Reads JSON into a type: an answer of a server, or a configuration in a test.
///
/// # Errors
/// What is no JSON, and every mistake of shape.
pub fn read<T: Decode>(bytes: impl AsRef<[u8]>) -> Result<T, ConfigErrors> {
    let tree = crate::json_tree::read(bytes.as_ref())
        .map_err(|malformed| ConfigErrors::one("", format!("expected valid JSON: {malformed}")))?;
    match decode(&tree) {
        (Some(value), errors) => errors.into_result(value),
        (None, errors) => Err(errors),
    }
}

/// A configuration as a tree: as written, and with variables resolved.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    written: Value,
    resolved: Value,
    at: String,
}

impl Parsed {
    /// Reads plugin bytes.
    ///
    /// # Errors
    /// Text that is no JSON object, duplicate keys, and every variable that is missing or badly written.
    pub fn read(bytes: &[u8], environment: &Environment) -> Result<Self, ConfigErrors> {
        let written = document::parse(bytes)?;
        let mut errors = ConfigErrors::default();
        let resolved = substitute::resolve(&written, environment, &mut errors);
        let parsed = Self {
            written,
            resolved,
            at: String::new(),
        };
        if errors.is_empty() {
            Ok(parsed)
        } else {
            Err(errors.resolve(&parsed))
        }
    }

    /// A part of a composed configuration; `None` where it is absent (or null).
    pub fn section(&self, name: &str) -> Option<Self> {
        let resolved = self
            .resolved
            .get(name)
            .filter(|value| !value.is_null())?
            .clone();
        let written = self.written.get(name).cloned().unwrap_or_default();
        let at = if self.at.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.at)
        };
        Some(Self {
            written,
            resolved,
            at,
        })
    }

    /// Names of the keys of the object, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.resolved
            .as_object()
            .into_iter()
            .flat_map(Object::keys)
            .map(String::as_str)
    }

    /// Path of this part in the whole configuration, empty for the whole.
    pub fn at(&self) -> &str {
        &self.at
    }

    pub(crate) fn written(&self) -> &Value {
        &self.written
    }

    /// The keys that every plugin has.
    pub fn common(&self) -> (Option<Common>, ConfigErrors) {
        decode(&self.pick(true))
    }

    /// The plugin's own keys.
    pub fn own<T: Decode>(&self) -> (Option<T>, ConfigErrors) {
        decode(&self.pick(false))
    }

    fn pick(&self, common: bool) -> Value {
        let Some(object) = self.resolved.as_object() else {
            return self.resolved.clone();
        };
        let is_common = |key: &str| matches!(key, "scope" | "mode" | "trust_envoy_xff");
        // Inserted one by one: collecting into a map brings a sort of its own into the module.
        let mut picked = Object::new();
        for (key, value) in object.iter().filter(|(key, _)| is_common(key) == common) {
            picked.insert(key.clone(), value.clone());
        }
        Value::Object(picked)
    }
}

#[cfg(test)]
mod tests;
