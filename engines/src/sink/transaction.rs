//! One batch on its way to being prepared at all of its participants: attempt after attempt, each
//! of them a transaction with a name of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::{join_all, try_join_all};
use seedbed_env::Env;

use super::buffer::Batch;
use super::coordinator::Coordinator;
use super::decisions::Decided;
use super::error::Error;
use super::event::Event;
use super::options::OnRejected;
use super::participant::{Connection, Decision, Gid, No, Participant, ParticipantError, Vote};
use super::plant::Plant;
use super::pool::Pool;
use super::probe::Probe;

/// Why an attempt failed.
enum Failed {
    /// A participant voted no.
    No { participant: usize, no: No },
    /// A participant could not be asked, or has not answered.
    Lost { participant: usize, error: ParticipantError },
}

impl<E: Env, P: Participant> Coordinator<E, P> {
    /// Has a batch prepared, or committed in one phase, however often that has to be tried.
    pub(super) async fn run_batch(self: Arc<Self>, nth: u64, mut batch: Batch) {
        let mut attempt = 0;
        while !self.is_stopped() {
            if batch.participants() == 0 {
                self.tell(Event::Emptied { from: batch.from, to: batch.to });
                return self.finish_batch(nth, batch, None);
            }
            let gid = self.state().begin();
            let participants = batch.participants();
            self.tell(Event::Begun { gid, from: batch.from, to: batch.to, participants });
            let asked = AtomicU64::new(0);
            let failed = match self.attempt(gid, &batch, &asked).await {
                Ok(()) => {
                    let transaction = self.two_phases().then_some(Decided { gid, participants });
                    if transaction.is_none() {
                        self.state().end(gid);
                    }
                    return self.finish_batch(nth, batch, transaction);
                }
                Err(failed) => failed,
            };
            let deaf = match self.two_phases() {
                true => self.abort(gid, asked.into_inner(), &failed).await,
                false => Vec::new(),
            };
            match deaf.is_empty() {
                true => self.state().end(gid),
                false => drop(self.env.spawn(Arc::clone(&self).abort_again(gid, deaf))),
            }
            let lost = matches!(failed, Failed::Lost { .. });
            let gives_up = lost && self.planted(Plant::NotTriedAgain);
            if !self.may_go_on(&mut batch, failed) || gives_up {
                return;
            }
            if self.planted(Plant::BufferClearedEarly) {
                batch.parts.iter_mut().for_each(|part| part.rows.clear());
            }
            if self.planted(Plant::OffsetDespiteNo) {
                return self.finish_batch(nth, batch, None);
            }
            attempt += 1;
            self.pause(self.options.retry_after(attempt)).await;
        }
    }

    fn finish_batch(&self, nth: u64, batch: Batch, transaction: Option<Decided>) {
        let bytes = batch.bytes as u64;
        let now = self.env.now();
        let mut state = self.state();
        self.tell(Event::Released { bytes });
        state.prepared(nth, batch, transaction, now);
        drop(state);
        self.room.notify_waiters();
        self.due.notify_one();
        self.progress.notify_waiters();
    }

    /// Asks all participants of a batch at once; the first failure ends it for all. `asked` notes,
    /// by a bit for each, who was asked to prepare: nobody else has anything to abort.
    async fn attempt(&self, gid: Gid, batch: &Batch, asked: &AtomicU64) -> Result<(), Failed> {
        let with = |pool: &&Pool<E, P>| !batch.parts[usize::from(pool.nth())].rows.is_empty();
        let all = self.pools.iter().filter(with);
        try_join_all(all.map(|pool| self.ask_one(gid, batch, pool, asked))).await.map(drop)
    }

    async fn ask_one(
        &self,
        gid: Gid,
        batch: &Batch,
        pool: &Pool<E, P>,
        asked: &AtomicU64,
    ) -> Result<(), Failed> {
        let participant = usize::from(pool.nth());
        let answer = async {
            let mut lease = pool.lease().await?;
            let rows = &batch.parts[participant].rows;
            self.in_time(async {
                if let Some(no) = lease.write(rows).await? {
                    return Ok(Vote::No(no));
                }
                if !self.two_phases() {
                    return lease.commit_open().await;
                }
                asked.fetch_or(1 << pool.nth(), Ordering::Relaxed);
                self.tell(Event::PrepareSent { gid, participant: pool.nth() });
                let finished = self.state().finished();
                lease.prepare(gid, finished).await
            })
            .await
        };
        let vote = answer.await.map_err(|error| {
            Probe::VoteLost.reached();
            Failed::Lost { participant, error }
        })?;
        if self.two_phases() {
            let yes = vote == Vote::Yes;
            self.tell(Event::Voted { gid, participant: pool.nth(), yes });
        }
        match vote {
            Vote::Yes => Ok(()),
            Vote::No(no) => Err(Failed::No { participant, no }),
        }
    }

