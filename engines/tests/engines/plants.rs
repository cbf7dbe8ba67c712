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
    assert_eq!(Plant::ALL.iter().filter(|plant| plant.benign()).count(), 4);
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
                    assert_eq!(store.commit(batch(next)).await.unwrap().seq, next);
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
