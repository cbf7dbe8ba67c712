//! Who waits for the store, and since when: nobody waits for longer than its stall limit explains.

use std::collections::BTreeMap;
use std::time::Duration;

use seedbed::Violation;

use super::ANSWERED;

/// Pieces of work that a request may wait for, besides one for each request before it: what the
/// store is at, its own, and a sync in the background or two.
const OTHERS: u64 = 4;

/// The requests that are open.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    /// What a piece of work of the store may take, in nanoseconds.
    limit_ns: u64,
    open: BTreeMap<u64, Asked>,
    next: u64,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    at_ns: u64,
    /// Requests that were open already.
    ahead: u64,
}

/// Stands for a request until it is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question(u64);

impl Answers {
    /// `limit` is the store's stall limit, with what its mode may wait of its own accord.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit_ns: u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX), ..Self::default() }
    }

    /// A client asks for something.
    pub(super) fn asked(&mut self, at_ns: u64) -> Question {
        let id = self.next;
        self.next += 1;
        self.open.insert(id, Asked { at_ns, ahead: self.open.len() as u64 });
        Question(id)
    }

    /// It was answered, in whatever way.
    pub(super) fn answered(&mut self, question: Question, now_ns: u64) -> Option<Violation> {
        let asked = self.open.remove(&question.0)?;
        self.judge(asked, now_ns)
    }

    /// The boot is over: the open ones will not be answered.
    pub(super) fn ended(&mut self, now_ns: u64) -> Option<Violation> {
        let open = std::mem::take(&mut self.open);
        open.into_values().find_map(|asked| self.judge(asked, now_ns))
    }

    /// Twice the limit, since a node's clock may run slow or stand still for a while.
    fn judge(&self, asked: Asked, now_ns: u64) -> Option<Violation> {
        let pieces = asked.ahead + OTHERS;
        let allowed = self.limit_ns.saturating_mul(2).saturating_mul(pieces);
        let waited = now_ns.saturating_sub(asked.at_ns);
        (waited > allowed).then(|| {
            let seconds = |ns: u64| Duration::from_nanos(ns).as_secs();
            let got = format!(
                "a client has waited for {} s, with {} requests before it: at most {} s",
                seconds(waited),
                asked.ahead,
                seconds(allowed)
            );
            Violation::new(ANSWERED.name, ANSWERED.statement, got)
        })
    }
}
