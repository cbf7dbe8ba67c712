//! Known crash bugs: the right variant of each is silent, the wrong one is caught by seed, by
//! exploration and from its trace, under the profiles that it needs and no others.

use std::sync::atomic::AtomicBool;

use seedbed::explore::{Exploration, ExploreProgress, Explored, Finding, explore};
use seedbed::faults::{Plan, Profile};
use seedbed::traces::{Trace, Verdict};
use seedbed::{Progress, Scenario, ShrinkLimits, Sweep, Swept, shrink, sweep};

/// Seeds of a sweep: those in which a bug must be caught, and those in which none may be.
const SEEDS: u64 = 5000;
/// Length of the explored sequences.
const LENGTH: u32 = 4;
/// Persist nodes whose loss a bug may need.
const NODES_MAX: usize = 3;
/// Decisions that a shrunk trace may have.
const DECISIONS_MAX: usize = 20;

/// Where a pattern shows, besides what its plant declares.
struct Needs {
    name: &'static str,
    exposes: &'static [Profile],
    silent: &'static [Profile],
}

const EXT4: Profile = Profile::EXT4;
const XFS: Profile = Profile::XFS;
const BTRFS: Profile = Profile::BTRFS;
const NOAUTO_DA_ALLOC: Profile = Profile::EXT4_NOAUTO_DA_ALLOC;
const NODELALLOC: Profile = Profile::EXT4_NODELALLOC;
const WRITEBACK: Profile = Profile::EXT4_WRITEBACK;
const POSIX: Profile = Profile::POSIX;
const RAW: Profile = Profile::RAW;
const ADVERSARIAL: Profile = Profile::ADVERSARIAL;

/// Profiles that are named on neither side are left open: the model allows there what it is not
/// known to be right about.
const NEEDS: [Needs; 13] = [
    // An overwritten page is written back any time, the size waits for the journal. Not so with
    // copy on write, where the page becomes visible after the journal, nor on a raw device, which
    // has no sizes.
    Needs {
        name: "pattern_grown_header",
        exposes: &[EXT4, XFS, NOAUTO_DA_ALLOC, NODELALLOC, WRITEBACK, POSIX, ADVERSARIAL],
        silent: &[BTRFS, RAW],
    },
    // Delayed allocation, and a rename that does not write data back. ext4's default does that,
    // which hides the bug; what else it allows is left open.
    Needs {
        name: "pattern_zero_byte_file",
        exposes: &[XFS, BTRFS, NOAUTO_DA_ALLOC, WRITEBACK, POSIX, RAW, ADVERSARIAL],
        silent: &[],
    },
    // Nothing but that two files are written back in any order.
    Needs { name: "pattern_wal_after_pages", exposes: &Profile::ALL, silent: &[] },
    // The removals and the output's name are in the journal, the data is not: a rename to a fresh
    // name does not write it back, in no file system. Where space is allocated at the write the
    // output's length is in the journal before the removals, and with it its data.
    Needs {
        name: "pattern_unsynced_compaction",
        exposes: &[EXT4, XFS, BTRFS, NOAUTO_DA_ALLOC, WRITEBACK, POSIX, RAW, ADVERSARIAL],
        silent: &[NODELALLOC],
    },
    // Nothing but that two pages of one write persist each by itself. btrfs may write both as one
    // extent.
    Needs {
        name: "pattern_recycled_wal",
        exposes: &[EXT4, XFS, NOAUTO_DA_ALLOC, NODELALLOC, WRITEBACK, POSIX, RAW, ADVERSARIAL],
        silent: &[],
    },
    // Where a sync of a file's data does not bring its new name along. xfs and btrfs log the file
    // with its names. A raw device has no names.
    Needs {
        name: "pattern_renamed_wal",
        exposes: &[EXT4, NOAUTO_DA_ALLOC, NODELALLOC, WRITEBACK, POSIX, ADVERSARIAL],
        silent: &[XFS, BTRFS, RAW],
    },
    // Sectors that persist by themselves. With copy on write a page is old or new.
    Needs { name: "pattern_torn_page", exposes: &TEARING, silent: &[BTRFS] },
    Needs { name: "pattern_double_write", exposes: &TEARING, silent: &[BTRFS] },
    // Pages that persist by themselves. btrfs may write them as extents.
    Needs { name: "pattern_superblocks", exposes: &TEARING, silent: &[] },
    // Appended pages that are written back in any order. Where space is allocated at the write, a
    // page's data is there before the length is that the next page needs.
    Needs {
        name: "pattern_zero_record",
        exposes: &[EXT4, XFS, BTRFS, NOAUTO_DA_ALLOC, WRITEBACK, POSIX, RAW, ADVERSARIAL],
        silent: &[NODELALLOC],
    },
    // A crash of the process is enough.
    Needs { name: "pattern_increment_redo", exposes: &Profile::ALL, silent: &[] },
    // Nothing but a device with a cache.
    Needs { name: "pattern_range_sync", exposes: &Profile::ALL, silent: &[] },
    Needs { name: "pattern_direct_append", exposes: &Profile::ALL, silent: &[] },
];

