//! Exploration: all legal crash images of short workloads, and what it must catch.

use seedbed::Scenario;
use seedbed::explore::{Exploration, ExploreProgress, Explored, explore};

fn run(scenario: &dyn Scenario, what: &Exploration) -> Explored {
    explore(scenario, what, &ExploreProgress::default()).expect("it can be explored")
}

fn store() -> Box<dyn Scenario> {
    let mut all = seedbed_scenarios::all();
    all.swap_remove(all.iter().position(|s| s.name() == "atomic_commit").expect("it is there"))
}

/// Every single operation, in every setting, under the five profiles, with crashes in recovery.
#[test]
fn the_store_survives_every_image_of_every_operation() {
    let what = Exploration { length_max: 1, jobs: 2, ..Exploration::default() };
    let explored = run(&*store(), &what);
    assert!(explored.found.is_empty(), "{:#?}", explored.found);
    assert!(explored.is_exhaustive(), "{explored:?}");
    assert!(explored.tally.checked > 1000, "{:?}", explored.tally);
}
