//! The store's handle: submit, read, flush, close. The work is done by the log task.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use seedbed_env::sync::oneshot;
use seedbed_env::{Env, Spawn};

use super::batch::Batch;
use super::error::Error;
use super::kernel::Entries;
use super::log_task::LogTask;
use super::merkle::Hash;
use super::options::Options;
use super::recovery::{self, Recovery};
use super::shared::{Control, Pending, Request, Shared, Stopped};
use super::ticket::{Commit, Ticket};
use crate::classes;
use crate::patient::Patient;

/// A consistent view of all entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last commit in it.
    pub seq: u64,
    /// The root at `seq`.
    pub root: Hash,
    /// The entries.
    pub entries: Entries,
}

/// An open store. Cloning gives another handle to it.
///
/// When the last handle is dropped without [`Store::close`], what was submitted is still written
/// and synced, but in the background and without an answer; to open the directory again in the
/// same process, close first.
pub struct Store<E> {
    handle: Arc<Handle>,
    world: PhantomData<fn() -> E>,
}

/// What all clones share, and whose end the log task is told of.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    recovery: Recovery,
    queue_max: usize,
    queue_bytes_max: usize,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.queue().abandoned = true;
        self.shared.arrived.notify_one();
    }
}

impl<E> Clone for Store<E> {
    fn clone(&self) -> Self {
        Self { handle: Arc::clone(&self.handle), world: PhantomData }
    }
}

impl<E> fmt::Debug for Store<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let visible = self.handle.shared.visible();
        let mut out = f.debug_struct("Store");
        out.field("seq", &visible.seq).field("entries", &visible.entries.len());
        out.finish_non_exhaustive()
    }
}

impl<E: Env> Store<E> {
    /// Opens the store in `dir`, creating both if they are missing (the parent must exist), and
    /// recovers what was there. May be tried again after any error.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Corrupt`], [`Error::FutureVersion`], [`Error::NotOurs`] or
    /// [`Error::Invalid`]; files are left as they are, except for a new store's.
    pub async fn open(env: E, dir: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        options.validate()?;
        let dir = dir.as_ref().to_path_buf();
        let env = Patient::new(env, options.disk_limit());
        let recovered = recovery::recover(&env, &dir, &options).await?;
        let handle = Handle {
            shared: Arc::clone(&recovered.shared),
            recovery: recovered.recovery.clone(),
            queue_max: options.queue_max,
            queue_bytes_max: options.queue_bytes_max,
        };
        assert_eq!(handle.recovery.seq, handle.shared.visible().seq);
        let task = LogTask::new(env.clone(), dir, options, recovered);
        // Answers come through the tickets; when the task ends, so do they.
        drop(env.spawn(classes::log_task(task.run())));
        Ok(Self { handle: Arc::new(handle), world: PhantomData })
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// None at present; later engines may read from disk here.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.handle.shared.visible().entries.get(key).cloned())
    }

    /// Looks at all entries at one moment. Commits wait meanwhile, so `look` must not.
    pub fn view<T>(&self, look: impl FnOnce(&Entries) -> T) -> T {
        look(&self.handle.shared.visible().entries)
    }

    /// All entries at one moment, with their sequence number and root. O(state).
    pub fn scan(&self) -> Snapshot {
        let visible = self.handle.shared.visible();
        let (seq, root, entries) = (visible.seq, visible.root, visible.entries.clone());
        Snapshot { seq, root, entries }
    }

    /// The last visible commit: acknowledged, or about to be.
    pub fn seq(&self) -> u64 {
        self.handle.shared.visible().seq
    }

    /// The root at [`Self::seq`].
    pub fn root(&self) -> Hash {
        self.handle.shared.visible().root
    }

    /// Up to here no power loss takes anything.
    pub fn durable_seq(&self) -> u64 {
        self.handle.shared.durable().seq
    }

    /// What opening found and did.
    pub fn recovery(&self) -> &Recovery {
        &self.handle.recovery
    }

    /// Gives the batch the next sequence number and queues it, without waiting.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Busy`], [`Error::Poisoned`], [`Error::Closed`]: not done.
    pub fn submit(&self, batch: Batch) -> Result<Ticket, Error> {
        batch.validate()?;
        let shared = &self.handle.shared;
        let (reply, answer) = oneshot::channel();
        let seq = {
            let mut queue = shared.queue();
            if let Some(stopped) = &queue.stopped {
                return Err(stopped.error());
            }
            let (waiting, bytes) = (queue.commits, queue.bytes);
            let fits = bytes + batch.encoded_len() <= self.handle.queue_bytes_max;
            if waiting >= self.handle.queue_max || !fits && waiting > 0 {
                return Err(Error::Busy { waiting, bytes });
            }
            let seq = queue.next_seq;
            assert!(seq > queue.commits as u64, "each one that waits has a number");
            queue.next_seq += 1;
            queue.commits += 1;
            queue.bytes += batch.encoded_len();
            queue.requests.push_back(Request::Commit(Pending { seq, batch, reply }));
            seq
        };
        shared.arrived.notify_one();
        Ok(Ticket::new(seq, answer, Arc::clone(shared)))
    }

    /// Submits and waits for the acknowledgement. Dropping the future does not undo the commit.
    ///
    /// # Errors
    /// As [`Self::submit`] and [`Ticket::acknowledged`].
    pub async fn commit(&self, batch: Batch) -> Result<Commit, Error> {
        let commit = self.submit(batch)?.acknowledged().await?;
        assert!(commit.seq > 0, "commits are numbered from 1");
        Ok(commit)
    }

    /// Waits until everything submitted so far is durable.
    ///
    /// # Errors
    /// [`Error::Poisoned`] or [`Error::Closed`].
    pub async fn flush(&self) -> Result<(), Error> {
        self.ask(Control::Flush).await
    }

    /// Writes a snapshot with everything submitted so far and starts a new log.
    ///
    /// # Errors
    /// [`Error::Poisoned`] or [`Error::Closed`].
    pub async fn checkpoint(&self) -> Result<(), Error> {
        self.ask(Control::Checkpoint).await
    }

    /// Makes everything submitted so far durable and stops: from now on nothing is accepted.
    /// After it the directory may be opened again.
    ///
    /// # Errors
    /// [`Error::Poisoned`], or [`Error::Closed`] if it was closed before.
    pub async fn close(&self) -> Result<(), Error> {
        self.ask(Control::Close).await
    }

    /// Queues a wish and waits for its answer.
    async fn ask(
        &self,
        wish: impl FnOnce(oneshot::Sender<Result<(), Error>>) -> Control,
    ) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.handle.shared.ask(wish(reply));
        match answer.await {
            Ok(result) => result,
            // The log task is gone: its world stopped.
            Err(_) => Err(Stopped::Closed.error()),
        }
    }
}
