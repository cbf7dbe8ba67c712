//! Figures without noise: operations, syncs, bytes, allocations, simulated events.
//!
//! They are counted over a fixed number of operations of a fixed workload, so two runs of one
//! program agree to the last unit, and any difference is a change of the program. There is no
//! tolerance: a baseline is saved anew when the change was wanted.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::gate::Verdict;

/// Most counters that a file may hold.
pub const COUNTERS_MAX: usize = 1000;

/// What a number of operations cost.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Over how many operations was counted.
    pub operations: u64,
    /// Name and count. Less is better.
    pub counts: BTreeMap<String, u64>,
}

/// One difference.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The counts are of different numbers of operations, so none of them can be compared.
    OtherOperations {
        /// Then.
        before: u64,
        /// Now.
        after: u64,
    },
    /// More than before.
    More {
        /// Of what.
        name: String,
        /// Then.
        before: u64,
        /// Now.
        after: u64,
    },
    /// Less than before.
    Less {
        /// Of what.
        name: String,
        /// Then.
        before: u64,
        /// Now.
        after: u64,
    },
    /// No longer counted.
    Missing {
        /// What.
        name: String,
        /// Then.
        before: u64,
    },
    /// Not counted before.
    New {
        /// What.
        name: String,
        /// Now.
        after: u64,
    },
}

impl Finding {
    /// Regressed if there is more of something; unclear if something cannot be compared, for a
    /// counter that is gone guards nothing; better if there is less.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::More { .. } => Verdict::Regressed,
            Self::OtherOperations { .. } | Self::Missing { .. } | Self::New { .. } => {
                Verdict::Unclear
            }
            Self::Less { .. } => Verdict::Better,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherOperations { before, after } => write!(
                f,
                "counted over {before} operations before and {after} now: count over as many"
            ),
            Self::More { name, before, after } => {
                write!(f, "{name}: {after}, {} more than {before}", after.abs_diff(*before))
            }
            Self::Less { name, before, after } => {
                write!(f, "{name}: {after}, {} less than {before}", after.abs_diff(*before))
            }
            Self::Missing { name, before } => {
                write!(f, "{name}: no longer counted, was {before}: save a new baseline if meant")
            }
            Self::New { name, after } => {
                write!(f, "{name}: {after}, not counted before: save a new baseline")
            }
        }
    }
}

impl Counters {
    /// All differences, by name; none means that both are equal.
    #[must_use]
    pub fn compare(&self, after: &Self) -> Vec<Finding> {
        if self.operations != after.operations {
            let (before, after) = (self.operations, after.operations);
            return vec![Finding::OtherOperations { before, after }];
        }
        let mut findings = Vec::new();
        for (name, &before) in &self.counts {
            let name = name.clone();
            match after.counts.get(&name).copied() {
                None => findings.push(Finding::Missing { name, before }),
                Some(now) if now > before => {
                    findings.push(Finding::More { name, before, after: now });
                }
                Some(now) if now < before => {
                    findings.push(Finding::Less { name, before, after: now });
                }
                Some(_) => {}
            }
        }
        let is_new = |name: &&String| !self.counts.contains_key(*name);
        let new = after.counts.keys().filter(is_new);
        findings
            .extend(new.map(|name| Finding::New { name: name.clone(), after: after.counts[name] }));
        findings
    }
}

/// The worst of all findings; [`Verdict::Same`] without any.
#[must_use]
pub fn verdict(findings: &[Finding]) -> Verdict {
    findings.iter().map(Finding::verdict).max().unwrap_or(Verdict::Same)
}
