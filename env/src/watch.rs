//! A value that is watched: who waits for it to become something is woken when it changes.
//!
//! It has the shape of tokio's. That one draws a random number for each waiter, which decides in
//! which order waiters are woken; here they are woken in the order in which they began to wait.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<T> {
    value: T,
    senders: usize,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets the value.
#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Waits for the value.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

/// The value was not what was waited for, and nobody can set it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody can set the value any more")
    }
}

impl std::error::Error for Closed {}

/// A watched value.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let state = Mutex::new(State { value, senders: 1 });
    let shared = Arc::new(Shared { state, changed: Notify::new() });
    (Sender { shared: Arc::clone(&shared) }, Receiver { shared })
}

impl<T> Sender<T> {
    /// Sets the value and gives the former one. Nobody has to be waiting.
    pub fn send_replace(&self, value: T) -> T {
        let former = std::mem::replace(&mut self.shared.lock().value, value);
        self.shared.changed.notify_waiters();
        former
    }

    /// One more who can wait.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.lock().senders += 1;
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.senders -= 1;
        let is_last = state.senders == 0;
        drop(state);
        if is_last {
            self.shared.changed.notify_waiters();
        }
    }
}

impl<T: Clone> Receiver<T> {
    /// Waits until the value is as asked for, and gives it.
    ///
    /// # Errors
    /// [`Closed`] if it is not, and the last sender is gone.
    pub async fn wait_for(&mut self, mut is: impl FnMut(&T) -> bool) -> Result<T, Closed> {
        loop {
            // Made before the look, so that no change is missed.
            let changed = self.shared.changed.notified();
            {
                let state = self.shared.lock();
                if is(&state.value) {
                    return Ok(state.value.clone());
                }
                if state.senders == 0 {
                    return Err(Closed);
                }
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, Wake, Waker};

    use super::{Closed, channel};

    /// Notes its number when it is woken.
    struct Noted(usize, Arc<Mutex<Vec<usize>>>);

    impl Wake for Noted {
        fn wake(self: Arc<Self>) {
            self.1.lock().expect("not poisoned").push(self.0);
        }
    }

    #[test]
    fn waiters_are_woken_in_the_order_in_which_they_began_to_wait() {
        let (sender, _) = channel(0);
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut receivers: Vec<_> = (0..20).map(|_| sender.subscribe()).collect();
        let waits = receivers.iter_mut().map(|receiver| Box::pin(receiver.wait_for(|n| *n > 0)));
        let mut waits: Vec<_> = waits.collect();
        for (number, wait) in waits.iter_mut().enumerate() {
            let waker = Waker::from(Arc::new(Noted(number, Arc::clone(&woken))));
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!(sender.send_replace(7), 0);
        assert_eq!(*woken.lock().expect("not poisoned"), (0..20).collect::<Vec<_>>());
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(waits[19].as_mut().poll(&mut cx), Poll::Ready(Ok(7)));
    }

    #[test]
    fn without_a_sender_the_wait_is_over() {
        let (sender, mut receiver) = channel(0);
        let other = sender.clone();
        let mut wait = pin!(receiver.wait_for(|n| *n > 0));
        let mut cx = Context::from_waker(Waker::noop());
        drop(sender);
        assert_eq!(wait.as_mut().poll(&mut cx), Poll::Pending);
        drop(other);
        assert_eq!(wait.as_mut().poll(&mut cx), Poll::Ready(Err(Closed)));
    }
}
