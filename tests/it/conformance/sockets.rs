//! Streams. The simulated network is not there yet, so these bodies run on the real one only.

use seedbed::seam::{Listener, Net, Spawn, Stream};

const ANY_PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

#[test]
fn os_streams_carry_bytes_both_ways_and_half_close() {
    super::on_os(echo);
}

#[test]
fn os_connections_to_nobody_are_refused() {
    super::on_os(refused);
}

async fn echo<E: Net + Spawn>(env: E) {
    let listener = env.bind(ANY_PORT.into()).await.expect("bind");
    let addr = listener.local_addr().expect("an address");
    let server = env.spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accept");
        let mut all = Vec::new();
        let mut buf = [0; 1000];
        loop {
            match stream.read(&mut buf).await.expect("read") {
                0 => break,
                read => all.extend_from_slice(&buf[..read]),
            }
        }
        stream.write_all(&all).await.expect("write");
        stream.shutdown().await.expect("shutdown");
        all.len()
    });
    let mut stream = env.connect(addr).await.expect("connect");
    assert_eq!(stream.peer_addr().expect("connected"), addr);
    let sent: Vec<u8> = (0..50_000_u32).map(|n| n as u8).collect();
    stream.write_all(&sent).await.expect("write");
    stream.shutdown().await.expect("shutdown");
    let mut back = vec![0; sent.len()];
    stream.read_exact(&mut back).await.expect("read");
    assert_eq!(back, sent);
    assert_eq!(stream.read(&mut [0]).await.expect("the end"), 0);
    assert_eq!(server.await, Ok(sent.len()));
}

async fn refused<E: Net>(env: E) {
    let listener = env.bind(ANY_PORT.into()).await.expect("bind");
    let addr = listener.local_addr().expect("an address");
    drop(listener);
    let error = env.connect(addr).await.map(drop).expect_err("nobody listens");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}
