//! Engines under load on a real folder, and that a wrong one is found out.

// It is about the real world.
#![allow(clippy::disallowed_methods)]

use std::io::{self, BufRead, BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use seedbed_engines::atomic_commit::{Batch, Options, Store};
use seedbed_env::OsEnv;
use seedbed_hardware::{Bench, Engine, Failed, Workload, process};

#[global_allocator]
static ALLOCATOR: seedbed_hardware::allocations::Counting = seedbed_hardware::allocations::Counting;

fn workload(engine: Engine) -> Workload {
    let (clients, keys) = if engine == Engine::Sink { (1, 100) } else { (3, 100) };
    Workload { engine, clients, keys, window: 8, value_bytes: 100, ..Workload::default() }
}

fn open(dir: &tempfile::TempDir, workload: &Workload) -> Bench {
    Bench::open(dir.path(), workload, Arc::new(AtomicBool::new(false))).expect("it opens")
}

#[test]
fn rounds_are_counted_and_what_they_leave_is_compared() {
    for engine in Engine::ALL {
        let dir = tempfile::tempdir().expect("a folder");
        let mut bench = open(&dir, &workload(engine));
        bench.round(100).expect("it works");
        bench.start_measuring();
        let (round, latencies) = bench.round(500).expect("it works");
        assert_eq!(latencies.summary(), round.latency);
        assert_eq!(round.operations, 500);
        assert_eq!(round.seen.count, 500);
        assert!(round.latency.count >= 500, "what was held back is added");
        assert!(round.elapsed_ns > 0 && round.seen.max_ns <= round.elapsed_ns);
        assert!(round.disk.syncs > 0 && round.disk.written_bytes > 500 * 100, "{round:?}");
        assert!(round.allocations.count > 500, "{:?}", round.allocations);
        let ended = bench.end().expect("it is right");
        let all = if engine == Engine::Sink { 600 } else { 100 };
        assert_eq!(ended.checked, all, "{}", engine.name());
        assert!(ended.threads.values().sum::<u64>() > 0 && !ended.classes.is_empty());
        let by_class: u64 = ended.classes.values().map(|class| class.cpu_ns).sum();
        assert_eq!(by_class, ended.threads.values().sum::<u64>(), "all of it has a class");
    }
}

/// The engine forgets what it had acknowledged: somebody changes the folder behind its back.
#[test]
fn a_store_that_lost_or_changed_something_is_wrong() {
    let spoil = |change: Batch| {
        let dir = tempfile::tempdir().expect("a folder");
        let mut bench = open(&dir, &workload(Engine::AtomicCommit));
        bench.round(300).expect("it works");
        let env = OsEnv::new(dir.path());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        bench.end_after(|| {
            runtime.expect("a runtime").block_on(async {
                let store = Store::open(env, "store", Options::default()).await.expect("it opens");
                store.commit(change).await.expect("it commits");
                store.close().await.expect("it closes");
            });
        })
    };
    let key = [&0_u32.to_be_bytes()[..], &0_u64.to_be_bytes()[..]].concat();
    let lost = spoil(Batch::deleting(&key));
    assert!(matches!(&lost, Err(Failed::Wrong(why)) if why.contains("99 keys instead of 100")));
    let changed = spoil(Batch::putting(&key, [7; 100]));
    assert!(matches!(&changed, Err(Failed::Wrong(why)) if why.contains("of client 0")));
    let invented = spoil(Batch::putting(b"more", b""));
    assert!(matches!(&invented, Err(Failed::Wrong(why)) if why.contains("101 keys")));
    assert!(spoil(Batch::deleting(b"absent")).is_ok(), "and nothing else is");
}

#[test]
fn a_worker_answers_each_line_and_survives_nonsense() {
    let folder = tempfile::tempdir().expect("a folder");
    let workload = serde_json::to_string(&workload(Engine::AtomicCommit)).expect("data");
    let dir = serde_json::to_string(folder.path()).expect("data");
    let input = format!(
        "nonsense\n{{\"round\":{{\"operations\":5}}}}\n\
         {{\"open\":{{\"version\":99,\"dir\":{dir},\"workload\":{workload}}}}}\n\
         {{\"open\":{{\"version\":2,\"dir\":{dir},\"workload\":{workload}}}}}\n\
         {{\"round\":{{\"operations\":0}}}}\n{{\"round\":{{\"operations\":7}}}}\n\"end\"\n"
    );
    // The input stays open until the last answer: its end would end rounds early.
    let (reader, mut asks) = io::pipe().expect("a pipe");
    let (answers, output) = io::pipe().expect("a pipe");
    let serving = thread::spawn(|| process::serve(BufReader::new(reader), output));
    asks.write_all(input.as_bytes()).expect("it reads");
    let lines = BufReader::new(answers).lines().take(7);
    let lines: Vec<String> = lines.map(|line| line.expect("text")).collect();
    drop(asks);
    serving.join().expect("no panic").expect("it can write");
    assert!(!folder.path().exists(), "the worker of a parent that is gone removes its folder");
    let expected = [
        "this is for `seedbed bench` to start",
        "nothing is open",
        "the other program speaks version 99",
        "\"done\"",
        "operations is 0",
        "\"operations\":7",
        "\"checked\":7",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(expected), "{line}");
    }
}

