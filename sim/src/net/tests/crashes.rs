//! What the others see of a node that crashes, loses its power, or stands still.

use super::*;
use crate::node::CrashKind;
use crate::world::Stop;
use seedbed_env::sync::{race, timeout};
use seedbed_env::{Datagram, Stream};

#[test]
fn when_a_process_dies_its_peers_read_what_it_wrote_and_then_the_end() {
    let (mut sim, envs) = world(1, 2);
    let (a, b) = (envs[0], envs[1]);
    let (stream, mut peer) = pair(&mut sim, a, b);
    let _stream = write(&mut sim, a, stream, b"last words");
    sim.crash(a.node(), CrashKind::Process);
    let read = run(&mut sim, b, async move {
        let mut buf = [0; 10];
        peer.read_exact(&mut buf).await.expect("read");
        (buf, peer.read(&mut [0]).await.expect("the end"))
    });
    assert_eq!(read, (*b"last words", 0));
}

#[test]
fn when_a_process_dies_with_bytes_unread_its_peers_are_reset() {
    let (mut sim, envs) = world(2, 2);
    let (a, b) = (envs[0], envs[1]);
    let (_stream, peer) = pair(&mut sim, a, b);
    let mut peer = write(&mut sim, b, peer, b"hello");
    wait(&mut sim, b, SECOND);
    sim.crash(a.node(), CrashKind::Process);
    assert_eq!(run(&mut sim, b, async move { code(peer.read(&mut [0]).await) }), ECONNRESET);
}

#[test]
fn a_node_without_power_is_silent_and_after_its_boot_it_resets() {
    for seed in 0..20 {
        let (mut sim, envs) = world(seed, 2);
        let (a, b) = (envs[0], envs[1]);
        let (_stream, mut peer) = pair(&mut sim, a, b);
        sim.crash(a.node(), CrashKind::PowerLoss);
        let (heard, peer) = run(&mut sim, b, async move {
            let heard = timeout(&b, 100 * SECOND, peer.read(&mut [0])).await.is_some();
            (heard, peer)
        });
        assert!(!heard, "nobody is there to say anything");
        // Half of the seeds send before the boot, the others after it.
        let early = seed % 2 == 0;
        let peer = if early { write(&mut sim, b, peer, b"hello?") } else { peer };
        wait(&mut sim, b, 100 * SECOND);
        sim.boot(a.node());
        let mut peer = if early { peer } else { write(&mut sim, b, peer, b"hello?") };
        let booted = sim.now_ns();
        assert_eq!(run(&mut sim, b, async move { code(peer.read(&mut [0]).await) }), ECONNRESET);
        assert!(sim.now_ns() - booted < 4_000_000_000, "it is answered soon");
    }
}

#[test]
fn who_sends_to_a_node_without_power_gives_up_after_its_time() {
    let (mut sim, envs) = world(3, 2);
    let (a, b) = (envs[0], envs[1]);
    let (_stream, peer) = pair(&mut sim, a, b);
    sim.crash(a.node(), CrashKind::PowerLoss);
    let mut peer = write(&mut sim, b, peer, b"hello?");
    let sent = sim.now_ns();
    assert_eq!(run(&mut sim, b, async move { code(peer.read(&mut [0]).await) }), ETIMEDOUT);
    assert_eq!(sim.now_ns() - sent, sim.faults().net.send_timeout.max_ns);
}

#[test]
fn what_a_node_sent_into_a_partition_is_lost_with_its_power_and_not_with_its_process() {
    for kind in [CrashKind::Process, CrashKind::PowerLoss] {
        let (mut sim, envs) = world(4, 2);
        let (a, b) = (envs[0], envs[1]);
        let (stream, mut peer) = pair(&mut sim, a, b);
        sim.partition(&[a.node()], &[b.node()]);
        let _stream = write(&mut sim, a, stream, b"hello");
        sim.crash(a.node(), kind);
        sim.heal_network();
        let arrived = run(&mut sim, b, async move {
            timeout(&b, 1000 * SECOND, peer.read(&mut [0; 5])).await.map(|read| read.expect("read"))
        });
        // The kernel of a dead process sends on.
        assert_eq!(arrived, (kind == CrashKind::Process).then_some(5), "{kind:?}");
    }
}

#[test]
fn a_dead_process_refuses_and_a_node_without_power_does_not_answer() {
    for (kind, expected) in [(CrashKind::Process, ECONNREFUSED), (CrashKind::PowerLoss, ETIMEDOUT)]
    {
        let (mut sim, envs) = world(5, 2);
        let (a, b) = (envs[0], envs[1]);
        let there = addr(a.node(), 80);
        let _listener = run(&mut sim, a, async move { a.bind(there).await.expect("bind") });
        sim.crash(a.node(), kind);
        assert_eq!(run(&mut sim, b, async move { code(b.connect(there).await) }), expected);
    }
}

