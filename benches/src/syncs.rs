//! What a sync costs on a real file system: checkpoints of the store with all its syncs, and with
//! those changed that `seedbed audit` calls not needed, one at a time and together.
//!
//! The engine's source is the same in all variants. A wrapper of the real world leaves out, or
//! makes a data sync of, the call at a source location. `commits` uses it for syncs that change no
//! threads.

use std::io;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seedbed_engines::atomic_commit::{Batch, Durability, Options, Store};
use seedbed_env::{
    Clock, DirEntry, Entropy, File, Fs, JoinHandle, OpenOptions, OsEnv, Spawn, WallTime,
};

use crate::report::Spread;

/// What happens to a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is left out.
    Omit,
    /// A `sync_all` is a `sync_data`.
    DataOnly,
}

/// The calls of one variant that are changed: the start of their line, as in `audit`'s table.
pub(crate) type Changes = Arc<[(String, Change)]>;

/// The real world with some syncs changed.
#[derive(Clone, Debug)]
pub(crate) struct Changed {
    os: OsEnv,
    changes: Changes,
}

impl Changed {
    pub(crate) fn new(os: OsEnv, changes: Changes) -> Self {
        Self { os, changes }
    }
}

#[derive(Debug)]
pub(crate) struct ChangedFile {
    file: <OsEnv as Fs>::File,
    changes: Changes,
}

fn change(changes: &Changes, site: &Location<'_>) -> Option<Change> {
    let here = format!("{}:{}", site.file(), site.line());
    changes.iter().find(|(site, _)| here.ends_with(site.as_str())).map(|(_, change)| *change)
}

impl File for ChangedFile {
    async fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset).await
    }

    async fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(buf, offset).await
    }

    #[track_caller]
    fn sync_data(&self) -> impl Future<Output = io::Result<()>> + Send {
        let change = change(&self.changes, Location::caller());
        async move {
            match change {
                None => self.file.sync_data().await,
                Some(Change::Omit | Change::DataOnly) => Ok(()),
            }
        }
    }

    #[track_caller]
    fn sync_all(&self) -> impl Future<Output = io::Result<()>> + Send {
        let change = change(&self.changes, Location::caller());
        async move {
            match change {
                None => self.file.sync_all().await,
                Some(Change::DataOnly) => self.file.sync_data().await,
                Some(Change::Omit) => Ok(()),
            }
        }
    }

    async fn sync_range(&self, offset: u64, len: u64) -> io::Result<()> {
        self.file.sync_range(offset, len).await
    }

    async fn allocate(&self, offset: u64, len: u64, keep_size: bool) -> io::Result<()> {
        self.file.allocate(offset, len, keep_size).await
    }

    async fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len).await
    }

    async fn len(&self) -> io::Result<u64> {
        self.file.len().await
    }
}

impl Fs for Changed {
    type File = ChangedFile;

    async fn open<P: AsRef<Path> + Send>(
        &self,
        path: P,
        options: OpenOptions,
    ) -> io::Result<ChangedFile> {
        let file = self.os.open(path, options).await?;
        Ok(ChangedFile { file, changes: Arc::clone(&self.changes) })
    }

    async fn rename<P: AsRef<Path> + Send, Q: AsRef<Path> + Send>(
        &self,
        from: P,
        to: Q,
    ) -> io::Result<()> {
        self.os.rename(from, to).await
    }

    async fn hard_link<P: AsRef<Path> + Send, Q: AsRef<Path> + Send>(
        &self,
        from: P,
        to: Q,
    ) -> io::Result<()> {
        self.os.hard_link(from, to).await
    }

    async fn remove_file<P: AsRef<Path> + Send>(&self, path: P) -> io::Result<()> {
        self.os.remove_file(path).await
    }

    async fn create_dir<P: AsRef<Path> + Send>(&self, path: P) -> io::Result<()> {
        self.os.create_dir(path).await
    }

