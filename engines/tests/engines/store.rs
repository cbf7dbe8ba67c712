//! What a store does when nothing goes wrong.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use seedbed_engines::atomic_commit::{Batch, Durability, Error, Options, Store};

use crate::support::{World, batch, check_prefix, fill, open, run, world};

fn modes() -> [Durability; 7] {
    [
        Durability::Immediate,
        Durability::Group { max_batch: 64, max_delay: Duration::ZERO },
        Durability::Group { max_batch: 64, max_delay: Duration::from_millis(1) },
        Durability::Batch(10),
        Durability::AsyncSync,
        Durability::WriteBehind { interval: Duration::from_millis(2) },
        Durability::None,
    ]
}

#[test]
fn every_mode_commits_and_reopens_with_the_same_state() {
    for mode in modes() {
        let (_dir, world) = world();
        run(async {
            fill(&world, Options::new(mode), 25).await;
            let store = open(&world, Options::new(mode)).await.unwrap();
            assert_eq!(check_prefix(&store, 25), 25, "{mode:?}");
            assert_eq!(store.recovery().replayed, 25);
            assert_eq!(store.commit(batch(26)).await.unwrap().seq, 26);
            store.close().await.unwrap();
            assert!(matches!(store.submit(batch(27)), Err(Error::Closed)));
            assert!(matches!(store.close().await, Err(Error::Closed)));
            let store = open(&world, Options::new(mode)).await.unwrap();
            assert_eq!(check_prefix(&store, 26), 26);
        });
    }
}

#[test]
fn a_ticket_is_durable_in_time_in_modes_that_sync_by_themselves() {
    for mode in modes().into_iter().take(6).filter(|mode| *mode != Durability::Batch(10)) {
        let (_dir, world) = world();
        run(async {
            let store = open(&world, Options::new(mode)).await.unwrap();
            let mut ticket = store.submit(batch(1)).unwrap();
            let commit = ticket.durable().await.unwrap();
            assert_eq!(commit, ticket.acknowledged().await.unwrap());
            assert!(store.durable_seq() >= 1, "{mode:?}");
        });
    }
}

#[test]
fn batch_of_three_leaves_at_most_two_acknowledged_commits_unsynced() {
    let (_dir, world) = world();
    run(async {
        let store = open(&world, Options::new(Durability::Batch(3))).await.unwrap();
        for i in 1..=20 {
            store.commit(batch(i)).await.unwrap();
            assert_eq!(store.durable_seq(), i - i % 3);
        }
    });
}

#[test]
fn without_durability_only_flush_checkpoint_and_close_sync() {
    let (_dir, world) = world();
    run(async {
        let store = open(&world, Options::new(Durability::None)).await.unwrap();
        let before = world.gauge.syncs();
        for i in 1..=50 {
            store.commit(batch(i)).await.unwrap();
        }
        assert_eq!((world.gauge.syncs(), store.durable_seq()), (before, 0));
        store.flush().await.unwrap();
        store.flush().await.unwrap();
        assert_eq!((world.gauge.syncs(), store.durable_seq()), (before + 1, 50));
    });
}

#[test]
fn sixty_four_concurrent_committers_share_syncs() {
    let (_dir, world) = world();
    run(async {
        let store = open(&world, Options::default()).await.unwrap();
        let before = world.gauge.syncs();
        let committers: Vec<_> = (0..64_u64)
            .map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    for i in 0..20_u64 {
                        let key = (writer * 100 + i).to_le_bytes();
                        store.commit(Batch::putting(key, key)).await.unwrap();
                    }
                })
            })
            .collect();
        for committer in committers {
            committer.await.unwrap();
        }
        let syncs = world.gauge.syncs() - before;
        assert_eq!(store.seq(), 64 * 20);
        assert!(syncs <= 64 * 20 / 8, "{syncs} syncs for {} commits", store.seq());
    });
}

#[test]
fn thousands_of_tickets_can_be_outstanding() {
    let (_dir, world) = world();
    run(async {
        let store = open(&world, Options::default()).await.unwrap();
        let mut tickets: Vec<_> = (1..=5000).map(|i| store.submit(batch(i)).unwrap()).collect();
        for (i, ticket) in tickets.iter_mut().enumerate() {
            assert_eq!(ticket.acknowledged().await.unwrap().seq, i as u64 + 1);
        }
        check_prefix(&store, 5000);
    });
}

#[test]
fn a_full_queue_is_busy_and_recovers() {
    let (_dir, world) = world();
    run(async {
        let mut options = Options::default();
        options.queue_max = 4;
        let store = open(&world, options).await.unwrap();
        let mut tickets: Vec<_> = (1..=4).map(|i| store.submit(batch(i)).unwrap()).collect();
        assert!(matches!(store.submit(batch(5)), Err(Error::Busy { waiting: 4, .. })));
        tickets[3].acknowledged().await.unwrap();
        assert_eq!(store.commit(batch(5)).await.unwrap().seq, 5, "a refusal takes no number");
    });
}

