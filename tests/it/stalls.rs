//! A disk that is slow, and a node that stands still, are no faults of the store's: a store that
//! takes them for a disk that failed, or laws that blame the store for them, show here.

use seedbed::faults::Plan;
use seedbed::{Progress, Sweep, sweep};
use seedbed_scenarios::atomic_commit::AtomicCommit;

/// All laws hold under a plan, and its faults happen.
fn holds(plan: &str, seeds: u64) {
    let plan = Plan::from_toml(plan, "a test").expect("a plan");
    let swept = sweep(&AtomicCommit, &Sweep::new(0..seeds, plan), &Progress::default());
    let first = swept.found.first().map(|found| (found.seed, &found.violation));
    assert_eq!(first, None);
    assert!(swept.stats.faults.iter().sum::<u64>() > 0, "something happened");
}

/// No call takes as long as the store waits for one, but a commit with its checkpoint does.
#[test]
fn a_disk_that_answers_every_call_stops_no_store() {
    holds("[device]\nstall_probability = \"1\"\nstall = \"8s..9s\"", 300);
}

#[test]
fn a_call_that_takes_longer_than_the_limit_may_stop_the_store() {
    holds("[device]\nstall_probability = \"1/50..1/5\"\nstall = \"20s..60s\"", 300);
}

#[test]
fn no_answer_is_late_because_the_node_stood_still() {
    holds("[clock]\npause_probability = \"1/20..1/5\"\npause = \"600s..3600s\"", 300);
}

/// One call of the engine is several of the disk, with a pause in between.
#[test]
fn a_pause_in_a_write_that_was_cut_short_may_stop_the_store() {
    holds(
        "[disk]\nshort_write_probability = \"1/2\"\n[clock]\npause_probability = \"1\"\n\
         pause = \"60s..600s\"",
        300,
    );
}
