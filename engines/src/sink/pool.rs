//! Connections to one participant: few, kept, and never given out with a transaction open.
//!
//! Invariants, for every point at which a future may be dropped: `leased + idle + connecting` is
//! never more than the limit; a connection has at most one holder; a place is free again when its
//! holder is gone; what goes back is idle, and everything else is closed. Who waits first is served
//! first.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use seedbed_env::sync::{Semaphore, SemaphorePermit, timeout};
use seedbed_env::{Clock, Instant};

use super::event::{ConnectionChange, Event, Observer};
use super::options::Options;
use super::participant::{Connection, ConnectionState, Participant, ParticipantError, Session};
use super::plant::Plant;
use super::probe::Probe;

/// What a pool did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolMetrics {
    /// The most connections there may be.
    pub connections_max: usize,
    /// Connections that were made.
    pub opened: u64,
    /// Times that a connection was given out and came back, or was closed.
    pub leases: u64,
    /// Of these, times that it had been there already.
    pub reused: u64,
    /// For how long connections were in somebody's hands, added up.
    pub busy: Duration,
}

/// A pool.
pub(super) struct Pool<C: Clock, P: Participant> {
    clock: C,
    participant: Arc<P>,
    /// The participant's number.
    nth: u8,
    session: Session,
    connect_timeout: Duration,
    idle_max: Duration,
    ping_after: Duration,
    max: usize,
    places: Semaphore,
    kept: Mutex<Kept<P::Connection>>,
    next_id: AtomicU32,
    opened: AtomicU64,
    next_wait: AtomicU32,
    observer: Observer,
    hands_out_open: bool,
    connections_kept: bool,
    leaks: bool,
    keeps_broken: bool,
}

/// What one lock guards, which is taken once to lease a connection and once to give it back.
struct Kept<C> {
    /// The last one to come back is at the end, and goes out first.
    idle: VecDeque<Idle<C>>,
    leases: u64,
    reused: u64,
    busy: Duration,
}

struct Idle<C> {
    /// Boxed, since it is moved from hand to hand.
    connection: Box<C>,
    id: u32,
    since: Instant,
}

/// Somebody waits for a place, until this is dropped.
struct Wait<'a, C: Clock, P: Participant> {
    pool: &'a Pool<C, P>,
    number: u32,
}

impl<'a, C: Clock, P: Participant> Wait<'a, C, P> {
    fn begin(pool: &'a Pool<C, P>) -> Self {
        let number = pool.next_wait.fetch_add(1, Ordering::Relaxed);
        pool.observer.tell(Event::WaitBegun { participant: pool.nth, wait: number });
        Self { pool, number }
    }
}

impl<C: Clock, P: Participant> Drop for Wait<'_, C, P> {
    fn drop(&mut self) {
        let (participant, wait) = (self.pool.nth, self.number);
        self.pool.observer.tell(Event::WaitEnded { participant, wait });
    }
}

/// A connection that is being made; dropping this says that it was not.
struct Opening<'a, C: Clock, P: Participant> {
    pool: &'a Pool<C, P>,
    id: u32,
    is_made: bool,
}

impl<'a, C: Clock, P: Participant> Opening<'a, C, P> {
    fn begin(pool: &'a Pool<C, P>) -> Self {
        let id = pool.next_id.fetch_add(1, Ordering::Relaxed);
        pool.tell(id, ConnectionChange::Opening, ConnectionState::Idle);
        Self { pool, id, is_made: false }
    }

    /// It was made: its number.
    fn end(mut self) -> u32 {
        self.is_made = true;
        self.id
    }
}

impl<C: Clock, P: Participant> Drop for Opening<'_, C, P> {
    fn drop(&mut self) {
        if !self.is_made {
            self.pool.tell(self.id, ConnectionChange::Closed, ConnectionState::Broken);
        }
    }
}

