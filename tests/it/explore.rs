//! Exploration: all legal crash images of short workloads, and what it must catch.

use std::sync::atomic::Ordering;

use seedbed::explore::{Exploration, ExploreProgress, Explored, MissingBarrier, explore};
use seedbed::faults::{Profile, Rule};
use seedbed::{Scenario, replay};

use crate::zoo::sync_sites;

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

/// Every operation once, in the strict setting alone.
fn short() -> Exploration {
    let settings = vec!["immediate_checkpoints".to_owned()];
    Exploration { length_max: 1, settings, jobs: 2, ..Exploration::default() }
}

/// Inside the sync the client knows already, and nothing is durable.
#[test]
fn an_acknowledgement_before_its_sync_is_found_under_every_profile() {
    let store = store();
    for profile in Profile::FIVE {
        let what = Exploration {
            plant: Some("ack_before_sync".to_owned()),
            profiles: vec![profile],
            ..short()
        };
        let explored = run(&*store, &what);
        let finding = explored.found.first().unwrap_or_else(|| panic!("{profile}: nothing"));
        assert_eq!(finding.violation.law, "acknowledged is durable", "{profile}");
        assert!(finding.nodes() <= 3, "{profile}: {finding:?}");
    }
}

/// The first of these profiles under which leaving a sync out breaks a law.
fn severity(site: &str, profiles: &[Profile]) -> Option<Profile> {
    profiles.iter().copied().find(|&profile| {
        let rules = vec![Rule::omit_sync(site)];
        let what = Exploration {
            length_max: 1,
            jobs: 2,
            profiles: vec![profile],
            rules,
            ..Exploration::default()
        };
        !run(&*store(), &what).found.is_empty()
    })
}

#[test]
fn every_left_out_sync_breaks_a_law_in_a_small_image_that_replays() {
    let store = store();
    for site in sync_sites(&*store) {
        let what = Exploration {
            length_max: 1,
            jobs: 2,
            profiles: vec![Profile::POSIX],
            rules: vec![Rule::omit_sync(&site)],
            ..Exploration::default()
        };
        let explored = run(&*store, &what);
        let finding = explored.found.first().unwrap_or_else(|| panic!("{site} is not caught"));
        assert!(finding.nodes() <= 3, "{site}: {:#?}", finding.story);
        assert!(finding.ordering().is_some(), "{site}: {:#?}", finding.story);
        let trace = finding.trace.as_ref().unwrap_or_else(|| panic!("{site} has no trace"));
        let replayed = replay(&*store, trace).expect("it can be replayed");
        assert_eq!(replayed.divergence, None, "{site}");
        assert_eq!(replayed.trace.end, trace.end, "{site}");
    }
}

/// Plants under which recovery uses bytes that nobody checked.
const UNVERIFIED: [&str; 3] =
    ["record_checksum_ignored", "checksum_without_number", "length_trusted"];

#[test]
fn bytes_that_recovery_does_not_verify_are_found_by_junk_and_replay() {
    let store = store();
    for plant in UNVERIFIED {
        let profiles = vec![Profile::EXT4];
        let what = Exploration { plant: Some(plant.to_owned()), profiles, ..short() };
        let explored = run(&*store, &what);
        let finding = explored.found.first().unwrap_or_else(|| panic!("{plant} is not caught"));
        assert_eq!(finding.violation.law, seedbed::LAW_UNSTABLE.name, "{plant}");
        assert!(finding.story.iter().any(|step| step.junk.is_some()), "{plant}: {finding:?}");
        assert_eq!(finding.missing, None, "{plant}: no sync is missing");
        let trace = finding.trace.as_ref().unwrap_or_else(|| panic!("{plant} has no trace"));
        let replayed = replay(&*store, trace).expect("it can be replayed");
        assert_eq!(replayed.trace.end, trace.end, "{plant}");
        let unseen = run(&*store, &Exploration { unstable: false, ..what });
        assert!(unseen.found.iter().all(|found| found.violation.law != finding.violation.law));
    }
}

/// The file or directory whose sync each site is, by file and number within it.
const SYNCED: [(&str, usize, &str); 10] = [
    ("checkpoint.rs", 0, "store/wal"),
    ("checkpoint.rs", 1, "store/snapshot"),
    ("checkpoint.rs", 2, "store"),
    ("checkpoint.rs", 3, "store"),
    ("log_task.rs", 0, "store/wal"),
    ("log_task.rs", 1, "store/wal"),
    ("log_task.rs", 2, "store/wal"),
    ("recovery.rs", 0, ""),
    ("recovery.rs", 1, "store/wal"),
    ("recovery.rs", 2, "store"),
];

/// File and line of a source location.
fn place(site: &str) -> (&str, u32) {
    let (path, line) = site.rsplit_once(':').expect("a location has a line");
    (path.rsplit('/').next().unwrap_or(path), line.parse().expect("a number"))
}

