//! A VM dies and Envoy makes a new one: what it had written counts once, and what it had not is one tick at most.

use launchgate_harness::envoy::{
    Bootstrap, Connection, Envoy, Launch, Mortal, Plugin, Reply, Request, Upstream,
};
use serde_json::json;

use crate::gateway::{SOON, counted, samples, scrape, stats_config, total};

/// Header fields of a request that kills.
const DEADLY: u16 = 42;
/// What the connection manager adds to those that the client sends: `:scheme`, `x-forwarded-proto`, `x-request-id`,
/// `x-forwarded-for` and the like. Found out by [`kill`], so that no version of Envoy has to be known.
const ADDED: std::ops::RangeInclusive<usize> = 1..=16;

fn start(app: &Upstream) -> Envoy {
    let folder = tempfile::tempdir().unwrap();
    let module = Mortal::at_request_of(DEADLY)
        .module("metrics", folder.path())
        .unwrap();
    let config = json!({"endpoint": {"allow": ["127.0.0.0/8"]}});
    let plugin = Plugin::new("metrics", module)
        .config(&config)
        .failure_policy("FAIL_RELOAD");
    let bootstrap = Bootstrap::gateway(&[plugin])
        .upstream("app", app)
        .edit(|document| document["stats_config"] = stats_config(&[]));
    Launch::new(bootstrap).concurrency(2).start().unwrap()
}

/// Sends so many requests that are answered well.
fn send(worker: &mut Connection, count: usize) {
    for _ in 0..count {
        assert_eq!(worker.exchange(&Request::get("/")).unwrap().status, 200);
    }
}

/// Kills the VM of a worker. Gives how many requests it answered before one had the deadly number of fields.
fn kill(worker: &mut Connection) -> usize {
    for (answered, added) in ADDED.enumerate() {
        let mut request = Request::get("/");
        for field in 0..usize::from(DEADLY) - added {
            request = request.header(format!("x-{field}"), "x");
        }
        if worker.exchange(&request).unwrap().status == 503 {
            return answered;
        }
    }
    panic!("the VM lives")
}

#[test]
fn a_vm_that_dies_is_folded_in_once_and_loses_one_tick_at_most() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let envoy = start(&app);
    let mut workers = envoy.connection_per_worker("gateway").unwrap();
    workers.iter_mut().for_each(|worker| send(worker, 20));
    let sent = 40.0;
    let shown = || -> anyhow::Result<f64> {
        Ok(total(
            &samples(&scrape(&envoy, "text/plain")?),
            "launchgate_http_requests_total",
        ))
    };
    envoy
        .await_value(SOON, || Ok((shown()? == sent).then_some(())))
        .unwrap();

    // The last requests before its death are those that it has had no tick to write.
    send(&mut workers[0], 10);
    let unwritten = 10 + kill(&mut workers[0]);
    // A scrape may meet the dead VM.
    let [stats, own] = envoy
        .await_value(SOON, || Ok(counted(&envoy).ok()))
        .unwrap();
    assert_eq!(
        stats.0,
        sent + unwritten as f64,
        "Envoy's own stats lose nothing"
    );
    let written = own.0;
    assert!(
        (sent..=stats.0).contains(&written),
        "{written} of {stats:?}"
    );

    // A new VM takes its place.
    envoy
        .await_value(SOON, || {
            Ok((workers[0].exchange(&Request::get("/live"))?.status == 200).then_some(()))
        })
        .unwrap();
    workers.iter_mut().for_each(|worker| send(worker, 5));
    let now = written + 11.0;
    let mut last = written;
    let mut settled = 0;
    envoy
        .await_value(SOON, || {
            let page = samples(&scrape(&envoy, "text/plain")?);
            let shown = total(&page, "launchgate_http_requests_total");
            assert!(
                (last..=now).contains(&shown),
                "{last} before, {shown} now, {now} at most"
            );
            last = shown;
            let folded = envoy
                .admin()
                .stat("wasmcustom.launchgate_metrics_workers_folded_total")?
                == 1;
            settled += usize::from(
                folded && shown == now && page["launchgate_http_requests_in_flight"] == 0.0,
            );
            Ok((settled == 5).then_some(()))
        })
        .unwrap();
    let gauge = envoy
        .admin()
        .stat("wasmcustom.launchgate_metrics_requests_in_flight")
        .unwrap();
    assert_eq!(gauge, 0, "the request that died is in flight no more");
}
