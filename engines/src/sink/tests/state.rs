//! What the sink's tasks share, against a plain model: who may begin, what a checkpoint decides,
//! and what may be forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use seedbed_env::Instant;

use super::super::buffer::Batch;
use super::super::decisions::{Checkpoint, Decided, Found};
use super::super::options::Options;
use super::super::participant::Gid;
use super::super::state::{Admission, Due, Proposal, State};
use super::{narrow, narrow_row};

fn at(ms: u64) -> Instant {
    Instant::from_ns(ms * 1_000_000)
}

fn gid(incarnation: u64, number: u64) -> Gid {
    Gid { incarnation, number }
}

fn options(checkpoint_transactions: usize) -> Options {
    Options { checkpoint_transactions, ..Options::default() }
}

fn found(incarnation: u64) -> Found {
    Found { incarnation, ..Found::default() }
}

/// A batch of rows with these keys.
fn batch(state: &mut State, keys: &[i64]) -> Batch {
    for key in keys {
        let offset = state.buffer.next_offset();
        let row = narrow_row(*key, None, None);
        state.buffer.push(&narrow(), offset, &row, at(0)).unwrap();
    }
    state.buffer.seal();
    state.buffer.take().unwrap()
}

fn admitted(state: &mut State, batch: &Batch) -> u64 {
    match state.admit(batch, 100) {
        Admission::Slot(nth) => nth,
        other => panic!("nothing is in its way: {other:?}"),
    }
}

fn decided(gid: Gid) -> Option<Decided> {
    Some(Decided { gid, participants: 1 })
}