#[test]
fn connections_that_were_not_accepted_are_reset_when_their_listener_closes() {
    let (mut sim, envs) = world(6, 2);
    let (a, b) = (envs[0], envs[1]);
    let there = addr(a.node(), 80);
    let listener = run(&mut sim, a, async move { a.bind(there).await.expect("bind") });
    let mut stream = run(&mut sim, b, async move { b.connect(there).await.expect("connect") });
    drop(listener);
    assert_eq!(run(&mut sim, b, async move { code(stream.read(&mut [0]).await) }), ECONNRESET);
}

#[test]
fn a_reset_that_is_lost_shows_when_something_is_sent() {
    let (mut sim, envs) = world(7, 2);
    let (a, b) = (envs[0], envs[1]);
    let (stream, mut peer) = pair(&mut sim, a, b);
    sim.partition(&[a.node()], &[b.node()]);
    run(&mut sim, a, async move { stream.reset().expect("reset") });
    sim.heal_network();
    let (heard, peer) = run(&mut sim, b, async move {
        (timeout(&b, 1000 * SECOND, peer.read(&mut [0])).await.is_some(), peer)
    });
    assert!(!heard, "a reset is sent once");
    let mut peer = write(&mut sim, b, peer, b"hello?");
    assert_eq!(run(&mut sim, b, async move { code(peer.read(&mut [0]).await) }), ECONNRESET);
}

#[test]
fn sockets_of_a_boot_that_is_over_do_nothing_and_say_so() {
    for kind in [CrashKind::Process, CrashKind::PowerLoss] {
        let (mut sim, envs) = world(8, 2);
        let (a, b) = (envs[0], envs[1]);
        let (mut stream, mut peer) = pair(&mut sim, a, b);
        let there = addr(a.node(), 80);
        let (listener, socket) = run(&mut sim, a, async move {
            let listener = a.bind(there).await.expect("bind");
            (listener, a.bind_datagram(there).await.expect("bind"))
        });
        sim.crash(a.node(), kind);
        let again = sim.boot(a.node());
        // The ports are free: nothing is left of the boot before.
        let _anew = run(&mut sim, again, async move {
            let listener = again.bind(there).await.expect("bind");
            (listener, again.bind_datagram(there).await.expect("bind"))
        });
        let errors = run(&mut sim, again, async move {
            let mut errors = Vec::new();
            errors.extend(stream.write(b"x").await.err());
            errors.extend(stream.read(&mut [0]).await.err());
            errors.extend(stream.shutdown().await.err());
            errors.extend(listener.accept().await.err());
            errors.extend(socket.send_to(b"x", there).await.err());
            errors.extend(socket.recv_from(&mut [0]).await.err());
            errors.extend(a.connect(there).await.err());
            errors.extend(a.bind(addr(a.node(), 81)).await.err());
            errors.extend(a.bind_datagram(addr(a.node(), 81)).await.err());
            // Dropping them closes nothing of the new boot either.
            errors
        });
        assert_eq!(errors.len(), 9, "every call is refused: {errors:?}");
        for error in errors {
            assert!(error.to_string().contains("stale handle"), "{error}");
        }
        let end = run(&mut sim, b, async move {
            timeout(&b, 10 * SECOND, peer.read(&mut [0; 8])).await.map(|read| read.ok())
        });
        let expected = if kind == CrashKind::Process { Some(Some(0)) } else { None };
        assert_eq!(end, expected, "{kind:?}: nothing was sent by the boot that was over");
    }
}

#[test]
fn a_paused_node_answers_nobody_until_it_goes_on() {
    let (mut sim, envs) = world(9, 2);
    let (a, b) = (envs[0], envs[1]);
    let there = addr(a.node(), 80);
    let _listener = run(&mut sim, a, async move { a.bind(there).await.expect("bind") });
    let mut faults = sim.faults();
    faults.clock.pause_probability = seedbed_faults::Ratio::ALWAYS;
    faults.clock.pause = seedbed_faults::DurationRange::just(10_000_000_000);
    faults.node.crash_after_ops = seedbed_faults::CountRange::just(1);
    sim.set_faults(faults);
    // The next boot of the node pauses at its first operation: when it has bound its socket.
    let a = sim.boot(a.node());
    let _listener = run(&mut sim, a, async move { a.bind(there).await.expect("bind") });
    let paused = sim.now_ns();
    let stream = run(&mut sim, b, async move { b.connect(there).await.expect("connect") });
    assert!(sim.now_ns() - paused >= 10_000_000_000, "it was answered by a node that stands still");
    assert_eq!(sim.stats().fault(crate::FaultKind::Pause), 1);
    drop(stream);
}

#[test]
fn nodes_have_clocks_of_their_own() {
    let mut apart = 0;
    for seed in 0..20 {
        let mut sim = Sim::with_source(seed, Source::Seed, true);
        let mut faults = sim.faults();
        faults.clock.drift_ppm = 50_000;
        faults.clock.offset_ns = 1_000_000_000;
        sim.set_faults(faults);
        let envs = [(); 2].map(|()| {
            let node = sim.add_node("node");
            sim.boot(node)
        });
        let slept = envs.map(|env| {
            run(&mut sim, env, async move {
                let (began, here) = (env.world_ns(), env.now());
                env.sleep(SECOND).await;
                assert!(env.now() - here >= SECOND, "on its own clock");
                env.world_ns() - began
            })
        });
        let walls = envs.map(|env| env.wall().as_unix_ns());
        // A twentieth too fast or too slow, a second ahead or behind.
        assert!(slept.iter().all(|ns| ns.abs_diff(1_000_000_000) > 40_000_000), "{slept:?}");
        apart += u32::from(slept[0].abs_diff(slept[1]) > 80_000_000);
        apart += u32::from(walls[0].abs_diff(walls[1]) > 1_500_000_000);
    }
    assert!(
        (5..=35).contains(&apart),
        "each clock is off in a direction of its own: {apart} of 40"
    );
}

