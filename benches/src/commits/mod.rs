//! Durable commits of `atomic_commit` and its peers side by side, what writes cost that are not
//! durable, and what the machine allows: `cargo run --release -- commits`.
//!
//! Every figure is taken in a process of its own, in a folder of its own on the file system that is
//! measured, and the contenders of a round follow each other: every second round goes backwards,
//! so that a drift of the machine does not favour one of them. Every store is opened again
//! afterwards, and must have what it acknowledged.

mod asked;
mod cell;
mod curve;
mod load;
mod ours;
mod patience;
mod report;
mod stores;
#[cfg(test)]
mod tests;
mod worker;

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use self::cell::{Cell, Found, Shape, Stop, Subject};
use self::patience::Patience;
use self::report::Results;

/// Blocking callers.
const CALLERS: [u32; 3] = [1, 8, 64];
/// Commits of one submitter that are under way at once.
const WINDOWS: [u32; 5] = [8, 64, 256, 1024, 4096];
/// The same for curves of overheads.
const CURVE: [u32; 7] = [1, 8, 64, 256, 512, 1024, 4096];

/// Measures everything and prints it.
///
/// # Errors
/// A store that fails or is wrong, and what the machine says.
pub(crate) fn compare(
    dir: &Path,
    rounds: u64,
    seconds: f64,
    patience_s: u64,
    json: bool,
) -> Result<(), String> {
    if !(0.01..=3600.0).contains(&seconds) {
        return Err(format!("--seconds is {seconds}: 0.01 to 3600"));
    }
    let before = load_average();
    let mut patience = Patience::new(Duration::from_secs(patience_s), patience::watch);
    let asked = count_syncs(dir)?;
    let cells = plan();
    let mut all = Vec::new();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        all.push(measure(&cells, dir, seconds, &mut patience, round % 2 == 1)?);
    }
    let results = Results { cells, rounds: all, asked, load: (before, load_average()) };
    match json {
        true => println!("{:#}", results.json()),
        false => results.print(),
    }
    Ok(())
}

/// One round, forwards or backwards.
fn measure(
    cells: &[(Subject, Shape)],
    dir: &Path,
    seconds: f64,
    patience: &mut Patience,
    backwards: bool,
) -> Result<Vec<Found>, String> {
    let one = |(subject, shape): &(Subject, Shape)| {
        let cell = Cell { subject: *subject, shape: *shape, stop: Stop::Seconds(seconds) };
        patience.take(|| worker::in_process(&cell, dir, &[]))
    };
    if !backwards {
        return cells.iter().map(one).collect();
    }
    let mut found = cells.iter().rev().map(one).collect::<Result<Vec<_>, _>>()?;
    found.reverse();
    Ok(found)
}

/// What a round measures. What is compared stands close together.
fn plan() -> Vec<(Subject, Shape)> {
    let mut cells = Vec::new();
    for count in CALLERS {
        let shape = Shape::Callers(count);
        cells.extend(Subject::CONTENDERS.map(|subject| (subject, shape)));
        cells.extend(Subject::BASELINES.map(|subject| (subject, shape)));
        if count == 1 {
            cells.extend(Subject::LIMITS.map(|subject| (subject, shape)));
        }
    }
    for window in CURVE {
        cells.extend([Subject::Seedbed, Subject::Wal].map(|of| (of, Shape::Window(window))));
    }
    cells
}

/// What each contender asks for, where `strace` is there to tell.
fn count_syncs(dir: &Path) -> Result<Vec<asked::Asked>, String> {
    if !asked::is_available() {
        eprintln!("strace is not there: syncs are not counted, durability is not checked");
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for subject in Subject::CONTENDERS {
        for callers in [1, 8] {
            all.push(asked::count(subject, callers, dir)?);
        }
    }
    Ok(all)
}

/// The worker process: takes the figure that `cell` describes and prints it.
///
/// # Errors
/// For text that is no cell; a store that fails or is wrong.
pub(crate) fn work(cell: &str, dir: &Path) -> Result<(), String> {
    let cell = serde_json::from_str(cell).map_err(|error| error.to_string())?;
    worker::work(&cell, dir).map(|found| println!("{}", json!(found)))
}

/// As the operating system tells it: processes that wanted to run in the last minute.
fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}
