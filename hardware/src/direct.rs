//! What engines are compared with: writing a file's bytes without any promise, and the protocol
//! that a report on atomic commits describes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
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

/// A way to write a state without any promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// The file is cut, written and closed, as `std::fs::write` does it.
    Rewrite,
    /// A file beside is written and renamed into its place.
    Rename,
    /// The file is opened, overwritten and closed.
    Reopen,
    /// The file stays open and is overwritten.
    InPlace,
}

impl Baseline {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rewrite, Self::Rename, Self::Reopen, Self::InPlace];

    /// What it does, in a few words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rewrite => "rewrite the file",
            Self::Rename => "temporary + rename",
            Self::Reopen => "open + pwrite + close",
            Self::InPlace => "pwrite in place",
        }
    }

    /// Nanoseconds of one such write on this machine, without a sync: for each of so many turns the
    /// mean of a few.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn measure(self, dir: &Path, bytes: usize, turns: usize) -> io::Result<Vec<f64>> {
        let place = Place::new(dir, bytes)?;
        (0..turns).map(|_| place.turn(self)).collect()
    }

    /// The same for all of them, in turn, so that a busy moment of the machine falls on all alike.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn measure_all(dir: &Path, bytes: usize, turns: usize) -> io::Result<[Vec<f64>; 4]> {
        let place = Place::new(dir, bytes)?;
        let mut took: [Vec<f64>; Self::ALL.len()] = Default::default();
        for _ in 0..turns {
            for (baseline, took) in Self::ALL.into_iter().zip(&mut took) {
                took.push(place.turn(baseline)?);
            }
        }
        Ok(took)
    }
}

/// Writes of a turn.
const EACH: u8 = 50;

/// Where direct writes go.
struct Place {
    path: PathBuf,
    beside: PathBuf,
    kept: fs::File,
    bytes: usize,
    /// Removed when this is dropped.
    _folder: tempfile::TempDir,
}

impl Place {
    fn new(dir: &Path, bytes: usize) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("seedbed-bench-").tempdir_in(dir)?;
        let (path, beside) = (folder.path().join("state"), folder.path().join("state.new"));
        fs::write(&path, vec![0; bytes])?;
        let kept = fs::OpenOptions::new().write(true).open(&path)?;
        Ok(Self { path, beside, kept, bytes, _folder: folder })
    }

    /// The mean time of a few writes.
    fn turn(&self, baseline: Baseline) -> io::Result<f64> {
        let mut data = vec![0; self.bytes];
        let began = Instant::now();
        for nth in 0..EACH {
            // Changing values: some file systems skip others.
            data.fill(nth);
            match baseline {
                Baseline::Rewrite => fs::write(&self.path, &data)?,
                Baseline::Rename => {
                    fs::write(&self.beside, &data)?;
                    fs::rename(&self.beside, &self.path)?;
                }
                Baseline::Reopen => {
                    let file = fs::OpenOptions::new().write(true).open(&self.path)?;
                    overwrite(&file, &data)?;
                }
                Baseline::InPlace => overwrite(&self.kept, &data)?,
            }
        }
        Ok(began.elapsed().as_nanos() as f64 / f64::from(EACH))
    }
}

#[cfg(unix)]
fn overwrite(file: &fs::File, data: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, data, 0)
}

#[cfg(not(unix))]
fn overwrite(mut file: &fs::File, data: &[u8]) -> io::Result<()> {
    use std::io::{Seek, Write};
    file.rewind()?;
    file.write_all(data)
}
