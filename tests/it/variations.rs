//! All runs of one distributed transaction of the sink: every law holds in each of them, and
//! planted bugs that only a crash or a message at one place shows are found.

use seedbed::vary::{Varied, VaryProgress, vary};
use seedbed::{Scenario, replay};

fn sink() -> Box<dyn Scenario> {
    let mut all = seedbed_scenarios::all();
    all.swap_remove(all.iter().position(|s| s.name() == "sink").expect("it is there"))
}

/// Goes through the runs until so many violations are found; 0: through all.
fn go_through(plant: Option<&str>, violations_max: usize) -> Varied {
    let sink = sink();
    let variations = sink.variations().expect("it has them");
    vary(&*sink, variations, plant, (2, violations_max), &VaryProgress::default())
}

#[test]
fn the_sink_keeps_its_laws_in_every_crash_with_every_message() {
    let varied = go_through(None, 0);
    assert!(varied.found.is_empty(), "{:#?}", varied.found);
    assert!(varied.is_exhaustive(), "{varied:?}");
    assert!(varied.crashes > 3_000 && varied.runs > 100_000, "{varied:?}");
}

#[test]
fn bugs_of_two_phase_commit_are_found_in_runs_that_replay() {
    let sink = sink();
    for plant in [
        "vote_before_durable",
        "commit_before_durable",
        "forgotten_too_early",
        "unilateral_abort",
        "participants_not_logged",
    ] {
        let varied = go_through(Some(plant), 1);
        let (job, violation) = varied.found.first().unwrap_or_else(|| panic!("{plant}: nothing"));
        let trace = seedbed::record(&*sink, job);
        let replayed = replay(&*sink, &trace).expect("it can be replayed");
        assert_eq!(replayed.divergence, None, "{plant}: {violation:?}");
        assert_eq!(replayed.trace.end, trace.end, "{plant}");
    }
}
