//! Writes the golden traces anew: every file of `host-truth/` on the real Envoy. `make host-truth` builds the probe and runs it.

use std::path::Path;

use anyhow::{Context, Result};
use launchgate_harness::emulator::Modules;
use launchgate_harness::envoy::{scenario::transcript, workspace};
use launchgate_harness::scenario::ScenarioFile;

fn main() -> Result<()> {
    let folder = workspace().join("test-harness/host-truth");
    let modules = Modules::new(workspace().join("dist"));
    let only: Vec<String> = std::env::args().skip(1).collect();
    let mut files: Vec<_> = std::fs::read_dir(&folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|kind| kind == "yaml"))
        .filter(|path| only.is_empty() || only.iter().any(|name| named(path, name)))
        .collect();
    files.sort();
    for path in files {
        let file = ScenarioFile::read(&path)?;
        let told =
            transcript::record(&file, &modules).with_context(|| format!("{}", path.display()))?;
        let golden = path.with_extension("golden");
        std::fs::write(&golden, &told)?;
        println!("{}: {} lines", golden.display(), told.lines().count());
    }
    Ok(())
}

fn named(path: &Path, name: &str) -> bool {
    path.file_stem().is_some_and(|stem| stem == name)
}
