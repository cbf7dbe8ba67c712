//! Scenarios: an engine, a workload, the laws, and the planted bugs that the laws must catch. What
//! the command line, the tests and the benchmarks share.

pub mod atomic_commit;
mod patterns;
pub mod sink;

use seedbed::Scenario;

/// Every built-in scenario.
pub fn all() -> Vec<Box<dyn Scenario>> {
    vec![Box::new(atomic_commit::AtomicCommit), Box::new(sink::Sink)]
}

/// Models of known crash bugs, each small and with one plant. They are not part of a main job: they
/// show what the simulator can see, not whether an engine holds.
pub fn patterns() -> Vec<Box<dyn Scenario>> {
    patterns::all()
}
