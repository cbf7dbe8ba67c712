//! A database sink: rows from a source into tables of several participants, exactly once.

mod participant;
mod row;

pub use participant::{
    Connection, ConnectionState, Decision, Gid, No, Outcome, Participant, ParticipantError,
    Session, Vote, WRITER_LEN_MAX, WriteMode, Writer,
};
pub use row::{
    COLUMNS_MAX, Column, ColumnType, NAME_LEN_MAX, ROW_KEY_LEN_MAX, ROW_LEN_MAX, Row, RowError,
    Rows, Schema, Value,
};
