//! One VM: a module's instance, its contexts, and calls into it.
//!
//! 1. A call runs with a fuel limit, so an endless loop ends; what it used is recorded.
//! 2. A trap kills the VM. Envoy's words for it, with the backtrace, go to the record.
//! 3. What the guest asks of its stream (continue, reply, close) is done after the guest has returned.

use std::cell::{Ref, RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;

use wasmtime::{
    Extern, Func, Memory, Store, StoreLimits, StoreLimitsBuilder, Trap, TypedFunc, Val,
    WasmBacktrace,
};

use super::context::{Context, Kind};
use super::module::Module;
use super::plugin::PluginInfo;
use super::stats::MetricIds;
use super::world::{CalloutAnswer, WorldRef};
use crate::scenario::host::{Cost, UpstreamRequest};

/// A VM of a thread.
pub struct Vm {
    store: RefCell<Store<VmState>>,
    exports: BTreeMap<String, Func>,
    /// `canary`, `main`, `worker 0`, for messages.
    pub thread: String,
}

/// The state that host calls work on.
pub struct VmState {
    /// The world around.
    pub world: WorldRef,
    /// The guest's memory.
    pub memory: Option<Memory>,
    /// The guest's allocator.
    pub malloc: Option<TypedFunc<u32, u32>>,
    limits: StoreLimits,
    /// `KEY=value` of the VM.
    pub environment: Vec<String>,
    /// Plugin, for messages before there is a context.
    pub name: String,
    /// VM id.
    pub vm_id: String,
    /// VM configuration.
    pub vm_config: Vec<u8>,
    /// Its contexts.
    pub contexts: BTreeMap<u32, Context>,
    /// The next context's id.
    pub next_context: u32,
    /// The context a callback runs on.
    pub current: u32,
    /// The context that the guest chose instead.
    pub effective: Option<u32>,
    /// Ids of its metrics.
    pub metrics: MetricIds,
    /// Number of the last HTTP call.
    pub last_http_call: u32,
    /// Number of the last gRPC call.
    pub last_grpc_call: u32,
    /// Number of the last gRPC stream.
    pub last_grpc_stream: u32,
    /// Open gRPC calls and streams, each with the request as long as it is not whole.
    pub grpc_open: BTreeMap<u32, Option<UpstreamRequest>>,
    /// The call-out answer being delivered.
    pub answer: Option<CalloutAnswer>,
    /// The gRPC message being delivered.
    pub grpc_message: Option<Vec<u8>>,
    /// The gRPC metadata being delivered: initial or trailing.
    pub grpc_metadata: (
        Option<super::header_map::HeaderMap>,
        Option<super::header_map::HeaderMap>,
    ),
    /// `proxy_get_status`: code and message of the last call.
    pub last_status: (u32, Vec<u8>),
    /// What the guest asked of its streams.
    pub actions: Vec<(u32, Action)>,
    /// Whether it is the throw-away VM of a configuration check.
    pub canary: bool,
    /// Whether the module is still in `_initialize`.
    pub initializing: bool,
    /// Whether `proxy_done` is awaited.
    pub done_pending: bool,
    /// Why the VM is dead.
    pub dead: Option<String>,
    /// State of its random number generator.
    pub random: u64,
    /// The callback that runs.
    pub callback: &'static str,
    /// Host calls of this callback.
    pub host_calls: BTreeMap<&'static str, u64>,
    /// Bytes copied in this callback.
    pub bytes: u64,
    /// The VM itself, for events.
    pub this: std::rc::Weak<Vm>,
    /// Instructions that one callback may use.
    pub max_instructions: u64,
}

/// What a guest asks of its stream.
#[derive(Debug, Clone)]
pub enum Action {
    /// Continue the request.
    ContinueRequest,
    /// Continue the response.
    ContinueResponse,
    /// Go on with what a TCP client has sent.
    ContinueDownstream,
    /// Answer in the upstream's place.
    Reply(super::exchange::LocalReply),
    /// Reset the stream.
    Close,
}

/// What came of a call into the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called {
    /// It returned this (0 for nothing).
    Returned(u32),
    /// The module has no such export.
    Missing,
    /// It trapped now.
    Trapped,
    /// The VM had died before.
    Dead,
}

