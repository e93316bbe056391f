//! The books of a run: what was sent, what came back, and whether all of it adds up.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A VM that panicked is replaced within this time, also on a machine that has other things to do.
const REPLACED: Duration = Duration::from_secs(5);
/// Resident memory may differ by so much.
const MEMORY_PERCENT: f64 = 5.0;
/// So many lines of a kind are kept.
const KEPT: usize = 5;

/// Filled by all threads.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    sent: AtomicU64,
    explained: Mutex<BTreeMap<String, u64>>,
    unexplained: Mutex<(u64, Vec<String>)>,
    lost: Mutex<(u64, Vec<String>)>,
    last_panic: Mutex<Option<Instant>>,
    counted: AtomicU64,
    lines: AtomicU64,
    panics: AtomicU64,
    memory_before: AtomicU64,
    memory_after: AtomicU64,
    vm_reloads: AtomicU64,
    config_reloads: AtomicU64,
    config_refusals: AtomicU64,
}

impl Ledger {
    pub(super) fn count_sent(&self) {
        self.sent.fetch_add(1, Relaxed);
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// An answer is explained by its wish, or by a VM that has just panicked (503 without body, made by the host).
    pub(super) fn answered(&self, wish: &str, expected: u16, status: u16, is_empty: bool) {
        if status == expected {
            *lock(&self.explained)
                .entry(format!("{wish}: {status}"))
                .or_default() += 1;
        } else if status == 503 && is_empty && self.has_just_panicked() {
            *lock(&self.explained)
                .entry("503 while a VM was replaced".to_owned())
                .or_default() += 1;
        } else {
            keep(
                &self.unexplained,
                format!("{wish}: {status}, expected {expected}"),
            );
        }
    }

    pub(super) fn lost(&self, what: &str) {
        keep(&self.lost, what.to_owned());
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a real VM is replaced in real time"
    )]
    pub(super) fn panic_begins(&self) {
        *lock(&self.last_panic) = Some(Instant::now());
    }

    fn has_just_panicked(&self) -> bool {
        lock(&self.last_panic).is_some_and(|at| at.elapsed() < REPLACED)
    }

    pub(super) fn set_memory_before(&self, bytes: u64) {
        self.memory_before.store(bytes, Relaxed);
    }

    pub(super) fn set_memory_after(&self, bytes: u64) {
        self.memory_after.store(bytes, Relaxed);
    }

    pub(super) fn set_lines(&self, count: u64) {
        self.lines.store(count, Relaxed);
    }

    pub(super) fn set_counted(&self, count: u64) {
        self.counted.store(count, Relaxed);
    }

    pub(super) fn set_panics(&self, count: u64) {
        self.panics.store(count, Relaxed);
    }

    pub(super) fn set_reloads(&self, vms: u64, configurations: u64, refused: u64) {
        self.vm_reloads.store(vms, Relaxed);
        self.config_reloads.store(configurations, Relaxed);
        self.config_refusals.store(refused, Relaxed);
    }

    /// How much resident memory grew, in percent.
    fn growth(&self) -> f64 {
        let (before, after) = (
            self.memory_before.load(Relaxed) as f64,
            self.memory_after.load(Relaxed) as f64,
        );
        (after - before) / before.max(1.0) * 100.0
    }

    /// What does not add up.
    pub(crate) fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for (what, book) in [("unexplained", &self.unexplained), ("lost", &self.lost)] {
            let book = lock(book);
            if book.0 > 0 {
                broken.push(format!("{} {what}, such as {}", book.0, book.1.join("; ")));
            }
        }
        let (sent, counted, lines) = (
            self.sent(),
            self.counted.load(Relaxed),
            self.lines.load(Relaxed),
        );
        if sent != counted || sent != lines {
            broken.push(format!("sent {sent}, counted {counted}, lines {lines}"));
        }
        if self.panics.load(Relaxed) > 0 {
            broken.push(format!(
                "{} panics of the plugins",
                self.panics.load(Relaxed)
            ));
        }
        if self.growth() > MEMORY_PERCENT {
            broken.push(format!("memory grew by {:.1} %", self.growth()));
        }
        broken
    }

    /// Whether each kind of fault befell the gateway at least once.
    #[cfg(test)]
    pub(crate) fn saw_every_fault(&self) -> bool {
        let befell = [
            &self.vm_reloads,
            &self.config_reloads,
            &self.config_refusals,
        ]
        .map(|count| count.load(Relaxed) > 0);
        befell == [true; 3] && lock(&self.explained).len() >= 6
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(book: &Mutex<(u64, Vec<String>)>, line: String) {
    let mut book = lock(book);
    book.0 += 1;
    if book.1.len() < KEPT {
        book.1.push(line);
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "sent {}, counted {}, lines in the access log {}",
            self.sent(),
            self.counted.load(Relaxed),
            self.lines.load(Relaxed)
        )?;
        for (what, count) in lock(&self.explained).iter() {
            writeln!(f, "  {count:>8}  {what}")?;
        }
        writeln!(
            f,
            "unexplained {}, lost {}",
            lock(&self.unexplained).0,
            lock(&self.lost).0
        )?;
        writeln!(
            f,
            "VMs replaced {}, configurations taken {} and refused {}, panics of the plugins {}",
            self.vm_reloads.load(Relaxed),
            self.config_reloads.load(Relaxed),
            self.config_refusals.load(Relaxed),
            self.panics.load(Relaxed)
        )?;
        let mega = |bytes: &AtomicU64| bytes.load(Relaxed) as f64 / 1e6;
        writeln!(
            f,
            "resident memory {:.1} MB after the warm-up, {:.1} MB at the end ({:+.1} %)",
            mega(&self.memory_before),
            mega(&self.memory_after),
            self.growth()
        )
    }
}
