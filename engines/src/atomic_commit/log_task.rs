//! The log task: the one owner of the log, the root and the order of commits.
//!
//! It repeats: take what waits, encode it, write once, sync as the mode says, make it visible,
//! acknowledge in order; between groups make checkpoints and remove old logs.
//!
//! Invariants: nothing becomes visible or is acknowledged before the point its mode promises; a
//! watermark never exceeds what a successful sync has covered; after the first failure nothing is
//! written any more.

mod planted;

use std::future::{pending, ready};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use seedbed_env::sync::{Either, race};
use seedbed_env::{Env, File, Instant, JoinHandle};

use super::checkpoint::{self, wal_path};
use super::error::{Error, at};
use super::format::{self, KIND_COMMIT};
use super::kernel::{self, Kernel};
use super::options::{Durability, Options};
use super::plant::Plant;
use super::recovery::Recovered;
use super::shared::{Control, Pending, Request, Shared, Stopped};
use super::ticket::Commit;
use crate::record_log::Writer;

/// The most commits and bytes of one write, in modes that set no limit of their own.
const GROUP_MAX: usize = 4096;
const GROUP_BYTES_MAX: usize = 8 << 20;

/// A sync that runs beside the log task.
struct Background {
    /// What it covers.
    seq: u64,
    handle: JoinHandle<io::Result<()>>,
}

/// What to do next.
enum Work {
    Group,
    Control(Control),
    /// The background sync ended.
    Synced(io::Result<()>),
    /// A background sync is due.
    SyncDue,
    /// Nobody is left.
    Abandoned,
}

/// The front of the queue.
enum Front {
    Commits,
    Control(Control),
    Nothing,
    Abandoned,
}

/// A commit that is in the log, before its acknowledgement.
struct Done {
    pending: Pending,
    commit: Commit,
}

pub(super) struct LogTask<E: Env> {
    env: E,
    dir: PathBuf,
    options: Options,
    shared: Arc<Shared>,
    log: Writer<E::File>,
    kernel: Kernel,
    /// The last commit known to be durable.
    durable: u64,
    /// The group in progress; kept for its memory. Empty between groups.
    group: Vec<Done>,
    background: Option<Background>,
    /// When the next background sync must start.
    sync_due: Option<Instant>,
    old_logs: Vec<PathBuf>,
    commits_since_gc: u64,
}

impl<E: Env> Drop for LogTask<E> {
    /// However the task ends, also by a failed assertion or with its runtime: nobody waits for it
    /// any more, and nothing is accepted.
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.stopped.get_or_insert(Stopped::Closed);
        let unanswered = std::mem::take(&mut queue.requests);
        queue.commits = 0;
        queue.bytes = 0;
        drop(queue);
        // Their tickets and wishes are answered by being dropped.
        drop(unanswered);
    }
}

impl<E: Env> LogTask<E> {
    pub(super) fn new(
        env: E,
        dir: PathBuf,
        options: Options,
        recovered: Recovered<E::File>,
    ) -> Self {
        let Recovered { shared, log, kernel, .. } = recovered;
        let durable = shared.durable().seq;
        assert!(
            kernel.seq() == shared.visible().seq || options.planted(Plant::SequenceRestarts),
            "what is recovered is visible"
        );
        Self {
            env,
            dir,
            options,
            shared,
            log,
            kernel,
            durable,
            group: Vec::new(),
            background: None,
            sync_due: None,
            old_logs: Vec::new(),
            commits_since_gc: 0,
        }
    }

    /// Works until the store is closed, abandoned or poisoned.
    pub(super) async fn run(mut self) {
        match self.serve().await {
            Ok(()) => self.shared.queue().stopped = Some(Stopped::Closed),
            Err(error) => self.poison(Arc::new(error)),
        }
        assert!(self.shared.queue().stopped.is_some(), "nothing is accepted any more");
    }

