//! What a checker says: one verdict for each of its laws.
//!
//! **Invariant:** `Unknown` is never a pass. A law that could not be judged says why.

use std::fmt;

/// A rule that every history must obey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Law {
    /// Short, in words with spaces, no two alike: `AC1 agreement`.
    pub name: &'static str,
    /// What exactly must hold.
    pub statement: &'static str,
}

/// How a law was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which law.
    pub law: &'static Law,
    /// What should have been, in words.
    pub expected: String,
    /// What was instead, in words.
    pub got: String,
    /// The numbers of the events that show it together, ascending and few. The last one is where it
    /// was noticed. Empty only if no event shows it.
    pub witness: Vec<usize>,
}

/// What is known about one law on one history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Ok,
    /// It does not; the first violation.
    Violation(Violation),
    /// It cannot be said, and why. Not a pass.
    Unknown(String),
}

/// One law and its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Which law.
    pub law: &'static Law,
    /// What is known about it.
    pub verdict: Verdict,
}

impl Verdict {
    /// Whether the law holds.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok)
    }

    /// The violation, if it is one.
    pub fn violation(&self) -> Option<&Violation> {
        match self {
            Self::Violation(violation) => Some(violation),
            _ => None,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { law, expected, got, witness } = self;
        write!(f, "{}: expected {expected}, got {got}", law.name)?;
        match &witness[..] {
            [] => Ok(()),
            [one] => write!(f, " (event {one})"),
            many => {
                let many: Vec<_> = many.iter().map(usize::to_string).collect();
                write!(f, " (events {})", many.join(", "))
            }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => write!(f, "ok"),
            Self::Violation(violation) => write!(f, "violation of {violation}"),
            Self::Unknown(reason) => write!(f, "unknown: {reason}"),
        }
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Violation(violation) => write!(f, "{violation}"),
            other => write!(f, "{}: {other}", self.law.name),
        }
    }
}

/// The verdicts of one checker while it runs: the first violation of each law stays, and outweighs
/// what is unknown.
#[derive(Debug)]
pub(crate) struct Sheet {
    judgements: Vec<Judgement>,
}

impl Sheet {
    pub(crate) fn new(laws: &[&'static Law]) -> Self {
        let fresh = |law: &&'static Law| Judgement { law, verdict: Verdict::Ok };
        Self { judgements: laws.iter().map(fresh).collect() }
    }

    fn verdict(&mut self, law: &'static Law) -> &mut Verdict {
        let found = self.judgements.iter_mut().find(|judgement| judgement.law == law);
        &mut found.expect("a checker judges only its own laws").verdict
    }

    /// Notes a violation, which is put together only if it is the first of its law.
    #[cold]
    pub(crate) fn violation(&mut self, law: &'static Law, make: impl FnOnce() -> Finding) {
        let verdict = self.verdict(law);
        if verdict.violation().is_none() {
            let Finding { expected, got, mut witness } = make();
            witness.sort_unstable();
            witness.dedup();
            *verdict = Verdict::Violation(Violation { law, expected, got, witness });
        }
    }

    /// Notes that a law cannot be judged.
    #[cold]
    pub(crate) fn unknown(&mut self, law: &'static Law, reason: impl FnOnce() -> String) {
        let verdict = self.verdict(law);
        if verdict.is_ok() {
            *verdict = Verdict::Unknown(reason());
        }
    }

    /// Notes that none of the laws can be judged.
    pub(crate) fn all_unknown(&mut self, reason: impl Fn() -> String) {
        for judgement in self.judgements.iter_mut().filter(|judged| judged.verdict.is_ok()) {
            judgement.verdict = Verdict::Unknown(reason());
        }
    }

    pub(crate) fn done(self) -> Vec<Judgement> {
        self.judgements
    }
}

/// What a violation says besides its law. The witness may be in any order.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) expected: String,
    pub(crate) got: String,
    pub(crate) witness: Vec<usize>,
}

impl Finding {
    pub(crate) fn new(
        expected: impl Into<String>,
        got: impl Into<String>,
        witness: impl IntoIterator<Item = usize>,
    ) -> Self {
        let witness = witness.into_iter().collect();
        Self { expected: expected.into(), got: got.into(), witness }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static LAW: Law = Law { name: "first", statement: "It holds." };

    #[test]
    fn the_first_violation_of_a_law_stays_and_outweighs_the_unknown() {
        let mut sheet = Sheet::new(&[&LAW]);
        sheet.unknown(&LAW, || "too short".into());
        sheet.violation(&LAW, || Finding::new("a", "b", [9, 3, 9]));
        sheet.violation(&LAW, || Finding::new("a", "c", [1]));
        sheet.unknown(&LAW, || "too late".into());
        let judged = sheet.done();
        assert_eq!(judged[0].to_string(), "first: expected a, got b (events 3, 9)");
        assert_eq!(judged[0].verdict.violation().map(|found| found.witness.len()), Some(2));
    }
}
