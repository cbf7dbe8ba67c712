//! What a history is: events in one total order, each one fact that one process established.
//!
//! Whoever records gives dense numbers to what has names in the system ([`Interner`] does it), so
//! that checkers keep their state in vectors and bit sets. Invariants:
//! * The place of an event in the slice is its number and its place in the total order.
//! * There is no fact that no checker reads.

use std::collections::BTreeMap;
use std::fmt;

use crate::processes::Processes;

/// A history: all that was recorded, in order. Checkers take a slice of it.
pub type History = Vec<Event>;

/// One process: a coordinator, a participant, a sink, a database. Numbers are 0..64. A coordinator
/// that is also a participant is recorded as two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process(pub u8);

/// One distributed transaction by its global name, over all lives of all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tx(pub u32);

/// One checkpoint (epoch) of a sink, in the order in which the sink numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checkpoint(pub u32);

/// The place of one record of the source, counted from 0 without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u32);

/// One physical connection, from its opening to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection(pub u32);

/// One pool of connections, which belongs to one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pool(pub u8);

/// One wait of one caller: for a connection, for room in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Waiter(pub u32);

/// One event: who established which fact when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds of simulated or real time. Never decreases along a history.
    pub at: u64,
    /// Who: the coordinator or participant named at each [`Fact`]. Facts about the whole run
    /// ([`Fact::FaultBegin`], [`Fact::Healed`], ...) are nobody's; any process will do.
    pub process: Process,
    /// In which life of the process: greater after each recovery.
    pub incarnation: u32,
    /// What.
    pub fact: Fact,
}

/// Whether a connection is inside a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// No transaction.
    Idle,
    /// A transaction is open.
    Open,
    /// A transaction is open and has failed; it can only be rolled back.
    Failed,
}

/// What an event says. "Coordinator" and "participant" say which process records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Coordinator: a transaction begins, before anything of it is sent.
    Begin {
        /// Which.
        tx: Tx,
        /// All that have to vote. Never holds the coordinator.
        participants: Processes,
    },
    /// Coordinator: the initiation record (presumed commit), which names all participants, is
    /// durable.
    Initiated {
        /// Of which transaction.
        tx: Tx,
    },
    /// Coordinator: a prepare request leaves.
    PrepareSent {
        /// Of which transaction.
        tx: Tx,
        /// To whom.
        to: Process,
    },
    /// Participant: its prepare record is durable; from here it may not decide alone.
    Prepared {
        /// Of which transaction.
        tx: Tx,
    },
    /// Participant: its vote leaves, for the first time or again.
    Vote {
        /// On which transaction.
        tx: Tx,
        /// Yes, or No.
        yes: bool,
    },
    /// Coordinator: a vote has arrived.
    VoteReceived {
        /// On which transaction.
        tx: Tx,
        /// Whose.
        from: Process,
        /// Yes, or No.
        yes: bool,
    },
    /// Coordinator: it gave up waiting, or its client took the transaction back.
    Timeout {
        /// Which transaction.
        tx: Tx,
    },
    /// Coordinator: the record of the decision is durable.
    DecisionDurable {
        /// On which transaction.
        tx: Tx,
        /// Commit, or abort.
        commit: bool,
    },
    /// Coordinator: the first message that tells the decision leaves, or the client is answered.
    /// Participant: the decision is applied durably. Once more after a recovery is no harm.
    Decide {
        /// On which transaction.
        tx: Tx,
        /// Commit, or abort.
        commit: bool,
    },
    /// Coordinator: answers an inquiry, or resolves a transaction that a participant lists as in
    /// doubt, from its log or by presumption.
    Answer {
        /// About which transaction.
        tx: Tx,
        /// Commit, or abort.
        commit: bool,
    },
    /// Coordinator: an acknowledgement of the decision has arrived.
    AckReceived {
        /// Of which transaction.
        tx: Tx,
        /// Whose.
        from: Process,
    },
    /// Coordinator: it knows nothing of the transaction from here on.
    Forget {
        /// Which.
        tx: Tx,
    },
    /// Participant: it decided on its own, or an operator did, while it was in doubt.
    Heuristic {
        /// Which transaction.
        tx: Tx,
        /// Commit, or abort.
        commit: bool,
    },
    /// Coordinator: reports that a participant decided otherwise than the transaction.
    HeuristicReported {
        /// Which transaction.
        tx: Tx,
        /// Which participant.
        of: Process,
    },
    /// Any: a write to stable storage was waited for on behalf of the transaction.
    Forced {
        /// For which transaction.
        tx: Tx,
    },
    /// Any: a message of the protocol left. Repetitions are not recorded.
    Message {
        /// Of which transaction.
        tx: Tx,
    },
    /// The process died.
    Crash,
    /// The process is up again; its incarnation is the new one.
    Recovered,
    /// Something begins to go wrong that these processes may notice.
    FaultBegin {
        /// Which.
        scope: Processes,
    },
    /// It is over.
    FaultEnd {
        /// The scope of the same fault.
        scope: Processes,
    },
    /// A core of processes is up, and all faults that they may notice are over, but that others do
    /// not answer: the liveness clock runs from here, until the next fault or a crash in the core.
    Healed {
        /// Which; [`Processes::ALL`] if everything is healed.
        core: Processes,
    },
    /// The run is over and everything should be resolved.
    Quiescent,
    /// Participant, after [`Fact::Quiescent`]: it still holds the transaction prepared.
    PreparedAtEnd {
        /// Which.
        tx: Tx,
    },
    /// Any: who fences has let something of this life of the process through. It is recorded for
    /// the process that asks, or for one that stands for it as one participant knows it.
    LetThrough,
    /// Sink: a checkpoint begins.
    CheckpointStart {
        /// Which.
        checkpoint: Checkpoint,
    },
    /// Sink: the transaction belongs to the checkpoint. The last such fact counts.
    Joins {
        /// Which transaction.
        tx: Tx,
        /// To which checkpoint.
        checkpoint: Checkpoint,
    },
    /// Sink: the transaction carries the source records `from..to`.
    Covers {
        /// Which transaction.
        tx: Tx,
        /// The first record.
        from: Offset,
        /// The first record after it.
        to: Offset,
    },
    /// Sink: the checkpoint is durable, and with it that all records below `offset` are committed.
    CheckpointDurable {
        /// Which.
        checkpoint: Checkpoint,
        /// The first record that is not committed.
        offset: Offset,
    },
    /// Sink: it goes on from this checkpoint.
    Restored {
        /// Which.
        checkpoint: Checkpoint,
        /// The first record that it reads again.
        offset: Offset,
    },
    /// Sink: it tells the source that all records below `offset` may go.
    UpstreamAck {
        /// The first record that must stay.
        offset: Offset,
    },
    /// A connection is opened.
    Connect {
        /// Which.
        connection: Connection,
        /// For which pool.
        pool: Pool,
    },
    /// A connection is handed out.
    Lease {
        /// Which.
        connection: Connection,
        /// As it is handed out.
        state: ConnectionState,
    },
    /// Its holder gives a connection back.
    Return {
        /// Which.
        connection: Connection,
    },
    /// A connection is closed or lost, by its pool or while leased.
    Close {
        /// Which.
        connection: Connection,
    },
    /// A caller begins to wait.
    WaitBegin {
        /// Which wait.
        waiter: Waiter,
    },
    /// A caller waits no more: it was served, or it gave up.
    WaitEnd {
        /// Which wait.
        waiter: Waiter,
    },
    /// Bytes enter the buffer of the process.
    Buffered {
        /// How many.
        bytes: u64,
    },
    /// Bytes leave the buffer of the process because they have been delivered.
    Released {
        /// How many.
        bytes: u64,
    },
}

