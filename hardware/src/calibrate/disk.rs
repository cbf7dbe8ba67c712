//! How long a disk takes. Calls are measured as engines make them, through [`OsEnv`] and its
//! threads: after appends of different sizes and after writing in place; alone and beside others.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use seedbed::faults::timing::{Timing, TimingPoint};
use seedbed_env::{File, Fs, OpenOptions, OsEnv, OsFile};

use super::{interrupted, machine};
use crate::Failed;

/// Sizes of appends before a sync.
const SIZES: [usize; 7] = [512, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20];
/// How many syncs are under way at once.
const DEPTHS: [usize; 4] = [1, 2, 4, 8];
/// Steps of a distribution: about as many as there are calls, so that the slowest of them count as
/// often as they happened.
const STEPS: usize = 250;
/// Calls of each kind and size; fewer where they take long.
const CALLS: usize = 300;
/// In so many turns.
const TURNS: usize = 6;
/// The longest that one kind and size may take in a turn.
const LONGEST: Duration = Duration::from_millis(1500);

/// Measures the disk of a folder. `told` hears what is being measured.
///
/// # Errors
/// What the machine says; [`Failed::Machine`] "interrupted" once `stop` is set.
pub fn disk(
    dir: &Path,
    name: &str,
    stop: &AtomicBool,
    mut told: impl FnMut(&str),
) -> Result<Timing, Failed> {
    let folder = tempfile::Builder::new().prefix("seedbed-calibrate-").tempdir_in(dir);
    let folder =
        folder.map_err(|error| machine(format!("no folder in {}: {error}", dir.display())))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| machine(format!("no runtime: {error}")))?;
    let probe = Probe { env: OsEnv::new(folder.path()), stop };
    // In turn, so that a busy moment of the machine falls on all sizes alike.
    let mut appends: [[Vec<u64>; 4]; SIZES.len()] = Default::default();
    for turn in 1..=TURNS {
        told(&format!("appends of {} sizes, turn {turn} of {TURNS}", SIZES.len()));
        for (size, all) in SIZES.into_iter().zip(&mut appends) {
            runtime.block_on(probe.appends(size, all))?;
        }
    }
    let (mut sync, mut sync_in_place) = (Vec::new(), Vec::new());
    let (mut write, mut read) = (Vec::new(), Vec::new());
    for (size, [writes, syncs, reads, in_place]) in SIZES.into_iter().zip(appends) {
        write.push(point(size, writes));
        sync.push(point(size, syncs));
        sync_in_place.push(point(size, in_place));
        read.push(point(size, reads));
    }
    told("names");
    let [metadata, sync_dir] = runtime.block_on(probe.names())?;
    let mut beside: [Vec<u64>; DEPTHS.len()] = Default::default();
    for turn in 1..=TURNS {
        told(&format!("syncs side by side, turn {turn} of {TURNS}"));
        for (depth, times) in DEPTHS.into_iter().zip(&mut beside) {
            runtime.block_on(probe.beside(depth, times))?;
        }
    }
    let beside: Vec<(usize, u64)> = DEPTHS.into_iter().zip(beside.map(middle)).collect();
    Ok(Timing {
        name: name.to_owned(),
        about: "measured by `seedbed calibrate`".to_owned(),
        read,
        write,
        sync,
        sync_in_place,
        sync_dir: vec![point(0, sync_dir)],
        metadata: vec![point(0, metadata)],
        beside: per_mille(&beside),
    })
}

/// A disk that is asked.
struct Probe<'a> {
    env: OsEnv,
    stop: &'a AtomicBool,
}

