//! seedbed: deterministic simulation of disks, networks, clocks and crashes for storage engines.

pub mod blocking;
mod budget;
mod calls;
mod choices;
mod cpu;
pub mod crash_test;
mod device;
mod digest;
pub mod disk;
mod env;
mod executor;
pub mod explore;
mod give_back;
mod kernel;
mod net;
mod node;
mod panics;
mod probes;
mod range;
mod shrink;
mod sim;
mod sockets;
mod stats;
mod sweep;
pub mod tape;
mod testbed;
mod timers;
mod timing;
mod trace;
pub mod vary;
mod waker;
mod world;

pub use budget::Tolerance;
pub use choices::{Divergence, Source};
pub use crash_test::{Acks, AnyError, CrashTest, crash_test};
pub use env::{SimEnv, SimFile};
pub use give_back::{GivenBack, give_back};
pub use net::{NetRule, Packet, PacketKind, Verdict};
pub use node::{CrashKind, NodeId};
/// Strategies for workloads: [`Testbed::workload`] gives one, of exactly this version.
pub use proptest;
pub use seedbed_check as check;
pub use seedbed_env as seam;
pub use seedbed_faults as faults;
pub use seedbed_traces as traces;
pub use shrink::{ShrinkError, ShrinkLimits, Shrunk, shrink};
pub use sim::{Finished, POLL_LIMIT, Sim, Started};
pub use sockets::{SimDatagram, SimListener, SimReadHalf, SimStream, SimWriteHalf};
pub use stats::{CheckerCost, CheckerCosts, CpuTime, FaultKind, Probes, Stats};
pub use sweep::{Found, LAW_DETERMINISTIC, Progress, Sweep, Swept, nondeterminism, sweep};
pub use testbed::{
    Failure, Job, LAW_LIVE, LAW_NO_PANIC, LAW_UNSTABLE, Law, Outcome, PlantInfo, Run, Scenario,
    SyncInfo, Testbed, Violation, encode_ops,
};
pub use trace::{Replayed, job_of, record, replay};
pub use world::{Stop, simulated_ns};
