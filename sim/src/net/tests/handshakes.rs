//! What becomes of a connection when a link is blocked while it comes to be.

use super::*;
use crate::net::{Block, Blocked, Side};
use crate::sockets::SimListener;
use crate::world::with;
use seedbed_env::sync::timeout;
use seedbed_faults::DurationRange;

/// What each segment takes; a handshake has three.
const LATENCY: Duration = MS;

/// Two nodes; the second one listens at port 80.
fn listening(seed: u64) -> (Sim, [SimEnv; 2], SocketAddr, SimListener) {
    let (mut sim, envs) = world(seed, 2);
    let (a, b) = (envs[0], envs[1]);
    set_net(&mut sim, |net| net.latency = DurationRange::just(LATENCY.as_nanos() as u64));
    let there = addr(b.node(), 80);
    let listener = run(&mut sim, b, async move { b.bind(there).await.expect("bind") });
    (sim, [a, b], there, listener)
}

/// Blocks a link for a while.
fn block(from: SimEnv, to: SimEnv, how: Blocked, lasts: Duration) {
    with(|world| {
        let (begins, ends) = (world.now, world.now + lasts.as_nanos() as u64);
        let (from, to) = (Side::one(from.node().0), Side::one(to.node().0));
        let block = Block { from, to, how, begins, ends };
        world.change_network(|net, moment| net.block(moment, block));
    });
}

/// Cuts a link for good or for a while.
fn cut(sim: &mut Sim, from: SimEnv, to: SimEnv, lasts: Option<Duration>) {
    match lasts {
        None => sim.partition_one_way(&[from.node()], &[to.node()]),
        Some(lasts) => block(from, to, Blocked::Parted, lasts),
    }
}

/// Whether a connection can be accepted within so long; and the listener again.
fn accepts(
    sim: &mut Sim,
    env: SimEnv,
    listener: SimListener,
    within: Duration,
) -> (bool, SimListener) {
    run(sim, env, async move {
        let accepted = timeout(&env, within, listener.accept()).await;
        (accepted.is_some_and(|accepted| accepted.is_ok()), listener)
    })
}

#[test]
fn a_connection_whose_link_is_cut_while_it_comes_to_be_is_accepted_after_the_heal() {
    // Half a latency after each segment of the handshake was sent.
    for (lasts, sent) in
        [None, Some(300 * SECOND)].into_iter().flat_map(|lasts| [0, 1].map(|sent| (lasts, sent)))
    {
        let (mut sim, [a, b], there, listener) = listening(1);
        let client = sim.start(a, async move { a.connect(there).await });
        wait(&mut sim, b, sent * LATENCY + LATENCY / 2);
        cut(&mut sim, a, b, lasts);
        let (early, listener) = accepts(&mut sim, b, listener, 20 * SECOND);
        assert!(!early, "the last segment cannot have arrived: {lasts:?}, {sent}");
        let healed = sim.now_ns();
        sim.heal_network();
        let (accepted, listener) = accepts(&mut sim, b, listener, 20 * SECOND);
        assert!(accepted, "{lasts:?}, {sent}");
        let took = sim.now_ns() - healed;
        assert!(took < 12_000_000_000, "it waited for the partition's own end: {took}");
        assert!(sim.go_on(&client).expect("no stop").is_ok());
        drop(listener);
    }
}

#[test]
fn who_waits_to_accept_is_woken_when_a_link_is_healed() {
    for lasts in [None, Some(300 * SECOND)] {
        let (mut sim, [a, b], there, listener) = listening(2);
        let server = sim.start(b, async move { listener.accept().await.map(|_| b.world_ns()) });
        let client = sim.start(a, async move { a.connect(there).await });
        wait(&mut sim, b, LATENCY + LATENCY / 2);
        cut(&mut sim, a, b, lasts);
        assert!(sim.go_on(&client).expect("no stop").is_ok(), "that way is open");
        wait(&mut sim, a, 10 * SECOND);
        let healed = sim.now_ns();
        sim.heal_network();
        let accepted = sim.go_on(&server).expect("no stop").expect("accept");
        assert!((healed..healed + 5_000_000_000).contains(&accepted), "{accepted}");
    }
}

#[test]
fn a_clog_holds_up_the_last_segment_of_a_handshake_until_it_ends_or_is_healed() {
    for heals in [false, true] {
        let (mut sim, [a, b], there, listener) = listening(3);
        let client = sim.start(a, async move { a.connect(there).await });
        wait(&mut sim, b, LATENCY + LATENCY / 2);
        let began = sim.now_ns();
        block(a, b, Blocked::Clogged, 10 * SECOND);
        let (early, listener) = accepts(&mut sim, b, listener, 5 * SECOND);
        assert!(!early, "it is held up");
        if heals {
            sim.heal_network();
        }
        assert!(accepts(&mut sim, b, listener, 10 * SECOND).0);
        let expected = if heals { 5_001_000_000 } else { 10_001_000_000 };
        assert_eq!(sim.now_ns() - began, expected);
        assert!(sim.go_on(&client).expect("no stop").is_ok());
    }
}

