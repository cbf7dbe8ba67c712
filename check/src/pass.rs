//! Several checkers in one pass: each sees every event, one after the other.
//!
//! What an event costs is mostly one branch that the processor foresees wrongly, on the kind of its
//! fact. The second checker that looks at the same event finds that branch foreseen.

use crate::given::Given;
use crate::history::Event;
use crate::verdict::Judgement;

/// A checker on its way through a history.
pub(crate) trait Pass<'a>: Sized {
    /// Before the first event.
    fn new(history: &'a [Event], given: &'a Given) -> Self;
    /// The next event, and its number.
    fn see(&mut self, at: usize, event: &Event);
    /// After the last event.
    fn end(self) -> Vec<Judgement>;
}

impl<'a, A: Pass<'a>, B: Pass<'a>> Pass<'a> for (A, B) {
    fn new(history: &'a [Event], given: &'a Given) -> Self {
        (A::new(history, given), B::new(history, given))
    }

    #[inline(always)]
    fn see(&mut self, at: usize, event: &Event) {
        self.0.see(at, event);
        self.1.see(at, event);
    }

    fn end(self) -> Vec<Judgement> {
        let mut judgements = self.0.end();
        judgements.extend(self.1.end());
        judgements
    }
}

/// Runs it.
pub(crate) fn run<'a, P: Pass<'a>>(history: &'a [Event], given: &'a Given) -> Vec<Judgement> {
    let mut pass = P::new(history, given);
    for (at, event) in history.iter().enumerate() {
        pass.see(at, event);
    }
    pass.end()
}
