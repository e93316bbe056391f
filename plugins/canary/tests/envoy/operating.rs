//! An operator at work: the control endpoint, mode report, a new config.

use std::path::PathBuf;

use launchgate_harness::envoy::{Bootstrap, Connection, Envoy, Launch, Request};
use serde_json::{Value, json};

use crate::gateway::{
    SOON, TOKEN, failing, gateway, listeners, number, rolled_back, rollout, routes, version,
};
use crate::steering::shipped;
use crate::traffic::Traffic;

/// An Envoy that watches a file for its listeners.
pub(crate) struct Dynamic {
    pub(crate) envoy: Envoy,
    folder: tempfile::TempDir,
}

impl Dynamic {
    pub(crate) fn start(bootstrap: Bootstrap) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = Self::file(&folder);
        let mut resources = Value::Null;
        let bootstrap = bootstrap.edit(|document| {
            resources = json!(std::mem::take(listeners(document)));
            document["dynamic_resources"] =
                json!({"lds_config": {"path_config_source": {"path": file}}});
        });
        Self::write(&folder, &resources);
        let launch = Launch::new(bootstrap).concurrency(2);
        let envoy = launch
            .argument("--service-node")
            .argument("gateway")
            .argument("--service-cluster")
            .argument("gateways")
            .start()
            .unwrap();
        Self { envoy, folder }
    }

    /// Puts the listeners of this bootstrap in the place of those that run.
    pub(crate) fn reload(&self, bootstrap: Bootstrap) {
        let listeners = &bootstrap.document()["static_resources"]["listeners"];
        Self::write(&self.folder, listeners);
    }

    fn file(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("listeners.json")
    }

    /// Envoy sees a file that is moved to its place.
    fn write(folder: &tempfile::TempDir, listeners: &Value) {
        let mut listeners = listeners.clone();
        for listener in listeners.as_array_mut().unwrap() {
            listener["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
            listener["stat_prefix"] = listener["name"].clone();
        }
        let new = folder.path().join("new.json");
        std::fs::write(&new, json!({"resources": listeners}).to_string()).unwrap();
        std::fs::rename(new, Self::file(folder)).unwrap();
    }
}

#[test]
fn an_operator_controls_the_shipped_rollout() {
    let envoy = shipped();
    let path = "/launchgate/canary";
    let call = |method: &str, path: &str, token: &str, body: &str| {
        let mut connection = Connection::open(envoy.port(10000).unwrap()).unwrap();
        let authorization = format!("Bearer {token}");
        let request = Request::new(method, path).header("authorization", authorization);
        connection.exchange(&request.body(body)).unwrap()
    };
    let state = call("GET", path, "demo-control-token", "");
    assert_eq!(
        (state.status, state.all("cache-control")),
        (200, vec!["no-store".to_owned()])
    );
    let seen = state.json().unwrap();
    assert_eq!(
        (&seen["state"], &seen["stage"], &seen["percent"]),
        (&json!("running"), &json!(1), &json!(5.0))
    );
    assert_eq!(call("GET", path, "demo-control-tokeN", "").status, 404);
    let put = |body: &str| call("PUT", path, "demo-control-token", body);
    let promoted = put(r#"{"action": "promote"}"#).json().unwrap();
    assert_eq!(promoted["stage"], 2);
    let query = format!("{path}?action=pause");
    let paused = call("PUT", &query, "demo-control-token", "");
    assert_eq!(paused.json().unwrap()["state"], "paused");
    assert_eq!(put("nonsense").status, 400);
    assert_eq!(put(&"x".repeat(5000)).status, 413);
    assert_eq!(call("POST", path, "demo-control-token", "").status, 405);
    let aborted = put(r#"{"action": "abort"}"#).json().unwrap();
    assert_eq!(aborted["state"], "aborted");
    assert_eq!(put(r#"{"action": "resume"}"#).status, 409);
    for mut connection in envoy.connection_per_worker("gateway").unwrap() {
        let request = Request::get("/").header("x-canary", "always");
        let answer = connection.exchange(&request).unwrap();
        assert_eq!(answer.text(), "stable\n", "every worker knows");
    }
}

#[test]
fn mode_report_judges_and_changes_nothing() {
    let (canary, stable) = (failing("canary", 4), version("stable"));
    let more = json!({"mode": "report", "key": [{"cookie": {"issue": true}}], "secret": TOKEN});
    let bootstrap = gateway(&[rollout("r", 99.0, &more)], &canary, &stable).edit(|document| {
        for listener in listeners(document) {
            *routes(listener) = json!([{"match": {"prefix": "/"}, "route": {"cluster": "canary"}}]);
        }
    });
    let envoy = crate::gateway::launch(bootstrap);
    let would = || number(&envoy, "would_roll_back_total", &[("cause", "errors")]);
    let traffic = Traffic::start(&envoy, "r", 100);
    assert!(traffic.until(SOON, || would() > 0).is_some());
    drop(traffic);
    assert_eq!((would(), rolled_back(&envoy, "r")), (1, false));
    let forged = Request::get("/").header("x-launchgate-variant", "canary");
    let answer = envoy.send(&forged).unwrap();
    assert_eq!(
        (answer.header("set-cookie"), answer.header("cache-control")),
        (None, None)
    );
    let last = canary.received().pop().unwrap();
    assert_eq!(last.header("x-launchgate-variant"), None);
}