fn now(state: &State, options: &Options, ms: u64) -> Proposal {
    match state.due(options, at(ms)) {
        Due::Now(proposal) => proposal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_batch_waits_for_the_end_of_those_with_its_keys_but_not_of_others() {
    let mut state = State::new(&options(10), 1, &found(1));
    let first = batch(&mut state, &[1, 2, 2]);
    let second = batch(&mut state, &[3, 2]);
    let third = batch(&mut state, &[4]);
    let nth = admitted(&mut state, &first);
    assert_eq!(state.admit(&second, 100), Admission::Wait);
    admitted(&mut state, &third);
    let begun = state.begin();
    state.prepared(nth, first, decided(begun), at(1));
    assert_eq!(state.admit(&second, 100), Admission::Wait, "prepared is not the end");
    let proposal = now(&state, &options(10), 1);
    assert_eq!((proposal.checkpoint.offset, proposal.decided.len()), (3, 1));
    state.decided(&proposal);
    assert_eq!(state.admit(&second, 100), Admission::Wait, "decided is not the end");
    state.carried_out(1);
    admitted(&mut state, &second);
    assert_eq!(state.transactions(), 2);
}

#[test]
fn so_many_transactions_and_no_more() {
    let mut state = State::new(&options(10), 1, &found(1));
    let (first, second) = (batch(&mut state, &[1]), batch(&mut state, &[2]));
    assert!(matches!(state.admit(&first, 1), Admission::Slot(0)));
    assert_eq!(state.admit(&second, 1), Admission::Wait);
    // All of its rows were left out: it ends with the next checkpoint, which does not wait.
    state.prepared(0, first, None, at(7));
    let proposal = now(&state, &options(10), 7);
    assert!(proposal.decided.is_empty() && proposal.checkpoint.offset == 1);
    state.decided(&proposal);
    assert!(matches!(state.admit(&second, 1), Admission::Slot(1)));
}

#[test]
fn as_many_work_as_connections_take_and_no_checkpoint_is_hurried_for_more() {
    let mut options = options(10);
    options.connections_max = 1;
    let mut state = State::new(&options, 1, &found(1));
    let batches: Vec<Batch> = (0..4).map(|key| batch(&mut state, &[key])).collect();
    let mut batches = batches.into_iter();
    let (first, second) = (batches.next().unwrap(), batches.next().unwrap());
    let (third, fourth) = (batches.next().unwrap(), batches.next().unwrap());
    let nth = admitted(&mut state, &first);
    admitted(&mut state, &second);
    assert_eq!(state.admit(&third, 100), Admission::WaitForVotes);
    let begun = state.begin();
    state.prepared(nth, first, decided(begun), at(1));
    assert!(matches!(state.due(&options, at(1)), Due::At(_)), "nothing waits for its end");
    admitted(&mut state, &third);
    assert_eq!(state.admit(&fourth, 100), Admission::WaitForVotes);
}

#[test]
fn fewer_begin_where_there_was_no_room_until_checkpoints_are_carried_out() {
    let mut state = State::new(&options(10), 1, &found(1));
    let batches: Vec<Batch> = (0..5).map(|key| batch(&mut state, &[key])).collect();
    let slots: Vec<u64> = batches.iter().take(3).map(|one| admitted(&mut state, one)).collect();
    state.no_room();
    assert_eq!(state.admit(&batches[3], 100), Admission::Wait);
    let mut batches = batches.into_iter();
    for nth in slots {
        let begun = state.begin();
        state.prepared(nth, batches.next().unwrap(), decided(begun), at(0));
    }
    let proposal = now(&state, &options(10), 50);
    state.decided(&proposal);
    state.carried_out(1);
    // There is room for two, and for one more since that went well.
    let left: Vec<Batch> =
        batches.chain([batch(&mut state, &[9]), batch(&mut state, &[10])]).collect();
    for batch in &left[..3] {
        admitted(&mut state, batch);
    }
    assert_eq!(state.admit(&left[3], 100), Admission::Wait);
}

#[test]
fn a_checkpoint_is_due_by_time_by_number_or_when_somebody_waits() {
    let few = options(2);
    let mut state = State::new(&few, 1, &found(1));
    assert_eq!(state.due(&few, at(1000)), Due::Nothing);
    let batches: Vec<Batch> = (0..4).map(|key| batch(&mut state, &[key])).collect();
    let slots: Vec<u64> = batches.iter().map(|batch| admitted(&mut state, batch)).collect();
    let mut batches = batches.into_iter();
    let mut prepare = |state: &mut State, nth: usize, ms| {
        let begun = state.begin();
        state.prepared(slots[nth], batches.next().unwrap(), decided(begun), at(ms));
    };
    // They end in another order than they began in: the batches have one length.
    prepare(&mut state, 1, 5);
    assert_eq!(state.due(&few, at(1000)), Due::Nothing, "an earlier one is under way");
    prepare(&mut state, 0, 10);
    assert_eq!(now(&state, &few, 10).checkpoint.offset, 2, "two are there");
    let many = options(10);
    assert_eq!(state.due(&many, at(54)), Due::At(at(55)), "50 ms after the older one");
    assert_eq!(now(&state, &many, 55).checkpoint.offset, 2);
    state.wanted = 3;
    assert_eq!(state.due(&many, at(54)), Due::At(at(55)), "what is wanted is not there");
    prepare(&mut state, 2, 11);
    assert_eq!(now(&state, &many, 11).checkpoint.offset, 3);
    // Time, or who waits, does not make it longer than it may be.
    assert_eq!(now(&state, &few, 1000).decided.len(), 2);
}

#[test]
fn what_a_start_finds_is_known_until_it_is_forgotten() {
    let all = |number| vec![Decided { gid: gid(2, number), participants: 1 }];
    let mut found = found(3);
    found.checkpoint = Checkpoint { number: 9, offset: 70 };
    found.decided = BTreeMap::from([(8, all(5)), (9, all(6))]);
    found.damage = vec![(gid(1, 1), 0)];
    let mut state = State::new(&options(10), 1, &found);
    assert_eq!((state.buffer.next_offset(), state.checkpoint), (70, found.checkpoint));
    assert_eq!(state.damage, found.damage);
    assert_eq!((state.finished(), state.newest()), (gid(2, 5), gid(3, 0)));
    assert!(!state.is_settled());
    state.carried_out(9);
    assert!(state.is_known(gid(2, 6)) && !state.is_settled());
    assert_eq!((state.to_forget(), state.gids_of(9)), (vec![9], vec![gid(2, 6)]));
    state.carried_out(8);
    assert!(state.is_settled(), "who has answered is settled, forgotten or not");
    assert_eq!(state.finished(), gid(2, 5), "as long as it is in the log it may be asked about");
    state.forgotten(&[8, 9]);
    assert_eq!(state.finished(), gid(3, 1));
    assert!(!state.is_known(gid(2, 6)) && state.gids_of(9).is_empty());
}

/// What the model knows of a batch that left the buffer.
struct Slot {
    to: u64,
    keys: BTreeSet<i64>,
    batch: Option<Batch>,
    bytes: usize,
    gid: Gid,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Working,
    Prepared,
    Decided(u64),
}

/// With two connections to the one participant.
const MODEL_WORKING_MAX: usize = 4;

struct Model {
    state: State,
    slots: BTreeMap<u64, Slot>,
    waiting: Option<(Batch, Vec<i64>)>,
    /// By checkpoint, what is in the log.
    log: BTreeMap<u64, Vec<Gid>>,
    done: BTreeSet<u64>,
}

impl Model {
    fn step(&mut self, keys: &[i64], does: u8, pick: usize, few: &Options) {
        match does {
            0..=2 => self.admit(keys),
            3..=5 => self.prepare(pick),
            6 => self.retry(pick),
            10 => self.give_up(pick),
            7 => self.checkpoint(few),
            8 => self.carry_out(pick),
            _ => {
                let numbers = self.state.to_forget();
                assert!(numbers.iter().all(|number| self.done.contains(number)));
                self.state.forgotten(&numbers);
                self.log.retain(|number, _| !numbers.contains(number));
            }
        }
        self.check();
    }

    fn admit(&mut self, keys: &[i64]) {
        let (batch, keys) = match self.waiting.take() {
            Some(waiting) => waiting,
            None => (batch(&mut self.state, keys), keys.to_vec()),
        };
        let held = |slot: &Slot| keys.iter().any(|key| slot.keys.contains(key));
        let is_free = !self.slots.values().any(held) && self.slots.len() < 6;
        let working = self.slots.values().filter(|slot| slot.phase == Phase::Working).count();
        match self.state.admit(&batch, 6) {
            Admission::WaitForVotes => {
                assert!(working >= MODEL_WORKING_MAX, "there was a connection for it");
                self.waiting = Some((batch, keys));
            }
            Admission::Wait => {
                assert!(!is_free && working < MODEL_WORKING_MAX, "nothing was in its way");
                self.waiting = Some((batch, keys));
            }
            Admission::Slot(nth) => {
                assert!(is_free && working < MODEL_WORKING_MAX, "something was in its way");
                let keys = keys.into_iter().collect();
                let (to, bytes, gid) = (batch.to, batch.bytes, self.state.begin());
                let (batch, phase) = (Some(batch), Phase::Working);
                let slot = Slot { to, keys, batch, bytes, gid, phase };
                self.slots.insert(nth, slot);
            }
        }
    }

    fn working(&mut self, pick: usize) -> Option<(u64, &mut Slot)> {
        let working = |slot: &Slot| slot.phase == Phase::Working;
        let count = self.slots.values().filter(|slot| working(slot)).count();
        let mut all = self.slots.iter_mut().filter(|(_, slot)| working(slot));
        (count > 0).then(|| all.nth(pick % count))?.map(|(nth, slot)| (*nth, slot))
    }

    fn prepare(&mut self, pick: usize) {
        let Some((nth, slot)) = self.working(pick) else { return };
        slot.phase = Phase::Prepared;
        let (batch, gid) = (slot.batch.take().unwrap(), slot.gid);
        self.state.prepared(nth, batch, decided(gid), at(0));
    }

    fn retry(&mut self, pick: usize) {
        let Some((nth, slot)) = self.working(pick) else { return };
        let old = slot.gid;
        self.state.end(old);
        let new = self.state.begin();
        assert!(new > old && !self.state.is_known(old));
        self.slots.get_mut(&nth).unwrap().gid = new;
    }

    /// Only the first one that is working has others make room for it, the last ones first.
    fn give_up(&mut self, pick: usize) {
        let first = self.working(0).map(|(nth, _)| nth);
        let Some((nth, _)) = self.working(pick) else { return };
        assert_eq!(self.state.is_first(nth), first == Some(nth));
        let mut prepared =
            self.slots.range(nth..).filter(|(_, slot)| slot.phase == Phase::Prepared);
        let expected = prepared.next_back().map(|(nth, slot)| (*nth, slot.gid));
        assert!(self.state.give_up(nth, 1).is_none(), "nobody has rows there");
        let given_up = self.state.give_up(nth, 0);
        let Some((later, Decided { gid, .. }, batch)) = given_up else {
            assert!(first != Some(nth) || expected.is_none(), "one could make room");
            return;
        };
        assert_eq!((first, Some((later, gid))), (Some(nth), expected));
        self.state.end(gid);
        let new = self.state.begin();
        let slot = self.slots.get_mut(&later).unwrap();
        assert_eq!((batch.to, batch.bytes), (slot.to, slot.bytes), "with all of its rows");
        (slot.batch, slot.gid, slot.phase) = (Some(batch), new, Phase::Working);
    }

    /// A checkpoint is the longest prefix of prepared ones, up to its limit.
    fn checkpoint(&mut self, few: &Options) {
        let open = self.slots.values().filter(|slot| !matches!(slot.phase, Phase::Decided(_)));
        let ready: Vec<(Gid, u64)> = open
            .take_while(|slot| slot.phase == Phase::Prepared)
            .take(few.checkpoint_transactions)
            .map(|slot| (slot.gid, slot.to))
            .collect();
        let due = self.state.due(few, at(60_000));
        let Due::Now(proposal) = due else {
            assert!(ready.is_empty() && due == Due::Nothing);
            return;
        };
        let gids: Vec<Gid> = proposal.decided.iter().map(|one| one.gid).collect();
        assert_eq!(gids, ready.iter().map(|(gid, _)| *gid).collect::<Vec<_>>());
        assert_eq!(proposal.checkpoint.offset, ready.last().unwrap().1);
        assert!(proposal.carried_out.iter().all(|number| self.done.contains(number)));
        self.state.decided(&proposal);
        let number = proposal.checkpoint.number;
        for slot in self.slots.values_mut().filter(|slot| gids.contains(&slot.gid)) {
            slot.phase = Phase::Decided(number);
        }
        self.log.retain(|number, _| !proposal.carried_out.contains(number));
        self.log.insert(number, gids);
    }

    fn carry_out(&mut self, pick: usize) {
        let open: Vec<u64> =
            self.log.keys().copied().filter(|number| !self.done.contains(number)).collect();
        let Some(number) = (!open.is_empty()).then(|| open[pick % open.len()]) else { return };
        self.state.carried_out(number);
        self.done.insert(number);
        self.slots.retain(|_, slot| slot.phase != Phase::Decided(number));
    }

    fn check(&self) {
        let active = self.slots.values().filter(|slot| !matches!(slot.phase, Phase::Decided(_)));
        let active: BTreeSet<Gid> = active.map(|slot| slot.gid).collect();
        let known: BTreeSet<Gid> =
            active.iter().chain(self.log.values().flatten()).copied().collect();
        assert_eq!(self.state.known(), known);
        let Gid { incarnation, number } = self.state.newest();
        let next = gid(incarnation, number + 1);
        assert_eq!(self.state.finished(), known.first().copied().unwrap_or(next));
        assert_eq!(self.state.transactions(), self.slots.len());
        let from = self.slots.values().skip_while(|slot| slot.phase != Phase::Working);
        let held = from.map(|slot| slot.bytes);
        let waiting = self.waiting.as_ref().map_or(0, |(batch, _)| batch.bytes);
        assert_eq!(self.state.buffer.bytes(), held.sum::<usize>() + waiting);
        let open = self.log.keys().any(|number| !self.done.contains(number));
        let settled = self.slots.is_empty() && self.waiting.is_none() && !open;
        assert_eq!(self.state.is_settled(), settled);
    }
}

proptest! {
    #[test]
    fn slots_go_their_way_in_order(
        steps in proptest::collection::vec(
            (proptest::collection::vec(0_i64..9, 1..4), 0_u8..11, any::<usize>()),
            0..120,
        ),
        limit in 1_usize..4,
    ) {
        let few = Options { connections_max: 2, ..options(limit) };
        let state = State::new(&few, 1, &found(4));
        let (slots, log, done) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let mut model = Model { state, slots, waiting: None, log, done };
        for (keys, does, pick) in steps {
            model.step(&keys, does, pick, &few);
        }
        // And all of it comes to an end.
        for nth in 0..200 {
            model.step(&[100 + nth], [3, 7, 8, 9][nth as usize % 4], 0, &few);
            if model.waiting.is_some() {
                model.admit(&[]);
            }
        }
        prop_assert!(model.state.is_settled() && model.log.is_empty());
    }

    #[test]
    fn times_of_due_are_never_later_than_the_oldest_allows(since in 0_u64..100, now in 0_u64..200) {
        let many = options(10);
        let mut state = State::new(&many, 1, &found(1));
        let batch = batch(&mut state, &[1]);
        let nth = admitted(&mut state, &batch);
        let begun = state.begin();
        state.prepared(nth, batch, decided(begun), at(since));
        match state.due(&many, at(now)) {
            Due::Now(_) => prop_assert!(now >= since + 50),
            Due::At(time) => {
                prop_assert!(now < since + 50);
                prop_assert_eq!(time, at(since) + Duration::from_millis(50));
            }
            Due::Nothing => prop_assert!(false, "one is prepared"),
        }
    }
}
