//! Our hot paths alone: `cargo bench`, from this folder. For work on one of them; what is promised
//! is measured by `simulators`, next to the peers.

use std::time::Duration;

use divan::{Bencher, black_box, counter::ItemsCount};
use seedbed::disk::{Disk, SyncKind};
use seedbed::seam::{Clock, File, Fs, OpenOptions, Spawn};
use seedbed::{Sim, SimEnv};

const RECORD: [u8; 128] = [7; 128];

fn main() {
    divan::main();
}

/// A disk with one file of so many records, of which the last `unsynced` are.
fn disk_with(records: u64, unsynced: u64) -> Disk {
    let mut disk = Disk::new();
    let file = disk.open("log", OpenOptions::read_write_create()).expect("opens");
    for nth in 0..records {
        disk.write_at(file, &RECORD, nth * 128).expect("writes");
        if nth + unsynced < records {
            let barrier = disk.begin_sync(file, SyncKind::Data);
            disk.complete(barrier);
        }
    }
    disk
}

#[divan::bench(args = [1_000, 10_000, 100_000])]
fn disk_write_and_sync(bencher: Bencher<'_, '_>, records: u64) {
    bencher.counter(ItemsCount::new(records)).bench(|| disk_with(records, 0));
}

#[divan::bench(args = [0, 1, 100])]
fn power_loss_image(bencher: Bencher<'_, '_>, unsynced: u64) {
    let disk = disk_with(1_000, unsynced);
    bencher.bench_local(|| {
        let mut answer = 0;
        disk.crash_image(&mut |_: &'static str, bound: u64| {
            answer += 1;
            answer % bound
        })
    });
}

#[divan::bench]
fn choose_1000(bencher: Bencher<'_, '_>) {
    let mut sim = Sim::new(1);
    let mut each = || (0..1_000).map(|_| sim.choose("bench", black_box(10))).sum::<u64>();
    bencher.counter(ItemsCount::new(1_000_u64)).bench_local(&mut each);
}

/// Runs `body` as the main task of a fresh world.
fn in_world<F: Future<Output = ()> + 'static>(body: impl FnOnce(SimEnv) -> F) {
    let mut sim = Sim::new(1);
    let node = sim.add_node("a");
    let env = sim.boot(node);
    sim.run(env, body(env)).expect("nothing goes wrong in this world");
}

#[divan::bench(args = [1, 1_000])]
fn spawn_and_sleep(bencher: Bencher<'_, '_>, tasks: u64) {
    bencher.counter(ItemsCount::new(tasks)).bench_local(|| {
        in_world(async move |env| {
            let sleep = |ms| env.spawn(env.sleep(Duration::from_millis(ms)));
            let tasks: Vec<_> = (0..tasks).map(sleep).collect();
            for task in tasks {
                task.await.expect("it ends");
            }
        });
    });
}

#[divan::bench]
fn awaited_write_and_sync_1000(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(1_000_u64)).bench_local(|| {
        in_world(async |env| {
            let file = env.open("log", OpenOptions::read_write_create()).await.expect("opens");
            for nth in 0..1_000 {
                file.write_all_at(&RECORD, nth * 128).await.expect("writes");
                file.sync_data().await.expect("syncs");
            }
        });
    });
}

#[divan::bench]
fn fresh_world(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| in_world(async |_| {}));
}
