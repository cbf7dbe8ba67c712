//! What the sink's tasks share: rows on their way, transactions, and how far each is. Takes values,
//! does no I/O; who waits for what is in `coordinator.rs`.
//!
//! A batch of rows is a *slot* from the moment at which it leaves the buffer until its transaction
//! has its end everywhere: working, prepared, decided, gone. Slots are in the order of offsets, and
//! a checkpoint decides a prefix of them. Invariant: of two batches with a row of one key, the
//! later one does not begin before the earlier one is gone, so rows of one key are written in
//! order.
//!
//! A batch keeps its rows until no earlier one is working: until then it may have to give up its
//! places at the participants, so that the earlier one finds some, and be written again.

use std::collections::{BTreeMap, BTreeSet};

use seedbed_env::Instant;
use seedbed_env::map::FxHashMap;

use super::buffer::{Batch, Buffer};
use super::decisions::{Checkpoint, Decided, Found};
use super::error::Error;
use super::options::Options;
use super::participant::Gid;
use super::probe::Probe;

/// A batch that left the buffer.
#[derive(Debug)]
struct Slot {
    /// The first offset after it.
    to: u64,
    keys: Vec<u64>,
    phase: Phase,
    /// What it needs to be written again.
    batch: Option<Batch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Working,
    /// Without a transaction if all of its rows were left out, or were committed in one phase.
    Prepared {
        transaction: Option<Decided>,
        since: Instant,
    },
    Decided {
        checkpoint: u64,
    },
}

/// See the module.
#[derive(Debug)]
pub(super) struct State {
    pub(super) buffer: Buffer,
    pub(super) stopped: Option<Error>,
    /// The last durable checkpoint.
    pub(super) checkpoint: Checkpoint,
    /// Somebody waits for a checkpoint that reaches this offset.
    pub(super) wanted: u64,
    /// A batch waits for the end of others.
    hurry: bool,
    incarnation: u64,
    last_number: u64,
    slots: BTreeMap<u64, Slot>,
    next_slot: u64,
    /// The first slot that is working, or the next one.
    first_working: u64,
    /// How many slots are working.
    working: usize,
    /// No batch begins while so many work. Most of any more would wait for connections, and their
    /// keys would fill the processor's caches.
    working_max: usize,
    /// No more batches than this begin: participants have had no room for more.
    places: usize,
    /// How many rows of slots have a key with this hash.
    keys: FxHashMap<u64, u32>,
    /// Transactions that somebody works on, or that are prepared.
    active: BTreeSet<Gid>,
    /// Decisions that are in the log, by checkpoint.
    decided: BTreeMap<u64, Vec<Gid>>,
    /// Checkpoints whose decisions everybody has carried out, and that are in the log still.
    carried_out: Vec<u64>,
    /// Rows that were left out.
    pub(super) rejected: u64,
    /// Where participants did otherwise than was decided.
    pub(super) damage: Vec<(Gid, u8)>,
}

/// Batches that work at once, for each connection there may be: one that uses it, and one that has
/// it next.
const WORKING_PER_CONNECTION: usize = 2;

/// Whether a batch may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Yes, with this place in the order.
    Slot(u64),
    /// Something has to end first.
    Wait,
    /// Others that began have to be prepared first.
    WaitForVotes,
}

/// Whether a checkpoint is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// This one.
    Now(Proposal),
    /// Not before this moment.
    At(Instant),
    /// Nothing is there to be decided.
    Nothing,
}

/// A checkpoint to be made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) checkpoint: Checkpoint,
    pub(super) decided: Vec<Decided>,
    /// Decisions that can be forgotten with it.
    pub(super) carried_out: Vec<u64>,
    /// The last slot in it.
    last: u64,
}

impl State {
    pub(super) fn new(options: &Options, participants: usize, found: &Found) -> Self {
        let gids = |decided: &Vec<Decided>| decided.iter().map(|one| one.gid).collect();
        Self {
            buffer: Buffer::new(options, participants, found.checkpoint.offset),
            stopped: None,
            checkpoint: found.checkpoint,
            wanted: 0,
            hurry: false,
            incarnation: found.incarnation,
            last_number: 0,
            slots: BTreeMap::new(),
            next_slot: 0,
            first_working: 0,
            working: 0,
            working_max: WORKING_PER_CONNECTION * options.connections_max * participants,
            places: usize::MAX,
            keys: FxHashMap::default(),
            active: BTreeSet::new(),
            decided: found.decided.iter().map(|(number, all)| (*number, gids(all))).collect(),
            carried_out: Vec::new(),
            rejected: 0,
            damage: found.damage.clone(),
        }
    }

