//! Calls that fail: one in each run of a workload, every call in turn, in every way that a rule of
//! a fault plan can make it fail.

use seedbed_faults::{On, Rule, Then};

/// Larger than any answer of these decisions: the greatest there is.
const GREATEST: u64 = u32::MAX as u64;

/// A call of a workload that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingCall {
    /// Which call, and with which error.
    pub rule: Rule,
    /// What it did nevertheless, in words.
    pub effect: &'static str,
    /// Label and answer of the decisions that say so.
    pub(super) answers: &'static [(&'static str, u64)],
}

/// A way to fail: what the call reports, what it did, and the decisions that say so.
type Way = (Then, &'static str, &'static [(&'static str, u64)]);

/// An error without effect and with the whole effect; a short transfer of all bytes but one and of
/// one byte. What lies between differs only in where a write ends.
const WAYS: [Way; 6] = [
    (Then::Eio, "it did nothing", &[]),
    (Then::Eio, "it did all", &[("fail.bytes", GREATEST), ("fail.done", GREATEST)]),
    (Then::NoSpace, "it did nothing", &[]),
    (Then::NoSpace, "it did all", &[("fail.bytes", GREATEST), ("fail.done", GREATEST)]),
    (Then::Short, "all bytes but one", &[]),
    (Then::Short, "one byte", &[("short", GREATEST)]),
];

/// For each way to fail the calls of the first boot, counted from 1, without end.
pub(super) fn ways() -> impl Iterator<Item = impl Iterator<Item = FailingCall>> {
    WAYS.into_iter().map(|(then, effect, answers)| {
        (1..).map(move |nth| FailingCall {
            rule: Rule { boot: Some(1), nth: Some(nth), ..Rule::new(On::Any, then) },
            effect,
            answers,
        })
    })
}
