//! Where the built modules are: `dist/<plugin>.wasm` of the workspace, or of the folder in `LAUNCHGATE_DIST`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The module of a plugin, as `make build` left it.
pub fn built_module(plugin: &str) -> Result<PathBuf> {
    let folder = match std::env::var_os("LAUNCHGATE_DIST") {
        Some(folder) => PathBuf::from(folder),
        None => workspace().join("dist"),
    };
    let path = folder.join(format!("{plugin}.wasm"));
    if !path.is_file() {
        bail!("no module at {path:?}: run `make build`");
    }
    Ok(path)
}

/// The root of the workspace, for files that ship with it.
#[must_use]
pub fn workspace() -> &'static Path {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().unwrap_or(crate_folder)
}
