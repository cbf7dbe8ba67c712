//! Timers: a wheel of wheels over the whole range of simulated time.
//!
//! Level 0 has one slot for each of the next 64 instants, and each slot of a higher level covers
//! as much as the whole level below. A timer lies on the level of the highest bit in which its time
//! differs from the time that has passed, so it moves at most once a level, and mostly it is alone
//! in its slot before it gets to the bottom and fires from there. Invariant: timers of one instant
//! lie in one slot in the order in which they were made, and so they fire.
//!
//! A cancelled timer is unlinked at once: what is not waited for takes no memory.

use std::task::Waker;

use slab::Slab;

use crate::waker::{Token, token_of};

const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = u64::BITS.div_ceil(SLOT_BITS) as usize;
/// End of a list.
const NONE: u32 = u32::MAX;

/// A timer that has not been dropped.
struct Timer {
    at: u64,
    seq: u64,
    target: Target,
    before: u32,
    after: u32,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    /// Waiting, and gone once it has fired: nobody will ask.
    Forgotten,
    Fired,
}

/// Whom a timer wakes: a task of ours by its token, anything else by its waker.
enum Target {
    Task(Token),
    Other(Waker),
}

impl Target {
    #[inline]
    fn of(waker: &Waker) -> Self {
        match token_of(waker) {
            Some(token) => Self::Task(token),
            None => Self::Other(waker.clone()),
        }
    }
}

/// A live timer: its slot and number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimerId {
    slot: u32,
    seq: u64,
}

/// Timers of one slot, first made first.
#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

const EMPTY: List = List { first: NONE, last: NONE };

pub(crate) struct Timers {
    timers: Slab<Timer>,
    lists: Box<[[List; SLOTS]; LEVELS]>,
    /// Which slots of each level have timers.
    used: [u64; LEVELS],
    /// Which levels have timers.
    levels_used: u32,
    /// No timer is due before this time.
    passed: u64,
    /// Timers made so far.
    seq: u64,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            timers: Slab::new(),
            lists: Box::new([[EMPTY; SLOTS]; LEVELS]),
            used: [0; LEVELS],
            levels_used: 0,
            passed: 0,
            seq: 0,
        }
    }
}

impl Timers {
    /// Forgets everything but its allocations.
    pub(crate) fn reset(&mut self) {
        while let Some((level, slot)) = self.first_slot() {
            self.take_list(level, slot);
        }
        self.timers.clear();
        self.passed = 0;
        self.seq = 0;
    }

    #[inline]
    pub(crate) fn add(&mut self, at: u64, waker: &Waker) -> TimerId {
        self.insert(at, Target::of(waker), State::Waiting)
    }

    /// Wakes a task at a time, without anyone holding the timer.
    pub(crate) fn add_forgotten(&mut self, at: u64, token: Token) {
        self.insert(at, Target::Task(token), State::Forgotten);
    }

    #[inline]
    fn insert(&mut self, at: u64, target: Target, state: State) -> TimerId {
        assert!(at >= self.passed, "a timer was set for the past");
        self.seq += 1;
        let seq = self.seq;
        let timer = Timer { at, seq, target, before: NONE, after: NONE, state };
        let slot = self.timers.insert(timer) as u32;
        self.link(slot, at);
        TimerId { slot, seq }
    }

    /// Whether the timer has fired; if not, `waker` is the one to wake from now on.
    #[inline]
    pub(crate) fn has_fired(&mut self, id: TimerId, waker: &Waker) -> bool {
        let Some(timer) = self.live(id) else { return true };
        if timer.state != State::Fired {
            timer.target = Target::of(waker);
        }
        timer.state == State::Fired
    }

    #[inline]
    pub(crate) fn remove(&mut self, id: TimerId) {
        let Some(timer) = self.live(id) else { return };
        if timer.state != State::Fired {
            self.unlink(id.slot);
        }
        self.timers.remove(id.slot as usize);
    }

    #[inline]
    fn live(&mut self, id: TimerId) -> Option<&mut Timer> {
        self.timers.get_mut(id.slot as usize).filter(|timer| timer.seq == id.seq)
    }

    /// Fires every timer of the next instant that has one and returns that instant.
    #[inline]
    pub(crate) fn fire_next(&mut self, mut wake: impl FnMut(Token)) -> Option<u64> {
        loop {
            let (level, slot) = self.first_slot()?;
            let list = self.take_list(level, slot);
            // Alone in its slot it is alone in its instant.
            if level == 0 || list.first == list.last {
                self.passed = self.timers[list.first as usize].at;
                self.fire(list, &mut wake);
                return Some(self.passed);
            }
            self.passed = self.least(list, level);
            let mut next = list.first;
            while next != NONE {
                let Timer { at, after, .. } = self.timers[next as usize];
                self.link(next, at);
                next = after;
            }
        }
    }

    /// A time at or before the first of a list's timers, and past all other slots: of a short list
    /// the very first, which spares the levels between; of a long one that of its slot.
    #[inline]
    fn least(&self, list: List, level: usize) -> u64 {
        const SHORT: usize = 4;
        let (mut next, mut least) = (list.first, u64::MAX);
        for _ in 0..SHORT {
            let timer = &self.timers[next as usize];
            (next, least) = (timer.after, least.min(timer.at));
            if next == NONE {
                return least;
            }
        }
        let shift = SLOT_BITS * level as u32;
        least >> shift << shift
    }

