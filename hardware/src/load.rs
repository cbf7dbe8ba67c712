//! Load: operations that begin, are under way, and end. In closed loop a client begins one when one
//! has ended; in open loop they arrive by the clock, whatever the engine does.
//!
//! Latency counts from the moment at which an operation *should have begun*. In open loop that is
//! its place in the schedule, so a stall counts for everything that arrives meanwhile. In closed
//! loop clients hold back while the engine stalls (*coordinated omission*: Gil Tene, "How NOT to
//! Measure Latency"): the histogram adds what would have arrived, see
//! [`Latencies::record_closed`]; what clients saw is kept beside it.
//!
//! The code is the same on every [`Env`]: the real one, and the simulated one, where the clock is
//! the simulation's.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::try_join_all;
use seedbed_env::sync::{Either, race};
use seedbed_env::{Env, Instant};
use seedbed_measure::Latencies;

use crate::Failed;
use crate::workload::Workload;

/// After so long somebody who waits for an arrival looks whether the round is to end.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
/// Where operations arrive closer together some of them wait for each other: a timer for each would
/// use more of the machine than the engine. They are late by no more than this, which counts.
const SHORTEST_SLEEP: Duration = Duration::from_micros(100);

/// An engine under load. Cloning gives another handle.
pub(crate) trait Target: Clone + Send + Sync + 'static {
    /// An operation that has begun; it ends when the engine has acknowledged it.
    type Pending: Future<Output = Result<(), Failed>> + Send + Unpin + 'static;

    /// Begins the `nth` operation of a client. May wait where the engine holds clients back.
    fn begin(
        &self,
        client: u32,
        nth: u64,
    ) -> impl Future<Output = Result<Self::Pending, Failed>> + Send;

    /// No more operations come in this round: what waits for company need not.
    fn round_ends(&self) -> impl Future<Output = Result<(), Failed>> + Send;
}

/// Which time operations arrive by, and whether somebody wants the round to end.
pub(crate) trait Pace: Clone + Send + Sync + 'static {
    /// Waits so long, as exactly as can be.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// Whether the round is to end early.
    fn is_stopped(&self) -> bool;

    /// Waits until it is.
    fn stopped(&self) -> impl Future<Output = ()> + Send;
}

/// The pace of the real world.
#[derive(Clone, Debug)]
pub(crate) struct RealPace(pub(crate) Arc<AtomicBool>);

impl Pace for RealPace {
    /// The runtime's own timers go by whole milliseconds, in which many operations arrive.
    async fn sleep(&self, time: Duration) {
        async_io::Timer::after(time).await;
    }

    fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    async fn stopped(&self) {
        while !self.is_stopped() {
            self.sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The pace of a simulated world, in which nobody is in a hurry.
#[derive(Clone, Debug)]
pub(crate) struct WorldPace<E>(pub(crate) E);

impl<E: Env> Pace for WorldPace<E> {
    async fn sleep(&self, time: Duration) {
        self.0.sleep(time).await;
    }

    fn is_stopped(&self) -> bool {
        false
    }

    async fn stopped(&self) {
        std::future::pending().await
    }
}

/// What a round came to.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// Operations that were acknowledged.
    pub operations: u64,
    /// From the first begin to the last acknowledgement.
    pub elapsed: Duration,
    /// Corrected for coordinated omission.
    pub latencies: Latencies,
    /// As clients saw them.
    pub seen: Latencies,
    /// Of each client, how many were.
    pub clients: Vec<u64>,
    /// In open loop, how late operations were begun at most: more than a few milliseconds, and the
    /// load was not what it says.
    pub late_max: Duration,
}

/// Runs one round: for each client operations from its `first` on. Ends early, with what there is,
/// once the pace is stopped.
pub(crate) async fn round<E: Env, P: Pace, T: Target>(
    env: &E,
    pace: &P,
    target: &T,
    workload: &Workload,
    first: &[u64],
) -> Result<Load, Failed> {
    let begun = env.now();
    let each = |client| {
        let (env, pace, target) = (env.clone(), pace.clone(), target.clone());
        let first = first[client as usize];
        let task = Client { env, pace, target, client, first, workload: workload.clone() };
        async move {
            let handle = task.env.clone().spawn(task.run(begun));
            handle.await.map_err(|_| Failed::Engine("a client ended by a panic".to_owned()))?
        }
    };
    let mut clients = pin!(try_join_all((0..workload.clients).map(each)));
    let ended = match race(&mut clients, pace.stopped()).await {
        Either::Left(ended) => ended?,
        Either::Right(()) => {
            // Clients may be waiting for operations that wait for company.
            target.round_ends().await?;
            clients.await?
        }
    };
    let mut load = Load::default();
    for one in &ended {
        load.operations += one.took.len() as u64;
        load.clients.push(one.took.len() as u64);
        load.elapsed = load.elapsed.max(one.ended - begun);
        load.late_max = load.late_max.max(one.late_max);
        one.took.iter().for_each(|ns| load.seen.record(*ns));
    }
    let expected = load.expected_ns(workload);
    for ns in ended.iter().flat_map(|one| &one.took) {
        load.latencies.record_closed(*ns, expected);
    }
    Ok(load)
}

impl Load {
    /// How often each place of a window would have liked to begin an operation, in nanoseconds; 0
    /// in open loop, where nobody holds back.
    fn expected_ns(&self, workload: &Workload) -> u64 {
        if workload.rate > 0 || self.operations == 0 {
            return 0;
        }
        let ns = self.elapsed.as_nanos() * u128::from(workload.outstanding());
        u64::try_from(ns / u128::from(self.operations)).unwrap_or(u64::MAX)
    }
}

/// One client of a round.
struct Client<E, P, T> {
    env: E,
    pace: P,
    target: T,
    client: u32,
    first: u64,
    workload: Workload,
}

/// Operations under way, and when each should have begun.
type Pending<T> = VecDeque<(Instant, <T as Target>::Pending)>;

/// What a client saw.
struct Seen {
    /// Nanoseconds of each operation.
    took: Vec<u64>,
    ended: Instant,
    late_max: Duration,
}

impl<E: Env, P: Pace, T: Target> Client<E, P, T> {
    async fn run(self, begun: Instant) -> Result<Seen, Failed> {
        let count = share(self.workload.operations, self.workload.clients, self.client);
        let mut seen = Seen {
            // Room is made before, but not for absurd numbers.
            took: Vec::with_capacity(count.min(1 << 20) as usize),
            ended: begun,
            late_max: Duration::ZERO,
        };
        let mut pending: Pending<T> = VecDeque::new();
        for nth in 0..count {
            if self.pace.is_stopped() {
                break;
            }
            let due = match self.workload.rate {
                0 => {
                    if pending.len() >= self.workload.window as usize {
                        self.end_some(&mut pending, &mut seen).await?;
                    }
                    self.env.now()
                }
                _ => match self.arrival(begun, nth, &mut pending, &mut seen).await? {
                    Some(due) => due,
                    None => break,
                },
            };
            pending.push_back((due, self.target.begin(self.client, self.first + nth).await?));
        }
        if self.client == 0 {
            self.target.round_ends().await?;
        }
        while !pending.is_empty() {
            self.end_some(&mut pending, &mut seen).await?;
        }
        Ok(seen)
    }

    /// Waits for the oldest operation, which ends first, as engines acknowledge in order; and takes
    /// those that have ended with it.
    async fn end_some(&self, pending: &mut Pending<T>, seen: &mut Seen) -> Result<(), Failed> {
        let Some((_, operation)) = pending.front_mut() else { return Ok(()) };
        operation.await?;
        self.ended(pending, seen)
    }

    /// The oldest operation has ended.
    fn ended(&self, pending: &mut Pending<T>, seen: &mut Seen) -> Result<(), Failed> {
        let now = self.env.now();
        if let Some((due, _)) = pending.pop_front() {
            seen.note(due, now);
        }
        take_ended::<T>(now, pending, seen)
    }

    /// When the `nth` operation of this client arrives; attends to those that end before. `None` if
    /// the round ends before.
    async fn arrival(
        &self,
        begun: Instant,
        nth: u64,
        pending: &mut Pending<T>,
        seen: &mut Seen,
    ) -> Result<Option<Instant>, Failed> {
        // Clients take turns.
        let place = u128::from(nth) * u128::from(self.workload.clients) + u128::from(self.client);
        let after = place * 1_000_000_000 / u128::from(self.workload.rate);
        let due = begun + Duration::from_nanos(u64::try_from(after).unwrap_or(u64::MAX));
        while !self.pace.is_stopped() {
            let now = self.env.now();
            if now >= due {
                seen.late_max = seen.late_max.max(now - due);
                // Operations of a client that is always behind end all the same.
                take_ended::<T>(now, pending, seen)?;
                return Ok(Some(due));
            }
            let timer = self.pace.sleep((due - now).clamp(SHORTEST_SLEEP, LONGEST_SLEEP));
            let Some((_, operation)) = pending.front_mut() else {
                timer.await;
                continue;
            };
            if let Either::Left(ended) = race(operation, timer).await {
                ended?;
                self.ended(pending, seen)?;
            }
        }
        Ok(None)
    }
}

impl Seen {
    fn note(&mut self, due: Instant, ended: Instant) {
        self.ended = ended;
        self.took.push((ended - due).as_nanos() as u64);
    }
}

/// Takes those of the oldest operations that have ended by `now`.
fn take_ended<T: Target>(
    now: Instant,
    pending: &mut Pending<T>,
    seen: &mut Seen,
) -> Result<(), Failed> {
    while let Some((due, operation)) = pending.front_mut() {
        let Some(ended) = operation.now_or_never() else { break };
        ended?;
        seen.note(*due, now);
        pending.pop_front();
    }
    Ok(())
}

/// How many of so many operations one client has.
pub(crate) fn share(operations: u64, clients: u32, client: u32) -> u64 {
    let (clients, client) = (u64::from(clients), u64::from(client));
    operations / clients + u64::from(client < operations % clients)
}
