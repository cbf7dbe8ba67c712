//! What engines are compared with: writing a file's bytes without any promise, and the protocol
//! that a report on atomic commits describes.

use std::io;
use std::path::Path;
use std::time::Instant;

use seedbed::faults::Plan;
use seedbed::faults::timing::Timing;
use seedbed::seam::{File, Fs, OpenOptions};
use seedbed::{Sim, SimEnv, Stop};

use crate::Failed;

/// Times of a simulated disk, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direct {
    /// The file is cut, written and closed; nothing is synced.
    pub rewrite_ns: u64,
    /// A record is appended to a log and synced; the state is written beside, synced, renamed into
    /// its place, and the folder synced.
    pub atomic_ns: u64,
}

/// Both on a simulated disk, with so many bytes.
///
/// # Errors
/// The world stopped.
pub fn simulated(timing: &Timing, bytes: usize) -> Result<Direct, Failed> {
    let mut sim = Sim::new(0);
    sim.apply_plan(&Plan::preset("none").expect("a preset"));
    sim.set_timing(timing.clone());
    let node = sim.add_node("direct");
    let env = sim.boot(node);
    let data = vec![7; bytes];
    let mut took = |atomic: bool| {
        let (began, data) = (sim.now_ns(), data.clone());
        let done = sim.run(env, async move {
            match atomic {
                true => commit(env, &data).await,
                false => rewrite(env, &data).await,
            }
        });
        let done = done.map_err(|stop: Stop| Failed::Engine(stop.to_string()))?;
        done.map_err(|error| Failed::Engine(error.to_string()))?;
        Ok(sim.now_ns() - began)
    };
    Ok(Direct { rewrite_ns: took(false)?, atomic_ns: took(true)? })
}

async fn rewrite(env: SimEnv, data: &[u8]) -> io::Result<()> {
    let file = env.open("state", OpenOptions::read_write_create()).await?;
    file.set_len(0).await?;
    file.write_all_at(data, 0).await
}

async fn commit(env: SimEnv, data: &[u8]) -> io::Result<()> {
    let log = env.open("log", OpenOptions::read_write_create()).await?;
    log.write_all_at(data, 0).await?;
    log.sync_data().await?;
    let beside = env.open("state.new", OpenOptions::read_write_create()).await?;
    beside.write_all_at(data, 0).await?;
    beside.sync_data().await?;
    env.rename("state.new", "state").await?;
    env.sync_dir("").await
}

/// Nanoseconds of each of so many rewrites of a file on this machine, by `std::fs::write`.
///
/// # Errors
/// The folder cannot be written to.
pub fn rewrites(dir: &Path, bytes: usize, times: usize) -> io::Result<Vec<u64>> {
    let folder = tempfile::Builder::new().prefix("seedbed-bench-").tempdir_in(dir)?;
    let path = folder.path().join("state");
    let mut data = vec![7; bytes];
    let mut took = Vec::with_capacity(times);
    for nth in 0..times {
        // Changing values: some file systems skip others.
        data.fill(nth as u8);
        let began = Instant::now();
        std::fs::write(&path, &data)?;
        took.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(took)
}
