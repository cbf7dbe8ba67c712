//! The simulated disk is never more forgiving than the kernel: what kernels were recorded to leave
//! lies inside the legal images of each file system's profile. Needs no root.

#![cfg(target_os = "linux")]

use seedbed::faults::{NameOrder, Profile};
use seedbed_litmus::{
    Crash, ErrorCells, ErrorRow, Escape, Held, Model, Observed, Recorded, Recovered, Row, Setup,
    Tally, Workload, error_rows, hold, hold_errors, random_workload, rows,
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

/// Row, setup, profile and cells of all refused writes that were recorded. A journal for data
/// reports and keeps as the others do: it is held against ext4's profile.
fn recorded_errors() -> Vec<(ErrorRow, &'static Setup, Profile, ErrorCells)> {
    let recorded = Recorded::shipped();
    let mut all = Vec::new();
    for setup in Setup::with_refused_writes() {
        let profile = setup.profile().unwrap_or(Profile::EXT4);
        for row in error_rows() {
            let cells = recorded.error_cells(&row.id, setup.name).expect("every cell is recorded");
            all.push((row, setup, profile, cells.clone()));
        }
    }
    all
}

#[test]
fn every_recorded_cell_of_a_refused_write_is_what_the_profile_says() {
    let all = recorded_errors();
    assert_eq!(all.len(), 15, "three rows on five setups");
    for (row, setup, profile, cells) in all {
        let forbidden = hold_errors(setup, profile, &row, &cells).expect("the base can be made");
        assert_eq!(forbidden, [], "row {} on {}", row.id, setup.name);
    }
}

#[test]
fn a_cell_that_is_not_what_the_kernel_does_is_reported() {
    for (row, setup, profile, cells) in recorded_errors() {
        let flip = |cell: &str| if cell == "ok" { "EIO".to_owned() } else { "ok".to_owned() };
        let wrong = [
            ("write", ErrorCells { write: flip(&cells.write), ..cells.clone() }),
            ("fsync_1", ErrorCells { fsync_1: flip(&cells.fsync_1), ..cells.clone() }),
            ("fsync_2", ErrorCells { fsync_2: flip(&cells.fsync_2), ..cells.clone() }),
            (
                "opened_before",
                ErrorCells { opened_before: flip(&cells.opened_before), ..cells.clone() },
            ),
            (
                "opened_after",
                ErrorCells { opened_after: flip(&cells.opened_after), ..cells.clone() },
            ),
            ("cached", ErrorCells { cached: cells.dropped.clone(), ..cells.clone() }),
            ("dropped", ErrorCells { dropped: "j*8192".to_owned(), ..cells.clone() }),
            (
                "healed_fsync",
                ErrorCells { healed_fsync: flip(&cells.healed_fsync), ..cells.clone() },
            ),
            (
                "healed_write",
                ErrorCells { healed_write: flip(&cells.healed_write), ..cells.clone() },
            ),
            ("remounted", ErrorCells { remounted: "e*4096,j*4096".to_owned(), ..cells.clone() }),
        ];
        for (cell, wrong) in wrong {
            let found = hold_errors(setup, profile, &row, &wrong).expect("the base can be made");
            let found: Vec<&str> = found.iter().map(|forbidden| forbidden.cell).collect();
            assert!(found.contains(&cell), "{} on {}: {cell}: {found:?}", row.id, setup.name);
        }
    }
}

#[test]
fn a_profile_that_does_not_stop_after_an_error_is_told_from_one_that_does() {
    let found = |name: &str, profile| {
        let setup = Setup::named(name).expect("a setup");
        let of_setup = |(row, of, _, cells): (ErrorRow, &'static Setup, Profile, ErrorCells)| {
            (of == setup).then(|| hold_errors(setup, profile, &row, &cells).expect("a base"))
        };
        recorded_errors().into_iter().filter_map(of_setup).flatten().count()
    };
    assert_eq!(found("ext4", Profile::EXT4), 0);
    assert!(found("ext4", Profile::EXT4_DATA_ERR_ABORT) > 0);
    assert!(found("ext4-abort", Profile::EXT4) > 0);
}
