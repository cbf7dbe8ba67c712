//! Each fault kind of the table `[net]`, alone: what it does to streams, and that it is counted.

use super::*;
use crate::FaultKind;
use seedbed_env::sync::timeout;
use seedbed_faults::{DurationRange, Ratio};

fn half() -> Ratio {
    Ratio::new(1, 2)
}

fn numbers() -> Vec<u8> {
    (0..20_000_u32).map(|n| (n * 7) as u8).collect()
}

/// Sends numbers in pieces from one node to another while the network does this, and gives what
/// arrived, the shortest and the longest read, and the simulated time.
fn transfer(seed: u64, change: impl FnOnce(&mut NetFaults)) -> (Sim, Vec<u8>, (usize, usize), u64) {
    let (mut sim, envs) = world(seed, 3);
    let (a, b) = (envs[0], envs[1]);
    let (mut stream, mut peer) = pair(&mut sim, a, b);
    set_net(&mut sim, change);
    let began = sim.now_ns();
    let writer = sim.start(a, async move {
        for piece in numbers().chunks(500) {
            stream.write_all(piece).await.expect("write");
            a.sleep(MS).await;
        }
        stream.shutdown().await.expect("shutdown");
        stream
    });
    let (got, reads) = run(&mut sim, b, async move {
        let (mut got, mut reads, mut buf) = (Vec::new(), (usize::MAX, 0), [0; 500]);
        loop {
            match peer.read(&mut buf).await.expect("read") {
                0 => return (got, reads),
                len => {
                    got.extend_from_slice(&buf[..len]);
                    reads = (reads.0.min(len), reads.1.max(len));
                }
            }
        }
    });
    let took = sim.now_ns() - began;
    drop(sim.go_on(&writer));
    (sim, got, reads, took)
}

#[test]
fn without_faults_nothing_is_counted() {
    let (sim, got, reads, took) = transfer(1, |_| {});
    assert_eq!((got, reads), (numbers(), (500, 500)));
    assert!(took < 100_000_000, "{took}");
    assert_eq!(sim.stats().faults_of(FaultKind::ALL), 0);
}

#[test]
fn a_stream_over_a_link_that_loses_is_slow_and_whole() {
    let (sim, got, _, took) = transfer(2, |net| net.drop_probability = half());
    assert_eq!(got, numbers());
    assert!(took > 200_000_000, "at least one segment was sent again: {took}");
    assert!(sim.stats().fault(FaultKind::NetDrop) > 10);
}

#[test]
fn reads_and_writes_may_be_short() {
    let (sim, got, reads, _) = transfer(3, |net| net.short_read_probability = half());
    assert_eq!(got, numbers());
    assert!(reads.0 < 250, "{reads:?}");
    assert!(sim.stats().fault(FaultKind::NetShortRead) > 10);
    drop(sim);
    let (sim, got, reads, _) = transfer(3, |net| net.short_write_probability = half());
    assert_eq!(got, numbers());
    assert!(reads.0 < 250, "{reads:?}");
    assert!(sim.stats().fault(FaultKind::NetShortWrite) > 10);
}

#[test]
fn a_small_window_lets_little_through_at_a_time() {
    let (_, got, reads, took) = transfer(4, |net| net.window_bytes = 10);
    assert_eq!(got, numbers());
    assert!(reads.1 <= 10, "{reads:?}");
    assert!(took > 2_000 * 50_000, "each ten bytes wait for a round trip: {took}");
}

#[test]
fn clogs_partitions_and_swizzles_come_by_themselves_and_pass() {
    let lasting = DurationRange::new(1_000_000_000, 2_000_000_000);
    let rare = Ratio::new(1, 20);
    let (sim, got, _, took) = transfer(5, |net| {
        (net.clog, net.clog_probability) = (lasting, rare);
    });
    assert_eq!(got, numbers());
    assert!(sim.stats().fault(FaultKind::NetClog) > 0 && took > 900_000_000, "{took}");
    drop(sim);
    let (sim, got, _, took) = transfer(6, |net| {
        (net.partition, net.partition_probability) = (lasting, rare);
    });
    assert_eq!(got, numbers());
    assert!(sim.stats().fault(FaultKind::NetPartition) > 0 && took > 900_000_000, "{took}");
    drop(sim);
    let (sim, got, _, took) = transfer(7, |net| {
        net.swizzle = DurationRange::new(200_000_000, 400_000_000);
        net.swizzle_probability = half();
    });
    assert_eq!(got, numbers());
    assert!(sim.stats().fault(FaultKind::NetSwizzle) > 0 && took > 100_000_000, "{took}");
}

