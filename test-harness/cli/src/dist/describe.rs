//! What is known of a plugin: what it prints of itself, its manifest, and its example config.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::Context as _;
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

/// A plugin.
#[derive(Debug, Deserialize)]
pub(super) struct Plugin {
    name: String,
    pub(super) version: String,
    pub(super) phases: Phases,
    pub(super) schema: Value,
    pub(super) metrics: Value,
    /// Variables that the example config names.
    #[serde(skip)]
    pub(super) env: Vec<String>,
    /// Largest size of code and data.
    #[serde(skip)]
    pub(super) limit_kb: usize,
}

/// Which callbacks the policy handles.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Phases {
    pub(super) request: bool,
    pub(super) body: bool,
    pub(super) response: bool,
    pub(super) end: bool,
    pub(super) tick: bool,
    pub(super) answer: bool,
}

#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    launchgate: Limits,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Limits {
    module_limit_kb: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            module_limit_kb: 250,
        }
    }
}

impl Plugin {
    pub(super) fn read(folder: &Path, descriptions: &Path) -> anyhow::Result<Self> {
        let manifest = folder.join("Cargo.toml");
        let text =
            fs::read_to_string(&manifest).with_context(|| format!("{}", manifest.display()))?;
        let Manifest { package } =
            toml::from_str(&text).with_context(|| format!("{}", manifest.display()))?;
        let name = package
            .name
            .strip_prefix("launchgate-")
            .unwrap_or(&package.name);
        let file = descriptions.join(format!("{name}.json"));
        let text = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
        let mut plugin: Self =
            serde_json::from_str(&text).with_context(|| format!("{}", file.display()))?;
        plugin.limit_kb = package.metadata.launchgate.module_limit_kb;
        plugin.env =
            variables(&fs::read_to_string(folder.join("config.example.json")).unwrap_or_default())?;
        Ok(plugin)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

fn variables(config: &str) -> anyhow::Result<Vec<String>> {
    let names = Regex::new(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-[^}]*)?\}")?;
    let found: BTreeSet<_> = names
        .captures_iter(config)
        .map(|found| found[1].to_owned())
        .collect();
    Ok(found.into_iter().collect())
}
