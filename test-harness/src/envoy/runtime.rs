//! The one small runtime on which all scripted upstreams of a test process live.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

/// The runtime, started at first use.
///
/// # Panics
/// When the operating system refuses a thread: no test can run then.
#[expect(
    clippy::expect_used,
    reason = "a test process without threads cannot go on"
)]
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(2)
            .thread_name("upstream")
            .enable_all();
        builder
            .build()
            .expect("a thread for the scripted upstreams")
    })
}
