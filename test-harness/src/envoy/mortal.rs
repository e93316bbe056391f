//! A built module made mortal: one callback traps, as it would by a panic, when one of its arguments has a deadly value.
//! So a test kills the VM that it wants, whichever thread that is on, by what it sends.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use wasm_encoder::{
    BlockType, CodeSection, ExportKind, ExportSection, Function, FunctionSection, Instruction,
    Module, RawSection,
};
use wasmparser::{ExternalKind, FuncType, Parser, Payload, TypeRef};

use super::built_module;

/// When a module dies.
#[derive(Debug, Clone, Copy)]
pub struct Mortal {
    callback: &'static str,
    argument: u32,
    deadly: u16,
}

impl Mortal {
    /// It takes in an answer of a call-out with so many bytes of body.
    #[must_use]
    pub fn at_answer_of(bytes: u16) -> Self {
        Self {
            callback: "proxy_on_http_call_response",
            argument: 3,
            deadly: bytes,
        }
    }

    /// It sees a request with so many header fields, pseudo-headers included.
    #[must_use]
    pub fn at_request_of(fields: u16) -> Self {
        Self {
            callback: "proxy_on_request_headers",
            argument: 1,
            deadly: fields,
        }
    }

    /// Writes the built module of a plugin, made mortal, into `folder`.
    ///
    /// # Errors
    /// Where the module is not built, is no module, or does not export the callback.
    pub fn module(self, plugin: &str, folder: &Path) -> Result<PathBuf> {
        let built = std::fs::read(built_module(plugin)?)?;
        let path = folder.join(format!("mortal-{plugin}.wasm"));
        std::fs::write(&path, self.make(&built)?)?;
        Ok(path)
    }

    /// The module with one more function, which stands before the callback.
    fn make(self, wasm: &[u8]) -> Result<Vec<u8>> {
        let callback = Callback::find(wasm, self.callback)?;
        let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
        let mut bodies = 0;
        let mut module = Module::new();
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            match &payload {
                Payload::FunctionSection(reader) => {
                    for index in reader.clone() {
                        functions.function(index?);
                    }
                    functions.function(callback.type_index);
                    module.section(&functions);
                    continue;
                }
                Payload::ExportSection(reader) => {
                    let mut exports = ExportSection::new();
                    for export in reader.clone() {
                        let export = export?;
                        let is_own = export.name == self.callback;
                        let index = if is_own { callback.gate } else { export.index };
                        exports.export(export.name, kind(export.kind)?, index);
                    }
                    module.section(&exports);
                    continue;
                }
                Payload::CodeSectionStart { .. } => continue,
                Payload::CodeSectionEntry(body) => {
                    code.raw(wasm.get(body.range()).context("a body beyond the module")?);
                    bodies += 1;
                    if bodies == callback.defined {
                        code.function(&self.gate(&callback));
                        module.section(&code);
                    }
                    continue;
                }
                _ => {}
            }
            if let Some((id, range)) = payload.as_section() {
                let data = wasm.get(range).context("a section beyond the module")?;
                module.section(&RawSection { id, data });
            }
        }
        Ok(module.finish())
    }

    /// Traps at the deadly value, and goes on to the callback at any other.
    fn gate(self, callback: &Callback) -> Function {
        let mut gate = Function::new([]);
        let mut body = vec![
            Instruction::LocalGet(self.argument),
            Instruction::I32Const(i32::from(self.deadly)),
            Instruction::I32Eq,
            Instruction::If(BlockType::Empty),
            Instruction::Unreachable,
            Instruction::End,
        ];
        body.extend((0..callback.arguments).map(Instruction::LocalGet));
        body.extend([Instruction::Call(callback.index), Instruction::End]);
        for instruction in &body {
            gate.instruction(instruction);
        }
        gate
    }
}

/// The function behind an export.
struct Callback {
    index: u32,
    type_index: u32,
    arguments: u32,
    /// Functions that the module itself has.
    defined: u32,
    /// Index of the function that will stand before it.
    gate: u32,
}

impl Callback {
    fn find(wasm: &[u8], name: &str) -> Result<Self> {
        let (mut imported, mut index) = (0, None);
        let (mut types, mut defined): (Vec<FuncType>, Vec<u32>) = (Vec::new(), Vec::new());
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::TypeSection(reader) => {
                    types = reader
                        .into_iter_err_on_gc_types()
                        .collect::<Result<_, _>>()?;
                }
                Payload::ImportSection(reader) => {
                    for import in reader.into_imports() {
                        imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
                Payload::FunctionSection(reader) => {
                    defined = reader.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::ExportSection(reader) => {
                    for export in reader {
                        let export = export?;
                        if export.name == name {
                            index = Some(export.index);
                        }
                    }
                }
                _ => {}
            }
        }
        let index = index.with_context(|| format!("the module does not export {name}"))?;
        let own = index
            .checked_sub(imported)
            .and_then(|own| defined.get(own as usize));
        let type_index = *own.with_context(|| format!("{name} is imported"))?;
        let signature = types
            .get(type_index as usize)
            .context("a function without a type")?;
        let defined = u32::try_from(defined.len())?;
        Ok(Self {
            index,
            type_index,
            arguments: u32::try_from(signature.params().len())?,
            defined,
            gate: imported + defined,
        })
    }
}

fn kind(kind: ExternalKind) -> Result<ExportKind> {
    Ok(match kind {
        ExternalKind::Func => ExportKind::Func,
        ExternalKind::Memory => ExportKind::Memory,
        ExternalKind::Global => ExportKind::Global,
        ExternalKind::Table => ExportKind::Table,
        other => anyhow::bail!("an export of kind {other:?}"),
    })
}