    #[inline]
    fn fire(&mut self, list: List, wake: &mut impl FnMut(Token)) {
        let mut next = list.first;
        while next != NONE {
            let timer = &mut self.timers[next as usize];
            match &timer.target {
                Target::Task(token) => wake(*token),
                Target::Other(waker) => waker.wake_by_ref(),
            }
            let (slot, forgotten) = (next, timer.state == State::Forgotten);
            timer.state = State::Fired;
            next = timer.after;
            if forgotten {
                self.timers.remove(slot as usize);
            }
        }
    }

    #[inline]
    fn first_slot(&self) -> Option<(usize, usize)> {
        let level = self.levels_used.trailing_zeros() as usize;
        Some((level, self.used.get(level)?.trailing_zeros() as usize))
    }

    /// The slot for a time that has not passed.
    #[inline]
    fn slot_of(&self, at: u64) -> (usize, usize) {
        let highest = (at ^ self.passed | (SLOTS as u64 - 1)).ilog2();
        let level = highest / SLOT_BITS;
        (level as usize, (at >> (level * SLOT_BITS)) as usize % SLOTS)
    }

    /// Puts a timer at the end of its list.
    #[inline]
    fn link(&mut self, timer: u32, at: u64) {
        let (level, slot) = self.slot_of(at);
        let list = &mut self.lists[level][slot];
        let last = std::mem::replace(&mut list.last, timer);
        match last {
            NONE => {
                list.first = timer;
                self.used[level] |= 1 << slot;
                self.levels_used |= 1 << level;
            }
            last => self.timers[last as usize].after = timer,
        }
        let linked = &mut self.timers[timer as usize];
        (linked.before, linked.after) = (last, NONE);
    }

    fn unlink(&mut self, timer: u32) {
        let Timer { at, before, after, .. } = self.timers[timer as usize];
        let (level, slot) = self.slot_of(at);
        if before == NONE && after == NONE {
            self.take_list(level, slot);
            return;
        }
        match before {
            NONE => self.lists[level][slot].first = after,
            before => self.timers[before as usize].after = after,
        }
        match after {
            NONE => self.lists[level][slot].last = before,
            after => self.timers[after as usize].before = before,
        }
    }

    #[inline]
    fn take_list(&mut self, level: usize, slot: usize) -> List {
        self.used[level] &= !(1 << slot);
        if self.used[level] == 0 {
            self.levels_used &= !(1 << level);
        }
        std::mem::replace(&mut self.lists[level][slot], EMPTY)
    }
}

#[cfg(test)]
mod tests {
    use super::{TimerId, Timers};
    use crate::waker::{Token, waker};

    fn token(slot: u32) -> Token {
        Token { slot, number: 0 }
    }

    /// A small generator: the test must not depend on the one it runs under.
    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *state >> 20
    }

    /// Compares with a plain list in which the earliest is searched.
    fn check(spread: u32, seed: u64) {
        let (mut timers, mut state, mut now) = (Timers::default(), seed, 0_u64);
        let mut model: Vec<(u64, u32, TimerId)> = Vec::new();
        for number in 0..2_000 {
            let at =
                now.saturating_add(next(&mut state) % (1 << (next(&mut state) as u32 % spread)));
            model.push((at, number, timers.add(at, &waker(token(number)))));
            if next(&mut state).is_multiple_of(5) {
                let gone = next(&mut state) as usize % model.len();
                timers.remove(model.remove(gone).2);
            }
            if next(&mut state).is_multiple_of(2) {
                let Some(first) = model.iter().map(|timer| timer.0).min() else { continue };
                let mut woken = Vec::new();
                assert_eq!(timers.fire_next(|token| woken.push(token.slot)), Some(first));
                let due = model.extract_if(.., |timer| timer.0 == first);
                let due: Vec<u32> = due
                    .map(|(_, number, id)| {
                        timers.remove(id);
                        number
                    })
                    .collect();
                assert_eq!(woken, due, "of one instant, first made first");
                now = first;
            }
        }
        assert_eq!(timers.timers.len(), model.len(), "cancelled and fired timers take no memory");
    }

    #[test]
    fn timers_fire_by_time_and_then_in_the_order_made() {
        (0..20).for_each(|seed| [1, 3, 10, 40].into_iter().for_each(|spread| check(spread, seed)));
    }

    #[test]
    fn the_end_of_time_is_a_time() {
        let mut timers = Timers::default();
        timers.add(u64::MAX, &waker(token(1)));
        timers.add_forgotten(u64::MAX - 1, token(2));
        assert_eq!(timers.fire_next(|woken| assert_eq!(woken, token(2))), Some(u64::MAX - 1));
        assert_eq!(timers.fire_next(|woken| assert_eq!(woken, token(1))), Some(u64::MAX));
        assert_eq!(timers.fire_next(|_| {}), None);
    }
}
