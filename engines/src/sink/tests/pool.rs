//! The pool, with connections that are ready when a test wants, and a future that is dropped at
//! each of its polls.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use seedbed_env::{Clock, Instant, WallTime};

use super::super::options::Options;
use super::super::participant::{
    Connection, ConnectionState, Gid, No, Outcome, Participant, ParticipantError, Session, Vote,
    WriteMode, Writer,
};
use super::super::pool::{Lease, Pool};
use super::super::row::Rows;
use super::narrow;

/// A clock that a test moves.
#[derive(Clone, Default)]
struct Hand(Arc<AtomicU64>);

impl Hand {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_nanos() as u64, SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Instant {
        Instant::from_ns(self.0.load(SeqCst))
    }

    fn wall(&self) -> WallTime {
        WallTime::from_unix_ns(0)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        let (clock, end) = (self.clone(), self.now() + duration);
        poll_fn(move |_| if clock.now() >= end { Poll::Ready(()) } else { Poll::Pending })
    }
}

/// What connections do, and how many there are.
#[derive(Default)]
struct Stage {
    /// How often connecting and pinging is not ready yet.
    steps: AtomicUsize,
    refuses: AtomicUsize,
    /// Connections, and attempts at one.
    live: AtomicUsize,
    most: AtomicUsize,
    pings: AtomicUsize,
    states: Mutex<Vec<Arc<Mutex<ConnectionState>>>>,
}

impl Stage {
    async fn wait(&self) {
        let mut left = self.steps.load(SeqCst);
        poll_fn(|_| match left {
            0 => Poll::Ready(()),
            _ => {
                left -= 1;
                Poll::Pending
            }
        })
        .await;
    }
}

/// One more connection or attempt, until it is dropped.
struct Live(Arc<Stage>);

impl Live {
    fn new(stage: &Arc<Stage>) -> Self {
        let live = stage.live.fetch_add(1, SeqCst) + 1;
        stage.most.fetch_max(live, SeqCst);
        Self(Arc::clone(stage))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, SeqCst);
    }
}

struct Staged(Arc<Stage>);

struct StagedConnection {
    live: Live,
    state: Arc<Mutex<ConnectionState>>,
}

impl StagedConnection {
    fn set(&self, state: ConnectionState) {
        *self.state.lock().unwrap() = state;
    }
}

impl Participant for Staged {
    type Connection = StagedConnection;

    fn name(&self) -> &str {
        "staged"
    }

    async fn connect(&self, _: &Session) -> Result<StagedConnection, ParticipantError> {
        let live = Live::new(&self.0);
        self.0.wait().await;
        if self.0.refuses.load(SeqCst) > 0 {
            self.0.refuses.fetch_sub(1, SeqCst);
            return Err(ParticipantError::Lost("as the test wants".to_owned()));
        }
        let state = Arc::new(Mutex::new(ConnectionState::Idle));
        self.0.states.lock().unwrap().push(Arc::clone(&state));
        Ok(StagedConnection { live, state })
    }
}

impl Connection for StagedConnection {
    fn state(&self) -> ConnectionState {
        *self.state.lock().unwrap()
    }

    async fn write(&mut self, _: &Rows) -> Result<Option<No>, ParticipantError> {
        self.set(ConnectionState::Open);
        Ok(None)
    }

    async fn prepare(&mut self, _: Gid, _: Gid) -> Result<Vote, ParticipantError> {
        unreachable!("a pool only pings")
    }

    async fn commit_open(&mut self) -> Result<Vote, ParticipantError> {
        unreachable!("a pool only pings")
    }

    async fn commit(&mut self, _: &[Gid]) -> Result<Vec<Outcome>, ParticipantError> {
        unreachable!("a pool only pings")
    }

    async fn abort(&mut self, _: &[Gid]) -> Result<Vec<Outcome>, ParticipantError> {
        unreachable!("a pool only pings")
    }

