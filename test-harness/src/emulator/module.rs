//! A compiled module, checked as Envoy checks it, and linked once for all its VMs.
//!
//! 1. It must export one `proxy_abi_version_*` marker that Envoy knows, memory, and an allocator.
//! 2. It may import what Envoy offers: `env.proxy_*`, a few Emscripten functions, and WASI preview 1 under both its names.
//!    Anything else is `missing import: module.name`.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use thiserror::Error;
use wasmtime::{Config, Engine, InstancePre, Linker};

use super::guest::VmState;
use super::{linker, wasi};

/// Why a module cannot be loaded.
#[derive(Debug, Error)]
pub enum ModuleError {
    /// The file.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not WebAssembly, or not what the engine takes.
    #[error("failed to load Wasm bytecode: {0}")]
    Bytecode(String),
    /// No or an unknown marker.
    #[error(
        "missing or unknown proxy-wasm ABI version: expected an export proxy_abi_version_0_2_1, _0_2_0 or _0_1_0"
    )]
    AbiVersion,
    /// No allocator.
    #[error("missing malloc: expected an export malloc or proxy_on_memory_allocate")]
    Malloc,
    /// An import that Envoy does not have, or has with another type.
    #[error("failed to load Wasm module: {0}")]
    Import(String),
}

/// A module, ready for VMs. Cheap to clone; may be used from several threads.
#[derive(Clone)]
pub struct Module {
    inner: Arc<Inner>,
}

struct Inner {
    pre: InstancePre<VmState>,
    module: wasmtime::Module,
}

impl Module {
    /// From a `.wasm` or `.wat` file.
    pub fn read(path: &Path) -> Result<Self, ModuleError> {
        let bytes = std::fs::read(path).map_err(|source| ModuleError::Read {
            path: path.display().to_string(),
            source,
        })?;
        Module::new(&bytes)
    }

    /// From the bytes of a module (binary or text).
    pub fn new(bytes: &[u8]) -> Result<Self, ModuleError> {
        let engine = engine();
        let module = wasmtime::Module::new(engine, bytes)
            .map_err(|e| ModuleError::Bytecode(format!("{e:#}")))?;
        let has = |name: &str| module.get_export(name).is_some();
        let markers = [
            "proxy_abi_version_0_2_1",
            "proxy_abi_version_0_2_0",
            "proxy_abi_version_0_1_0",
        ];
        if !markers.iter().any(|marker| has(marker)) {
            return Err(ModuleError::AbiVersion);
        }
        if !has("malloc") && !has("proxy_on_memory_allocate") {
            return Err(ModuleError::Malloc);
        }
        let linker = shared_linker();
        for import in module.imports() {
            if !offered(import.module(), import.name()) {
                let problem = format!("missing import: {}.{}", import.module(), import.name());
                return Err(ModuleError::Import(problem));
            }
        }
        let pre = linker
            .instantiate_pre(&module)
            .map_err(|e| ModuleError::Import(format!("{e:#}")))?;
        Ok(Module {
            inner: Arc::new(Inner { pre, module }),
        })
    }

    pub(super) fn engine(&self) -> &Engine {
        self.inner.module.engine()
    }

    pub(super) fn pre(&self) -> &InstancePre<VmState> {
        &self.inner.pre
    }
}

/// Whether Envoy offers this import.
fn offered(module: &str, name: &str) -> bool {
    match module {
        "env" => linker::NAMES.contains(&name),
        "wasi_snapshot_preview1" | "wasi_unstable" => wasi::offers(name),
        _ => false,
    }
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let mut config = Config::new();
        config.consume_fuel(true);
        config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(32));
        Engine::new(&config).unwrap_or_default()
    })
}

fn shared_linker() -> &'static Linker<VmState> {
    static LINKER: OnceLock<Linker<VmState>> = OnceLock::new();
    LINKER.get_or_init(|| {
        let mut linker = Linker::new(engine());
        // Definitions of distinct names cannot clash; a missing one would show at once as a missing import.
        let _ = linker::define(&mut linker);
        let _ = wasi::define(&mut linker);
        linker
    })
}
