//! Slow and lying devices, hung operations and the budget of media faults, seen by code on a node.

use std::time::Duration;

use seedbed_env::{Clock, File, Fs, OpenOptions, Spawn};
use seedbed_faults::{DurationRange, Faults, Ratio};

use crate::node::NodeId;
use crate::{CrashKind, FaultKind, Sim, SimEnv, Stop};

const MS: u64 = 1_000_000;
const NODE: NodeId = NodeId(0);

/// Fixed latencies, so that only what a test sets takes time.
fn faults() -> Faults {
    let mut faults = Faults::default();
    let fixed = |ns| DurationRange::new(ns, ns);
    faults.disk.read_latency = fixed(MS);
    faults.disk.write_latency = fixed(MS);
    faults.disk.metadata_latency = fixed(MS);
    faults.disk.sync_latency = fixed(10 * MS);
    faults
}

fn run<T: 'static, F: Future<Output = T> + 'static>(
    faults: Faults,
    work: impl FnOnce(SimEnv) -> F,
) -> (Result<T, Stop>, Sim) {
    let mut sim = Sim::new(1);
    sim.set_faults(faults);
    let node = sim.add_node("n");
    let env = sim.boot(node);
    (sim.run(env, work(env)), sim)
}

async fn file(env: SimEnv, path: &str) -> crate::SimFile {
    let file = env.open(path, OpenOptions::read_write_create()).await.expect("open");
    file.write_all_at(b"x", 0).await.expect("write");
    file
}

/// How long a read takes that is made while a sync is under way, in milliseconds.
fn read_behind_a_sync(faults: Faults) -> u64 {
    let (ms, _) = run(faults, |env| async move {
        let synced = file(env, "synced").await;
        let read = file(env, "read").await;
        let sync = env.spawn(async move { synced.sync_data().await });
        env.sleep(Duration::from_millis(1)).await;
        let before = env.world_ns();
        read.read_at(&mut [0], 0).await.expect("read");
        let waited = env.world_ns() - before;
        sync.await.expect("it ends").expect("sync");
        waited / MS
    });
    ms.expect("it ends")
}

#[test]
fn a_read_waits_behind_a_sync_if_the_device_takes_one_at_a_time() {
    assert_eq!(read_behind_a_sync(faults()), 1);
    for (depth, expected) in [(1, 10), (2, 1)] {
        let mut faults = faults();
        faults.device.queue_depth = depth;
        assert_eq!(read_behind_a_sync(faults), expected, "depth {depth}");
    }
}

#[test]
fn bytes_per_second_make_large_operations_slow() {
    let mut faults = faults();
    faults.device.bytes_per_second = 1_000_000;
    let (ms, _) = run(faults, |env| async move {
        let file = file(env, "f").await;
        let before = env.world_ns();
        file.write_all_at(&[0; 50_000], 0).await.expect("write");
        (env.world_ns() - before) / MS
    });
    assert_eq!(ms, Ok(51));
}

#[test]
fn a_stall_holds_up_everything_and_a_slow_sync_only_itself() {
    let behind = |stalls: bool| {
        let mut faults = faults();
        faults.device.stall = DurationRange::new(500 * MS, 500 * MS);
        faults.device.slow_sync_probability = Ratio::ALWAYS;
        if stalls {
            faults.device.stall_probability = Ratio::ALWAYS;
        }
        read_behind_a_sync(faults)
    };
    assert_eq!(behind(false), 1);
    assert!(behind(true) > 900, "its own stall, and the rest of the sync's");
}

#[test]
fn a_hung_operation_ends_with_a_reset_of_the_node() {
    let mut faults = faults();
    faults.device.hang_probability = Ratio::ALWAYS;
    faults.device.hang = DurationRange::new(30_000 * MS, 30_000 * MS);
    let (end, sim) = run(faults, |env| async move {
        env.open("f", OpenOptions::read_write_create()).await.expect("it never returns");
    });
    assert!(matches!(end, Err(Stop::Crashed(..))), "{end:?}");
    assert_eq!(sim.now_ns(), 30_000 * MS);
    assert_eq!(sim.stats().fault(FaultKind::Hang), 1);
}

