//! Where the Envoy binary is.
//!
//! 1. `ENVOY=/path/to/envoy` wins; a path that does not exist is an error, never a silent fall-back. An empty value is no
//!    value (a makefile or a CI system that passes a variable on passes it on empty).
//! 2. Otherwise `.tools/envoy/envoy/_bin/envoy` in the folder of the workspace (the stock binary inside the pinned PyPI
//!    wheel, put there by `make deps`), looked for from the current folder upwards.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A path at which `make deps` leaves the binary, from the root of the workspace.
const INSTALLED: &str = ".tools/envoy/envoy/_bin/envoy";

/// An Envoy binary that exists.
#[derive(Debug, Clone)]
pub struct Binary {
    path: PathBuf,
}

impl Binary {
    /// Finds the binary, or says which two ways there are to provide one.
    pub fn locate() -> Result<Self> {
        if let Some(path) = std::env::var_os("ENVOY").filter(|path| !path.is_empty()) {
            return Self::at(path).context("ENVOY names no file");
        }
        let here = std::env::current_dir().context("the current folder cannot be read")?;
        let built_in = Path::new(env!("CARGO_MANIFEST_DIR"));
        for folder in here.ancestors().chain(built_in.ancestors()) {
            let path = folder.join(INSTALLED);
            if path.is_file() {
                return Ok(Self { path });
            }
        }
        bail!("no Envoy: run `make deps` (it installs {INSTALLED}) or set ENVOY=/path/to/envoy")
    }

    /// The binary at `path`; an error if there is no file.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if !path.is_file() {
            bail!("no file at {path:?}");
        }
        Ok(Self { path })
    }

    /// The path of the binary.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