    /// A name for a new transaction, which is active from now on.
    pub(super) fn begin(&mut self) -> Gid {
        self.last_number += 1;
        let gid = Gid { incarnation: self.incarnation, number: self.last_number };
        let new = self.active.insert(gid);
        assert!(new, "names are used once");
        gid
    }

    /// The transaction was given up, and everybody was told who could be.
    pub(super) fn end(&mut self, gid: Gid) {
        self.active.remove(&gid);
    }

    /// No transaction below this one will be asked about.
    pub(super) fn finished(&self) -> Gid {
        let next = Gid { incarnation: self.incarnation, number: self.last_number + 1 };
        let logged = self.decided.values().flatten().min().copied();
        let active = self.active.first().copied();
        next.min(logged.unwrap_or(next)).min(active.unwrap_or(next))
    }

    /// The last transaction that was begun; no later one was.
    pub(super) fn newest(&self) -> Gid {
        Gid { incarnation: self.incarnation, number: self.last_number }
    }

    /// Whether somebody knows what becomes of this transaction.
    pub(super) fn is_known(&self, gid: Gid) -> bool {
        self.active.contains(&gid) || self.is_decided(gid)
    }

    /// Whether it is decided that it is to be committed.
    pub(super) fn is_decided(&self, gid: Gid) -> bool {
        self.decided.values().any(|gids| gids.contains(&gid))
    }

    /// All transactions of which somebody knows what becomes of them.
    pub(super) fn known(&self) -> BTreeSet<Gid> {
        self.active.iter().chain(self.decided.values().flatten()).copied().collect()
    }

    /// Lets a batch begin if nothing is in its way.
    pub(super) fn admit(&mut self, batch: &Batch, slots_max: usize) -> Admission {
        if self.working >= self.working_max {
            return Admission::WaitForVotes;
        }
        let has_place = self.slots.len() < slots_max.min(self.places);
        let held = has_place && batch.keys.iter().any(|key| self.keys.contains_key(key));
        if held || !has_place {
            Probe::KeyHeld.sometimes(held);
            self.hurry = true;
            return Admission::Wait;
        }
        for key in &batch.keys {
            *self.keys.entry(*key).or_default() += 1;
        }
        let nth = self.next_slot;
        self.next_slot += 1;
        let (keys, phase) = (Vec::new(), Phase::Working);
        let slot = Slot { to: batch.to, keys, phase, batch: None };
        self.slots.insert(nth, slot);
        self.working += 1;
        Admission::Slot(nth)
    }

    /// All votes of a batch are there. Gives the bytes of rows that are not needed any more.
    pub(super) fn prepared(
        &mut self,
        nth: u64,
        mut batch: Batch,
        transaction: Option<Decided>,
        now: Instant,
    ) -> usize {
        if transaction.is_none() {
            self.free_keys(&batch.keys);
            batch.keys.clear();
        }
        let slot = self.slots.get_mut(&nth).expect("a slot is there until it is decided");
        assert_eq!(slot.phase, Phase::Working, "a batch is prepared once");
        slot.phase = Phase::Prepared { transaction, since: now };
        self.working -= 1;
        slot.batch = Some(batch);
        self.release_rows()
    }

    /// Releases the rows of those batches before which none is working.
    fn release_rows(&mut self) -> usize {
        let mut released = 0;
        while let Some(slot) = self.slots.get_mut(&self.first_working)
            && slot.phase != Phase::Working
        {
            self.first_working += 1;
            let mut batch = slot.batch.take().expect("what was just prepared has its rows");
            slot.keys = std::mem::take(&mut batch.keys);
            released += batch.bytes;
            self.buffer.release(batch);
        }
        released
    }

    /// Whether no earlier batch is working.
    pub(super) fn is_first(&self, nth: u64) -> bool {
        nth == self.first_working
    }

    /// A participant had no room for a batch: so many at once are too many, and a checkpoint makes
    /// room.
    pub(super) fn no_room(&mut self) {
        self.hurry = true;
        self.places = self.slots.len().saturating_sub(1).max(1);
    }

    /// A participant has no room for a batch before which none is working, and without which no
    /// later one can be decided. Gives the last of those that are prepared there, which is working
    /// from now on: its transaction is to be aborted.
    pub(super) fn give_up(
        &mut self,
        nth: u64,
        participant: usize,
    ) -> Option<(u64, Decided, Batch)> {
        if !self.is_first(nth) {
            return None;
        }
        let prepared_there = |slot: &Slot| match slot.phase {
            Phase::Prepared { transaction, .. } => {
                transaction.filter(|one| one.participants & 1 << participant != 0)
            }
            _ => None,
        };
        let mut later = self.slots.range_mut(nth + 1..).rev();
        let (nth, transaction, slot) =
            later.find_map(|(nth, slot)| Some((*nth, prepared_there(slot)?, slot)))?;
        slot.phase = Phase::Working;
        self.working += 1;
        let batch = slot.batch.take().expect("rows are kept while an earlier batch is working");
        Some((nth, transaction, batch))
    }

