//! The simulated disk is never more forgiving than the kernel: what kernels were recorded to leave
//! lies inside the legal images of each file system's profile. Needs no root.

#![cfg(target_os = "linux")]

use seedbed::faults::{NameOrder, Profile};
use seedbed_litmus::{
    Crash, Escape, Held, Model, Observed, Recorded, Recovered, Row, Setup, Tally, Workload, hold,
    random_workload, rows,
};

/// A recorded outcome of a row held against a profile.
fn held(setup: &Setup, profile: Profile, row: &Row, recovered: &Recovered) -> Held {
    let steps = row.workload.steps.len();
    let crash = Crash { after: steps, recovered: recovered.clone() };
    let observed = Observed { results: vec![Ok(()); steps], crashes: vec![crash] };
    hold(setup, profile, &row.workload, &observed).expect("the base can be made")
}

/// Row, setup and outcome of all that was recorded on setups that a profile describes.
fn recorded() -> Vec<(Row, &'static Setup, Profile, Recovered)> {
    let recorded = Recorded::shipped();
    let mut all = Vec::new();
    for setup in Setup::with_power_losses() {
        let Some(profile) = setup.profile() else { continue };
        for row in rows() {
            for outcome in recorded.outcomes(&row.id, setup.name) {
                all.push((row.clone(), setup, profile, outcome.clone()));
            }
        }
    }
    all
}

#[test]
fn every_recorded_outcome_is_legal_by_its_profile() {
    let mut escaped = Vec::new();
    let mut tally = Tally::default();
    for (row, setup, profile, outcome) in recorded() {
        let held = held(setup, profile, &row, &outcome);
        if !held.escapes.is_empty() {
            escaped.push(format!("row {} on {}: {outcome}", row.id, setup.name));
        }
        tally.add(&held);
    }
    assert_eq!(escaped, Vec::<String>::new(), "more forgiving than the kernel");
    assert!(tally.workloads >= 8 * rows().len() as u64, "{tally:?}");
}

#[test]
fn the_legal_sets_are_not_everything() {
    let mut tally = Tally::default();
    for (row, setup, profile, outcome) in recorded() {
        tally.add(&held(setup, profile, &row, &outcome));
    }
    assert!(tally.legal_median() <= 4, "half of the rows leave few possibilities: {tally:?}");
    assert!(tally.seen_per_mille() > 0, "{tally:?}");
}

/// A profile that promises more than the file system keeps is found out by the record.
#[test]
fn a_profile_that_is_too_forgiving_is_reported() {
    let ext4 = Profile::EXT4;
    let too_forgiving = [
        ("ext4-noauto_da_alloc", ext4, "04"),
        ("xfs", Profile { replace_flushes: true, ..Profile::XFS }, "05"),
        ("ext4", Profile { sync_data_covers_names: true, ..ext4 }, "42"),
        ("ext4", Profile { data_before_len: true, ..ext4 }, "50"),
        ("btrfs", Profile { names: NameOrder::Journal, ..Profile::BTRFS }, "10"),
        ("btrfs", Profile { copy_on_write: false, ..Profile::BTRFS }, "15"),
        ("ext4", Profile::EXT4_NODELALLOC, "13"),
    ];
    for (name, profile, id) in too_forgiving {
        let escapes: Vec<_> = recorded()
            .iter()
            .filter(|(row, setup, _, _)| row.id == id && setup.name == name)
            .flat_map(|(row, setup, _, outcome)| held(setup, profile, row, outcome).escapes)
            .collect();
        let is_image = |escape: &Escape| matches!(escape, Escape::Image { .. });
        assert!(escapes.iter().any(is_image), "row {id} does not see through {name}: {profile:?}");
    }
}

#[test]
fn a_step_that_comes_to_something_else_is_reported() {
    let workload: Workload = "mkdir A; crash".parse().expect("steps");
    let observed = Observed { results: vec![Ok(()), Ok(())], crashes: Vec::new() };
    let setup = Setup::named("ext4").expect("it is there");
    let held = hold(setup, Profile::EXT4, &workload, &observed).expect("the base can be made");
    assert!(matches!(held.escapes[..], [Escape::Result { step: 0, .. }]), "{held:?}");
}

#[test]
fn what_is_in_the_cache_and_what_is_least_are_always_legal() {
    for seed in 0..100 {
        let workload = random_workload(seed);
        for setup in Setup::with_power_losses() {
            let Some(profile) = setup.profile() else { continue };
            let mut model = Model::new(profile, setup.kind, &workload.base).expect("the base");
            for step in &workload.steps {
                model.step(step).unwrap_or_else(|errno| panic!("{seed}: {step}: {errno}"));
                let pending = model.disk().pending();
                let (all, none) = (vec![true; pending.len()], vec![false; pending.len()]);
                for kept in [all, none] {
                    let dump = seedbed_litmus::dump_of(&pending.image(&kept, &[]));
                    assert!(model.allows(&dump), "{seed} on {}, {step}: {dump}", setup.name);
                }
            }
        }
    }
}
