//! seedbed-engines: storage engines that run on real disks and, unchanged, in the simulator.
//!
//! An engine is generic over the capability traits of `seedbed-env` and knows no world. What is
//! absent here: threads, ambient clocks, ambient randomness, and any knowledge of the simulator
//! or of injected faults.
//!
//! * [`record_log`]: the checksummed append log that every engine shares.
//! * [`atomic_commit`]: a key-value state with atomic, durable commits and a Merkle root.
//! * [`sink`]: a database sink with two-phase commit.

pub mod atomic_commit;
mod bytes;
mod classes;
mod patient;
mod plants;
pub mod record_log;
pub mod sink;

pub use plants::UnknownPlant;