    async fn serve(&mut self) -> Result<(), Error> {
        loop {
            assert!(self.group.is_empty(), "a group is answered before the next one");
            match self.next_work().await {
                Work::Group => {
                    self.wait_for_company().await;
                    self.commit_group().await?;
                }
                Work::Synced(result) => self.background_done(result)?,
                Work::SyncDue => self.start_background(),
                Work::Abandoned => return self.flush().await,
                Work::Control(Control::Flush(reply)) => {
                    let result = self.flush().await;
                    self.answer(reply, result)?;
                }
                Work::Control(Control::Checkpoint(reply)) => {
                    let result = self.checkpoint().await;
                    self.answer(reply, result)?;
                }
                Work::Control(Control::Close(reply)) => {
                    let result = self.flush().await;
                    return self.answer(reply, result);
                }
            }
        }
    }

    /// Answers a wish; a failure poisons the store, and the wish is told so.
    fn answer(
        &self,
        reply: super::shared::Reply<()>,
        result: Result<(), Error>,
    ) -> Result<(), Error> {
        assert!(self.group.is_empty(), "wishes are granted between groups");
        let answer = result.clone().map_err(|error| Error::Poisoned { reason: Arc::new(error) });
        // Nobody may wait any more.
        let _ = reply.send(answer);
        result
    }

    /// Waits for the next thing to do. What is over or due comes before new work.
    async fn next_work(&mut self) -> Work {
        loop {
            let ended = match &mut self.background {
                Some(sync) => race(&mut sync.handle, ready(())).await,
                None => Either::Right(()),
            };
            if let Either::Left(joined) = ended {
                return Work::Synced(
                    joined.unwrap_or_else(|stopped| Err(io::Error::other(stopped))),
                );
            }
            // One background sync at a time: the next one waits for the one that runs.
            let due = self.sync_due.filter(|_| self.background.is_none());
            let now = due.map(|_| self.env.now());
            if let (Some(due), Some(now)) = (due, now)
                && now >= due
            {
                return Work::SyncDue;
            }
            match self.front() {
                Front::Commits => return Work::Group,
                Front::Control(control) => return Work::Control(control),
                Front::Abandoned => return Work::Abandoned,
                Front::Nothing => {}
            }
            let wait = due.zip(now).map(|(due, now)| due - now);
            if let Some(result) = self.wait(wait).await {
                return Work::Synced(result);
            }
        }
    }

    /// Waits for a request, for `limit`, or for the background sync, whose result it returns.
    async fn wait(&mut self, limit: Option<Duration>) -> Option<io::Result<()>> {
        assert!(self.group.is_empty(), "nothing waits for an answer here");
        let timer = async {
            match limit {
                Some(limit) => self.env.sleep(limit).await,
                None => pending().await,
            }
        };
        let woken = race(self.shared.arrived.notified(), timer);
        let sync = async {
            match &mut self.background {
                Some(sync) => (&mut sync.handle).await,
                None => pending().await,
            }
        };
        match race(sync, woken).await {
            Either::Left(joined) => {
                Some(joined.unwrap_or_else(|stopped| Err(io::Error::other(stopped))))
            }
            Either::Right(_) => None,
        }
    }

    /// What is at the front of the queue; a wish is taken.
    fn front(&self) -> Front {
        let mut queue = self.shared.queue();
        match queue.requests.front() {
            Some(Request::Commit(_)) => Front::Commits,
            Some(Request::Control(_)) => match queue.requests.pop_front() {
                Some(Request::Control(control)) => Front::Control(control),
                _ => unreachable!("the front was a wish under the same lock"),
            },
            None if queue.abandoned => Front::Abandoned,
            None => Front::Nothing,
        }
    }

