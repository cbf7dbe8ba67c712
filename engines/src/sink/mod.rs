//! A database sink: rows from a source into tables of several participants, exactly once.

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