/// A connection in somebody's hands; dropping it gives it back, or closes it if it is not idle.
pub(super) struct Lease<'a, C: Clock, P: Participant> {
    pool: &'a Pool<C, P>,
    connection: Option<Box<P::Connection>>,
    id: u32,
    reused: bool,
    since: Instant,
    place: Option<SemaphorePermit<'a>>,
}

impl<C: Clock, P: Participant> Pool<C, P> {
    pub(super) fn new(
        clock: C,
        participant: Arc<P>,
        nth: u8,
        session: Session,
        options: &Options,
    ) -> Self {
        let kept = Kept { idle: VecDeque::new(), leases: 0, reused: 0, busy: Duration::ZERO };
        Self {
            clock,
            participant,
            nth,
            session,
            connect_timeout: options.connect_timeout,
            idle_max: options.idle_max,
            ping_after: options.ping_after,
            max: options.connections_max,
            places: Semaphore::new(match options.planted(Plant::PoolGrows) {
                true => options.connections_max + 1,
                false => options.connections_max,
            }),
            kept: Mutex::new(kept),
            next_id: AtomicU32::new(0),
            opened: AtomicU64::new(0),
            next_wait: AtomicU32::new(0),
            observer: options.observer.clone(),
            hands_out_open: options.planted(Plant::OpenTransactionHandedOut),
            connections_kept: !options.planted(Plant::ConnectionsNotKept),
            leaks: options.planted(Plant::ConnectionLeaked),
            keeps_broken: options.planted(Plant::BrokenIsKept),
        }
    }

    /// The participant's name.
    pub(super) fn name(&self) -> &str {
        self.participant.name()
    }

    /// Of so many decisions, how many one request should name; at most `max`.
    pub(super) fn decisions_per_request(&self, count: usize, max: usize) -> usize {
        match self.participant.spreads_decisions() {
            true => count.div_ceil(self.max).clamp(1, max),
            false => max,
        }
    }

    /// The participant's number.
    pub(super) fn nth(&self) -> u8 {
        self.nth
    }

    /// A connection to work with. Waits for a place without a limit: each holder has one.
    pub(super) async fn lease(&self) -> Result<Lease<'_, C, P>, ParticipantError> {
        let place = match self.places.try_acquire() {
            Ok(place) => place,
            Err(_) => {
                Probe::PoolWaits.reached();
                let _wait = Wait::begin(self);
                self.places.acquire().await.expect("a pool's places are never closed")
            }
        };
        let now = self.clock.now();
        while let Some(Idle { connection, id, since }) = self.take_idle(now) {
            let quiet = now - since;
            let connection = Some(connection);
            // It gets the place when it is known to live.
            let mut lease =
                Lease { pool: self, connection, id, reused: true, since: now, place: None };
            lease.tell(ConnectionChange::Leased);
            // It may have broken while it was idle.
            let lives = match quiet < self.ping_after {
                _ if self.keeps_broken => true,
                true => lease.is_usable(),
                false => lease.is_usable() && lease.answers().await && lease.is_usable(),
            };
            if !lives {
                Probe::PoolFindsDead.reached();
                continue;
            }
            lease.place = Some(place);
            return Ok(lease);
        }
        self.connect(place, now).await
    }

    /// What it did.
    pub(super) fn metrics(&self) -> PoolMetrics {
        let kept = self.kept();
        PoolMetrics {
            connections_max: self.max,
            opened: self.opened.load(Ordering::Relaxed),
            leases: kept.leases,
            reused: kept.reused,
            busy: kept.busy,
        }
    }

    /// Closes what nobody holds.
    pub(super) fn close_idle(&self) {
        let idle = std::mem::take(&mut self.kept().idle);
        for idle in idle {
            self.tell(idle.id, ConnectionChange::Closed, idle.connection.state());
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept<P::Connection>> {
        // Poisoned only if an assertion of ours failed under it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that came back last; those that were idle for too long are closed.
    fn take_idle(&self, now: Instant) -> Option<Idle<P::Connection>> {
        let (taken, old) = {
            let mut kept = self.kept();
            let is_old = |idle: &Idle<_>| now - idle.since >= self.idle_max;
            let mut old = Vec::new();
            while kept.idle.front().is_some_and(is_old) {
                old.extend(kept.idle.pop_front());
            }
            (kept.idle.pop_back(), old)
        };
        for idle in old {
            self.tell(idle.id, ConnectionChange::Closed, idle.connection.state());
        }
        taken
    }

    async fn connect<'a>(
        &'a self,
        place: SemaphorePermit<'a>,
        now: Instant,
    ) -> Result<Lease<'a, C, P>, ParticipantError> {
        let opening = Opening::begin(self);
        let connecting = self.participant.connect(&self.session);
        let limit = self.connect_timeout;
        let connected = timeout(&self.clock, limit, connecting).await;
        let late = || ParticipantError::Lost(format!("no connection within {limit:?}"));
        let connection = Box::new(connected.ok_or_else(late)??);
        let id = opening.end();
        self.opened.fetch_add(1, Ordering::Relaxed);
        let lease = Lease {
            pool: self,
            connection: Some(connection),
            id,
            reused: false,
            since: now,
            place: Some(place),
        };
        lease.tell(ConnectionChange::Opened);
        lease.tell(ConnectionChange::Leased);
        Ok(lease)
    }

    fn tell(&self, connection: u32, change: ConnectionChange, state: ConnectionState) {
        self.observer.tell(Event::Connection { participant: self.nth, connection, change, state });
    }
}