    /// One group of commits, from the queue to its acknowledgement.
    async fn commit_group(&mut self) -> Result<(), Error> {
        self.before_planted_group().await?;
        self.stage_group();
        assert!(!self.group.is_empty(), "there was a commit at the front");
        let path = wal_path(&self.dir, self.log.header().generation);
        if self.kernel.seq() % 3 == 2 && self.options.planted(Plant::StopsByItself) {
            return Err(at(&path, "write")(io::Error::other("planted")));
        }
        let written = self.write_log().await;
        if written.is_err() && self.options.planted(Plant::AcksFromMemory) {
            self.acknowledge_from_memory();
            return Ok(());
        }
        written.map_err(at(&path, "write"))?;
        if self.options.planted(Plant::VisibleBeforeDurable) {
            self.publish_group();
        }
        if self.options.planted(Plant::AckBeforeSync) {
            self.publish_group();
            self.acknowledge_group();
        }
        if self.sync_is_due_now() {
            let synced = match self.options.planted(Plant::SyncAllForData) {
                true => self.log.file().sync_all().await,
                false if self.options.planted(Plant::SlowSyncCounts) => self.sync_a_while().await,
                false => self.log.sync().await,
            };
            let synced = self.with_planted_sync(synced).await;
            synced.map_err(at(&path, "sync"))?;
            self.now_durable(self.kernel.seq());
        } else {
            self.plan_background();
        }
        if self.options.planted(Plant::AckBeforeVisible) {
            self.answer_then_publish().await;
        }
        self.publish_group();
        self.acknowledge_group();
        self.after_planted_group().await?;
        let full = self.log.len() >= self.options.checkpoint_every_bytes;
        if full || self.options.planted(Plant::EagerCheckpoints) {
            self.checkpoint().await?;
        }
        self.collect_garbage().await
    }

    /// Gives later commits the mode's time to join the group.
    async fn wait_for_company(&self) {
        let Durability::Group { max_batch, max_delay } = self.options.durability else { return };
        assert!(max_batch > 0, "options are validated");
        if max_delay.is_zero() {
            return;
        }
        let end = self.env.now() + max_delay;
        loop {
            let full = {
                let queue = self.shared.queue();
                // Wishes and the end of the store do not wait for more commits.
                let others = queue.requests.len() > queue.commits || queue.abandoned;
                queue.commits >= max_batch || others || queue.bytes >= GROUP_BYTES_MAX
            };
            let now = self.env.now();
            if full || now >= end {
                return;
            }
            race(self.shared.arrived.notified(), self.env.sleep(end - now)).await;
        }
    }

    /// The most commits of the next group.
    fn group_max(&self) -> usize {
        match self.options.durability {
            Durability::Immediate => 1,
            Durability::Group { max_batch, .. } => max_batch,
            Durability::Batch(n) => {
                let unsynced = (self.kernel.seq() - self.durable) as usize;
                n.saturating_sub(unsynced).clamp(1, GROUP_MAX)
            }
            Durability::AsyncSync | Durability::WriteBehind { .. } | Durability::None => GROUP_MAX,
        }
    }

    /// Takes commits from the queue, computes their roots and encodes them.
    fn stage_group(&mut self) {
        let taken = self.take_commits();
        let roots = self.kernel.advance_all(taken.iter().map(|pending| pending.batch.encoded().0));
        assert_eq!(roots.len(), taken.len(), "each commit has a root");
        for (pending, root) in taken.into_iter().zip(roots) {
            let (ops, count) = pending.batch.encoded();
            let header = format::commit_header(&root, count);
            let staged = self.log.stage(KIND_COMMIT, pending.seq, self.durable, &[&header, ops]);
            staged.expect("a batch is shorter than a record can be");
            let commit = Commit { seq: pending.seq, root };
            self.group.push(Done { pending, commit });
        }
    }

    /// Takes the next group's commits off the queue.
    fn take_commits(&self) -> Vec<Pending> {
        let max = self.group_max();
        assert!(max > 0, "options are validated");
        let mut queue = self.shared.queue();
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < max && bytes < GROUP_BYTES_MAX {
            let Some(pending) = queue.take_commit() else { break };
            assert_eq!(pending.seq, self.kernel.seq() + taken.len() as u64 + 1, "in sequence");
            bytes += pending.batch.encoded_len();
            taken.push(pending);
        }
        taken
    }

