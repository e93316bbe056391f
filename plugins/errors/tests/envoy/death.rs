//! What a dying VM says becomes an event.

use std::path::{Path, PathBuf};

use launchgate_harness::envoy::Plugin;
use serde_json::json;

use crate::gateway::{Gateway, KEY};
use crate::receiver::items;

#[test]
fn the_last_words_of_a_vm_are_one_event_that_names_plugin_and_place() {
    let dying = Plugin::new("dying", probe())
        .vm_id("shared")
        .config(&json!({}))
        .failure_policy("FAIL_RELOAD");
    let config = json!({"alerts": [{"name": "new", "when": {"kind": "first_seen"}, "notify": ["ops"], "resolved": false}], "ignore": [{"path": "/die"}]});
    let gateway = Gateway::start_with(2, &config, None, vec![dying]);
    assert_eq!(gateway.get("/die"), 503);
    assert_eq!(gateway.panics(), 1);
    gateway.until("the event", || gateway.sent() == 1);
    let events = items(&gateway.sentry, KEY, "event");
    let event = &events[0];
    assert_eq!((events.len(), &event["level"]), (1, &json!("fatal")));
    let exception = event["exception"]["values"][0].to_string();
    assert!(
        exception.contains("dying 1.2.3") && exception.contains("tests/dying/module.rs:"),
        "{event}"
    );
    assert!(!event.to_string().contains("s3cr3t"), "{event}");
    gateway.until("the notice", || gateway.notices().len() == 1);

    // A second death is the same issue, and nobody is told again.
    // Which worker serves, and whether its VM is back already, is Envoy's choice.
    gateway.until("a second death", || {
        assert_eq!(gateway.get("/die"), 503);
        gateway.panics() == 2
    });
    gateway.until("the second event", || gateway.sent() == 2);
    let events = items(&gateway.sentry, KEY, "event");
    assert_eq!(events[1]["fingerprint"], events[0]["fingerprint"]);
    assert_eq!(gateway.notices().len(), 1);
}

fn probe() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let module = target.join("wasm32-wasip1/release/examples/dying.wasm");
    assert!(
        module.is_file(),
        "no module at {module:?}: run `make probes`"
    );
    module
}
