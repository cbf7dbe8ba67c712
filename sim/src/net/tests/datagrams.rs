//! Datagrams between nodes.

use super::*;
use crate::node::CrashKind;
use crate::sockets::SimDatagram;
use seedbed_env::Datagram;
use seedbed_env::sync::timeout;

fn bound(sim: &mut Sim, env: SimEnv, port: u16) -> SimDatagram {
    run(sim, env, async move { env.bind_datagram(addr(env.node(), port)).await.expect("bind") })
}

/// Sends so many datagrams, numbered, one a millisecond.
fn send(sim: &mut Sim, env: SimEnv, socket: SimDatagram, to: SocketAddr, count: u8) -> SimDatagram {
    run(sim, env, async move {
        for number in 0..count {
            socket.send_to(&[number], to).await.expect("send");
            env.sleep(MS).await;
        }
        socket
    })
}

/// The numbers of all datagrams that are there within a second of silence.
fn received(sim: &mut Sim, env: SimEnv, socket: SimDatagram) -> (SimDatagram, Vec<u8>) {
    run(sim, env, async move {
        let (mut numbers, mut buf) = (Vec::new(), [0; 10]);
        while let Some(got) = timeout(&env, SECOND, socket.recv_from(&mut buf)).await {
            assert_eq!(got.expect("receive").0, 1);
            numbers.push(buf[0]);
        }
        (socket, numbers)
    })
}

/// What arrives of 100 datagrams when the network does this.
fn arrives(seed: u64, change: impl FnOnce(&mut NetFaults)) -> (Sim, Vec<u8>) {
    let (mut sim, envs) = world(seed, 2);
    let (a, b) = (envs[0], envs[1]);
    let there = addr(b.node(), 53);
    let (one, two) = (bound(&mut sim, a, 53), bound(&mut sim, b, 53));
    set_net(&mut sim, change);
    let one = send(&mut sim, a, one, there, 100);
    let (two, numbers) = received(&mut sim, b, two);
    drop((one, two));
    (sim, numbers)
}

fn half() -> seedbed_faults::Ratio {
    seedbed_faults::Ratio::new(1, 2)
}

#[test]
fn without_faults_all_arrive_once() {
    let (_, mut numbers) = arrives(1, |_| {});
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}

#[test]
fn some_are_lost_for_good() {
    let (sim, numbers) = arrives(2, |net| net.drop_probability = half());
    assert!((20..80).contains(&numbers.len()), "{numbers:?}");
    let lost = sim.stats().fault(crate::FaultKind::NetDrop);
    assert_eq!(lost as usize + numbers.len(), 100);
}

#[test]
fn some_arrive_twice() {
    let (sim, mut numbers) = arrives(3, |net| net.duplicate_probability = half());
    let doubled = sim.stats().fault(crate::FaultKind::NetDuplicate);
    assert_eq!(numbers.len() as u64, 100 + doubled);
    assert!(doubled > 20);
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 100, "and none more often than that, or not at all");
}

#[test]
fn some_are_overtaken() {
    let is_ordered = |numbers: &[u8]| numbers.is_sorted();
    let (_, numbers) = arrives(4, |_| {});
    assert!(is_ordered(&numbers), "a millisecond apart they keep their order by themselves");
    let (sim, numbers) = arrives(4, |net| net.reorder_probability = half());
    assert!(!is_ordered(&numbers), "{numbers:?}");
    assert_eq!(numbers.len(), 100);
    assert!(sim.stats().fault(crate::FaultKind::NetReorder) > 20);
}

#[test]
fn a_latency_that_varies_reorders_by_itself() {
    let wide = seedbed_faults::DurationRange::new(1_000, 50_000_000);
    let (_, numbers) = arrives(5, |net| net.latency = wide);
    assert!(!numbers.is_sorted(), "{numbers:?}");
    assert_eq!(numbers.len(), 100);
}

#[test]
fn what_is_sent_into_a_partition_is_lost_and_into_a_clog_is_late() {
    let (mut sim, envs) = world(6, 2);
    let (a, b) = (envs[0], envs[1]);
    let there = addr(b.node(), 53);
    let (one, two) = (bound(&mut sim, a, 53), bound(&mut sim, b, 53));
    sim.partition_one_way(&[a.node()], &[b.node()]);
    let one = send(&mut sim, a, one, there, 5);
    sim.heal_network();
    let (two, numbers) = received(&mut sim, b, two);
    assert_eq!(numbers, []);
    sim.clog(a.node(), b.node(), SECOND / 2);
    let began = sim.now_ns();
    let one = send(&mut sim, a, one, there, 5);
    let (two, mut numbers) = received(&mut sim, b, two);
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    assert!(sim.now_ns() - began > 1_500_000_000, "it took the clog and a second of silence");
    sim.clog(a.node(), b.node(), 1000 * SECOND);
    let one = send(&mut sim, a, one, there, 5);
    sim.heal_network();
    assert_eq!(received(&mut sim, b, two).1.len(), 5, "healing lets them go");
    drop(one);
}

