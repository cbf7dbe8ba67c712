//! The worker process: takes one figure in a folder of its own, and compares what it finds after
//! reopening with what was acknowledged.

use std::path::Path;
use std::process::Command;

use cpu_time::ProcessTime;
use seedbed_env::{Env, OsEnv};
use serde_json::json;
use tokio::runtime::Runtime;

use super::cell::{Cell, Found, Shape, Stop, Subject};
use super::load::{self, Spent, Values, Writer};
use super::ours::Tasks;
use super::stores::threads::runtime;
use super::stores::wal::Wal;
use super::stores::{self, Store};

/// Measures in a new process, by way of `before` (a tracer and its arguments) if there is one.
///
/// # Errors
/// If the process cannot be started, fails, or says something else.
pub(crate) fn in_process(cell: &Cell, dir: &Path, before: &[String]) -> Result<Found, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = match before {
        [] => Command::new(program),
        [tracer, args @ ..] => {
            let mut command = Command::new(tracer);
            command.args(args).arg(program);
            command
        }
    };
    command.arg("commit-worker").arg(json!(cell).to_string()).arg(dir);
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let name = cell.subject.label();
        return Err(format!("{name} failed with {:?}: {}", cell.shape, said.trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// Takes the figure in this process.
///
/// # Errors
/// A store that fails, or that does not have what it acknowledged.
pub(crate) fn work(cell: &Cell, dir: &Path) -> Result<Found, String> {
    let folder =
        tempfile::tempdir_in(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let (dir, values) = (folder.path(), Values::new());
    let count = match cell.shape {
        Shape::Callers(count) => count as usize,
        Shape::Window(_) => 1,
    };
    let mut writers = Writer::all(count, &values);
    let (figure, reopened) = match (cell.subject, cell.shape) {
        (Subject::Seedbed, _) => {
            let tasks = Tasks::open(OsEnv::new(dir), runtime()?, &values)?;
            ours(tasks, dir, cell, &mut writers)?
        }
        (Subject::SeedbedOne, _) => {
            let tasks = Tasks::open(OsEnv::new(dir), one_thread()?, &values)?;
            ours(tasks, dir, cell, &mut writers)?
        }
        (Subject::SeedbedInline, _) => {
            let tasks = Tasks::open(OsEnv::with_inline_syncs(dir), one_thread()?, &values)?;
            ours(tasks, dir, cell, &mut writers)?
        }
        (Subject::Wal, Shape::Window(window)) => {
            let wal = Wal::create(dir)?;
            let figure = Figure::take(&mut writers, cell.stop, |writers, stop| {
                wal.go_on();
                load::wal_window(&wal, &mut writers[0], window.into(), stop)
            })?;
            (figure, Box::new(wal).reopen()?)
        }
        (subject, _) => {
            let store = stores::open(subject, dir, count)?;
            store.fill(&mut values.first())?;
            let figure = Figure::take(&mut writers, cell.stop, |writers, stop| {
                load::callers(&*store, writers, stop, subject.is_short())
            })?;
            (figure, store.reopen()?)
        }
    };
    let compared = compare(&writers, &*reopened)?;
    Ok(figure.found(writers, compared))
}

fn ours<E: Env>(
    tasks: Tasks<E>,
    dir: &Path,
    cell: &Cell,
    writers: &mut Vec<Writer>,
) -> Result<(Figure, Box<dyn Store>), String> {
    let figure = Figure::take(writers, cell.stop, |writers, stop| {
        let (back, spent) = tasks.run(std::mem::take(writers), cell.shape, stop)?;
        *writers = back;
        Ok(spent)
    })?;
    Ok((figure, tasks.reopen(dir)?))
}

/// A runtime as `#[tokio::main(flavor = "current_thread")]` makes it.
fn one_thread() -> Result<Runtime, String> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| error.to_string())
}

/// Values that are there as they were acknowledged.
pub(crate) fn compare(writers: &[Writer], store: &dyn Store) -> Result<u64, String> {
    writers.iter().map(|writer| writer.check(store)).sum()
}

/// Commits and time of the measured phase.
#[derive(Clone, Copy, Debug)]
struct Figure {
    commits: u64,
    seconds: f64,
    cpu_s: f64,
    foreign: f64,
}

impl Figure {
    /// Runs a phase to warm up, where time ends it, and the one that counts.
    fn take(
        writers: &mut Vec<Writer>,
        stop: Stop,
        mut phase: impl FnMut(&mut Vec<Writer>, Stop) -> Result<Vec<Spent>, String>,
    ) -> Result<Self, String> {
        if let Stop::Seconds(seconds) = stop {
            phase(writers, Stop::Seconds(seconds / 4.0))?;
            writers.iter_mut().for_each(|writer| writer.latencies_ns.clear());
        }
        let (machine, own, start) = (machine_cpu(), own_cpu(), ProcessTime::now());
        let spent = phase(writers, stop)?;
        let (cpu_s, after) = (start.elapsed().as_secs_f64(), machine_cpu());
        let (programs, all) = (after.0 - machine.0 - (own_cpu() - own), after.1 - machine.1);
        let foreign = if all > 0.0 { (programs / all).clamp(0.0, 1.0) } else { 0.0 };
        let (commits, seconds) = load::total(&spent);
        Ok(Self { commits, seconds, cpu_s, foreign })
    }

    fn found(self, writers: Vec<Writer>, compared: u64) -> Found {
        let mut latencies: Vec<u32> =
            writers.into_iter().flat_map(|writer| writer.latencies_ns).collect();
        latencies.sort_unstable();
        let at = |percent: usize| {
            let at = (latencies.len() * percent / 100).min(latencies.len().checked_sub(1)?);
            Some(f64::from(latencies[at]) / 1000.0)
        };
        let Self { commits, seconds, cpu_s, foreign } = self;
        let (p50_us, p99_us) = (at(50), at(99));
        Found { commits, seconds, cpu_s, p50_us, p99_us, compared, foreign }
    }
}

/// CPU seconds of the machine since it started: those of programs, and all, where `/proc/stat`
/// tells. The kernel's are left out, because it works for us too.
pub(crate) fn machine_cpu() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = stat.lines().next().into_iter().flat_map(str::split_whitespace).skip(1);
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user.
    let ticks: Vec<f64> = ticks.take(8).filter_map(|ticks| ticks.parse().ok()).collect();
    let [user, nice, .., steal] = ticks[..] else { return (0.0, 0.0) };
    // Linux counts in hundredths of a second here, whatever its own tick is.
    ((user + nice + steal) / 100.0, ticks.iter().sum::<f64>() / 100.0)
}

/// CPU seconds of this process outside the kernel, where `/proc` tells.
fn own_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The 14th field; the second is a name in parentheses.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let utime = after_name.split_whitespace().nth(11).and_then(|ticks| ticks.parse::<f64>().ok());
    utime.unwrap_or(0.0) / 100.0
}
