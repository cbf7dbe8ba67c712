//! Requests that are under way. A request is sent when its future is polled for the first time;
//! the server answers in order, so what belongs together is sent at once and awaited once.

use std::future::Future;
use std::pin::Pin;

use futures_util::FutureExt;
use futures_util::future::{join_all, ready};
use tokio_postgres::Error;

/// An answer that is awaited: rows affected, or an error.
pub(crate) type Reply = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send>>;

/// Sends a request; the answer can be awaited later. Dropped, it is not waited for, but the server
/// carries out the request.
pub(crate) fn send(request: impl Future<Output = Result<u64, Error>> + Send + 'static) -> Reply {
    let mut reply: Reply = Box::pin(request);
    match (&mut reply).now_or_never() {
        Some(answer) => Box::pin(ready(answer)),
        None => reply,
    }
}

/// Waits for all of them. Gives the first error, by which those behind it came about.
pub(crate) async fn settle(replies: Vec<Reply>) -> Result<(), Error> {
    join_all(replies).await.into_iter().collect::<Result<Vec<u64>, Error>>().map(drop)
}
