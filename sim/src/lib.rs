//! seedbed: deterministic simulation of disks, clocks and crashes for storage engines.

mod calls;
mod choices;
mod digest;
pub mod disk;
mod env;
mod executor;
mod node;
mod panics;
mod sim;
mod stats;
mod waker;
mod world;

pub use choices::{Divergence, Source};
pub use env::{SimEnv, SimFile};
pub use node::{CrashKind, NodeId};
pub use seedbed_env as seam;
pub use seedbed_faults as faults;
pub use seedbed_traces as traces;
pub use sim::{Finished, POLL_LIMIT, Sim};
pub use stats::{FaultKind, Stats};
pub use world::Stop;
