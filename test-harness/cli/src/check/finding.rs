//! What a check found: where, what, and by which rule.

use std::fmt;

use crate::manifest::Manifest;

/// One reason to refuse a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The check's name, as `docs` and `--allow` know it.
    pub(crate) rule: &'static str,
    /// File and resource.
    pub(crate) resource: String,
    /// The field's path from the document's root.
    pub(crate) path: String,
    /// The bad value and what was expected.
    pub(crate) message: String,
}

impl Finding {
    pub(crate) fn new(
        manifest: &Manifest,
        rule: &'static str,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            rule,
            resource: manifest.to_string(),
            path: path.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}: {} [{}]",
            self.resource, self.path, self.message, self.rule
        )
    }
}
