//! Rules of the driver: what they see, what their verdicts do, and when they end.

use super::*;
use crate::net::{PacketKind, Verdict};
use seedbed_env::sync::timeout;
use seedbed_env::{Datagram, Stream};
use std::cell::Cell;
use std::rc::Rc;

#[test]
fn a_rule_sees_every_packet_between_nodes_and_is_in_force_as_long_as_its_guard() {
    let (mut sim, envs) = world(1, 2);
    let (a, b) = (envs[0], envs[1]);
    let seen = Rc::new(Cell::new([0; 3]));
    let counts = Rc::clone(&seen);
    let guard = sim.net_rule(move |packet| {
        assert_ne!(packet.from, packet.to);
        let mut seen = counts.get();
        let expected: &[u8] = match packet.kind {
            PacketKind::Connect => b"",
            PacketKind::Stream => b"bytes",
            PacketKind::Datagram => b"gram",
        };
        assert_eq!(packet.bytes, expected);
        seen[packet.kind as usize] += 1;
        counts.set(seen);
        Verdict::Pass
    });
    let (stream, peer) = pair(&mut sim, a, b);
    let stream = write(&mut sim, a, stream, b"bytes");
    let socket = run(&mut sim, b, async move {
        let socket = b.bind_datagram(addr(b.node(), 0)).await.expect("bind");
        socket.send_to(b"gram", addr(a.node(), 9)).await.expect("send");
        socket
    });
    assert_eq!(seen.get(), [1, 1, 1]);
    drop(guard);
    let stream = write(&mut sim, a, stream, b"more bytes");
    assert_eq!(seen.get(), [1, 1, 1], "it is not asked any more");
    drop((stream, peer, socket));
}

#[test]
fn a_rule_ends_with_its_world_and_its_guard_ends_no_other() {
    let guard = {
        let (mut sim, _) = world(6, 1);
        sim.net_rule(|_| Verdict::Drop)
    };
    let (mut sim, envs) = world(6, 2);
    let asked = Rc::new(Cell::new(0));
    let counts = Rc::clone(&asked);
    let _rule = sim.net_rule(move |_| {
        counts.set(counts.get() + 1);
        Verdict::Pass
    });
    drop(guard);
    let (stream, peer) = pair(&mut sim, envs[0], envs[1]);
    assert_eq!(asked.get(), 1, "the rule of this world is in force, and only it");
    drop((stream, peer));
}

#[test]
fn a_dropped_segment_is_late_and_a_dropped_datagram_is_gone() {
    let (mut sim, envs) = world(2, 2);
    let (a, b) = (envs[0], envs[1]);
    let (stream, peer) = pair(&mut sim, a, b);
    let mut left = 2;
    let _guard = sim.net_rule(move |_| match left {
        0 => Verdict::Pass,
        _ => {
            left -= 1;
            Verdict::Drop
        }
    });
    let began = sim.now_ns();
    let stream = write(&mut sim, a, stream, b"hello");
    let (peer, bytes) = read(&mut sim, b, peer, 5);
    assert_eq!(bytes, b"hello");
    assert!(sim.now_ns() - began >= sim.faults().net.retransmit.min_ns, "it was sent once");
    let got = run(&mut sim, a, async move {
        let one = a.bind_datagram(addr(a.node(), 53)).await.expect("bind");
        let two = b.bind_datagram(addr(b.node(), 53)).await.expect("bind");
        for number in [1, 2] {
            one.send_to(&[number], addr(b.node(), 53)).await.expect("send");
            b.sleep(10 * MS).await;
        }
        let mut buf = [0];
        two.recv_from(&mut buf).await.expect("receive");
        (buf, timeout(&b, SECOND, two.recv_from(&mut [0])).await.is_some())
    });
    assert_eq!(got, ([2], false));
    assert_eq!(sim.stats().fault(crate::FaultKind::NetDrop), 2);
    drop((stream, peer));
}

#[test]
fn verdicts_delay_and_duplicate() {
    let (mut sim, envs) = world(3, 2);
    let (a, b) = (envs[0], envs[1]);
    let (stream, peer) = pair(&mut sim, a, b);
    let _guard = sim.net_rule(|packet| match packet.kind {
        PacketKind::Datagram => Verdict::Duplicate,
        _ => Verdict::Delay(7 * SECOND),
    });
    let began = sim.now_ns();
    let stream = write(&mut sim, a, stream, b"hello");
    let (peer, _) = read(&mut sim, b, peer, 5);
    assert!(sim.now_ns() - began >= 7_000_000_000);
    let count = run(&mut sim, a, async move {
        let one = a.bind_datagram(addr(a.node(), 53)).await.expect("bind");
        let two = b.bind_datagram(addr(b.node(), 53)).await.expect("bind");
        one.send_to(b"x", addr(b.node(), 53)).await.expect("send");
        let mut count = 0;
        while timeout(&b, SECOND, two.recv_from(&mut [0])).await.is_some() {
            count += 1;
        }
        count
    });
    assert_eq!(count, 2);
    drop((stream, peer));
}

#[test]
fn a_rule_that_drops_requests_makes_a_connect_fail_after_its_time() {
    let (mut sim, envs) = world(4, 2);
    let (a, b) = (envs[0], envs[1]);
    let guard = sim.net_rule(move |packet| match packet.to == b.node() {
        true => Verdict::Drop,
        false => Verdict::Pass,
    });
    let there = addr(b.node(), 80);
    let listener = run(&mut sim, b, async move { b.bind(there).await.expect("bind") });
    assert_eq!(run(&mut sim, a, async move { code(a.connect(there).await) }), ETIMEDOUT);
    drop(guard);
    let stream = run(&mut sim, a, async move { a.connect(there).await.expect("connect") });
    assert_eq!(stream.peer_addr().expect("connected"), there);
    drop(listener);
}

#[test]
fn a_rule_may_use_the_world_and_the_first_verdict_counts() {
    let (mut sim, envs) = world(5, 2);
    let (a, b) = (envs[0], envs[1]);
    let (stream, peer) = pair(&mut sim, a, b);
    let _first =
        sim.net_rule(move |_| Verdict::Delay(Duration::from_nanos(1 + b.choose("rule", 9))));
    let second = Rc::new(Cell::new(0));
    let asked = Rc::clone(&second);
    let _second = sim.net_rule(move |_| {
        asked.set(asked.get() + 1);
        Verdict::Drop
    });
    let began = sim.now_ns();
    let stream = write(&mut sim, a, stream, b"hello");
    let (peer, _) = read(&mut sim, b, peer, 5);
    assert!(sim.now_ns() - began < 1_000_000, "the second rule would have dropped it");
    assert_eq!(second.get(), 0, "it was not asked");
    drop((stream, peer));
}
