//! What durability costs: commits that are under way side by side, beside writes that promise
//! nothing.

use std::io;
use std::path::Path;

use seedbed_engines::atomic_commit::Durability;
use seedbed_hardware::direct::Baseline;
use seedbed_hardware::{Engine, Workload};
use seedbed_measure::sample;

use super::Done;
use super::html::Overhead;
use super::report::Middle;

/// Turns of each baseline.
const TURNS: usize = 40;

/// The curve of one client's durable commits over how many are under way, with the baselines of the
/// same length; `None` if no such workload was measured.
pub(super) fn measure(dir: &Path, done: &[Done]) -> io::Result<Option<Overhead>> {
    let is_durable = |workload: &Workload| {
        workload.engine == Engine::AtomicCommit
            && matches!(workload.durability.0, Durability::Group { .. })
            && workload.clients == 1
            && workload.rate == 0
    };
    let first = done.iter().find(|done| is_durable(&done.workload));
    let Some(value_bytes) = first.map(|done| done.workload.value_bytes) else { return Ok(None) };
    let of_one_length = done
        .iter()
        .filter(|done| is_durable(&done.workload) && done.workload.value_bytes == value_bytes);
    let point = |done: &Done| {
        let ns = 1e9 / Middle::of(&done.measured).throughput;
        (done.workload.outstanding() as f64, ns)
    };
    let points = of_one_length.map(point).collect();
    let took = Baseline::measure_all(dir, value_bytes as usize, TURNS)?;
    let baseline = |(baseline, took): (Baseline, Vec<f64>)| {
        (baseline.name().to_owned(), sample::median(&took).unwrap_or(f64::NAN))
    };
    let baselines = Baseline::ALL.into_iter().zip(took).map(baseline).collect();
    Ok(Some(Overhead { baselines, points }))
}