    /// Tells those who were asked to abort, but not the one that said no. Gives those who did not
    /// answer.
    async fn abort(&self, gid: Gid, asked: u64, failed: &Failed) -> Vec<usize> {
        Probe::AbortSent.reached();
        let refused = match failed {
            Failed::No { .. } if self.planted(Plant::AbortsEverywhere) => None,
            Failed::No { participant, .. } => Some(*participant),
            Failed::Lost { .. } => {
                self.tell(Event::GaveUp { gid });
                None
            }
        };
        self.tell(Event::Decided { gid, decision: Decision::Abort });
        let here =
            (0..self.pools.len()).filter(|nth| asked & 1 << nth != 0 && refused != Some(*nth));
        let told = here.map(|nth| async move {
            let answered = self.carry_to(Decision::Abort, &self.pools[nth], &[gid]).await;
            answered.is_err().then_some(nth)
        });
        join_all(told).await.into_iter().flatten().collect()
    }

    /// Tells participants to abort until they have answered: then what they were asked before, and
    /// comes late, comes in vain. Until then the transaction is active.
    async fn abort_again(self: Arc<Self>, gid: Gid, deaf: Vec<usize>) {
        Probe::AbortLost.reached();
        let coordinator = &*self;
        let told = deaf.into_iter().map(|nth| async move {
            let (pool, mut attempt) = (&coordinator.pools[nth], 0);
            while !coordinator.is_stopped() {
                match coordinator.carry_to(Decision::Abort, pool, &[gid]).await {
                    Ok(()) => return,
                    Err(error) if !coordinator.passes(pool, &error) => return,
                    Err(error) => {
                        tracing::debug!(participant = pool.name(), %gid, %error, "abort is lost");
                        attempt += 1;
                        coordinator.pause(coordinator.options.retry_after(attempt)).await;
                    }
                }
            }
        });
        join_all(told).await;
        self.state().end(gid);
        self.progress.notify_waiters();
    }

    /// Whether another attempt makes sense. Leaves out a row that was rejected, if that is wished.
    fn may_go_on(&self, batch: &mut Batch, failed: Failed) -> bool {
        match failed {
            Failed::Lost { participant, error } => {
                let pool = &self.pools[participant];
                tracing::debug!(participant = pool.name(), %error, "not prepared");
                self.passes(pool, &error)
            }
            Failed::No { participant, no: No::Rejected { row, reason } } => {
                Probe::VoteRejected.reached();
                let part = &batch.parts[participant];
                let Some(offset) = part.offsets.get(row as usize).copied() else {
                    let participant = self.pools[participant].name().to_owned();
                    let reason = format!("it rejects row {row}, which was not there: {reason}");
                    self.stop(Error::Refused { participant, reason });
                    return false;
                };
                if self.two_phases() && self.options.on_rejected == OnRejected::Stop {
                    self.stop(Error::Rejected { offset, reason });
                    return false;
                }
                tracing::warn!(offset, reason, "a row was rejected and is left out");
                let (offset, bytes) = batch.leave_out(participant, row as usize);
                self.tell(Event::Rejected { offset });
                self.tell(Event::Released { bytes: bytes as u64 });
                let mut state = self.state();
                state.buffer.release_row(bytes);
                state.rejected += 1;
                true
            }
            Failed::No { participant, no } => {
                Probe::VoteNo.reached();
                Probe::VoteConflict.sometimes(no == No::Conflict);
                let pool = &self.pools[participant];
                match &no {
                    // It may go on for ever, and a person can do something.
                    No::Unable { reason } => {
                        tracing::warn!(participant = pool.name(), reason, "not prepared");
                    }
                    no => tracing::debug!(participant = pool.name(), ?no, "not prepared"),
                }
                if no == No::Conflict {
                    // Perhaps of an earlier start.
                    self.suspect(pool.nth());
                }
                true
            }
        }
    }
}
