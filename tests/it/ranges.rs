//! What a power loss takes of writes through `O_DSYNC` and `O_DIRECT`, of pages written back and of
//! more names; and that rules know these calls.

use seedbed::faults::{On, OpKind, Rule, Then};
use seedbed::seam::{File, Fs, OpenOptions};
use seedbed::{CrashKind, NodeId, Sim, SimEnv, Stop};

const RWC: OpenOptions = OpenOptions::read_write_create();
const PAGE: usize = 4096;
/// Worlds of each question: a loss that may happen does in some of them.
const SEEDS: u64 = 40;

/// A node with a file `a` of one durable page of zeros, but for its first byte.
async fn prepare(env: SimEnv) {
    let file = env.open("a", RWC).await.expect("open");
    let mut page = [0; PAGE];
    page[0] = b'x';
    file.write_all_at(&page, 0).await.expect("write");
    file.sync_all().await.expect("sync");
    env.sync_dir("").await.expect("sync_dir");
}

fn follow(sim: &mut Sim, rule: Rule) {
    let mut faults = sim.faults();
    faults.rules = vec![rule];
    sim.set_faults(faults);
}

/// What is read of `a`, and the names there are, after `work` and a power loss, in several worlds.
fn after_power_loss(work: impl AsyncFn(SimEnv) + Copy + 'static) -> Vec<(Vec<u8>, usize)> {
    let run = |seed| {
        let mut sim = Sim::new(seed);
        let node: NodeId = sim.add_node("node");
        let env = sim.boot(node);
        let end = sim.run(env, async move {
            prepare(env).await;
            work(env).await;
        });
        end.expect("no stop");
        sim.crash(node, CrashKind::PowerLoss);
        let env = sim.boot(node);
        let read = sim.run(env, async move {
            let file = env.open("a", OpenOptions::reading()).await.expect("open");
            let mut bytes = vec![0; file.len().await.expect("len") as usize];
            file.read_exact_at(&mut bytes, 0).await.expect("read");
            (bytes, env.read_dir("").await.expect("list").len())
        });
        read.expect("no stop")
    };
    (0..SEEDS).map(run).collect()
}

/// Writes a page over the one that is there, and one after it.
async fn write_two(env: SimEnv, options: OpenOptions) -> seedbed::SimFile {
    let file = env.open("a", options).await.expect("open");
    file.write_all_at(&[b'y'; PAGE], 0).await.expect("write");
    file.write_all_at(&[b'z'; PAGE], PAGE as u64).await.expect("write");
    file
}

fn both_pages() -> Vec<u8> {
    [[b'y'; PAGE], [b'z'; PAGE]].concat()
}

#[test]
fn what_dsync_wrote_is_durable() {
    for direct in [false, true] {
        let left = match direct {
            true => after_power_loss(async |env| {
                drop(write_two(env, RWC.dsync(true).direct(true)).await);
            }),
            false => after_power_loss(async |env| {
                drop(write_two(env, RWC.dsync(true)).await);
            }),
        };
        assert!(left.iter().all(|(bytes, _)| *bytes == both_pages()), "direct: {direct}");
    }
}

#[test]
fn what_dsync_wrote_says_nothing_about_other_bytes() {
    let left = after_power_loss(async |env| {
        let cached = env.open("a", RWC).await.expect("open");
        cached.write_all_at(&[b'w'; PAGE], 0).await.expect("write");
        let file = env.open("a", RWC.dsync(true)).await.expect("open");
        file.write_all_at(&[b'z'; PAGE], PAGE as u64).await.expect("write");
    });
    assert!(left.iter().all(|(bytes, _)| bytes[PAGE..] == [b'z'; PAGE]));
    assert!(left.iter().any(|(bytes, _)| bytes[0] != b'w'), "the other page can be lost");
}

#[test]
fn direct_writes_and_pages_written_back_are_not_durable() {
    let direct = after_power_loss(async |env| {
        drop(write_two(env, RWC.direct(true)).await);
    });
    let range = after_power_loss(async |env| {
        let file = write_two(env, RWC).await;
        file.sync_range(0, 0).await.expect("sync_range");
    });
    for left in [direct, range] {
        assert!(left.iter().any(|(bytes, _)| *bytes != both_pages()), "some are lost");
    }
}

