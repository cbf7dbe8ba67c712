//! What a trace holds, as plain data.
//!
//! Times are in nanoseconds of simulated time, errors are the operating system's codes, and what
//! was injected stands in `cause`, never in the outcome: an engine sees the code only.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::frame::FORMAT_VERSION;
use crate::text::Text;

/// What a run was: enough to run it again, and to notice that it is not the same run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format it was read from; a writer always writes [`FORMAT_VERSION`].
    pub format: u16,
    /// Name of the scenario.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// What made the trace: package version and profile, for people.
    pub build: String,
    /// Digest of everything that configures the run.
    pub config_digest: u64,
    /// The fault plan, as TOML.
    pub plan: String,
    /// The scenario's settings, as name and value.
    pub settings: Vec<(String, String)>,
    /// Whether the workload or the decisions were made smaller after the run that found it.
    pub shrunk: bool,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            format: FORMAT_VERSION,
            scenario: String::new(),
            seed: 0,
            build: String::new(),
            config_digest: 0,
            plan: String::new(),
            settings: Vec::new(),
            shrunk: false,
        }
    }
}

/// What the scenario's clients do.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Workload {
    /// The operations, in order.
    pub ops: Vec<OpText>,
}

/// One operation of a workload.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct OpText {
    /// The operation as the scenario encodes it; opaque here.
    pub bytes: Vec<u8>,
    /// The operation for people.
    pub text: String,
}

/// One answer of the door for nondeterminism, `choose(label, bound) -> value`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Decision {
    /// What was decided.
    pub label: Text,
    /// How many decisions of this label came before.
    pub nth: u64,
    /// The value is below this.
    pub bound: u64,
    /// What was chosen; 0 is the most benign.
    pub value: u64,
}

/// Which decisions a trace holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum DecisionMode {
    /// Every decision, in order.
    #[default]
    Complete,
    /// Only decisions whose value is not 0; all others are 0.
    Sparse,
}

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Event {
    /// Number of the event in its run.
    pub seq: u64,
    /// When, in nanoseconds of simulated time.
    pub at_ns: u64,
    /// On which node.
    pub node: u16,
    /// In which boot of the node.
    pub boot: u32,
    /// In which task of the boot.
    pub task: u32,
    /// What: an operation like `write` or `sync_data`, or `crash`, `ack`, ...
    pub op: Text,
    /// On what: a path or a name.
    pub subject: Text,
    /// How, like `128 B at 4096`.
    pub detail: String,
    /// What came of it.
    pub outcome: Outcome,
    /// What was injected, if anything.
    pub cause: Option<Text>,
    /// Source location of the call, like `engines/src/x.rs:210`, if known.
    pub site: Option<Text>,
}

/// What came of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Outcome {
    /// Nothing to report, or not known yet.
    #[default]
    None,
    /// Success, with the number that it returned (0 if it returned none).
    Done(u64),
    /// Failure, as the engine saw it.
    Failed {
        /// The operating system's error number.
        code: i32,
    },
}

/// Digest of everything that a run did; equal digests mean equal runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Digest(pub [u64; 2]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.0[0], self.0[1])
    }
}

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct End {
    /// Digest of the run.
    pub digest: Digest,
    /// Events of the run; a trace may hold fewer of them.
    pub events: u64,
    /// Decisions of the run; a complete trace holds them all.
    pub decisions: u64,
    /// Whether all laws held.
    pub verdict: Verdict,
}

/// Whether all laws held.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Verdict {
    /// The recording broke off before there was a verdict.
    #[default]
    Unfinished,
    /// All laws held.
    Passed,
    /// A law was broken.
    Violation {
        /// Name of the law.
        law: String,
        /// What the law demands.
        expected: String,
        /// What was there instead.
        got: String,
        /// `seq` of the event at which it was noticed.
        at_event: u64,
        /// Number of decisions before it was noticed.
        at_decision: u64,
    },
    /// The run could not be judged.
    Inconclusive {
        /// Why not.
        reason: String,
    },
}

/// A whole trace in memory.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Trace {
    /// What the run was.
    pub header: Header,
    /// What the clients do.
    pub workload: Workload,
    /// Which decisions there are.
    pub mode: DecisionMode,
    /// The decisions, in order.
    pub decisions: Vec<Decision>,
    /// The events, in order.
    pub events: Vec<Event>,
    /// How it ended.
    pub end: End,
}
