//! Streams and datagrams.

use std::io::ErrorKind::{self, *};
use std::time::Duration;

use seedbed::seam::sync::{oneshot, timeout};
use seedbed::seam::{Datagram, Env, Listener, Net, Stream, StreamRead, StreamWrite};

super::on_both_worlds! {
    streams_carry_bytes_both_ways_and_half_close
    a_connection_to_nobody_is_refused
    addresses_are_what_was_bound_and_connected
    port_0_picks_a_free_port
    an_address_in_use_is_refused
    an_address_of_somebody_else_cannot_be_bound
    a_writer_that_nobody_reads_from_stops
    a_reset_is_seen_by_the_peer
    closing_with_bytes_unread_is_a_reset
    reading_goes_on_to_the_end_after_the_peer_has_closed
    writing_after_the_peer_has_closed_fails
    writing_after_shutdown_is_a_broken_pipe
    halves_work_in_two_tasks
    a_dropped_writing_half_ends_the_stream
    an_accept_that_was_given_up_loses_no_connection
    empty_buffers_move_nothing
    datagrams_carry_whole_messages
    a_datagram_is_cut_off_at_the_buffer
    a_datagram_that_is_too_long_is_refused
    a_datagram_to_nobody_is_sent_all_the_same
    datagrams_and_streams_have_ports_of_their_own
}

const ANY_PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
const PATIENCE: Duration = Duration::from_millis(50);

fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
    result.map(|_| "success").expect_err("an error").kind()
}

/// A connection: the end that connected and the one that accepted.
async fn pair<E: Env + Net>(env: &E) -> (E::Stream, E::Stream) {
    let listener = env.bind(ANY_PORT.into()).await.expect("bind");
    let addr = listener.local_addr().expect("an address");
    let accepted = env.spawn(async move { listener.accept().await.expect("accept").0 });
    let connected = env.connect(addr).await.expect("connect");
    (connected, accepted.await.expect("accepted"))
}

async fn read_to_end<R: StreamRead>(stream: &mut R) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut buf = [0; 1000];
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(all),
            read => all.extend_from_slice(&buf[..read]),
        }
    }
}

fn numbers(len: u32) -> Vec<u8> {
    (0..len).map(|n| (n * 7) as u8).collect()
}

async fn streams_carry_bytes_both_ways_and_half_close<E: Env + Net>(env: E) {
    let (mut stream, mut peer) = pair(&env).await;
    let server = env.spawn(async move {
        let all = read_to_end(&mut peer).await.expect("read");
        peer.write_all(&all).await.expect("write");
        peer.shutdown().await.expect("shutdown");
        all.len()
    });
    let sent = numbers(50_000);
    stream.write_all(&sent).await.expect("write");
    stream.shutdown().await.expect("shutdown");
    let mut back = vec![0; sent.len()];
    stream.read_exact(&mut back).await.expect("read");
    assert_eq!(back, sent);
    assert_eq!(stream.read(&mut [0]).await.expect("the end"), 0);
    assert_eq!(stream.read(&mut [0]).await.expect("the end again"), 0);
    assert_eq!(kind(stream.read_exact(&mut [0]).await), UnexpectedEof);
    assert_eq!(server.await, Ok(sent.len()));
}

async fn a_connection_to_nobody_is_refused<E: Env + Net>(env: E) {
    let listener = env.bind(ANY_PORT.into()).await.expect("bind");
    let addr = listener.local_addr().expect("an address");
    drop(listener);
    assert_eq!(kind(env.connect(addr).await), ConnectionRefused);
}

