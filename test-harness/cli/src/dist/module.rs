//! The post-link step, and the sizes of what comes out.

use std::{fs, path::Path, process::Command};

use anyhow::Context as _;
use wasmparser::{Parser, Payload};

use super::{
    describe::Phases,
    strip::{needed, strip},
};

/// Strips a built module and has binaryen optimise it.
pub(super) fn finish(built: &Path, phases: &Phases, wasm_opt: &Path) -> anyhow::Result<Vec<u8>> {
    let stripped = strip(&fs::read(built)?, &needed(*phases))?;
    let folder = tempfile::tempdir()?;
    let (input, output) = (
        folder.path().join("in.wasm"),
        folder.path().join("out.wasm"),
    );
    fs::write(&input, stripped)?;
    let result = Command::new(wasm_opt)
        // `-g` keeps the names. The features are those that rustc uses for wasip1 by default.
        .args([
            "-Oz",
            "-g",
            "--enable-bulk-memory",
            "--enable-nontrapping-float-to-int",
            "--enable-sign-ext",
        ])
        .args([
            "--enable-mutable-globals",
            "--enable-reference-types",
            "--enable-multivalue",
        ])
        .arg(&input)
        .arg("-o")
        .arg(&output)
        .output()
        .with_context(|| {
            format!(
                "{}: expected binaryen's wasm-opt (make deps brings it)",
                wasm_opt.display()
            )
        })?;
    anyhow::ensure!(
        result.status.success(),
        "wasm-opt: {}",
        String::from_utf8_lossy(&result.stderr)
    );
    Ok(fs::read(output)?)
}

/// Sizes of a module's parts, in bytes.
pub(super) struct Sizes {
    pub(super) code_and_data: usize,
    pub(super) names: usize,
}

impl Sizes {
    pub(super) fn of(wasm: &[u8]) -> anyhow::Result<Self> {
        let mut sizes = Self {
            code_and_data: 0,
            names: 0,
        };
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::CodeSectionStart { size, .. } => sizes.code_and_data += size as usize,
                Payload::DataSection(reader) => sizes.code_and_data += reader.range().len(),
                Payload::CustomSection(section) if section.name() == "name" => {
                    sizes.names += section.data().len()
                }
                _ => {}
            }
        }
        Ok(sizes)
    }
}

/// What a module imports, `module.name`, sorted.
pub(super) fn imports(wasm: &[u8]) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::ImportSection(reader) = payload? {
            for import in reader.into_imports() {
                let import = import?;
                names.push(format!("{}.{}", import.module, import.name));
            }
        }
    }
    names.sort();
    Ok(names)
}
