//! Torn, flipped, foreign and future files: an error or a valid prefix, never wrong content.

use std::path::{Path, PathBuf};

use seedbed_engines::atomic_commit::{Error, Options};

use crate::support::{batch, check_prefix, fill, open, run, world};

fn path(dir: &Path, name: &str) -> PathBuf {
    dir.join("store").join(name)
}

/// Options of a log that ends with its last record.
fn compact() -> Options {
    let mut options = Options::default();
    options.preallocate_bytes = 0;
    options
}

fn wal(dir: &Path) -> PathBuf {
    path(dir, "wal.0000000000000001")
}

/// Puts the store's directory back to these files.
fn restore(dir: &Path, files: &[(PathBuf, Vec<u8>)]) {
    for entry in std::fs::read_dir(dir.join("store")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for (path, bytes) in files {
        std::fs::write(path, bytes).unwrap();
    }
}

fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(dir.join("store")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}

#[test]
fn a_log_cut_anywhere_recovers_to_a_prefix_and_goes_on() {
    let (dir, world) = world();
    run(async {
        fill(&world, compact(), 6).await;
        let pristine = files(dir.path());
        let whole = std::fs::read(wal(dir.path())).unwrap();
        let mut last = 0;
        for len in 48..=whole.len() {
            restore(dir.path(), &pristine);
            std::fs::write(wal(dir.path()), &whole[..len]).unwrap();
            let store = open(&world, compact()).await.unwrap();
            let seq = check_prefix(&store, 6);
            assert!(seq >= last, "more bytes never mean fewer commits");
            last = seq;
            assert_eq!(store.commit(batch(seq + 1)).await.unwrap().seq, seq + 1);
            store.close().await.unwrap();
            let store = open(&world, compact()).await.unwrap();
            assert_eq!(check_prefix(&store, seq + 1), seq + 1);
            store.close().await.unwrap();
        }
        assert_eq!(last, 6);
    });
}

#[test]
fn every_flipped_byte_of_a_log_is_an_error_or_a_prefix() {
    let (dir, world) = world();
    run(async {
        fill(&world, compact(), 6).await;
        let pristine = files(dir.path());
        let whole = std::fs::read(wal(dir.path())).unwrap();
        let (mut refused, mut prefixes) = (0, 0);
        for at in 0..whole.len() {
            restore(dir.path(), &pristine);
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            std::fs::write(wal(dir.path()), &bytes).unwrap();
            match open(&world, compact()).await {
                Ok(store) => {
                    assert!(check_prefix(&store, 6) >= 5 - 1, "only the unvouched tail, byte {at}");
                    prefixes += 1;
                    store.close().await.unwrap();
                }
                Err(Error::Corrupt { .. } | Error::NotOurs { .. }) => {
                    refused += 1;
                    let left = std::fs::read(wal(dir.path())).unwrap();
                    assert_eq!(left, bytes, "nothing was changed");
                }
                Err(other) => panic!("byte {at}: {other}"),
            }
        }
        assert!(refused > prefixes && prefixes > 0, "{refused} refused, {prefixes} prefixes");
    });
}

#[test]
fn every_flipped_or_cut_byte_of_a_snapshot_is_an_error() {
    let (dir, world) = world();
    run(async {
        let store = open(&world, compact()).await.unwrap();
        for i in 1..=6 {
            store.commit(batch(i)).await.unwrap();
        }
        store.checkpoint().await.unwrap();
        store.close().await.unwrap();
        let snapshot = path(dir.path(), "snapshot");
        let whole = std::fs::read(&snapshot).unwrap();
        for at in 0..whole.len() {
            for cut in [false, true] {
                let mut bytes = whole.clone();
                bytes[at] ^= 1;
                std::fs::write(&snapshot, if cut { &whole[..at] } else { &bytes }).unwrap();
                let error = open(&world, compact()).await.unwrap_err();
                let expected = matches!(error, Error::Corrupt { .. } | Error::NotOurs { .. });
                assert!(expected, "byte {at}, cut {cut}: {error}");
            }
        }
        let mut longer = whole.clone();
        longer.push(0);
        std::fs::write(&snapshot, longer).unwrap();
        let error = open(&world, compact()).await.unwrap_err();
        assert!(error.to_string().contains("after the last block"), "{error}");
        std::fs::write(&snapshot, whole).unwrap();
        assert_eq!(check_prefix(&open(&world, compact()).await.unwrap(), 6), 6);
    });
}

#[test]
fn a_hole_before_valid_records_is_torn_or_corrupt_as_the_watermark_says() {
    let (dir, world) = world();
    run(async {
        fill(&world, compact(), 6).await;
        let whole = std::fs::read(wal(dir.path())).unwrap();
        // Commits one by one: record 6 vouches for 5, nobody for 6; so a hole in 1 to 5 is
        // corruption, one in 6 a torn tail.
        let ends = record_ends(&whole);
        for record in 0..6 {
            let mut bytes = whole.clone();
            bytes[ends[record] + 4..ends[record + 1]].fill(0);
            let pristine = files(dir.path());
            std::fs::write(wal(dir.path()), &bytes).unwrap();
            match open(&world, compact()).await {
                Ok(store) => {
                    assert_eq!((record, check_prefix(&store, 6)), (5, 5));
                    assert!(store.recovery().truncated_bytes > 0);
                    store.close().await.unwrap();
                }
                Err(Error::Corrupt { offset, .. }) => {
                    assert!(record < 5);
                    assert_eq!(offset, ends[record] as u64);
                }
                Err(other) => panic!("{other}"),
            }
            restore(dir.path(), &pristine);
        }
    });
}

/// Where each record ends, after the header's end.
fn record_ends(log: &[u8]) -> Vec<usize> {
    let mut ends = vec![48];
    let mut at = 48;
    while at < log.len() {
        at += 28 + u32::from_le_bytes(log[at + 4..at + 8].try_into().unwrap()) as usize;
        ends.push(at);
    }
    ends
}

#[test]
fn unsynced_holes_before_valid_records_are_a_torn_tail() {
    use seedbed_engines::atomic_commit::Durability;
    let (dir, world) = world();
    run(async {
        // Never synced: no record vouches for another.
        let mut unsynced = compact();
        unsynced.durability = Durability::None;
        fill(&world, unsynced, 6).await;
        let whole = std::fs::read(wal(dir.path())).unwrap();
        let ends = record_ends(&whole);
        let mut bytes = whole;
        bytes[ends[2]..ends[3]].fill(0);
        std::fs::write(wal(dir.path()), &bytes).unwrap();
        let store = open(&world, compact()).await.unwrap();
        assert_eq!(check_prefix(&store, 6), 2);
    });
}

#[test]
fn an_absurd_length_is_a_torn_tail_and_allocates_nothing() {
    let (dir, world) = world();
    run(async {
        fill(&world, compact(), 3).await;
        for len in [u32::MAX, 64 << 20, (64 << 20) + 1, 1 << 20] {
            let mut bytes = std::fs::read(wal(dir.path())).unwrap();
            bytes.extend_from_slice(&[1, 2, 3, 4]);
            bytes.extend_from_slice(&len.to_le_bytes());
            bytes.extend_from_slice(&[1, 0, 0, 0]);
            bytes.extend_from_slice(&[0; 100]);
            std::fs::write(wal(dir.path()), &bytes).unwrap();
            let store = open(&world, compact()).await.unwrap();
            assert_eq!(check_prefix(&store, 3), 3);
            assert_eq!(store.recovery().truncated_bytes, 112);
            store.close().await.unwrap();
        }
    });
}

#[test]
fn a_future_version_says_which() {
    let (dir, world) = world();
    run(async {
        fill(&world, compact(), 1).await;
        for path in [path(dir.path(), "snapshot"), wal(dir.path())] {
            let whole = std::fs::read(&path).unwrap();
            let mut bytes = whole.clone();
            bytes[8] = 2;
            let crc = crc32c::crc32c(&bytes[..12]).to_le_bytes();
            bytes[12..16].copy_from_slice(&crc);
            std::fs::write(&path, bytes).unwrap();
            let error = open(&world, compact()).await.unwrap_err();
            assert!(matches!(error, Error::FutureVersion { found: 2, supported: 1, .. }));
            std::fs::write(&path, whole).unwrap();
        }
    });
}

#[test]
fn foreign_files_are_left_alone() {
    let (dir, world) = world();
    run(async {
        fill(&world, compact(), 2).await;
        let harmless = ["notes.txt", "wal.txt", "wal.00000000000000FF", "hint"];
        for name in harmless {
            std::fs::write(path(dir.path(), name), "mine").unwrap();
        }
        let store = open(&world, compact()).await.unwrap();
        store.close().await.unwrap();
        for name in ["wal.0000000000000009", "snapshot.tmp"] {
            std::fs::write(path(dir.path(), name), "something else").unwrap();
            let error = open(&world, compact()).await.unwrap_err();
            assert!(matches!(&error, Error::NotOurs { path } if path.ends_with(name)), "{error}");
            std::fs::remove_file(path(dir.path(), name)).unwrap();
        }
        for name in harmless {
            assert_eq!(std::fs::read(path(dir.path(), name)).unwrap(), b"mine");
        }
        std::fs::write(path(dir.path(), "snapshot"), "something else, long enough").unwrap();
        let error = open(&world, compact()).await.unwrap_err();
        assert!(matches!(error, Error::NotOurs { .. }), "{error}");
    });
}

#[test]
fn a_missing_snapshot_or_log_is_corruption() {
    let (dir, world) = world();
    run(async {
        fill(&world, compact(), 2).await;
        let pristine = files(dir.path());
        std::fs::remove_file(wal(dir.path())).unwrap();
        let error = open(&world, compact()).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        restore(dir.path(), &pristine);
        std::fs::remove_file(path(dir.path(), "snapshot")).unwrap();
        let error = open(&world, compact()).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        // Only a header: the remains of a creation that a crash ended.
        let header = std::fs::read(wal(dir.path())).unwrap()[..48].to_vec();
        std::fs::write(wal(dir.path()), header).unwrap();
        assert!(open(&world, compact()).await.unwrap().recovery().created);
    });
}

#[test]
fn a_newer_log_with_commits_is_never_thrown_away() {
    let (dir, world) = world();
    run(async {
        fill(&world, compact(), 3).await;
        let old_snapshot = std::fs::read(path(dir.path(), "snapshot")).unwrap();
        let old_log = std::fs::read(wal(dir.path())).unwrap();
        let store = open(&world, compact()).await.unwrap();
        store.checkpoint().await.unwrap();
        store.commit(batch(4)).await.unwrap();
        store.close().await.unwrap();
        // As if the disk had lost a rename that it had reported as durable.
        std::fs::write(path(dir.path(), "snapshot"), old_snapshot).unwrap();
        std::fs::write(wal(dir.path()), old_log).unwrap();
        let error = open(&world, compact()).await.unwrap_err();
        assert!(error.to_string().contains("it has commits"), "{error}");
        assert!(path(dir.path(), "wal.0000000000000002").exists());
    });
}
