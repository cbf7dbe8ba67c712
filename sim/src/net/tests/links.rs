//! Blocked links: what is delayed, what is lost, and when patience ends.

use super::*;
use seedbed_env::sync::timeout;

#[test]
fn bytes_sent_into_a_partition_arrive_after_it_is_healed() {
    for seed in 0..20 {
        let (mut sim, envs) = world(seed, 2);
        let (a, b) = (envs[0], envs[1]);
        let (stream, mut peer) = pair(&mut sim, a, b);
        sim.partition(&[a.node()], &[b.node()]);
        let stream = write(&mut sim, a, stream, b"hello");
        let reader = sim.start(b, async move {
            let mut buf = [0; 5];
            peer.read_exact(&mut buf).await.map(|()| buf)
        });
        wait(&mut sim, a, 100 * SECOND);
        let cut = sim.now_ns();
        sim.heal_network();
        assert_eq!(&sim.go_on(&reader).expect("no stop").expect("read"), b"hello");
        let waited = sim.now_ns() - cut;
        assert!((1..4_000_000_000).contains(&waited), "it is sent again soon, not after {waited}");
        drop(stream);
    }
}

#[test]
fn what_is_under_way_when_a_link_is_cut_arrives_later() {
    let (mut sim, envs) = world(1, 2);
    let (a, b) = (envs[0], envs[1]);
    let (stream, mut peer) = pair(&mut sim, a, b);
    let stream = write(&mut sim, a, stream, b"hello");
    sim.partition(&[a.node()], &[b.node()]);
    let early = run(&mut sim, b, async move {
        let early = timeout(&b, SECOND, peer.read(&mut [0; 5])).await.is_some();
        (early, peer)
    });
    assert!(!early.0, "it was sent before, and had not arrived");
    sim.heal_network();
    let (peer, bytes) = read(&mut sim, b, early.1, 5);
    assert_eq!(bytes, b"hello");
    drop((stream, peer));
}

#[test]
fn a_partition_one_way_lets_the_other_way_pass() {
    let (mut sim, envs) = world(2, 2);
    let (a, b) = (envs[0], envs[1]);
    let (stream, peer) = pair(&mut sim, a, b);
    sim.partition_one_way(&[a.node()], &[b.node()]);
    let peer = write(&mut sim, b, peer, b"down");
    let stream = write(&mut sim, a, stream, b"up");
    let (stream, down) = read(&mut sim, a, stream, 4);
    assert_eq!(down, b"down");
    let mut peer = peer;
    let (peer, up) = run(&mut sim, b, async move {
        let up = timeout(&b, 10 * SECOND, peer.read(&mut [0; 2])).await.is_some();
        (peer, up)
    });
    assert!(!up, "nothing passes that way");
    sim.heal_network();
    assert_eq!(read(&mut sim, b, peer, 2).1, b"up");
    drop(stream);
}

#[test]
fn a_stream_gives_up_after_its_time_and_says_so_once() {
    let (mut sim, envs) = world(3, 2);
    let (a, b) = (envs[0], envs[1]);
    let (stream, peer) = pair(&mut sim, a, b);
    sim.partition(&[a.node()], &[b.node()]);
    let mut stream = write(&mut sim, a, stream, b"hello");
    let sent = sim.now_ns();
    let codes = run(&mut sim, a, async move {
        let read = code(stream.read(&mut [0]).await);
        (read, stream.read(&mut [0]).await.expect("end"), code(stream.write(b"x").await))
    });
    assert_eq!(codes, (ETIMEDOUT, 0, EPIPE));
    let limit = sim.faults().net.send_timeout.max_ns;
    assert_eq!(sim.now_ns() - sent, limit, "not before its time, and not after");
    // The other end knows nothing of it until it sends something.
    sim.heal_network();
    let mut peer = write(&mut sim, b, peer, b"still there?");
    let answer = run(&mut sim, b, async move { code(peer.read(&mut [0]).await) });
    assert_eq!(answer, ECONNRESET);
}

