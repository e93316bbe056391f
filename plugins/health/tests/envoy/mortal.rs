//! The built module, made mortal: the VM that takes in a check's answer of [`DEADLY`] bytes traps, as it would by a panic.
//! So a test can kill the VM that makes the checks, whichever thread that is.

use std::path::PathBuf;

use launchgate_harness::envoy::built_module;
use tempfile::TempDir;
use wasm_encoder::{
    BlockType, CodeSection, ExportKind, ExportSection, Function, FunctionSection, Instruction,
    Module, RawSection,
};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

/// Bytes of an answer that kill.
pub(crate) const DEADLY: u16 = 4242;

const CALLBACK: &str = "proxy_on_http_call_response";
/// Which of the callback's five arguments is the size of the body.
const BODY_SIZE: u32 = 3;

/// Writes the module into `folder`.
pub(crate) fn module(folder: &TempDir) -> PathBuf {
    let built = std::fs::read(built_module("health").unwrap()).unwrap();
    let path = folder.path().join("mortal.wasm");
    std::fs::write(&path, mortal(&built)).unwrap();
    path
}

/// The module with one more function, which stands before the callback.
fn mortal(wasm: &[u8]) -> Vec<u8> {
    let (mut types, mut callback) = (Vec::new(), None);
    let (mut imported, mut bodies) = (0, Vec::new());
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.unwrap();
        match &payload {
            Payload::ImportSection(reader) => {
                let imports = reader.clone().into_imports();
                imported = imports
                    .filter(|import| matches!(import.as_ref().unwrap().ty, TypeRef::Func(_)))
                    .count();
            }
            Payload::FunctionSection(reader) => {
                types = reader.clone().into_iter().map(Result::unwrap).collect();
                let exported = find_callback(wasm);
                callback = Some(exported);
                types.push(types[exported as usize - imported]);
                let mut functions = FunctionSection::new();
                types.iter().for_each(|index| {
                    functions.function(*index);
                });
                module.section(&functions);
                continue;
            }
            Payload::ExportSection(reader) => {
                let mut exports = ExportSection::new();
                for export in reader.clone() {
                    let export = export.unwrap();
                    let index = match export.name {
                        CALLBACK => u32::try_from(imported + types.len() - 1).unwrap(),
                        _ => export.index,
                    };
                    exports.export(export.name, kind(export.kind), index);
                }
                module.section(&exports);
                continue;
            }
            Payload::CodeSectionStart { .. } => continue,
            Payload::CodeSectionEntry(body) => {
                bodies.push(body.range());
                if bodies.len() == types.len() - 1 {
                    let mut code = CodeSection::new();
                    for range in &bodies {
                        code.raw(&wasm[range.clone()]);
                    }
                    code.function(&gate(callback.unwrap()));
                    module.section(&code);
                }
                continue;
            }
            _ => {}
        }
        if let Some((id, range)) = payload.as_section() {
            let data = &wasm[range];
            module.section(&RawSection { id, data });
        }
    }
    module.finish()
}

/// Traps at a deadly answer, and goes on to the callback at any other.
fn gate(callback: u32) -> Function {
    let mut gate = Function::new([]);
    let mut body = vec![
        Instruction::LocalGet(BODY_SIZE),
        Instruction::I32Const(i32::from(DEADLY)),
        Instruction::I32Eq,
        Instruction::If(BlockType::Empty),
        Instruction::Unreachable,
        Instruction::End,
    ];
    body.extend((0..5).map(Instruction::LocalGet));
    body.extend([Instruction::Call(callback), Instruction::End]);
    for instruction in &body {
        gate.instruction(instruction);
    }
    gate
}

fn find_callback(wasm: &[u8]) -> u32 {
    let mut payloads = Parser::new(0).parse_all(wasm).map(Result::unwrap);
    let exports = payloads.find_map(|payload| match payload {
        Payload::ExportSection(reader) => Some(reader),
        _ => None,
    });
    let mut exports = exports.unwrap().into_iter().map(Result::unwrap);
    exports
        .find(|export| export.name == CALLBACK)
        .unwrap()
        .index
}

fn kind(kind: ExternalKind) -> ExportKind {
    match kind {
        ExternalKind::Func => ExportKind::Func,
        ExternalKind::Memory => ExportKind::Memory,
        ExternalKind::Global => ExportKind::Global,
        other => panic!("an export of kind {other:?}"),
    }
}
