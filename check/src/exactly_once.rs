//! Exactly once: what the target holds is what the source had up to the committed offset, and each
//! epoch is in it at all participants or at none.
//!
//! The content of the target is looked at from outside and given (`Given::target`): what the system
//! says about itself may not acquit it.

use std::collections::{BTreeMap, BTreeSet};

use crate::dense::Dense;
use crate::given::Given;
use crate::history::{Checkpoint, Event, Fact, Offset, Tx};
use crate::processes::Processes;
use crate::verdict::{Finding, Judgement, Law, Sheet};

/// Each record once.
pub static EXACTLY_ONCE: Law = Law {
    name: "exactly once",
    statement: "At quiescence each source record below the committed offset is in the target \
                exactly once, unless it was rejected legitimately; no other record is in it.",
};
/// Epochs are atomic.
pub static EPOCHS: Law = Law {
    name: "epoch atomicity",
    statement: "At quiescence the transactions of a durable checkpoint are committed at all their \
                participants, and those of any other checkpoint at none. Heuristic decisions are \
                not counted: they have laws of their own.",
};

pub(crate) static LAWS: [&Law; 2] = [&EXACTLY_ONCE, &EPOCHS];

/// The most records that are counted, which takes 256 MiB.
const RECORDS_MAX: u32 = 1 << 30;

#[derive(Clone, Copy, Debug, Default)]
struct State {
    participants: Processes,
    committed: Processes,
    heuristic: Processes,
    checkpoint: Option<(Checkpoint, u32)>,
    last: u32,
    is_begun: bool,
}

/// Judges the target, and the epochs.
pub(crate) fn check(history: &[Event], given: &Given) -> Vec<Judgement> {
    let mut sheet = Sheet::new(&LAWS);
    let mut states = Dense::<State>::new(history.len());
    let mut durable = BTreeSet::new();
    // How often each was started: one that a crash cut short has other transactions the next time.
    let mut starts = BTreeMap::<Checkpoint, u32>::new();
    let mut committed = None;
    let mut is_quiescent = false;
    for (at, event) in history.iter().enumerate() {
        match event.fact {
            Fact::Begin { tx, participants } => {
                let state = states.at(tx.0);
                state.participants = participants;
                state.is_begun = true;
            }
            Fact::CheckpointStart { checkpoint } => *starts.entry(checkpoint).or_default() += 1,
            Fact::Joins { tx, checkpoint } => {
                let start = starts.get(&checkpoint).copied().unwrap_or(0);
                let state = states.at(tx.0);
                state.checkpoint = Some((checkpoint, start));
                state.last = at as u32;
            }
            Fact::Decide { tx, commit: true } => {
                let state = states.at(tx.0);
                state.committed = state.committed.with(event.process);
                state.last = at as u32;
            }
            Fact::Heuristic { tx, .. } => {
                let state = states.at(tx.0);
                state.heuristic = state.heuristic.with(event.process);
            }
            Fact::Decide { tx, commit: false } => {
                let state = states.at(tx.0);
                state.last = at as u32;
                if state.checkpoint.is_some_and(|own| !durable.contains(&own)) {
                    state.checkpoint = None;
                }
            }
            Fact::CheckpointDurable { checkpoint, offset } => {
                let start = starts.get(&checkpoint).copied().unwrap_or(0);
                durable.insert((checkpoint, start));
                committed = Some((offset, at));
            }
            Fact::Restored { checkpoint, offset } => {
                durable.retain(|(durable, _)| *durable <= checkpoint);
                committed = Some((offset, at));
            }
            Fact::Quiescent => is_quiescent = true,
            _ => {}
        }
    }
    if is_quiescent {
        states.iter().for_each(|(tx, state)| epoch(&mut sheet, Tx(tx), state, &durable));
        records(&mut sheet, history, given, committed);
    } else if committed.is_some() {
        sheet.unknown(&EPOCHS, || "the history has no quiescence".into());
        sheet.unknown(&EXACTLY_ONCE, || "the history has no quiescence".into());
    }
    states.tell("transaction", &mut sheet);
    sheet.done()
}

