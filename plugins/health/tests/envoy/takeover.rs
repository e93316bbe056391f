//! Another worker checks when the VM of the checking one is dead.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use launchgate_harness::envoy::{
    Bootstrap, Envoy, Launch, Mortal, Plugin, Protocol, Reply, Request, Upstream,
};
use serde_json::json;

use crate::gateway::{SOON, await_state, ok, one};

/// Bytes of an answer that kill the VM which takes it in.
const DEADLY: u16 = 4242;
const INTERVAL: Duration = Duration::from_secs(1);

/// A dependency whose answer kills the VM that asks, as often as told, and the times at which it was asked.
struct Assassin {
    database: Upstream,
    asked: Arc<Mutex<Vec<Instant>>>,
    targets: Arc<Mutex<u32>>,
}

impl Assassin {
    fn new() -> Self {
        let (asked, targets) = (Arc::default(), Arc::default());
        let (times, left): (Arc<Mutex<Vec<Instant>>>, Arc<Mutex<u32>>) =
            (Arc::clone(&asked), Arc::clone(&targets));
        let script = move |_: &_| {
            times.lock().unwrap().push(Instant::now());
            let mut left = left.lock().unwrap();
            let deadly = *left > 0;
            *left -= u32::from(deadly);
            let body = if deadly { usize::from(DEADLY) } else { 2 };
            Reply::status(200).body(vec![b'x'; body]).into()
        };
        let database = Upstream::start(Protocol::Http1, script).unwrap();
        Self {
            database,
            asked,
            targets,
        }
    }

    /// Kills the next VM that asks, and gives the pause until another one asked.
    fn kill_one(&self) -> Duration {
        let before = {
            let mut targets = self.targets.lock().unwrap();
            *targets = 1;
            self.database.received().len()
        };
        self.database.await_received(before + 2, SOON).unwrap();
        let asked = self.asked.lock().unwrap();
        asked[before + 1] - asked[before]
    }
}

fn start(database: &Upstream, app: &Upstream, workers: u32, policy: &'static str) -> Envoy {
    let mut config = one(&json!({"kind": "http"}));
    config["dependencies"][0]["interval"] = json!("1s");
    let folder = tempfile::tempdir().unwrap();
    let plugin = Plugin::new(
        "health",
        Mortal::at_answer_of(DEADLY)
            .module("health", folder.path())
            .unwrap(),
    )
    .config(&config);
    let bootstrap = Bootstrap::gateway(&[plugin.failure_policy(policy)])
        .upstream("app", app)
        .upstream("db", database);
    Launch::new(bootstrap).concurrency(workers).start().unwrap()
}

#[test]
fn when_the_checking_vm_dies_another_checks_within_three_intervals() {
    let (app, assassin) = (ok(), Assassin::new());
    let envoy = start(&assassin.database, &app, 3, "FAIL_CLOSED");
    assert_eq!(await_state(&envoy, "connected"), 200);
    // Three workers and the main thread: each death leaves one fewer, whoever held the lease.
    for death in 1..=3 {
        let pause = assassin.kill_one();
        assert!(pause <= 3 * INTERVAL, "death {death}: {pause:?}");
    }
}

#[test]
fn a_vm_that_is_replaced_answers_and_checks_again() {
    let (app, assassin) = (ok(), Assassin::new());
    let envoy = start(&assassin.database, &app, 2, "FAIL_RELOAD");
    assert_eq!(await_state(&envoy, "connected"), 200);
    for death in 1..=4 {
        let pause = assassin.kill_one();
        assert!(pause <= 3 * INTERVAL, "death {death}: {pause:?}");
        for mut worker in envoy.connection_per_worker("gateway").unwrap() {
            let back = envoy.await_value(SOON, || {
                Ok((worker.exchange(&Request::get("/healthz"))?.status == 200).then_some(()))
            });
            back.unwrap();
        }
    }
    // The main thread's VM serves nobody: Envoy replaces it at no request. All others came back.
    let replaced = envoy.admin().stat("wasm.health.vm_reload_success").unwrap();
    assert!(replaced >= 3, "{replaced} of 4 were replaced");
}
