//! Runs many workloads on several threads, each with file systems of its own.
//!
//! Most of a run is waiting, since mounting and unmounting wait for the kernel, so more threads
//! than cores are of use.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::real::{Crashes, Observed, Runner};
use crate::setup::Setup;
use crate::workload::Workload;

/// One thing to run.
#[derive(Clone, Debug)]
pub struct Job {
    /// Where.
    pub setup: &'static Setup,
    /// What.
    pub workload: Workload,
    /// When the power fails.
    pub crashes: Crashes,
}

/// Runs all jobs on so many threads until there are none left or a stop is asked for. Each outcome
/// is shown with the number of its job, in the order in which they are there.
pub fn run_all(
    jobs: &[Job],
    threads: usize,
    stop: &AtomicBool,
    mut each: impl FnMut(usize, io::Result<Observed>),
) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (sender, outcomes) = mpsc::channel();
        for _ in 0..threads.max(1) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                let mut runner = Runner::new();
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(number) else { break };
                    let observed = runner.run(job.setup, &job.workload, job.crashes);
                    if sender.send((number, observed)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (number, observed) in outcomes {
            each(number, observed);
        }
    });
}