impl Called {
    /// The value, or `default` where nothing was returned.
    pub fn or(self, default: u32) -> u32 {
        match self {
            Called::Returned(value) => value,
            _ => default,
        }
    }

    /// The answer of a callback that may refuse; a module without it accepts.
    pub fn verdict(self) -> u32 {
        match self {
            Called::Returned(value) => value,
            Called::Missing => 1,
            Called::Trapped | Called::Dead => 0,
        }
    }

    /// Whether the VM is dead now.
    pub fn failed(self) -> bool {
        matches!(self, Called::Trapped | Called::Dead)
    }
}

/// What a VM is made with.
pub struct VmSettings<'a> {
    /// Environment.
    pub environment: &'a BTreeMap<String, String>,
    /// VM id.
    pub vm_id: &'a str,
    /// VM configuration.
    pub vm_config: Vec<u8>,
    /// Memory limit in bytes.
    pub max_memory: u64,
    /// Instruction limit of one callback.
    pub max_instructions: u64,
    /// Plugin, for messages before there is a context.
    pub name: String,
    /// Thread, for messages.
    pub thread: String,
    /// Whether it is thrown away after configuration.
    pub canary: bool,
    /// Seed of `random_get`.
    pub seed: u64,
}

impl Vm {
    /// Instantiates the module and runs `_initialize` (or `_start`).
    pub fn new(
        module: &Module,
        world: &WorldRef,
        settings: VmSettings<'_>,
    ) -> anyhow::Result<Rc<Vm>> {
        let thread = settings.thread.clone();
        let mut store = Store::new(module.engine(), state(world, settings));
        store.limiter(|state| &mut state.limits);
        store.set_fuel(u64::MAX).map_err(plain)?;
        let instance = module.pre().instantiate(&mut store).map_err(plain)?;
        let mut exports = BTreeMap::new();
        let names: Vec<(String, Extern)> = instance
            .exports(&mut store)
            .map(|e| (e.name().to_owned(), e.into_extern()))
            .collect();
        for (name, export) in names {
            match export {
                Extern::Func(func) => {
                    exports.insert(name, func);
                }
                Extern::Memory(memory) => store.data_mut().memory = Some(memory),
                _ => {}
            }
        }
        let malloc = ["malloc", "proxy_on_memory_allocate"]
            .iter()
            .find_map(|name| exports.get(*name));
        let malloc = malloc.and_then(|func| func.typed::<u32, u32>(&store).ok());
        store.data_mut().malloc = malloc;
        let vm = Rc::new(Vm {
            store: RefCell::new(store),
            exports,
            thread,
        });
        vm.store.borrow_mut().data_mut().this = Rc::downgrade(&vm);
        vm.initialize()?;
        Ok(vm)
    }

    fn initialize(&self) -> anyhow::Result<()> {
        // A reactor may have a `main` besides; a command is its `_start` alone.
        let entries: &[&'static str] = match self.exports.contains_key("_initialize") {
            true if self.exports.contains_key("main") => &["_initialize", "main"],
            true => &["_initialize", "__main_void"],
            false => &["_start"],
        };
        for name in entries {
            if self.invoke(0, name, &[0, 0]).failed() {
                anyhow::bail!("{name} failed: {}", self.dead().unwrap_or_default());
            }
        }
        self.state_mut().initializing = false;
        Ok(())
    }

