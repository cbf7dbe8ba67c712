//! Ours. Digest and random ready order are always on, and every file has the full crash model.

use std::sync::Arc;
use std::time::Duration;

use seedbed::blocking::BlockingFs;
use seedbed::disk::{Disk, SyncKind};
use seedbed::seam::sync::{Notify, mpsc};
use seedbed::seam::{
    Clock, File, Fs, Listener, Net, OpenOptions, Spawn, StreamRead, StreamWrite,
};
use seedbed::{CrashKind, Sim, SimEnv};

use crate::work::{MESSAGE, RECORD, REGION, TASKS, Work, idle_of, record_of, sleep_of};

pub(crate) fn run(work: Work, n: u64) -> Option<u64> {
    match work {
        Work::Timers => timers(n),
        Work::PingPong { pairs } => ping_pong(pairs, n),
        Work::Unbounded => unbounded(n),
        Work::Notify => notify(n),
        Work::NetPingPong => net_ping_pong(n),
        Work::AppendAwaited { records } => (0..n).for_each(|seed| append_awaited(seed, records)),
        Work::AppendBlocking { records } => (0..n).for_each(|seed| append_blocking(seed, records)),
        Work::DiskAlone { records } => (0..n).for_each(|_| append_to_disk(records)),
        Work::FreshWorld => (0..n).for_each(fresh_world),
        Work::CrashReopen => crash_reopen(n),
        Work::Idle { nodes } => idle(nodes, n),
        Work::Memory => memory(n),
    }
    Some(work.units(n))
}

/// Runs `body` as the main task of a world with one node.
fn on_one_node<F: Future<Output = ()> + 'static>(body: impl FnOnce(SimEnv) -> F) {
    let mut sim = Sim::new(1);
    sim.set_poll_limit(u64::MAX);
    let node = sim.add_node("a");
    let env = sim.boot(node);
    sim.run(env, body(env)).expect("nothing goes wrong in this world");
}

fn timers(n: u64) {
    on_one_node(async move |env| {
        let sleeper = |task| async move {
            for nth in 0..n {
                env.sleep(sleep_of(task, nth)).await;
            }
        };
        let tasks: Vec<_> = (0..TASKS).map(|task| env.spawn(sleeper(task))).collect();
        for task in tasks {
            task.await.expect("it ends");
        }
    });
}

fn ping_pong(pairs: u64, n: u64) {
    on_one_node(async move |env| {
        let tasks: Vec<_> = (0..pairs).map(|_| env.spawn(pair(env, n))).collect();
        for task in tasks {
            task.await.expect("it ends");
        }
    });
}

async fn pair(env: SimEnv, n: u64) {
    let (ping, mut pinged) = mpsc::channel::<u64>(16);
    let (pong, mut ponged) = mpsc::channel::<u64>(16);
    let echo = env.spawn(async move {
        while let Some(value) = pinged.recv().await {
            pong.send(value).await.expect("the other end lives");
        }
    });
    for value in 0..n {
        ping.send(value).await.expect("the other end lives");
        assert_eq!(ponged.recv().await, Some(value));
    }
    drop(ping);
    echo.await.expect("it ends");
}

fn net_ping_pong(n: u64) {
    let mut sim = Sim::new(1);
    sim.set_poll_limit(u64::MAX);
    let nodes = [sim.add_node("client"), sim.add_node("server")];
    let [client, server] = nodes.map(|node| sim.boot(node));
    let addr = (nodes[1].ip(), 80).into();
    server.spawn(async move {
        let listener = server.bind(addr).await.expect("binds");
        let (mut stream, _) = listener.accept().await.expect("accepts");
        let mut buf = MESSAGE;
        while stream.read_exact(&mut buf).await.is_ok() {
            stream.write_all(&buf).await.expect("the other end lives");
        }
    });
    sim.run(client, async move {
        let mut stream = client.connect(addr).await.expect("connects");
        for _ in 0..n {
            let mut buf = [0; MESSAGE.len()];
            stream.write_all(&MESSAGE).await.expect("the other end lives");
            stream.read_exact(&mut buf).await.expect("the other end lives");
            assert_eq!(buf, MESSAGE);
        }
    })
    .expect("nothing goes wrong in this world");
}

fn unbounded(n: u64) {
    on_one_node(async move |env| {
        let (ping, mut pinged) = mpsc::unbounded_channel::<u64>();
        let (pong, mut ponged) = mpsc::unbounded_channel::<u64>();
        env.spawn(async move {
            while let Some(value) = pinged.recv().await {
                pong.send(value).expect("the other end lives");
            }
        });
        for value in 0..n {
            ping.send(value).expect("the other end lives");
            assert_eq!(ponged.recv().await, Some(value));
        }
    });
}

