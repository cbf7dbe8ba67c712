//! Histories of transactions, and checkers of their laws as pure functions.
//!
//! A [`History`] is a vector of [`Event`]s in one total order, recorded by a simulation or by a
//! real system. A [`Checker`] looks at it once and gives a [`Verdict`] for each of its [`Law`]s,
//! with the numbers of the events that show a violation. [`CHECKERS`] has them all, and
//! [`check_all`] runs them.
//!
//! ```
//! use seedbed_check::{Event, Fact, Given, Process, Tx, check_all};
//!
//! let commit = Fact::DecisionDurable { tx: Tx(0), commit: true };
//! let abort = Fact::DecisionDurable { tx: Tx(0), commit: false };
//! let event = |fact| Event { at: 0, process: Process(0), incarnation: 0, fact };
//! let judged = check_all(&[event(commit), event(abort)], &Given::default());
//! let broken = judged.iter().find_map(|judged| judged.verdict.violation()).unwrap();
//! assert_eq!((broken.law.name, &broken.witness[..]), ("AC2 stability", &[0, 1][..]));
//! ```
//!
//! Invariants:
//! * A checker is a pure function: the same history and the same [`Given`] have the same verdict,
//!   with the same witness.
//! * No history makes a checker panic. What cannot be judged is [`Verdict::Unknown`], which is
//!   never a pass.
//! * This crate depends on nothing, of ours or of others.

mod automata;
mod buffer;
mod checkpoints;
mod commitment;
mod cost;
mod dense;
mod disturbances;
mod exactly_once;
mod fencing;
mod given;
mod heuristics;
mod history;
pub mod lawful;
mod liveness;
mod pass;
mod pool;
mod processes;
mod registry;
mod steps;
mod stuck;
mod verdict;

pub use automata::{
    Automaton, Explored, Manager, TCommit, TCommitState, TCommitStep, TwoPhase, TwoPhaseState,
    TwoPhaseStep, explore,
};
pub use cost::Budget;
pub use given::{Given, Variant};
pub use history::{
    Checkpoint, Connection, ConnectionState, Event, Fact, History, Interner, Offset, Pool, Process,
    Tx, Waiter,
};
pub use processes::Processes;
pub use registry::{CHECKERS, Checker, check_all, check_two_phase};
pub use verdict::{Judgement, Law, Verdict, Violation};

/// All laws, by the name of what they are about.
pub mod laws {
    pub use crate::buffer::{BUFFER_DRAINED, BUFFER_MAX, BUFFER_MIN};
    pub use crate::checkpoints::{CONTIGUOUS, ORDER, RESTORE, UPSTREAM, VOTES};
    pub use crate::commitment::{
        AC1, AC2, AC3, AC4, DURABLE_DECISION, DURABLE_VOTE, PRESUMPTION, UNIQUE, WINDOW,
    };
    pub use crate::cost::{FORCED_WRITES, MESSAGES};
    pub use crate::exactly_once::{EPOCHS, EXACTLY_ONCE};
    pub use crate::fencing::FENCING;
    pub use crate::heuristics::HEURISTICS;
    pub use crate::liveness::{AC5, ORPHANS};
    pub use crate::pool::{CLEAN, LEAK, ONE_HOLDER, POOL_MAX, STARVATION};
    pub use crate::steps::{TCOMMIT, TWO_PHASE};
}

#[cfg(test)]
mod tests;