    async fn prepared(&mut self) -> Result<Vec<Gid>, ParticipantError> {
        unreachable!("a pool only pings")
    }

    async fn ping(&mut self) -> Result<(), ParticipantError> {
        self.live.0.pings.fetch_add(1, SeqCst);
        if self.state() == ConnectionState::Broken {
            return Err(ParticipantError::Lost("dead".to_owned()));
        }
        self.set(ConnectionState::Open);
        let stage = Arc::clone(&self.live.0);
        stage.wait().await;
        self.set(ConnectionState::Idle);
        Ok(())
    }
}

type Leased<'a> = Lease<'a, Hand, Staged>;
type Asked<'a> = Pin<Box<dyn Future<Output = Result<Leased<'a>, ParticipantError>> + Send + 'a>>;

struct Bench {
    clock: Hand,
    stage: Arc<Stage>,
    pool: Pool<Hand, Staged>,
}

impl Bench {
    fn new(max: usize) -> Self {
        let (clock, stage) = (Hand::default(), Arc::new(Stage::default()));
        let options = Options { connections_max: max, ..Options::default() };
        let writer = Writer::new("test").unwrap();
        let schema = narrow();
        let session =
            Session { writer, identity: 7, incarnation: 1, schema, mode: WriteMode::Insert };
        let participant = Arc::new(Staged(Arc::clone(&stage)));
        let pool = Pool::new(clock.clone(), participant, 0, session, &options);
        Self { clock, stage, pool }
    }

    fn ask(&self) -> Asked<'_> {
        Box::pin(self.pool.lease())
    }

    /// A lease that has to be ready at once.
    fn now(&self) -> Leased<'_> {
        let steps = self.stage.steps.swap(0, SeqCst);
        let lease = poll(&mut self.ask()).expect("there is a place").unwrap();
        self.stage.steps.store(steps, SeqCst);
        assert_eq!(lease.state(), ConnectionState::Idle);
        lease
    }

    /// All places are there, and no more.
    fn check_whole(&self, max: usize) {
        let all: Vec<Leased<'_>> = (0..max).map(|_| self.now()).collect();
        assert!(poll(&mut self.ask()).is_none(), "there are {max} places");
        assert_eq!(self.stage.live.load(SeqCst), max);
        drop(all);
        assert!(self.stage.most.load(SeqCst) <= max);
    }
}

