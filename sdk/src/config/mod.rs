//! From plugin bytes to a typed configuration, or to everything that is wrong with it.
//!
//! 1. [`Parsed::read`]: strict JSON (no duplicate keys), an empty or absent config counts as `{}`.
//! 2. `${NAME}`, `${NAME:-default}` and `$${` are resolved **in the tree**, so that no value can inject JSON. Errors show
//!    the text as it was written, never what a variable held.
//! 3. [`decode`] runs serde again and again, each time without what was refused, so that all mistakes of shape are found
//!    at once; the policy then checks values. [`ConfigErrors`] holds all of them, each with its path.
//! 4. The keys of [`crate::Common`] belong to every plugin and are taken out first.

mod decode;
mod document;
mod error;
mod period;
pub mod sealed;
mod share;
mod substitute;
mod tree;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use decode::decode;
pub use error::{ConfigError, ConfigErrors};
pub use period::Period;
pub use share::{Percent, Rate, Share};

use crate::scope::Common;

/// Variables of the VM's environment.
pub type Environment = std::collections::BTreeMap<String, String>;

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
            .flat_map(Map::keys)
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
    pub fn own<T: DeserializeOwned>(&self) -> (Option<T>, ConfigErrors) {
        decode(&self.pick(false))
    }

    fn pick(&self, common: bool) -> Value {
        let Some(object) = self.resolved.as_object() else {
            return self.resolved.clone();
        };
        let is_common = |key: &str| matches!(key, "scope" | "mode" | "trust_envoy_xff");
        object
            .iter()
            .filter(|(key, _)| is_common(key) == common)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect::<Map<_, _>>()
            .into()
    }
}

#[cfg(test)]
mod tests;
