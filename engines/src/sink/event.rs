//! What a sink and an embedded participant tell an [`Observer`]: the facts from which a history can
//! be checked, an audit log written, or counts made.

use std::fmt;
use std::sync::Arc;

use super::participant::{ConnectionState, Decision, Gid, Outcome};

/// A fact, told at the moment it becomes true, by the task in which it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The sink is open: its incarnation, and the offset from which the source has to go on.
    Opened {
        /// Which start.
        incarnation: u64,
        /// The first offset that is not in the last durable checkpoint.
        offset: u64,
        /// That checkpoint's number; 0 before the first.
        checkpoint: u64,
    },
    /// A start finds a decision to commit in the log, of a checkpoint that not everybody has
    /// carried out. Told before [`Event::Opened`].
    Recovered {
        /// The transaction.
        gid: Gid,
    },
    /// A transaction carries the rows of these offsets to these participants.
    Begun {
        /// It.
        gid: Gid,
        /// The first offset that it covers.
        from: u64,
        /// The first one after it.
        to: u64,
        /// A bit for each participant that it has rows for.
        participants: u64,
    },
    /// *Prepare* goes out.
    PrepareSent {
        /// The transaction.
        gid: Gid,
        /// To whom.
        participant: u8,
    },
    /// A vote came.
    Voted {
        /// The transaction.
        gid: Gid,
        /// From whom.
        participant: u8,
        /// Whether it is *yes*.
        yes: bool,
    },
    /// The coordinator's decision stands: durably if it is to commit; an abort needs no record.
    Decided {
        /// The transaction.
        gid: Gid,
        /// What.
        decision: Decision,
    },
    /// A decision goes out.
    DecisionSent {
        /// The transaction.
        gid: Gid,
        /// To whom.
        participant: u8,
        /// What.
        decision: Decision,
    },
    /// The answer to a decision came.
    Answered {
        /// The transaction.
        gid: Gid,
        /// From whom.
        participant: u8,
        /// What was asked for.
        decision: Decision,
        /// What is.
        outcome: Outcome,
    },
    /// A participant holds this transaction prepared and nobody works on it: it is told.
    Resolved {
        /// The transaction.
        gid: Gid,
        /// Where.
        participant: u8,
        /// What it is told.
        decision: Decision,
    },
    /// The decision to commit was removed from the log: all participants have answered.
    Forgotten {
        /// The transaction.
        gid: Gid,
    },
    /// Damage is reported, durably: a participant did otherwise than was decided. Told once when it
    /// is found out, and again by every later start.
    Damaged {
        /// The transaction.
        gid: Gid,
        /// Where.
        participant: u8,
        /// Whether an earlier start had reported it.
        earlier: bool,
    },
    /// A checkpoint begins to be made durable.
    CheckpointBegun {
        /// Its number: of the last durable one, and one more. One that a crash cuts short is
        /// begun again by the next start, with other transactions.
        checkpoint: u64,
    },
    /// A transaction is decided by the checkpoint that has begun.
    Joined {
        /// The transaction.
        gid: Gid,
        /// Its number.
        checkpoint: u64,
    },
    /// A checkpoint is durable, and with it the decision to commit its transactions.
    Checkpointed {
        /// Its number.
        checkpoint: u64,
        /// The first offset that is not in it.
        offset: u64,
    },
    /// A forced write is done, for this transaction among others.
    Forced {
        /// The transaction.
        gid: Gid,
    },
    /// The coordinator gives a transaction up that nobody has refused: a vote does not come, or an
    /// earlier one needs its place.
    GaveUp {
        /// The transaction.
        gid: Gid,
    },
    /// All rows of a batch were left out: no transaction carries these offsets.
    Emptied {
        /// The first offset that it covers.
        from: u64,
        /// The first one after it.
        to: u64,
    },
    /// Somebody waits for a connection.
    WaitBegun {
        /// To whom.
        participant: u8,
        /// Which wait; never used twice for a participant in an incarnation.
        wait: u32,
    },
    /// And does not any longer.
    WaitEnded {
        /// To whom.
        participant: u8,
        /// Which wait.
        wait: u32,
    },
    /// A row is in the buffer.
    Buffered {
        /// Its offset.
        offset: u64,
        /// Its length.
        bytes: u64,
    },
    /// Rows left the buffer: they and all before them are prepared everywhere, or rejected.
    Released {
        /// Their length.
        bytes: u64,
    },
    /// A row was rejected and is left out.
    Rejected {
        /// Its offset.
        offset: u64,
    },
    /// Something became of a connection.
    Connection {
        /// To whom.
        participant: u8,
        /// Which of those to it; never used twice in an incarnation.
        connection: u32,
        /// What.
        change: ConnectionChange,
        /// Its state then.
        state: ConnectionState,
    },
    /// At a participant: a start of the writer is let in, durably, and no earlier one from here on.
    Admitted {
        /// Which start.
        incarnation: u64,
    },
    /// At a participant: a request of this start passes that only the latest may make.
    LetThrough {
        /// Which start.
        incarnation: u64,
    },
    /// At a participant: the transaction is prepared, durably. A start tells again what it finds:
    /// of the one before, nobody may have heard.
    Prepared {
        /// It.
        gid: Gid,
    },
    /// At a participant: a vote goes out.
    VoteSent {
        /// The transaction.
        gid: Gid,
        /// Whether it is *yes*.
        yes: bool,
    },
    /// At a participant: the transaction has its end, durably. A start tells it again.
    Applied {
        /// It.
        gid: Gid,
        /// Which.
        decision: Decision,
    },
    /// At a participant: a person decided a prepared transaction. A start tells it again.
    DecidedByHand {
        /// It.
        gid: Gid,
        /// How.
        decision: Decision,
    },
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionChange {
    /// It is being made, and has its place. What was not made is closed.
    Opening,
    /// It was made.
    Opened,
    /// Somebody has it.
    Leased,
    /// It is back in the pool.
    Returned,
    /// It is gone.
    Closed,
}

/// Who is told; nobody by default. Told under locks: it must return soon, and not call back.
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<dyn Fn(Event) + Send + Sync>>);

impl Observer {
    /// Tells this function.
    pub fn new(tell: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    /// Whether there is somebody to tell.
    #[inline]
    pub(super) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Tells it.
    #[inline]
    pub(super) fn tell(&self, event: Event) {
        if let Some(tell) = &self.0 {
            tell(event);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Observer(told)" } else { "Observer(nobody)" })
    }
}
