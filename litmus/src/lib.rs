//! Crash litmus tests on real file systems: what ext4, xfs and btrfs leave of small workloads when
//! the power fails. The simulated disk claims to allow all of it.
pub mod dump;
pub mod errno;
pub mod errors;
mod handles;
mod image;
mod mount;
pub mod pool;
pub mod real;
pub mod setup;
pub mod steps;
mod sys;
pub mod table;
pub mod workload;
