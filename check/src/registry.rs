//! All checkers in one list, so that a caller can run them all and time each.

use crate::given::Given;
use crate::history::Event;
use crate::verdict::{Judgement, Law};

/// One checker: a pure function that judges some laws in one pass over a history.
#[derive(Clone, Copy, Debug)]
pub struct Checker {
    /// Its name: `commitment`.
    pub name: &'static str,
    /// The laws that it judges, in the order of its judgements.
    pub laws: &'static [&'static Law],
    /// What it costs in time and memory, in words.
    pub complexity: &'static str,
    /// Judges each of the laws, in their order.
    pub check: fn(&[Event], &Given) -> Vec<Judgement>,
}

/// All checkers.
pub static CHECKERS: &[Checker] = &[];

/// The judgements of all checkers, in their order.
pub fn check_all(history: &[Event], given: &Given) -> Vec<Judgement> {
    CHECKERS.iter().flat_map(|checker| (checker.check)(history, given)).collect()
}