#[test]
fn bytes_that_were_given_up_never_arrive() {
    let (mut sim, envs) = world(4, 2);
    let (a, b) = (envs[0], envs[1]);
    let (stream, mut peer) = pair(&mut sim, a, b);
    sim.partition(&[a.node()], &[b.node()]);
    let stream = write(&mut sim, a, stream, b"hello");
    wait(&mut sim, a, 1000 * SECOND);
    sim.heal_network();
    // Nobody has looked at the stream since: it has given up all the same.
    let arrived = run(&mut sim, b, async move {
        timeout(&b, 1000 * SECOND, peer.read(&mut [0; 5])).await.map(|read| read.ok())
    });
    assert_eq!(arrived, None);
    drop(stream);
}

#[test]
fn a_partition_shorter_than_the_patience_breaks_no_stream() {
    let (mut sim, envs) = world(5, 2);
    let (a, b) = (envs[0], envs[1]);
    let (stream, peer) = pair(&mut sim, a, b);
    sim.partition(&[a.node()], &[b.node()]);
    let stream = write(&mut sim, a, stream, b"one");
    wait(&mut sim, a, 900 * SECOND);
    sim.heal_network();
    wait(&mut sim, a, 900 * SECOND);
    let stream = write(&mut sim, a, stream, b"two");
    assert_eq!(read(&mut sim, b, peer, 6).1, b"onetwo");
    drop(stream);
}

#[test]
fn a_writer_whose_bytes_arrive_without_word_coming_back_gives_up() {
    let (mut sim, envs) = world(6, 2);
    let (a, b) = (envs[0], envs[1]);
    let (stream, peer) = pair(&mut sim, a, b);
    sim.partition_one_way(&[b.node()], &[a.node()]);
    let mut stream = write(&mut sim, a, stream, b"hello");
    assert_eq!(read(&mut sim, b, peer, 5).1, b"hello", "that way is open");
    assert_eq!(run(&mut sim, a, async move { code(stream.read(&mut [0]).await) }), ETIMEDOUT);
}

#[test]
fn a_full_window_stays_full_while_word_cannot_come_back() {
    let (mut sim, envs) = world(7, 2);
    let (a, b) = (envs[0], envs[1]);
    let window = sim.faults().net.window_bytes as usize;
    let (mut stream, peer) = pair(&mut sim, a, b);
    sim.partition_one_way(&[b.node()], &[a.node()]);
    let writer = sim.start(a, async move {
        stream.write_all(&vec![1; window]).await.expect("a window full");
        stream.write_all(b"more").await.expect("after the heal");
        a.world_ns()
    });
    let (peer, bytes) = read(&mut sim, b, peer, window);
    assert_eq!(bytes.len(), window);
    wait(&mut sim, b, 10 * SECOND);
    let healed = sim.now_ns();
    sim.heal_network();
    assert!(sim.go_on(&writer).expect("no stop") >= healed, "it heard of it before");
    drop(peer);
}

#[test]
fn a_clogged_link_holds_up_what_is_sent_and_what_is_under_way() {
    let (mut sim, envs) = world(8, 2);
    let (a, b) = (envs[0], envs[1]);
    let (stream, peer) = pair(&mut sim, a, b);
    let stream = write(&mut sim, a, stream, b"one");
    let began = sim.now_ns();
    sim.clog(a.node(), b.node(), 5 * SECOND);
    let stream = write(&mut sim, a, stream, b"two");
    let peer = write(&mut sim, b, peer, b"back");
    let (stream, back) = read(&mut sim, a, stream, 4);
    assert_eq!(back, b"back");
    assert!(sim.now_ns() - began < 1_000_000_000, "the other direction is free");
    assert_eq!(read(&mut sim, b, peer, 6).1, b"onetwo");
    let waited = sim.now_ns() - began;
    assert!((5_000_000_000..5_001_000_000).contains(&waited), "{waited}");
    drop(stream);
}