impl Probe<'_> {
    fn go_on(&self, begun: Instant) -> Result<bool, Failed> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(interrupted());
        }
        Ok(begun.elapsed() < LONGEST)
    }

    /// Adds times of appends of one size, of the syncs after them, of reading back, and of syncs
    /// after writing to the same places once more.
    async fn appends(&self, size: usize, all: &mut [Vec<u64>; 4]) -> Result<(), Failed> {
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(true);
        let file = self.env.open("appends", options).await.map_err(io)?;
        let begun = Instant::now();
        let (mut bytes, mut back) = (vec![0x5a; size], vec![0; size]);
        for nth in 0..CALLS / TURNS {
            if !self.go_on(begun)? {
                break;
            }
            let at = (nth * size) as u64;
            bytes[..8].copy_from_slice(&at.to_le_bytes());
            all[0].push(timed(file.write_all_at(&bytes, at)).await?);
            all[1].push(timed(file.sync_data()).await?);
            all[2].push(timed(file.read_exact_at(&mut back, at)).await?);
            file.write_all_at(&bytes, at).await.map_err(io)?;
            all[3].push(timed(file.sync_data()).await?);
        }
        drop(file);
        self.env.remove_file("appends").await.map_err(io)
    }

    /// Times of making, renaming and removing a name, and of syncing the folder.
    async fn names(&self) -> Result<[Vec<u64>; 2], Failed> {
        let (mut metadata, mut syncs, begun) = (Vec::new(), Vec::new(), Instant::now());
        while syncs.len() < CALLS && self.go_on(begun)? {
            let open = self.env.open("one", OpenOptions::read_write_create());
            metadata.push(timed(async { open.await.map(drop) }).await?);
            metadata.push(timed(self.env.rename("one", "two")).await?);
            syncs.push(timed(self.env.sync_dir(".")).await?);
            metadata.push(timed(self.env.remove_file("two")).await?);
        }
        Ok([metadata, syncs])
    }

    /// Adds times of syncs after an append of 4 KiB while so many are under way, each of a new file
    /// of its own.
    async fn beside(&self, depth: usize, times: &mut Vec<u64>) -> Result<(), Failed> {
        let names: Vec<String> = (0..depth).map(|nth| format!("beside{nth}")).collect();
        let mut files = Vec::new();
        for name in &names {
            files.push(self.env.open(name, OpenOptions::read_write_create()).await.map_err(io)?);
        }
        let begun = Instant::now();
        times
            .extend(try_join_all(files.iter().map(|file| self.syncs(file, begun))).await?.concat());
        drop(files);
        // What is there already is not appended to.
        try_join_all(names.iter().map(|name| self.env.remove_file(name))).await.map_err(io)?;
        Ok(())
    }

    /// Times of syncs after an append of 4 KiB.
    async fn syncs(&self, file: &OsFile, begun: Instant) -> Result<Vec<u64>, Failed> {
        let (bytes, mut times) = ([0x5a; 4096], Vec::new());
        while times.len() < CALLS / TURNS && self.go_on(begun)? {
            file.write_all_at(&bytes, times.len() as u64 * 4096).await.map_err(io)?;
            times.push(timed(file.sync_data()).await?);
        }
        Ok(times)
    }
}

async fn timed(call: impl Future<Output = std::io::Result<()>>) -> Result<u64, Failed> {
    let begun = Instant::now();
    call.await.map_err(io)?;
    Ok(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// Equal steps of a distribution.
fn point(bytes: usize, mut ns: Vec<u64>) -> TimingPoint {
    ns.sort_unstable();
    let last = ns.len().saturating_sub(1);
    let step = |step: usize| ns.get(step * last / STEPS).copied().unwrap_or(0);
    TimingPoint { bytes: bytes as u64, ns: (0..=STEPS).map(step).collect() }
}

/// How much longer a sync takes beside 0, 1, 2, ... others, from what was measured at some depths.
fn per_mille(measured: &[(usize, u64)]) -> Vec<u64> {
    let alone = measured.first().map_or(1, |(_, ns)| (*ns).max(1));
    let most = measured.last().map_or(1, |(depth, _)| *depth);
    let at = |depth: usize| {
        let after = measured.iter().position(|(known, _)| *known >= depth).unwrap_or(0);
        let (high, to) = measured[after];
        let (low, from) = measured[after.saturating_sub(1)];
        let part = if high > low { (depth - low) as f64 / (high - low) as f64 } else { 0.0 };
        let ns = (to as f64 - from as f64).mul_add(part, from as f64);
        ((ns * 1000.0 / alone as f64) as u64).max(1)
    };
    (1..=most).map(at).collect()
}

/// The median.
fn middle(mut ns: Vec<u64>) -> u64 {
    ns.sort_unstable();
    ns.get(ns.len() / 2).copied().unwrap_or(1)
}

fn io(error: std::io::Error) -> Failed {
    machine(format!("the disk: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_keeps_its_ends_and_its_middle() {
        let TimingPoint { bytes, ns } = point(512, (1..=1001).rev().collect());
        assert_eq!((bytes, ns.len()), (512, STEPS + 1));
        assert_eq!((ns[0], ns[STEPS / 2], ns[STEPS]), (1, 501, 1001));
        assert!(ns.is_sorted());
        assert_eq!(point(0, vec![7]).ns, [7; STEPS + 1], "one time is all of them");
        assert_eq!(point(0, Vec::new()).ns, [0; STEPS + 1]);
    }

    #[test]
    fn between_depths_that_were_measured_a_sync_takes_between() {
        let found = per_mille(&[(1, 100), (2, 150), (4, 250)]);
        assert_eq!(found, [1000, 1500, 2000, 2500]);
        assert_eq!(per_mille(&[(1, 100), (2, 80)]), [1000, 800], "others may help as well");
        assert_eq!(per_mille(&[(1, 0)]), [1], "a clock too coarse is no division by 0");
    }

    #[test]
    fn syncs_side_by_side_are_all_of_new_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let stop = AtomicBool::new(false);
        let probe = Probe { env: OsEnv::new(folder.path()), stop: &stop };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        for depth in [1, 4] {
            let mut times = Vec::new();
            runtime.block_on(probe.beside(depth, &mut times)).expect("it works");
            assert!((depth..=depth * (CALLS / TURNS)).contains(&times.len()), "{}", times.len());
            assert_eq!(std::fs::read_dir(folder.path()).expect("it is there").count(), 0);
        }
        stop.store(true, Ordering::Relaxed);
        assert_eq!(runtime.block_on(probe.beside(1, &mut Vec::new())), Err(interrupted()));
    }
}
