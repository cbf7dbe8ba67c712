//! The coordinator: what the sink's tasks do, and what wakes them.
//!
//! Tasks: one that lets batches begin (`begin_batches`), one for each batch that is not prepared
//! (`transaction.rs`), one that makes checkpoints (`make_checkpoints`), one for each checkpoint
//! that is not carried out (`carry_out`), and one for each participant that looks for transactions
//! that nobody works on (`resolve`). Invariants: no lock is held across an `await`; all of them end
//! when the sink has stopped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use seedbed_env::Env;
use seedbed_env::sync::{Notify, race};

use super::decisions::{Checkpoint, Decided, Decisions, Found};
use super::error::Error;
use super::event::{Event, Observer};
use super::options::{Guarantee, Options};
use super::participant::{
    Connection, Decision, Gid, Outcome, Participant, ParticipantError, Session,
};
use super::plant::Plant;
use super::pool::Pool;
use super::probe::Probe;
use super::row::Schema;
use super::state::{Admission, Due, Proposal, State};
use crate::classes;

/// The most transactions that one request to commit or abort names.
const REQUEST_GIDS_MAX: usize = 256;

/// A planted bug: each begins when the one before it has ended.
async fn one_by_one(all: impl Iterator<Item = impl Future<Output = bool>>) -> bool {
    let mut done = true;
    for one in all {
        done &= one.await;
    }
    done
}

/// What all tasks of a sink share.
pub(super) struct Coordinator<E: Env, P: Participant> {
    pub(super) env: E,
    pub(super) options: Options,
    pub(super) schema: Arc<Schema>,
    pub(super) pools: Vec<Pool<E, P>>,
    decisions: Decisions<E>,
    state: Mutex<State>,
    /// There is room in the buffer.
    pub(super) room: Notify,
    /// A batch may be ready.
    pub(super) ready: Notify,
    /// A checkpoint may be due.
    pub(super) due: Notify,
    /// Something has ended: a batch, a checkpoint, the sink.
    pub(super) progress: Notify,
    /// For each participant: look for abandoned transactions now.
    suspicious: Vec<Notify>,
}