/// Every profile but that of copy on write.
const TEARING: [Profile; 8] =
    [EXT4, XFS, NOAUTO_DA_ALLOC, NODELALLOC, WRITEBACK, POSIX, RAW, ADVERSARIAL];

/// Every pattern with what it needs.
fn patterns() -> Vec<(Box<dyn Scenario>, &'static Needs)> {
    let patterns = seedbed_scenarios::patterns();
    assert_eq!(patterns.len(), NEEDS.len(), "every pattern has a line in the table");
    let needs = |name: &str| NEEDS.iter().find(|needs| needs.name == name);
    let with_needs = |pattern: Box<dyn Scenario>| {
        let needs = needs(pattern.name()).expect("a line in the table");
        (pattern, needs)
    };
    patterns.into_iter().map(with_needs).collect()
}

/// Crashes and power losses on these file systems.
fn crashes(profiles: &[Profile]) -> Plan {
    let mut plan = Plan::preset("crashes").expect("a preset");
    plan.disk.profiles = profiles.to_vec();
    plan
}

/// The plan under which the corpus has a pattern: what its severity is judged by.
pub(crate) fn corpus_plan(pattern: &dyn Scenario) -> Plan {
    crashes(&[severity(pattern)])
}

/// The most realistic profile on which its plant is declared to show.
fn severity(pattern: &dyn Scenario) -> Profile {
    pattern.plants()[0].severity.expect("a pattern declares it")
}

fn plant_of(pattern: &dyn Scenario) -> String {
    pattern.plants()[0].name.to_owned()
}

fn swept(pattern: &dyn Scenario, seeds: u64, plan: Plan, plant: Option<String>) -> Swept {
    let what = Sweep { plant, jobs: 2, ..Sweep::new(0..seeds, plan) };
    sweep(pattern, &what, &Progress::default())
}

fn explored(pattern: &dyn Scenario, profiles: &[Profile], plant: Option<String>) -> Explored {
    let what = Exploration {
        length_max: LENGTH,
        profiles: profiles.to_vec(),
        plant,
        jobs: 2,
        ..Exploration::default()
    };
    explore(pattern, &what, &ExploreProgress::default()).expect("it can be explored")
}

fn found(pattern: &dyn Scenario, profile: Profile) -> Option<Finding> {
    explored(pattern, &[profile], Some(plant_of(pattern))).found.into_iter().next()
}

fn law_of(trace: &Trace) -> &str {
    match &trace.end.verdict {
        Verdict::Violation { law, .. } => law,
        _ => "none",
    }
}

#[test]
fn the_right_variants_are_silent_on_every_file_system() {
    for (pattern, needs) in patterns() {
        let swept = swept(&*pattern, SEEDS, crashes(&Profile::FIVE), None);
        assert_eq!(swept.found, [], "{}", needs.name);
        assert_eq!((swept.inconclusive, swept.internal), (vec![], vec![]), "{}", needs.name);
    }
}

