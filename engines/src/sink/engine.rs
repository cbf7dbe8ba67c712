//! The sink's handle: push rows, ask for checkpoints, close. Its tasks do the work.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use seedbed_env::Env;

use super::coordinator::Coordinator;
use super::decisions::{Checkpoint, Decisions};
use super::error::Error;
use super::event::Event;
use super::options::Options;
use super::participant::{Gid, Participant, ParticipantError, Session, Writer};
use super::plant::Plant;
use super::pool::PoolMetrics;
use super::probe::Probe;
use super::row::{Rows, Schema, Value};
use super::state::State;
use crate::classes;

/// A sink at work. Cloning gives another handle to it.
///
/// When the last handle is dropped it stops; what is not in a checkpoint then is written again by
/// the next start.
pub struct Sink<E: Env, P: Participant> {
    handle: Arc<Handle<E, P>>,
}

struct Handle<E: Env, P: Participant> {
    coordinator: Arc<Coordinator<E, P>>,
    incarnation: u64,
}

impl<E: Env, P: Participant> Drop for Handle<E, P> {
    fn drop(&mut self) {
        self.coordinator.stop(Error::Closed);
    }
}

impl<E: Env, P: Participant> Clone for Sink<E, P> {
    fn clone(&self) -> Self {
        Self { handle: Arc::clone(&self.handle) }
    }
}

impl<E: Env, P: Participant> fmt::Debug for Sink<E, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Sink");
        out.field("incarnation", &self.handle.incarnation);
        out.field("checkpoint", &self.checkpointed()).finish_non_exhaustive()
    }
}

/// What a sink did since it was opened.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// Bytes of rows that wait or are not prepared.
    pub buffered_bytes: usize,
    /// Transactions that have no end yet.
    pub transactions: usize,
    /// Rows that were rejected and left out.
    pub rejected: u64,
    /// The connections to each participant.
    pub pools: Vec<PoolMetrics>,
}

impl<E: Env, P: Participant> Sink<E, P> {
    /// Opens the sink whose state is in `dir`, creating it if it is missing (the parent must
    /// exist). What an earlier start left unfinished is resolved in the background: participants
    /// need not be there. Go on with the source at [`Sink::checkpointed`].
    ///
    /// A writer may be open once at a time; a second one fences the first off. Participants know
    /// the folder by an identity that was drawn when it was made, and refuse a sink of this name
    /// from another one.
    ///
    /// # Errors
    /// The store's; [`Error::Foreign`] if the folder belongs to another sink, or to one with other
    /// participants; [`Error::Invalid`] for options that break a limit.
    pub async fn open(
        env: E,
        dir: impl AsRef<Path>,
        writer: Writer,
        schema: Arc<Schema>,
        participants: Vec<P>,
        options: Options,
    ) -> Result<Self, Error> {
        options.validate(participants.len())?;
        let names: Vec<&str> = participants.iter().map(Participant::name).collect();
        let opened = Decisions::open(env.clone(), dir.as_ref(), &writer, &names, &options).await?;
        let (decisions, found) = opened;
        let (incarnation, mode) = (found.incarnation, options.mode);
        let Checkpoint { number: checkpoint, offset } = found.checkpoint;
        for one in found.decided.values().flatten() {
            options.observer.tell(Event::Recovered { gid: one.gid });
        }
        options.observer.tell(Event::Opened { incarnation, offset, checkpoint });
        for (gid, participant) in &found.damage {
            let (gid, participant) = (*gid, *participant);
            options.observer.tell(Event::Damaged { gid, participant, earlier: true });
        }
        let identity = found.identity.expect("a sink that was opened has one");
        let session = Session { writer, identity, incarnation, schema, mode };
        let coordinator =
            Coordinator::new(env.clone(), options, &session, participants, decisions, &found);
        let coordinator = Arc::new(coordinator);
        Probe::RecoveredDecisions.sometimes(!found.decided.is_empty());
        for (number, decided) in found.decided {
            coordinator.start_carrying_out(number, decided);
        }
        // Their ends are seen in the state that they share.
        drop(env.spawn(Arc::clone(&coordinator).begin_batches()));
        drop(env.spawn(classes::sink_checkpoint(Arc::clone(&coordinator).make_checkpoints())));
        for nth in 0..coordinator.pools.len() {
            drop(env.spawn(Arc::clone(&coordinator).resolve(nth)));
        }
        Ok(Self { handle: Arc::new(Handle { coordinator, incarnation }) })
    }

