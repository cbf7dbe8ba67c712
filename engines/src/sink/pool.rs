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

use seedbed_env::sync::{OwnedSemaphorePermit, Semaphore, timeout};
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
    /// Times that a connection was given out.
    pub leases: u64,
    /// Times that one was given out that was there already.
    pub reused: u64,
    /// For how long connections were in somebody's hands, added up.
    pub busy: Duration,
}

/// A pool. Cloning gives another handle.
pub(super) struct Pool<C: Clock, P: Participant> {
    shared: Arc<Shared<C, P>>,
}

struct Shared<C: Clock, P: Participant> {
    clock: C,
    participant: Arc<P>,
    /// The participant's number.
    nth: u8,
    session: Session,
    connect_timeout: Duration,
    idle_max: Duration,
    ping_after: Duration,
    max: usize,
    places: Arc<Semaphore>,
    /// The last one to come back is at the end, and goes out first.
    idle: Mutex<VecDeque<Idle<P::Connection>>>,
    next_id: AtomicU32,
    next_wait: AtomicU32,
    leases: AtomicU64,
    reused: AtomicU64,
    busy_ns: AtomicU64,
    observer: Observer,
    hands_out_open: bool,
    connections_kept: bool,
    leaks: bool,
}

struct Idle<C> {
    connection: C,
    id: u32,
    since: Instant,
}

/// Somebody waits for a place, until this is dropped.
struct Wait<'a, C: Clock, P: Participant> {
    pool: &'a Shared<C, P>,
    number: u32,
}

