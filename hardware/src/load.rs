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
/// once `stop` is set.
pub(crate) async fn round<E: Env, T: Target>(
    env: &E,
    target: &T,
    workload: &Workload,
    first: &[u64],
    stop: &Arc<AtomicBool>,
) -> Result<Load, Failed> {
    let begun = env.now();
    let each = |client| {
        let (env, target, stop) = (env.clone(), target.clone(), Arc::clone(stop));
        let first = first[client as usize];
        let task = Client { env, target, stop, client, first, workload: workload.clone() };
        async move {
            let handle = task.env.clone().spawn(task.run(begun));
            handle.await.map_err(|_| Failed::Engine("a client ended by a panic".to_owned()))?
        }
    };
    let ended = try_join_all((0..workload.clients).map(each)).await?;
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
struct Client<E, T> {
    env: E,
    target: T,
    stop: Arc<AtomicBool>,
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

impl<E: Env, T: Target> Client<E, T> {
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
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let due = match self.workload.rate {
                0 => {
                    if pending.len() >= self.workload.window as usize {
                        self.end_some(&mut pending, &mut seen).await?;
                    }
                    self.env.now()
                }
                rate => self.arrival(begun, nth, rate, &mut pending, &mut seen).await?,
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
        seen.ended = self.env.now();
        loop {
            let Some((due, _)) = pending.pop_front() else { return Ok(()) };
            seen.took.push((seen.ended - due).as_nanos() as u64);
            let next = pending.front_mut().and_then(|(_, operation)| operation.now_or_never());
            match next {
                Some(ended) => ended?,
                None => return Ok(()),
            }
        }
    }

    /// When the `nth` operation of this client arrives; attends to those that end before.
    async fn arrival(
        &self,
        begun: Instant,
        nth: u64,
        rate: u64,
        pending: &mut Pending<T>,
        seen: &mut Seen,
    ) -> Result<Instant, Failed> {
        // Clients take turns.
        let place = u128::from(nth) * u128::from(self.workload.clients) + u128::from(self.client);
        let after = place * 1_000_000_000 / u128::from(rate);
        let due = begun + Duration::from_nanos(u64::try_from(after).unwrap_or(u64::MAX));
        loop {
            let now = self.env.now();
            if now >= due {
                seen.late_max = seen.late_max.max(now - due);
                return Ok(due);
            }
            let timer = self.env.sleep(due - now);
            let Some((_, operation)) = pending.front_mut() else {
                timer.await;
                continue;
            };
            if let Either::Left(ended) = race(operation, timer).await {
                ended?;
                self.ended(pending, seen)?;
            }
        }
    }
}

/// How many of so many operations one client has.
pub(crate) fn share(operations: u64, clients: u32, client: u32) -> u64 {
    let (clients, client) = (u64::from(clients), u64::from(client));
    operations / clients + u64::from(client < operations % clients)
}