async fn addresses_are_what_was_bound_and_connected<E: Env + Net>(env: E) {
    let listener = env.bind(ANY_PORT.into()).await.expect("bind");
    let addr = listener.local_addr().expect("an address");
    let accepted = env.spawn(async move { listener.accept().await.expect("accept") });
    let stream = env.connect(addr).await.expect("connect");
    let (peer, from) = accepted.await.expect("accepted");
    assert_eq!(stream.peer_addr().expect("connected"), addr);
    assert_eq!(peer.local_addr().expect("connected"), addr);
    assert_eq!(peer.peer_addr().expect("connected"), from);
    assert_eq!(stream.local_addr().expect("connected"), from);
    assert!(from.ip().is_loopback() && from.port() > 0);
}

async fn port_0_picks_a_free_port<E: Env + Net>(env: E) {
    let one = env.bind(ANY_PORT.into()).await.expect("bind");
    let two = env.bind(ANY_PORT.into()).await.expect("bind");
    let (one, two) = (one.local_addr().expect("bound"), two.local_addr().expect("bound"));
    assert!(one.port() > 0 && two.port() > 0 && one != two, "{one} and {two}");
}

async fn an_address_in_use_is_refused<E: Env + Net>(env: E) {
    let listener = env.bind(ANY_PORT.into()).await.expect("bind");
    let addr = listener.local_addr().expect("bound");
    assert_eq!(kind(env.bind(addr).await), AddrInUse);
    drop(listener);
    drop(env.bind(addr).await.expect("it is free again"));
    let socket = env.bind_datagram(ANY_PORT.into()).await.expect("bind");
    let addr = socket.local_addr().expect("bound");
    assert_eq!(kind(env.bind_datagram(addr).await), AddrInUse);
    drop(socket);
    drop(env.bind_datagram(addr).await.expect("it is free again"));
}

async fn an_address_of_somebody_else_cannot_be_bound<E: Env + Net>(env: E) {
    // Reserved for documentation: nobody has it.
    let foreign = ([192, 0, 2, 1], 0).into();
    assert_eq!(kind(env.bind(foreign).await), AddrNotAvailable);
    assert_eq!(kind(env.bind_datagram(foreign).await), AddrNotAvailable);
}

async fn a_writer_that_nobody_reads_from_stops<E: Env + Net>(env: E) {
    let (mut stream, mut peer) = pair(&env).await;
    let chunk = numbers(100_000);
    let mut sent = 0;
    while let Some(written) = timeout(&env, PATIENCE, stream.write(&chunk)).await {
        sent += written.expect("write");
        assert!(sent < 1 << 30, "a writer is not stopped");
    }
    assert!(sent > 0, "there is some room");
    // And goes on when somebody reads.
    let reader = env.spawn(async move {
        let mut buf = vec![0; sent];
        peer.read_exact(&mut buf).await.expect("read");
        (peer, buf)
    });
    stream.write_all(b"more").await.expect("there is room again");
    let (mut peer, buf) = reader.await.expect("read");
    assert!(buf.starts_with(&chunk[..1000]));
    let mut more = [0; 4];
    peer.read_exact(&mut more).await.expect("read");
    assert_eq!(&more, b"more");
}

async fn a_reset_is_seen_by_the_peer<E: Env + Net>(env: E) {
    let (stream, mut peer) = pair(&env).await;
    stream.reset().expect("reset");
    assert_eq!(kind(peer.read(&mut [0]).await), ConnectionReset);
    assert_eq!(peer.read(&mut [0]).await.expect("it was told once"), 0);
    assert_eq!(kind(peer.write(b"x").await), BrokenPipe);
}

async fn closing_with_bytes_unread_is_a_reset<E: Env + Net>(env: E) {
    let (mut stream, mut peer) = pair(&env).await;
    stream.write_all(b"hello").await.expect("write");
    peer.read_exact(&mut [0]).await.expect("read");
    drop(peer);
    assert_eq!(kind(stream.read(&mut [0]).await), ConnectionReset);
}

async fn reading_goes_on_to_the_end_after_the_peer_has_closed<E: Env + Net>(env: E) {
    let (mut stream, mut peer) = pair(&env).await;
    stream.write_all(b"hello").await.expect("write");
    drop(stream);
    env.sleep(PATIENCE).await;
    assert_eq!(read_to_end(&mut peer).await.expect("read"), b"hello");
}

