//! What committers, readers and the log task share: the queue, the visible state, and how far the
//! log is durable.
//!
//! Invariants: every lock is held for a bounded time and never across an `await`; sequence numbers
//! are given out under the queue's lock, so the queue is in their order; `durable <= visible.seq`
//! except between a sync and its acknowledgement.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use seedbed_env::sync::{Notify, oneshot};

use super::batch::Batch;
use super::error::Error;
use super::kernel::Entries;
use super::merkle::Hash;
use super::ticket::Commit;

pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// A commit that waits for the log task, or is being done by it.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) seq: u64,
    pub(super) batch: Batch,
    pub(super) reply: Reply<Commit>,
}

/// A wish other than a commit; done in the order of the queue.
#[derive(Debug)]
pub(super) enum Control {
    Flush(Reply<()>),
    Checkpoint(Reply<()>),
    Close(Reply<()>),
}

impl Control {
    /// Answers with an error that nothing will be done.
    pub(super) fn refuse(self, error: Error) {
        let (Self::Flush(reply) | Self::Checkpoint(reply) | Self::Close(reply)) = self;
        assert!(!matches!(error, Error::InDoubt { .. }), "only commits can be in doubt");
        // Nobody may wait any more.
        let _ = reply.send(Err(error));
    }
}

#[derive(Debug)]
pub(super) enum Request {
    Commit(Pending),
    Control(Control),
}

/// Why nothing more is accepted.
#[derive(Clone, Debug)]
pub(super) enum Stopped {
    Closed,
    Poisoned(Arc<Error>),
}

impl Stopped {
    pub(super) fn error(&self) -> Error {
        match self {
            Self::Closed => Error::Closed,
            Self::Poisoned(reason) => Error::Poisoned { reason: Arc::clone(reason) },
        }
    }
}

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) requests: VecDeque<Request>,
    /// Commits among the requests.
    pub(super) commits: usize,
    /// Their length in bytes.
    pub(super) bytes: usize,
    pub(super) next_seq: u64,
    pub(super) stopped: Option<Stopped>,
    /// No store handle is left: the log task ends when the queue is empty.
    pub(super) abandoned: bool,
}

impl Queue {
    /// Takes the request at the front, if it is a commit.
    pub(super) fn take_commit(&mut self) -> Option<Pending> {
        if !matches!(self.requests.front(), Some(Request::Commit(_))) {
            return None;
        }
        let Some(Request::Commit(pending)) = self.requests.pop_front() else {
            unreachable!("it is at the front");
        };
        self.commits -= 1;
        self.bytes -= pending.batch.encoded_len();
        assert!(self.commits <= self.requests.len(), "the count is of what is there");
        Some(pending)
    }
}

/// What readers see.
#[derive(Debug)]
pub(super) struct Visible {
    pub(super) seq: u64,
    pub(super) root: Hash,
    pub(super) entries: Entries,
}

/// How far the log is durable, and who waits for more.
#[derive(Debug)]
pub(super) struct Durable {
    pub(super) seq: u64,
    pub(super) failed: Option<Arc<Error>>,
    waiters: BTreeMap<u64, Vec<Reply<()>>>,
}

#[derive(Debug)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    /// Signalled for every request.
    pub(super) arrived: Notify,
    visible: RwLock<Visible>,
    durable: Mutex<Durable>,
}

impl Shared {
    pub(super) fn new(visible: Visible, durable_seq: u64) -> Self {
        let queue = Queue {
            requests: VecDeque::new(),
            commits: 0,
            bytes: 0,
            next_seq: visible.seq + 1,
            stopped: None,
            abandoned: false,
        };
        let durable = Durable { seq: durable_seq, failed: None, waiters: BTreeMap::new() };
        Self {
            queue: Mutex::new(queue),
            arrived: Notify::new(),
            visible: RwLock::new(visible),
            durable: Mutex::new(durable),
        }
    }

    /// A planted bug: commits are numbered from 1 again.
    pub(super) fn restart_sequence(&self) {
        self.queue().next_seq = 1;
        self.durable().seq = 0;
    }

    // A lock is poisoned only if an assertion of ours failed under it; the others then still see
    // the state before, which each of these critical sections leaves whole.

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn visible(&self) -> RwLockReadGuard<'_, Visible> {
        self.visible.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn visible_mut(&self) -> RwLockWriteGuard<'_, Visible> {
        self.visible.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn durable(&self) -> MutexGuard<'_, Durable> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a wish of the user's; refused when the store has stopped.
    pub(super) fn ask(&self, control: Control) {
        let mut queue = self.queue();
        let stopped = queue.stopped.as_ref().map(Stopped::error);
        match stopped {
            Some(error) => control.refuse(error),
            None => {
                if let Control::Close(_) = control {
                    queue.stopped = Some(Stopped::Closed);
                }
                queue.requests.push_back(Request::Control(control));
            }
        }
        drop(queue);
        self.arrived.notify_one();
    }

    /// Notes that everything up to `seq` is durable, and tells those who wait for it.
    pub(super) fn advance_durable(&self, seq: u64) {
        let mut durable = self.durable();
        assert!(seq >= durable.seq, "what is durable stays durable");
        durable.seq = seq;
        let later = durable.waiters.split_off(&(seq + 1));
        let reached = std::mem::replace(&mut durable.waiters, later);
        drop(durable);
        for waiter in reached.into_values().flatten() {
            // Nobody may wait any more.
            let _ = waiter.send(Ok(()));
        }
    }

    /// Notes that nothing more will become durable.
    pub(super) fn fail_durable(&self, reason: &Arc<Error>) {
        let mut durable = self.durable();
        assert!(durable.failed.is_none(), "a store fails once");
        durable.failed = Some(Arc::clone(reason));
        let waiters = std::mem::take(&mut durable.waiters);
        assert!(waiters.keys().all(|&seq| seq > durable.seq), "the others were told");
        drop(durable);
        for (seq, replies) in waiters {
            for reply in replies {
                let _ = reply.send(Err(Error::InDoubt { seq, reason: Arc::clone(reason) }));
            }
        }
    }

    /// Answered when commit `seq`, which was acknowledged, is durable.
    pub(super) fn when_durable(&self, seq: u64) -> oneshot::Receiver<Result<(), Error>> {
        assert!(seq > 0, "commits are numbered from 1");
        let (reply, answer) = oneshot::channel();
        let mut durable = self.durable();
        if durable.seq >= seq {
            let _ = reply.send(Ok(()));
        } else if let Some(reason) = &durable.failed {
            let _ = reply.send(Err(Error::InDoubt { seq, reason: Arc::clone(reason) }));
        } else {
            durable.waiters.entry(seq).or_default().push(reply);
        }
        answer
    }
}
