//! A plugin's configuration against the plugin: its published JSON Schema, then the wasm module itself.
//!
//! 1. The plugin is the one that the source names (`…/plugins/health:1.0.0`); its files are `<dist>/health.schema.json`
//!    and `<dist>/health.wasm`.
//! 2. Absent configuration is `{}` to the schema and nothing at all to the module, as in Istio.
//! 3. A variable from the proxy's environment is unknown here: it gets `--env NAME=VALUE`, else a stand-in of the form that
//!    its name suggests (a DSN, a URL, 32 characters).

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::finding::Finding;
use crate::{
    extension::{Extension, Source},
    index::Index,
    manifest::Manifest,
};

/// Where modules and schemas are, and how one is asked.
pub(crate) struct Modules<'a> {
    pub(crate) dist: PathBuf,
    pub(crate) index: Option<Index>,
    pub(crate) variables: BTreeMap<String, String>,
    /// Configures a module: file, configuration, environment; the reason when it refuses.
    pub(crate) configure: Box<Configure<'a>>,
    /// What was asked already: overlays share most configurations.
    pub(crate) asked: RefCell<BTreeMap<Question, Result<(), String>>>,
}

/// A module's file, the configuration, the environment.
pub(crate) type Question = (PathBuf, String, BTreeMap<String, String>);

/// Asks a module whether it takes a configuration.
pub(crate) type Configure<'a> =
    dyn Fn(&Path, &[u8], &BTreeMap<String, String>) -> Result<(), String> + 'a;

impl Modules<'_> {
    /// All findings of one extension.
    pub(crate) fn check(&self, manifest: &Manifest, extension: &Extension) -> Vec<Finding> {
        let plugin = extension.source.plugin();
        let mut found = Vec::new();
        let mut note = |rule, path: String, message: String| {
            found.push(Finding::new(manifest, rule, path, message))
        };
        self.check_digest(extension, &mut note);
        self.check_schema(plugin, extension, &mut note);
        self.check_module(plugin, extension, &mut note);
        found
    }

    fn check_digest(
        &self,
        extension: &Extension,
        note: &mut dyn FnMut(&'static str, String, String),
    ) {
        let Some(entry) = self
            .index
            .as_ref()
            .and_then(|i| i.plugin(extension.source.plugin()))
        else {
            return;
        };
        if extension.sha256.is_empty() {
            return;
        }
        let path = extension.field_path("sha256", "code.sha256");
        let is_image = matches!(extension.source, Source::Image(_));
        if is_image && extension.sha256 == entry.sha256 {
            note(
                "sha256-kind",
                path,
                "this is the digest of the wasm; for an image the manifest's digest is compared"
                    .to_owned(),
            );
        } else if !is_image && Some(&extension.sha256) == entry.manifest_hex().as_ref() {
            note("sha256-kind", path, "this is the digest of the image's manifest; over http the wasm's digest is compared".to_owned());
        }
    }

    fn check_schema(
        &self,
        plugin: &str,
        extension: &Extension,
        note: &mut dyn FnMut(&'static str, String, String),
    ) {
        let file = self.dist.join(format!("{plugin}.schema.json"));
        let path = extension.config_path();
        let schema = match read_json(&file) {
            Ok(schema) => schema,
            Err(reason) => return note("plugin-schema", path, reason),
        };
        let validator = match jsonschema::validator_for(&schema) {
            Ok(validator) => validator,
            Err(error) => {
                return note(
                    "plugin-schema",
                    path,
                    format!("{}: {error}", file.display()),
                );
            }
        };
        let config = extension.config.clone().unwrap_or_else(|| json!({}));
        for error in validator.iter_errors(&config) {
            let at = error.instance_path.to_string().replace('/', ".");
            note("plugin-schema", format!("{path}{at}"), error.to_string());
        }
    }

    fn check_module(
        &self,
        plugin: &str,
        extension: &Extension,
        note: &mut dyn FnMut(&'static str, String, String),
    ) {
        let file = self.dist.join(format!("{plugin}.wasm"));
        let path = extension.config_path();
        if !file.is_file() {
            return note(
                "plugin-module",
                path,
                format!(
                    "{}: no such module, expected the build's output",
                    file.display()
                ),
            );
        }
        let config = extension
            .config
            .as_ref()
            .map(Value::to_string)
            .unwrap_or_default();
        if let Err(reason) = self.ask((file, config, self.environment(extension))) {
            note(
                "plugin-module",
                path,
                format!("the module refuses it: {reason}"),
            );
        }
    }

    fn ask(&self, question: Question) -> Result<(), String> {
        if let Some(answer) = self.asked.borrow().get(&question) {
            return answer.clone();
        }
        let (file, config, environment) = &question;
        let answer = (self.configure)(file, config.as_bytes(), environment);
        self.asked.borrow_mut().insert(question, answer.clone());
        answer
    }

    fn environment(&self, extension: &Extension) -> BTreeMap<String, String> {
        let value = |name: &str| {
            self.variables
                .get(name)
                .cloned()
                .unwrap_or_else(|| stand_in(name))
        };
        let variables = extension.variables.iter();
        variables
            .map(|v| {
                (
                    v.name.clone(),
                    v.value.clone().unwrap_or_else(|| value(&v.name)),
                )
            })
            .collect()
    }
}

/// A value of the form that a variable's name suggests.
pub(crate) fn stand_in(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    if name.contains("DSN") {
        "https://0123456789abcdef0123456789abcdef@o0.ingest.sentry.io/1".to_owned()
    } else if name.contains("WEBHOOK") || name.contains("URL") {
        "https://hooks.example.org/services/stand-in".to_owned()
    } else {
        "stand-in-of-32-characters-000000".to_owned()
    }
}

fn read_json(file: &Path) -> Result<Value, String> {
    let text =
        fs::read_to_string(file).map_err(|e| format!("{}: cannot be read: {e}", file.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))
}
