//! A filter whose VM panics at will: a module that traps on a request with more than [`LIMIT`] headers.

use wasm_encoder::{
    BlockType, CodeSection, ExportKind, ExportSection, Function, FunctionSection, MemorySection,
    MemoryType, Module, TypeSection, ValType::I32,
};

/// No other request has so many, pseudo headers included.
pub(super) const LIMIT: i32 = 40;

/// The module's bytes: ABI 0.2.1, one callback.
pub(super) fn module() -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    types.ty().function([I32], [I32]);
    types.ty().function([I32, I32], []);
    types.ty().function([I32, I32, I32], [I32]);
    let mut functions = FunctionSection::new();
    (0..4).for_each(|kind| {
        functions.function(kind);
    });
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 2,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0);
    for (name, index) in [
        ("proxy_abi_version_0_2_1", 0),
        ("malloc", 1),
        ("proxy_on_context_create", 2),
        ("proxy_on_request_headers", 3),
    ] {
        exports.export(name, ExportKind::Func, index);
    }
    let mut code = CodeSection::new();
    let mut function = |write: &dyn Fn(&mut Function)| {
        let mut body = Function::new([]);
        write(&mut body);
        body.instructions().end();
        code.function(&body);
    };
    function(&|_| {});
    // Nothing is asked of the host, so nothing needs memory for long: one place is enough.
    function(&|body| {
        body.instructions().i32_const(1024);
    });
    function(&|_| {});
    function(&|body| {
        let mut write = body.instructions();
        write
            .local_get(1)
            .i32_const(LIMIT)
            .i32_gt_u()
            .if_(BlockType::Empty)
            .unreachable()
            .end()
            .i32_const(0);
    });
    let mut module = Module::new();
    module
        .section(&types)
        .section(&functions)
        .section(&memories)
        .section(&exports)
        .section(&code);
    module.finish()
}
