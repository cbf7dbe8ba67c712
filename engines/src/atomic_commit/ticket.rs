//! A submitted commit's future: acknowledged, then durable.

use std::sync::Arc;

use seedbed_env::sync::oneshot;

use super::error::Error;
use super::merkle::Hash;
use super::shared::Shared;

/// A commit that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its sequence number.
    pub seq: u64,
    /// The root of the state after it.
    pub root: Hash,
}

/// A commit on its way. Dropping it changes nothing: the commit is carried out all the same.
#[derive(Debug)]
pub struct Ticket {
    seq: u64,
    answer: oneshot::Receiver<Result<Commit, Error>>,
    /// The answer, once it came.
    known: Option<Result<Commit, Error>>,
    shared: Arc<Shared>,
}

impl Ticket {
    pub(super) fn new(
        seq: u64,
        answer: oneshot::Receiver<Result<Commit, Error>>,
        shared: Arc<Shared>,
    ) -> Self {
        assert!(seq > 0, "commits are numbered from 1");
        Self { seq, answer, known: None, shared }
    }

    /// The commit's sequence number.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Waits until the commit is acknowledged, with the meaning of the store's
    /// [`Durability`](super::Durability). May be dropped and called again.
    ///
    /// # Errors
    /// [`Error::InDoubt`]: unknown whether it is done; [`Error::Poisoned`]: not done.
    pub async fn acknowledged(&mut self) -> Result<Commit, Error> {
        if self.known.is_none() {
            let answer = (&mut self.answer).await;
            self.known = Some(answer.unwrap_or_else(|_| Err(unanswered(self.seq))));
        }
        let known = self.known.clone().expect("it was just set");
        assert!(known.as_ref().map_or(true, |commit| commit.seq == self.seq));
        known
    }

    /// Waits until no power loss can take the commit. In mode `None` that is the next flush,
    /// checkpoint or close, and in mode `Batch` it needs later commits or one of these: nobody
    /// else ends the wait. May be dropped and called again.
    ///
    /// # Errors
    /// As [`Self::acknowledged`].
    pub async fn durable(&mut self) -> Result<Commit, Error> {
        let commit = self.acknowledged().await?;
        match self.shared.when_durable(self.seq).await {
            Ok(result) => result.map(|()| commit),
            Err(_) => Err(unanswered(self.seq)),
        }
    }
}

/// The log task is gone without an answer: its world stopped.
fn unanswered(seq: u64) -> Error {
    Error::InDoubt { seq, reason: Arc::new(Error::Closed) }
}
