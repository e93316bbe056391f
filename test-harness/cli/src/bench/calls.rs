//! What a host call costs inside Envoy, by its name.
//!
//! 1. A module for each call, which makes it a hundred times in the request callback; the price is the difference to the same
//!    module that makes none. Memory that the host asks for is handed out without any work.
//! 2. What returns bytes returns few: a header, an attribute, the headers of an ordinary request.
//! 3. A removal needs something to remove: it is measured together with a write, whose price is taken off.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use launchgate_harness::envoy::Plugin;

use super::load;
use super::statistic::Spread;
use super::variant::{self, Filter, Variant};

/// Microseconds of one call, by the function's name in the ABI.
pub(crate) type Prices = BTreeMap<&'static str, f64>;

const TIMES: usize = 100;
const ROUNDS: usize = 5;

/// A call: its name, its parameters, and what it is called with. In memory 0 and 4 take results, and [`DATA`] holds text.
struct Call {
    name: &'static str,
    parameters: &'static str,
    arguments: &'static str,
}

const WRITE: &str = "proxy_replace_header_map_value";
const REMOVE: &str = "proxy_remove_header_map_value";

/// Text at 64: `x-made`, at 96: `value`, at 128: `user-agent`, at 160: `request` NUL `protocol`, at 192: `made_by_bench`.
const DATA: &str = r#"(data (i32.const 64) "x-made") (data (i32.const 96) "value") (data (i32.const 128) "user-agent") (data (i32.const 160) "request\00protocol") (data (i32.const 192) "made_by_bench")"#;

const WRITE_ARGUMENTS: &str =
    "(i32.const 0) (i32.const 64) (i32.const 6) (i32.const 96) (i32.const 5)";

const CALLS: [Call; 10] = [
    Call {
        name: "proxy_get_header_map_pairs",
        parameters: "i32 i32 i32",
        arguments: "(i32.const 0) (i32.const 0) (i32.const 4)",
    },
    Call {
        name: "proxy_get_header_map_value",
        parameters: "i32 i32 i32 i32 i32",
        arguments: "(i32.const 0) (i32.const 128) (i32.const 10) (i32.const 0) (i32.const 4)",
    },
    Call {
        name: WRITE,
        parameters: "i32 i32 i32 i32 i32",
        arguments: WRITE_ARGUMENTS,
    },
    Call {
        name: REMOVE,
        parameters: "i32 i32 i32",
        arguments: "(i32.const 0) (i32.const 64) (i32.const 6)",
    },
    Call {
        name: "proxy_get_property",
        parameters: "i32 i32 i32 i32",
        arguments: "(i32.const 160) (i32.const 16) (i32.const 0) (i32.const 4)",
    },
    Call {
        name: "proxy_set_property",
        parameters: "i32 i32 i32 i32",
        arguments: "(i32.const 64) (i32.const 6) (i32.const 96) (i32.const 5)",
    },
    Call {
        name: "proxy_increment_metric",
        parameters: "i32 i64",
        arguments: "(global.get $counter) (i64.const 1)",
    },
    Call {
        name: "proxy_record_metric",
        parameters: "i32 i64",
        arguments: "(global.get $histogram) (i64.const 1)",
    },
    Call {
        name: "proxy_get_metric",
        parameters: "i32 i32",
        arguments: "(global.get $counter) (i32.const 0)",
    },
    Call {
        name: "proxy_get_current_time_nanoseconds",
        parameters: "i32",
        arguments: "(i32.const 0)",
    },
];

/// Measures all of them on an Envoy of their own.
pub(crate) fn measure(requests: usize) -> Result<Prices> {
    let folder = tempfile::tempdir()?;
    let mut variants = vec![variant("no call", module(None), folder.path())?];
    for call in &CALLS {
        variants.push(variant(call.name, module(Some(call)), folder.path())?);
    }
    let envoy = super::start(super::Gateway::new(&variants).bootstrap()?)?;
    let mut samples: Vec<Vec<f64>> = vec![Vec::new(); variants.len()];
    for _ in 0..=ROUNDS {
        for (variant, own) in variants.iter().zip(&mut samples) {
            own.push(load::run(&envoy, variant, requests)?);
        }
    }
    // The first round warms up.
    let medians = samples
        .into_iter()
        .map(|own| Spread::of(own.into_iter().skip(1).collect()).median);
    let mut medians = medians.collect::<Vec<_>>().into_iter();
    let none = medians.next().context("no variant was measured")?;
    let price = |cost: f64| (cost - none).max(0.0) / 1000.0 / TIMES as f64;
    let mut prices: Prices = CALLS
        .iter()
        .zip(medians)
        .map(|(call, cost)| (call.name, price(cost)))
        .collect();
    let write = prices.get(WRITE).copied().unwrap_or_default();
    if let Some(remove) = prices.get_mut(REMOVE) {
        *remove = (*remove - write).max(0.0);
    }
    Ok(prices)
}

fn variant(name: &str, text: String, folder: &Path) -> Result<Variant> {
    let path = folder.join(format!("{}.wasm", name.replace(' ', "-")));
    std::fs::write(&path, wat::parse_str(text)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Variant {
        name: name.to_owned(),
        filters: vec![Filter::Wasm(Plugin::new(name, &path))],
        access_log: None,
        path: variant::ORDINARY,
        headers: variant::usual_headers(),
    })
}

/// A module in WebAssembly's text format.
fn module(call: Option<&Call>) -> String {
    let mut imports = String::from(
        r#"(import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))"#,
    );
    let mut body = String::new();
    if let Some(Call {
        name,
        parameters,
        arguments,
    }) = call
    {
        imports +=
            &format!(r#"(import "env" "{name}" (func $call (param {parameters}) (result i32)))"#);
        if *name == REMOVE {
            imports += &format!(
                r#"(import "env" "{WRITE}" (func $write (param i32 i32 i32 i32 i32) (result i32)))"#
            );
            body += &format!("(drop (call $write {WRITE_ARGUMENTS}))");
        }
        body += &format!("(drop (call $call {arguments}))");
    }
    format!(
        r#"(module {imports}
  (memory (export "memory") 4) {DATA}
  (global $counter (mut i32) (i32.const 0)) (global $histogram (mut i32) (i32.const 0))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 65536))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (drop (call $define (i32.const 0) (i32.const 192) (i32.const 13) (i32.const 0)))
    (global.set $counter (i32.load (i32.const 0)))
    (drop (call $define (i32.const 2) (i32.const 192) (i32.const 13) (i32.const 0)))
    (global.set $histogram (i32.load (i32.const 0)))
    (i32.const 1))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $left i32)
    (local.set $left (i32.const {TIMES}))
    (loop $again
      {body}
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $again (local.get $left)))
    (i32.const 0)))"#
    )
}
