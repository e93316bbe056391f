//! Configuration of `template`, as it is spelled in JSON.

use launchgate_sdk::ConfigErrors;
use launchgate_sdk::config::Decode;
use launchgate_sdk::headers::InvalidHeader;

/// The configuration.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of the response header. Default: `x-launchgate`.
    pub header: String,
    /// Its value. Default: `template`.
    pub value: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            header: "x-launchgate".to_owned(),
            value: "template".to_owned(),
        }
    }
}

impl Config {
    /// Checks what the types cannot.
    pub(crate) fn check(self) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        match InvalidHeader::check(&self.header, self.value.as_bytes()) {
            Ok(()) => errors.check(
                !self.header.starts_with(':'),
                "header",
                "expected no pseudo-header",
            ),
            Err(InvalidHeader::Name) => errors.push("header", "expected a header name"),
            Err(InvalidHeader::Value) => errors.push("value", "expected no CR, LF or NUL"),
        }
        errors.into_result(self)
    }
}
