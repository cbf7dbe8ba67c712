//! All checkers in one list, so that a caller can run them all and time each.

use crate::commitment::Commitment;
use crate::fencing::Fencing;
use crate::given::Given;
use crate::history::Event;
use crate::liveness::Liveness;
use crate::pass::run;
use crate::steps::Steps;
use crate::verdict::{Judgement, Law};
use crate::{buffer, checkpoints, commitment, cost, exactly_once, fencing, liveness, pool, steps};

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

/// All checkers. `n` is the number of events.
pub static CHECKERS: [Checker; 9] = [
    Checker {
        name: "commitment",
        laws: &commitment::LAWS,
        complexity: "O(n); 64 bytes a transaction; log faults for each abort after all Yes",
        check: |history, given| run::<Commitment<'_>>(history, given),
    },
    Checker {
        name: "fencing",
        laws: &fencing::LAWS,
        complexity: "O(n); one number a process",
        check: |history, given| run::<Fencing<'_>>(history, given),
    },
    Checker {
        name: "liveness",
        laws: &liveness::LAWS,
        complexity: "O(n), and O(transactions) for each healed core; 48 bytes a transaction",
        check: |history, given| run::<Liveness<'_>>(history, given),
    },
    Checker {
        name: "automata",
        laws: &steps::LAWS,
        complexity: "O(n); 88 bytes a transaction",
        check: |history, given| run::<Steps<'_>>(history, given),
    },
    Checker {
        name: "cost",
        laws: &cost::LAWS,
        complexity: "O(n); 40 bytes a transaction; log faults for each over its budget",
        check: cost::check,
    },
    Checker {
        name: "checkpoints",
        laws: &checkpoints::LAWS,
        complexity: "O(n + ranges log ranges); 32 bytes a transaction, and what is open",
        check: checkpoints::check,
    },
    Checker {
        name: "exactly once",
        laws: &exactly_once::LAWS,
        complexity: "O(n + records); 40 bytes a transaction, two bits a record",
        check: exactly_once::check,
    },
    Checker {
        name: "pool",
        laws: &pool::LAWS,
        complexity: "O(n); 12 bytes a connection, 12 bytes a wait",
        check: pool::check,
    },
    Checker {
        name: "buffer",
        laws: &buffer::LAWS,
        complexity: "O(n); one number a process",
        check: buffer::check,
    },
];

/// The judgements of all checkers, in their order.
pub fn check_all(history: &[Event], given: &Given) -> Vec<Judgement> {
    CHECKERS.iter().flat_map(|checker| (checker.check)(history, given)).collect()
}

/// The judgements of `commitment`, `fencing`, `liveness` and `automata` in one pass: all laws of
/// two-phase commit but what it costs. The same as from each of them, in less time.
pub fn check_two_phase(history: &[Event], given: &Given) -> Vec<Judgement> {
    run::<((Commitment<'_>, Fencing<'_>), (Liveness<'_>, Steps<'_>))>(history, given)
}