impl<'a, C: Clock, P: Participant> Wait<'a, C, P> {
    fn begin(pool: &'a Shared<C, P>) -> Self {
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

impl<C: Clock, P: Participant> Clone for Pool<C, P> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

/// A connection in somebody's hands; dropping it gives it back, or closes it if it is not idle.
pub(super) struct Lease<C: Clock, P: Participant> {
    pool: Arc<Shared<C, P>>,
    connection: Option<P::Connection>,
    id: u32,
    since: Instant,
    place: Option<OwnedSemaphorePermit>,
}

impl<C: Clock, P: Participant> Pool<C, P> {
    pub(super) fn new(
        clock: C,
        participant: Arc<P>,
        nth: u8,
        session: Session,
        options: &Options,
    ) -> Self {
        let shared = Shared {
            clock,
            participant,
            nth,
            session,
            connect_timeout: options.connect_timeout,
            idle_max: options.idle_max,
            ping_after: options.ping_after,
            max: options.connections_max,
            places: Arc::new(Semaphore::new(options.connections_max)),
            idle: Mutex::new(VecDeque::new()),
            next_id: AtomicU32::new(0),
            next_wait: AtomicU32::new(0),
            leases: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
            observer: options.observer.clone(),
            hands_out_open: options.planted(Plant::OpenTransactionHandedOut),
            connections_kept: !options.planted(Plant::ConnectionsNotKept),
            leaks: options.planted(Plant::ConnectionLeaked),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The participant's name.
    pub(super) fn name(&self) -> &str {
        self.shared.participant.name()
    }

    /// Of so many decisions, how many one request should name; at most `max`.
    pub(super) fn decisions_per_request(&self, count: usize, max: usize) -> usize {
        match self.shared.participant.spreads_decisions() {
            true => count.div_ceil(self.shared.max).clamp(1, max),
            false => max,
        }
    }

    /// The participant's number.
    pub(super) fn nth(&self) -> u8 {
        self.shared.nth
    }

    /// A connection to work with. Waits for a place without a limit: each holder has one.
    pub(super) async fn lease(&self) -> Result<Lease<C, P>, ParticipantError> {
        let shared = &self.shared;
        let place = match Arc::clone(&shared.places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                Probe::PoolWaits.reached();
                let _wait = Wait::begin(shared);
                let place = Arc::clone(&shared.places).acquire_owned().await;
                place.expect("a pool's places are never closed")
            }
        };
        let now = shared.clock.now();
        while let Some(idle) = shared.take_idle(now) {
            let Idle { connection, id, since } = idle;
            let quiet = now - since;
            let mut lease = Lease {
                pool: Arc::clone(shared),
                connection: Some(connection),
                id,
                since: now,
                place: None,
            };
            lease.tell(ConnectionChange::Leased);
            // It may have broken while it was idle.
            let lives = lease.is_usable()
                && (quiet < shared.ping_after
                    || matches!(
                        timeout(&shared.clock, shared.connect_timeout, lease.ping()).await,
                        Some(Ok(()))
                    ))
                && lease.is_usable();
            if !lives {
                Probe::PoolFindsDead.reached();
                continue;
            }
            lease.place = Some(place);
            shared.reused.fetch_add(1, Ordering::Relaxed);
            shared.leases.fetch_add(1, Ordering::Relaxed);
            return Ok(lease);
        }
        shared.connect(place, now).await
    }

    /// What it did.
    pub(super) fn metrics(&self) -> PoolMetrics {
        let shared = &self.shared;
        PoolMetrics {
            connections_max: shared.max,
            opened: u64::from(shared.next_id.load(Ordering::Relaxed)),
            leases: shared.leases.load(Ordering::Relaxed),
            reused: shared.reused.load(Ordering::Relaxed),
            busy: Duration::from_nanos(shared.busy_ns.load(Ordering::Relaxed)),
        }
    }

    /// Closes what nobody holds.
    pub(super) fn close_idle(&self) {
        let idle = std::mem::take(&mut *self.shared.idle());
        for idle in idle {
            self.shared.tell(idle.id, ConnectionChange::Closed, idle.connection.state());
        }
    }
}

impl<C: Clock, P: Participant> Shared<C, P> {
    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle<P::Connection>>> {
        // Poisoned only if an assertion of ours failed under it.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that came back last; those that were idle for too long are closed.
    fn take_idle(&self, now: Instant) -> Option<Idle<P::Connection>> {
        let (taken, old) = {
            let mut idle = self.idle();
            let young = |idle: &Idle<_>| now - idle.since < self.idle_max;
            let first = idle.iter().position(young).unwrap_or(idle.len());
            let old: Vec<_> = idle.drain(..first).collect();
            (idle.pop_back(), old)
        };
        for idle in old {
            self.tell(idle.id, ConnectionChange::Closed, idle.connection.state());
        }
        taken
    }

    async fn connect(
        self: &Arc<Self>,
        place: OwnedSemaphorePermit,
        now: Instant,
    ) -> Result<Lease<C, P>, ParticipantError> {
        let connecting = self.participant.connect(&self.session);
        let limit = self.connect_timeout;
        let connected = timeout(&self.clock, limit, connecting).await;
        let late = || ParticipantError::Lost(format!("no connection within {limit:?}"));
        let connection = connected.ok_or_else(late)??;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.leases.fetch_add(1, Ordering::Relaxed);
        let lease = Lease {
            pool: Arc::clone(self),
            connection: Some(connection),
            id,
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

impl<C: Clock, P: Participant> Lease<C, P> {
    fn tell(&self, change: ConnectionChange) {
        self.pool.tell(self.id, change, self.state());
    }

    /// Whether somebody else may have it.
    fn is_usable(&self) -> bool {
        let state = self.state();
        state == ConnectionState::Idle || self.pool.hands_out_open && state == ConnectionState::Open
    }
}

impl<C: Clock, P: Participant> Deref for Lease<C, P> {
    type Target = P::Connection;

    fn deref(&self) -> &P::Connection {
        self.connection.as_ref().expect("a lease has its connection until it is dropped")
    }
}

impl<C: Clock, P: Participant> DerefMut for Lease<C, P> {
    fn deref_mut(&mut self) -> &mut P::Connection {
        self.connection.as_mut().expect("a lease has its connection until it is dropped")
    }
}

impl<C: Clock, P: Participant> Drop for Lease<C, P> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let pool = &self.pool;
        let now = pool.clock.now();
        pool.busy_ns.fetch_add((now - self.since).as_nanos() as u64, Ordering::Relaxed);
        let state = connection.state();
        let clean =
            state == ConnectionState::Idle || pool.hands_out_open && state == ConnectionState::Open;
        Probe::ConnectionClosedOpen.sometimes(state == ConnectionState::Open);
        if clean && pool.connections_kept && self.place.is_some() {
            pool.tell(self.id, ConnectionChange::Returned, state);
            pool.idle().push_back(Idle { connection, id: self.id, since: now });
        } else {
            pool.tell(self.id, ConnectionChange::Closed, state);
            drop(connection);
            if pool.leaks
                && let Some(place) = self.place.take()
            {
                place.forget();
            }
        }
    }
}
