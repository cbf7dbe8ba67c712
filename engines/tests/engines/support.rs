//! A real world that counts calls, fails on request, and writes short.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seedbed_engines::atomic_commit::{Batch, Error, Options, Store};
use seedbed_env::{
    Clock, DirEntry, Entropy, File, Fs, Instant, JoinHandle, OpenOptions, OsEnv, OsFile, Spawn,
    WallTime,
};

/// What is counted and what is to fail, shared by all clones.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    pub(crate) syncs: AtomicU64,
    /// Fails every write.
    pub(crate) fail_writes: Mutex<Option<io::ErrorKind>>,
    /// Fails every write of more than 4 KiB, of which the first half is written.
    pub(crate) fail_large_writes: Mutex<Option<io::ErrorKind>>,
    /// Fails every sync.
    pub(crate) fail_syncs: Mutex<Option<io::ErrorKind>>,
    /// Fails every rename.
    pub(crate) fail_renames: Mutex<Option<io::ErrorKind>>,
    /// How long every sync takes.
    pub(crate) sync_time: Mutex<Duration>,
    /// Writes at most 7 bytes at once.
    pub(crate) short: AtomicBool,
    /// Fails every call that changes something once this many have passed (0: never).
    pub(crate) fail_after: AtomicU64,
    pub(crate) changes: AtomicU64,
}

impl Gauge {
    fn change(&self, switch: Option<&Mutex<Option<io::ErrorKind>>>) -> io::Result<()> {
        if let Some(kind) = switch.and_then(|switch| *switch.lock().unwrap()) {
            return Err(kind.into());
        }
        let after = self.fail_after.load(SeqCst);
        match self.changes.fetch_add(1, SeqCst) >= after && after > 0 {
            true => Err(io::ErrorKind::Other.into()),
            false => Ok(()),
        }
    }

    async fn sync(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, SeqCst);
        let time = *self.sync_time.lock().unwrap();
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        self.change(Some(&self.fail_syncs))
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(SeqCst)
    }
}

/// The real world, watched.
#[derive(Clone, Debug)]
pub(crate) struct World {
    os: OsEnv,
    pub(crate) gauge: Arc<Gauge>,
}

impl World {
    pub(crate) fn new(root: &Path) -> Self {
        Self { os: OsEnv::new(root), gauge: Arc::default() }
    }
}

/// A file of a watched world.
#[derive(Debug)]
pub(crate) struct WatchedFile(OsFile, Arc<Gauge>);

impl File for WatchedFile {
    async fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset).await
    }

    async fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.1.change(Some(&self.1.fail_writes))?;
        let large = *self.1.fail_large_writes.lock().unwrap();
        if let Some(kind) = large.filter(|_| buf.len() > 4096) {
            self.0.write_at(&buf[..buf.len() / 2], offset).await?;
            return Err(kind.into());
        }
        let len = if self.1.short.load(SeqCst) { buf.len().min(7) } else { buf.len() };
        self.0.write_at(&buf[..len], offset).await
    }

    async fn sync_data(&self) -> io::Result<()> {
        self.1.sync().await?;
        self.0.sync_data().await
    }

    async fn sync_all(&self) -> io::Result<()> {
        self.1.sync().await?;
        self.0.sync_all().await
    }

    async fn sync_range(&self, offset: u64, len: u64) -> io::Result<()> {
        self.1.change(Some(&self.1.fail_syncs))?;
        self.0.sync_range(offset, len).await
    }

    async fn allocate(&self, offset: u64, len: u64, keep_size: bool) -> io::Result<()> {
        self.1.change(Some(&self.1.fail_writes))?;
        self.0.allocate(offset, len, keep_size).await
    }

    async fn set_len(&self, len: u64) -> io::Result<()> {
        self.1.change(Some(&self.1.fail_writes))?;
        self.0.set_len(len).await
    }

    async fn len(&self) -> io::Result<u64> {
        self.0.len().await
    }
}

impl Fs for World {
    type File = WatchedFile;

    async fn open<P: AsRef<Path> + Send>(
        &self,
        path: P,
        options: OpenOptions,
    ) -> io::Result<WatchedFile> {
        if options.write {
            self.gauge.change(None)?;
        }
        Ok(WatchedFile(self.os.open(path, options).await?, Arc::clone(&self.gauge)))
    }