    /// The state, for reading.
    pub fn state(&self) -> Ref<'_, VmState> {
        Ref::map(self.store.borrow(), |store| store.data())
    }

    /// The state, for changing.
    pub fn state_mut(&self) -> RefMut<'_, VmState> {
        RefMut::map(self.store.borrow_mut(), |store| store.data_mut())
    }

    /// Why it is dead, if it is.
    pub fn dead(&self) -> Option<String> {
        self.state().dead.clone()
    }

    /// Makes a context under a root context (without one, it is a root itself); the guest is not told.
    pub fn add_context(&self, root: Option<u32>, plugin: Rc<PluginInfo>, kind: Kind) -> u32 {
        let mut state = self.state_mut();
        let id = state.next_context;
        state.next_context += 1;
        let root = root.unwrap_or(id);
        state.contexts.insert(id, Context { root, plugin, kind });
        id
    }

    /// Calls a callback on a context: `args` follow the context's id.
    pub fn call(&self, context: u32, callback: &'static str, args: &[u32]) -> Called {
        let mut all = vec![context];
        all.extend_from_slice(args);
        self.invoke(context, callback, &all)
    }

    fn invoke(&self, context: u32, callback: &'static str, args: &[u32]) -> Called {
        let mut store = self.store.borrow_mut();
        if store.data().dead.is_some() {
            return Called::Dead;
        }
        let Some(func) = self.exports.get(callback) else {
            return Called::Missing;
        };
        let limit = store.data().max_instructions;
        begin(store.data_mut(), context, callback, args);
        let ty = func.ty(&*store);
        let vals: Vec<Val> = args
            .iter()
            .take(ty.params().len())
            .map(|arg| Val::I32(arg.cast_signed()))
            .collect();
        let mut results = vec![Val::I32(0); ty.results().len()];
        let outcome = store
            .set_fuel(limit)
            .and_then(|()| func.call(&mut *store, &vals, &mut results));
        let used = limit.saturating_sub(store.get_fuel().unwrap_or(0));
        finish(store.data_mut(), callback, used);
        match outcome {
            Ok(()) => Called::Returned(
                results
                    .first()
                    .and_then(Val::i32)
                    .unwrap_or(0)
                    .cast_unsigned(),
            ),
            Err(error) => {
                let message = trap_message(callback, &error, limit);
                let state = store.data_mut();
                let plugin = state.plugin_name(context);
                let thread = &self.thread;
                let text = format!("plugin {plugin} ({thread}): {message}");
                state.world.borrow_mut().record.traps.push(text.clone());
                state.dead = Some(text);
                Called::Trapped
            }
        }
    }

    /// Takes what the guest asked of its streams.
    pub fn take_actions(&self) -> Vec<(u32, Action)> {
        std::mem::take(&mut self.state_mut().actions)
    }
}

fn plain(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}

fn state(world: &WorldRef, settings: VmSettings<'_>) -> VmState {
    let max_memory = usize::try_from(settings.max_memory).unwrap_or(usize::MAX);
    VmState {
        world: Rc::clone(world),
        memory: None,
        malloc: None,
        limits: StoreLimitsBuilder::new().memory_size(max_memory).build(),
        environment: settings
            .environment
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect(),
        name: settings.name,
        vm_id: settings.vm_id.to_owned(),
        vm_config: settings.vm_config,
        contexts: BTreeMap::new(),
        next_context: 1,
        current: 0,
        effective: None,
        metrics: MetricIds::default(),
        last_http_call: 0,
        last_grpc_call: 0,
        last_grpc_stream: 0,
        grpc_open: BTreeMap::new(),
        answer: None,
        grpc_message: None,
        grpc_metadata: (None, None),
        last_status: (0, Vec::new()),
        actions: Vec::new(),
        canary: settings.canary,
        initializing: true,
        done_pending: false,
        dead: None,
        random: settings.seed,
        callback: "_initialize",
        host_calls: BTreeMap::new(),
        bytes: 0,
        this: std::rc::Weak::new(),
        max_instructions: settings.max_instructions,
    }
}

