//! Zeros ahead of the log's records: written where commits are small, gone when the store is opened
//! again, and never taken for anything.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use seedbed_engines::atomic_commit::{Batch, Durability, Error, Options};

use crate::support::{batch, check_prefix, open, run, world};

const STEP: usize = 16 << 10;

fn ahead() -> Options {
    let mut options = Options::default();
    options.preallocate_bytes = STEP as u64;
    options
}

fn path(dir: &Path) -> PathBuf {
    dir.join("store/wal.0000000000000001")
}

/// The log's length, and where its last byte stands that is not zero.
fn lengths(dir: &Path) -> (usize, usize) {
    let log = std::fs::read(path(dir)).unwrap();
    (log.len(), log.iter().rposition(|byte| *byte != 0).unwrap() + 1)
}

#[test]
fn commits_go_where_zeros_were_until_there_are_none() {
    let (dir, world) = world();
    run(async {
        let store = open(&world, ahead()).await.unwrap();
        store.commit(batch(1)).await.unwrap();
        let (first, records) = lengths(dir.path());
        assert!(first > STEP && records < 500, "{first} {records}");
        let mut times = 1;
        let mut last = first;
        for seq in 2..=300 {
            store.commit(batch(seq)).await.unwrap();
            let (len, records) = lengths(dir.path());
            if records > last {
                assert_eq!(len, records + STEP, "{seq}: used up, there are new ones");
                (times, last) = (times + 1, len);
            }
            assert_eq!(len, last, "{seq}: and none before");
        }
        assert!(times > 2, "{times}");
        store.close().await.unwrap();
        let (len, records) = lengths(dir.path());
        let store = open(&world, ahead()).await.unwrap();
        assert_eq!(check_prefix(&store, 300), 300);
        assert_eq!(store.recovery().truncated_bytes as usize, len - records);
        assert_eq!(lengths(dir.path()), (records, records));
    });
}

#[test]
fn a_disk_that_has_no_room_for_zeros_has_room_for_records() {
    for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge] {
        let (dir, world) = world();
        run(async {
            let store = open(&world, ahead()).await.unwrap();
            *world.gauge.fail_large_writes.lock().unwrap() = Some(kind);
            for seq in 1..=3 {
                assert_eq!(store.commit(batch(seq)).await.unwrap().seq, seq);
            }
            let (len, records) = lengths(dir.path());
            assert_eq!(len, records, "what was written of the zeros is gone");
            store.close().await.unwrap();
            *world.gauge.fail_large_writes.lock().unwrap() = Some(ErrorKind::Other);
            let store = open(&world, ahead()).await.unwrap();
            let error = store.commit(batch(4)).await.unwrap_err();
            assert!(matches!(error, Error::InDoubt { seq: 4, .. }), "{error}");
            store.close().await.unwrap_err();
            assert_eq!(check_prefix(&open(&world, ahead()).await.unwrap(), 4), 4);
        });
    }
}

#[test]
fn large_commits_and_commits_without_syncs_have_no_zeros_ahead() {
    let (dir, world) = world();
    run(async {
        for preallocate_bytes in [STEP as u64, 0] {
            let mut none = ahead();
            none.preallocate_bytes = preallocate_bytes;
            none.durability = Durability::None;
            let store = open(&world, none).await.unwrap();
            store.commit(batch(1)).await.unwrap();
            let (len, records) = lengths(dir.path());
            assert_eq!(len, records, "nothing waits for a sync");
            store.close().await.unwrap();
        }
        let store = open(&world, ahead()).await.unwrap();
        let mut large = Batch::new();
        large.put(b"key", [7; STEP / 32]);
        store.commit(large).await.unwrap();
        let (len, records) = lengths(dir.path());
        assert_eq!(len, records);
        store.close().await.unwrap();
    });
}

#[test]
fn what_a_crash_leaves_behind_the_records_is_cut() {
    let (dir, world) = world();
    run(async {
        let store = open(&world, ahead()).await.unwrap();
        for seq in 1..=3 {
            store.commit(batch(seq)).await.unwrap();
        }
        let crashed = std::fs::read(path(dir.path())).unwrap();
        store.close().await.unwrap();
        open(&world, ahead()).await.unwrap().close().await.unwrap();
        let closed = std::fs::read(path(dir.path())).unwrap();
        let rest = crashed.len() - closed.len();
        assert!(rest > STEP / 2);
        // Zeros, and zeros with something in them.
        for at in [None, Some(0), Some(1), Some(100), Some(rest - 1)] {
            let mut bytes = crashed.clone();
            at.iter().for_each(|at| bytes[closed.len() + at] = 1);
            std::fs::write(path(dir.path()), &bytes).unwrap();
            let store = open(&world, ahead()).await.unwrap();
            assert_eq!(check_prefix(&store, 3), 3);
            assert_eq!(store.recovery().truncated_bytes, rest as u64, "{at:?}");
            store.close().await.unwrap();
            assert_eq!(std::fs::read(path(dir.path())).unwrap(), closed);
        }
    });
}