#[test]
fn connecting_into_a_partition_fails_after_its_time() {
    let (mut sim, envs) = world(9, 2);
    let (a, b) = (envs[0], envs[1]);
    let listener = run(&mut sim, b, async move { b.bind(addr(b.node(), 80)).await.expect("bind") });
    sim.partition(&[a.node()], &[b.node()]);
    let began = sim.now_ns();
    let failed = run(&mut sim, a, async move { code(a.connect(addr(b.node(), 80)).await) });
    assert_eq!(failed, ETIMEDOUT);
    assert_eq!(sim.now_ns() - began, sim.faults().net.connect_timeout.max_ns);
    drop(listener);
}

#[test]
fn connecting_into_a_partition_succeeds_when_it_is_healed_in_time() {
    for ways in [1, 2] {
        let (mut sim, envs) = world(10, 2);
        let (a, b) = (envs[0], envs[1]);
        let listener =
            run(&mut sim, b, async move { b.bind(addr(b.node(), 80)).await.expect("bind") });
        // Neither the request nor the answer may be missing.
        sim.partition_one_way(&[b.node()], &[a.node()]);
        if ways == 2 {
            sim.partition_one_way(&[a.node()], &[b.node()]);
        }
        let client =
            sim.start(a, async move { a.connect(addr(b.node(), 80)).await.map(|_| a.world_ns()) });
        wait(&mut sim, b, 20 * SECOND);
        let healed = sim.now_ns();
        sim.heal_network();
        let connected = sim.go_on(&client).expect("no stop").expect("connect");
        // Requests are repeated after 1, 3, 7, 15 and 31 seconds.
        assert!((healed..healed + 12_000_000_000).contains(&connected), "{connected}");
        drop(listener);
    }
}

#[test]
fn an_address_without_a_node_does_not_answer() {
    let (mut sim, envs) = world(11, 1);
    let a = envs[0];
    let nobody = SocketAddr::from(([10, 9, 9, 9], 80));
    assert_eq!(run(&mut sim, a, async move { code(a.connect(nobody).await) }), ETIMEDOUT);
    assert_eq!(sim.now_ns(), sim.faults().net.connect_timeout.max_ns);
}

#[test]
fn a_connection_to_nobody_is_refused_after_a_round_trip() {
    let (mut sim, envs) = world(12, 2);
    let (a, b) = (envs[0], envs[1]);
    let refused = run(&mut sim, a, async move { code(a.connect(addr(b.node(), 80)).await) });
    assert_eq!(refused, ECONNREFUSED);
    let latency = sim.faults().net.latency;
    assert!((2 * latency.min_ns..=2 * latency.max_ns).contains(&sim.now_ns()));
}

#[test]
fn a_full_backlog_leaves_callers_without_an_answer_until_there_is_room() {
    let (mut sim, envs) = world(13, 2);
    let (a, b) = (envs[0], envs[1]);
    let there = addr(b.node(), 80);
    let listener = run(&mut sim, b, async move { b.bind(there).await.expect("bind") });
    let streams = run(&mut sim, a, async move {
        let mut streams = Vec::new();
        while let Some(stream) = timeout(&a, SECOND / 2, a.connect(there)).await {
            streams.push(stream.expect("connect"));
            assert!(streams.len() < 1000, "a backlog has an end");
        }
        streams
    });
    assert!(streams.len() >= 100, "it has room for {} only", streams.len());
    let late = sim.start(a, async move { a.connect(there).await.is_ok() });
    wait(&mut sim, a, 5 * SECOND);
    let accepted = run(&mut sim, b, async move {
        drop(listener.accept().await.expect("accept"));
        listener
    });
    assert_eq!(sim.go_on(&late), Ok(true));
    drop((streams, accepted));
}

#[test]
fn loopback_is_never_cut() {
    let (mut sim, envs) = world(14, 2);
    let (a, b) = (envs[0], envs[1]);
    sim.partition(&[a.node(), b.node()], &[a.node(), b.node()]);
    let (stream, peer) = pair(&mut sim, a, a);
    let stream = write(&mut sim, a, stream, b"self");
    assert_eq!(read(&mut sim, a, peer, 4).1, b"self");
    drop(stream);
}
