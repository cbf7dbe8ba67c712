//! madsim 0.2.34 with `--cfg madsim`. Its disk keeps everything at once and has no latency, so the
//! awaited append sleeps by itself, and a crash never loses anything.

use std::sync::Arc;
use std::time::Duration;

use madsim::fs::{self, File};
use madsim::net::{TcpListener, TcpStream};
use madsim::runtime::{Builder, Handle, Runtime};
use madsim::task::spawn;
use madsim::time::sleep;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};

use crate::work::{LATENCY, MESSAGE, RECORD, REGION, TASKS, Work, idle_of, record_of, sleep_of};

#[cfg(not(madsim))]
compile_error!("madsim simulates nothing without `--cfg madsim`: build from the folder benches/");

pub(crate) fn run(work: Work, n: u64) -> Option<u64> {
    let runtime = || Runtime::with_seed_and_config(1, Default::default());
    match work {
        Work::Timers => runtime().block_on(timers(n)),
        Work::PingPong { pairs } => runtime().block_on(ping_pong(pairs, n)),
        Work::Unbounded => runtime().block_on(unbounded(n)),
        Work::Notify => runtime().block_on(notify(n)),
        Work::NetPingPong => runtime().block_on(net_ping_pong(n)),
        Work::AppendAwaited { records } => {
            (0..n).for_each(|_| on_a_node(move || append(records, true)))
        }
        Work::AppendBlocking { records } => {
            (0..n).for_each(|_| on_a_node(move || append(records, false)))
        }
        Work::DiskAlone { .. } => return None,
        Work::FreshWorld => fresh_worlds(n),
        Work::CrashReopen => runtime().block_on(crash_reopen(n)),
        Work::Idle { nodes } => runtime().block_on(idle(nodes, n)),
        Work::Memory => on_a_node(move || memory(n)),
    }
    Some(work.units(n))
}

/// Runs a task on a node of a world of its own.
fn on_a_node<F: Future<Output = ()> + Send + 'static>(body: impl FnOnce() -> F) {
    let runtime = Runtime::with_seed_and_config(1, Default::default());
    let node = runtime.create_node().name("a").build();
    let task = node.spawn(body());
    runtime.block_on(async move { task.await.expect("it ends") });
}

async fn timers(n: u64) {
    let sleeper = |task| async move {
        for nth in 0..n {
            sleep(sleep_of(task, nth)).await;
        }
    };
    let tasks: Vec<_> = (0..TASKS).map(|task| spawn(sleeper(task))).collect();
    for task in tasks {
        task.await.expect("it ends");
    }
}

async fn ping_pong(pairs: u64, n: u64) {
    let tasks: Vec<_> = (0..pairs).map(|_| spawn(pair(n))).collect();
    for task in tasks {
        task.await.expect("it ends");
    }
}

async fn pair(n: u64) {
    let (ping, mut pinged) = mpsc::channel::<u64>(16);
    let (pong, mut ponged) = mpsc::channel::<u64>(16);
    let echo = spawn(async move {
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

async fn net_ping_pong(n: u64) {
    let handle = Handle::current();
    let server = handle.create_node().name("server").ip([10, 0, 0, 2].into()).build();
    let client = handle.create_node().name("client").ip([10, 0, 0, 1].into()).build();
    server.spawn(async {
        let listener = TcpListener::bind("10.0.0.2:80").await.expect("binds");
        let (mut stream, _) = listener.accept().await.expect("accepts");
        let mut buf = MESSAGE;
        while stream.read_exact(&mut buf).await.is_ok() {
            stream.write_all(&buf).await.expect("the other end lives");
            stream.flush().await.expect("the other end lives");
        }
    });
    let client = client.spawn(async move {
        sleep(LATENCY).await;
        let mut stream = TcpStream::connect("10.0.0.2:80").await.expect("connects");
        for _ in 0..n {
            let mut buf = [0; MESSAGE.len()];
            stream.write_all(&MESSAGE).await.expect("the other end lives");
            stream.flush().await.expect("the other end lives");
            stream.read_exact(&mut buf).await.expect("the other end lives");
            assert_eq!(buf, MESSAGE);
        }
    });
    client.await.expect("it ends");
}

async fn unbounded(n: u64) {
    let (ping, mut pinged) = mpsc::unbounded_channel::<u64>();
    let (pong, mut ponged) = mpsc::unbounded_channel::<u64>();
    spawn(async move {
        while let Some(value) = pinged.recv().await {
            pong.send(value).expect("the other end lives");
        }
    });
    for value in 0..n {
        ping.send(value).expect("the other end lives");
        assert_eq!(ponged.recv().await, Some(value));
    }
}

async fn notify(n: u64) {
    let (ping, pong) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (pinged, ponged) = (Arc::clone(&ping), Arc::clone(&pong));
    spawn(async move {
        for _ in 0..n {
            pinged.notified().await;
            ponged.notify_one();
        }
    });
    for _ in 0..n {
        ping.notify_one();
        pong.notified().await;
    }
}

async fn append(records: u64, with_latency: bool) {
    let file = File::create("log").await.expect("opens");
    for nth in 0..records {
        file.write_all_at(&record_of(nth), nth * RECORD as u64).await.expect("writes");
        if with_latency {
            sleep(LATENCY).await;
        }
        file.sync_all().await.expect("syncs");
        if with_latency {
            sleep(LATENCY).await;
        }
    }
}

/// Through the runner behind `#[madsim::test]`.
fn fresh_worlds(n: u64) {
    let builder = Builder {
        seed: 1,
        count: n,
        jobs: 1,
        config: Default::default(),
        time_limit: None,
        check: false,
        allow_system_thread: false,
    };
    builder.run(|| async {
        let handle = Handle::current();
        handle.create_node().name("a").build();
        handle.create_node().name("b").build();
        let node = handle.create_node().name("c").build();
        node.spawn(async {}).await.expect("it ends");
    });
}

async fn crash_reopen(n: u64) {
    let handle = Handle::current();
    let id = handle.create_node().name("a").build().id();
    for nth in 0..n {
        let node = handle.get_node(id).expect("it was built");
        node.spawn(verify_and_write(nth)).await.expect("it ends");
        handle.kill(id);
        handle.restart(id);
    }
}

async fn verify_and_write(nth: u64) {
    if nth > 0 {
        let found = fs::read("log").await.expect("reads");
        assert_eq!(found, record_of(nth - 1), "a synced record was lost");
    }
    let file = File::create("log").await.expect("opens");
    file.write_all_at(&record_of(nth), 0).await.expect("writes");
    file.sync_all().await.expect("syncs");
}

async fn idle(nodes: u64, seconds: u64) {
    let handle = Handle::current();
    let wake = || async move {
        for nth in 0..seconds {
            sleep(idle_of(nth)).await;
        }
    };
    let tasks: Vec<_> = (0..nodes)
        .map(|nth| handle.create_node().name(format!("n{nth}")).build().spawn(wake()))
        .collect();
    for task in tasks {
        task.await.expect("it ends");
    }
}

async fn memory(n: u64) {
    for nth in 0..8_u64 {
        spawn(async move {
            for tick in 0..n {
                sleep(Duration::from_micros(1_000 + nth * 77 + tick % 100)).await;
            }
        });
    }
    let file = File::create("log").await.expect("opens");
    for nth in 0..n {
        let at = nth * RECORD as u64 % REGION;
        file.write_all_at(&record_of(nth), at).await.expect("writes");
        sleep(LATENCY).await;
        file.sync_all().await.expect("syncs");
        sleep(LATENCY).await;
    }
}
