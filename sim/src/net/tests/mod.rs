//! The network rule by rule, as nodes see it: several nodes in a world, and what each of them is
//! told. `docs/network.md` names these tests.

mod crashes;
mod datagrams;
mod faults;
mod handshakes;
mod links;
mod rules;
mod runs;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use seedbed_env::{Clock, Listener, Net, StreamRead, StreamWrite};
use seedbed_faults::NetFaults;

use super::errno::{ECONNREFUSED, ECONNRESET, EPIPE, ETIMEDOUT};
use crate::choices::Source;
use crate::env::SimEnv;
use crate::node::NodeId;
use crate::sim::Sim;
use crate::sockets::SimStream;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A world with so many nodes, all up.
fn world(seed: u64, nodes: usize) -> (Sim, Vec<SimEnv>) {
    let mut sim = Sim::with_source(seed, Source::Seed, true);
    let envs = (0..nodes).map(|number| {
        let node = sim.add_node(&format!("node {number}"));
        sim.boot(node)
    });
    let envs = envs.collect();
    (sim, envs)
}

/// Changes what the network does.
fn set_net(sim: &mut Sim, change: impl FnOnce(&mut NetFaults)) {
    let mut faults = sim.faults();
    change(&mut faults.net);
    sim.set_faults(faults);
}

fn addr(node: NodeId, port: u16) -> SocketAddr {
    SocketAddr::new(node.ip().into(), port)
}

fn run<F: Future<Output: 'static> + 'static>(sim: &mut Sim, env: SimEnv, body: F) -> F::Output {
    sim.run(env, body).expect("nothing stops it")
}

/// A connection from one node to another: the end that connected and the one that accepted.
fn pair(sim: &mut Sim, from: SimEnv, to: SimEnv) -> (SimStream, SimStream) {
    run(sim, from, async move {
        let listener = to.bind(addr(to.node(), 0)).await.expect("bind");
        let there = listener.local_addr().expect("bound");
        let stream = from.connect(there).await.expect("connect");
        (stream, listener.accept().await.expect("accept").0)
    })
}

/// Waits with both tasks asleep.
fn wait(sim: &mut Sim, env: SimEnv, time: Duration) {
    run(sim, env, async move { env.sleep(time).await });
}

fn code<T>(result: io::Result<T>) -> i32 {
    let error = result.map(|_| "success").expect_err("an error");
    error.raw_os_error().unwrap_or_else(|| panic!("{error} has no code"))
}

/// Writes bytes and gives the stream back.
fn write(sim: &mut Sim, env: SimEnv, mut stream: SimStream, bytes: &'static [u8]) -> SimStream {
    run(sim, env, async move {
        stream.write_all(bytes).await.expect("write");
        stream
    })
}

/// Reads so many bytes; gives the stream back and the simulated time at which they were there.
fn read(sim: &mut Sim, env: SimEnv, mut stream: SimStream, len: usize) -> (SimStream, Vec<u8>) {
    run(sim, env, async move {
        let mut buf = vec![0; len];
        stream.read_exact(&mut buf).await.expect("read");
        (stream, buf)
    })
}