#[test]
fn dropped_commit_futures_harm_nothing() {
    let (_dir, world) = world();
    run(async {
        let store = open(&world, Options::default()).await.unwrap();
        for i in 1..=200_u64 {
            let commit = store.commit(batch(i));
            // Polled for a while, then dropped at whatever point it has reached.
            let limit = Duration::from_micros(i * 7 % 300);
            let _ = seedbed_env::sync::timeout(&world, limit, commit).await;
            if i % 50 == 0 {
                drop(store.flush());
            }
        }
        store.flush().await.unwrap();
        let seq = check_prefix_of_submitted(&store);
        store.close().await.unwrap();
        let store = open(&world, Options::default()).await.unwrap();
        assert_eq!(check_prefix_of_submitted(&store), seq);
    });
}

fn check_prefix_of_submitted(store: &Store<World>) -> u64 {
    assert_eq!(check_prefix(store, 200), 200, "what was polled once was submitted and is done");
    200
}

#[test]
fn dropping_the_last_handle_still_writes_what_was_submitted() {
    let (_dir, world) = world();
    run(async {
        let store = open(&world, Options::default()).await.unwrap();
        let mut tickets: Vec<_> = (1..=10).map(|i| store.submit(batch(i)).unwrap()).collect();
        drop(store);
        for ticket in &mut tickets {
            ticket.durable().await.unwrap();
        }
    });
}

#[test]
fn checkpoints_start_new_logs_and_old_ones_are_collected() {
    let (dir, world) = world();
    run(async {
        let mut options = Options::default();
        options.checkpoint_every_bytes = 600;
        options.gc_every_commits = 10;
        let store = open(&world, options.clone()).await.unwrap();
        for i in 1..=100 {
            store.commit(batch(i)).await.unwrap();
            let files = std::fs::read_dir(dir.path().join("store")).unwrap().count();
            assert!(files <= 8, "{files} files");
        }
        store.close().await.unwrap();
        let store = open(&world, options).await.unwrap();
        assert_eq!(check_prefix(&store, 100), 100);
        let recovery = store.recovery();
        assert!(recovery.generation > 5 && recovery.replayed < 20, "{recovery:?}");
        store.checkpoint().await.unwrap();
        store.close().await.unwrap();
        let store = open(&world, Options::default()).await.unwrap();
        assert_eq!((check_prefix(&store, 100), store.recovery().replayed), (100, 0));
        let files = std::fs::read_dir(dir.path().join("store")).unwrap().count();
        assert_eq!(files, 2, "a snapshot and its log");
    });
}

/// Every file of the store's folder with its bytes.
fn folder(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir.join("store")).unwrap().map(|entry| entry.unwrap());
    let read = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, std::fs::read(entry.path()).unwrap())
    };
    entries.map(read).collect()
}

#[test]
fn a_second_recovery_changes_no_byte() {
    let (dir, world) = world();
    run(async {
        fill(&world, Options::default(), 20).await;
        let first = open(&world, Options::default()).await.unwrap();
        assert!(first.recovery().rewritten_bytes > 0, "the last group is not confirmed");
        first.close().await.unwrap();
        let before = folder(dir.path());
        let second = open(&world, Options::default()).await.unwrap();
        assert_eq!(folder(dir.path()), before);
        assert_eq!((second.seq(), second.root()), (20, first.root()));
    });
}

#[test]
fn limits_are_refused_with_a_reason() {
    let (_dir, world) = world();
    run(async {
        let store = open(&world, Options::default()).await.unwrap();
        let mut long = Batch::new();
        for _ in 0..3 {
            long.put(b"k", vec![0; 16 << 20]);
        }
        let cases = [
            (Batch::new(), "empty batch"),
            (Batch::putting(b"", b"v"), "empty key"),
            (Batch::putting(vec![1; (64 << 10) + 1], b"v"), "a key of 65537 bytes"),
            (Batch::putting(b"k", vec![1; (16 << 20) + 1]), "a value of 16777217 bytes"),
            (long, "a batch of"),
        ];
        for (batch, expect) in cases {
            let error = store.submit(batch).unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }));
            assert!(error.to_string().contains(expect), "{error}");
        }
        let key = vec![7; 64 << 10];
        store.commit(Batch::putting(&key, vec![9; 16 << 20])).await.unwrap();
        store.checkpoint().await.unwrap();
        store.close().await.unwrap();
        let store = open(&world, Options::default()).await.unwrap();
        assert_eq!(store.get(&key).unwrap().unwrap().len(), 16 << 20);
        let bad = open(&world, Options::new(Durability::Batch(0))).await;
        assert!(matches!(bad, Err(Error::Invalid { .. })));
        let mut absurd = Options::default();
        absurd.preallocate_bytes = u64::MAX;
        assert!(matches!(open(&world, absurd).await, Err(Error::Invalid { .. })));
    });
}
