//! One suite for the seam, on both worlds: each body runs in simulation under several seeds, and
//! on the real operating system in a folder on a real file system. A body asserts; that it passes
//! on both sides is the point.

mod files;
mod random_ops;
mod ranges;
mod sockets;
mod tasks;

use std::future::Future;

use seedbed::{Sim, SimEnv};
use seedbed_env::OsEnv;

/// Seeds of each simulated case: enough for several orders and latencies.
const SEEDS: u64 = 16;

/// Runs a body in simulation.
fn on_sim<F, Fut>(body: F)
where
    F: Fn(SimEnv) -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    for seed in 0..SEEDS {
        let mut sim = Sim::new(seed);
        let mut faults = sim.faults();
        // Latencies that differ, so that completions overtake each other.
        faults.disk.write_latency = seedbed::faults::DurationRange::new(1, 50_000);
        faults.disk.sync_latency = seedbed::faults::DurationRange::new(1, 900_000);
        sim.set_faults(faults);
        let node = sim.add_node("node");
        let env = sim.boot(node);
        if let Err(stop) = sim.run(env, body(env)) {
            panic!("seed {seed}: {stop}");
        }
    }
}

/// Runs a body on the operating system, in a folder of its own on the file system of the target
/// directory (a temporary folder of the system is often a RAM disk).
fn on_os<F, Fut>(body: F)
where
    F: FnOnce(OsEnv) -> Fut,
    Fut: Future<Output = ()>,
{
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(body(OsEnv::new(folder.path())));
}

/// Makes two tests of every body: `sim::name` and `os::name`.
macro_rules! on_both_worlds {
    ($($name:ident)*) => {
        mod sim {
            $(#[test] fn $name() { crate::conformance::on_sim(super::$name); })*
        }
        mod os {
            $(#[test] fn $name() { crate::conformance::on_os(super::$name); })*
        }
    };
}
use on_both_worlds;
