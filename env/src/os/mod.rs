//! The real world: files, clocks, sockets and randomness of the operating system, on tokio.
//!
//! Reads and writes run inline: on a page cache they cost about a microsecond, less than a hop to
//! another thread. Syncs take milliseconds and run on tokio's blocking pool, off the reactor,
//! unless the runtime is the engine's own ([`OsEnv::with_inline_syncs`]).

mod counts;
mod fs;
#[cfg(target_os = "linux")]
mod linux;
mod net;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::cpu::CpuAccounts;
use crate::{Clock, Entropy, Instant, JoinHandle, Spawn, WallTime, join_pair};

pub use counts::DiskCounts;
pub use fs::OsFile;
pub use net::{OsDatagram, OsListener, OsReadHalf, OsStream, OsWriteHalf};

/// The real world below one folder: relative paths are resolved there, absolute ones as they
/// are. Must be used inside a tokio runtime with I/O and time enabled.
#[derive(Clone, Debug)]
pub struct OsEnv {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    origin: std::time::Instant,
    /// Where the CPU time of calls on the blocking pool is accounted for.
    accounts: Option<CpuAccounts>,
    /// Calls that may take long block their task's thread.
    inline: bool,
    counters: counts::Counters,
}

impl OsEnv {
    /// A world whose relative paths start at `root`, which must exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self::made(root.into(), None, false)
    }

    fn made(root: PathBuf, accounts: Option<CpuAccounts>, inline: bool) -> Self {
        let counters = counts::Counters::default();
        Self { inner: Arc::new(Inner { root, origin: os_now(), accounts, inline, counters }) }
    }

    /// Like [`Self::new`], but a sync, and what goes past the page cache, blocks the thread of the
    /// task that asks for it: no other thread has to wake up, nor wake this one again. For a
    /// runtime of one thread that is the engine's own. What else runs there stands still
    /// meanwhile, its timers too, so a sync that hangs cannot be given up.
    pub fn with_inline_syncs(root: impl Into<PathBuf>) -> Self {
        Self::made(root.into(), None, true)
    }

    /// Like [`Self::new`], and meters the threads of tokio's blocking pool that its calls run on,
    /// where they are of the class `disk`. Tasks are metered if their threads are: by
    /// [`CpuAccounts::install`] when the runtime is built, after which [`Self::new`] will do.
    pub fn with_accounts(root: impl Into<PathBuf>, accounts: &CpuAccounts) -> Self {
        Self::made(root.into(), Some(accounts.clone()), false)
    }

    /// What has been asked of the disk so far, through all handles to this world.
    pub fn disk_counts(&self) -> DiskCounts {
        self.inner.counters.counts()
    }

    /// The folder where relative paths start.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        self.inner.root.join(path)
    }
}

/// Sleeps once polled: tokio's own timer needs its runtime already when it is created.
async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// The one reading of the real monotonic clock.
#[expect(clippy::disallowed_methods, reason = "OsEnv is where the ambient clock comes from")]
pub(crate) fn os_now() -> std::time::Instant {
    std::time::Instant::now()
}

impl Clock for OsEnv {
    fn now(&self) -> Instant {
        Instant::from_ns(crate::clock::duration_ns(os_now() - self.inner.origin))
    }

    #[expect(clippy::disallowed_methods, reason = "OsEnv is where the ambient clock comes from")]
    fn wall(&self) -> WallTime {
        let ns = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
        };
        WallTime::from_unix_ns(ns)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        sleep(duration)
    }
}

impl Entropy for OsEnv {
    fn random_u64(&self) -> u64 {
        // The operating system's generator fails only where no program could go on.
        getrandom::u64().expect("the operating system's random generator does not answer")
    }
}

impl Spawn for OsEnv {
    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (task, handle) = join_pair(future);
        tokio::spawn(task);
        handle
    }
}
