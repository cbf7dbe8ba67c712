//! The accounts of several threads: each has its own meter, which publishes here now and then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::budget::CpuError;
use super::meter::{self, CpuMeter, CpuOptions};
use super::report::CpuReport;
use crate::os::os_now;

/// How old what was published last is when a meter publishes again, in nanoseconds.
const PUBLISH_EVERY: u64 = 10_000_000;

/// Rows of threads that have ended; what is beyond is added up in one more. Pools end their
/// threads and start others for as long as a process lives.
const ENDED_MAX: usize = 64;

/// Accounts of the CPU time of several threads. Clones are handles to the same accounts.
///
/// A thread is metered from [`Self::enroll`] until it ends, or as long as a guard of
/// [`Self::meter`] lives. The threads of a tokio runtime enroll by [`Self::install`]; the thread
/// that calls `block_on` is none of them.
#[derive(Clone, Debug)]
pub struct CpuAccounts {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: CpuOptions,
    origin: Instant,
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    /// What meters have published that still run, by a number of ours.
    running: BTreeMap<u64, CpuReport>,
    next: u64,
    ended: Vec<CpuReport>,
    /// The sum of threads that have no row of their own any more.
    older: Option<CpuReport>,
}

impl Shared {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        // Whoever panicked here left rows that are whole.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CpuAccounts {
    /// Accounts without threads yet. All of their meters measure by `options`.
    pub fn new(options: CpuOptions) -> Self {
        let rows = Mutex::default();
        Self { shared: Arc::new(Shared { options, origin: os_now(), rows }) }
    }

    /// Meters the calling thread as long as the guard lives.
    ///
    /// # Errors
    /// [`CpuError::AlreadyMetered`]: a thread has one meter at a time.
    pub fn meter(&self) -> Result<CpuMeter, CpuError> {
        let join = || Some(Membership::new(Arc::clone(&self.shared)));
        meter::start(self.shared.options, self.shared.origin, join)
    }

    /// Meters the calling thread until it ends. Nothing, if it has a meter already.
    pub fn enroll(&self) {
        if let Ok(guard) = self.meter() {
            // The meter ends with its thread.
            std::mem::forget(guard);
        }
    }

    /// Meters every thread that the runtime starts, for tasks and for blocking calls. Takes the
    /// place of other hooks of the builder at the start and stop of threads; who needs those calls
    /// [`Self::enroll`] from there.
    pub fn install(&self, builder: &mut tokio::runtime::Builder) {
        let accounts = self.clone();
        builder.on_thread_start(move || accounts.enroll()).on_thread_stop(meter::end_here);
    }

    /// A report of each thread: of those that have ended (the last ones in one sum), then of those
    /// that run.
    ///
    /// A running thread's is as old as its last slices that published: 10 ms while it works, and
    /// what an idle thread did just before it became idle may be missing until it goes on or ends.
    /// The calling thread's is fresh.
    pub fn threads(&self) -> Vec<CpuReport> {
        meter::publish_here();
        let rows = self.shared.rows();
        rows.older.iter().chain(&rows.ended).chain(rows.running.values()).cloned().collect()
    }

    /// The sum over [`Self::threads`].
    pub fn total(&self) -> CpuReport {
        sum("all threads", &self.threads(), self.shared.options.flags_max)
    }
}

fn sum(name: &str, reports: &[CpuReport], flags_max: usize) -> CpuReport {
    let mut sum = CpuReport { thread: name.to_owned(), ..CpuReport::default() };
    reports.iter().for_each(|report| sum.merge(report, flags_max));
    sum
}

/// A running meter's row in the accounts. It has ended when this is dropped.
#[derive(Debug)]
pub(super) struct Membership {
    shared: Arc<Shared>,
    row: u64,
    published_at: u64,
}

impl Membership {
    fn new(shared: Arc<Shared>) -> Self {
        let row = {
            let mut rows = shared.rows();
            rows.next += 1;
            rows.next
        };
        Self { shared, row, published_at: 0 }
    }

    /// Whether what was read at `now` should be published.
    pub(super) fn is_due(&self, now: u64) -> bool {
        now.saturating_sub(self.published_at) >= PUBLISH_EVERY
    }

    pub(super) fn publish(&mut self, report: CpuReport, now: u64) {
        self.published_at = now;
        self.shared.rows().running.insert(self.row, report);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut rows = self.shared.rows();
        let Some(report) = rows.running.remove(&self.row) else { return };
        rows.ended.push(report);
        if rows.ended.len() > ENDED_MAX {
            let oldest = rows.ended.remove(0);
            let flags_max = self.shared.options.flags_max;
            let older = rows.older.get_or_insert_with(|| sum("older threads", &[], flags_max));
            older.merge(&oldest, flags_max);
        }
    }
}