fn notify(n: u64) {
    on_one_node(async move |env| {
        let (ping, pong) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (pinged, ponged) = (Arc::clone(&ping), Arc::clone(&pong));
        env.spawn(async move {
            for _ in 0..n {
                pinged.notified().await;
                ponged.notify_one();
            }
        });
        for _ in 0..n {
            ping.notify_one();
            pong.notified().await;
        }
    });
}

fn append_awaited(seed: u64, records: u64) {
    let mut sim = Sim::new(seed);
    // Two polls a record: the default limit would take a million of them for going in circles.
    sim.set_poll_limit(u64::MAX);
    let node = sim.add_node("a");
    let env = sim.boot(node);
    let work = async move {
        let file = env.open("log", OpenOptions::read_write_create()).await.expect("opens");
        for nth in 0..records {
            file.write_all_at(&record_of(nth), nth * RECORD as u64).await.expect("writes");
            file.sync_data().await.expect("syncs");
        }
    };
    sim.run(env, work).expect("nothing goes wrong in this world");
}

fn append_blocking(seed: u64, records: u64) {
    let mut sim = Sim::new(seed);
    let node = sim.add_node("a");
    let env = sim.boot(node);
    let work = |fs: BlockingFs| {
        let file = fs.open("log", OpenOptions::read_write_create()).expect("opens");
        for nth in 0..records {
            file.write_all_at(&record_of(nth), nth * RECORD as u64).expect("writes");
            file.sync_data().expect("syncs");
        }
    };
    sim.run_blocking(env, work).expect("nothing goes wrong in this world");
}

/// The disk alone, without world, time and digest: what the model itself costs.
fn append_to_disk(records: u64) {
    let mut disk = Disk::new();
    let file = disk.open("log", OpenOptions::read_write_create()).expect("opens");
    for nth in 0..records {
        disk.write_at(file, &record_of(nth), nth * RECORD as u64).expect("writes");
        let barrier = disk.begin_sync(file, SyncKind::Data);
        disk.complete(barrier);
    }
}

fn fresh_world(seed: u64) {
    let mut sim = Sim::new(seed);
    sim.add_node("a");
    sim.add_node("b");
    let node = sim.add_node("c");
    let env = sim.boot(node);
    sim.run(env, async {}).expect("nothing goes wrong in this world");
    sim.finish();
}

fn crash_reopen(n: u64) {
    let mut sim = Sim::new(1);
    let node = sim.add_node("a");
    for nth in 0..n {
        let env = sim.boot(node);
        sim.run(env, verify_and_write(env, nth)).expect("nothing goes wrong in this world");
        sim.crash(node, CrashKind::PowerLoss);
    }
}

async fn verify_and_write(env: SimEnv, nth: u64) {
    let file = env.open("log", OpenOptions::read_write_create()).await.expect("opens");
    if nth > 0 {
        let mut found = [0; RECORD];
        file.read_exact_at(&mut found, 0).await.expect("reads");
        assert_eq!(found, record_of(nth - 1), "a synced record was lost");
    }
    file.write_all_at(&record_of(nth), 0).await.expect("writes");
    file.sync_data().await.expect("syncs");
    env.sync_dir("").await.expect("syncs");
}

fn idle(nodes: u64, seconds: u64) {
    let mut sim = Sim::new(1);
    sim.set_poll_limit(u64::MAX);
    let mut envs = Vec::new();
    for nth in 0..nodes {
        let node = sim.add_node(&format!("n{nth}"));
        envs.push(sim.boot(node));
    }
    let first = envs[0];
    let work = async move {
        let wake = |env: SimEnv| async move {
            for nth in 0..seconds {
                env.sleep(idle_of(nth)).await;
            }
        };
        let tasks: Vec<_> = envs.iter().map(|env| env.spawn(wake(*env))).collect();
        for task in tasks {
            task.await.expect("it ends");
        }
    };
    sim.run(first, work).expect("nothing goes wrong in this world");
}

fn memory(n: u64) {
    on_one_node(async move |env| {
        for nth in 0..8_u64 {
            env.spawn(async move {
                for tick in 0..n {
                    env.sleep(Duration::from_micros(1_000 + nth * 77 + tick % 100)).await;
                }
            });
        }
        let file = env.open("log", OpenOptions::read_write_create()).await.expect("opens");
        for nth in 0..n {
            let at = nth * RECORD as u64 % REGION;
            file.write_all_at(&record_of(nth), at).await.expect("writes");
            file.sync_data().await.expect("syncs");
        }
    });
}
