//! Scenarios: an engine, a workload, the laws, and the planted bugs that the laws must catch. What
//! the command line, the tests and the benchmarks share.

pub mod atomic_commit;

use seedbed::Scenario;

/// Every built-in scenario.
pub fn all() -> Vec<Box<dyn Scenario>> {
    vec![Box::new(atomic_commit::AtomicCommit)]
}
