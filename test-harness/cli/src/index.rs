//! `index.json`: what a build or a registry holds, one entry a plugin. A registry's index is the build's plus
//! `manifest_digest` and `tested`.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Index {
    /// 1; a reader refuses what it does not know.
    pub(crate) schema_version: u32,
    pub(crate) plugins: Vec<Entry>,
}

/// One plugin. Fields that this command does not read are kept as they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The module's file name beside the index.
    pub(crate) file: String,
    /// Of the module's bytes, 64 hexadecimal digits.
    pub(crate) sha256: String,
    /// Of the module, in bytes.
    pub(crate) size: u64,
    /// `sha256:<hex>` of the image's manifest, in a registry's index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) manifest_digest: Option<String>,
    /// The Envoy versions on which the scenarios passed, in a registry's index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tested: Option<Vec<String>>,
    #[serde(flatten)]
    pub(crate) others: BTreeMap<String, Value>,
}

impl Index {
    /// Reads and checks a file.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(file)
            .map_err(|e| anyhow::anyhow!("{}: cannot be read: {e}", file.display()))?;
        Self::parse(&bytes).map_err(|e| anyhow::anyhow!("{}: {e}", file.display()))
    }

    /// Parses a file's bytes.
    pub(crate) fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let index: Self = serde_json::from_slice(bytes)?;
        anyhow::ensure!(
            index.schema_version == 1,
            "schema_version {}, expected 1",
            index.schema_version
        );
        Ok(index)
    }

    /// The entry of a name.
    pub(crate) fn plugin(&self, name: &str) -> Option<&Entry> {
        self.plugins.iter().find(|p| p.name == name)
    }
}

impl Entry {
    /// The manifest digest without `sha256:`.
    pub(crate) fn manifest_hex(&self) -> Option<String> {
        self.manifest_digest
            .as_ref()
            .and_then(|d| d.strip_prefix("sha256:"))
            .map(str::to_owned)
    }
}
