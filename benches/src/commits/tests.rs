//! Every contender commits, reopens and has what it acknowledged; and the comparison can fail.

use std::collections::BTreeMap;

use super::asked::{is_enough, parse};
use super::cell::{Cell, Found, Shape, Stop, Subject};
use super::curve::Crossing;
use super::load::{self, KEYS, Values, Writer, key_of};
use super::patience::{FOREIGN_MAX, Patience};
use super::stores::{self, Kept, Put, Store};
use super::worker::{self, compare};

/// A short run in this process, which compares at its end.
fn run(subject: Subject, shape: Shape, commits: u64) -> u64 {
    let dir = tempfile::tempdir().expect("a folder");
    let cell = Cell { subject, shape, stop: Stop::Commits(commits) };
    let found = worker::work(&cell, dir.path()).expect("what was acknowledged is there");
    assert_eq!(found.commits, commits);
    found.compared
}

#[test]
fn every_contender_keeps_what_it_acknowledged() {
    for subject in Subject::CONTENDERS {
        for callers in [1, 4] {
            let compared = run(subject, Shape::Callers(callers), 100);
            assert_eq!(compared, 100, "{subject:?}: each commit had a key of its own");
        }
    }
}

#[test]
fn pipelines_keep_what_they_acknowledged() {
    for subject in [Subject::Seedbed, Subject::SeedbedOne, Subject::Wal] {
        for window in [1, 8, 1024] {
            assert_eq!(run(subject, Shape::Window(window), 3000), 3000, "{subject:?}");
        }
    }
}

#[test]
fn baselines_write_what_is_read_back() {
    for (subject, compared) in [
        (Subject::Rewrite, 2),
        (Subject::Rename, 2),
        (Subject::Reopen, 100),
        (Subject::Pwrite, 100),
        (Subject::SyncOverwrite, 0),
        (Subject::SyncAppend, 0),
        (Subject::Roots, 0),
    ] {
        assert_eq!(run(subject, Shape::Callers(2), 100), compared, "{subject:?}");
    }
}

#[test]
fn the_ring_lets_go_of_the_oldest_and_of_no_other() {
    let compared = run(Subject::Wal, Shape::Window(4096), 3 * KEYS);
    assert_eq!(compared, KEYS, "the ring holds more than all keys");
    let compared = run(Subject::Wal, Shape::Window(4096), 63_000 + 64_000);
    assert_eq!(compared, KEYS, "a ring that wrapped round still has the last of each key");
}

/// Forgets one commit.
struct Forgetful(Box<dyn Store>);

impl Store for Forgetful {
    fn fill(
        &self,
        entries: &mut dyn Iterator<Item = (load::Key, load::Value)>,
    ) -> Result<(), String> {
        self.0.fill(entries)
    }

    fn put(&self, put: Put<'_>) -> Result<u64, String> {
        if put.index == 7 { Ok(u64::MAX) } else { self.0.put(put) }
    }

    fn reopen(self: Box<Self>) -> Result<Box<dyn Store>, String> {
        self.0.reopen()
    }

    fn find(&self, writer: usize, index: u64, key: &load::Key, at: u64) -> Result<Kept, String> {
        self.0.find(writer, index, key, at)
    }
}

#[test]
fn a_commit_that_is_lost_is_found_out_with_every_kind_of_store() {
    let tasks = [Subject::Seedbed, Subject::SeedbedOne, Subject::SeedbedInline];
    for subject in Subject::CONTENDERS.into_iter().filter(|of| !tasks.contains(of)) {
        let dir = tempfile::tempdir().expect("a folder");
        let values = Values::new();
        let store = stores::open(subject, dir.path(), 1).expect("opens");
        store.fill(&mut values.first()).expect("fills");
        let store: Box<dyn Store> = Box::new(Forgetful(store));
        let mut writers = Writer::all(1, &values);
        load::callers(&*store, &mut writers, Stop::Commits(20), false).expect("commits");
        let store = store.reopen().expect("opens again");
        let error = compare(&writers, &*store).expect_err("a commit is lost");
        assert!(error.contains("WRONG") && error.contains("key 7"), "{subject:?}: {error}");
    }
}

#[test]
fn keys_and_values_differ() {
    let values = Values::new();
    let keys: std::collections::BTreeSet<_> = (0..KEYS).map(key_of).collect();
    assert_eq!(keys.len() as u64, KEYS);
    let of = |nth| values.value(&key_of(3), nth);
    assert_ne!(of(1), of(2));
    assert_ne!(of(1)[24..], of(2)[24..], "not by their numbers alone");
}

#[test]
fn strace_s_summary_is_read() {
    let summary = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 98.50    0.123456         123      1000           fdatasync
  1.50    0.000100          10        12         2 fsync
------ ----------- ----------- --------- --------- ----------------
100.00    0.123556         122      1012         2 total
";
    let expected = [("fdatasync".to_owned(), 1000), ("fsync".to_owned(), 12)];
    assert_eq!(parse(summary), BTreeMap::from(expected));
}

#[test]
fn too_few_syncs_are_noticed() {
    let of = |name: &str, count| BTreeMap::from([(name.to_owned(), count)]);
    assert!(is_enough(&of("fdatasync", 1.0), 1));
    assert!(is_enough(&of("fsync", 0.13), 8));
    assert!(!is_enough(&of("fdatasync", 0.5), 1));
    assert!(!is_enough(&of("fdatasync", 0.1), 8));
    assert!(!is_enough(&of("sync_file_range", 1.0), 1));
}

#[test]
fn the_least_disturbed_attempt_counts() {
    let found = |commits, foreign| {
        let (p50_us, p99_us) = (None, None);
        Ok(Found { commits, seconds: 1.0, cpu_s: 1.0, p50_us, p99_us, compared: 0, foreign })
    };
    let take = |patience: u64, shares: [f64; 4]| {
        let mut attempts = (1..).zip(shares);
        let mut patience = Patience::new(std::time::Duration::from_secs(patience), || 0.0);
        let attempt = || attempts.next().map_or(found(0, 0.0), |(nth, share)| found(nth, share));
        patience.take(attempt).expect("no attempt fails").commits
    };
    assert_eq!(take(0, [0.9, 0.1, 0.0, 0.0]), 1, "without patience the first counts");
    assert_eq!(take(3600, [FOREIGN_MAX, 0.0, 0.0, 0.0]), 1, "it was not disturbed");
    assert_eq!(take(3600, [0.9, FOREIGN_MAX, 0.0, 0.0]), 2);
    assert_eq!(take(3600, [0.9, 0.8, 0.5, 0.7]), 3, "all were disturbed");
}

#[test]
fn crossings_are_found_between_points() {
    let halved = [(1.0, 4.0), (4.0, 2.0), (16.0, 0.5)];
    let Some(Crossing::From(at)) = Crossing::find(&halved, 1.0) else { panic!("it crosses") };
    assert!((at - 8.0).abs() < 1e-9, "in the middle on both scales: {at}");
    assert_eq!(Crossing::find(&halved, 5.0), Some(Crossing::Everywhere));
    let never = Crossing::Never { least: 0.5, at: 16.0 };
    assert_eq!(Crossing::find(&halved, 0.4), Some(never));
    // A dip does not count as a crossing.
    let dip = [(1.0, 4.0), (2.0, 0.9), (4.0, 2.0), (8.0, 0.5)];
    let Some(Crossing::From(at)) = Crossing::find(&dip, 1.0) else { panic!("it crosses") };
    assert!(at > 4.0 && at < 8.0, "{at}");
    assert_eq!(Crossing::find(&[], 1.0), None);
}
