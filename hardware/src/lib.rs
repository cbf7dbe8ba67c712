//! The real-hardware mode: the engines that simulation tests, under load on a real disk, timed,
//! counted, and checked afterwards.
//!
//! A [`Workload`] says what an engine is loaded with. A [`Bench`] is one engine under it, in a
//! process of its own so that memory and CPU time are its own: rounds of operations with the time
//! that each took, and in the end a comparison of what is on the disk with what was acknowledged.
//! Timing a wrong engine is a failure ([`Failed::Wrong`]). [`simulate()`] runs the same
//! workload in the simulated world.
//!
//! Judging rounds (histograms, intervals, gates, baselines) is the crate `seedbed-measure`'s.

// It is about the real world: clocks and threads are real.
#![allow(clippy::disallowed_methods)]

pub mod accounting;
pub mod allocations;
pub mod bench;
pub mod calibrate;
pub mod direct;
pub mod in_turn;
mod load;
pub mod machine;
pub mod process;
pub mod simulate;
mod target;
mod text;
pub mod workload;

pub use bench::{Bench, Ended, Round};
pub use calibrate::Profile;
pub use in_turn::{InTurn, in_turn};
pub use load::Load;
pub use machine::Machine;
pub use process::{Launch, Worker};
pub use simulate::{Costs, Simulated, exact, simulate, simulate_rounds};
pub use workload::{Engine, Mode, Workload};

/// Why a measurement came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The engine failed.
    #[error("the engine failed: {0}")]
    Engine(String),
    /// The engine is wrong: what is on the disk is not what was acknowledged.
    #[error("the engine is WRONG, and its figures with it: {0}")]
    Wrong(String),
    /// The machine did not let us.
    #[error("{0}")]
    Machine(String),
}

impl Failed {
    /// Says which program it was.
    #[must_use]
    fn of(self, program: &impl std::fmt::Display) -> Self {
        let told = |why| format!("{program}: {why}");
        match self {
            Self::Engine(why) => Self::Engine(told(why)),
            Self::Wrong(why) => Self::Wrong(told(why)),
            Self::Machine(why) => Self::Machine(told(why)),
        }
    }
}