    async fn write_log(&mut self) -> io::Result<()> {
        #[cfg(feature = "plants")]
        if self.options.planted(Plant::ShortWriteNotContinued) {
            return self.log.write_without_continuing().await;
        }
        #[cfg(feature = "plants")]
        if self.options.planted(Plant::WriteInTwoParts) {
            return self.log.write_in_parts().await;
        }
        self.log.write().await?;
        assert!(self.durable < self.kernel.seq(), "no watermark covers its own record");
        Ok(())
    }

    /// Whether the mode syncs this group before it is acknowledged.
    fn sync_is_due_now(&self) -> bool {
        assert!(self.kernel.seq() > self.durable, "something was just written");
        match self.options.durability {
            Durability::Immediate | Durability::Group { .. } => true,
            Durability::Batch(n) => self.kernel.seq() - self.durable >= n as u64,
            Durability::AsyncSync | Durability::WriteBehind { .. } | Durability::None => false,
        }
    }

    /// Makes the group visible to readers.
    fn publish_group(&mut self) {
        let mut visible = self.shared.visible_mut();
        for Done { pending, commit } in &self.group {
            if commit.seq <= visible.seq {
                continue; // A planted bug was here before.
            }
            assert_eq!(commit.seq, visible.seq + 1, "commits become visible in sequence");
            kernel::apply(&mut visible.entries, pending.batch.encoded().0);
            (visible.seq, visible.root) = (commit.seq, commit.root);
        }
    }

    /// Answers the group in order. The group is empty afterwards.
    fn acknowledge_group(&mut self) {
        let visible = self.shared.visible().seq;
        assert!(self.group.iter().all(|done| done.commit.seq <= visible), "seen, then answered");
        self.commits_since_gc += self.group.len() as u64;
        for Done { pending, commit } in self.group.drain(..) {
            assert_eq!(pending.seq, commit.seq);
            // Nobody may wait any more.
            let _ = pending.reply.send(Ok(commit));
        }
    }

    /// Everything up to `seq` was covered by a successful sync.
    fn now_durable(&mut self, seq: u64) {
        assert!(seq <= self.kernel.seq(), "only what was written can be durable");
        if seq > self.durable {
            self.durable = seq;
            self.shared.advance_durable(seq);
        }
    }

    /// Sees to it that what was written gets its background sync, if the mode has one.
    fn plan_background(&mut self) {
        assert!(self.kernel.seq() > self.durable, "something was just written");
        let delay = match self.options.durability {
            Durability::AsyncSync => Duration::ZERO,
            Durability::WriteBehind { interval } => interval,
            _ => return,
        };
        if self.sync_due.is_none() {
            self.sync_due = Some(self.env.now() + delay);
        }
    }

    /// Starts a sync of all that is written; new commits go on meanwhile.
    fn start_background(&mut self) {
        assert!(self.background.is_none(), "one background sync at a time");
        self.sync_due = None;
        let nothing = self.kernel.seq() == self.durable;
        if nothing || self.options.planted(Plant::BackgroundSyncMissing) {
            return;
        }
        let file = Arc::clone(self.log.file());
        let handle = self.env.spawn(async move { file.sync_data().await });
        self.background = Some(Background { seq: self.kernel.seq(), handle });
    }

    fn background_done(&mut self, result: io::Result<()>) -> Result<(), Error> {
        let sync = self.background.take();
        let seq = sync.expect("a result comes from a sync").seq;
        assert!(seq <= self.kernel.seq(), "it covers what was written");
        let path = wal_path(&self.dir, self.log.header().generation);
        let result = match self.options.planted(Plant::SyncErrorIgnored) {
            true => Ok(()),
            false => result,
        };
        result.map_err(at(&path, "sync in the background"))?;
        self.now_durable(seq);
        Ok(())
    }

