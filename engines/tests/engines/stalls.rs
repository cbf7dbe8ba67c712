//! A disk that does not answer, or only after a while.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use seedbed_engines::atomic_commit::{Durability, Error, Options};
use seedbed_env::Clock;

use crate::support::{World, batch, check_prefix, open, run_asleep, world};

/// Nobody waits for so long.
const FOR_EVER: Duration = Duration::from_secs(100 * 86_400);

fn syncs_take(world: &World, time: Duration) {
    *world.gauge.sync_time.lock().unwrap() = time;
}

/// Whether this is a call that was given up.
fn is_given_up(error: &Error) -> bool {
    match error {
        Error::InDoubt { reason, .. } | Error::Poisoned { reason } => is_given_up(reason),
        Error::Io { source, .. } => source.kind() == ErrorKind::TimedOut,
        _ => false,
    }
}

/// Whether nobody but the test holds the world any more: all tasks of the store have ended.
fn is_let_go(world: &World) -> bool {
    Arc::strong_count(&world.gauge) == 1
}

#[test]
fn a_sync_that_hangs_is_given_up_and_everybody_is_answered() {
    let (_dir, world) = world();
    run_asleep(async {
        let store = open(&world, Options::new(Durability::Immediate)).await.unwrap();
        store.commit(batch(1)).await.unwrap();
        syncs_take(&world, FOR_EVER);
        let begun = tokio::time::Instant::now();
        let mut tickets: Vec<_> = (2..=3).map(|i| store.submit(batch(i)).unwrap()).collect();
        let first = tickets[0].acknowledged().await.unwrap_err();
        assert!(matches!(first, Error::InDoubt { seq: 2, .. }) && is_given_up(&first), "{first}");
        assert!(first.to_string().contains("the disk has not answered for 60s"), "{first}");
        assert_eq!(begun.elapsed().as_secs(), 60);
        let second = tickets[1].acknowledged().await.unwrap_err();
        assert!(matches!(second, Error::Poisoned { .. }) && is_given_up(&second), "{second}");
        drop(store);
        syncs_take(&world, Duration::ZERO);
        let store = open(&world, Options::default()).await.unwrap();
        assert!([1, 2].contains(&check_prefix(&store, 2)), "what was not done never appears");
    });
}

#[test]
fn opening_gives_up_a_disk_that_hangs() {
    let (_dir, world) = world();
    run_asleep(async {
        syncs_take(&world, FOR_EVER);
        let error = open(&world, Options::default()).await.unwrap_err();
        assert!(is_given_up(&error), "{error}");
        syncs_take(&world, Duration::ZERO);
        open(&world, Options::default()).await.unwrap();
    });
}

#[test]
fn a_disk_that_answers_every_call_is_slow_and_not_dead() {
    let (_dir, world) = world();
    run_asleep(async {
        syncs_take(&world, Duration::from_secs(50));
        let begun = tokio::time::Instant::now();
        let mut options = Options::new(Durability::Immediate);
        options.checkpoint_every_bytes = 1;
        let store = open(&world, options).await.unwrap();
        for i in 1..=3 {
            store.commit(batch(i)).await.unwrap();
        }
        store.close().await.unwrap();
        assert!(begun.elapsed().as_secs() > 3 * 4 * 50, "each commit made a checkpoint");
    });
}

#[test]
fn a_sync_in_the_background_that_hangs_is_given_up() {
    let (_dir, world) = world();
    run_asleep(async {
        let store = open(&world, Options::new(Durability::AsyncSync)).await.unwrap();
        syncs_take(&world, FOR_EVER);
        let mut ticket = store.submit(batch(1)).unwrap();
        ticket.acknowledged().await.unwrap();
        let error = ticket.durable().await.unwrap_err();
        assert!(matches!(error, Error::InDoubt { seq: 1, .. }) && is_given_up(&error), "{error}");
        drop((ticket, store));
        world.sleep(Duration::from_millis(1)).await;
        assert!(is_let_go(&world), "the sync's task has ended as well");
    });
}

#[test]
fn a_store_that_nobody_holds_does_not_wait_for_its_last_sync_for_ever() {
    let (_dir, world) = world();
    run_asleep(async {
        let store = open(&world, Options::new(Durability::None)).await.unwrap();
        store.commit(batch(1)).await.unwrap();
        syncs_take(&world, FOR_EVER);
        drop(store);
        world.sleep(Duration::from_secs(59)).await;
        assert!(!is_let_go(&world), "what was submitted is synced");
        world.sleep(Duration::from_secs(2)).await;
        assert!(is_let_go(&world));
    });
}

#[test]
fn without_a_limit_a_store_waits_for_as_long_as_it_takes() {
    let (_dir, world) = world();
    run_asleep(async {
        let mut options = Options::new(Durability::Immediate);
        options.stall_limit = Duration::MAX;
        let store = open(&world, options).await.unwrap();
        syncs_take(&world, FOR_EVER);
        store.commit(batch(1)).await.unwrap();
    });
}