#[test]
fn who_does_not_wait_for_a_hung_operation_lives_on() {
    let mut faults = faults();
    faults.device.hang_probability = Ratio::ALWAYS;
    let (end, _) = run(faults, |env| async move {
        let open = env
            .spawn(async move { env.open("f", OpenOptions::read_write_create()).await.map(drop) });
        env.sleep(Duration::from_millis(5)).await;
        drop(open);
        env.now().as_ns()
    });
    assert!(end.is_ok(), "{end:?}");
}

#[test]
fn a_sync_that_lies_is_counted_and_loses_what_it_covered() {
    let mut lying = faults();
    lying.device.lying_sync_probability = Ratio::ALWAYS;
    let write = |env: SimEnv| async move {
        let file = file(env, "f").await;
        file.sync_all().await.expect("it says so");
        env.sync_dir("").await.expect("it says so");
    };
    let is_there_after_a_loss = |faults: Faults| {
        (0..16).all(|seed| {
            let mut sim = Sim::new(seed);
            sim.set_faults(faults.clone());
            let node = sim.add_node("n");
            let env = sim.boot(node);
            sim.run(env, write(env)).expect("nothing stops it");
            sim.crash(node, CrashKind::PowerLoss);
            sim.disk(node).open("f", OpenOptions::reading()).is_ok()
        })
    };
    assert!(is_there_after_a_loss(faults()));
    assert!(!is_there_after_a_loss(lying));
}

#[test]
fn there_are_no_more_media_faults_than_the_budget_between_two_restarts() {
    let count = |budget| {
        let mut faults = faults();
        faults.device.media_fault_max = budget;
        faults.device.stale_read_probability = Ratio::ALWAYS;
        faults.device.bit_rot_probability = Ratio::ALWAYS;
        let (_, mut sim) = run(faults, |env| async move {
            let file = file(env, "f").await;
            file.sync_all().await.expect("sync");
            for _ in 0..5 {
                file.read_at(&mut [0], 0).await.expect("read");
            }
        });
        let in_boot = sim.stats().fault(FaultKind::StaleRead);
        sim.crash(NODE, CrashKind::Process);
        (in_boot, sim.stats().fault(FaultKind::BitRot) + sim.stats().fault(FaultKind::SectorRot))
    };
    assert_eq!(count(0), (0, 0));
    assert_eq!(count(1), (1, 1), "a restart renews it");
    assert_eq!(count(3).0, 3);
}

#[test]
fn a_file_system_that_has_given_up_is_mounted_again_by_a_restart() {
    let mut faults = faults();
    faults.disk.shutdown_probability = Ratio::ALWAYS;
    let (end, mut sim) = run(faults, |env| async move {
        let file = file(env, "f").await;
        assert!(file.sync_all().await.is_err(), "it gives up");
        assert!(file.write_at(b"x", 0).await.is_err(), "and stays so");
    });
    end.expect("it ends");
    assert_eq!(sim.restart(NODE), CrashKind::PowerLoss);
    sim.heal();
    let env = sim.boot(NODE);
    let again = sim.run(env, async move { file(env, "f").await.sync_all().await });
    again.expect("it ends").expect("it works again");
}

#[test]
fn an_error_that_a_later_boot_is_told_counts_as_a_failure_of_that_boot() {
    let mut faults = faults();
    faults.disk.background_probability = Ratio::ALWAYS;
    faults.disk.writeback_error_probability = Ratio::ALWAYS;
    let (end, mut sim) = run(faults, |env| async move {
        let file = file(env, "f").await;
        // The kernel acts at calls: it tries to write the page back at one of these.
        for _ in 0..64 {
            file.read_at(&mut [0], 0).await.expect("read");
        }
    });
    end.expect("it ends");
    let before = sim.stats().fault(FaultKind::WritebackError);
    assert!(before > 0, "a page was refused");
    sim.crash(NODE, CrashKind::Process);
    sim.set_faults(self::faults());
    let env = sim.boot(NODE);
    let told = sim.run(env, async move {
        let file = env.open("f", OpenOptions::read_write_create()).await.expect("open");
        (file.sync_data().await.is_err(), file.sync_data().await.is_err())
    });
    assert_eq!(told.expect("it ends"), (true, false), "once");
    assert_eq!(sim.stats().fault(FaultKind::WritebackError), before + 1);
}
