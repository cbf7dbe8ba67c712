//! Fence, then drop, then image: what a boot's handles do after its end changes nothing, and says
//! so.

use std::sync::{Arc, Mutex};

use seedbed::faults::{On, OpKind, Rule, Then};
use seedbed::seam::{Clock, File, Fs, OpenOptions, Spawn};
use seedbed::{CrashKind, Sim, SimEnv, SimFile, Source, Stop};

const RWC: OpenOptions = OpenOptions::read_write_create();

/// A world with one node that has a durable file `a` holding `x`, and a handle on it.
fn world() -> (Sim, seedbed::NodeId, SimEnv, SimFile) {
    let mut sim = Sim::with_source(1, Source::Seed, true);
    let node = sim.add_node("node");
    let env = sim.boot(node);
    let file = sim.run(env, async move {
        let file = env.open("a", RWC).await.expect("open");
        file.write_all_at(b"x", 0).await.expect("write");
        file.sync_all().await.expect("sync");
        env.sync_dir("").await.expect("sync_dir");
        file
    });
    (sim, node, env, file.expect("no stop"))
}

fn content(sim: &mut Sim, node: seedbed::NodeId) -> Vec<u8> {
    let env = sim.boot(node);
    sim.run(env, async move {
        let file = env.open("a", OpenOptions::reading()).await.expect("open");
        let mut bytes = vec![0; file.len().await.expect("len") as usize];
        file.read_exact_at(&mut bytes, 0).await.expect("read");
        bytes
    })
    .expect("no stop")
}

#[test]
fn a_handle_of_a_boot_that_is_over_does_nothing_and_says_so() {
    for kind in [CrashKind::Process, CrashKind::PowerLoss] {
        let (mut sim, node, old, file) = world();
        sim.crash(node, kind);
        let new = sim.boot(node);
        let errors = sim.run(new, async move {
            let mut errors = Vec::new();
            errors.extend(file.write_all_at(b"y", 0).await.err());
            errors.extend(file.sync_all().await.err());
            errors.extend(file.set_len(0).await.err());
            errors.extend(file.read_at(&mut [0], 0).await.err());
            errors.extend(file.len().await.err());
            errors.extend(old.remove_file("a").await.err());
            errors.extend(old.rename("a", "b").await.err());
            errors.extend(old.create_dir("d").await.err());
            errors.extend(old.open("a", RWC).await.err());
            let task = old.spawn(async { unreachable!("a dead boot starts no tasks") });
            assert!(task.await.is_err());
            errors
        });
        let errors = errors.expect("no stop");
        assert_eq!(errors.len(), 9, "every call is refused: {errors:?}");
        for error in errors {
            assert!(error.to_string().contains("stale handle"), "{error}");
        }
        assert_eq!(content(&mut sim, node), b"x");
        let events = sim.finish().events;
        let refused = events.iter().filter(|e| e.cause.as_deref() == Some("stale handle")).count();
        assert_eq!(refused, 8, "and the trace shows it (len is no operation)");
    }
}

/// Writes through the blocking face when it is dropped, like an engine that flushes in `Drop`.
struct FlushOnDrop(SimEnv, Arc<Mutex<Vec<String>>>);

impl Drop for FlushOnDrop {
    fn drop(&mut self) {
        let result = self.0.blocking().open("a", RWC).and_then(|file| file.write_all_at(b"y", 0));
        let said = result.map_or_else(|error| error.to_string(), |()| "written".to_owned());
        self.1.lock().expect("one thread").push(said);
    }
}

#[test]
fn an_engine_whose_drop_writes_cannot_cheat() {
    let (mut sim, node, env, file) = world();
    let said = Arc::new(Mutex::new(Vec::new()));
    let inside = Arc::clone(&said);
    sim.run(env, async move {
        env.spawn(async move {
            let _flush = FlushOnDrop(env, inside);
            std::future::pending::<()>().await;
        });
        env.sleep(std::time::Duration::from_millis(1)).await;
    })
    .expect("no stop");
    sim.crash(node, CrashKind::Process);
    let said = said.lock().expect("one thread").clone();
    assert_eq!(said.len(), 1, "its task was dropped");
    assert!(said[0].contains("stale handle"), "{}", said[0]);
    drop(file);
    assert_eq!(content(&mut sim, node), b"x");
}

#[test]
fn nothing_of_the_same_poll_happens_after_the_crash_point() {
    // Two operations polled together: if the node crashes at the first, the second must not happen.
    for seed in 0..50 {
        let mut sim = Sim::new(seed);
        let mut faults = sim.faults();
        let rule = Rule::new(On::Op(OpKind::Write), Then::Crash);
        faults.rules = vec![Rule { path: Some("first".to_owned()), ..rule }];
        sim.set_faults(faults);
        let node = sim.add_node("node");
        let env = sim.boot(node);
        let end = sim.run(env, async move {
            let first = env.open("first", RWC).await.expect("open");
            let second = env.open("second", RWC).await.expect("open");
            let (write, other) = (first.write_at(b"1", 0), second.write_at(b"2", 0));
            seedbed::seam::sync::race(write, other).await;
        });
        assert_eq!(end, Err(Stop::Crashed(node, CrashKind::Process)));
        let mut disk = sim.disk(node);
        let second = disk.open("second", OpenOptions::reading()).expect("there");
        assert_eq!(disk.len(second), 0, "seed {seed}");
    }
}

#[test]
fn a_world_outside_its_simulation_is_refused_with_a_sentence() {
    let (sim, _, env, file) = world();
    drop((file, sim));
    let panic = std::panic::catch_unwind(|| env.now()).expect_err("no world");
    let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(message.contains("outside its simulation"), "{message}");
}

#[test]
fn a_handle_of_a_node_that_another_world_never_had_is_refused_there() {
    let mut sim = Sim::new(1);
    let node = (0..3).map(|_| sim.add_node("node")).last().expect("three nodes");
    let env = sim.boot(node);
    let file = sim.run(env, async move { env.open("a", RWC).await.expect("open") });
    let file = file.expect("no stop");
    drop(sim);
    // A thread that never had a world with as many nodes.
    let refused = std::thread::scope(|scope| {
        let other = scope.spawn(move || {
            let mut sim = Sim::new(1);
            let node = sim.add_node("alone");
            let env = sim.boot(node);
            let calls = sim.run(env, async move {
                let read = file.read_at(&mut [0], 0).await.is_err();
                let written = file.write_at(b"x", 0).await.is_err();
                [read, written, file.set_len(1).await.is_err()]
            });
            calls.expect("no stop")
        });
        other.join().expect("no panic")
    });
    assert_eq!(refused, [true; 3]);
}
