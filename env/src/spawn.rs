//! Tasks that outlive the call that started them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;

/// The task ended without a result: it panicked, or its node or runtime stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinError;

impl std::fmt::Display for JoinError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the task ended without a result (it panicked, or its world stopped)")
    }
}

impl std::error::Error for JoinError {}

/// Awaits a spawned task's result. Dropping it lets the task run on by itself.
#[derive(Debug)]
pub struct JoinHandle<T>(oneshot::Receiver<T>);

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(result.map_err(|_| JoinError))
    }
}

/// Splits a future into one without result, for an executor, and the handle that awaits its
/// result. For implementors of [`Spawn`].
pub fn join_pair<F>(future: F) -> (impl Future<Output = ()> + Send + 'static, JoinHandle<F::Output>)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    let task = async move {
        // The handle may have been dropped: then nobody wants the result.
        let _ = sender.send(future.await);
    };
    (task, JoinHandle(receiver))
}

/// Starts tasks on this node.
pub trait Spawn: Clone + Send + Sync + 'static {
    /// Starts a task that ends with its future, its node's crash, or its runtime.
    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;
}