    /// Which start of the sink this is.
    pub fn incarnation(&self) -> u64 {
        self.handle.incarnation
    }

    /// The last durable checkpoint. All rows below its offset are in the table, or will be; the
    /// source need not keep them.
    pub fn checkpointed(&self) -> Checkpoint {
        self.handle.coordinator.state().checkpoint
    }

    /// The first offset that was not taken yet.
    pub fn next_offset(&self) -> u64 {
        self.handle.coordinator.state().buffer.next_offset()
    }

    /// Takes a row. Offsets are the source's; they go up, and may have gaps. Waits while the buffer
    /// is full. That it was taken does not say that it is durable: see [`Sink::checkpointed`].
    ///
    /// # Errors
    /// [`Error::Offset`], [`Error::Row`], or [`Error::Invalid`] for the offset `u64::MAX`: the row
    /// was not taken, and the sink goes on. Others: the sink has stopped.
    pub async fn push(&self, offset: u64, values: &[Value<'_>]) -> Result<(), Error> {
        self.push_rows(offset, &[values]).await
    }

    /// Takes rows with consecutive offsets from `first` on, as [`Sink::push`] one by one, but
    /// cheaper. Dropping the future leaves those that were taken, see [`Sink::next_offset`].
    ///
    /// # Errors
    /// As [`Sink::push`]; rows before the one at fault were taken.
    pub async fn push_rows<'v, R>(&self, first: u64, rows: &[R]) -> Result<(), Error>
    where
        R: AsRef<[Value<'v>]>,
    {
        let mut taken = 0;
        loop {
            let room = self.handle.coordinator.room.notified();
            taken += self.take_some(first + taken as u64, &rows[taken..])?;
            if taken == rows.len() {
                return Ok(());
            }
            Probe::BackPressure.reached();
            room.await;
        }
    }

    /// Takes as many rows as there is room for.
    fn take_some<'v, R: AsRef<[Value<'v>]>>(&self, first: u64, rows: &[R]) -> Result<usize, Error> {
        let coordinator = &*self.handle.coordinator;
        let now = coordinator.env.now();
        let mut taken = 0;
        let mut failed = Ok(());
        let ready = {
            let mut state = coordinator.state();
            if let Some(stopped) = &state.stopped {
                return Err(stopped.clone());
            }
            let last = state.buffer.next_offset();
            if first < last {
                return Err(Error::Offset { offset: first, last: last - 1 });
            }
            let was_waiting = state.buffer.since().is_some();
            for values in rows {
                let values = values.as_ref();
                // A checkpoint names the offset after it.
                let offset = first.checked_add(taken as u64).filter(|offset| *offset < u64::MAX);
                let Some(offset) = offset else {
                    let reason = format!("an offset of {}: there is none after it", u64::MAX);
                    failed = Err(Error::Invalid { reason });
                    break;
                };
                let after = state.buffer.bytes() + Rows::len_of(values);
                let limit = match coordinator.planted(Plant::BufferHasNoLimit) {
                    true => usize::MAX,
                    false => coordinator.options.buffer_bytes_max,
                };
                if after > limit && state.buffer.bytes() > 0 {
                    break;
                }
                match state.buffer.push(&coordinator.schema, offset, values, now) {
                    Ok(len) => coordinator.tell(Event::Buffered { offset, bytes: len as u64 }),
                    Err(error) => {
                        failed = Err(error.into());
                        break;
                    }
                }
                taken += 1;
            }
            // Who waits for a batch to be ripe has to learn of the first row, and of a full one.
            state.buffer.is_ready() || !was_waiting
        };
        if ready && taken > 0 {
            coordinator.ready.notify_one();
        }
        failed.map(|()| taken)
    }

    /// Makes a checkpoint of everything that was taken so far, and waits until it is durable.
    ///
    /// # Errors
    /// The sink has stopped.
    pub async fn checkpoint(&self) -> Result<Checkpoint, Error> {
        let coordinator = &*self.handle.coordinator;
        let wanted = {
            let mut state = coordinator.state();
            state.buffer.seal();
            state.wanted = state.buffer.next_offset().max(state.wanted);
            state.buffer.next_offset()
        };
        coordinator.ready.notify_one();
        coordinator.due.notify_one();
        self.reached(wanted).await
    }

    /// Waits until a checkpoint that has everything below `offset` is durable, and gives the last
    /// one. Does not ask for one.
    ///
    /// # Errors
    /// The sink has stopped.
    pub async fn reached(&self, offset: u64) -> Result<Checkpoint, Error> {
        self.until(|state| (state.checkpoint.offset >= offset).then_some(state.checkpoint)).await
    }

    /// Waits until nothing is on its way: all rows that were taken are in the table, and every
    /// participant has said so.
    ///
    /// # Errors
    /// The sink has stopped.
    pub async fn settled(&self) -> Result<(), Error> {
        self.until(|state| state.is_settled().then_some(())).await
    }

    async fn until<T>(&self, reached: impl Fn(&State) -> Option<T>) -> Result<T, Error> {
        let coordinator = &*self.handle.coordinator;
        loop {
            let progress = coordinator.progress.notified();
            {
                let state = coordinator.state();
                if let Some(value) = reached(&state) {
                    return Ok(value);
                }
                if let Some(stopped) = &state.stopped {
                    return Err(stopped.clone());
                }
            }
            progress.await;
        }
    }

    /// Where a participant did otherwise than was decided, because a person had decided before: the
    /// transaction, and the participant's number. Of all starts; somebody has to mend it.
    pub fn damage(&self) -> Vec<(Gid, u8)> {
        self.handle.coordinator.state().damage.clone()
    }

    /// Why the sink has stopped, if it has.
    pub fn stopped(&self) -> Option<Error> {
        self.handle.coordinator.state().stopped.clone()
    }

    /// What it did.
    pub fn metrics(&self) -> Metrics {
        let coordinator = &*self.handle.coordinator;
        let pools = coordinator.pools.iter().map(super::pool::Pool::metrics).collect();
        let state = coordinator.state();
        Metrics {
            buffered_bytes: state.buffer.bytes(),
            transactions: state.transactions(),
            rejected: state.rejected,
            pools,
        }
    }

    /// A connection to a participant out of its pool, given back when this is dropped: what that
    /// costs is measured by `postgres/examples/sink_postgres.rs`.
    #[doc(hidden)]
    pub async fn borrow_connection(
        &self,
        participant: usize,
    ) -> Result<impl Sized, ParticipantError> {
        self.handle.coordinator.pools[participant].lease().await
    }

    /// Writes everything that was taken, waits until it is in the table, and stops. Also after the
    /// sink has stopped by itself: only when this has returned, whatever it says, may the folder be
    /// opened again in the same process.
    ///
    /// # Errors
    /// The sink has stopped before.
    pub async fn close(&self) -> Result<Checkpoint, Error> {
        let written = match self.stopped() {
            Some(stopped) => Err(stopped),
            None => self.write_out().await,
        };
        let closed = self.handle.coordinator.close().await;
        let checkpoint = written?;
        closed.map(|()| checkpoint)
    }

    async fn write_out(&self) -> Result<Checkpoint, Error> {
        let checkpoint = self.checkpoint().await?;
        self.settled().await?;
        if self.handle.coordinator.planted(Plant::CloseHangs) {
            std::future::pending::<()>().await;
        }
        Ok(checkpoint)
    }
}
