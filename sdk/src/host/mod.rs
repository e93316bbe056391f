//! The edge: the only place that names `proxy_wasm`.
//!
//! 1. [`start`] is what a module's one registration line calls. It is generic over [`Module`], so that no plugin has an
//!    edge of its own.
//! 2. Nothing here decides anything about traffic: it reads, lets the module decide, and applies.
//! 3. No byte from a client and no status that the host returns panics. What the host refuses is counted.

mod abi;
mod apply;
mod core;
mod last_words;
mod ports;
mod root;
mod stream;

use crate::member::Module;

/// Registers a module with the host. Called once, from `_initialize`.
pub fn start<M: Module>() {
    abi::construct_statics();
    last_words::install::<M>();
    proxy_wasm::set_root_context(root::create::<M>);
}