#[test]
fn the_missing_barrier_is_where_the_sync_was_left_out() {
    let store = store();
    let sites: Vec<_> = sync_sites(&*store).into_iter().collect();
    for (at, site) in sites.iter().enumerate() {
        let what = Exploration {
            length_max: 1,
            jobs: 2,
            profiles: vec![Profile::POSIX],
            rules: vec![Rule::omit_sync(site)],
            ..Exploration::default()
        };
        let explored = run(&*store, &what);
        let finding = explored.found.first().unwrap_or_else(|| panic!("{site} is not caught"));
        let Some(MissingBarrier::Sync { of, after, until, .. }) = &finding.missing else {
            panic!("{site}: {:?} {:#?}", finding.missing, finding.story)
        };
        let (file, line) = place(site);
        let nth = sites[..at].iter().filter(|other| place(other).0 == file).count();
        let synced = SYNCED.iter().find(|(known, number, _)| (*known, *number) == (file, nth));
        let (_, _, synced) = synced.expect("a line in the table");
        let is_file = synced.contains('/') && of.starts_with(synced);
        assert!(is_file || of == synced, "{site}: {}", finding.missing.as_ref().expect("it is"));
        for (end, is_before) in [(after, true), (until, false)] {
            let end = end.as_deref().map(place).filter(|(other, _)| *other == file);
            assert!(end.is_none_or(|(_, end)| (end < line) == is_before), "{site}: {finding:?}");
        }
    }
}

/// A weak file system must not pass for a strong one: what a journal orders by itself, POSIX and
/// only POSIX wants a directory's sync for.
#[test]
fn syncs_of_directories_are_needed_less_on_real_file_systems() {
    let kernels = [Profile::EXT4, Profile::XFS, Profile::BTRFS, Profile::POSIX];
    let store = store();
    let severities: Vec<_> =
        sync_sites(&*store).into_iter().map(|site| severity(&site, &kernels)).collect();
    assert!(severities.contains(&Some(Profile::EXT4)), "{severities:?}");
    assert!(severities.contains(&Some(Profile::POSIX)), "{severities:?}");
    assert!(!severities.contains(&None), "{severities:?}");
}

#[test]
fn benign_twins_are_silent_in_every_image() {
    let store = store();
    // What a failing call does depends little on what a crash leaves.
    let profiles = vec![Profile::EXT4];
    let failing = Exploration { failures: true, depth: 1, profiles, ..short() };
    for plant in store.plants().iter().filter(|plant| plant.benign) {
        for what in [short(), failing.clone()] {
            let what = Exploration { plant: Some(plant.name.to_owned()), ..what };
            let explored = run(&*store, &what);
            assert!(explored.found.is_empty(), "{}: {:#?}", plant.name, explored.found);
            assert!(explored.is_exhaustive(), "{}", plant.name);
        }
    }
}

/// Plants that only a failing call brings out.
const NEED_FAILURES: [&str; 4] = [
    "sync_error_ignored",
    "sync_retried_until_ok",
    "failed_commit_stays",
    "short_write_not_continued",
];

#[test]
fn what_an_engine_does_about_a_failing_call_is_judged_and_replays() {
    let store = store();
    for plant in NEED_FAILURES {
        let profiles = vec![Profile::EXT4];
        let quiet = Exploration { plant: Some(plant.to_owned()), profiles, depth: 1, ..short() };
        assert!(run(&*store, &quiet).found.is_empty(), "{plant} shows without a failure");
        let explored = run(&*store, &Exploration { failures: true, ..quiet });
        let finding = explored.found.first().unwrap_or_else(|| panic!("{plant} is not caught"));
        assert!(finding.failing.is_some(), "{plant}: {finding:?}");
        let trace = finding.trace.as_ref().unwrap_or_else(|| panic!("{plant} has no trace"));
        let replayed = replay(&*store, trace).expect("it can be replayed");
        assert_eq!(replayed.trace.end, trace.end, "{plant}");
    }
}

/// The store itself, every single operation, each of its calls failing.
#[test]
fn the_store_survives_every_failing_call() {
    let what = Exploration { length_max: 1, depth: 1, failures: true, jobs: 2, ..short() };
    let explored = run(&*store(), &what);
    assert!(explored.found.is_empty(), "{:#?}", explored.found);
    assert!(explored.is_exhaustive() && explored.tally.failures > 1000, "{:?}", explored.tally);
}

#[test]
fn neither_threads_nor_pieces_change_the_answer() {
    let store = store();
    let short = || Exploration { failures: true, depth: 1, ..short() };
    let whole = run(&*store, &short());
    let alone = run(&*store, &Exploration { jobs: 1, ..short() });
    assert_eq!(whole.tally, alone.tally);
    let mut pieces = Explored::default();
    while pieces.done < whole.cases {
        let piece = Exploration { first_case: pieces.done, cases_max: 10, ..short() };
        let explored = run(&*store, &piece);
        pieces.done = explored.done;
        pieces.tally.add(&explored.tally);
    }
    assert_eq!(pieces.tally, whole.tally);
}

#[test]
fn a_stopped_exploration_says_so_and_counts_whole_cases() {
    let progress = ExploreProgress::default();
    progress.stop.store(true, Ordering::Relaxed);
    let explored = explore(&*store(), &short(), &progress).expect("it can be explored");
    assert!(explored.interrupted && !explored.is_exhaustive());
    assert_eq!(explored.done, 0);
}

/// What has too many images is not called exhausted.
#[test]
fn bounds_are_honest() {
    let bounds = seedbed::disk::Bounds { images: 4, flips: 1 };
    let explored = run(&*store(), &Exploration { bounds, ..short() });
    assert!(!explored.is_exhaustive() && explored.tally.unexhausted > 0);
    assert!(explored.found.is_empty(), "{:#?}", explored.found);
}
