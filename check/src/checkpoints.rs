//! Checkpoints of a sink: their order, what must be done before one is durable, what it covers,
//! and what it allows.
//!
//! Chandy and Lamport's snapshots as stream processors use them: the sink commits one epoch of
//! transactions per checkpoint, and the source may forget a record once its checkpoint is durable
//! (P. Carbone et al., "State management in Apache Flink", VLDB 2017).

use std::collections::BTreeMap;

use crate::dense::Dense;
use crate::given::Given;
use crate::history::{Checkpoint, Event, Fact, Offset, Process, Tx};
use crate::processes::Processes;
use crate::verdict::{Finding, Judgement, Law, Sheet};

/// Numbers increase.
pub static ORDER: Law = Law {
    name: "checkpoints increase",
    statement: "Each checkpoint that starts has a greater number than all that started before in \
                the same life or are durable; checkpoints become durable in the order of their \
                numbers, each once, after they started.",
};
/// Durable after all votes.
pub static VOTES: Law = Law {
    name: "checkpoint after votes",
    statement: "A checkpoint becomes durable only after all participants of all its transactions \
                have voted Yes.",
};
/// No gap and no overlap.
pub static CONTIGUOUS: Law = Law {
    name: "checkpoint covers its records",
    statement: "What the transactions of a checkpoint cover is exactly the records from the offset \
                of the durable checkpoint before it to its own, without gap or overlap.",
};
/// The source is told after it is durable.
pub static UPSTREAM: Law = Law {
    name: "durable before acknowledged upstream",
    statement: "The source is told to forget only records below the offset of a checkpoint that is \
                durable already.",
};
/// A restore loses nothing that was visible.
pub static RESTORE: Law = Law {
    name: "restore",
    statement: "A sink goes on from a durable checkpoint at its offset, not older than any that is \
                visible: of which a transaction was committed, or that the source was told of.",
};

pub(crate) static LAWS: [&Law; 5] = [&ORDER, &VOTES, &CONTIGUOUS, &UPSTREAM, &RESTORE];

#[derive(Clone, Copy, Debug, Default)]
struct TxState {
    participants: Processes,
    yes: Processes,
    checkpoint: Option<Checkpoint>,
    is_begun: bool,
}

/// What a checkpoint holds before it is durable.
#[derive(Debug, Default)]
struct Open {
    txs: Vec<Tx>,
    ranges: Vec<(Tx, Offset, Offset, usize)>,
}

struct Judge<'a> {
    history: &'a [Event],
    sheet: Sheet,
    txs: Dense<TxState>,
    open: BTreeMap<Checkpoint, Open>,
    /// Ranges of transactions that have not joined a checkpoint yet.
    loose: BTreeMap<Tx, Vec<(Offset, Offset, usize)>>,
    started: Option<(Checkpoint, usize)>,
    /// The sink's process, and the number that the next one has to be greater than.
    sink: Option<Process>,
    floor: Option<(Checkpoint, usize)>,
    durable: BTreeMap<Checkpoint, (Offset, usize)>,
    visible: Option<(Checkpoint, usize)>,
    acked: Option<(Offset, usize)>,
}

/// Judges the checkpoints of a sink.
pub(crate) fn check(history: &[Event], _: &Given) -> Vec<Judgement> {
    let mut judge = Judge {
        history,
        sheet: Sheet::new(&LAWS),
        txs: Dense::new(history.len()),
        open: BTreeMap::new(),
        loose: BTreeMap::new(),
        started: None,
        sink: None,
        floor: None,
        durable: BTreeMap::new(),
        visible: None,
        acked: None,
    };
    for (at, event) in history.iter().enumerate() {
        match event.fact {
            Fact::Begin { tx, participants } => {
                let state = judge.txs.at(tx.0);
                state.participants = participants;
                state.is_begun = true;
            }
            Fact::Vote { tx, yes: true } => {
                let state = judge.txs.at(tx.0);
                state.yes = state.yes.with(event.process);
            }
            Fact::Decide { tx, commit: true } => judge.committed(at, tx),
            Fact::Decide { tx, commit: false } => judge.aborted(tx),
            Fact::CheckpointStart { checkpoint } => {
                judge.sink = Some(event.process);
                judge.start(at, checkpoint);
            }
            Fact::Crash if judge.sink == Some(event.process) => judge.sink_crashed(),
            Fact::Joins { tx, checkpoint } => judge.joins(tx, checkpoint),
            Fact::Covers { tx, from, to } => judge.covers(at, tx, from, to),
            Fact::CheckpointDurable { checkpoint, offset } => {
                judge.votes(at, checkpoint);
                judge.contiguous(at, checkpoint, offset);
                judge.is_durable(at, checkpoint, offset);
            }
            Fact::Restored { checkpoint, offset } => judge.restored(at, checkpoint, offset),
            Fact::UpstreamAck { offset } => judge.upstream(at, offset),
            _ => {}
        }
    }
    judge.txs.tell("transaction", &mut judge.sheet);
    judge.sheet.done()
}