#[test]
fn what_comes_when_there_is_no_room_is_lost() {
    let (mut sim, envs) = world(7, 2);
    let (a, b) = (envs[0], envs[1]);
    let there = addr(b.node(), 53);
    let (one, two) = (bound(&mut sim, a, 53), bound(&mut sim, b, 53));
    let count = run(&mut sim, a, async move {
        for _ in 0..100 {
            assert_eq!(one.send_to(&[0; 60_000], there).await.expect("send"), 60_000);
        }
        let (mut count, mut buf) = (0, vec![0; 60_000]);
        while timeout(&b, SECOND, two.recv_from(&mut buf)).await.is_some() {
            count += 1;
        }
        count
    });
    assert_eq!(count, 3, "three of them are what a port holds");
}

#[test]
fn what_arrives_while_nobody_is_there_is_lost_and_what_comes_later_is_not() {
    for kind in [CrashKind::Process, CrashKind::PowerLoss] {
        let (mut sim, envs) = world(8, 2);
        let (a, b) = (envs[0], envs[1]);
        let there = addr(b.node(), 53);
        let (one, _two) = (bound(&mut sim, a, 53), bound(&mut sim, b, 53));
        sim.crash(b.node(), kind);
        let one = send(&mut sim, a, one, there, 5);
        wait(&mut sim, a, SECOND);
        // Under way while the node boots: it belongs to the port, not to the socket before.
        sim.clog(a.node(), b.node(), SECOND / 2);
        let one = run(&mut sim, a, async move {
            one.send_to(&[77], there).await.expect("send");
            one
        });
        let b = sim.boot(b.node());
        let two = bound(&mut sim, b, 53);
        assert_eq!(received(&mut sim, b, two).1, [77], "{kind:?}");
        drop(one);
    }
}

#[test]
fn a_socket_that_is_bound_anew_gets_what_was_under_way_to_the_one_before() {
    let (mut sim, envs) = world(9, 2);
    let (a, b) = (envs[0], envs[1]);
    let there = addr(b.node(), 53);
    let (one, two) = (bound(&mut sim, a, 53), bound(&mut sim, b, 53));
    sim.clog(a.node(), b.node(), SECOND / 2);
    let one = send(&mut sim, a, one, there, 3);
    drop(two);
    let two = bound(&mut sim, b, 53);
    let (_two, mut numbers) = received(&mut sim, b, two);
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2]);
    drop(one);
}

#[test]
fn the_sender_is_named_by_its_address_also_when_it_is_bound_to_all() {
    let (mut sim, envs) = world(10, 2);
    let (a, b) = (envs[0], envs[1]);
    let two = bound(&mut sim, b, 53);
    let there = addr(b.node(), 53);
    let (from, answer) = run(&mut sim, a, async move {
        let one = a.bind_datagram(([0, 0, 0, 0], 54).into()).await.expect("bind");
        one.send_to(b"x", there).await.expect("send");
        let (_, from) = two.recv_from(&mut [0]).await.expect("receive");
        two.send_to(b"y", from).await.expect("send");
        let mut answer = [0];
        one.recv_from(&mut answer).await.expect("receive");
        (from, answer)
    });
    assert_eq!((from, answer), (addr(a.node(), 54), *b"y"));
}

#[test]
fn what_is_under_way_when_a_link_is_cut_is_lost_and_when_it_is_clogged_is_late() {
    let latency = seedbed_faults::DurationRange::just(1_000_000);
    let (mut sim, envs) = world(20, 2);
    let (a, b) = (envs[0], envs[1]);
    let there = addr(b.node(), 53);
    let (one, two) = (bound(&mut sim, a, 53), bound(&mut sim, b, 53));
    set_net(&mut sim, |net| net.latency = latency);
    let say = |sim: &mut Sim, socket: SimDatagram, number: u8| {
        run(sim, a, async move {
            socket.send_to(&[number], there).await.expect("send");
            socket
        })
    };
    let one = say(&mut sim, one, 1);
    sim.partition_one_way(&[a.node()], &[b.node()]);
    sim.heal_network();
    let (two, numbers) = received(&mut sim, b, two);
    assert_eq!(numbers, []);
    assert_eq!(sim.stats().fault(crate::FaultKind::NetDrop), 1);
    // The other way is not cut, and what has arrived is not under way.
    let one = say(&mut sim, one, 2);
    sim.partition_one_way(&[b.node()], &[a.node()]);
    wait(&mut sim, a, 2 * MS);
    sim.partition_one_way(&[a.node()], &[b.node()]);
    sim.heal_network();
    let (two, numbers) = received(&mut sim, b, two);
    assert_eq!(numbers, [2]);
    let one = say(&mut sim, one, 3);
    let began = sim.now_ns();
    sim.clog(a.node(), b.node(), SECOND / 2);
    let (two, numbers) = received(&mut sim, b, two);
    assert_eq!(
        (numbers, sim.now_ns() - began),
        (vec![3], 1_501_000_000),
        "and a second of silence"
    );
    drop((one, two));
}
