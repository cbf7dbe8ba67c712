//! What can go wrong, and what to do then.

use std::io;
use std::sync::Arc;

use super::participant::Gid;
use super::row::RowError;
use crate::atomic_commit;

/// An error of a sink or of an embedded participant. Cheap to clone: one failure answers many.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store below failed: the sink's log of decisions, or a participant's rows.
    #[error(transparent)]
    Store(#[from] atomic_commit::Error),
    /// The folder holds something else than it should.
    #[error("{folder}: {reason}")]
    Foreign {
        /// The folder.
        folder: String,
        /// What is there, and what was expected.
        reason: String,
    },
    /// The network failed.
    #[error("cannot {op}: {source}")]
    Net {
        /// What was tried.
        op: &'static str,
        /// The operating system's error.
        source: Arc<io::Error>,
    },
    /// A row does not fit the table. It was not taken.
    #[error("not taken: {0}")]
    Row(#[from] RowError),
    /// An offset is not higher than the one before it. The row was not taken.
    #[error("not taken: offset {offset} after offset {last}: offsets go up")]
    Offset {
        /// The offset.
        offset: u64,
        /// The last one that was taken, or that a checkpoint holds.
        last: u64,
    },
    /// An option breaks a limit.
    #[error("{reason}")]
    Invalid {
        /// Which, and what is allowed.
        reason: String,
    },
    /// A participant rejects a row, and the sink is to stop then. Mend the source, or let the sink
    /// leave such rows out.
    #[error("the row with offset {offset} was rejected: {reason}")]
    Rejected {
        /// Its offset.
        offset: u64,
        /// Which rule of the table it breaks.
        reason: String,
    },
    /// A participant refuses to work with this sink.
    #[error("participant {participant}: {reason}")]
    Refused {
        /// Its name.
        participant: String,
        /// Why.
        reason: String,
    },
    /// A later start of the same sink is at work.
    #[error("a later start of this sink has taken over; this one has stopped")]
    Fenced,
    /// The sink stopped after a failure. Close it and open it again: it goes on from its last
    /// checkpoint.
    #[error("the sink has stopped ({reason}); close it and open it again")]
    Stopped {
        /// The failure.
        reason: Arc<Error>,
    },
    /// It was closed.
    #[error("the sink was closed")]
    Closed,
    /// No transaction of this name is prepared here.
    #[error("no transaction {gid} of {writer} is prepared here")]
    NotPrepared {
        /// The writer.
        writer: String,
        /// The transaction.
        gid: Gid,
    },
}

/// Turns a network's error into ours.
pub(super) fn net(op: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Net { op, source: Arc::new(source) }
}