#[test]
fn a_connection_whose_client_has_lost_its_power_leaves_the_backlog() {
    let (mut sim, [a, b], there, listener) = listening(4);
    let client = sim.start(a, async move { a.connect(there).await });
    wait(&mut sim, b, LATENCY + LATENCY / 2);
    sim.partition_one_way(&[a.node()], &[b.node()]);
    let stream = sim.go_on(&client).expect("no stop").expect("that way is open");
    sim.crash(a.node(), crate::CrashKind::PowerLoss);
    sim.heal_network();
    sim.boot(a.node());
    assert!(!accepts(&mut sim, b, listener, 1000 * SECOND).0, "nobody has completed it");
    drop(stream);
}

#[test]
fn a_request_or_an_answer_under_way_is_lost_when_its_link_is_cut() {
    // The request, and the answer; for good, and for a moment.
    for (sent, lasts) in [(0, None), (1, None), (0, Some(LATENCY)), (1, Some(LATENCY))] {
        let (mut sim, [a, b], there, listener) = listening(5);
        let began = sim.now_ns();
        let client = sim.start(a, async move { (a.connect(there).await, a.world_ns()) });
        wait(&mut sim, b, sent * LATENCY + LATENCY / 2);
        let link = if sent == 0 { (a, b) } else { (b, a) };
        cut(&mut sim, link.0, link.1, lasts);
        let (early, listener) = accepts(&mut sim, b, listener, SECOND / 2);
        assert!(!early, "nothing has come of it: {sent}, {lasts:?}");
        sim.heal_network();
        let (stream, connected) = sim.go_on(&client).expect("no stop");
        assert!(stream.is_ok(), "{sent}, {lasts:?}");
        let took = connected - began;
        assert_eq!(took, 1_002_000_000, "the next request is the one that is answered");
        let (accepted, listener) = accepts(&mut sim, b, listener, SECOND);
        assert!(accepted);
        assert!(!accepts(&mut sim, b, listener, 1000 * SECOND).0, "one connection, not two");
    }
}

#[test]
fn a_refusal_under_way_is_lost_when_its_link_is_cut() {
    let (mut sim, [a, b], _, listener) = listening(6);
    let client = sim.start(a, async move { code(a.connect(addr(b.node(), 81)).await) });
    wait(&mut sim, b, LATENCY + LATENCY / 2);
    sim.partition_one_way(&[b.node()], &[a.node()]);
    wait(&mut sim, b, 20 * SECOND);
    let healed = sim.now_ns();
    sim.heal_network();
    assert_eq!(sim.go_on(&client), Ok(ECONNREFUSED));
    assert!(sim.now_ns() > healed, "it was told in a partition");
    drop(listener);
}

#[test]
fn a_connect_whose_packets_are_cut_off_under_way_fails_after_its_time() {
    for sent in [0, 1] {
        let (mut sim, [a, b], there, listener) = listening(7);
        let began = sim.now_ns();
        let client = sim.start(a, async move { code(a.connect(there).await) });
        wait(&mut sim, b, sent * LATENCY + LATENCY / 2);
        let link = if sent == 0 { (a, b) } else { (b, a) };
        sim.partition_one_way(&[link.0.node()], &[link.1.node()]);
        assert_eq!(sim.go_on(&client), Ok(ETIMEDOUT));
        assert_eq!(sim.now_ns() - began, sim.faults().net.connect_timeout.max_ns);
        assert!(!accepts(&mut sim, b, listener, 1000 * SECOND).0, "nobody is connected");
    }
}

#[test]
fn a_clog_holds_up_requests_and_answers_until_it_ends_or_is_healed() {
    for (sent, heals) in [(0, false), (0, true), (1, false), (1, true)] {
        let (mut sim, [a, b], there, listener) = listening(8);
        let client = sim.start(a, async move { (a.connect(there).await, a.world_ns()) });
        wait(&mut sim, b, sent * LATENCY + LATENCY / 2);
        let began = sim.now_ns();
        let link = if sent == 0 { (a, b) } else { (b, a) };
        sim.clog(link.0.node(), link.1.node(), SECOND / 2);
        wait(&mut sim, b, SECOND / 4);
        if heals {
            sim.heal_network();
        }
        let (stream, connected) = sim.go_on(&client).expect("no stop");
        assert!(stream.is_ok());
        let clogged = if heals { SECOND / 4 } else { SECOND / 2 };
        let left = (2 - sent) * LATENCY;
        assert_eq!(connected - began, (clogged + left).as_nanos() as u64, "{sent}, {heals}");
        assert!(accepts(&mut sim, b, listener, SECOND).0);
    }
}

#[test]
fn a_connect_that_is_given_up_leaves_nothing_under_way() {
    let (mut sim, [a, _], there, listener) = listening(9);
    for sent in [0, 1] {
        let patience = sent * LATENCY + LATENCY / 2;
        assert!(run(&mut sim, a, async move {
            timeout(&a, patience, a.connect(there)).await.is_none()
        }));
    }
    // Nor does one whose node crashes.
    for sent in [0, 1] {
        let a = sim.boot(a.node());
        drop(sim.start(a, async move { a.connect(there).await.is_ok() }));
        wait(&mut sim, a, sent * LATENCY + LATENCY / 2);
        with(|world| assert_eq!(world.net.connecting.len(), 1));
        sim.crash(a.node(), crate::CrashKind::PowerLoss);
    }
    with(|world| assert!(world.net.connecting.is_empty(), "{:?}", world.net.connecting));
    drop(listener);
}
