//! seedbed-postgres: PostgreSQL as a participant of the sink's two-phase commit.
//!
//! * [`cluster`]: servers of one's own, for tests.

pub mod cluster;
mod encode;
