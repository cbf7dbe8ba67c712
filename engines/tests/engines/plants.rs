//! Plants: named, harmless where they must be, and none makes the engine panic.

use seedbed_engines::atomic_commit::{Options, Plant};

use crate::support::{batch, check_prefix, open, run, world};

#[test]
fn names_are_unique_and_parse() {
    for &plant in Plant::ALL {
        assert_eq!(plant.name().parse(), Ok(plant));
        assert!(plant.about().ends_with('.'));
    }
    assert!("no_such_plant".parse::<Plant>().is_err());
    assert_eq!(Plant::ALL.iter().filter(|plant| plant.benign()).count(), 14);
}

#[test]
fn every_plant_runs_and_the_benign_ones_break_nothing() {
    for &plant in Plant::ALL {
        let (_dir, world) = world();
        run(async {
            let mut options = Options::default();
            options.plant = Some(plant);
            options.checkpoint_every_bytes = 500;
            options.gc_every_commits = 4;
            for life in 0..4_u64 {
                let store = match open(&world, options.clone()).await {
                    Ok(store) => store,
                    Err(error) => {
                        assert!(!plant.benign(), "{plant}: {error}");
                        return;
                    }
                };
                if plant.benign() {
                    assert_eq!(check_prefix(&store, life * 7), life * 7, "{plant}");
                }
                for _ in 0..7 {
                    let next = store.seq() + 1;
                    let answer = store.commit(batch(next)).await;
                    if answer.is_err() && plant == Plant::StopsByItself {
                        return;
                    }
                    let seq = answer.unwrap().seq;
                    if seq != next {
                        let shows = [Plant::SequenceRestarts, Plant::AckBeforeVisible];
                        assert!(shows.contains(&plant), "{plant}: {seq}");
                        return;
                    }
                }
                store.close().await.unwrap();
            }
        });
    }
}

#[test]
fn deletes_that_keep_the_root_are_seen_by_the_definition() {
    use seedbed_engines::atomic_commit::{Batch, merkle};
    let (_dir, world) = world();
    run(async {
        let mut options = Options::default();
        options.plant = Some(Plant::StaleRootOnDelete);
        let store = open(&world, options).await.unwrap();
        store.commit(Batch::putting("a", "1")).await.unwrap();
        store.commit(Batch::deleting("a")).await.unwrap();
        let found = store.scan();
        let root = merkle::state_root(found.seq, &merkle::root_of(&found.entries));
        assert_ne!(found.root, root);
    });
}

/// Fills a store, whose later lives will have the plant, with five synced commits.
async fn planted(world: &crate::support::World, plant: Plant) -> Options {
    let mut options = Options::new(seedbed_engines::atomic_commit::Durability::Immediate);
    options.plant = Some(plant);
    crate::support::fill(world, options.clone(), 5).await;
    options
}

#[test]
fn a_dropped_tail_record_is_missing_in_the_next_life() {
    let (_dir, world) = world();
    run(async {
        let options = planted(&world, Plant::RecoveryDropsTailRecord).await;
        let store = open(&world, options.clone()).await.unwrap();
        assert_eq!(store.scan().seq, 4);
        store.commit(batch(1)).await.unwrap();
        store.checkpoint().await.unwrap();
        store.close().await.unwrap();
    });
}

#[test]
fn a_restarted_sequence_shows_in_the_next_number() {
    let (_dir, world) = world();
    run(async {
        let options = planted(&world, Plant::SequenceRestarts).await;
        let store = open(&world, options).await.unwrap();
        assert_eq!(store.scan().seq, 5);
        assert_eq!(store.submit(batch(1)).unwrap().seq(), 1);
    });
}

#[test]
fn a_planted_sync_error_is_acknowledged_all_the_same() {
    use std::io::ErrorKind;
    let (_dir, world) = world();
    run(async {
        let mut options = Options::default();
        options.plant = Some(Plant::SyncErrorIgnored);
        let store = open(&world, options).await.unwrap();
        *world.gauge.fail_syncs.lock().unwrap() = Some(ErrorKind::Other);
        assert_eq!(store.commit(batch(1)).await.unwrap().seq, 1);
        *world.gauge.fail_syncs.lock().unwrap() = None;
    });
}

#[test]
fn a_failed_commit_that_stays_is_there_after_it_was_reported_as_not_done() {
    use std::io::ErrorKind;

    use seedbed_engines::atomic_commit::Error;
    let (_dir, world) = world();
    run(async {
        let mut options = Options::default();
        options.plant = Some(Plant::FailedCommitStays);
        let store = open(&world, options).await.unwrap();
        *world.gauge.fail_syncs.lock().unwrap() = Some(ErrorKind::Other);
        let error = store.commit(batch(1)).await.unwrap_err();
        assert!(matches!(error, Error::Poisoned { .. }), "{error}");
        *world.gauge.fail_syncs.lock().unwrap() = None;
        assert_eq!(open(&world, Options::default()).await.unwrap().seq(), 1);
    });
}

#[test]
fn a_short_write_taken_for_whole_loses_an_acknowledged_commit() {
    use std::sync::atomic::Ordering::SeqCst;
    let (_dir, world) = world();
    run(async {
        let mut options = Options::default();
        options.plant = Some(Plant::ShortWriteNotContinued);
        let store = open(&world, options).await.unwrap();
        world.gauge.short.store(true, SeqCst);
        assert_eq!(store.commit(batch(1)).await.unwrap().seq, 1);
        store.close().await.unwrap();
        assert_eq!(open(&world, Options::default()).await.unwrap().seq(), 0);
    });
}