async fn writing_after_the_peer_has_closed_fails<E: Env + Net>(env: E) {
    let (mut stream, peer) = pair(&env).await;
    drop(peer);
    env.sleep(PATIENCE).await;
    // The first write goes out, and is answered by a reset.
    stream.write_all(b"hello").await.expect("write");
    env.sleep(PATIENCE).await;
    assert_eq!(kind(stream.write(b"hello").await), BrokenPipe);
    assert_eq!(kind(stream.write(b"hello").await), BrokenPipe);
    assert_eq!(stream.read(&mut [0]).await.expect("the end"), 0);
}

async fn writing_after_shutdown_is_a_broken_pipe<E: Env + Net>(env: E) {
    let (mut stream, mut peer) = pair(&env).await;
    stream.shutdown().await.expect("shutdown");
    stream.shutdown().await.expect("again");
    assert_eq!(kind(stream.write(b"x").await), BrokenPipe);
    assert_eq!(peer.read(&mut [0]).await.expect("the end"), 0);
    peer.write_all(b"y").await.expect("the other way is open");
    let mut one = [0];
    stream.read_exact(&mut one).await.expect("read");
    assert_eq!(&one, b"y");
}

async fn halves_work_in_two_tasks<E: Env + Net>(env: E) {
    let (stream, peer) = pair(&env).await;
    let (mut read, mut write) = stream.split();
    let (mut peer_read, mut peer_write) = peer.split();
    let echo = env.spawn(async move {
        let mut buf = [0; 777];
        loop {
            match peer_read.read(&mut buf).await.expect("read") {
                0 => break,
                len => peer_write.write_all(&buf[..len]).await.expect("write"),
            }
        }
    });
    let sent = numbers(500_000);
    let expected = sent.clone();
    let writer = env.spawn(async move {
        write.write_all(&sent).await.expect("write");
        write.shutdown().await.expect("shutdown");
    });
    // More than both windows hold: it ends only if both tasks make progress.
    assert!(read_to_end(&mut read).await.expect("read") == expected);
    assert_eq!((writer.await, echo.await), (Ok(()), Ok(())));
}

async fn a_dropped_writing_half_ends_the_stream<E: Env + Net>(env: E) {
    let (stream, mut peer) = pair(&env).await;
    let (mut read, mut write) = stream.split();
    write.write_all(b"bye").await.expect("write");
    drop(write);
    assert_eq!(read_to_end(&mut peer).await.expect("read"), b"bye");
    peer.write_all(b"still here").await.expect("write");
    drop(peer);
    assert_eq!(read_to_end(&mut read).await.expect("read"), b"still here");
}

async fn an_accept_that_was_given_up_loses_no_connection<E: Env + Net>(env: E) {
    let listener = env.bind(ANY_PORT.into()).await.expect("bind");
    let addr = listener.local_addr().expect("bound");
    assert!(timeout(&env, PATIENCE, listener.accept()).await.is_none());
    let mut stream = env.connect(addr).await.expect("it is taken before it is accepted");
    let (mut peer, _) = listener.accept().await.expect("accept");
    assert!(timeout(&env, PATIENCE, peer.read(&mut [0])).await.is_none());
    stream.write_all(b"x").await.expect("write");
    let mut one = [0];
    peer.read_exact(&mut one).await.expect("a read that was given up lost nothing");
    assert_eq!(&one, b"x");
}

async fn empty_buffers_move_nothing<E: Env + Net>(env: E) {
    let (mut stream, mut peer) = pair(&env).await;
    assert_eq!(stream.write(&[]).await.expect("nothing"), 0);
    assert_eq!(peer.read(&mut []).await.expect("nothing"), 0);
    stream.write_all(b"x").await.expect("write");
    peer.read_exact(&mut [0]).await.expect("the stream has not ended");
}

