//! A workload: a base state that is on disk for good, and the steps that crashes interrupt.
//!
//! The text form is the steps with `;` between them. A base other than the standard one stands
//! before them, with `|` in between.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::steps::{ParseStepError, Step};

/// The base of the table: `A/tgt` of 8 KiB, `A/db` of 16 KiB, and the unrelated file.
pub const STANDARD_BASE: &str = "\
    mkdir A; open g A/tgt create; write g 0+8192 o; fsync g; close g; \
    open g A/db create; write g 0+16384 o; fsync g; close g; \
    mkdir U; open g U/log create; write g 0+4096 u; fsync g; close g; syncfs";

/// What is done to a file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Workload {
    /// Makes the base state. It is written, and the file system is unmounted and mounted again,
    /// before the first of the steps: nothing of it can be lost.
    pub base: Vec<Step>,
    /// The steps whose effects a crash may take. They include the crashes, if it matters where
    /// these are.
    pub steps: Vec<Step>,
}

impl Workload {
    /// Steps on the standard base.
    pub fn standard(steps: Vec<Step>) -> Self {
        Self { base: standard_base(), steps }
    }
}

/// The steps of [`STANDARD_BASE`].
///
/// # Panics
///
/// Never: the text is a constant that tests parse.
pub fn standard_base() -> Vec<Step> {
    parse_steps(STANDARD_BASE).expect("the standard base is made of steps")
}

/// Steps from their text.
///
/// # Errors
///
/// The first text between semicolons that is not a step.
pub fn parse_steps(text: &str) -> Result<Vec<Step>, ParseStepError> {
    text.split(';').map(str::trim).filter(|text| !text.is_empty()).map(str::parse).collect()
}

/// The text of steps.
pub fn steps_text(steps: &[Step]) -> String {
    steps.iter().map(Step::to_string).collect::<Vec<_>>().join("; ")
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.base != standard_base() {
            write!(f, "{} | ", steps_text(&self.base))?;
        }
        f.write_str(&steps_text(&self.steps))
    }
}

impl FromStr for Workload {
    type Err = ParseStepError;

    fn from_str(text: &str) -> Result<Self, ParseStepError> {
        match text.split_once('|') {
            Some((base, steps)) => {
                Ok(Self { base: parse_steps(base)?, steps: parse_steps(steps)? })
            }
            None => Ok(Self::standard(parse_steps(text)?)),
        }
    }
}

impl From<Workload> for String {
    fn from(workload: Workload) -> Self {
        workload.to_string()
    }
}

impl TryFrom<String> for Workload {
    type Error = ParseStepError;

    fn try_from(text: String) -> Result<Self, ParseStepError> {
        text.parse()
    }
}
