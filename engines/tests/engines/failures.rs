//! Failing writes, syncs and renames: what each commit is told, and what is there afterwards.

use std::io::ErrorKind;
use std::sync::atomic::Ordering::SeqCst;

use seedbed_engines::atomic_commit::{Durability, Error, Options};

use crate::support::{batch, check_prefix, fill, open, run, world};

#[test]
fn a_failed_sync_leaves_the_group_in_doubt_and_poisons_the_rest() {
    let (_dir, world) = world();
    run(async {
        let store = open(&world, Options::new(Durability::Immediate)).await.unwrap();
        store.commit(batch(1)).await.unwrap();
        *world.gauge.fail_syncs.lock().unwrap() = Some(ErrorKind::Other);
        let mut tickets: Vec<_> = (2..=4).map(|i| store.submit(batch(i)).unwrap()).collect();
        let first = tickets[0].acknowledged().await.unwrap_err();
        assert!(matches!(first, Error::InDoubt { seq: 2, .. }), "{first}");
        for ticket in &mut tickets[1..] {
            let error = ticket.acknowledged().await.unwrap_err();
            assert!(matches!(error, Error::Poisoned { .. }), "{error}");
        }
        *world.gauge.fail_syncs.lock().unwrap() = None;
        assert!(matches!(store.submit(batch(2)), Err(Error::Poisoned { .. })));
        assert!(matches!(store.flush().await, Err(Error::Poisoned { .. })));
        assert!(matches!(store.close().await, Err(Error::Poisoned { .. })));
        assert_eq!(store.seq(), 1, "what is in doubt was never visible");
        let store = open(&world, Options::default()).await.unwrap();
        assert!([1, 2].contains(&check_prefix(&store, 2)), "poisoned commits never appear");
    });
}

#[test]
fn a_full_disk_is_named_with_what_to_do() {
    let (_dir, world) = world();
    run(async {
        let store = open(&world, Options::default()).await.unwrap();
        *world.gauge.fail_writes.lock().unwrap() = Some(ErrorKind::StorageFull);
        let error = store.commit(batch(1)).await.unwrap_err();
        assert!(error.to_string().contains("free space"), "{error}");
        *world.gauge.fail_writes.lock().unwrap() = None;
        let store = open(&world, Options::default()).await.unwrap();
        assert_eq!(store.commit(batch(1)).await.unwrap().seq, 1);
    });
}

#[test]
fn a_background_sync_that_fails_leaves_acknowledged_commits_in_doubt() {
    let (_dir, world) = world();
    run(async {
        let store = open(&world, Options::new(Durability::AsyncSync)).await.unwrap();
        *world.gauge.fail_syncs.lock().unwrap() = Some(ErrorKind::Other);
        let mut ticket = store.submit(batch(1)).unwrap();
        ticket.acknowledged().await.unwrap();
        let error = ticket.durable().await.unwrap_err();
        assert!(matches!(error, Error::InDoubt { seq: 1, .. }), "{error}");
        assert_eq!(store.durable_seq(), 0);
    });
}

#[test]
fn a_failed_checkpoint_poisons_and_loses_nothing() {
    let (_dir, world) = world();
    run(async {
        let store = open(&world, Options::default()).await.unwrap();
        for i in 1..=5 {
            store.commit(batch(i)).await.unwrap();
        }
        *world.gauge.fail_renames.lock().unwrap() = Some(ErrorKind::Other);
        assert!(matches!(store.checkpoint().await, Err(Error::Poisoned { .. })));
        *world.gauge.fail_renames.lock().unwrap() = None;
        let store = open(&world, Options::default()).await.unwrap();
        assert_eq!(check_prefix(&store, 5), 5);
        assert_eq!(store.recovery().removed_files, 2, "the new log and the unfinished snapshot");
    });
}

#[test]
fn short_writes_are_continued() {
    let (_dir, world) = world();
    run(async {
        world.gauge.short.store(true, SeqCst);
        fill(&world, Options::default(), 10).await;
        let store = open(&world, Options::default()).await.unwrap();
        store.checkpoint().await.unwrap();
        store.close().await.unwrap();
        assert_eq!(check_prefix(&open(&world, Options::default()).await.unwrap(), 10), 10);
    });
}

/// The n-th change of the world and all later ones fail, for every n until all goes well: each
/// time the store can be opened afterwards, with every acknowledged commit.
#[test]
fn whatever_change_fails_first_nothing_acknowledged_is_lost() {
    let mut options = Options::default();
    options.checkpoint_every_bytes = 400;
    options.gc_every_commits = 3;
    for failing in 1..400 {
        let (_dir, world) = world();
        let done = run(async {
            world.gauge.fail_after.store(failing, SeqCst);
            let mut acknowledged = 0;
            let result = async {
                let store = open(&world, options.clone()).await?;
                for i in 1..=8 {
                    acknowledged = store.commit(batch(i)).await?.seq;
                }
                store.close().await?;
                let store = open(&world, options.clone()).await?;
                assert_eq!(check_prefix(&store, 8), 8);
                store.close().await
            };
            let result: Result<(), Error> = result.await;
            world.gauge.fail_after.store(0, SeqCst);
            let store = open(&world, options.clone()).await.unwrap();
            assert!(check_prefix(&store, acknowledged + 1) >= acknowledged, "failing {failing}");
            store.close().await.unwrap();
            result.is_ok()
        });
        if done {
            assert!(failing > 30, "the failures were met");
            return;
        }
    }
    panic!("400 changes are not enough");
}

#[test]
fn a_read_only_file_system_is_a_clean_error() {
    let (_dir, world) = world();
    run(async {
        fill(&world, Options::default(), 3).await;
        for kind in [ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied] {
            *world.gauge.fail_writes.lock().unwrap() = Some(kind);
            let error = open(&world, Options::default()).await.unwrap_err();
            assert!(error.to_string().contains("the store needs"), "{error}");
        }
        *world.gauge.fail_writes.lock().unwrap() = None;
        assert_eq!(check_prefix(&open(&world, Options::default()).await.unwrap(), 3), 3);
        let nowhere = "missing/store";
        let error =
            seedbed_engines::atomic_commit::Store::open(world.clone(), nowhere, Options::default());
        assert!(matches!(error.await, Err(Error::Io { op: "create the folder", .. })));
    });
}
