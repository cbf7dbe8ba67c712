//! Synchronisation between tasks, the same in both worlds.
//!
//! [`Mutex`], [`Notify`], [`Semaphore`] and the channels are tokio's: they need no runtime, are
//! fair (first come, first served) and draw no randomness. In simulation, who comes first, and
//! which of several woken tasks runs first, is the world's decision.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

// Not `watch`: it picks one of its lists of waiters at random.
pub use tokio::sync::{Mutex, MutexGuard, Notify, Semaphore, SemaphorePermit, mpsc, oneshot};

use crate::Clock;

/// Which of two futures was ready first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first argument.
    Left(A),
    /// The second argument.
    Right(B),
}

/// Runs two futures until one is ready and drops the other. If both are ready at the same poll
/// the left one wins: no randomness is involved, unlike `select!`.
pub async fn race<A: Future, B: Future>(left: A, right: B) -> Either<A::Output, B::Output> {
    let mut left = pin!(left);
    let mut right = pin!(right);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(value) = left.as_mut().poll(cx) {
            return Poll::Ready(Either::Left(value));
        }
        right.as_mut().poll(cx).map(Either::Right)
    })
    .await
}

/// Runs `future` for at most `limit` of `clock`'s time; `None` if it did not end by then.
pub async fn timeout<C: Clock, F: Future>(
    clock: &C,
    limit: Duration,
    future: F,
) -> Option<F::Output> {
    match race(future, clock.sleep(limit)).await {
        Either::Left(value) => Some(value),
        Either::Right(()) => None,
    }
}
