//! Which exports a module needs, and a module without the others.

use std::collections::BTreeSet;

use wasm_encoder::{ExportSection, Module, RawSection};
use wasmparser::{ExternalKind, Parser, Payload};

use super::describe::Phases;

/// What Envoy needs of every module. Without `proxy_on_delete` each stream would leak.
const ALWAYS: [&str; 8] = [
    "memory",
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_memory_allocate",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_vm_start",
    "proxy_on_configure",
];

/// The exports to keep. The request callback stays with any other of an exchange: there the scope is decided.
pub(super) fn needed(phases: Phases) -> BTreeSet<&'static str> {
    let exchange = phases.request || phases.body || phases.response || phases.end;
    let by_phase = [
        (exchange, "proxy_on_request_headers"),
        (phases.body, "proxy_on_request_body"),
        (phases.response, "proxy_on_response_headers"),
        (phases.end || phases.body, "proxy_on_log"),
        (phases.tick || phases.body, "proxy_on_tick"),
        (phases.answer, "proxy_on_http_call_response"),
    ];
    ALWAYS
        .into_iter()
        .chain(
            by_phase
                .into_iter()
                .filter(|(needed, _)| *needed)
                .map(|(_, name)| name),
        )
        .collect()
}

/// The module with these exports only, and of its custom sections only the names.
pub(super) fn strip(wasm: &[u8], needed: &BTreeSet<&str>) -> anyhow::Result<Vec<u8>> {
    let mut module = Module::new();
    let mut missing = needed.clone();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        if let Payload::ExportSection(reader) = &payload {
            let mut exports = ExportSection::new();
            for export in reader.clone() {
                let export = export?;
                if missing.remove(export.name) {
                    exports.export(export.name, kind(export.kind)?, export.index);
                }
            }
            module.section(&exports);
        } else if let Payload::CustomSection(section) = &payload {
            if section.name() == "name" {
                module.section(&wasm_encoder::CustomSection {
                    name: "name".into(),
                    data: section.data().into(),
                });
            }
        } else if let Some((id, range)) = payload.as_section() {
            module.section(&RawSection {
                id,
                data: &wasm[range],
            });
        }
    }
    anyhow::ensure!(
        missing.is_empty(),
        "exports {missing:?} are missing: expected them in a module that handles these phases"
    );
    Ok(module.finish())
}

fn kind(kind: ExternalKind) -> anyhow::Result<wasm_encoder::ExportKind> {
    Ok(match kind {
        ExternalKind::Func => wasm_encoder::ExportKind::Func,
        ExternalKind::Memory => wasm_encoder::ExportKind::Memory,
        ExternalKind::Global => wasm_encoder::ExportKind::Global,
        ExternalKind::Table => wasm_encoder::ExportKind::Table,
        other => {
            anyhow::bail!("export of kind {other:?}: expected a function, memory, global or table")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Phases = Phases {
        request: false,
        body: false,
        response: false,
        end: false,
        tick: false,
        answer: false,
    };

    #[test]
    fn callbacks_that_no_policy_handles_are_cut() {
        let wasm = wasm_encoder_module(&["memory", "proxy_on_tick", "proxy_on_queue_ready"]);
        let kept = strip(&wasm, &["memory", "proxy_on_tick"].into()).unwrap();
        assert_eq!(exports(&kept), ["memory", "proxy_on_tick"]);
    }

    #[test]
    fn a_module_without_a_needed_callback_is_refused() {
        let wasm = wasm_encoder_module(&["memory"]);
        let error = strip(&wasm, &["memory", "proxy_on_tick"].into()).unwrap_err();
        assert!(error.to_string().contains("proxy_on_tick"), "{error}");
    }

    #[test]
    fn the_scope_needs_the_request_callback() {
        assert!(
            needed(Phases {
                response: true,
                ..NONE
            })
            .contains("proxy_on_request_headers")
        );
        assert!(!needed(Phases { tick: true, ..NONE }).contains("proxy_on_request_headers"));
    }

    fn wasm_encoder_module(names: &[&str]) -> Vec<u8> {
        let mut module = Module::new();
        let mut memories = wasm_encoder::MemorySection::new();
        memories.memory(wasm_encoder::MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        module.section(&memories);
        let mut exports = ExportSection::new();
        for name in names {
            exports.export(name, wasm_encoder::ExportKind::Memory, 0);
        }
        module.section(&exports);
        module.finish()
    }

    fn exports(wasm: &[u8]) -> Vec<String> {
        let payloads = Parser::new(0).parse_all(wasm).map(Result::unwrap);
        payloads
            .filter_map(|payload| match payload {
                Payload::ExportSection(reader) => Some(reader),
                _ => None,
            })
            .flat_map(|reader| {
                reader
                    .into_iter()
                    .map(|export| export.unwrap().name.to_owned())
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}
