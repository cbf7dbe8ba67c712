//! Who waits for the store, and since when: nobody waits for longer than its stall limit and what
//! happened meanwhile explain.

use std::collections::BTreeMap;
use std::time::Duration;

use seedbed::{FaultKind, Stats, Violation};

use super::ANSWERED;

/// Calls of the disk that the store has under way at a time: the log task's, and a sync in the
/// background. Each of them may have begun to stall before a request comes, and may hang, the one
/// until the other is given up.
pub(super) const CALLS_AT_A_TIME: u64 = 2;
/// What makes a call of the disk take longer, and not fail.
pub(super) const STALLS: [FaultKind; 2] = [FaultKind::Stall, FaultKind::SlowSync];
/// Pieces of work that a request may wait for, besides one for each request before it: what the
/// store is at, its own, and a sync in the background or two.
const OTHERS: u64 = 4;

/// What a request may take, in nanoseconds of the world.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// What the store waits for a call of the disk that hangs.
    pub limit_ns: u64,
    /// The longest stall of a call.
    pub stall_ns: u64,
    /// The longest pause of the node.
    pub pause_ns: u64,
    /// What a piece of work of the store takes on an ordinary disk, with what the mode may wait of
    /// its own accord.
    pub piece_ns: u64,
}

impl Default for Allowance {
    /// For ever: what a world takes that nobody has described is not judged.
    fn default() -> Self {
        Self { limit_ns: u64::MAX, stall_ns: 0, pause_ns: 0, piece_ns: 0 }
    }
}

/// How often something has made the store wait that was no failure.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delays {
    stalls: u64,
    pauses: u64,
}

impl Delays {
    /// Those that a world has counted so far.
    pub(super) fn of(stats: &Stats) -> Self {
        Self { stalls: stats.faults_of(&STALLS), pauses: stats.fault(FaultKind::Pause) }
    }
}

/// The requests that are open.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    allowance: Allowance,
    open: BTreeMap<u64, Asked>,
    next: u64,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    at_ns: u64,
    /// What had happened by then.
    delays: Delays,
    /// Requests that were open already.
    ahead: u64,
}

/// Stands for a request until it is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question(u64);

impl Answers {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self { allowance, ..Self::default() }
    }

    /// A client asks for something.
    pub(super) fn asked(&mut self, at_ns: u64, delays: Delays) -> Question {
        let id = self.next;
        self.next += 1;
        self.open.insert(id, Asked { at_ns, delays, ahead: self.open.len() as u64 });
        Question(id)
    }

    /// It was answered, in whatever way.
    pub(super) fn answered(
        &mut self,
        question: Question,
        now_ns: u64,
        delays: Delays,
    ) -> Option<Violation> {
        let asked = self.open.remove(&question.0)?;
        self.judge(asked, now_ns, delays)
    }

    /// The boot is over: the open ones will not be answered.
    pub(super) fn ended(&mut self, now_ns: u64, delays: Delays) -> Option<Violation> {
        let open = std::mem::take(&mut self.open);
        open.into_values().find_map(|asked| self.judge(asked, now_ns, delays))
    }

    fn judge(&self, asked: Asked, now_ns: u64, delays: Delays) -> Option<Violation> {
        let allowed = self.allowed_ns(asked, delays);
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

    /// What hangs, what stalled or stood still, and the work itself, where each call may have to
    /// wait for the one beside it.
    fn allowed_ns(&self, asked: Asked, delays: Delays) -> u64 {
        let Allowance { limit_ns, stall_ns, pause_ns, piece_ns } = self.allowance;
        let stalls = delays.stalls.saturating_sub(asked.delays.stalls) + CALLS_AT_A_TIME;
        let pauses = delays.pauses.saturating_sub(asked.delays.pauses);
        let calls = (asked.ahead + OTHERS) * CALLS_AT_A_TIME;
        [
            limit_ns.saturating_mul(CALLS_AT_A_TIME),
            stall_ns.saturating_mul(stalls),
            pause_ns.saturating_mul(pauses),
            piece_ns.saturating_mul(calls),
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const ALLOWANCE: Allowance =
        Allowance { limit_ns: 30 * S, stall_ns: 2 * S, pause_ns: 600 * S, piece_ns: S / 100 };
    const NOTHING: Delays = Delays { stalls: 0, pauses: 0 };

    /// What comes of one request that is answered so much later, after these delays.
    fn judged(after_ns: u64, delays: Delays) -> Option<Violation> {
        let mut answers = Answers::new(ALLOWANCE);
        let question = answers.asked(S, NOTHING);
        answers.answered(question, S + after_ns, delays)
    }

    #[test]
    fn an_answer_after_three_limits_is_late() {
        assert!(judged(90 * S, NOTHING).is_some());
        let mut answers = Answers::new(ALLOWANCE);
        answers.asked(S, NOTHING);
        assert!(answers.ended(91 * S, NOTHING).is_some(), "none at all is late as well");
    }

    #[test]
    fn two_calls_that_hang_one_after_the_other_are_waited_for() {
        assert_eq!(judged(60 * S, NOTHING), None);
    }

    #[test]
    fn the_time_of_a_pause_is_not_the_stores() {
        let paused = Delays { pauses: 1, ..NOTHING };
        assert_eq!(judged(600 * S, paused), None);
        assert!(judged(600 * S, NOTHING).is_some());
        assert!(judged(690 * S, paused).is_some(), "what is beyond the pause is");
    }

    #[test]
    fn each_stall_since_the_request_is_allowed_for_and_none_before() {
        let stalled = Delays { stalls: 10, ..NOTHING };
        assert_eq!(judged(80 * S, stalled), None);
        let mut answers = Answers::new(ALLOWANCE);
        let question = answers.asked(S, stalled);
        assert!(answers.answered(question, 81 * S, stalled).is_some());
    }

    #[test]
    fn where_nothing_is_known_of_the_world_no_answer_is_late() {
        let mut answers = Answers::default();
        let question = answers.asked(0, NOTHING);
        assert_eq!(answers.answered(question, u64::MAX, NOTHING), None);
    }
}
