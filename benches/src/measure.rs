//! Measuring one library at one workload, in a process of its own.
//!
//! CPU time of the process, not wall time: other work on the machine then costs only what it
//! costs in caches. A process per figure gives every library a fresh heap and a peak of memory
//! that is its own.

use std::process::Command;
use std::time::Duration;

use cpu_time::ProcessTime;
use serde::{Deserialize, Serialize};

use crate::work::{ROWS, Work};

/// Who is measured, in the order of a round.
pub(crate) const LIBRARIES: [&str; 4] = ["seedbed", "madsim", "turmoil", "floor"];

/// A run shorter than this is repeated with more work.
const CPU_MIN: Duration = Duration::from_millis(200);

/// What a worker process found.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Units of work done.
    pub(crate) units: u64,
    /// CPU seconds they took.
    pub(crate) cpu_s: f64,
    /// How far the peak of resident memory rose above what it was before, where known.
    pub(crate) peak_kib: Option<u64>,
}

impl Measured {
    pub(crate) fn rate(self) -> f64 {
        self.units as f64 / self.cpu_s
    }
}

/// Measures in a new process; `None` if the library has nothing of the kind.
///
/// # Errors
/// If the process cannot be started, fails, or says something else.
pub(crate) fn in_process(
    library: &str,
    workload: &str,
    size: Option<u64>,
) -> Result<Option<Measured>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["worker", library, workload]);
    command.args(size.map(|size| size.to_string()));
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{library} failed at {workload}: {}", said.trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// The worker: runs with a given size once, or with growing sizes until a run is long enough.
///
/// # Errors
/// For an unknown library or workload.
pub(crate) fn work(
    library: &str,
    workload: &str,
    size: Option<u64>,
) -> Result<Option<Measured>, String> {
    let row = ROWS.iter().find(|row| row.name == workload);
    let work = match workload {
        "memory" => Work::Memory,
        _ => row.ok_or_else(|| format!("no workload is called {workload}"))?.work,
    };
    let run = match library {
        "seedbed" => crate::seedbed::run,
        "madsim" => crate::madsim::run,
        "turmoil" => crate::turmoil::run,
        "floor" => crate::floor::run,
        _ => return Err(format!("no library is called {library}")),
    };
    // Once unmeasured, for all libraries: the first touch of a page costs the operating system more
    // than a simulator's record costs it.
    if size.is_none() && run(work, 1).is_none() {
        return Ok(None);
    }
    let mut n = size.unwrap_or(1);
    loop {
        let before_kib = memory("VmRSS");
        let start = ProcessTime::now();
        let Some(units) = run(work, n) else { return Ok(None) };
        let cpu = start.elapsed();
        if cpu >= CPU_MIN || size.is_some() {
            let peak_kib = memory("VmHWM").zip(before_kib);
            let peak_kib = peak_kib.map(|(peak, before)| peak.saturating_sub(before));
            return Ok(Some(Measured { units, cpu_s: cpu.as_secs_f64(), peak_kib }));
        }
        let factor = CPU_MIN.as_secs_f64() * 1.2 / cpu.as_secs_f64().max(1e-6);
        n = (n as f64 * factor.clamp(1.5, 50.0)).ceil() as u64;
    }
}

/// A line of Linux's `/proc/self/status`, in KiB.
fn memory(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
