//! Exit codes: what a script learns without reading a word.

use std::fmt;
use std::process::ExitCode;

/// How the command line ends. The numbers are part of its contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything that was asked for was done, and all laws held.
    Fine = 0,
    /// A law was broken, or a probe that is required was never reached (`diff`: the traces differ;
    /// `zoo`: a plant escaped or a twin alarmed; `litmus`: an outcome is not a recorded one).
    Violation = 1,
    /// The command line, a setting, an input file or an output place is wrong.
    Usage = 2,
    /// There is no verdict: interrupted, a run went on for too long, what a gate was to compare
    /// could not be, or a file system cannot be mounted here.
    Inconclusive = 3,
    /// Nothing was selected: no seeds, a sync that is never called, nothing to shrink.
    NothingSelected = 4,
    /// A replay is not the run that was recorded.
    Diverged = 5,
    /// The tool or a testbed failed, not the engine under test.
    Internal = 70,
    /// A second Ctrl-C ended the process at once.
    Killed = 130,
}

impl Exit {
    /// Every code.
    pub const ALL: [Self; 8] = [
        Self::Fine,
        Self::Violation,
        Self::Usage,
        Self::Inconclusive,
        Self::NothingSelected,
        Self::Diverged,
        Self::Internal,
        Self::Killed,
    ];

    /// The number.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command ended early: the code, and what to tell.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub exit: Exit,
    pub message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }
}

impl From<seedbed::traces::TraceError> for Failure {
    fn from(error: seedbed::traces::TraceError) -> Self {
        Self::usage(error)
    }
}

impl From<seedbed::faults::PlanError> for Failure {
    fn from(error: seedbed::faults::PlanError) -> Self {
        Self::usage(error)
    }
}
