//! turmoil 0.7.2 with its unstable file system. Time goes in ticks of 1 ms, each of which visits
//! every host; I/O latency is drawn where files are awaited.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;
use turmoil::fs::shim::std::fs as std_fs;
use turmoil::fs::shim::tokio::fs as tokio_fs;
use turmoil::net::{TcpListener, TcpStream};
use turmoil::{Builder, Sim};

use crate::work::{LATENCY, MESSAGE, RECORD, REGION, TASKS, Work, idle_of, record_of, sleep_of};

pub(crate) fn run(work: Work, n: u64) -> Option<u64> {
    match work {
        Work::Timers => on_a_client(timers(n)),
        Work::PingPong { pairs } => on_a_client(ping_pong(pairs, n)),
        Work::Unbounded => on_a_client(unbounded(n)),
        Work::Notify => on_a_client(notify(n)),
        Work::NetPingPong => net_ping_pong(n),
        Work::AppendAwaited { records } => {
            (0..n).for_each(|_| on_a_client(append_awaited(records)))
        }
        Work::AppendBlocking { records } => {
            (0..n).for_each(|_| on_a_client(append_blocking(records)))
        }
        Work::DiskAlone { .. } => return None,
        Work::FreshWorld => (0..n).for_each(fresh_world),
        Work::CrashReopen => crash_reopen(n),
        Work::Idle { nodes } => idle(nodes, n),
        Work::Memory => on_a_client(memory(n)),
    }
    Some(work.units(n))
}

fn world() -> Sim<'static> {
    let mut builder = Builder::new();
    builder.rng_seed(1).enable_random_order().simulation_duration(Duration::from_secs(1 << 32));
    builder.fs().io_latency().min_latency(LATENCY / 20).max_latency(LATENCY);
    builder.build()
}

/// Runs a task as the only client of a world of its own.
fn on_a_client(body: impl Future<Output = ()> + 'static) {
    let mut sim = world();
    sim.client("a", async move {
        body.await;
        Ok(())
    });
    sim.run().expect("nothing goes wrong in this world");
}

async fn timers(n: u64) {
    let sleeper = |task| async move {
        for nth in 0..n {
            sleep(sleep_of(task, nth)).await;
        }
    };
    let tasks: Vec<_> = (0..TASKS).map(|task| tokio::spawn(sleeper(task))).collect();
    for task in tasks {
        task.await.expect("it ends");
    }
}

async fn ping_pong(pairs: u64, n: u64) {
    let tasks: Vec<_> = (0..pairs).map(|_| tokio::spawn(pair(n))).collect();
    for task in tasks {
        task.await.expect("it ends");
    }
}

async fn pair(n: u64) {
    let (ping, mut pinged) = mpsc::channel::<u64>(16);
    let (pong, mut ponged) = mpsc::channel::<u64>(16);
    let echo = tokio::spawn(async move {
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
    let mut builder = Builder::new();
    builder.rng_seed(1).enable_random_order().simulation_duration(Duration::from_secs(1 << 32));
    builder.min_message_latency(LATENCY / 20).max_message_latency(LATENCY / 2);
    let mut sim = builder.build();
    sim.host("server", || async {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        let (mut stream, _) = listener.accept().await?;
        let mut buf = MESSAGE;
        while stream.read_exact(&mut buf).await.is_ok() {
            stream.write_all(&buf).await?;
        }
        Ok(())
    });
    sim.client("client", async move {
        let mut stream = TcpStream::connect("server:80").await?;
        for _ in 0..n {
            let mut buf = [0; MESSAGE.len()];
            stream.write_all(&MESSAGE).await?;
            stream.read_exact(&mut buf).await?;
            assert_eq!(buf, MESSAGE);
        }
        Ok(())
    });
    sim.run().expect("nothing goes wrong in this world");
}

async fn unbounded(n: u64) {
    let (ping, mut pinged) = mpsc::unbounded_channel::<u64>();
    let (pong, mut ponged) = mpsc::unbounded_channel::<u64>();
    tokio::spawn(async move {
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
    tokio::spawn(async move {
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

async fn open() -> tokio_fs::File {
    let mut options = tokio_fs::OpenOptions::new();
    options.read(true).write(true).create(true).open("/log").await.expect("opens")
}

async fn append_awaited(records: u64) {
    let file = open().await;
    for nth in 0..records {
        file.write_at(&record_of(nth), nth * RECORD as u64).await.expect("writes");
        file.sync_data().await.expect("syncs");
    }
}

fn open_blocking() -> std_fs::File {
    let mut options = std_fs::OpenOptions::new();
    options.read(true).write(true).create(true).open("/log").expect("opens")
}

async fn append_blocking(records: u64) {
    let file = open_blocking();
    for nth in 0..records {
        file.write_all_at(&record_of(nth), nth * RECORD as u64).expect("writes");
        file.sync_data().expect("syncs");
    }
}

fn fresh_world(seed: u64) {
    let mut sim = Builder::new().rng_seed(seed).enable_random_order().build();
    for name in ["a", "b"] {
        sim.host(name, || async { std::future::pending().await });
    }
    sim.client("c", async { Ok(()) });
    sim.run().expect("nothing goes wrong in this world");
}

fn crash_reopen(n: u64) {
    let mut sim = world();
    let (boot, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (host_boot, host_done) = (Arc::clone(&boot), Arc::clone(&done));
    sim.host("a", move || {
        verify_and_write(host_boot.load(Ordering::Relaxed), Arc::clone(&host_done))
    });
    for nth in 0..n {
        done.store(false, Ordering::Relaxed);
        if nth > 0 {
            boot.store(nth, Ordering::Relaxed);
            sim.crash("a");
            sim.bounce("a");
        }
        while !done.load(Ordering::Relaxed) {
            sim.step().expect("nothing goes wrong in this world");
        }
    }
}

async fn verify_and_write(nth: u64, done: Arc<AtomicBool>) -> turmoil::Result {
    let file = open_blocking();
    if nth > 0 {
        let mut found = [0; RECORD];
        file.read_exact_at(&mut found, 0)?;
        assert_eq!(found, record_of(nth - 1), "a synced record was lost");
    }
    file.write_all_at(&record_of(nth), 0)?;
    file.sync_data()?;
    std_fs::sync_dir("/")?;
    done.store(true, Ordering::Relaxed);
    std::future::pending().await
}

fn idle(nodes: u64, seconds: u64) {
    let mut sim = world();
    for node in 0..nodes {
        sim.client(format!("n{node}"), async move {
            for nth in 0..seconds {
                sleep(idle_of(nth)).await;
            }
            Ok(())
        });
    }
    sim.run().expect("nothing goes wrong in this world");
}

async fn memory(n: u64) {
    for nth in 0..8_u64 {
        tokio::spawn(async move {
            for tick in 0..n {
                sleep(Duration::from_micros(1_000 + nth * 77 + tick % 100)).await;
            }
        });
    }
    let file = open().await;
    for nth in 0..n {
        let at = nth * RECORD as u64 % REGION;
        file.write_at(&record_of(nth), at).await.expect("writes");
        file.sync_data().await.expect("syncs");
    }
}