impl Judge<'_> {
    #[inline]
    fn committed(&mut self, at: usize, tx: Tx) {
        let checkpoint = self.txs.at(tx.0).checkpoint;
        if checkpoint > self.visible.map(|(visible, _)| visible) {
            self.visible = checkpoint.map(|checkpoint| (checkpoint, at));
        }
    }

    /// An aborted transaction belongs to no checkpoint that is still open.
    fn aborted(&mut self, tx: Tx) {
        let checkpoint = self.txs.at(tx.0).checkpoint;
        if let Some(open) = checkpoint.and_then(|checkpoint| self.open.get_mut(&checkpoint)) {
            open.txs.retain(|own| *own != tx);
            open.ranges.retain(|range| range.0 != tx);
        }
        self.loose.remove(&tx);
    }

    fn start(&mut self, at: usize, checkpoint: Checkpoint) {
        if let Some((last, since)) = self.floor.filter(|(last, _)| *last >= checkpoint) {
            self.sheet.violation(&ORDER, || {
                let expected = format!("a checkpoint after {}", last.0);
                Finding::new(expected, format!("checkpoint {}", checkpoint.0), [since, at])
            });
        }
        self.started = self.started.max(Some((checkpoint, at)));
        self.floor = self.floor.max(Some((checkpoint, at)));
        // One that a crash cut short has no transactions any more.
        let cut_short = self.open.insert(checkpoint, Open::default()).unwrap_or_default();
        cut_short.txs.into_iter().for_each(|tx| self.txs.at(tx.0).checkpoint = None);
    }

    /// The next life knows of what is durable, and of nothing else.
    fn sink_crashed(&mut self) {
        self.floor = self.last_durable();
    }

    fn last_durable(&self) -> Option<(Checkpoint, usize)> {
        self.durable.last_key_value().map(|(last, (_, at))| (*last, *at))
    }

    fn joins(&mut self, tx: Tx, checkpoint: Checkpoint) {
        let before = self.txs.at(tx.0).checkpoint.replace(checkpoint);
        let mut ranges: Vec<_> = self.loose.remove(&tx).unwrap_or_default();
        if let Some(open) = before.and_then(|before| self.open.get_mut(&before)) {
            open.txs.retain(|own| *own != tx);
            let own = |range: &&(Tx, Offset, Offset, usize)| range.0 == tx;
            ranges
                .extend(open.ranges.iter().filter(own).map(|(_, from, to, at)| (*from, *to, *at)));
            open.ranges.retain(|range| range.0 != tx);
        }
        let open = self.open.entry(checkpoint).or_default();
        open.txs.push(tx);
        open.ranges.extend(ranges.into_iter().map(|(from, to, at)| (tx, from, to, at)));
    }

    fn covers(&mut self, at: usize, tx: Tx, from: Offset, to: Offset) {
        match self.txs.at(tx.0).checkpoint {
            Some(checkpoint) => {
                let open = self.open.entry(checkpoint).or_default();
                open.ranges.push((tx, from, to, at));
            }
            None => self.loose.entry(tx).or_default().push((from, to, at)),
        }
    }

    fn votes(&mut self, at: usize, checkpoint: Checkpoint) {
        let Some(open) = self.open.get(&checkpoint) else { return };
        for tx in &open.txs {
            let state = *self.txs.at(tx.0);
            let missing = state.participants - state.yes;
            if !state.is_begun {
                self.sheet.unknown(&VOTES, || format!("transaction {} never begins", tx.0));
            } else if !missing.is_empty() {
                let (history, joins) = (self.history, Fact::Joins { tx: *tx, checkpoint });
                self.sheet.violation(&VOTES, || {
                    let joined = history[..at].iter().position(|event| event.fact == joins);
                    let expected = format!("votes of {missing} on transaction {}", tx.0);
                    let got = format!("checkpoint {} durable without", checkpoint.0);
                    Finding::new(expected, got, joined.into_iter().chain([at]))
                });
            }
        }
    }

    fn contiguous(&mut self, at: usize, checkpoint: Checkpoint, offset: Offset) {
        let before = self.durable.last_key_value().map(|(_, (offset, at))| (*offset, *at));
        let open = self.open.remove(&checkpoint).unwrap_or_default();
        let mut ranges = open.ranges;
        ranges.sort_unstable_by_key(|(_, from, to, at)| (*from, *to, *at));
        let start = before.map_or_else(|| ranges.first().map_or(offset, |r| r.1), |(end, _)| end);
        let mut next = start;
        let mut last = before.map(|(_, at)| at);
        for (tx, from, to, seen) in ranges {
            if from != next || to < from {
                let witness = last.into_iter().chain([seen, at]);
                self.sheet.violation(&CONTIGUOUS, || {
                    let got = format!("{}..{} in transaction {}", from.0, to.0, tx.0);
                    Finding::new(format!("records from {} on", next.0), got, witness)
                });
            }
            next = next.max(to);
            last = Some(seen);
        }
        if next != offset {
            self.sheet.violation(&CONTIGUOUS, || {
                let expected = format!("checkpoint {} at offset {}", checkpoint.0, next.0);
                let got = format!("offset {}", offset.0);
                Finding::new(expected, got, last.into_iter().chain([at]))
            });
        }
    }

    fn is_durable(&mut self, at: usize, checkpoint: Checkpoint, offset: Offset) {
        let last = self.last_durable();
        let out_of_order = last.filter(|(last, _)| *last >= checkpoint);
        let is_started = self.started.is_some_and(|(started, _)| started >= checkpoint);
        if let Some((last, since)) = out_of_order {
            self.sheet.violation(&ORDER, || {
                let expected = format!("a checkpoint after {} to become durable", last.0);
                Finding::new(expected, format!("checkpoint {}", checkpoint.0), [since, at])
            });
        } else if !is_started {
            self.sheet.unknown(&ORDER, || format!("checkpoint {} never starts", checkpoint.0));
        }
        self.durable.insert(checkpoint, (offset, at));
        self.floor = self.floor.max(self.last_durable());
    }

    fn restored(&mut self, at: usize, checkpoint: Checkpoint, offset: Offset) {
        if self.started.is_none() && self.durable.is_empty() {
            let reason = || format!("event {at} restores what the history does not have");
            return self.sheet.unknown(&RESTORE, reason);
        }
        let durable = self.durable.get(&checkpoint).copied();
        let expected = match durable {
            None => Some("a durable checkpoint".to_owned()),
            Some((own, _)) if own != offset => Some(format!("its offset {}", own.0)),
            _ => None,
        };
        let visible = self.visible.filter(|(visible, _)| *visible > checkpoint);
        let acked = self.acked.filter(|(acked, _)| *acked > offset);
        let older = visible.map(|(visible, at)| (format!("{} or later", visible.0), at));
        let older = older.or(acked.map(|(acked, at)| (format!("offset {} or later", acked.0), at)));
        let since = older.as_ref().map(|(_, at)| *at).or(durable.map(|(_, at)| at));
        if let Some(expected) = expected.or(older.map(|(expected, _)| expected)) {
            self.sheet.violation(&RESTORE, || {
                let got = format!("checkpoint {} at offset {}", checkpoint.0, offset.0);
                Finding::new(expected, got, since.into_iter().chain([at]))
            });
        }
        // What was under way, and what is newer and was never visible, belongs to the past.
        self.durable.retain(|durable, _| *durable <= checkpoint);
        self.open.clear();
        self.loose.clear();
    }

    fn upstream(&mut self, at: usize, offset: Offset) {
        let newest = self.durable.last_key_value().map(|(_, (offset, at))| (*offset, *at));
        if newest.is_none_or(|(durable, _)| durable < offset) {
            self.sheet.violation(&UPSTREAM, || {
                let expected = match newest {
                    Some((durable, _)) => format!("at most offset {}", durable.0),
                    None => "nothing before the first durable checkpoint".to_owned(),
                };
                let witness = newest.map(|(_, at)| at).into_iter().chain([at]);
                Finding::new(expected, format!("offset {}", offset.0), witness)
            });
        }
        self.acked = self.acked.max(Some((offset, at)));
    }
}
