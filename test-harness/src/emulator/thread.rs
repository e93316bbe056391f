//! A thread of the process: its VMs, and the plugins in them.
//!
//! Plugins with the same VM id, VM configuration, environment and code share a VM; each has a root context in it. A dead VM is
//! treated by each plugin's failure policy when the next stream comes.

use std::path::PathBuf;
use std::rc::Rc;

use super::context::{Kind, Root};
use super::guest::{Vm, VmSettings};
use super::module::Module;
use super::plugin::{PluginInfo, config_bytes};
use super::world::WorldRef;
use crate::scenario::schema::{FailurePolicy, Plugin};

/// A plugin as written, with its module.
#[derive(Clone)]
pub struct Loaded {
    /// Where the module came from.
    pub path: PathBuf,
    /// The module.
    pub module: Module,
    /// As the scenario has it, with the present configuration.
    pub plugin: Plugin,
}

/// A plugin on a thread.
pub struct Slot {
    /// Its VM.
    pub vm: Rc<Vm>,
    /// Its root context.
    pub root: u32,
    /// Its settings.
    pub info: Rc<PluginInfo>,
    /// When the VM was loaded, in nanoseconds of virtual time.
    pub loaded_at: u64,
}

/// A thread.
pub struct Thread {
    /// `main`, `worker 0`.
    pub name: String,
    /// Its plugins in chain order.
    pub slots: Vec<Slot>,
    seed: u64,
}

/// What a filter on a new stream is.
pub enum Entry {
    /// Alive, or dead and closed.
    Filter {
        /// Whether its VM is dead.
        failed: bool,
    },
    /// Left out.
    Bypass,
}

impl Thread {
    /// A thread without plugins.
    pub fn new(name: String, index: u64) -> Self {
        Thread {
            name,
            slots: Vec::new(),
            seed: 0x9e37_79b9_7f4a_7c15 ^ (index + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9),
        }
    }

    /// Loads a plugin behind those there are. `Ok(false)`: it refused to start or its configuration.
    pub fn load(
        &mut self,
        world: &WorldRef,
        loaded: &[Loaded],
        index: usize,
    ) -> anyhow::Result<bool> {
        let Some(own) = loaded.get(index) else {
            return Ok(false);
        };
        let shared = self
            .slots
            .iter()
            .zip(loaded)
            .find(|(slot, other)| same_vm(own, other) && slot.vm.dead().is_none());
        let vm = match shared {
            Some((slot, _)) => Rc::clone(&slot.vm),
            None => new_vm(world, own, self.name.clone(), false, self.seed)?,
        };
        let info = Rc::new(PluginInfo::new(&own.plugin));
        let present = self
            .slots
            .iter()
            .find(|slot| Rc::ptr_eq(&slot.vm, &vm) && slot.info == info)
            .map(|slot| slot.root);
        let root = match present {
            Some(root) => root,
            None => match configure(&vm, &info) {
                Some(root) => root,
                None => return Ok(false),
            },
        };
        let loaded_at = world.borrow().clock.now();
        self.slots.push(Slot {
            vm,
            root,
            info,
            loaded_at,
        });
        Ok(true)
    }

    /// What the plugin at `index` is for a new stream; a dead VM may be replaced here.
    pub fn enter(
        &mut self,
        world: &WorldRef,
        loaded: &[Loaded],
        index: usize,
    ) -> anyhow::Result<Entry> {
        let Some(slot) = self.slots.get(index) else {
            return Ok(Entry::Bypass);
        };
        if slot.vm.dead().is_none() {
            return Ok(Entry::Filter { failed: false });
        }
        match slot.info.policy {
            FailurePolicy::FailClosed => Ok(Entry::Filter { failed: true }),
            FailurePolicy::FailOpen => Ok(Entry::Bypass),
            FailurePolicy::FailReload => {
                let due = slot.loaded_at.saturating_add(
                    u64::try_from(slot.info.backoff.as_nanos()).unwrap_or(u64::MAX),
                );
                if world.borrow().clock.now() < due {
                    return Ok(Entry::Filter { failed: true });
                }
                Ok(Entry::Filter {
                    failed: !self.revive(world, loaded, index)?,
                })
            }
        }
    }

