//! Tasks, timers and the order in which they run.
//!
//! Single-threaded. A task that can run waits in the ready line; which one runs next is a
//! decision. When none can run, time jumps to the next timer; all timers of that instant fire
//! together, so that their order is a decision too. No timer runs before its time and none is
//! lost: a cancelled one is recognised when its turn comes.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::task::Waker;

use slab::Slab;

use crate::waker::{Token, token_of};

pub(crate) type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

pub(crate) struct Task {
    /// Out while the task is being polled.
    pub future: Option<TaskFuture>,
    pub number: u32,
    pub node: u16,
    /// Already in the ready line.
    queued: bool,
}

/// A timer that has not been dropped.
struct Timer {
    seq: u64,
    target: Target,
    fired: bool,
}

/// Whom a timer wakes: a task of ours by its token, anything else by its waker.
enum Target {
    Task(Token),
    Other(Waker),
}

/// A timer's place in time.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Alarm {
    at: u64,
    seq: u64,
    slot: u32,
}

impl Ord for Alarm {
    /// Reversed: the heap's greatest is the earliest.
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.seq).cmp(&(self.at, self.seq))
    }
}

impl PartialOrd for Alarm {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A live timer: its slot and number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimerId {
    slot: u32,
    seq: u64,
}

#[derive(Default)]
pub(crate) struct Executor {
    tasks: Slab<Task>,
    /// Slots of tasks that can run, longest waiting first.
    ready: VecDeque<u32>,
    timers: Slab<Timer>,
    alarms: BinaryHeap<Alarm>,
    /// Timers made so far.
    timer_seq: u64,
    /// Tasks made so far.
    task_count: u32,
}

impl Executor {
    /// Forgets everything but its allocations. The tasks' futures must be gone already.
    pub(crate) fn reset(&mut self) {
        assert!(self.tasks.is_empty(), "a world was reset with tasks in it");
        self.ready.clear();
        self.timers.clear();
        self.alarms.clear();
        self.timer_seq = 0;
        self.task_count = 0;
    }

    pub(crate) fn spawn(&mut self, node: u16, future: TaskFuture) -> Token {
        self.task_count += 1;
        let number = self.task_count;
        let task = Task { future: Some(future), number, node, queued: true };
        let slot = self.tasks.insert(task) as u32;
        self.ready.push_back(slot);
        Token { slot, number }
    }

    #[inline]
    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// Takes the `index`th task of the ready line; the one that waited longest gets its place, so
    /// that always answering 0 is first come, first served.
    #[inline]
    pub(crate) fn take_ready(&mut self, index: usize) -> Option<(Token, u16)> {
        let slot = self.ready.swap_remove_front(index)?;
        let task = self.tasks.get_mut(slot as usize)?;
        task.queued = false;
        Some((Token { slot, number: task.number }, task.node))
    }

    #[inline]
    pub(crate) fn take_future(&mut self, token: Token) -> Option<TaskFuture> {
        self.live(token)?.future.take()
    }

    /// Puts a polled future back, unless its task is gone; then it is returned for dropping.
    #[inline]
    pub(crate) fn put_back(&mut self, token: Token, future: TaskFuture) -> Option<TaskFuture> {
        match self.live(token) {
            Some(task) => {
                task.future = Some(future);
                None
            }
            None => Some(future),
        }
    }

    pub(crate) fn remove(&mut self, token: Token) {
        if self.live(token).is_some() {
            self.tasks.remove(token.slot as usize);
        }
    }

    #[inline]
    fn live(&mut self, token: Token) -> Option<&mut Task> {
        self.tasks.get_mut(token.slot as usize).filter(|task| task.number == token.number)
    }

    #[inline]
    pub(crate) fn wake(&mut self, token: Token) {
        if let Some(task) = self.live(token)
            && !task.queued
        {
            task.queued = true;
            self.ready.push_back(token.slot);
        }
    }

    /// Removes a node's tasks (or every task) and hands out their futures, to be dropped by the
    /// caller while the world is not borrowed.
    pub(crate) fn remove_tasks(&mut self, node: Option<u16>) -> Vec<TaskFuture> {
        let tasks = &mut self.tasks;
        let ours = |task: &Task| node.is_none_or(|node| task.node == node);
        self.ready.retain(|&slot| !tasks.get(slot as usize).is_some_and(ours));
        let mut futures = Vec::new();
        self.tasks.retain(|_, task| {
            let remove = ours(task);
            if remove {
                futures.extend(task.future.take());
            }
            !remove
        });
        futures
    }

    #[inline]
    pub(crate) fn add_timer(&mut self, at: u64, waker: &Waker) -> TimerId {
        let target = match token_of(waker) {
            Some(token) => Target::Task(token),
            None => Target::Other(waker.clone()),
        };
        self.add_alarm(at, target)
    }

    /// Makes a task ready at a later time, without anyone waiting for the timer.
    pub(crate) fn wake_at(&mut self, at: u64, token: Token) {
        self.add_alarm(at, Target::Task(token));
    }

    fn add_alarm(&mut self, at: u64, target: Target) -> TimerId {
        self.timer_seq += 1;
        let seq = self.timer_seq;
        let slot = self.timers.insert(Timer { seq, target, fired: false }) as u32;
        self.alarms.push(Alarm { at, seq, slot });
        TimerId { slot, seq }
    }

    /// Whether the timer has fired; if not, `waker` is the one to wake from now on.
    #[inline]
    pub(crate) fn has_fired(&mut self, id: TimerId, waker: &Waker) -> bool {
        let Some(timer) = self.live_timer(id) else { return true };
        if !timer.fired {
            timer.target = match token_of(waker) {
                Some(token) => Target::Task(token),
                None => Target::Other(waker.clone()),
            };
        }
        timer.fired
    }

    #[inline]
    pub(crate) fn drop_timer(&mut self, id: TimerId) {
        if self.live_timer(id).is_some() {
            self.timers.remove(id.slot as usize);
        }
    }

    #[inline]
    fn live_timer(&mut self, id: TimerId) -> Option<&mut Timer> {
        self.timers.get_mut(id.slot as usize).filter(|timer| timer.seq == id.seq)
    }

    /// Fires every timer of the next instant that has one and returns that instant.
    pub(crate) fn fire_next(&mut self) -> Option<u64> {
        loop {
            let first = self.alarms.pop()?;
            if !self.fire(first) {
                continue;
            }
            while let Some(alarm) = self.alarms.peek().copied()
                && alarm.at == first.at
            {
                self.alarms.pop();
                self.fire(alarm);
            }
            return Some(first.at);
        }
    }

    /// Wakes the timer's target; false if the timer was cancelled.
    #[inline]
    fn fire(&mut self, alarm: Alarm) -> bool {
        let id = TimerId { slot: alarm.slot, seq: alarm.seq };
        let Some(timer) = self.live_timer(id) else { return false };
        timer.fired = true;
        match &timer.target {
            Target::Task(token) => {
                let token = *token;
                self.wake(token);
            }
            Target::Other(waker) => waker.wake_by_ref(),
        }
        true
    }
}