fn poll<T>(future: &mut Pin<Box<dyn Future<Output = T> + Send + '_>>) -> Option<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[test]
fn a_lease_that_is_dropped_at_any_poll_gives_its_place_back() {
    for situation in ["connects", "waits, then connects", "waits, then gets it", "pings", "fails"] {
        for polls in 0..8 {
            let bench = Bench::new(2);
            let mut held = Vec::new();
            match situation {
                "waits, then connects" | "waits, then gets it" => {
                    held = vec![bench.now(), bench.now()];
                }
                "pings" => {
                    drop([bench.now(), bench.now()]);
                    bench.clock.advance(Duration::from_secs(6));
                }
                "fails" => bench.stage.refuses.store(1, SeqCst),
                _ => (),
            }
            bench.stage.steps.store(3, SeqCst);
            let mut asked = bench.ask();
            for nth in 0..polls {
                if nth == 2 {
                    let end = situation == "waits, then connects";
                    let broken = ConnectionState::Broken;
                    held.iter().filter(|_| end).for_each(|lease| lease.set(broken));
                    held.truncate(1);
                }
                if let Some(ready) = poll(&mut asked) {
                    assert_eq!(ready.is_err(), situation == "fails");
                    break;
                }
            }
            drop(asked);
            drop(held);
            bench.stage.refuses.store(0, SeqCst);
            bench.check_whole(2);
        }
    }
}

#[test]
fn who_waits_first_is_served_first() {
    let bench = Bench::new(1);
    let mut held = Some(bench.now());
    let mut waiting: VecDeque<(usize, Asked<'_>)> = (0..6).map(|nth| (nth, bench.ask())).collect();
    for (_, asked) in &mut waiting {
        assert!(poll(asked).is_none());
    }
    // One in the middle gives up.
    drop(waiting.remove(2));
    let mut served = Vec::new();
    while !waiting.is_empty() {
        drop(held.take());
        // A newcomer does not overtake them.
        assert!(poll(&mut bench.ask()).is_none());
        let ready = waiting
            .iter_mut()
            .rev()
            .find_map(|(nth, asked)| poll(asked).map(|lease| (*nth, lease.unwrap())));
        let (nth, lease) = ready.expect("a place is free");
        held = Some(lease);
        served.push(nth);
        waiting.retain(|(other, _)| *other != nth);
    }
    assert_eq!(served, [0, 1, 3, 4, 5]);
}

#[test]
fn open_and_broken_connections_are_closed_and_not_kept() {
    for state in [ConnectionState::Open, ConnectionState::Broken] {
        let bench = Bench::new(1);
        let lease = bench.now();
        lease.set(state);
        drop(lease);
        assert_eq!(bench.stage.live.load(SeqCst), 0);
        drop(bench.now());
        assert_eq!((bench.pool.metrics().opened, bench.pool.metrics().reused), (2, 0));
    }
}

#[test]
fn one_that_broke_while_it_was_idle_is_not_handed_out() {
    let bench = Bench::new(2);
    drop([bench.now(), bench.now()]);
    bench.stage.states.lock().unwrap().iter().for_each(|state| {
        *state.lock().unwrap() = ConnectionState::Broken;
    });
    drop(bench.now());
    assert_eq!((bench.stage.pings.load(SeqCst), bench.pool.metrics().opened), (0, 3));
    bench.check_whole(2);
}

#[test]
fn a_quiet_one_is_pinged_and_a_dead_one_is_replaced() {
    let bench = Bench::new(1);
    drop(bench.now());
    bench.clock.advance(Duration::from_secs(4));
    drop(bench.now());
    assert_eq!(bench.stage.pings.load(SeqCst), 0);
    bench.clock.advance(Duration::from_secs(5));
    drop(bench.now());
    assert_eq!((bench.stage.pings.load(SeqCst), bench.pool.metrics().opened), (1, 1));
    // It does not answer.
    bench.clock.advance(Duration::from_secs(5));
    bench.stage.steps.store(usize::MAX, SeqCst);
    let mut asked = bench.ask();
    assert!(poll(&mut asked).is_none());
    bench.clock.advance(Duration::from_secs(5));
    bench.stage.steps.store(0, SeqCst);
    assert_eq!(poll(&mut asked).unwrap().unwrap().state(), ConnectionState::Idle);
    assert_eq!((bench.stage.pings.load(SeqCst), bench.pool.metrics().opened), (2, 2));
    assert_eq!(bench.stage.live.load(SeqCst), 1);
}

#[test]
fn connecting_has_its_time_and_frees_its_place() {
    let bench = Bench::new(1);
    bench.stage.steps.store(usize::MAX, SeqCst);
    let mut asked = bench.ask();
    assert!(poll(&mut asked).is_none());
    bench.clock.advance(Duration::from_secs(5));
    let error = poll(&mut asked).unwrap().map(drop).unwrap_err();
    assert_eq!(error, ParticipantError::Lost("no connection within 5s".to_owned()));
    assert_eq!(bench.stage.live.load(SeqCst), 0);
    bench.check_whole(1);
}

#[test]
fn what_was_idle_for_too_long_is_closed() {
    let bench = Bench::new(3);
    drop([bench.now(), bench.now(), bench.now()]);
    bench.clock.advance(Duration::from_secs(20));
    // The last one that came back goes out first, so the others grow old.
    drop(bench.now());
    bench.clock.advance(Duration::from_secs(10));
    drop(bench.now());
    assert_eq!(bench.stage.live.load(SeqCst), 1);
    assert_eq!(bench.pool.metrics().opened, 3);
    bench.pool.close_idle();
    assert_eq!(bench.stage.live.load(SeqCst), 0);
    bench.check_whole(3);
}

#[test]
fn one_connection_serves_a_tight_loop() {
    let bench = Bench::new(4);
    for _ in 0..100_000 {
        drop(bench.now());
    }
    let metrics = bench.pool.metrics();
    assert_eq!((metrics.opened, metrics.leases, metrics.reused), (1, 100_000, 99_999));
    assert_eq!(bench.stage.pings.load(SeqCst), 0);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask,
    Poll(usize),
    GiveUp(usize),
    Return(usize, ConnectionState),
    /// A connection, in whoever's hands, is in another state now.
    Breaks(usize),
    Wait(u8),
    Steps(usize),
    Refuse,
    CloseIdle,
}

fn step() -> impl Strategy<Value = Step> {
    let state = prop_oneof![
        3 => Just(ConnectionState::Idle),
        1 => Just(ConnectionState::Open),
        1 => Just(ConnectionState::Broken),
    ];
    prop_oneof![
        4 => Just(Step::Ask),
        8 => any::<usize>().prop_map(Step::Poll),
        2 => any::<usize>().prop_map(Step::GiveUp),
        4 => (any::<usize>(), state).prop_map(|(nth, state)| Step::Return(nth, state)),
        1 => any::<usize>().prop_map(Step::Breaks),
        2 => (1_u8..20).prop_map(Step::Wait),
        1 => (0_usize..3).prop_map(Step::Steps),
        1 => Just(Step::Refuse),
        1 => Just(Step::CloseIdle),
    ]
}

fn do_step<'a>(
    bench: &'a Bench,
    asked: &mut Vec<Asked<'a>>,
    held: &mut Vec<Leased<'a>>,
    step: Step,
) {
    match step {
        Step::Ask => asked.push(bench.ask()),
        Step::Poll(nth) if !asked.is_empty() => {
            let nth = nth % asked.len();
            if let Some(ready) = poll(&mut asked[nth]) {
                drop(asked.remove(nth));
                if let Ok(lease) = ready {
                    assert_eq!(lease.state(), ConnectionState::Idle);
                    held.push(lease);
                }
            }
        }
        Step::GiveUp(nth) if !asked.is_empty() => drop(asked.remove(nth % asked.len())),
        Step::Return(nth, state) if !held.is_empty() => {
            let lease = held.remove(nth % held.len());
            if lease.state() != ConnectionState::Broken {
                lease.set(state);
            }
        }
        Step::Breaks(nth) => {
            let states = bench.stage.states.lock().unwrap();
            if !states.is_empty() {
                *states[nth % states.len()].lock().unwrap() = ConnectionState::Broken;
            }
        }
        Step::Wait(seconds) => bench.clock.advance(Duration::from_secs(seconds.into())),
        Step::Steps(steps) => bench.stage.steps.store(steps, SeqCst),
        Step::Refuse => bench.stage.refuses.store(1, SeqCst),
        Step::CloseIdle => bench.pool.close_idle(),
        Step::Poll(_) | Step::GiveUp(_) | Step::Return(..) => (),
    }
}

proptest! {
    #[test]
    fn whatever_happens_no_place_is_lost_and_there_are_never_too_many(
        max in 1_usize..4,
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let bench = Bench::new(max);
        let (mut asked, mut held) = (Vec::new(), Vec::new());
        for step in steps {
            do_step(&bench, &mut asked, &mut held, step);
            prop_assert!(bench.stage.live.load(SeqCst) <= max);
            prop_assert!(held.len() <= max);
        }
        bench.stage.refuses.store(0, SeqCst);
        drop(asked);
        drop(held);
        bench.check_whole(max);
    }
}