impl Fact {
    /// Whether others than the process itself can notice it: what a fenced process must not do.
    pub fn is_effect(&self) -> bool {
        matches!(
            self,
            Self::Begin { .. }
                | Self::Initiated { .. }
                | Self::PrepareSent { .. }
                | Self::Prepared { .. }
                | Self::Vote { .. }
                | Self::DecisionDurable { .. }
                | Self::Decide { .. }
                | Self::Answer { .. }
                | Self::Forget { .. }
                | Self::Heuristic { .. }
                | Self::HeuristicReported { .. }
                | Self::LetThrough
                | Self::CheckpointStart { .. }
                | Self::CheckpointDurable { .. }
                | Self::Restored { .. }
                | Self::UpstreamAck { .. }
        )
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, process, incarnation, fact } = self;
        write!(f, "{at} ns, process {}, incarnation {incarnation}: {fact:?}", process.0)
    }
}

/// Gives dense numbers to names, in the order in which they come: global transaction names to
/// [`Tx`], log positions to [`Offset`].
#[derive(Clone, Debug)]
pub struct Interner<K> {
    numbers: BTreeMap<K, u32>,
}

impl<K: Ord> Default for Interner<K> {
    fn default() -> Self {
        Self { numbers: BTreeMap::new() }
    }
}

impl<K: Ord> Interner<K> {
    /// The number of this name: the one it has, or the next free one.
    ///
    /// # Panics
    ///
    /// If there are more than `u32::MAX` names.
    pub fn number(&mut self, name: K) -> u32 {
        let next = u32::try_from(self.numbers.len()).expect("at most u32::MAX names");
        *self.numbers.entry(name).or_insert(next)
    }

    /// The name that has this number. Looks through all of them: for messages, not for hot paths.
    pub fn name(&self, number: u32) -> Option<&K> {
        self.numbers.iter().find(|(_, known)| **known == number).map(|(name, _)| name)
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there is no name yet.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_small() {
        assert!(size_of::<Event>() <= 32, "{} bytes", size_of::<Event>());
    }

    #[test]
    fn a_name_keeps_its_number() {
        let mut interner = Interner::default();
        assert!(interner.is_empty());
        assert_eq!([interner.number("b"), interner.number("a"), interner.number("b")], [0, 1, 0]);
        assert_eq!((interner.len(), interner.name(1), interner.name(2)), (2, Some(&"a"), None));
    }
}
