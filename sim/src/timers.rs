//! Timers: a wheel of wheels over the whole range of simulated time.
//!
//! Level 0 has one slot for each of the next 64 instants, and each slot of a higher level covers
//! as much as the whole level below. A timer lies on the level of the highest bit in which its time
//! differs from the time that has passed, so it moves at most once a level, and mostly it is alone
//! in its slot before it gets to the bottom and fires from there. Invariant: timers of one instant
//! lie in one slot in the order in which they were made, and so they fire.
//!
//! A timer is there from when it is set until it fires or is cancelled: what is not waited for
//! takes no memory. Whether it has fired its time tells: invariant: timers are set for times that
//! have not passed, and fire when theirs has.

use std::task::Waker;

use slab::Slab;

use crate::waker::{Token, token_of};

const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = u64::BITS.div_ceil(SLOT_BITS) as usize;
/// End of a list.
const NONE: u32 = u32::MAX;

/// A timer that has not fired.
struct Timer {
    at: u64,
    target: Target,
    before: u32,
    after: u32,
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

/// A timer that was set: its time, and its slot until then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimerId {
    at: u64,
    slot: u32,
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
    /// All timers up to this time have fired.
    passed: u64,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            timers: Slab::new(),
            lists: Box::new([[EMPTY; SLOTS]; LEVELS]),
            used: [0; LEVELS],
            levels_used: 0,
            passed: 0,
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
    }

    #[inline]
    pub(crate) fn add(&mut self, at: u64, waker: &Waker) -> TimerId {
        self.insert(at, Target::of(waker))
    }

    /// Wakes a task at a time, without anyone holding the timer.
    pub(crate) fn add_forgotten(&mut self, at: u64, token: Token) {
        self.insert(at, Target::Task(token));
    }

    #[inline]
    fn insert(&mut self, at: u64, target: Target) -> TimerId {
        assert!(at > self.passed, "a timer was set for the past");
        let timer = Timer { at, target, before: NONE, after: NONE };
        let slot = self.timers.insert(timer) as u32;
        self.link(slot, at);
        TimerId { at, slot }
    }

    /// Whether the timer has fired; if not, `waker` is the one to wake from now on.
    #[inline]
    pub(crate) fn has_fired(&mut self, id: TimerId, waker: &Waker) -> bool {
        if let Some(timer) = self.waiting(id) {
            timer.target = Target::of(waker);
            return false;
        }
        true
    }

    #[inline]
    pub(crate) fn remove(&mut self, id: TimerId) {
        if self.waiting(id).is_some() {
            self.unlink(id.slot);
            self.timers.remove(id.slot as usize);
        }
    }

    /// The timer, if it has not fired. That of another world may stand for one of this world.
    #[inline]
    fn waiting(&mut self, id: TimerId) -> Option<&mut Timer> {
        if id.at <= self.passed {
            return None;
        }
        self.timers.get_mut(id.slot as usize).filter(|timer| timer.at == id.at)
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
            let Timer { target, after, .. } = self.timers.remove(next as usize);
            match target {
                Target::Task(token) => wake(token),
                Target::Other(waker) => waker.wake(),
            }
            next = after;
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
            let range = 1 << (next(&mut state) as u32 % spread);
            let at = now.saturating_add(1 + next(&mut state) % range);
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
                let mut has_fired = |id| timers.has_fired(id, &waker(token(0)));
                let due: Vec<u32> =
                    due.inspect(|timer| assert!(has_fired(timer.2))).map(|timer| timer.1).collect();
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