#[test]
fn a_partition_is_one_way_both_ways_or_of_all_links_of_a_node() {
    let mut shapes = std::collections::BTreeSet::new();
    for seed in 0..30 {
        let (mut sim, envs) = world(seed, 3);
        let [a, b, c] = [envs[0], envs[1], envs[2]];
        let (there, back) = pair(&mut sim, a, b);
        let (other, third) = pair(&mut sim, b, c);
        set_net(&mut sim, |net| net.partition_probability = Ratio::ALWAYS);
        let there = write(&mut sim, a, there, b"x");
        set_net(&mut sim, |net| net.partition_probability = Ratio::NEVER);
        let back = write(&mut sim, b, back, b"y");
        let other = write(&mut sim, b, other, b"z");
        let arrives = |sim: &mut Sim, env: SimEnv, mut stream: SimStream| {
            run(sim, env, async move {
                let arrived = timeout(&env, 50 * MS, stream.read(&mut [0])).await.is_some();
                (arrived, stream)
            })
        };
        let (there, back) = (arrives(&mut sim, a, there), arrives(&mut sim, b, back));
        let third = arrives(&mut sim, c, third);
        assert!(!back.0, "what met the partition is lost");
        shapes.insert((there.0, third.0));
        drop((other, there, back, third));
    }
    let all = [(false, false), (false, true), (true, true)];
    assert!(shapes.iter().eq(&all), "one way, both ways, all of b's links: {shapes:?}");
}

#[test]
fn a_swizzle_clogs_some_nodes_one_by_one() {
    let (mut sim, envs) = world(8, 3);
    set_net(&mut sim, |net| {
        net.swizzle = DurationRange::just(10_000_000_000);
        net.swizzle_probability = Ratio::ALWAYS;
    });
    let (a, b) = (envs[0], envs[1]);
    let there = addr(b.node(), 53);
    let send = async move {
        use seedbed_env::Datagram;
        let socket = a.bind_datagram(addr(a.node(), 53)).await.expect("bind");
        socket.send_to(b"x", there).await.expect("send");
    };
    run(&mut sim, a, send);
    let events = sim.finish().events;
    let swizzle = events.iter().find(|event| event.op == "net_swizzle").expect("it began");
    assert!(swizzle.detail.contains("nodes, for 10000000000 ns"), "{}", swizzle.detail);
}

#[test]
fn a_connect_may_fail_although_somebody_listens() {
    let mut codes = std::collections::BTreeSet::new();
    for seed in 0..30 {
        let (mut sim, envs) = world(seed, 2);
        let (a, b) = (envs[0], envs[1]);
        let there = addr(b.node(), 80);
        let listener = run(&mut sim, b, async move { b.bind(there).await.expect("bind") });
        set_net(&mut sim, |net| net.connect_failure_probability = Ratio::ALWAYS);
        codes.insert(run(&mut sim, a, async move { code(a.connect(there).await) }));
        assert_eq!(sim.stats().fault(FaultKind::ConnectFailure), 1);
        drop(listener);
    }
    assert_eq!(codes.len(), 3, "{codes:?}");
}

#[test]
fn a_connect_may_hang_until_its_time_is_over() {
    let (mut sim, envs) = world(9, 2);
    let (a, b) = (envs[0], envs[1]);
    let there = addr(b.node(), 80);
    let listener = run(&mut sim, b, async move { b.bind(there).await.expect("bind") });
    set_net(&mut sim, |net| net.connect_hang_probability = Ratio::ALWAYS);
    let began = sim.now_ns();
    assert_eq!(run(&mut sim, a, async move { code(a.connect(there).await) }), ETIMEDOUT);
    assert_eq!(sim.now_ns() - began, sim.faults().net.connect_timeout.max_ns);
    assert_eq!(sim.stats().fault(FaultKind::ConnectHang), 1);
    drop(listener);
}

#[test]
fn a_connection_may_be_reset_under_a_writer() {
    let (mut sim, envs) = world(10, 2);
    let (a, b) = (envs[0], envs[1]);
    let (mut stream, mut peer) = pair(&mut sim, a, b);
    set_net(&mut sim, |net| net.reset_probability = Ratio::ALWAYS);
    let codes = run(&mut sim, a, async move {
        let ours = (code(stream.write(b"x").await), code(stream.write(b"x").await));
        (ours, code(peer.read(&mut [0]).await))
    });
    assert_eq!(codes, ((ECONNRESET, EPIPE), ECONNRESET));
    assert_eq!(sim.stats().fault(FaultKind::NetReset), 1);
}

#[test]
fn healing_ends_what_the_plan_does_and_what_lasts() {
    let (mut sim, envs) = world(11, 2);
    let (a, b) = (envs[0], envs[1]);
    let (stream, peer) = pair(&mut sim, a, b);
    let forever = DurationRange::just(300_000_000_000);
    set_net(&mut sim, |net| {
        net.partition = forever;
        (net.partition_probability, net.drop_probability) = (Ratio::ALWAYS, Ratio::ALWAYS);
        net.latency = DurationRange::just(1_000);
    });
    let stream = write(&mut sim, a, stream, b"hello");
    sim.heal();
    assert!(sim.faults().net.is_quiet());
    assert_eq!(sim.faults().net.latency, DurationRange::just(1_000), "latencies stay");
    let healed = sim.now_ns();
    let (peer, bytes) = read(&mut sim, b, peer, 5);
    assert_eq!(bytes, b"hello");
    assert!(sim.now_ns() - healed < 10_000_000_000, "it waited for the partition's own end");
    drop((stream, peer));
}
