//! Which crash states an exploration has exercised: what was done, what the power loss did to it,
//! and where the engine was.

use serde::{Deserialize, Serialize};

use crate::disk::{NodeOp, Pending, Tear};

/// What a power loss does to a persist node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relaxation {
    /// It is lost, and everything after it.
    Lost,
    /// It is lost, and something later stays.
    Reordered,
    /// Some of its sectors stay.
    Torn,
}

/// Where the engine was when the power went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// At work, or in its first boot.
    Work,
    /// In a recovery.
    Recovery,
}

impl Relaxation {
    /// All, in the order of a table's columns.
    pub const ALL: [Self; 3] = [Self::Lost, Self::Reordered, Self::Torn];

    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Reordered => "reordered",
            Self::Torn => "torn",
        }
    }
}

impl Phase {
    /// All, in the order of a table's columns.
    pub const ALL: [Self; 2] = [Self::Work, Self::Recovery];

    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Recovery => "recovery",
        }
    }
}

/// How many images that were recovered exercised each cell of operation, relaxation and phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    counts: [[[u64; Phase::ALL.len()]; Relaxation::ALL.len()]; NodeOp::ALL.len()],
}

impl Coverage {
    /// Images in a cell.
    pub fn count(&self, op: NodeOp, relaxation: Relaxation, phase: Phase) -> u64 {
        self.counts[op as usize][relaxation as usize][phase as usize]
    }

    /// The cells that no image exercised although they can be: only writes tear.
    pub fn empty(&self) -> impl Iterator<Item = (NodeOp, Relaxation, Phase)> {
        let cells = NodeOp::ALL.into_iter().flat_map(|op| {
            let relaxations = Relaxation::ALL.into_iter();
            relaxations.flat_map(move |how| Phase::ALL.map(|phase| (op, how, phase)))
        });
        cells.filter(|&(op, how, phase)| {
            let possible = how != Relaxation::Torn || op == NodeOp::Write;
            possible && self.count(op, how, phase) == 0
        })
    }

    pub(super) fn add(&mut self, other: &Self) {
        let (mine, theirs) = (self.counts.as_flattened_mut(), other.counts.as_flattened());
        let pairs = mine.as_flattened_mut().iter_mut().zip(theirs.as_flattened());
        pairs.for_each(|(mine, theirs)| *mine += theirs);
    }

    /// Notes an image.
    pub(super) fn note(
        &mut self,
        pending: &Pending<'_>,
        kept: &[bool],
        tears: &[Tear],
        phase: Phase,
    ) {
        let mut cells = [[false; Relaxation::ALL.len()]; NodeOp::ALL.len()];
        let last_kept = kept.iter().rposition(|kept| *kept);
        for node in (0..pending.len()).filter(|&node| !kept[node]) {
            let how = if tears.iter().any(|tear| tear.node == node) {
                Relaxation::Torn
            } else if last_kept.is_some_and(|last| last > node) {
                Relaxation::Reordered
            } else {
                Relaxation::Lost
            };
            cells[pending.op(node) as usize][how as usize] = true;
        }
        for (op, row) in cells.into_iter().enumerate() {
            for (how, hit) in row.into_iter().enumerate() {
                self.counts[op][how][phase as usize] += u64::from(hit);
            }
        }
    }
}