    /// A new VM in the place of a dead one.
    fn revive(
        &mut self,
        world: &WorldRef,
        loaded: &[Loaded],
        index: usize,
    ) -> anyhow::Result<bool> {
        let Some(own) = loaded.get(index) else {
            return Ok(false);
        };
        let vm = new_vm(world, own, self.name.clone(), false, self.seed)?;
        let now = world.borrow().clock.now();
        let Some(slot) = self.slots.get_mut(index) else {
            return Ok(false);
        };
        slot.loaded_at = now;
        let Some(root) = configure(&vm, &slot.info) else {
            return Ok(false);
        };
        (slot.vm, slot.root) = (vm, root);
        Ok(true)
    }

    /// Gives a plugin its new configuration: a new root context in its VM, and the end of the old one.
    pub fn reconfigure(
        &mut self,
        world: &WorldRef,
        loaded: &[Loaded],
        index: usize,
    ) -> anyhow::Result<()> {
        let (Some(own), Some(slot)) = (loaded.get(index), self.slots.get_mut(index)) else {
            return Ok(());
        };
        let info = Rc::new(PluginInfo::new(&own.plugin));
        if slot.info == info {
            return Ok(());
        }
        let vm = if slot.vm.dead().is_some() {
            new_vm(world, own, self.name.clone(), false, self.seed)?
        } else {
            Rc::clone(&slot.vm)
        };
        if let Some(root) = configure(&vm, &info) {
            let old = std::mem::replace(
                slot,
                Slot {
                    vm,
                    root,
                    info,
                    loaded_at: world.borrow().clock.now(),
                },
            );
            end_root(&old.vm, old.root);
        }
        Ok(())
    }
}

/// The end of a root context: no more ticks, `on_done`, `on_delete`. It stays while streams have it.
pub fn end_root(vm: &Rc<Vm>, root: u32) {
    if vm.call(root, "proxy_on_done", &[]).or(1) != 0 {
        vm.call(root, "proxy_on_delete", &[]);
    }
    let mut state = vm.state_mut();
    let streams = state
        .contexts
        .values()
        .any(|context| context.root == root && context.stream().is_some());
    if !streams {
        state.contexts.remove(&root);
    } else if let Some(Kind::Root(timer)) = state
        .contexts
        .get_mut(&root)
        .map(|context| &mut context.kind)
    {
        timer.generation += 1;
        timer.tick_ms = 0;
    }
}

/// Makes a VM for a plugin.
pub fn new_vm(
    world: &WorldRef,
    loaded: &Loaded,
    thread: String,
    canary: bool,
    seed: u64,
) -> anyhow::Result<Rc<Vm>> {
    let plugin = &loaded.plugin;
    let settings = VmSettings {
        environment: &plugin.env,
        vm_id: &plugin.vm_id,
        vm_config: config_bytes(plugin.vm_config.as_ref()),
        max_memory: plugin.max_memory.unwrap_or(1 << 30),
        max_instructions: plugin.max_instructions.unwrap_or(1_000_000_000),
        name: plugin.name.clone().unwrap_or_else(|| plugin.plugin.clone()),
        thread,
        canary,
        seed,
    };
    Vm::new(&loaded.module, world, settings)
}

/// Makes a root context: create, `on_vm_start`, `on_configure`. `None` if one of them says no or traps.
pub fn configure(vm: &Rc<Vm>, info: &Rc<PluginInfo>) -> Option<u32> {
    let root = vm.add_context(None, Rc::clone(info), Kind::Root(Root::default()));
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    if vm.call(root, "proxy_on_context_create", &[0]).failed() {
        return None;
    }
    if vm
        .call(root, "proxy_on_vm_start", &[size(&info.vm_config)])
        .verdict()
        == 0
    {
        return None;
    }
    set_configuring(vm, root, true);
    let accepted = vm
        .call(root, "proxy_on_configure", &[size(&info.config)])
        .verdict()
        != 0;
    set_configuring(vm, root, false);
    accepted.then_some(root)
}

fn set_configuring(vm: &Rc<Vm>, root: u32, configuring: bool) {
    if let Some(Kind::Root(state)) = vm
        .state_mut()
        .contexts
        .get_mut(&root)
        .map(|context| &mut context.kind)
    {
        state.configuring = configuring;
    }
}

fn same_vm(a: &Loaded, b: &Loaded) -> bool {
    let key = |loaded: &Loaded| {
        let plugin = &loaded.plugin;
        (
            loaded.path.clone(),
            plugin.vm_id.clone(),
            config_bytes(plugin.vm_config.as_ref()),
            plugin.env.clone(),
        )
    };
    key(a) == key(b)
}
