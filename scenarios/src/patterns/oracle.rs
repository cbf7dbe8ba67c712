//! What the one client knows: the puts that may be there, and how many of them must be.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use seedbed::Violation;
use seedbed::seam::map::FxHasher64;
use serde::{Deserialize, Serialize};

use super::{DURABLE, PREFIX, State, with_put};

/// An operation of the client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Op {
    /// Writes its number to some keys, atomically.
    Put {
        /// The keys.
        keys: Vec<u8>,
    },
    /// Checkpoints or compacts.
    Checkpoint,
}

/// The client's memory, which outlives the node.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Client {
    queue: VecDeque<Op>,
    /// Puts that may be there, in order: number and keys.
    puts: Vec<(u64, Vec<u8>)>,
    /// So many of them were acknowledged as durable.
    durable: usize,
    /// The last number given out; none is given twice.
    number: u64,
}

impl Client {
    pub(super) fn new(ops: &[Op]) -> Self {
        Self { queue: ops.to_vec().into(), ..Self::default() }
    }

    pub(super) fn next_op(&mut self) -> Option<Op> {
        self.queue.pop_front()
    }

    /// A put begins: it may be there from now on. Gives its number.
    pub(super) fn submit(&mut self, keys: &[u8]) -> u64 {
        self.number += 1;
        self.puts.push((self.number, keys.to_vec()));
        self.number
    }

    /// All that was put is durable.
    pub(super) fn acknowledged(&mut self) {
        self.durable = self.puts.len();
    }

    /// Judges what a recovery gives. What is not there now will not come.
    pub(super) fn recovered(&mut self, found: &State) -> Result<(), Violation> {
        let mut state = State::default();
        let mut at = (state == *found).then_some(0);
        for (count, (number, keys)) in self.puts.iter().enumerate() {
            state = with_put(state, keys, *number);
            if state == *found {
                at = Some(count + 1);
            }
        }
        let expected = || {
            let (durable, all) = (self.durable, self.puts.len());
            format!("the state after at least {durable} of {all} puts, the last being {state:?}")
        };
        match at {
            Some(count) if count >= self.durable => {
                self.puts.truncate(count);
                Ok(())
            }
            Some(count) => {
                let got = format!("{found:?}, the state after {count} puts");
                Err(Violation::new(DURABLE.name, expected(), got))
            }
            None => Err(Violation::new(PREFIX.name, expected(), format!("{found:?}"))),
        }
    }

    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = FxHasher64::default();
        self.hash(&mut hasher);
        hasher.finish()
    }
}