    async fn rename<P: AsRef<Path> + Send, Q: AsRef<Path> + Send>(
        &self,
        from: P,
        to: Q,
    ) -> io::Result<()> {
        self.gauge.change(Some(&self.gauge.fail_renames))?;
        self.os.rename(from, to).await
    }

    async fn hard_link<P: AsRef<Path> + Send, Q: AsRef<Path> + Send>(
        &self,
        from: P,
        to: Q,
    ) -> io::Result<()> {
        self.gauge.change(None)?;
        self.os.hard_link(from, to).await
    }

    async fn remove_file<P: AsRef<Path> + Send>(&self, path: P) -> io::Result<()> {
        self.gauge.change(None)?;
        self.os.remove_file(path).await
    }

    async fn create_dir<P: AsRef<Path> + Send>(&self, path: P) -> io::Result<()> {
        self.gauge.change(None)?;
        self.os.create_dir(path).await
    }

    async fn remove_dir<P: AsRef<Path> + Send>(&self, path: P) -> io::Result<()> {
        self.gauge.change(None)?;
        self.os.remove_dir(path).await
    }

    async fn read_dir<P: AsRef<Path> + Send>(&self, path: P) -> io::Result<Vec<DirEntry>> {
        self.os.read_dir(path).await
    }

    async fn sync_dir<P: AsRef<Path> + Send>(&self, path: P) -> io::Result<()> {
        self.gauge.sync().await?;
        self.os.sync_dir(path).await
    }
}

impl Clock for World {
    fn now(&self) -> Instant {
        self.os.now()
    }

    fn wall(&self) -> WallTime {
        self.os.wall()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.os.sleep(duration)
    }
}

impl Entropy for World {
    fn random_u64(&self) -> u64 {
        self.os.random_u64()
    }
}

impl Spawn for World {
    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.os.spawn(future)
    }
}

/// A temporary folder and the world in it.
pub(crate) fn world() -> (tempfile::TempDir, World) {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    (dir, world)
}

/// Runs a test's future on a runtime of its own.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// [`run`], where all that waits is asleep without taking time.
pub(crate) fn run_asleep<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap().block_on(future)
}

/// Opens the store in "store".
pub(crate) async fn open(world: &World, options: Options) -> Result<Store<World>, Error> {
    Store::open(world.clone(), "store", options).await
}

/// Commit number `i` of the standard workload: puts with some deletes and overwrites.
pub(crate) fn batch(i: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(format!("key{}", i % 7), format!("value {i}"));
    batch.put(format!("other{}", i % 3), vec![i as u8; i as usize % 40]);
    if i % 3 == 2 {
        batch.delete(format!("key{}", (i - 1) % 7));
    }
    batch
}

/// The states after 0, 1, ... `commits` commits of the standard workload.
pub(crate) fn states(commits: u64) -> Vec<std::collections::BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut states = vec![std::collections::BTreeMap::new()];
    for i in 1..=commits {
        let mut state = states[states.len() - 1].clone();
        state.insert(format!("key{}", i % 7).into(), format!("value {i}").into());
        state.insert(format!("other{}", i % 3).into(), vec![i as u8; i as usize % 40]);
        if i % 3 == 2 {
            state.remove(format!("key{}", (i - 1) % 7).as_bytes());
        }
        states.push(state);
    }
    states
}

/// Fills a fresh store with the standard workload and closes it.
pub(crate) async fn fill(world: &World, options: Options, commits: u64) {
    let store = open(world, options).await.unwrap();
    for i in 1..=commits {
        assert_eq!(store.commit(batch(i)).await.unwrap().seq, i);
    }
    store.close().await.unwrap();
}

/// Checks that a store's content, sequence number and root are one of the workload's states, and
/// returns which.
pub(crate) fn check_prefix(store: &Store<World>, commits: u64) -> u64 {
    use seedbed_engines::atomic_commit::merkle;
    let found = store.scan();
    assert!(found.seq <= commits, "nothing was invented");
    assert_eq!(found.entries, states(found.seq)[found.seq as usize], "a prefix of the commits");
    assert_eq!(found.root, merkle::state_root(found.seq, &merkle::root_of(&found.entries)));
    found.seq
}
