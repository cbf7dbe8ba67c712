//! One batch on its way to being prepared at all of its participants: attempt after attempt, each
//! of them a transaction with a name of its own.
//!
//! Participants have room for so many prepared transactions, and a checkpoint needs all that are
//! before it. So a batch that finds no room waits until it is the first that is not prepared; then
//! later ones have to make room for it, one after the other. Otherwise two participants, each full
//! of transactions that wait for one which the other has no room for, would stand still for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::{BoxFuture, join_all, try_join_all};
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
use crate::classes;

/// Why an attempt failed.
enum Failed {
    /// A participant voted no.
    No { participant: usize, no: No },
    /// A participant could not be asked, or has not answered.
    Lost { participant: usize, error: ParticipantError },
}

impl Failed {
    /// The participant that could not just now.
    fn no_room(&self) -> Option<usize> {
        match self {
            Self::No { participant, no: No::Unable { .. } } => Some(*participant),
            _ => None,
        }
    }
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
                Ok(())
                    if self.planted(Plant::AbortsWithoutReason) && gid.number.is_multiple_of(4) =>
                {
                    self.abort(gid, participants).await;
                    continue;
                }
                Ok(()) => {
                    let transaction = self.two_phases().then_some(Decided { gid, participants });
                    if transaction.is_none() {
                        self.state().end(gid);
                    }
                    return self.finish_batch(nth, batch, transaction);
                }
                Err(failed) => failed,
            };
            if let Failed::Lost { .. } = failed
                && self.two_phases()
            {
                self.tell(Event::GaveUp { gid });
            }
            let told = asked.into_inner() & !self.refused_by(&failed);
            match self.two_phases() {
                true => self.abort(gid, told).await,
                false => self.state().end(gid),
            }
            let no_room = failed.no_room();
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
            let made = match no_room {
                Some(participant) => self.make_room(nth, participant).await,
                None => false,
            };
            if !made {
                attempt += 1;
                self.pause(self.options.retry_after(attempt)).await;
            }
        }
    }

    /// A participant had no room for a batch. Waits until no earlier one is working; then has a
    /// later one give up its place there, if one has one: `true`.
    async fn make_room(self: &Arc<Self>, nth: u64, participant: usize) -> bool {
        self.state().no_room();
        self.due.notify_one();
        self.first(nth).await;
        if self.planted(Plant::KeepsItsPlace) {
            return false;
        }
        let given_up = self.state().give_up(nth, participant);
        let Some((later, Decided { gid, participants }, batch)) = given_up else { return false };
        Probe::PlaceGivenUp.reached();
        self.tell(Event::GaveUp { gid });
        self.abort(gid, participants).await;
        let again = Arc::clone(self).run_batch_again(later, batch);
        drop(self.env.spawn(classes::sink_batch(again)));
        true
    }

    /// Waits until no earlier batch is working.
    async fn first(&self, nth: u64) {
        loop {
            let progress = self.progress.notified();
            {
                let state = self.state();
                if state.is_first(nth) || state.stopped.is_some() {
                    return;
                }
            }
            progress.await;
        }
    }

    /// Has a batch prepared once more that has made room for another one. Boxed, since a task that
    /// may start its own kind has no type else.
    fn run_batch_again(self: Arc<Self>, nth: u64, batch: Batch) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.first(nth).await;
            self.run_batch(nth, batch).await;
        })
    }

    fn finish_batch(&self, nth: u64, batch: Batch, transaction: Option<Decided>) {
        let now = self.env.now();
        let mut state = self.state();
        let bytes = state.prepared(nth, batch, transaction, now) as u64;
        if bytes > 0 {
            self.tell(Event::Released { bytes });
        }
        drop(state);
        self.room.notify_waiters();
        self.due.notify_one();
        self.progress.notify_waiters();
    }

    /// Asks all participants of a batch at once; the first failure ends it for all. `asked` notes,
    /// by a bit for each, who was asked to prepare: nobody else has anything to abort.
    async fn attempt(&self, gid: Gid, batch: &Batch, asked: &AtomicU64) -> Result<(), Failed> {
        let participants = batch.participants();
        let left_out = |nth: u8| {
            self.planted(Plant::OneIsNotAsked)
                && participants.count_ones() > 1
                && participants.ilog2() == u32::from(nth)
        };
        let with =
            |pool: &&Pool<E, P>| participants & 1 << pool.nth() != 0 && !left_out(pool.nth());
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

    /// Who has said no, which is an end of its own: a bit.
    fn refused_by(&self, failed: &Failed) -> u64 {
        match failed {
            Failed::No { participant, .. } if !self.planted(Plant::AbortsEverywhere) => {
                1 << *participant
            }
            _ => 0,
        }
    }

    /// Tells these participants to abort, a bit for each. Those who do not answer are told again
    /// in the background.
    async fn abort(self: &Arc<Self>, gid: Gid, participants: u64) {
        Probe::AbortSent.reached();
        self.tell(Event::Decided { gid, decision: Decision::Abort });
        let here = (0..self.pools.len()).filter(|nth| participants & 1 << nth != 0);
        let told = here.map(|nth| async move {
            let answered = self.carry_to(Decision::Abort, &self.pools[nth], &[gid]).await;
            answered.is_err().then_some(nth)
        });
        let deaf: Vec<usize> = join_all(told).await.into_iter().flatten().collect();
        match deaf.is_empty() {
            true => self.state().end(gid),
            false => drop(self.env.spawn(Arc::clone(self).abort_again(gid, deaf))),
        }
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
