//! Histories of transactions, and checkers of their laws as pure functions.
//!
//! A [`History`] is a vector of [`Event`]s in one total order, recorded by a simulation or by a real
//! system. A [`Checker`] looks at it once and gives a [`Verdict`] for each of its [`Law`]s, with the
//! numbers of the events that show a violation. [`CHECKERS`] has them all; [`check_all`] runs them.
//!
//! Invariants:
//! * A checker is a pure function: the same history and the same [`Given`] have the same verdict,
//!   with the same witness.
//! * No history makes a checker panic. What cannot be judged is [`Verdict::Unknown`], which is never
//!   a pass.
//! * This crate depends on nothing, of ours or of others.

mod given;
mod history;
mod processes;
mod registry;
mod verdict;

pub use given::{Given, Variant};
pub use history::{
    Checkpoint, Connection, ConnectionState, Event, Fact, History, Interner, Offset, Pool, Process,
    Tx, Waiter,
};
pub use processes::Processes;
pub use registry::{CHECKERS, Checker, check_all};
pub use verdict::{Judgement, Law, Verdict, Violation};