/// The patterns are about crashes: what else a plan has says nothing about them.
#[test]
fn the_right_variants_are_silent_under_every_plan() {
    for (pattern, needs) in patterns() {
        for preset in seedbed::faults::presets() {
            let plan = Plan::preset(preset.name).expect("a preset");
            let found = swept(&*pattern, SEEDS / 5, plan, None).found;
            assert_eq!(found, [], "{} {}", needs.name, preset.name);
        }
    }
}

#[test]
fn the_right_variants_survive_every_image_of_short_workloads() {
    for (pattern, needs) in patterns() {
        let explored = explored(&*pattern, &Profile::FIVE, None);
        assert!(explored.found.is_empty(), "{}: {:#?}", needs.name, explored.found);
        assert!(explored.is_exhaustive(), "{}: {explored:?}", needs.name);
    }
}

#[test]
fn a_sweep_catches_every_pattern_and_its_trace_replays_and_shrinks() {
    for (pattern, needs) in patterns() {
        let (name, plan) = (needs.name, corpus_plan(&*pattern));
        let found = swept(&*pattern, SEEDS, plan.clone(), Some(plant_of(&*pattern))).found;
        let found = found.first().unwrap_or_else(|| panic!("{name} is not caught"));
        let law = found.violation.law.as_str();
        assert!(pattern.plants()[0].breaks.contains(&law), "{name}: {law}");
        let mut job = Sweep::new(0..1, plan).job(found.seed);
        job.plant = Some(plant_of(&*pattern));
        let trace = seedbed::record(&*pattern, &job);
        let stop = AtomicBool::new(false);
        let limits = ShrinkLimits { runs_max: 5000, stop: &stop };
        let small = shrink(&*pattern, &trace, &limits).expect("it breaks a law");
        for trace in [&trace, &small.trace] {
            assert_eq!(law_of(trace), law, "{name}");
            let replayed = seedbed::replay(&*pattern, trace).expect("a plan of ours");
            assert!(replayed.is_same(), "{name}: {:?}", replayed.diff);
        }
        assert!(small.after.1 <= DECISIONS_MAX, "{name}: {} decisions", small.after.1);
    }
}

#[test]
fn exploration_finds_every_pattern_where_it_shows_and_nowhere_else() {
    for (pattern, needs) in patterns() {
        for profile in needs.exposes {
            let what = format!("{} on {profile}", needs.name);
            let finding = found(&*pattern, *profile).unwrap_or_else(|| panic!("{what}: silent"));
            assert!(finding.nodes() <= NODES_MAX, "{what}: {:#?}", finding.story);
            // What needs nothing to be lost needs no order either.
            let ordered = finding.nodes() == 0 || finding.ordering().is_some();
            assert!(ordered, "{what}: {:#?}", finding.story);
            let trace = finding.trace.unwrap_or_else(|| panic!("{what}: no trace"));
            let replayed = seedbed::replay(&*pattern, &trace).expect("a plan of ours");
            assert!(replayed.is_same(), "{what}: {:?}", replayed.diff);
        }
        for profile in needs.silent {
            let finding = found(&*pattern, *profile);
            assert!(finding.is_none(), "{} on {profile}: {finding:#?}", needs.name);
        }
    }
}

/// The order in which severity is judged is that of `Profile::ALL`.
#[test]
fn the_severity_is_the_first_profile_that_exposes_a_pattern() {
    for (pattern, needs) in patterns() {
        let is_open =
            |profile: &Profile| !needs.exposes.contains(profile) && !needs.silent.contains(profile);
        let judged: Vec<_> = Profile::ALL.into_iter().filter(|p| !is_open(p)).collect();
        let first = judged.into_iter().find(|profile| found(&*pattern, *profile).is_some());
        assert_eq!(first, Some(severity(&*pattern)), "{}", needs.name);
    }
}
