//! The table of litmus workloads, and what real kernels made of them.
//!
//! Rows are in `litmus/table/persistence.toml`, outcomes in `litmus/recorded/`, one file per kernel
//! series. An outcome proves that something is possible, never that nothing else is; that is why a
//! row may have several.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::errors::{ErrorCells, ErrorRow};
use crate::real::Recovered;
use crate::workload::Workload;

/// A workload with a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Two digits.
    pub id: String,
    /// What happens, in a sentence.
    pub about: String,
    /// What is done, to its single crash.
    #[serde(rename = "steps")]
    pub workload: Workload,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table<R> {
    row: Vec<R>,
}

/// All rows about power losses, in the order of their numbers.
///
/// # Panics
///
/// Never: the table is compiled in, and a test reads it.
pub fn rows() -> Vec<Row> {
    let table: Table<Row> =
        toml::from_str(include_str!("../table/persistence.toml")).expect("the table is readable");
    table.row
}

/// All rows about failing writes, in the order of their numbers.
///
/// # Panics
///
/// Never: the table is compiled in, and a test reads it.
pub fn error_rows() -> Vec<ErrorRow> {
    let table: Table<ErrorRow> =
        toml::from_str(include_str!("../table/errors.toml")).expect("the table is readable");
    table.row
}

/// What one kernel made of the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Its version, as `uname -r` says it.
    pub kernel: String,
    /// For each row and setup the outcomes that were seen.
    pub persistence: BTreeMap<String, BTreeMap<String, Vec<Recovered>>>,
    /// For each row and setup how errors were reported.
    pub errors: BTreeMap<String, BTreeMap<String, ErrorCells>>,
}

impl Recorded {
    /// The outcomes that come with seedbed.
    ///
    /// # Panics
    ///
    /// Never: the file is compiled in, and a test reads it.
    pub fn shipped() -> Self {
        toml::from_str(include_str!("../recorded/linux-6.18.toml")).expect("the file is readable")
    }

    /// The outcomes of a row on a setup; empty if it was never run there.
    pub fn outcomes(&self, row: &str, setup: &str) -> &[Recovered] {
        self.persistence.get(row).and_then(|row| row.get(setup)).map_or(&[], Vec::as_slice)
    }

    /// How errors were reported in a row on a setup.
    pub fn error_cells(&self, row: &str, setup: &str) -> Option<&ErrorCells> {
        self.errors.get(row)?.get(setup)
    }
}

/// The version of the running kernel.
pub fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}
