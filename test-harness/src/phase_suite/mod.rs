//! Phase suites: data-driven tests of the plugin tester of Google's Service Extensions (`TestSuite`), run on the emulator as they are.
//!
//! 1. A file is protobuf text (`.textpb`) or YAML: an `env`, and tests that feed a plugin single callbacks (request headers, body,
//!    response headers, body) and say what must come of each.
//! 2. Each test has a VM and a stream of its own. A callback that a test does not name is not made, and time stands still.
//! 3. As in their tester, both clocks stand at `time_secs`, headers of one name are joined with `, `, a header callback continues unless `immediate` is expected, and
//!    no callback follows a local reply. All else is Envoy's: statuses, phases, bodies.
//! 4. Unknown fields are refused. Benchmarks are not run.

mod input;
mod judge;
mod run;
mod schema;
mod text_format;

use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

pub use run::run;
use schema::TestSuite;

/// Suffixes of files in protobuf text.
const TEXT_SUFFIXES: [&str; 4] = ["textpb", "txtpb", "textproto", "pbtxt"];

/// Why a suite could not be read.
#[derive(Debug, Error)]
pub enum SuiteError {
    /// The file itself.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Neither protobuf text nor YAML.
    #[error("{path}: {problem}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// Not a `TestSuite`.
    #[error("{path}: {place}: {problem}")]
    Shape {
        /// Which file.
        path: PathBuf,
        /// Where in it.
        place: String,
        /// What is wrong.
        problem: String,
    },
}

/// A suite, ready to run.
#[derive(Debug, Clone)]
pub struct PhaseSuite {
    folder: PathBuf,
    tests: TestSuite,
}

impl PhaseSuite {
    /// Whether this file is a suite: by its suffix, or a YAML file with `test` and no `cases`.
    pub fn recognizes(path: &Path) -> bool {
        match suffix(path) {
            "yaml" | "yml" => std::fs::read_to_string(path)
                .ok()
                .and_then(|text| serde_norway::from_str::<Value>(&text).ok())
                .is_some_and(|tree| tree.get("test").is_some() && tree.get("cases").is_none()),
            other => TEXT_SUFFIXES.contains(&other),
        }
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, SuiteError> {
        let text = std::fs::read_to_string(path).map_err(|source| SuiteError::Read {
            path: path.into(),
            source,
        })?;
        PhaseSuite::parse(path, &text)
    }

    /// Parses the text of a file; `path` is for messages, the suffix, and relative paths.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SuiteError> {
        let syntax = |problem: String| SuiteError::Syntax {
            path: path.into(),
            problem,
        };
        let tree: Value = if TEXT_SUFFIXES.contains(&suffix(path)) {
            text_format::parse(text).map_err(syntax)?
        } else {
            serde_norway::from_str(text).map_err(|error| syntax(error.to_string()))?
        };
        let tests = serde_path_to_error::deserialize(tree).map_err(|error| SuiteError::Shape {
            path: path.into(),
            place: error.path().to_string(),
            problem: error.inner().to_string(),
        })?;
        Ok(PhaseSuite {
            folder: path.parent().unwrap_or(Path::new("")).to_path_buf(),
            tests,
        })
    }

    /// Keeps the tests whose name contains this.
    pub fn select(&mut self, part: &str) {
        self.tests.test.retain(|test| test.name.contains(part));
    }

    /// The module that the suite itself names.
    pub fn module(&self) -> Option<PathBuf> {
        let named = self.tests.env.wasm_path.as_ref();
        named.map(|path| self.folder.join(path))
    }

    fn read_data(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let path = self.folder.join(path);
        std::fs::read(&path)
            .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", path.display()))
    }
}

fn suffix(path: &Path) -> &str {
    path.extension()
        .and_then(|suffix| suffix.to_str())
        .unwrap_or_default()
}
