//! Whole runs under the preset `net`: the same seed is the same run, recorded, replayed or not, and
//! streams keep their promise through everything: what arrives is what was written, in order.

use super::*;
use crate::choices::Source;
use crate::node::CrashKind;
use crate::sim::Finished;
use crate::world::Stop;
use seedbed_env::{Datagram, Spawn};
use seedbed_faults::Plan;
use std::sync::Arc;

const NODES: usize = 4;

/// The byte at a place of every stream of this test.
fn byte_at(at: usize) -> u8 {
    (at * 31 / 7) as u8
}

/// Sends what each stream of this test begins with, as long as the peer takes it.
async fn talk(env: SimEnv, to: SocketAddr) -> io::Result<()> {
    let mut stream = env.connect(to).await?;
    let mut at = 0;
    for len in [1, 10, 300, 5, 2_000, 70_000, 3] {
        let piece: Vec<u8> = (at..at + len).map(byte_at).collect();
        stream.write_all(&piece).await?;
        at += len;
        env.sleep(MS).await;
    }
    stream.shutdown().await?;
    stream.read_exact(&mut [0]).await
}

/// Accepts, and checks what comes.
async fn serve(env: SimEnv) {
    let listener = env.bind(addr(env.node(), 80)).await.expect("bind");
    loop {
        let (mut stream, _) = listener.accept().await.expect("accept");
        env.spawn(async move {
            let (mut at, mut buf) = (0, [0; 999]);
            while let Ok(len) = stream.read(&mut buf).await {
                if len == 0 {
                    let _ = stream.write_all(&[1]).await;
                    break;
                }
                for byte in &buf[..len] {
                    assert_eq!(*byte, byte_at(at), "a stream has its bytes in order");
                    at += 1;
                }
            }
        });
    }
}

async fn gossip(env: SimEnv) {
    let socket = Arc::new(env.bind_datagram(addr(env.node(), 53)).await.expect("bind"));
    let receiver = Arc::clone(&socket);
    env.spawn(async move {
        let mut buf = [0; 100];
        loop {
            assert_eq!(receiver.recv_from(&mut buf).await.expect("receive").0, 20);
        }
    });
    loop {
        for node in 0..NODES as u16 {
            socket.send_to(&[7; 20], addr(NodeId(node), 53)).await.expect("send");
        }
        env.sleep(10 * MS).await;
    }
}

fn boot(sim: &mut Sim, node: NodeId) -> SimEnv {
    let env = sim.boot(node);
    drop(env.spawn(serve(env)));
    drop(env.spawn(gossip(env)));
    drop(env.spawn(async move {
        for round in 0.. {
            let to = NodeId((env.node().0 + 1 + round % 3) % NODES as u16);
            let _ = talk(env, addr(to, 80)).await;
            env.sleep(5 * MS).await;
        }
    }));
    env
}

/// Some time of four nodes that talk, crash and boot; then all is healed, and must work.
fn drive(seed: u64, source: Source, record: bool) -> Finished {
    let mut sim = Sim::with_source(seed, source, record);
    sim.apply_plan(&Plan::preset("net").expect("a preset"));
    let nodes: Vec<NodeId> = (0..NODES).map(|n| sim.add_node(&n.to_string())).collect();
    let mut envs: Vec<SimEnv> = nodes.iter().map(|node| boot(&mut sim, *node)).collect();
    let mut rounds = 0;
    while rounds < 10 {
        let first = envs[0];
        let nap = sim.start(first, async move { first.sleep(SECOND).await });
        match sim.go_on(&nap) {
            Ok(()) => rounds += 1,
            Err(Stop::Crashed(node, _)) => {
                envs[node.0 as usize] = boot(&mut sim, node);
                rounds += 1;
            }
            Err(stop) => panic!("seed {seed}: {stop}"),
        }
    }
    sim.heal();
    sim.crash(nodes[1], CrashKind::PowerLoss);
    envs[1] = boot(&mut sim, nodes[1]);
    let (from, to) = (envs[0], envs[1]);
    let talked = sim.run(from, async move {
        from.sleep(10 * SECOND).await;
        talk(from, addr(to.node(), 80)).await
    });
    talked.expect("no stop").unwrap_or_else(|error| panic!("seed {seed}: after the heal: {error}"));
    sim.finish()
}

#[test]
fn the_same_seed_is_the_same_run_recorded_or_not_and_replayed() {
    for seed in 0..5 {
        let plain = drive(seed, Source::Seed, false);
        let recorded = drive(seed, Source::Seed, true);
        assert_eq!((plain.digest, plain.stats), (recorded.digest, recorded.stats), "seed {seed}");
        let decisions = recorded.decisions.clone().into();
        let replayed = drive(seed, Source::Complete(decisions), true);
        assert_eq!(replayed.divergence, None, "seed {seed}");
        assert_eq!((replayed.digest, &replayed.events), (recorded.digest, &recorded.events));
    }
}

#[test]
fn streams_keep_their_promise_under_the_preset_and_work_when_it_is_healed() {
    let mut faults = [0; crate::FaultKind::ALL.len()];
    for seed in 100..125 {
        let finished = drive(seed, Source::Seed, false);
        faults.iter_mut().zip(finished.stats.faults).for_each(|(sum, count)| *sum += count);
    }
    for kind in crate::FaultKind::ALL
        .iter()
        .filter(|kind| kind.name().starts_with("net_") || kind.name().starts_with("connect_"))
    {
        assert!(faults[*kind as usize] > 0, "{} never happened", kind.name());
    }
}

#[test]
fn events_tell_who_sent_how_much_from_where() {
    let (mut sim, envs) = world(1, 2);
    let (a, b) = (envs[0], envs[1]);
    let (stream, peer) = pair(&mut sim, a, b);
    let stream = write(&mut sim, a, stream, b"hello");
    let (peer, _) = read(&mut sim, b, peer, 5);
    drop((stream, peer));
    let events = sim.finish().events;
    let ops: Vec<&str> = events.iter().map(|event| &*event.op).collect();
    let expected = ["bind", "connect", "accept", "send", "receive", "close", "close"];
    assert_eq!(ops[2..], expected, "after two boots");
    let sent = &events[5];
    assert_eq!((&*sent.subject, sent.node), ("10.0.0.1:32768 -> 10.0.0.2:32768", 0));
    assert!(sent.detail.starts_with("5 B #"), "{}", sent.detail);
    assert_eq!(sent.detail, events[6].detail, "the same bytes have the same checksum");
    assert!(
        sent.site.as_ref().is_some_and(|site| site.contains("tests/mod.rs")),
        "{:?}",
        sent.site
    );
}