    async fn remove_dir<P: AsRef<Path> + Send>(&self, path: P) -> io::Result<()> {
        self.os.remove_dir(path).await
    }

    async fn read_dir<P: AsRef<Path> + Send>(&self, path: P) -> io::Result<Vec<DirEntry>> {
        self.os.read_dir(path).await
    }

    #[track_caller]
    fn sync_dir<P: AsRef<Path> + Send>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<()>> + Send {
        let change = change(&self.changes, Location::caller());
        async move {
            match change {
                None => self.os.sync_dir(path).await,
                Some(Change::Omit | Change::DataOnly) => Ok(()),
            }
        }
    }
}

impl Clock for Changed {
    fn now(&self) -> seedbed_env::Instant {
        self.os.now()
    }

    fn wall(&self) -> WallTime {
        self.os.wall()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.os.sleep(duration)
    }
}

impl Entropy for Changed {
    fn random_u64(&self) -> u64 {
        self.os.random_u64()
    }
}

impl Spawn for Changed {
    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.os.spawn(future)
    }
}

/// Time of one checkpoint in each variant, in milliseconds, and as a share of the first.
pub(crate) fn compare(
    dir: &Path,
    sites: &[String],
    rounds: u64,
    checkpoints: u64,
) -> Result<(), String> {
    let mut variants = vec![("all syncs".to_owned(), Vec::new())];
    for site in sites {
        let (site, how) = site.split_once('=').ok_or("a change is like checkpoint.rs:57=data")?;
        let change = match how {
            "data" => Change::DataOnly,
            "omit" => Change::Omit,
            _ => return Err(format!("{how} is neither data nor omit")),
        };
        variants.push((format!("{site} {how}"), vec![(site.to_owned(), change)]));
    }
    let together = variants.iter().flat_map(|(_, changes)| changes.clone()).collect();
    variants.push(("all of these".to_owned(), together));
    let mut times = vec![Vec::new(); variants.len()];
    for round in 0..=rounds {
        for (times, (_, changes)) in times.iter_mut().zip(&variants) {
            let ms = checkpoint_ms(dir, changes.clone().into(), checkpoints)?;
            // The first round warms the file system up.
            if round > 0 {
                times.push(ms);
            }
        }
    }
    println!("{:<28} {:>12} {:>22}", "variant", "ms, median", "share of all (range)");
    for ((name, _), values) in variants.iter().zip(&times) {
        let ratios = values.iter().zip(&times[0]).map(|(ms, all)| ms / all).collect();
        let (Some(ms), Some(ratio)) = (Spread::of(values.clone()), Spread::of(ratios)) else {
            return Err("no rounds".to_owned());
        };
        let range = format!("{:.2} ({:.2}..{:.2})", ratio.median, ratio.min, ratio.max);
        println!("{name:<28} {:>12.3} {range:>22}", ms.median);
    }
    Ok(())
}

/// The mean time of one checkpoint of a store with a few entries.
fn checkpoint_ms(dir: &Path, changes: Changes, checkpoints: u64) -> Result<f64, String> {
    let folder =
        tempfile::tempdir_in(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let env = Changed::new(OsEnv::new(folder.path()), changes);
    let run = async {
        let options = Options::new(Durability::Immediate);
        let store = Store::open(env, "store", options).await?;
        let mut spent = Duration::ZERO;
        for number in 0..checkpoints {
            let mut batch = Batch::new();
            batch.put(number.to_le_bytes(), vec![7; 100]);
            store.commit(batch).await?;
            let start = Instant::now();
            store.checkpoint().await?;
            spent += start.elapsed();
        }
        store.close().await?;
        Ok::<_, seedbed_engines::atomic_commit::Error>(spent)
    };
    let spent = runtime.block_on(run).map_err(|error| error.to_string())?;
    Ok(spent.as_secs_f64() * 1000.0 / checkpoints as f64)
}