fn begin(state: &mut VmState, context: u32, callback: &'static str, args: &[u32]) {
    state.current = context;
    state.effective = None;
    state.callback = callback;
    state.host_calls.clear();
    state.bytes = 0;
    let mut world = state.world.borrow_mut();
    if world.tracing {
        let line = format!(
            "{callback}({})",
            args.iter()
                .map(u32::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        );
        world.record.trace.push(line);
    }
}

fn finish(state: &mut VmState, callback: &'static str, instructions: u64) {
    let plugin = state.plugin_name(state.current);
    let calls = std::mem::take(&mut state.host_calls);
    let bytes = state.bytes;
    let callback = callback.strip_prefix("proxy_").unwrap_or(callback);
    state.world.borrow_mut().record.costs.push(Cost {
        plugin,
        callback,
        instructions,
        host_calls: calls.values().sum(),
        calls,
        bytes,
    });
    state.effective = None;
}

/// Envoy's words: `Function: … failed: Uncaught RuntimeError: …`, then the backtrace.
fn trap_message(callback: &str, error: &wasmtime::Error, limit: u64) -> String {
    let reason = match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => "Uncaught RuntimeError: unreachable".to_owned(),
        Some(Trap::MemoryOutOfBounds) => {
            "Uncaught RuntimeError: memory access out of bounds".to_owned()
        }
        Some(Trap::OutOfFuel) => {
            format!(
                "instruction limit of {limit} reached (an endless loop would block the worker for ever)"
            )
        }
        Some(Trap::StackOverflow) => {
            "Uncaught RangeError: Maximum call stack size exceeded".to_owned()
        }
        Some(trap) => format!("Uncaught RuntimeError: {trap}"),
        None => error.root_cause().to_string(),
    };
    let mut text = format!("Function: {callback} failed: {reason}");
    if let Some(backtrace) = error
        .downcast_ref::<WasmBacktrace>()
        .filter(|b| !b.frames().is_empty())
    {
        text.push_str("\nProxy-Wasm plugin in-VM backtrace:");
        for (index, frame) in backtrace.frames().iter().take(24).enumerate() {
            let name = frame.func_name().map_or_else(|| "?".to_owned(), demangle);
            text.push_str(&format!(
                "\n  {index}: {:#x} - {name}",
                frame.module_offset().unwrap_or(0)
            ));
        }
    }
    text
}

fn demangle(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

impl VmState {
    /// The context that host calls work on: the chosen one, or that of the callback.
    pub fn context_id(&self) -> u32 {
        self.effective.unwrap_or(self.current)
    }

    /// That context.
    pub fn context(&self) -> Option<&Context> {
        self.contexts.get(&self.context_id())
    }

    /// That context, for changing.
    pub fn context_mut(&mut self) -> Option<&mut Context> {
        let id = self.context_id();
        self.contexts.get_mut(&id)
    }

    /// The plugin that a context belongs to.
    pub fn plugin_of(&self, context: u32) -> Option<&Rc<PluginInfo>> {
        self.contexts.get(&context).map(|context| &context.plugin)
    }

    /// Its name.
    pub fn plugin_name(&self, context: u32) -> String {
        self.plugin_of(context)
            .or_else(|| self.contexts.values().next().map(|context| &context.plugin))
            .map_or_else(|| self.name.clone(), |plugin| plugin.name.clone())
    }

    /// The root context of the present one.
    pub fn root_id(&self) -> u32 {
        self.context().map_or(1, |context| context.root)
    }

    /// Writes down that the guest did something that is wrong in this phase.
    pub fn wrong_phase(&self, what: &str) {
        let plugin = self.plugin_name(self.current);
        let callback = self.callback;
        let text = format!("plugin {plugin}: {callback} calls {what}");
        let mut world = self.world.borrow_mut();
        if !world.record.faults.contains(&text) {
            world.record.faults.push(text);
        }
    }
}