async fn datagrams_carry_whole_messages<E: Env + Net>(env: E) {
    let one = env.bind_datagram(ANY_PORT.into()).await.expect("bind");
    let two = env.bind_datagram(ANY_PORT.into()).await.expect("bind");
    let (addr_1, addr_2) = (one.local_addr().expect("bound"), two.local_addr().expect("bound"));
    let (sender, receiver) = oneshot::channel::<()>();
    let echo = env.spawn(async move {
        for _ in 0..3 {
            let mut buf = [0; 2000];
            let (len, from) = two.recv_from(&mut buf).await.expect("receive");
            two.send_to(&buf[..len], from).await.expect("send");
        }
        drop(sender);
    });
    for message in [&b"hello"[..], &[], &numbers(1400)] {
        assert_eq!(one.send_to(message, addr_2).await.expect("send"), message.len());
        let mut buf = [0; 2000];
        let (len, from) = one.recv_from(&mut buf).await.expect("receive");
        assert_eq!((&buf[..len], from), (message, addr_2));
        assert_ne!(from, addr_1);
    }
    assert!(receiver.await.is_err(), "it ends by itself");
    assert_eq!(echo.await, Ok(()));
}

async fn a_datagram_is_cut_off_at_the_buffer<E: Env + Net>(env: E) {
    let one = env.bind_datagram(ANY_PORT.into()).await.expect("bind");
    let addr = one.local_addr().expect("bound");
    one.send_to(b"hello", addr).await.expect("send");
    env.sleep(PATIENCE).await;
    one.send_to(b"again", addr).await.expect("send");
    let mut buf = [0; 3];
    assert_eq!(one.recv_from(&mut buf).await.expect("receive"), (3, addr));
    assert_eq!(&buf, b"hel");
    assert_eq!(one.recv_from(&mut buf).await.expect("receive"), (3, addr));
    assert_eq!(&buf, b"aga", "the rest of the first one is gone");
}

async fn a_datagram_that_is_too_long_is_refused<E: Env + Net>(env: E) {
    const EMSGSIZE: i32 = 90;
    let one = env.bind_datagram(ANY_PORT.into()).await.expect("bind");
    let addr = one.local_addr().expect("bound");
    let longest = vec![7; 65_507];
    assert_eq!(one.send_to(&longest, addr).await.expect("send"), longest.len());
    let mut buf = vec![0; 70_000];
    assert_eq!(one.recv_from(&mut buf).await.expect("receive").0, longest.len());
    let error = one.send_to(&[7; 65_508], addr).await.expect_err("too long");
    assert_eq!(error.raw_os_error(), Some(EMSGSIZE));
}

async fn a_datagram_to_nobody_is_sent_all_the_same<E: Env + Net>(env: E) {
    let one = env.bind_datagram(ANY_PORT.into()).await.expect("bind");
    let gone = env.bind_datagram(ANY_PORT.into()).await.expect("bind");
    let addr = gone.local_addr().expect("bound");
    drop(gone);
    assert_eq!(one.send_to(b"hello?", addr).await.expect("send"), 6);
    assert!(timeout(&env, PATIENCE, one.recv_from(&mut [0; 10])).await.is_none());
    let anew = env.bind_datagram(addr).await.expect("bind");
    let late = timeout(&env, PATIENCE, anew.recv_from(&mut [0; 10])).await;
    assert!(late.is_none(), "who was not there when it arrived does not get it");
}

async fn datagrams_and_streams_have_ports_of_their_own<E: Env + Net>(env: E) {
    let listener = env.bind(ANY_PORT.into()).await.expect("bind");
    let addr = listener.local_addr().expect("bound");
    let socket = env.bind_datagram(addr).await.expect("the other protocol's port is free");
    assert_eq!(socket.local_addr().expect("bound"), addr);
}
