//! What the source holds, and what happens while it is read.

use proptest::collection::vec;
use proptest::prelude::*;
use seedbed_engines::sink::WriteMode;
use serde::{Deserialize, Serialize};

/// Keys in use where rows may change each other; few, so that they do.
const KEYS: u32 = 24;

/// A part of the source, or something that is done when it is reached, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// First of all operations, and never drawn: the run is one of those that are gone through. It
    /// has two participants, and asks what becomes of each message.
    Explored,
    /// Rows. Where each must be new, they are.
    Rows {
        /// How many.
        count: u8,
        /// Decides their keys, where rows may change each other.
        keys: u8,
    },
    /// A row with the key of one that stands so many rows before it.
    Again {
        /// How many.
        back: u8,
    },
    /// Nothing comes for a while.
    Wait {
        /// How long, in milliseconds.
        ms: u16,
    },
    /// The source asks for a checkpoint.
    Checkpoint,
    /// A person decides the oldest prepared transaction of a participant.
    ByHand {
        /// Which participant.
        participant: u8,
        /// To commit it, or to abort it.
        commit: bool,
    },
}

/// A row of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: i64,
    /// `None` is null: an upsert keeps what is there.
    pub(super) note: Option<String>,
}

/// A part of the source that was made for a run.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Rows with offsets up to this one.
    RowsUpTo(u64),
    /// Something else.
    Other(Op),
}

/// The source: its rows, by offset, and its steps.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    pub(super) records: Vec<Record>,
    pub(super) steps: Vec<Step>,
}

impl Source {
    pub(super) fn new(ops: &[Op], mode: WriteMode) -> Self {
        let mut source = Self::default();
        for op in ops {
            match *op {
                Op::Rows { count, keys } => {
                    (0..u32::from(count)).for_each(|nth| source.add(nth, keys, mode));
                    source.steps.push(Step::RowsUpTo(source.records.len() as u64));
                }
                Op::Again { back } => {
                    let offset = source.records.len();
                    let of = offset.checked_sub(usize::from(back)).filter(|of| *of < offset);
                    let Some(of) = of else { continue };
                    let id = source.records[of].id;
                    source.records.push(Record { id, note: Some(format!("again {offset}")) });
                    source.steps.push(Step::RowsUpTo(source.records.len() as u64));
                }
                Op::Explored => {}
                other => source.steps.push(Step::Other(other)),
            }
        }
        source
    }

    fn add(&mut self, nth: u32, keys: u8, mode: WriteMode) {
        let offset = self.records.len();
        let id = match mode {
            WriteMode::Insert => offset as i64,
            _ => i64::from((nth * 5 + u32::from(keys)) % KEYS),
        };
        let note = (offset % 3 != 2).then(|| format!("row {offset}"));
        self.records.push(Record { id, note });
    }
}

/// Some rows in between, some waits, and now and then something else.
pub(super) fn strategy() -> BoxedStrategy<Vec<Op>> {
    let op = prop_oneof![
        8 => (1..24_u8, any::<u8>()).prop_map(|(count, keys)| Op::Rows { count, keys }),
        1 => (1..60_u8).prop_map(|back| Op::Again { back }),
        4 => prop_oneof![0..50_u16, 0..2000_u16, 0..20_000_u16].prop_map(|ms| Op::Wait { ms }),
        2 => Just(Op::Checkpoint),
        1 => (0..3_u8, any::<bool>())
            .prop_map(|(participant, commit)| Op::ByHand { participant, commit }),
    ];
    vec(op, 1..24).boxed()
}
