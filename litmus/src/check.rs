//! Holds what is observed here against what was recorded.

use std::io;

use crate::errors::{ErrorCells, ErrorRow, run_error_row};
use crate::real::{Observed, Recovered};
use crate::setup::Setup;
use crate::table::{Recorded, Row};

/// How an observation and the record of it agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is one of those recorded.
    AsRecorded,
    /// It is none of them.
    Different,
    /// There is no record.
    NotRecorded,
}

/// The outcome of a row's run.
///
/// # Errors
///
/// A step failed, which no row of the table intends.
pub fn outcome(row: &Row, observed: Observed) -> io::Result<Recovered> {
    for (step, result) in row.workload.steps.iter().zip(&observed.results) {
        if let Err(errno) = result {
            return Err(io::Error::other(format!("row {}: {step}: {errno}", row.id)));
        }
    }
    let last = observed.crashes.into_iter().last();
    Ok(last.expect("every run ends with a crash").recovered)
}

/// Whether that outcome of a row is recorded.
pub fn verdict(recorded: &Recorded, row: &Row, setup: &Setup, outcome: &Recovered) -> Verdict {
    let known = recorded.outcomes(&row.id, setup.name);
    match known {
        [] => Verdict::NotRecorded,
        known if known.contains(outcome) => Verdict::AsRecorded,
        _ => Verdict::Different,
    }
}

/// Runs a row about failing writes and says whether that outcome is recorded.
///
/// # Errors
///
/// Those of [`run_error_row`].
pub fn check_error_row(
    recorded: &Recorded,
    row: &ErrorRow,
    setup: &'static Setup,
) -> io::Result<(ErrorCells, Verdict)> {
    let cells = run_error_row(setup, row)?;
    let verdict = match recorded.error_cells(&row.id, setup.name) {
        None => Verdict::NotRecorded,
        Some(known) if *known == cells => Verdict::AsRecorded,
        Some(_) => Verdict::Different,
    };
    Ok((cells, verdict))
}
