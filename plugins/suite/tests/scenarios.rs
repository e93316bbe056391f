//! The scenarios of the six single plugins, run against the suite: each plugin in them is the suite with that one section.
//!
//! Budgets are left out, they are of the single plugin; the suite has its own.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::path::Path;

use launchgate_harness::emulator::Modules;
use launchgate_harness::envoy::workspace;
use launchgate_harness::scenario::ScenarioFile;
use launchgate_harness::scenario::run::emulate;
use serde_json::{Value, json};

const SECTIONS: [(&str, &str); 6] = [
    ("metrics", "metrics"),
    ("access-log", "access_log"),
    ("errors", "errors"),
    ("tls", "tls"),
    ("health", "health"),
    ("canary", "canary"),
];

/// Puts a configuration under its section; what is no configuration stays.
fn wrap(holder: &mut Value, section: &str) {
    for key in ["config", "config_patch"] {
        if let Some(config) = holder.get_mut(key) {
            *config = json!({section: config.take()});
        }
    }
}

/// The scenario with the suite in place of a plugin.
fn rewritten(text: &str, plugin: &str, section: &str) -> Value {
    let mut scenario: Value = serde_norway::from_str(text).unwrap();
    for entry in scenario["plugins"].as_array_mut().unwrap() {
        assert_eq!(entry["plugin"], plugin, "a scenario of one plugin");
        if entry.get("config").is_none() {
            entry["config"] = json!({});
        }
        wrap(entry, section);
        entry["plugin"] = json!("suite");
        if entry.get("name").is_none() {
            entry["name"] = json!(plugin);
        }
    }
    for case in scenario["cases"].as_array_mut().unwrap() {
        wrap(case, section);
        case.as_object_mut().unwrap().remove("budget");
        for step in case
            .get_mut("steps")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Some(reload) = step.get_mut("reload") {
                wrap(reload, section);
            }
        }
    }
    scenario
}

#[test]
fn a_section_alone_behaves_as_the_single_plugin_does() {
    let plugins = workspace().join("plugins");
    let modules = Modules::new(workspace().join("dist"));
    let (mut passed, mut failures) = (0, Vec::new());
    for (plugin, section) in SECTIONS {
        let folder = plugins.join(plugin).join("scenarios");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
            .collect();
        files.sort();
        for path in files {
            let text = std::fs::read_to_string(&path).unwrap();
            let scenario = rewritten(&text, plugin, section).to_string();
            let file = ScenarioFile::parse(Path::new(&path), &scenario).unwrap();
            for result in emulate(&file, &modules) {
                match result.passed() {
                    true => passed += 1,
                    false => failures.push(format!("{}: {result:#?}", path.display())),
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(passed > 200, "{passed} cases");
}
