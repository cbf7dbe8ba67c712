//! A database sink: rows from a source into a table at several participants, exactly once.
//!
//! # Contract
//! [`Sink::push`] takes rows with the source's offsets. A [checkpoint](Sink::checkpoint) makes an
//! offset durable: what is below it is in the table or will be, once, whatever crashes; the source
//! gives the rest again, from [`Sink::checkpointed`] on. Rows of one key are written in order.
//!
//! # Protocol
//! Two-phase commit with presumed abort; `decisions.rs` says what is durable. Each batch of rows is
//! a transaction over the [participants](Participant) that it has rows for (`transaction.rs`). A
//! checkpoint and the decision to commit the transactions below its offset are one forced write;
//! then participants are told, until each has answered (`coordinator.rs`). What is prepared and has
//! no decision is aborted: participants are asked what they hold. `state.rs` has what the tasks
//! share.
//!
//! # Absent
//! Moving rows between participants: the number and the names of participants never change. Locks
//! against a second process on one folder: a later start fences an earlier one off at the
//! participants, not at the folder.

mod buffer;
mod coordinator;
mod decisions;
pub mod embedded;
mod engine;
mod error;
mod event;
mod options;
mod participant;
mod plant;
mod pool;
mod probe;
mod row;
mod state;
#[cfg(test)]
mod tests;
mod transaction;

pub use decisions::Checkpoint;
pub use engine::{Metrics, Sink};
pub use error::Error;
pub use event::{ConnectionChange, Event, Observer};
pub use options::{Guarantee, OnRejected, Options};

pub use participant::{
    Connection, ConnectionState, Decision, Gid, No, Outcome, Participant, ParticipantError,
    Session, Vote, WRITER_LEN_MAX, WriteMode, Writer,
};
pub use plant::Plant;
pub use pool::PoolMetrics;
pub use probe::Probe;
pub use row::{
    COLUMNS_MAX, Column, ColumnType, NAME_LEN_MAX, ROW_KEY_LEN_MAX, ROW_LEN_MAX, Row, RowError,
    Rows, Schema, Value,
};
