//! Tasks, timers and the order in which they run.
//!
//! Single-threaded. A task that can run waits in the ready line; which one runs next is a
//! decision. When none can run, time jumps to the next timer; all timers of that instant fire
//! together, so that their order is a decision too. No timer runs before its time and none is
//! lost; see the module `timers`.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;

use slab::Slab;

use crate::timers::Timers;
use crate::waker::Token;

pub(crate) type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

pub(crate) struct Task {
    /// Out while the task is being polled.
    pub future: Option<TaskFuture>,
    pub number: u32,
    pub node: u16,
    /// Already in the ready line.
    queued: bool,
}

#[derive(Default)]
pub(crate) struct Executor {
    tasks: Slab<Task>,
    /// Slots of tasks that can run, longest waiting first.
    ready: VecDeque<u32>,
    pub timers: Timers,
    /// Tasks made so far.
    task_count: u32,
}

impl Executor {
    /// Forgets everything but its allocations. The tasks' futures must be gone already.
    pub(crate) fn reset(&mut self) {
        assert!(self.tasks.is_empty(), "a world was reset with tasks in it");
        // Empty is not new: where the next tasks go, hence in which order a crash drops them, must
        // not depend on the world before.
        self.tasks.clear();
        self.ready.clear();
        self.timers.reset();
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
        let slot = match index {
            0 => self.ready.pop_front()?,
            index => self.ready.swap_remove_front(index)?,
        };
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

    pub(crate) fn is_live(&self, token: Token) -> bool {
        self.tasks.get(token.slot as usize).is_some_and(|task| task.number == token.number)
    }

    #[inline]
    fn live(&mut self, token: Token) -> Option<&mut Task> {
        self.tasks.get_mut(token.slot as usize).filter(|task| task.number == token.number)
    }

    #[inline]
    pub(crate) fn wake(&mut self, token: Token) {
        wake(&mut self.tasks, &mut self.ready, token);
    }

    /// Removes a node's tasks (or every task) and hands out their futures, to be dropped by the
    /// caller while the world is not borrowed.
    pub(crate) fn remove_tasks(&mut self, node: Option<u16>) -> Vec<TaskFuture> {
        if self.tasks.is_empty() {
            return Vec::new();
        }
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

    /// Lets time pass until timers fire; makes what they wake ready and returns the time.
    #[inline]
    pub(crate) fn fire_next(&mut self) -> Option<u64> {
        let Self { timers, tasks, ready, .. } = self;
        timers.fire_next(|token| wake(tasks, ready, token))
    }
}

/// Puts a task in the ready line, unless it is there or gone.
#[inline]
fn wake(tasks: &mut Slab<Task>, ready: &mut VecDeque<u32>, token: Token) {
    if let Some(task) = tasks.get_mut(token.slot as usize)
        && task.number == token.number
        && !task.queued
    {
        task.queued = true;
        ready.push_back(token.slot);
    }
}

#[cfg(test)]
mod tests {
    use super::Executor;

    #[test]
    fn after_a_reset_tasks_get_the_slots_that_they_get_at_first() {
        let mut exec = Executor::default();
        let tokens: Vec<_> = (0..3).map(|_| exec.spawn(0, Box::pin(async {}))).collect();
        [tokens[1], tokens[0], tokens[2]].into_iter().for_each(|token| exec.remove(token));
        exec.reset();
        let again: Vec<_> = (0..3).map(|_| exec.spawn(0, Box::pin(async {}))).collect();
        assert_eq!(again, tokens);
    }
}
