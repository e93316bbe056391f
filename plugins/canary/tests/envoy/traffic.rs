//! Requests at a steady rate over a connection to each worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use launchgate_harness::envoy::{Envoy, Request};

pub(crate) struct Traffic {
    began: Instant,
    running: Arc<AtomicBool>,
    senders: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// `rate` requests a second to this listener, until it is dropped.
    pub(crate) fn start(envoy: &Envoy, listener: &str, rate: u32) -> Self {
        let connections = envoy.connection_per_worker(listener).unwrap();
        let workers = u32::try_from(connections.len()).unwrap();
        let pause = Duration::from_secs(1) * workers / rate;
        let (began, running) = (Instant::now(), Arc::new(AtomicBool::new(true)));
        let senders = connections
            .into_iter()
            .zip(0..)
            .map(|(mut connection, worker)| {
                let running = Arc::clone(&running);
                thread::spawn(move || {
                    let mut due = began + pause * worker / workers;
                    while running.load(Ordering::Relaxed) {
                        thread::sleep(due.saturating_duration_since(Instant::now()));
                        connection.exchange(&Request::get("/")).unwrap();
                        due += pause;
                    }
                })
            });
        let senders = senders.collect();
        Self {
            began,
            running,
            senders,
        }
    }

    /// How long after the first request `done` was seen; `None` where it was not within `limit`.
    pub(crate) fn until(&self, limit: Duration, done: impl Fn() -> bool) -> Option<Duration> {
        loop {
            let passed = self.began.elapsed();
            if done() {
                return Some(passed);
            }
            if passed > limit {
                return None;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.running.store(false, Ordering::Relaxed);
        for sender in self.senders.drain(..) {
            let ended = sender.join();
            assert!(thread::panicking() || ended.is_ok(), "a request failed");
        }
    }
}