fn epoch(sheet: &mut Sheet, tx: Tx, state: &State, durable: &BTreeSet<(Checkpoint, u32)>) {
    let Some(checkpoint) = state.checkpoint else { return };
    if !state.is_begun {
        return sheet.unknown(&EPOCHS, || format!("transaction {} never begins", tx.0));
    }
    let judged = state.participants - state.heuristic;
    let committed = state.committed & judged;
    let expected = match durable.contains(&checkpoint) {
        true if committed != judged => judged,
        false if !committed.is_empty() => Processes::NONE,
        _ => return,
    };
    sheet.violation(&EPOCHS, || {
        let expected = format!("{} of checkpoint {} at {expected}", tx.0, checkpoint.0.0);
        Finding::new(expected, format!("at {committed}"), [state.last as usize])
    });
}

/// The target, with one bit for each record of the source.
fn records(
    sheet: &mut Sheet,
    history: &[Event],
    given: &Given,
    committed: Option<(Offset, usize)>,
) {
    let Some(target) = &given.target else {
        if committed.is_some() {
            sheet.unknown(&EXACTLY_ONCE, || "the content of the target is not given".into());
        }
        return;
    };
    let (end, since) = committed.map_or((0, None), |(end, since)| (end.0, Some(since)));
    if end > RECORDS_MAX {
        return sheet.unknown(&EXACTLY_ONCE, || format!("offset {end} is no dense number"));
    }
    let mut rejected = Bits::new(end);
    given.rejected.iter().for_each(|offset| _ = rejected.insert(*offset));
    let mut present = Bits::new(end);
    for (offset, count) in target.iter().filter(|(_, count)| *count > 0) {
        let got = if offset.0 >= end {
            format!("record {}, which is not committed", offset.0)
        } else if rejected.contains(*offset) {
            format!("record {}, which was rejected", offset.0)
        } else if !present.insert(*offset) || *count > 1 {
            format!("record {} more than once", offset.0)
        } else {
            continue;
        };
        sheet.violation(&EXACTLY_ONCE, || found(history, end, since, *offset, got));
    }
    let missing = present.first_missing(&rejected);
    if let Some(offset) = missing {
        let got = format!("record {} not at all", offset.0);
        sheet.violation(&EXACTLY_ONCE, || found(history, end, since, offset, got));
    }
}

fn found(
    history: &[Event],
    end: u32,
    since: Option<usize>,
    offset: Offset,
    got: String,
) -> Finding {
    let carried = history.iter().rposition(|event| match event.fact {
        Fact::Covers { from, to, .. } => (from..to).contains(&offset),
        _ => false,
    });
    let expected = format!("each record below {end} once, and no other");
    Finding::new(expected, got, carried.into_iter().chain(since))
}

/// One bit for each number below a bound.
struct Bits {
    words: Vec<u64>,
    end: u32,
}

impl Bits {
    fn new(end: u32) -> Self {
        Self { words: vec![0; (end as usize).div_ceil(64)], end }
    }

    /// Puts it in, if it is below the bound. Whether it was not there before.
    fn insert(&mut self, offset: Offset) -> bool {
        let Some(word) = self.words.get_mut(offset.0 as usize / 64) else { return false };
        let bit = 1 << (offset.0 % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn contains(&self, offset: Offset) -> bool {
        let word = self.words.get(offset.0 as usize / 64);
        word.is_some_and(|word| word & (1 << (offset.0 % 64)) != 0)
    }

    /// The first number that is in neither.
    fn first_missing(&self, other: &Self) -> Option<Offset> {
        let both = self.words.iter().zip(&other.words).map(|(own, other)| own | other);
        let (at, word) = both.enumerate().find(|(at, word)| {
            let rest = self.end as usize - at * 64;
            *word != if rest >= 64 { u64::MAX } else { (1 << rest) - 1 }
        })?;
        Some(Offset(at as u32 * 64 + word.trailing_ones()))
    }
}