    fn free_keys(&mut self, keys: &[u64]) {
        for key in keys {
            let count = self.keys.get_mut(key).expect("a slot's keys are counted");
            *count -= 1;
            if *count == 0 {
                self.keys.remove(key);
            }
        }
    }

    /// The checkpoint that should be made now.
    pub(super) fn due(&self, options: &Options, now: Instant) -> Due {
        let mut decided = Vec::new();
        let mut oldest: Option<Instant> = None;
        let mut end = None;
        for (nth, slot) in &self.slots {
            match slot.phase {
                Phase::Decided { .. } => continue,
                Phase::Working => break,
                Phase::Prepared { transaction, since } => {
                    decided.extend(transaction);
                    oldest = Some(oldest.map_or(since, |oldest| oldest.min(since)));
                    end = Some((*nth, slot.to));
                }
            }
            if decided.len() >= options.checkpoint_transactions {
                break;
            }
        }
        let (Some((last, offset)), Some(oldest)) = (end, oldest) else { return Due::Nothing };
        let full = decided.len() >= options.checkpoint_transactions;
        let wanted = self.wanted > self.checkpoint.offset && offset >= self.wanted;
        let at = oldest + options.checkpoint_delay;
        if !(full || wanted || self.hurry || now >= at) {
            return Due::At(at);
        }
        let checkpoint = Checkpoint { number: self.checkpoint.number + 1, offset };
        Due::Now(Proposal { checkpoint, decided, carried_out: self.carried_out.clone(), last })
    }

    /// A checkpoint is durable. Gives whether an earlier one is not carried out yet.
    pub(super) fn decided(&mut self, proposal: &Proposal) -> bool {
        let overlaps = self.slots.values().any(|slot| matches!(slot.phase, Phase::Decided { .. }));
        let number = proposal.checkpoint.number;
        assert!(number > self.checkpoint.number, "checkpoints are numbered upwards");
        self.checkpoint = proposal.checkpoint;
        self.hurry = false;
        let mut gone = Vec::new();
        for (nth, slot) in self.slots.range_mut(..=proposal.last) {
            match slot.phase {
                Phase::Prepared { transaction: None, .. } => gone.push(*nth),
                Phase::Prepared { .. } => slot.phase = Phase::Decided { checkpoint: number },
                Phase::Decided { .. } => (),
                Phase::Working => unreachable!("a checkpoint decides what is prepared"),
            }
        }
        gone.iter().for_each(|nth| drop(self.slots.remove(nth)));
        for one in &proposal.decided {
            self.active.remove(&one.gid);
        }
        if !proposal.decided.is_empty() {
            let gids = proposal.decided.iter().map(|one| one.gid).collect();
            self.decided.insert(number, gids);
        }
        self.forgotten(&proposal.carried_out);
        overlaps
    }

    /// Everybody has carried out the decisions of a checkpoint.
    pub(super) fn carried_out(&mut self, number: u64) {
        let over = |slot: &Slot| slot.phase == Phase::Decided { checkpoint: number };
        let gone: Vec<u64> =
            self.slots.iter().filter(|(_, slot)| over(slot)).map(|(nth, _)| *nth).collect();
        for nth in gone {
            let slot = self.slots.remove(&nth).expect("it was just there");
            self.free_keys(&slot.keys);
        }
        self.carried_out.push(number);
        self.places = self.places.saturating_add(1);
    }

    /// What can be forgotten without a checkpoint.
    pub(super) fn to_forget(&self) -> Vec<u64> {
        self.carried_out.clone()
    }

    /// These decisions are not in the log any more.
    pub(super) fn forgotten(&mut self, checkpoints: &[u64]) {
        self.carried_out.retain(|number| !checkpoints.contains(number));
        for number in checkpoints {
            self.decided.remove(number);
        }
    }

    /// The transactions of a checkpoint that is in the log.
    pub(super) fn gids_of(&self, checkpoint: u64) -> Vec<Gid> {
        self.decided.get(&checkpoint).cloned().unwrap_or_default()
    }

    /// Whether nothing is on its way: no rows, no transactions, no decisions to carry out.
    pub(super) fn is_settled(&self) -> bool {
        let open = self.decided.keys().any(|number| !self.carried_out.contains(number));
        !open && self.slots.is_empty() && self.buffer.bytes() == 0 && self.active.is_empty()
    }

    /// In how many transactions rows are that have no end yet.
    pub(super) fn transactions(&self) -> usize {
        self.slots.len()
    }
}
