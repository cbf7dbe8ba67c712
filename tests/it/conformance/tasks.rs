//! Time, tasks, synchronisation, randomness.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use seedbed::seam::Env;
use seedbed::seam::sync::{Either, Mutex, Notify, mpsc, oneshot, race, timeout};

super::on_both_worlds! {
    the_clock_goes_forward_and_sleeps_are_never_short
    a_spawned_task_gives_its_result
    a_task_ends_by_itself_when_its_sender_is_gone
    a_mutex_admits_one_at_a_time
    a_notification_is_kept_for_who_comes_later
    a_channel_keeps_order_and_pushes_back
    a_dropped_end_is_noticed
    in_a_race_the_loser_is_dropped
    a_timeout_ends_what_never_ends
    random_numbers_differ
}

const MS: Duration = Duration::from_millis(1);

async fn the_clock_goes_forward_and_sleeps_are_never_short<E: Env>(env: E) {
    for ms in [0, 1, 3] {
        let before = env.now();
        env.sleep(ms * MS).await;
        let after = env.now();
        assert!(after - before >= ms * MS, "slept {:?} instead of {ms} ms", after - before);
        assert_eq!(before - after, Duration::ZERO, "durations never go below zero");
    }
    let a_day_of_2020 = 1_577_836_800_000_000_000;
    assert!(env.wall().as_unix_ns() >= a_day_of_2020);
}

async fn a_spawned_task_gives_its_result<E: Env>(env: E) {
    let inner = env.clone();
    let handle = env.spawn(async move {
        inner.sleep(MS).await;
        42
    });
    assert_eq!(handle.await, Ok(42));
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    drop(env.spawn(async move { counted.fetch_add(1, Ordering::Relaxed) }));
    env.sleep(20 * MS).await;
    assert_eq!(count.load(Ordering::Relaxed), 1, "a dropped handle does not stop its task");
}

async fn a_task_ends_by_itself_when_its_sender_is_gone<E: Env>(env: E) {
    let (sender, receiver) = oneshot::channel::<u32>();
    let handle = env.spawn(async move { receiver.await.is_err() });
    drop(sender);
    assert_eq!(handle.await, Ok(true));
}

async fn a_mutex_admits_one_at_a_time<E: Env>(env: E) {
    let shared = Arc::new(Mutex::new((0_u32, false)));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (env, shared) = (env.clone(), Arc::clone(&shared));
            let task = env.clone();
            env.spawn(async move {
                let mut guard = shared.lock().await;
                assert!(!guard.1, "somebody else is inside");
                guard.1 = true;
                task.sleep(Duration::from_micros(100)).await;
                *guard = (guard.0 + 1, false);
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("done");
    }
    assert_eq!(shared.lock().await.0, 8);
}

async fn a_notification_is_kept_for_who_comes_later<E: Env>(env: E) {
    let notify = Arc::new(Notify::new());
    notify.notify_one();
    notify.notified().await;
    let waiting = Arc::clone(&notify);
    let task = env.spawn(async move { waiting.notified().await });
    env.sleep(MS).await;
    notify.notify_one();
    assert_eq!(task.await, Ok(()));
}

async fn a_channel_keeps_order_and_pushes_back<E: Env>(env: E) {
    let (sender, mut receiver) = mpsc::channel(4);
    let sent = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&sent);
    let task = env.spawn(async move {
        for number in 0..100 {
            sender.send(number).await.expect("open");
            counter.store(number + 1, Ordering::Relaxed);
        }
    });
    env.sleep(5 * MS).await;
    assert_eq!(sent.load(Ordering::Relaxed), 4, "a full channel makes its sender wait");
    for number in 0..100 {
        assert_eq!(receiver.recv().await, Some(number));
    }
    assert_eq!(receiver.recv().await, None);
    task.await.expect("done");
}

async fn a_dropped_end_is_noticed<E: Env>(_env: E) {
    let (sender, receiver) = oneshot::channel::<u8>();
    drop(sender);
    assert!(receiver.await.is_err());
    let (sender, receiver) = mpsc::channel::<u8>(1);
    drop(receiver);
    assert!(sender.send(1).await.is_err());
}

async fn in_a_race_the_loser_is_dropped<E: Env>(env: E) {
    let held = Arc::new(());
    let loser = Arc::clone(&held);
    let slow = env.clone();
    let slow = async move {
        slow.sleep(1000 * MS).await;
        drop(loser);
    };
    assert_eq!(race(env.sleep(MS), slow).await, Either::Left(()));
    assert_eq!(Arc::strong_count(&held), 1);
    let both = race(async { 1 }, async { 2 }).await;
    assert_eq!(both, Either::Left(1), "if both are ready the left one wins");
}

async fn a_timeout_ends_what_never_ends<E: Env>(env: E) {
    assert_eq!(timeout(&env, MS, std::future::pending::<()>()).await, None);
    assert_eq!(timeout(&env, 1000 * MS, async { 7 }).await, Some(7));
}

async fn random_numbers_differ<E: Env>(env: E) {
    let numbers: std::collections::BTreeSet<u64> = (0..32).map(|_| env.random_u64()).collect();
    assert_eq!(numbers.len(), 32);
}
