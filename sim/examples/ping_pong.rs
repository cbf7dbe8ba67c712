//! Two nodes of a world send each other messages over the simulated network, as fast as they can:
//! how many round trips a second of CPU time that makes, with digest and random order as always.
//!
//! `cargo run --release --example ping_pong`

use std::net::SocketAddr;

use seedbed::seam::{Datagram, Listener, Net, Spawn, StreamRead, StreamWrite};
use seedbed::{NodeId, Sim, SimEnv};

const MESSAGE: [u8; 16] = [7; 16];

fn addr(node: NodeId) -> SocketAddr {
    SocketAddr::new(node.ip().into(), 80)
}

async fn serve(env: SimEnv) {
    let listener = env.bind(addr(env.node())).await.expect("binds");
    loop {
        let (mut stream, _) = listener.accept().await.expect("accepts");
        let mut buf = [0; MESSAGE.len()];
        while stream.read_exact(&mut buf).await.is_ok() {
            stream.write_all(&buf).await.expect("the other end lives");
        }
    }
}

/// So many round trips over one connection.
async fn streams(env: SimEnv, server: NodeId, count: u64) {
    let mut stream = env.connect(addr(server)).await.expect("connects");
    for _ in 0..count {
        let mut buf = [0; MESSAGE.len()];
        stream.write_all(&MESSAGE).await.expect("the other end lives");
        stream.read_exact(&mut buf).await.expect("the other end lives");
        assert_eq!(buf, MESSAGE);
    }
}

async fn serve_datagrams(env: SimEnv) {
    let socket = env.bind_datagram(addr(env.node())).await.expect("binds");
    let mut buf = [0; MESSAGE.len()];
    loop {
        let (len, from) = socket.recv_from(&mut buf).await.expect("receives");
        socket.send_to(&buf[..len], from).await.expect("sends");
    }
}

/// So many round trips by datagrams.
async fn datagrams(env: SimEnv, server: NodeId, count: u64) {
    let socket = env.bind_datagram(addr(env.node())).await.expect("binds");
    for _ in 0..count {
        let mut buf = [0; MESSAGE.len()];
        socket.send_to(&MESSAGE, addr(server)).await.expect("sends");
        socket.recv_from(&mut buf).await.expect("receives");
        assert_eq!(buf, MESSAGE);
    }
}

/// Runs so many round trips in a world of its own and gives its simulated time.
fn world(count: u64, is_stream: bool) -> u64 {
    let mut sim = Sim::new(1);
    sim.set_poll_limit(u64::MAX);
    let (client, server) = (sim.add_node("client"), sim.add_node("server"));
    let (client, server) = (sim.boot(client), sim.boot(server));
    if is_stream {
        drop(server.spawn(serve(server)));
        sim.run(client, streams(client, server.node(), count)).expect("nothing goes wrong");
    } else {
        drop(server.spawn(serve_datagrams(server)));
        sim.run(client, datagrams(client, server.node(), count)).expect("nothing goes wrong");
    }
    sim.now_ns()
}

#[expect(clippy::disallowed_methods, reason = "it measures real time")]
fn main() {
    let count = std::env::args().nth(1).and_then(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    for (name, is_stream) in [("streams", true), ("datagrams", false)] {
        let rates = (0..5).map(|_| {
            let began = std::time::Instant::now();
            assert!(world(count, is_stream) > count, "round trips take simulated time");
            count as f64 / began.elapsed().as_secs_f64() / 1e6
        });
        let mut rates: Vec<f64> = rates.collect();
        rates.sort_by(f64::total_cmp);
        println!("{name}: {:.2} M round trips/s (median of 5)", rates[2]);
    }
}

#[test]
fn both_ways_end() {
    assert!(world(100, true) > 0);
    assert!(world(100, false) > 0);
}