#[test]
fn a_task_goes_on_while_other_nodes_crash_and_boot() {
    let (mut sim, envs) = world(10, 3);
    let (client, servers) = (envs[0], [envs[1], envs[2]]);
    let serve = |server: SimEnv| async move {
        let listener = server.bind(addr(server.node(), 80)).await.expect("bind");
        loop {
            let (mut stream, _) = listener.accept().await.expect("accept");
            server.sleep(100 * MS).await;
            // Whoever has gone does not want it.
            let _ = stream.write_all(&[1]).await;
        }
    };
    for server in servers {
        drop(seedbed_env::Spawn::spawn(&server, serve(server)));
    }
    sim.crash_next_boot_at(servers[0].node(), 3);
    let main = sim.start(client, async move {
        let (mut answers, mut failures) = (0, 0);
        while answers < 50 {
            for server in servers {
                let asked = async {
                    let mut stream = client.connect(addr(server.node(), 80)).await?;
                    stream.read_exact(&mut [0]).await
                };
                match race(asked, client.sleep(2 * SECOND)).await {
                    seedbed_env::sync::Either::Left(Ok(())) => answers += 1,
                    _ => failures += 1,
                }
            }
        }
        (answers, failures)
    });
    let mut crashes = 0;
    wait(&mut sim, client, SECOND);
    sim.crash(servers[0].node(), CrashKind::Process);
    let boot = |sim: &mut Sim, node, crashes: u64| {
        // Before or after it accepts, before or after it answers.
        sim.crash_next_boot_at(node, 6 + crashes % 2);
        let server = sim.boot(node);
        drop(seedbed_env::Spawn::spawn(&server, serve(server)));
    };
    boot(&mut sim, servers[0].node(), 0);
    let (answers, failures) = loop {
        match sim.go_on(&main) {
            Ok(counts) => break counts,
            Err(Stop::Crashed(node, _)) => {
                assert_ne!(node, client.node(), "only servers crash");
                crashes += 1;
                boot(&mut sim, node, crashes);
            }
            Err(stop) => panic!("{stop}"),
        }
    };
    assert!(answers >= 50 && crashes >= 2, "{answers} answers through {crashes} crashes");
    assert!(failures > 0, "somebody noticed");
}

#[test]
fn a_node_crashes_at_an_operation_on_a_socket_which_has_its_effect_or_not() {
    let mut arrived = [0, 0];
    for seed in 0..40 {
        let (mut sim, envs) = world(seed, 2);
        let (a, b) = (envs[0], envs[1]);
        let there = addr(b.node(), 80);
        let listener = run(&mut sim, b, async move { b.bind(there).await.expect("bind") });
        // Its first operation is to connect, its second to write.
        sim.crash_next_boot_at(a.node(), 2);
        let a = sim.boot(a.node());
        let stopped = sim.run(a, async move {
            let mut stream = a.connect(there).await.expect("connect");
            stream.write_all(b"x").await.expect("write");
            unreachable!("an operation at which a node crashes does not return");
        });
        assert!(matches!(stopped, Err(Stop::Crashed(node, _)) if node == a.node()), "{stopped:?}");
        let read = run(&mut sim, b, async move {
            let (mut peer, _) = listener.accept().await.expect("accept");
            timeout(&b, SECOND, peer.read(&mut [0])).await.map(|read| read.expect("read"))
        });
        arrived[usize::from(read == Some(1))] += 1;
    }
    assert!(arrived[0] > 5 && arrived[1] > 5, "with and without effect: {arrived:?}");
}

#[test]
fn a_reset_that_a_clog_holds_up_comes_when_it_is_healed() {
    let (mut sim, envs) = world(11, 2);
    let (a, b) = (envs[0], envs[1]);
    let (stream, mut peer) = pair(&mut sim, a, b);
    sim.clog(a.node(), b.node(), 1000 * SECOND);
    run(&mut sim, a, async move { stream.reset().expect("reset") });
    let heard = run(&mut sim, b, async move {
        let heard = timeout(&b, 100 * SECOND, peer.read(&mut [0])).await.is_some();
        (heard, peer)
    });
    assert!(!heard.0, "it is held up");
    let (healed, mut peer) = (sim.now_ns(), heard.1);
    sim.heal_network();
    assert_eq!(run(&mut sim, b, async move { code(peer.read(&mut [0]).await) }), ECONNRESET);
    assert!(sim.now_ns() - healed < 1_000_000, "it waited for the end of the clog");
}
