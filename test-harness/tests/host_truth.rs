//! The golden traces: what a real Envoy answered the probe (`make host-truth`), asked of the emulator. No line may differ.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at what is not as expected"
)]

use std::path::{Path, PathBuf};

use launchgate_harness::emulator::{EmulatorHost, Flaw, Modules};
use launchgate_harness::envoy::{built_module, scenario::transcript, workspace};
use launchgate_harness::scenario::ScenarioFile;

fn folder() -> PathBuf {
    workspace().join("test-harness/host-truth")
}

fn golden(name: &str) -> String {
    std::fs::read_to_string(folder().join(name).with_extension("golden")).unwrap()
}

fn emulated(name: &str, flaw: Option<Flaw>) -> String {
    built_module("test/probe").unwrap();
    let file = ScenarioFile::read(&folder().join(name).with_extension("yaml")).unwrap();
    let host = EmulatorHost::new(Modules::new(workspace().join("dist")), 1, vec![0]);
    let host = match flaw {
        Some(flaw) => host.flawed(flaw),
        None => host,
    };
    transcript::replay(&file, host).unwrap()
}

/// Lines that differ, with the case that they belong to.
fn differences(golden: &str, emulated: &str) -> Vec<String> {
    let diff = similar::TextDiff::from_lines(golden, emulated);
    let (mut case, mut found) = (String::new(), Vec::new());
    for change in diff.iter_all_changes() {
        let line = change.value().trim_end();
        if line.starts_with("==") {
            case = line.to_owned();
        }
        match change.tag() {
            similar::ChangeTag::Equal => {}
            similar::ChangeTag::Delete => found.push(format!("{case}\n  envoy:    {line}")),
            similar::ChangeTag::Insert => found.push(format!("{case}\n  emulator: {line}")),
        }
    }
    found
}

fn holds(name: &str) {
    let found = differences(&golden(name), &emulated(name, None));
    assert!(
        found.is_empty(),
        "{} lines differ in {name}:\n{}",
        found.len(),
        found.join("\n")
    );
}

macro_rules! traces {
    ($($test:ident: $name:literal;)*) => {
        const NAMES: &[&str] = &[$($name),*];
        $(#[test] fn $test() { holds($name); })*
    };
}

traces! {
    bodies_pass_pause_and_are_changed_as_in_envoy: "bodies";
    call_outs_end_as_in_envoy: "calls";
    the_language_of_expressions_is_as_in_envoy: "cel";
    expressions_are_evaluated_as_in_envoy: "expressions";
    foreign_functions_answer_as_in_envoy: "foreign";
    grpc_calls_and_streams_are_as_in_envoy: "grpc";
    header_maps_behave_as_in_envoy: "headers";
    contexts_ticks_and_logs_are_as_in_envoy: "life";
    buffers_have_the_limit_that_they_have_in_envoy: "limits";
    each_host_call_answers_in_each_phase_as_in_envoy: "phases";
    properties_are_there_when_they_are_in_envoy: "properties";
    replies_of_a_filter_arrive_as_in_envoy: "replies";
    signatures_are_made_and_verified_as_in_envoy: "signatures";
    shared_data_queues_and_metrics_are_as_in_envoy: "state";
    tcp_filters_see_and_change_bytes_as_in_envoy: "tcp";
    tcp_connections_are_closed_as_in_envoy: "tcp-close";
    tcp_bytes_that_are_held_go_on_as_in_envoy: "tcp-continue";
    tcp_bytes_of_clients_are_held_as_in_envoy: "tcp-hold";
    tcp_connections_are_stopped_as_in_envoy: "tcp-new";
    tcp_connections_whose_vm_dies_end_as_in_envoy: "tcp-trap";
    tcp_bytes_of_upstreams_are_held_as_in_envoy: "tcp-write";
    a_dead_vm_that_fails_closed_is_as_in_envoy: "trap-closed";
    a_dead_vm_that_fails_open_is_as_in_envoy: "trap-open";
    a_dead_vm_that_is_reloaded_is_as_in_envoy: "trap-reload";
}

#[test]
fn every_trace_is_replayed() {
    let mut files: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "yaml"))
        .map(|path| {
            Path::new(&path)
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    files.sort();
    assert_eq!(files, NAMES);
}

#[test]
fn the_traces_catch_an_emulator_with_a_wrong_rule() {
    for (flaw, name) in [
        (Flaw::StrictCas, "state"),
        (Flaw::BlindCas, "state"),
        (Flaw::AddReplaces, "headers"),
        (Flaw::ReplaceKeepsDuplicates, "headers"),
        (Flaw::LostTick, "life"),
        (Flaw::HeadersStay, "phases"),
    ] {
        let found = differences(&golden(name), &emulated(name, Some(flaw)));
        assert!(!found.is_empty(), "{flaw:?} is not caught by {name}");
    }
}
