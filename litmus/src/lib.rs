//! Crash litmus tests on real file systems: what ext4, xfs and btrfs leave of small workloads when
//! the power fails, or when their device refuses a write. The simulated disk claims to allow all of
//! it; here the kernel is asked.
//!
//! * [`Workload`] is what is done: [`Step`]s on a base state. [`rows`] are the workloads of the
//!   table, [`random_workload`] makes more.
//! * [`Runner`] does it on a real file system, a [`Setup`], and gives an [`Observed`]: what each
//!   step returned, and for each [`Crash`] a [`Dump`] of what was left. [`run_all`] runs many.
//! * [`hold`] compares that with the simulated disk: a [`Model`] does the same steps, and what the
//!   real file system left must be legal by its profile. [`hold_errors`] does so for refused
//!   writes.
//! * [`Recorded`] is what kernels made of the table so far, [`verdict`] compares.
//!
//! It takes root, loop devices and the programs that make file systems; [`Setup::available`] says
//! what is missing.
//!
//! Invariant: nothing but memory is written, and nothing is left behind: images are anonymous
//! memory, mounts and loop devices end with this process, however it ends.

#![cfg(target_os = "linux")]

mod check;
mod conform;
mod dump;
mod errno;
mod errors;
mod handles;
mod image;
mod model;
mod mount;
mod pool;
mod random;
mod real;
mod refused;
mod setup;
mod steps;
mod sys;
mod table;
mod workload;

pub use check::{Verdict, check_error_row, outcome, verdict};
pub use conform::{Held, Tally, hold, shrink_escape};
pub use dump::{Dump, Entry, Fill, ParseDumpError, Run, push};
pub use errno::Errno;
pub use errors::{ErrorCells, ErrorRow, Refused, run_error_row};
pub use model::{Escape, LegalCount, Model, dump_of};
pub use pool::{Job, run_all};
pub use random::{RANDOM_BASE, random_workload};
pub use real::{Crash, Crashes, Observed, Recovered, Runner};
pub use refused::{Forbidden, hold_errors};
pub use setup::{FsKind, Setup, Unavailable};
pub use steps::{
    Flag, PAGE, ParseStepError, Step, StepResult, UNRELATED_BYTE, UNRELATED_LEN, UNRELATED_PATH,
};
pub use table::{Recorded, Row, error_rows, kernel, rows};
pub use workload::{STANDARD_BASE, Workload, parse_steps, standard_base, steps_text};