    /// Waits for a background sync: its error must not be overlooked.
    async fn join_background(&mut self) -> Result<(), Error> {
        let Some(sync) = &mut self.background else { return Ok(()) };
        assert!(sync.seq <= self.kernel.seq(), "it covers what was written");
        let joined = (&mut sync.handle).await;
        self.background_done(joined.unwrap_or_else(|stopped| Err(io::Error::other(stopped))))
    }

    /// Makes everything written durable.
    async fn flush(&mut self) -> Result<(), Error> {
        self.join_background().await?;
        if self.durable < self.kernel.seq() {
            let path = wal_path(&self.dir, self.log.header().generation);
            let synced = self.log.sync().await;
            let synced = self.with_planted_sync(synced).await;
            synced.map_err(at(&path, "flush"))?;
            self.now_durable(self.kernel.seq());
        }
        self.sync_due = None;
        assert_eq!(self.durable, self.kernel.seq());
        Ok(())
    }

    /// Writes a snapshot and goes on in a new log.
    async fn checkpoint(&mut self) -> Result<(), Error> {
        self.join_background().await?;
        assert_eq!(self.shared.visible().seq, self.kernel.seq(), "what is written is visible");
        self.sync_creation_late().await?;
        let generation = self.log.header().generation;
        let next = generation + 1;
        let switched =
            checkpoint::switch(&self.env, &self.dir, &self.options, next, &self.shared).await;
        if switched.is_err() && self.options.planted(Plant::FailedCheckpointRemovesLog) {
            let _ = self.env.remove_file(wal_path(&self.dir, generation)).await;
        }
        self.log = switched?;
        if self.options.planted(Plant::LogPreallocated) {
            self.preallocate_log().await?;
        }
        assert_eq!(self.log.header().generation, next);
        assert_eq!(self.log.header().base_seq, self.kernel.seq());
        self.old_logs.push(wal_path(&self.dir, generation));
        self.sync_due = None;
        self.now_durable(self.kernel.seq());
        Ok(())
    }

    /// Removes old logs, now and then. A failure only means that it is tried again later: the
    /// snapshot does not name them any more. But clients do not wait again and again for a disk
    /// that does not answer.
    async fn collect_garbage(&mut self) -> Result<(), Error> {
        let due = self.commits_since_gc >= self.options.gc_every_commits;
        if !due || self.options.planted(Plant::LeftoversKept) {
            return Ok(());
        }
        self.commits_since_gc = 0;
        for path in std::mem::take(&mut self.old_logs) {
            assert_ne!(path, wal_path(&self.dir, self.log.header().generation));
            let removed = match self.options.planted(Plant::OldLogsEmptied) {
                true => self.empty_log(&path).await,
                false => self.env.remove_file(&path).await,
            };
            match removed {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(at(&path, "remove")(error));
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "an old log stays for now");
                    self.old_logs.push(path);
                }
            }
        }
        Ok(())
    }

    /// Stops for good: the group in progress is in doubt, everything behind it is not done.
    fn poison(&mut self, reason: Arc<Error>) {
        tracing::error!(%reason, "the store stops");
        let stopped = Stopped::Poisoned(Arc::clone(&reason));
        let requests = {
            let mut queue = self.shared.queue();
            queue.stopped = Some(stopped.clone());
            (queue.commits, queue.bytes) = (0, 0);
            std::mem::take(&mut queue.requests)
        };
        self.shared.fail_durable(&reason);
        for Done { pending, commit } in self.group.drain(..) {
            let error = match self.options.planted(Plant::FailedCommitStays) {
                true => stopped.error(),
                false => Error::InDoubt { seq: commit.seq, reason: Arc::clone(&reason) },
            };
            let _ = pending.reply.send(Err(error));
        }
        for request in requests {
            match request {
                Request::Commit(pending) => drop(pending.reply.send(Err(stopped.error()))),
                Request::Control(control) => control.refuse(stopped.error()),
            }
        }
        assert!(self.group.is_empty());
    }
}
