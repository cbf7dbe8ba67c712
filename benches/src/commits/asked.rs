//! What is really asked of the operating system for a commit: `strace` counts syncs.
//!
//! Two runs of different lengths, and the difference of their counts, so that opening, filling and
//! closing do not count. With so many callers that wait, one sync can serve no more than that many
//! commits: fewer, and something was acknowledged that was not asked to be durable.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Serialize;

use super::cell::{Cell, Shape, Stop, Subject};
use super::worker;

/// Lengths of the two runs, in commits of all callers together.
const SHORT: u64 = 80;
const LONG: u64 = 400;
/// Calls that are counted.
const CALLS: [&str; 4] = ["fsync", "fdatasync", "msync", "sync_file_range"];
/// Background work may fall into one of the two runs.
const TOLERANCE: f64 = 0.95;

/// Calls for each commit, by name.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Asked {
    pub(crate) subject: Subject,
    pub(crate) callers: u32,
    pub(crate) per_commit: BTreeMap<String, f64>,
    /// Whether there were enough syncs for every acknowledgement to be durable.
    pub(crate) is_durable: bool,
}

impl Asked {
    /// As in a table's cell.
    pub(crate) fn text(&self) -> String {
        let call = |(name, count): (&String, &f64)| format!("{count:.2} {name}");
        let calls: Vec<_> =
            self.per_commit.iter().filter(|(_, count)| **count >= 0.005).map(call).collect();
        if calls.is_empty() { "none".to_owned() } else { calls.join(", ") }
    }
}

/// Counts for one contender.
///
/// # Errors
/// If `strace` or the worker fails.
pub(crate) fn count(subject: Subject, callers: u32, dir: &Path) -> Result<Asked, String> {
    let run = |commits| calls_of(subject, callers, commits, dir);
    let (short, long) = (run(SHORT)?, run(LONG)?);
    let of = |counts: &BTreeMap<String, u64>, name: &str| {
        counts.get(name).copied().unwrap_or_default() as f64
    };
    let each = |name: &str| (of(&long, name) - of(&short, name)).max(0.0) / (LONG - SHORT) as f64;
    let per_commit: BTreeMap<_, _> =
        CALLS.iter().map(|name| ((*name).to_owned(), each(name))).collect();
    let is_durable = is_enough(&per_commit, callers);
    Ok(Asked { subject, callers, per_commit, is_durable })
}

/// `sync_file_range` does not count: it reaches no device cache and no metadata (its manual page).
pub(crate) fn is_enough(per_commit: &BTreeMap<String, f64>, callers: u32) -> bool {
    let durable = per_commit.iter().filter(|(name, _)| *name != "sync_file_range");
    durable.map(|(_, count)| count).sum::<f64>() * f64::from(callers) >= TOLERANCE
}

fn calls_of(
    subject: Subject,
    callers: u32,
    commits: u64,
    dir: &Path,
) -> Result<BTreeMap<String, u64>, String> {
    let folder = tempfile::tempdir_in(dir).map_err(|error| error.to_string())?;
    let file = folder.path().join("strace");
    let cell = Cell { subject, shape: Shape::Callers(callers), stop: Stop::Commits(commits) };
    let trace = format!("trace={}", CALLS.join(","));
    let strace = ["strace", "-f", "-c", "-e", &trace, "-o", &file.display().to_string()];
    worker::in_process(&cell, dir, &strace.map(str::to_owned))?;
    let summary = fs::read_to_string(&file).map_err(|error| format!("strace's file: {error}"))?;
    Ok(parse(&summary))
}

/// Calls by name in the summary of `strace -c`: `% time, seconds, usecs/call, calls, [errors,]
/// name`.
pub(crate) fn parse(summary: &str) -> BTreeMap<String, u64> {
    let row = |line: &str| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let name = columns.last().filter(|name| CALLS.contains(name))?;
        Some(((*name).to_owned(), columns.get(3)?.parse().ok()?))
    };
    summary.lines().filter_map(row).collect()
}

/// Whether `strace` can be started.
pub(crate) fn is_available() -> bool {
    std::process::Command::new("strace").arg("-V").output().is_ok()
}