impl<E: Env, P: Participant> Coordinator<E, P> {
    pub(super) fn new(
        env: E,
        options: Options,
        session: &Session,
        participants: Vec<P>,
        decisions: Decisions<E>,
        found: &Found,
    ) -> Self {
        let state = State::new(&options, participants.len(), found);
        let pool = |(nth, participant): (usize, P)| {
            let session = session.clone();
            Pool::new(env.clone(), Arc::new(participant), nth as u8, session, &options)
        };
        let pools: Vec<_> = participants.into_iter().enumerate().map(pool).collect();
        Self {
            suspicious: pools.iter().map(|_| Notify::new()).collect(),
            schema: Arc::clone(&session.schema),
            env: env.clone(),
            pools,
            decisions,
            state: Mutex::new(state),
            options,
            room: Notify::new(),
            ready: Notify::new(),
            due: Notify::new(),
            progress: Notify::new(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Poisoned only if an assertion of ours failed under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self, event: Event) {
        self.observer().tell(event);
    }

    pub(super) fn observer(&self) -> &Observer {
        &self.options.observer
    }

    pub(super) fn planted(&self, plant: Plant) -> bool {
        self.options.planted(plant)
    }

    /// Ends all tasks. The first reason counts.
    pub(super) fn stop(&self, error: Error) {
        self.state().stopped.get_or_insert(error);
        self.room.notify_waiters();
        self.progress.notify_waiters();
        self.ready.notify_one();
        self.due.notify_one();
        self.suspicious.iter().for_each(Notify::notify_one);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state().stopped.is_some()
    }

    /// Whether a participant's failure will pass; if not, the sink stops.
    pub(super) fn passes(&self, pool: &Pool<E, P>, error: &ParticipantError) -> bool {
        let participant = pool.name().to_owned();
        match error {
            ParticipantError::Lost(_) if self.planted(Plant::StopsWhenLost) => {
                self.stop(Error::Fenced);
            }
            ParticipantError::Lost(_) => return true,
            ParticipantError::Fenced { .. } => {
                self.stop(Error::Fenced);
            }
            ParticipantError::Refused(reason) => {
                self.stop(Error::Refused { participant, reason: reason.clone() });
            }
        }
        false
    }

    /// Waits before the next attempt, but not when the sink has stopped.
    pub(super) async fn pause(&self, duration: Duration) {
        let stopped = async {
            loop {
                let progress = self.progress.notified();
                if self.is_stopped() {
                    return;
                }
                progress.await;
            }
        };
        race(stopped, self.env.sleep(duration)).await;
    }

    /// Lets batches begin, in order.
    pub(super) async fn begin_batches(self: Arc<Self>) {
        loop {
            let (batch, wait) = {
                let mut state = self.state();
                if state.stopped.is_some() {
                    return;
                }
                let now = self.env.now();
                let ripe = state.buffer.since().map(|since| since + self.options.batch_delay);
                if ripe.is_some_and(|at| now >= at) {
                    state.buffer.seal();
                }
                (state.buffer.take(), ripe.map(|at| at - now))
            };
            let Some(batch) = batch else {
                match wait {
                    None => self.ready.notified().await,
                    Some(wait) => drop(race(self.ready.notified(), self.env.sleep(wait)).await),
                }
                continue;
            };
            let nth = loop {
                let progress = self.progress.notified();
                {
                    let mut state = self.state();
                    if state.stopped.is_some() {
                        return;
                    }
                    match state.admit(&batch, self.options.transactions_max) {
                        Admission::Slot(nth) => break nth,
                        Admission::Wait => self.due.notify_one(),
                        Admission::WaitForVotes => (),
                    }
                }
                progress.await;
            };
            drop(self.env.spawn(classes::sink_batch(Arc::clone(&self).run_batch(nth, batch))));
        }
    }

    /// Makes checkpoints, one after the other.
    pub(super) async fn make_checkpoints(self: Arc<Self>) {
        loop {
            let due = {
                let state = self.state();
                if state.stopped.is_some() {
                    return;
                }
                state.due(&self.options, self.env.now())
            };
            match due {
                Due::Nothing => self.due.notified().await,
                Due::At(at) => {
                    let wait = at - self.env.now();
                    race(self.due.notified(), self.env.sleep(wait)).await;
                }
                Due::Now(proposal) => {
                    if let Err(error) = self.decide(proposal).await {
                        return self.stop(Error::Stopped { reason: Arc::new(error) });
                    }
                }
            }
        }
    }

    /// Makes one checkpoint, and has its decisions carried out.
    async fn decide(self: &Arc<Self>, mut proposal: Proposal) -> Result<(), Error> {
        let early = self.planted(Plant::CommitBeforeDurable);
        if early {
            self.start_carrying_out(proposal.checkpoint.number, proposal.decided.clone());
        }
        if self.planted(Plant::OffsetBeforeFlush) {
            proposal.checkpoint.offset = self.state().buffer.next_offset();
        }
        if self.planted(Plant::AnsweredBeforeDurable) {
            self.state().checkpoint.offset = proposal.checkpoint.offset;
            self.progress.notify_waiters();
        }
        let Proposal { checkpoint, decided, carried_out, .. } = &proposal;
        let forgotten: Vec<Gid> = {
            let state = self.state();
            carried_out.iter().flat_map(|number| state.gids_of(*number)).collect()
        };
        let Checkpoint { number, offset } = *checkpoint;
        self.tell(Event::CheckpointBegun { checkpoint: number });
        for Decided { gid, .. } in decided {
            self.tell(Event::Joined { gid: *gid, checkpoint: number });
        }
        self.decisions.checkpoint(*checkpoint, decided, carried_out).await?;
        for one in decided {
            self.tell(Event::Decided { gid: one.gid, decision: Decision::Commit });
        }
        self.tell(Event::Checkpointed { checkpoint: number, offset });
        forgotten.iter().for_each(|gid| self.tell(Event::Forgotten { gid: *gid }));
        if number == 3 && self.planted(Plant::StopsByItself) {
            return Err(crate::atomic_commit::Error::Closed.into());
        }
        let overlaps = self.state().decided(&proposal);
        Probe::CheckpointsOverlap.sometimes(overlaps);
        self.progress.notify_waiters();
        if self.planted(Plant::SlowDecision) {
            self.env.sleep(Duration::from_millis(200)).await;
        }
        if !early {
            self.start_carrying_out(number, proposal.decided);
        }
        Ok(())
    }

    /// Starts the task that has a checkpoint's decisions carried out.
    pub(super) fn start_carrying_out(self: &Arc<Self>, number: u64, decided: Vec<Decided>) {
        if !decided.is_empty() {
            let telling = Arc::clone(self).carry_out(number, decided);
            drop(self.env.spawn(classes::sink_decision(telling)));
        }
    }

    /// Tells all participants to commit, until each has answered.
    async fn carry_out(self: Arc<Self>, number: u64, decided: Vec<Decided>) {
        if self.planted(Plant::ForgottenTooEarly) {
            self.forget_early(number).await;
        }
        let all = self.pools.iter().map(|pool| {
            let here = |one: &&Decided| one.participants & 1 << pool.nth() != 0;
            let gids: Vec<Gid> = decided.iter().filter(here).map(|one| one.gid).collect();
            self.commit_at(pool, gids)
        });
        let done: bool = match self.planted(Plant::ToldInTurn) {
            true => one_by_one(all).await,
            false => join_all(all).await.into_iter().all(|done| done),
        };
        if !done || self.planted(Plant::OneIsNotTold) {
            return;
        }
        self.state().carried_out(number);
        self.progress.notify_waiters();
        self.due.notify_one();
        if self.planted(Plant::ForgetsAtOnce) {
            self.forget(true).await;
        }
    }

    /// Removes decisions from the log that everybody has carried out.
    pub(super) async fn forget(&self, durably: bool) {
        let (numbers, gids) = {
            let state = self.state();
            let numbers = state.to_forget();
            let gids: Vec<Gid> = numbers.iter().flat_map(|one| state.gids_of(*one)).collect();
            (numbers, gids)
        };
        if let Err(error) = self.decisions.forget(&numbers, &gids, durably).await {
            return self.stop(Error::Stopped { reason: Arc::new(error) });
        }
        gids.iter().for_each(|gid| self.tell(Event::Forgotten { gid: *gid }));
        self.state().forgotten(&numbers);
    }

    /// A planted bug: the decision goes before it is carried out.
    async fn forget_early(&self, number: u64) {
        let gids = self.state().gids_of(number);
        if self.decisions.forget(&[number], &[], true).await.is_ok() {
            gids.iter().for_each(|gid| self.tell(Event::Forgotten { gid: *gid }));
        }
    }

    /// Tells one participant to commit until it has answered; `false` if the sink stops before.
    async fn commit_at(&self, pool: &Pool<E, P>, gids: Vec<Gid>) -> bool {
        if self.planted(Plant::OneIsNotTold) && usize::from(pool.nth()) + 1 == self.pools.len() {
            return true;
        }
        let size = pool.decisions_per_request(gids.len(), REQUEST_GIDS_MAX);
        let all = gids.chunks(size).map(|some| self.commit_some(pool, some));
        join_all(all).await.into_iter().all(|done| done)
    }

    async fn commit_some(&self, pool: &Pool<E, P>, gids: &[Gid]) -> bool {
        let mut attempt = 0;
        while !self.is_stopped() {
            match self.carry_to(Decision::Commit, pool, gids).await {
                Ok(()) => return true,
                Err(error) if !self.passes(pool, &error) => return false,
                Err(error) => {
                    tracing::debug!(participant = pool.name(), %error, "commit is sent again");
                    Probe::CommitRetried.reached();
                    attempt += 1;
                    self.pause(self.options.retry_after(attempt)).await;
                }
            }
        }
        false
    }

    /// Sends a decision about some transactions to one participant, and reports where a person was
    /// first. Only then may the participant stop listing these.
    pub(super) async fn carry_to(
        &self,
        decision: Decision,
        pool: &Pool<E, P>,
        gids: &[Gid],
    ) -> Result<(), ParticipantError> {
        let outcomes = self.ask_to(decision, pool, gids).await?;
        let damaged = self.damaged(pool, gids, decision, &outcomes);
        if damaged.is_empty() || !self.report(pool, &damaged).await {
            return Ok(());
        }
        let mut lease = pool.lease().await?;
        self.in_time(lease.forget(&damaged)).await
    }

    async fn ask_to(
        &self,
        decision: Decision,
        pool: &Pool<E, P>,
        gids: &[Gid],
    ) -> Result<Vec<Outcome>, ParticipantError> {
        let participant = pool.nth();
        let mut lease = pool.lease().await?;
        let times = if self.planted(Plant::CommitsTwice) { 2 } else { 1 };
        let mut outcomes = Vec::new();
        for _ in 0..times {
            gids.iter().for_each(|gid| {
                self.tell(Event::DecisionSent { gid: *gid, participant, decision })
            });
            let asked = async {
                match decision {
                    Decision::Commit => lease.commit(gids).await,
                    Decision::Abort => lease.abort(gids).await,
                }
            };
            outcomes = self.in_time(asked).await?;
        }
        if outcomes.len() != gids.len() {
            // To take what is missing for done would lose rows.
            let (got, asked) = (outcomes.len(), gids.len());
            let reason = format!("it gives {got} outcomes of {asked} transactions");
            return Err(ParticipantError::Refused(reason));
        }
        for (gid, outcome) in gids.iter().zip(&outcomes) {
            let (gid, outcome) = (*gid, *outcome);
            self.tell(Event::Answered { gid, participant, decision, outcome });
        }
        Ok(outcomes)
    }

    /// Gives a request its time.
    pub(super) async fn in_time<T>(
        &self,
        request: impl Future<Output = Result<T, ParticipantError>>,
    ) -> Result<T, ParticipantError> {
        let limit = self.options.request_timeout;
        let answered = seedbed_env::sync::timeout(&self.env, limit, request).await;
        answered
            .unwrap_or_else(|| Err(ParticipantError::Lost(format!("no answer within {limit:?}"))))
    }

    /// Where the outcome is not what was decided.
    fn damaged(
        &self,
        pool: &Pool<E, P>,
        gids: &[Gid],
        decision: Decision,
        outcomes: &[Outcome],
    ) -> Vec<Gid> {
        let is_damage = |outcome: &Outcome| match outcome {
            Outcome::Done => false,
            Outcome::Heuristic(by_hand) => *by_hand != decision,
            Outcome::Missing => true,
        };
        let all = gids.iter().zip(outcomes).filter(|(_, outcome)| is_damage(outcome));
        all.map(|(gid, outcome)| {
            let participant = pool.name();
            tracing::error!(%gid, participant, ?decision, ?outcome, "damage");
            *gid
        })
        .collect()
    }

    /// Reports damage, once for each; `false` if the sink had to stop.
    async fn report(&self, pool: &Pool<E, P>, damaged: &[Gid]) -> bool {
        for gid in damaged {
            match self.decisions.note_damage(*gid, pool.nth()).await {
                Ok(false) => (),
                Ok(true) => {
                    Probe::Damage.reached();
                    let participant = pool.nth();
                    self.tell(Event::Damaged { gid: *gid, participant, earlier: false });
                    self.state().damage.push((*gid, participant));
                }
                Err(error) => {
                    self.stop(Error::Stopped { reason: Arc::new(error) });
                    return false;
                }
            }
        }
        true
    }

    /// Something may be prepared at a participant that nobody works on.
    pub(super) fn suspect(&self, participant: u8) {
        self.suspicious[usize::from(participant)].notify_one();
    }

    /// Looks at one participant for prepared transactions that nobody works on, again and again.
    pub(super) async fn resolve(self: Arc<Self>, nth: usize) {
        let pool = &self.pools[nth];
        let mut failed = 0;
        while !self.is_stopped() {
            match self.resolve_once(pool).await {
                Ok(()) => {
                    failed = 0;
                    let rest = self.env.sleep(self.options.resolve_every);
                    race(self.suspicious[nth].notified(), rest).await;
                }
                Err(error) if !self.passes(pool, &error) => return,
                Err(error) => {
                    Probe::ConnectFails.reached();
                    tracing::debug!(participant = pool.name(), %error, "cannot be asked");
                    failed += 1;
                    self.pause(self.options.retry_after(failed)).await;
                }
            }
        }
    }

    async fn resolve_once(&self, pool: &Pool<E, P>) -> Result<(), ParticipantError> {
        // What ends meanwhile was known; what begins meanwhile may be in the list.
        let (known, newest) = {
            let state = self.state();
            (state.known(), state.newest())
        };
        let listed = {
            let mut lease = pool.lease().await?;
            self.in_time(lease.prepared()).await?
        };
        let mut orphans = Vec::new();
        for gid in listed {
            let abandoned = gid <= newest && !known.contains(&gid) && !self.state().is_known(gid)
                || self.planted(Plant::StaleListing) && !self.state().is_known(gid);
            let earlier = gid.incarnation < newest.incarnation;
            let found = (abandoned && !(earlier && self.planted(Plant::SupersededNotAborted)))
                || self.planted(Plant::ActiveResolved)
                || earlier && self.planted(Plant::CompletedAborted);
            if found {
                Probe::OrphanOfEarlierStart.sometimes(earlier);
                orphans.push(gid);
            }
        }
        let decision = match self.planted(Plant::FailedCommitted) {
            true => Decision::Commit,
            false => Decision::Abort,
        };
        let size = pool.decisions_per_request(orphans.len(), REQUEST_GIDS_MAX);
        let all = orphans.chunks(size).map(|some| async move {
            Probe::OrphanAborted.reached();
            for gid in some {
                self.tell(Event::Resolved { gid: *gid, participant: pool.nth(), decision });
            }
            self.carry_to(decision, pool, some).await
        });
        try_join_all(all).await.map(drop)
    }

    /// Stops for good, with everything durable.
    pub(super) async fn close(&self) -> Result<(), Error> {
        let was_stopped = self.is_stopped();
        self.stop(Error::Closed);
        if !was_stopped {
            // Not before: who prepares tells participants what is forgotten for good.
            self.forget(false).await;
        }
        self.pools.iter().for_each(Pool::close_idle);
        self.decisions.close().await
    }

    /// Whether rows are prepared before they are committed.
    pub(super) fn two_phases(&self) -> bool {
        self.options.guarantee == Guarantee::ExactlyOnce
    }
}
