//! Modules of other makers: what Envoy takes from each toolchain, the emulator takes too; what Envoy lacks is refused by name.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at what is not as expected"
)]

use std::path::Path;

use launchgate_harness::emulator::Modules;
use launchgate_harness::scenario::ScenarioFile;
use launchgate_harness::scenario::run::{CaseResult, emulate};

/// A module that answers 418 if the byte at 8 is 1: only an entry point sets it.
fn module(abi: &str, allocator: &str, entry: &str, imports: &str) -> String {
    format!(
        r#"(module
  (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  {imports}
  (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 4096))
  (func (export "{abi}"))
  (func (export "{allocator}") (param $size i32) (result i32)
    (global.get $top) (global.set $top (i32.add (global.get $top) (local.get $size))))
  (func $ready (i32.store8 (i32.const 8) (i32.const 1)))
  {entry}
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (if (i32.load8_u (i32.const 8)) (then
      (drop (call $reply (i32.const 418) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))))
    (i32.const 0)))"#
    )
}

fn run(name: &str, module: &str) -> Vec<CaseResult> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("guest.wat"), module).unwrap();
    let text = "{plugins: [{plugin: guest.wat}], cases: [{name: it started, request: {path: /}, expect: {status: 418}}]}";
    let file = ScenarioFile::parse(&folder.path().join(name), text).unwrap();
    emulate(&file, &Modules::new(Path::new("dist")))
}

#[track_caller]
fn starts(name: &str, module: &str) {
    for result in run(name, module) {
        assert!(result.passed(), "{name}: {:#?}", result.faults);
    }
}

#[track_caller]
fn refused(name: &str, module: &str) -> String {
    let results = run(name, module);
    let fault = results.iter().find_map(|result| result.faults.first());
    fault.unwrap().finding.got.clone()
}

const REACTOR: &str = r#"(export "_initialize" (func $ready))"#;

#[test]
fn each_toolchain_s_shape_starts() {
    let wasi_old =
        r#"(import "wasi_unstable" "fd_write" (func (param i32 i32 i32 i32) (result i32)))"#;
    let wasi_new =
        r#"(import "wasi_snapshot_preview1" "sock_shutdown" (func (param i32 i32) (result i32)))"#;
    let emscripten = r#"(import "env" "emscripten_notify_memory_growth" (func (param i32)))"#;
    let command = r#"(export "_start" (func $ready))"#;
    let main = r#"(func (export "_initialize")) (func (export "main") (param i32 i32) (result i32) (call $ready) (i32.const 0))"#;
    let main_void = r#"(func (export "_initialize")) (func (export "__main_void") (result i32) (call $ready) (i32.const 0))"#;
    for (name, abi, allocator, entry, imports) in [
        (
            "rust",
            "proxy_abi_version_0_2_1",
            "proxy_on_memory_allocate",
            REACTOR,
            wasi_new,
        ),
        (
            "tinygo",
            "proxy_abi_version_0_2_0",
            "malloc",
            command,
            wasi_new,
        ),
        (
            "go",
            "proxy_abi_version_0_2_1",
            "proxy_on_memory_allocate",
            main,
            wasi_new,
        ),
        (
            "assemblyscript",
            "proxy_abi_version_0_2_0",
            "malloc",
            command,
            wasi_old,
        ),
        (
            "c++",
            "proxy_abi_version_0_2_1",
            "malloc",
            main_void,
            emscripten,
        ),
    ] {
        starts(name, &module(abi, allocator, entry, imports));
    }
}

#[test]
fn what_envoy_does_not_have_is_refused_by_name() {
    let abi = "proxy_abi_version_0_2_1";
    let unknown = r#"(import "env" "proxy_teleport" (func (param i32) (result i32)))"#;
    let told = refused("unknown", &module(abi, "malloc", REACTOR, unknown));
    assert!(
        told.contains("missing import: env.proxy_teleport"),
        "{told}"
    );
    let mistyped = r#"(import "env" "proxy_done" (func (param i64) (result i32)))"#;
    let told = refused("mistyped", &module(abi, "malloc", REACTOR, mistyped));
    assert!(told.contains("proxy_done"), "{told}");
    let told = refused(
        "newer",
        &module("proxy_abi_version_0_3_0", "malloc", REACTOR, ""),
    );
    assert!(
        told.contains("missing or unknown proxy-wasm ABI version"),
        "{told}"
    );
    let told = refused("no allocator", &module(abi, "allocate", REACTOR, ""));
    assert!(told.contains("missing malloc"), "{told}");
}

#[test]
fn modules_are_shared_by_threads_and_tests_run_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let guest = module("proxy_abi_version_0_2_1", "malloc", REACTOR, "");
    std::fs::write(folder.path().join("guest.wat"), guest).unwrap();
    let text = "{plugins: [{plugin: guest.wat}], cases: [{name: one, request: {path: /}, expect: {status: 418}}]}";
    let file = ScenarioFile::parse(&folder.path().join("a.yaml"), text).unwrap();
    let modules = Modules::new(Path::new("dist"));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| emulate(&file, &modules).iter().all(CaseResult::passed)))
            .collect();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
    });
}