#[test]
fn a_flush_makes_durable_what_was_written_back() {
    let left = after_power_loss(async |env| {
        let file = env.open("a", RWC).await.expect("open");
        file.write_all_at(&[b'y'; PAGE], 0).await.expect("write");
        file.sync_range(0, PAGE as u64).await.expect("sync_range");
        let other = env.open("other", RWC).await.expect("open");
        other.write_all_at(b"x", 0).await.expect("write");
        other.sync_all().await.expect("sync");
    });
    assert!(left.iter().all(|(bytes, _)| *bytes == [b'y'; PAGE]), "it overwrote in place");
}

#[test]
fn one_more_name_is_durable_with_its_directory() {
    let unsynced = after_power_loss(async |env| {
        env.hard_link("a", "b").await.expect("link");
    });
    let synced = after_power_loss(async |env| {
        env.hard_link("a", "b").await.expect("link");
        env.sync_dir("").await.expect("sync_dir");
    });
    assert!(unsynced.iter().any(|(_, names)| *names == 1), "it can be lost");
    assert!(synced.iter().all(|(_, names)| *names == 2));
}

#[test]
fn rules_know_the_calls() {
    for (on, path) in [
        (OpKind::HardLink, Some("a -> *")),
        (OpKind::Allocate, Some("a")),
        (OpKind::SyncRange, Some("a")),
    ] {
        for then in [Then::Eio, Then::Omit, Then::Crash] {
            let mut sim = Sim::new(1);
            let rule = Rule { path: path.map(str::to_owned), ..Rule::new(On::Op(on), then) };
            follow(&mut sim, rule);
            let node = sim.add_node("node");
            let env = sim.boot(node);
            let end = sim.run(env, async move {
                prepare(env).await;
                let file = env.open("a", RWC).await.expect("open");
                let result = match on {
                    OpKind::HardLink => env.hard_link("a", "b").await,
                    OpKind::Allocate => file.allocate(0, 9000, false).await,
                    _ => file.sync_range(0, 0).await,
                };
                let names = env.read_dir("").await.expect("list").len();
                (result.is_ok(), names, file.len().await.expect("len"))
            });
            match then {
                Then::Eio => assert!(!end.expect("no stop").0, "{on:?} fails"),
                Then::Omit => assert_eq!(end.expect("no stop"), (true, 1, PAGE as u64), "{on:?}"),
                _ => assert!(matches!(end, Err(Stop::Crashed(..))), "{on:?}"),
            }
        }
    }
}

#[test]
fn a_failed_range_is_clean_and_not_durable() {
    let (mut lost, mut told) = (0, 0);
    for seed in 0..SEEDS {
        let mut sim = Sim::new(seed);
        let rule = Rule::new(On::Op(OpKind::SyncRange), Then::Eio);
        follow(&mut sim, rule);
        let node = sim.add_node("node");
        let env = sim.boot(node);
        let synced = sim.run(env, async move {
            prepare(env).await;
            let file = env.open("a", RWC).await.expect("open");
            file.write_all_at(&[b'y'; PAGE], 0).await.expect("write");
            file.sync_range(0, 0).await.expect_err("the rule");
            file.sync_all().await
        });
        told += u64::from(synced.expect("no stop").is_ok());
        sim.crash(node, CrashKind::PowerLoss);
        let env = sim.boot(node);
        let first = sim.run(env, async move {
            let file = env.open("a", OpenOptions::reading()).await.expect("open");
            let mut byte = [0];
            file.read_exact_at(&mut byte, 0).await.expect("read");
            byte[0]
        });
        lost += u64::from(first.expect("no stop") == b'x');
    }
    assert_eq!(told, SEEDS, "the later sync has nothing to report any more");
    assert!(lost > 0, "and does not cover what the device refused");
}

#[test]
fn the_blocking_face_has_them_too() {
    let mut sim = Sim::new(1);
    let node = sim.add_node("node");
    let env = sim.boot(node);
    let end = sim.run_blocking(env, |disk| {
        let file = disk.open("a", RWC.append(true).dsync(true))?;
        file.write_all_at(b"one", 0)?;
        file.write_all_at(b"two", 0)?;
        file.allocate(0, 10, false)?;
        file.sync_range(0, 0)?;
        disk.hard_link("a", "b")?;
        Ok::<_, std::io::Error>((file.len()?, disk.read_dir("")?.len()))
    });
    assert_eq!(end.expect("no stop").expect("no error"), (10, 2));
}
