//! The one door for nondeterminism: [`Choices::choose`].
//!
//! Scheduling order, latencies, injected faults, what survives a power loss: everything that
//! could have gone another way asks here. The answer comes from the seed (ChaCha8), or from a
//! recorded list. Invariant: **0 is always the most benign answer** (no fault, first in line,
//! least latency, nothing lost), so that a shrunk trace states only what matters and leaves the
//! rest at 0.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use seedbed_env::map::{FxHashMap, FxHashSet};
use seedbed_faults::Ratio;
use seedbed_traces::Decision;

/// Where the answers come from.
#[derive(Clone, Debug, Default)]
pub enum Source {
    /// The world's seed.
    #[default]
    Seed,
    /// A complete list: question by question the same label and bound, or the replay diverged.
    Complete(Arc<[Decision]>),
    /// Only the answers that are not 0, found by label and count; all others are 0.
    Sparse(Arc<[Decision]>),
    /// The world's seed, but the answers to questions with these labels are 0: a quieter world.
    Quiet(Arc<[String]>),
}

/// Where a replay left its list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The number of the decision, from 0.
    pub decision: u64,
    /// What the list holds there, or that it has ended.
    pub expected: String,
    /// What the program asked instead.
    pub asked: String,
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { decision, expected, asked } = self;
        write!(f, "decision {decision}: the trace has {expected}, the program asked {asked}")
    }
}

#[derive(Debug)]
enum Answers {
    Seed,
    Complete {
        list: Arc<[Decision]>,
        diverged: Option<Divergence>,
    },
    /// By label, then by count.
    Sparse(FxHashMap<String, FxHashMap<u64, u64>>),
    Quiet(FxHashSet<String>),
}

/// A stream of decisions; see the module's head.
#[derive(Debug)]
pub(crate) struct Choices {
    rng: ChaCha8Rng,
    answers: Answers,
    /// Decisions so far.
    count: u64,
    /// How often each label was asked; kept only while recording or replaying sparsely.
    asked: Vec<(&'static str, u64)>,
    record: Option<Vec<Decision>>,
    /// Answers straight from the generator: nothing to look up, nothing to record.
    fast: bool,
}

impl Choices {
    pub(crate) fn new(seed: u64, source: Source, record: bool) -> Self {
        let answers = match source {
            Source::Seed => Answers::Seed,
            Source::Complete(list) => Answers::Complete { list, diverged: None },
            Source::Sparse(list) => {
                let mut map = FxHashMap::<String, FxHashMap<u64, u64>>::default();
                for d in list.iter() {
                    map.entry(d.label.to_string()).or_default().insert(d.nth, d.value);
                }
                Answers::Sparse(map)
            }
            Source::Quiet(labels) => Answers::Quiet(labels.iter().cloned().collect()),
        };
        let fast = matches!(answers, Answers::Seed) && !record;
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            answers,
            count: 0,
            asked: Vec::new(),
            record: record.then(Vec::new),
            fast,
        }
    }

    /// Picks one of `0..bound`. A bound of 1 is no question and is not counted.
    #[inline]
    pub(crate) fn choose(&mut self, label: &'static str, bound: u64) -> u64 {
        debug_assert!(bound > 0, "nothing to choose from for {label}");
        if bound <= 1 {
            return 0;
        }
        self.count += 1;
        if self.fast {
            return draw(&mut self.rng, bound);
        }
        self.choose_slowly(label, bound)
    }

    #[inline(never)]
    fn choose_slowly(&mut self, label: &'static str, bound: u64) -> u64 {
        if let (Answers::Sparse(map), None) = (&self.answers, &self.record)
            && !map.contains_key(label)
        {
            return 0;
        }
        let nth = self.next_nth(label);
        let number = self.count - 1;
        let value = match &mut self.answers {
            Answers::Seed => draw(&mut self.rng, bound),
            Answers::Quiet(labels) if labels.contains(label) => 0,
            Answers::Quiet(_) => draw(&mut self.rng, bound),
            Answers::Complete { list, diverged } => {
                replay_complete(list, diverged, number, label, bound)
            }
            // A shrunk list may have been taken from a run with a larger bound.
            Answers::Sparse(map) => {
                let answer = map.get(label).and_then(|answers| answers.get(&nth));
                answer.map_or(0, |value| (*value).min(bound - 1))
            }
        };
        if let Some(record) = &mut self.record {
            record.push(Decision { label: label.into(), nth, bound, value });
        }
        value
    }

    fn next_nth(&mut self, label: &'static str) -> u64 {
        if let Some((_, count)) = self.asked.iter_mut().find(|(known, _)| *known == label) {
            *count += 1;
            return *count - 1;
        }
        self.asked.push((label, 1));
        0
    }

    /// True with the given probability. Answer 0 is false.
    #[inline]
    pub(crate) fn chance(&mut self, label: &'static str, ratio: Ratio) -> bool {
        if ratio.is_never() {
            return false;
        }
        let (numerator, denominator) =
            (u64::from(ratio.numerator()), u64::from(ratio.denominator()));
        if numerator >= denominator {
            return true;
        }
        self.choose(label, denominator) >= denominator - numerator
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn divergence(&self) -> Option<&Divergence> {
        match &self.answers {
            Answers::Complete { diverged, .. } => diverged.as_ref(),
            _ => None,
        }
    }

    /// After the last decision: a complete list that was not used up is a divergence too.
    pub(crate) fn finish(&mut self) -> Option<Divergence> {
        if let Answers::Complete { list, diverged } = &mut self.answers
            && diverged.is_none()
            && (self.count as usize) < list.len()
        {
            *diverged = Some(Divergence {
                decision: self.count,
                expected: describe(&list[self.count as usize]),
                asked: "nothing more: it ended".to_owned(),
            });
        }
        self.divergence().cloned()
    }

    pub(crate) fn take_record(&mut self) -> Vec<Decision> {
        self.record.take().unwrap_or_default()
    }
}

/// A uniform draw by multiply-and-shift; the bias is below 2^-32 for every bound in use.
#[inline]
fn draw(rng: &mut ChaCha8Rng, bound: u64) -> u64 {
    if bound <= 1 << 32 {
        return (u64::from(rng.next_u32()) * bound) >> 32;
    }
    ((u128::from(rng.next_u64()) * u128::from(bound)) >> 64) as u64
}

fn replay_complete(
    list: &[Decision],
    diverged: &mut Option<Divergence>,
    number: u64,
    label: &str,
    bound: u64,
) -> u64 {
    if diverged.is_some() {
        return 0;
    }
    let asked = || format!("{label} of {bound}");
    match list.get(number as usize) {
        Some(d) if d.label == label && d.bound == bound && d.value < bound => return d.value,
        Some(d) => {
            let expected = describe(d);
            *diverged = Some(Divergence { decision: number, expected, asked: asked() });
        }
        None => {
            let expected = "no more decisions".to_owned();
            *diverged = Some(Divergence { decision: number, expected, asked: asked() });
        }
    }
    0
}

fn describe(decision: &Decision) -> String {
    format!("{} of {} (answer {})", decision.label, decision.bound, decision.value)
}
