//! seedbed-postgres: PostgreSQL as a participant of the sink's two-phase commit.
//!
//! * [`PostgresParticipant`]: rows into one table of a database, in transactions that are prepared
//!   by PREPARE TRANSACTION. What it leaves in the database and what its errors mean is in
//!   `docs/postgresql.md`.
//! * [`cluster`]: servers of one's own, for tests.
//!
//! **Invariant:** a *yes* is given only if every statement of the transaction was answered without
//! an error: PREPARE TRANSACTION of a failed transaction is no error, it rolls back.
//!
//! **Invariant:** nothing is sent behind a COPY whose start was not answered yet: the client sends
//! one Sync too many if it is refused, and the answers that follow belong to the wrong requests. A
//! connection on which that happened is not used again.

mod batch;
pub mod cluster;
mod connection;
mod encode;
mod participant;
mod replies;
mod resolve;
mod search;
mod setup;
mod statements;
mod sweep;
mod table;
mod trouble;

pub use connection::PostgresConnection;
pub use participant::PostgresParticipant;
