//! A world whose disk is given so much time for each call, and no more.
//!
//! [`Patient`] passes everything on to the world that it is made of, with the caller's source
//! line. A call of the disk that has no result after `limit` of the clock's time fails with
//! `TimedOut`. Code on top of it has to know nothing but that calls fail.
//!
//! What was given up is dropped, which stops nobody: what the disk was told to do, it may still do,
//! at any later time. The limit is a task's and not a thread's: it ends a call that waits, and not
//! one that blocks.
//!
//! Invariants: a result that is there counts, however late it is looked at, for example after the
//! process stood still; a call that is ready at once sets no timer; a limit of `Duration::MAX` is
//! none. [`File::read_exact_at`] and [`File::write_all_at`] are one call each, because only the
//! world can say their caller's line for each of their parts.

use std::future::{Future, poll_fn};
use std::io;
use std::path::Path;
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::Duration;

use seedbed_env::{
    Clock, DirEntry, Entropy, Env, File, Fs, Instant, JoinHandle, OpenOptions, Spawn, WallTime,
};

/// A world whose disk has a limit for each call.
#[derive(Clone, Debug)]
pub(crate) struct Patient<E> {
    env: E,
    limit: Duration,
}

/// A file of such a world.
#[derive(Debug)]
pub(crate) struct PatientFile<E: Fs> {
    file: E::File,
    patience: Patient<E>,
}

impl<E: Env> Patient<E> {
    /// `env`, with at most `limit` for each call of its disk.
    pub(crate) fn new(env: E, limit: Duration) -> Self {
        assert!(!limit.is_zero(), "no disk answers in no time");
        Self { env, limit }
    }

    /// Waits for a call, but not for longer than the limit. One future instead of a race in a
    /// timeout: each that is nested is one more copy of the call.
    async fn wait_for<T>(&self, call: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let mut call = pin!(call);
        let mut limit = pin!(self.env.sleep(self.limit));
        poll_fn(|cx| {
            if let Poll::Ready(result) = call.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            if self.limit == Duration::MAX {
                return Poll::Pending;
            }
            ready!(limit.as_mut().poll(cx));
            let reason = format!("the disk has not answered for {:?}", self.limit);
            Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, reason)))
        })
        .await
    }
}

// The inner call is made before the future, where the caller's line is known.

impl<E: Env> File for PatientFile<E> {
    #[track_caller]
    fn read_at(
        &self,
        buf: &mut [u8],
        offset: u64,
    ) -> impl Future<Output = io::Result<usize>> + Send {
        self.patience.wait_for(self.file.read_at(buf, offset))
    }

    #[track_caller]
    fn write_at(&self, buf: &[u8], offset: u64) -> impl Future<Output = io::Result<usize>> + Send {
        self.patience.wait_for(self.file.write_at(buf, offset))
    }

    #[track_caller]
    fn sync_data(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.patience.wait_for(self.file.sync_data())
    }

    #[track_caller]
    fn sync_all(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.patience.wait_for(self.file.sync_all())
    }

    #[track_caller]
    fn sync_range(&self, offset: u64, len: u64) -> impl Future<Output = io::Result<()>> + Send {
        self.patience.wait_for(self.file.sync_range(offset, len))
    }

    #[track_caller]
    fn allocate(
        &self,
        offset: u64,
        len: u64,
        keep_size: bool,
    ) -> impl Future<Output = io::Result<()>> + Send {
        self.patience.wait_for(self.file.allocate(offset, len, keep_size))
    }

    #[track_caller]
    fn set_len(&self, len: u64) -> impl Future<Output = io::Result<()>> + Send {
        self.patience.wait_for(self.file.set_len(len))
    }

    #[track_caller]
    fn len(&self) -> impl Future<Output = io::Result<u64>> + Send {
        self.patience.wait_for(self.file.len())
    }

    #[track_caller]
    fn is_empty(&self) -> impl Future<Output = io::Result<bool>> + Send {
        self.patience.wait_for(self.file.is_empty())
    }

    #[track_caller]
    fn read_exact_at(
        &self,
        buf: &mut [u8],
        offset: u64,
    ) -> impl Future<Output = io::Result<()>> + Send {
        self.patience.wait_for(self.file.read_exact_at(buf, offset))
    }

    #[track_caller]
    fn write_all_at(&self, buf: &[u8], offset: u64) -> impl Future<Output = io::Result<()>> + Send {
        self.patience.wait_for(self.file.write_all_at(buf, offset))
    }
}

impl<E: Env> Fs for Patient<E> {
    type File = PatientFile<E>;

    #[track_caller]
    fn open<P: AsRef<Path> + Send>(
        &self,
        path: P,
        options: OpenOptions,
    ) -> impl Future<Output = io::Result<PatientFile<E>>> + Send {
        let opened = self.wait_for(self.env.open(path, options));
        async move { Ok(PatientFile { file: opened.await?, patience: self.clone() }) }
    }

    #[track_caller]
    fn rename<P: AsRef<Path> + Send, Q: AsRef<Path> + Send>(
        &self,
        from: P,
        to: Q,
    ) -> impl Future<Output = io::Result<()>> + Send {
        self.wait_for(self.env.rename(from, to))
    }

    #[track_caller]
    fn hard_link<P: AsRef<Path> + Send, Q: AsRef<Path> + Send>(
        &self,
        from: P,
        to: Q,
    ) -> impl Future<Output = io::Result<()>> + Send {
        self.wait_for(self.env.hard_link(from, to))
    }

    #[track_caller]
    fn remove_file<P: AsRef<Path> + Send>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<()>> + Send {
        self.wait_for(self.env.remove_file(path))
    }

    #[track_caller]
    fn create_dir<P: AsRef<Path> + Send>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<()>> + Send {
        self.wait_for(self.env.create_dir(path))
    }

    #[track_caller]
    fn remove_dir<P: AsRef<Path> + Send>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<()>> + Send {
        self.wait_for(self.env.remove_dir(path))
    }

    #[track_caller]
    fn read_dir<P: AsRef<Path> + Send>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<Vec<DirEntry>>> + Send {
        self.wait_for(self.env.read_dir(path))
    }

    #[track_caller]
    fn sync_dir<P: AsRef<Path> + Send>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<()>> + Send {
        self.wait_for(self.env.sync_dir(path))
    }
}

impl<E: Env> Clock for Patient<E> {
    fn now(&self) -> Instant {
        self.env.now()
    }

    fn wall(&self) -> WallTime {
        self.env.wall()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.env.sleep(duration)
    }
}

impl<E: Env> Entropy for Patient<E> {
    fn random_u64(&self) -> u64 {
        self.env.random_u64()
    }
}

impl<E: Env> Spawn for Patient<E> {
    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.env.spawn(future)
    }
}