impl<C: Clock, P: Participant> Lease<'_, C, P> {
    fn tell(&self, change: ConnectionChange) {
        if self.pool.observer.is_there() {
            self.pool.tell(self.id, change, self.state());
        }
    }

    /// Whether it may be handed out.
    fn is_usable(&self) -> bool {
        self.is_clean(self.state())
    }

    /// Whether the participant answers a ping.
    async fn answers(&mut self) -> bool {
        let (clock, limit) = (&self.pool.clock, self.pool.connect_timeout);
        matches!(timeout(clock, limit, self.ping()).await, Some(Ok(())))
    }

    fn is_clean(&self, state: ConnectionState) -> bool {
        state == ConnectionState::Idle || self.pool.hands_out_open && state == ConnectionState::Open
    }
}

impl<C: Clock, P: Participant> Deref for Lease<'_, C, P> {
    type Target = P::Connection;

    fn deref(&self) -> &P::Connection {
        self.connection.as_ref().expect("a lease has its connection until it is dropped")
    }
}

impl<C: Clock, P: Participant> DerefMut for Lease<'_, C, P> {
    fn deref_mut(&mut self) -> &mut P::Connection {
        self.connection.as_mut().expect("a lease has its connection until it is dropped")
    }
}

impl<C: Clock, P: Participant> Drop for Lease<'_, C, P> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let pool = self.pool;
        let now = pool.clock.now();
        let was_given_out = self.place.is_some();
        let state = connection.state();
        Probe::ConnectionClosedOpen.sometimes(state == ConnectionState::Open);
        let back = if self.is_clean(state) && pool.connections_kept && was_given_out {
            pool.tell(self.id, ConnectionChange::Returned, state);
            Some(Idle { connection, id: self.id, since: now })
        } else {
            // Its place is free when it is gone, and not before.
            if pool.leaks
                && let Some(place) = self.place.take()
            {
                place.forget();
            } else {
                pool.tell(self.id, ConnectionChange::Closed, state);
            }
            let keeps = pool.keeps_broken && !self.reused;
            keeps.then_some(Idle { connection, id: self.id, since: now })
        };
        let mut kept = pool.kept();
        kept.busy += now - self.since;
        kept.leases += u64::from(was_given_out);
        kept.reused += u64::from(was_given_out && self.reused);
        kept.idle.extend(back);
    }
}
