//! The pure part of the engine: what a commit does to the root and to the entries. No world.

use std::collections::BTreeMap;

use seedbed_env::cpu;

use super::format::{self, Op};
use super::merkle::{Change, Hash, Tree, state_root};
use crate::classes::MERKLE;

/// The state of a store: values by key.
pub type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// Sequence number and root, commit by commit.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    seq: u64,
    root: Hash,
    tree: Tree,
    /// A planted bug: deletes leave the tree as it is.
    keeps_deleted: bool,
}

impl Kernel {
    /// A state with this tree at `seq`.
    pub(super) fn new(seq: u64, mut tree: Tree, keeps_deleted: bool) -> Self {
        let root = state_root(seq, &tree.root());
        Self { seq, root, tree, keeps_deleted }
    }

    /// The sequence number of the last commit.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// The root after the last commit.
    pub(super) fn root(&self) -> Hash {
        self.root
    }

    /// Does the next commit; `ops` are changes that were checked. Returns the new root.
    pub(super) fn advance(&mut self, ops: &[u8]) -> Hash {
        self.advance_all(std::iter::once(ops))[0]
    }

    /// Does the next commits, in order. Returns the root after each of them, for less than one by
    /// one.
    pub(super) fn advance_all<'a>(&mut self, commits: impl Iterator<Item = &'a [u8]>) -> Vec<Hash> {
        cpu::run(&MERKLE, || {
            let (mut ops, mut ends) = (Vec::new(), Vec::new());
            for commit in commits {
                assert!(!commit.is_empty(), "a commit changes something");
                for_each_op(commit, |op| match op {
                    Op::Put { key, value } => ops.push((key, Some(value))),
                    Op::Delete { .. } if self.keeps_deleted => {}
                    Op::Delete { key } => ops.push((key, None)),
                });
                ends.push(ops.len());
            }
            let (mut changes, mut done) = (Change::all(&ops), 0);
            for end in ends {
                self.tree.change_all(&mut changes[done..end]);
                self.tree.ask_root();
                done = end;
            }
            let mut roots = self.tree.take_roots();
            for root in &mut roots {
                self.seq += 1;
                *root = state_root(self.seq, root);
            }
            self.root = roots.last().copied().unwrap_or(self.root);
            roots
        })
    }

    /// A planted bug's way to another sequence number.
    pub(super) fn pretend_seq(&mut self, seq: u64) {
        self.seq = seq;
        self.root = state_root(seq, &self.tree.root());
    }
}

/// Does changes that were checked to a state's entries.
pub(super) fn apply(entries: &mut Entries, ops: &[u8]) {
    assert!(!ops.is_empty(), "a commit changes something");
    for_each_op(ops, |op| match op {
        // One way down, for a copy of the key that may be in vain.
        Op::Put { key, value } => value.clone_into(entries.entry(key.to_vec()).or_default()),
        Op::Delete { key } => {
            entries.remove(key);
        }
    });
}

fn for_each_op<'a>(mut ops: &'a [u8], mut visit: impl FnMut(Op<'a>)) {
    while !ops.is_empty() {
        let before = ops.len();
        visit(format::take_op(&mut ops).expect("changes are checked before they are applied"));
        assert!(ops.len() < before, "every change takes bytes");
    }
}