/// A parent that wants an end says so, or is gone.
#[test]
fn a_worker_ends_its_round_when_it_is_told_to_and_when_its_parent_is_gone() {
    for is_gone in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let workload = Workload { checkpoint_ms: 3_600_000, ..workload(Engine::Sink) };
        let workload = serde_json::to_string(&workload).expect("data");
        let dir = serde_json::to_string(folder.path()).expect("data");
        let (reader, mut asks) = io::pipe().expect("a pipe");
        let (answers, output) = io::pipe().expect("a pipe");
        let serving = thread::spawn(|| process::serve(BufReader::new(reader), output));
        let mut answers = BufReader::new(answers).lines().map(|line| line.expect("text"));
        let open =
            format!("{{\"open\":{{\"version\":2,\"dir\":{dir},\"workload\":{workload}}}}}\n");
        asks.write_all(open.as_bytes()).expect("it reads");
        assert_eq!(answers.next().as_deref(), Some("\"done\""));
        asks.write_all(b"{\"round\":{\"operations\":1000000}}\n").expect("it reads");
        thread::sleep(Duration::from_millis(100));
        match is_gone {
            true => drop(asks),
            false => {
                asks.write_all(b"\"stop\"\n").expect("it reads");
                let round = answers.next().expect("an answer");
                assert!(round.starts_with("{\"round\"") && !round.contains("1000000"), "{round}");
                drop(asks);
            }
        }
        serving.join().expect("no panic").expect("it can write");
        assert!(!folder.path().exists(), "it removes its folder");
    }
}

/// Rows that wait for a checkpoint which comes in an hour end when somebody wants the round to end.
#[test]
fn a_round_that_is_stopped_ends_with_what_there_is() {
    for (rate, name) in [(0, "closed loop"), (10, "open loop")] {
        let dir = tempfile::tempdir().expect("a folder");
        let workload = Workload { checkpoint_ms: 3_600_000, rate, ..workload(Engine::Sink) };
        let stop = Arc::new(AtomicBool::new(false));
        let mut bench = Bench::open(dir.path(), &workload, Arc::clone(&stop)).expect("it opens");
        let stopping = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            stop.store(true, Ordering::Relaxed);
        });
        let (round, _) = bench.round(1_000_000).expect("it ends");
        stopping.join().expect("no panic");
        assert!(round.operations < 1_000_000, "{name}");
        let ended = bench.end().expect("it is right");
        assert_eq!(ended.checked, round.operations, "{name}: all that was begun has ended");
    }
}
