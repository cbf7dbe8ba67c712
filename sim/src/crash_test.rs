//! [`crash_test`]: a crash test of the reader's own engine in about twenty lines.
//!
//! ```
//! use seedbed::seam::{File, Fs, OpenOptions};
//!
//! seedbed::crash_test()
//!     .seeds(0..20)
//!     .workload(|env, acks| async move {
//!         let file = env.open("counter", OpenOptions::read_write_create()).await?;
//!         env.sync_dir("").await?;
//!         for n in 1..=10_u8 {
//!             file.write_all_at(&[n], 0).await?;
//!             file.sync_data().await?;
//!             acks.acknowledge(n);
//!         }
//!         Ok(())
//!     })
//!     .recovery(|env, _acks| async move {
//!         let mut byte = [0];
//!         match env.open("counter", OpenOptions::reading()).await {
//!             Ok(file) => file.read_at(&mut byte, 0).await?,
//!             Err(_) => 0,
//!         };
//!         Ok(byte[0])
//!     })
//!     .law("an acknowledged count is not lost", |acks, recovered| {
//!         acks.acknowledged().last().is_none_or(|last| recovered >= last)
//!     })
//!     .run();
//! ```
//!
//! Each seed runs the workload once, crashes the node at some operation (or after the last one),
//! recovers, perhaps through crashes inside recovery, and checks the laws; then it takes the power
//! once more and recovers again. A failure is shrunk and reported at the line that called
//! [`CrashTest::run`].

use std::fmt::{Debug, Write as _};
use std::future::Future;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use proptest::strategy::{BoxedStrategy, Just, Strategy};
use seedbed_faults::{CountRange, Plan, Seeds};
use seedbed_traces::{Trace, render_event};

use crate::env::SimEnv;
use crate::node::CrashKind;
use crate::shrink::{ShrinkLimits, shrink};
use crate::sim::Sim;
use crate::testbed::{Failure, Job, Law, Outcome, Scenario, Testbed, Violation};
use crate::trace::record;
use crate::world::Stop;

/// Any error: what a workload or a recovery may return with `?`.
pub type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// What the workload told its user: shared with the test's recovery and laws, and untouched by
/// crashes.
#[derive(Debug)]
pub struct Acks<A>(Arc<Mutex<Told<A>>>);

#[derive(Debug)]
struct Told<A> {
    attempted: Vec<A>,
    acknowledged: Vec<A>,
}

impl<A> Clone for Acks<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Clone> Acks<A> {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Told { attempted: Vec::new(), acknowledged: Vec::new() })))
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told<A>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that something was begun: until it is acknowledged it is in doubt, and may be there
    /// after a crash or not. For laws that must tell "in doubt" from "never asked for".
    pub fn attempt(&self, what: A) {
        self.told().attempted.push(what);
    }

    /// Notes that something was done for the user. Call it where the user would be told.
    pub fn acknowledge(&self, what: A) {
        self.told().acknowledged.push(what);
    }

    /// All that was begun, in order.
    pub fn attempted(&self) -> Vec<A> {
        self.told().attempted.clone()
    }

    /// All that was acknowledged, in order.
    pub fn acknowledged(&self) -> Vec<A> {
        self.told().acknowledged.clone()
    }
}

/// A crash test being put together. See the module's documentation; it ends with
/// [`CrashTest::run`].
#[derive(Debug)]
#[must_use = "a crash test does nothing until .workload(..), .recovery(..) and .run()"]
pub struct CrashTest<W = (), R = (), L = ()> {
    seeds: Range<u64>,
    plan: Plan,
    workload: W,
    recovery: R,
    laws: L,
}

/// Begins a crash test: 200 seeds, crashes and power losses, no I/O errors.
pub fn crash_test() -> CrashTest {
    let plan = Plan::preset("crashes").expect("the preset ships with the crate");
    CrashTest { seeds: 0..200, plan, workload: (), recovery: (), laws: () }
}

impl<W, R, L> CrashTest<W, R, L> {
    /// Which seeds to run. `SEEDBED_SEEDS=0..10000` or `SEEDBED_SEED=17` in the environment
    /// replaces it.
    pub fn seeds(mut self, seeds: Range<u64>) -> Self {
        self.seeds = seeds;
        self
    }

    /// What may go wrong: a preset's name or a plan file, as for the command line. The plan's
    /// `crash_after_ops` is replaced by the length of the workload.
    ///
    /// # Panics
    /// If there is no such plan.
    #[track_caller]
    pub fn faults(mut self, name_or_path: &str) -> Self {
        match Plan::load(name_or_path) {
            Ok(plan) => self.plan = plan,
            Err(error) => panic!("{error}"),
        }
        self
    }
}

impl CrashTest {
    /// What the engine does for its user before the crash. An error ends it, which is nobody's
    /// fault: the disk may have failed.
    pub fn workload<A, F, Fut>(self, workload: F) -> CrashTest<Workload<A>>
    where
        A: Clone + Debug + Send + 'static,
        F: Fn(SimEnv, Acks<A>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), AnyError>> + Send + 'static,
    {
        let workload: Workload<A> = Box::new(move |env, acks| Box::pin(workload(env, acks)));
        let Self { seeds, plan, .. } = self;
        CrashTest { seeds, plan, workload, recovery: (), laws: () }
    }
}

type BoxFuture<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;
/// A boxed workload.
pub type Workload<A> =
    Box<dyn Fn(SimEnv, Acks<A>) -> BoxFuture<Result<(), AnyError>> + Send + Sync>;
/// A boxed recovery.
pub type Recovery<A, T> =
    Box<dyn Fn(SimEnv, Acks<A>) -> BoxFuture<Result<T, AnyError>> + Send + Sync>;
/// Boxed laws.
pub type Laws<A, T> = Vec<(&'static str, Box<dyn Fn(&Acks<A>, &T) -> bool + Send + Sync>)>;

impl<A: Clone + Debug + Send + 'static> CrashTest<Workload<A>> {
    /// What the engine does after a crash, and what its user then sees. An error is a failure
    /// (unless the plan injects I/O errors: then it is tried again on a healthy disk), and so is a
    /// panic, so `assert!` may be used.
    pub fn recovery<T, F, Fut>(
        self,
        recovery: F,
    ) -> CrashTest<Workload<A>, Recovery<A, T>, Laws<A, T>>
    where
        T: Debug + Send + 'static,
        F: Fn(SimEnv, Acks<A>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, AnyError>> + Send + 'static,
    {
        let recovery: Recovery<A, T> = Box::new(move |env, acks| Box::pin(recovery(env, acks)));
        let Self { seeds, plan, workload, .. } = self;
        CrashTest { seeds, plan, workload, recovery, laws: Vec::new() }
    }
}

impl<A, T> CrashTest<Workload<A>, Recovery<A, T>, Laws<A, T>>
where
    A: Clone + Debug + Send + 'static,
    T: Debug + Send + 'static,
{
    /// A rule that what was recovered must obey; `name` says it in words.
    pub fn law(
        mut self,
        name: &'static str,
        holds: impl Fn(&Acks<A>, &T) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.laws.push((name, Box::new(holds)));
        self
    }

    /// Runs all seeds.
    ///
    /// # Panics
    /// At the caller's line, if a law is broken: with the seed, the crash, what was acknowledged
    /// and recovered, the shrunk events, and the command that repeats it.
    #[track_caller]
    pub fn run(self) {
        if let Err(report) = self.find_failure() {
            panic!("{report}");
        }
    }

    fn find_failure(self) -> Result<(), String> {
        let Self { seeds, mut plan, workload, recovery, laws } = self;
        let (seeds, told) = seeds_from_environment(seeds)?;
        let testbed = UserTestbed { workload, recovery, laws, seen: Mutex::default() };
        plan.node.crash_after_ops = CountRange::new(1, testbed.count_ops()?.max(1));
        let plan = Arc::new(plan);
        for seed in seeds.clone() {
            let job = Job::new(seed, Arc::clone(&plan));
            match Scenario::run(&testbed, &job).outcome {
                Outcome::Passed => {}
                Outcome::Violation(_) => return Err(report(&testbed, &job, &seeds, told)),
                Outcome::Inconclusive(reason) | Outcome::Internal(reason) => {
                    return Err(format!("crash test without verdict at seed {seed}: {reason}"));
                }
            }
        }
        Ok(())
    }
}

/// The seeds to run, and whether the environment said so.
fn seeds_from_environment(seeds: Range<u64>) -> Result<(Range<u64>, bool), String> {
    let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(text) = read("SEEDBED_SEED") {
        let seed: u64 =
            text.parse().map_err(|_| format!("SEEDBED_SEED={text}: expected a number like 17"))?;
        return Ok((seed..seed.saturating_add(1), true));
    }
    let Some(text) = read("SEEDBED_SEEDS") else { return Ok((seeds, false)) };
    let bad = || format!("SEEDBED_SEEDS={text}: expected a range like 0..10000, or a count");
    let range = text.parse::<Seeds>().map_err(|_| bad())?.range();
    if range.is_empty() { Err(bad()) } else { Ok((range, true)) }
}

/// The user's closures as a [`Testbed`], so that recording and shrinking work on them.
struct UserTestbed<A, T> {
    workload: Workload<A>,
    recovery: Recovery<A, T>,
    laws: Laws<A, T>,
    /// What the last run acknowledged and recovered, for the report.
    seen: Mutex<(String, String)>,
}

/// More boots than any plan's crashes.
const BOOTS_MAX: u32 = 1000;

impl<A, T> UserTestbed<A, T>
where
    A: Clone + Debug + Send + 'static,
    T: Debug + Send + 'static,
{
    /// Disk operations of a workload that nothing disturbs.
    fn count_ops(&self) -> Result<u64, String> {
        let mut sim = Sim::new(0);
        let node = sim.add_node("node");
        let env = sim.boot(node);
        match sim.run(env, (self.workload)(env, Acks::new())) {
            Ok(Ok(())) => Ok(sim.finish().stats.ops),
            Ok(Err(error)) => Err(format!("the workload fails without any fault: {error}")),
            Err(stop) => Err(format!("the workload fails without any fault: {stop}")),
        }
    }

    fn check(&self, acks: &Acks<A>, recovered: &T) -> Result<(), Violation> {
        self.note(acks, &format!("{recovered:?}"));
        match self.laws.iter().find(|(_, holds)| !holds(acks, recovered)) {
            Some((name, _)) => Err(Violation::new(
                name,
                "the law holds for what was acknowledged and what is recovered",
                format!("acknowledged {:?}, recovered {recovered:?}", acks.acknowledged()),
            )),
            None => Ok(()),
        }
    }

    fn note(&self, acks: &Acks<A>, recovered: &str) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = (format!("{:?}", acks.acknowledged()), recovered.to_owned());
    }
}

impl<A, T> Testbed for UserTestbed<A, T>
where
    A: Clone + Debug + Send + 'static,
    T: Debug + Send + 'static,
{
    /// The workload is one piece: only decisions are shrunk.
    type Op = ();

    fn name(&self) -> &'static str {
        "crash_test"
    }

    fn about(&self) -> &'static str {
        "a crash test"
    }

    fn laws(&self) -> &'static [Law] {
        &[]
    }

    fn workload(&self) -> BoxedStrategy<Vec<()>> {
        Just(Vec::new()).boxed()
    }

    fn drive(&self, sim: &mut Sim, _ops: &[()], _plant: Option<&str>) -> Result<(), Failure> {
        let acks = Acks::new();
        let node = sim.add_node("node");
        let env = sim.boot(node);
        match sim.run(env, (self.workload)(env, acks.clone())) {
            // It ended by itself, well or by an injected error: then the end comes now.
            Ok(_) => {
                let kind = [CrashKind::Process, CrashKind::PowerLoss];
                let kind = kind[sim.choose("end", 2) as usize];
                sim.crash(node, kind);
            }
            Err(Stop::Crashed(..)) => {}
            Err(stop) => return Err(stop.into()),
        }
        let mut recoveries = 0;
        for _ in 0..BOOTS_MAX {
            let env = sim.boot(node);
            match sim.run(env, (self.recovery)(env, acks.clone())) {
                Ok(Ok(recovered)) => {
                    sim.count_check();
                    self.check(&acks, &recovered)?;
                    recoveries += 1;
                    if recoveries == 2 {
                        return Ok(());
                    }
                    sim.crash(node, CrashKind::PowerLoss);
                    sim.heal();
                }
                Ok(Err(error)) => {
                    let failures = sim.stats().faults.iter().sum::<u64>();
                    self.note(&acks, &format!("the error: {error}"));
                    if failures == 0 || sim.crashes_left() == 0 {
                        let got = error.to_string();
                        return Err(Violation::new("recovers", "recovery succeeds", got).into());
                    }
                    sim.crash(node, CrashKind::Process);
                    sim.heal();
                }
                Err(Stop::Crashed(..)) => {}
                Err(stop) => {
                    self.note(&acks, &format!("nothing: {stop}"));
                    return Err(stop.into());
                }
            }
        }
        Err(Failure::Inconclusive(format!("not recovered after {BOOTS_MAX} boots")))
    }
}

/// Runs that shrinking may take: a second or so.
const SHRINK_RUNS: u64 = 5000;
/// Events shown.
const EVENTS_SHOWN: usize = 14;

/// Shrinks the failure and says all that is known of it.
fn report<A, T>(testbed: &UserTestbed<A, T>, job: &Job, seeds: &Range<u64>, told: bool) -> String
where
    A: Clone + Debug + Send + 'static,
    T: Debug + Send + 'static,
{
    let found = record(testbed, job);
    let stop = AtomicBool::new(false);
    let limits = ShrinkLimits { runs_max: SHRINK_RUNS, stop: &stop };
    let (trace, how) = match shrink(testbed, &found, &limits) {
        Ok(shrunk) => {
            let how = format!("shrunk from {} to {} decisions", shrunk.before.1, shrunk.after.1);
            (shrunk.trace, how)
        }
        Err(error) => (found, error.to_string()),
    };
    let (acknowledged, recovered) =
        testbed.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // Under `cargo test` the thread is named after the test.
    let command = match std::thread::current().name() {
        Some(name) if name != "main" => format!("cargo test {name}"),
        _ => "and the same command".to_owned(),
    };
    let seed = job.seed;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = describe(&mut text, &trace, &how, &acknowledged, &recovered);
    let _ = writeln!(text, "  seed          {seed} of {}..{}", seeds.start, seeds.end);
    let _ = writeln!(text, "  repeat        SEEDBED_SEED={seed} {command}");
    if !told {
        let _ = writeln!(text, "  more seeds    SEEDBED_SEEDS=0..100000 {command}");
    }
    text
}

fn describe(
    text: &mut String,
    trace: &Trace,
    how: &str,
    acknowledged: &str,
    recovered: &str,
) -> std::fmt::Result {
    let law = match &trace.end.verdict {
        seedbed_traces::Verdict::Violation { law, .. } => law.as_str(),
        _ => "(unknown)",
    };
    writeln!(text, "crash test failed: {law:?} does not hold")?;
    for (index, event) in trace.events.iter().enumerate() {
        let is_crash = event.op == "crash" || event.op == "power_loss";
        if let Some(before) = index.checked_sub(1).filter(|_| is_crash) {
            let at = render_event(&trace.events[before]);
            writeln!(text, "  crash point   {} after: {}", event.op, at.trim())?;
        }
    }
    writeln!(text, "  acknowledged  {acknowledged}")?;
    writeln!(text, "  recovered     {recovered}")?;
    writeln!(text, "  events        {how}; the last {EVENTS_SHOWN} of {}:", trace.events.len())?;
    let first = trace.events.len().saturating_sub(EVENTS_SHOWN);
    for event in &trace.events[first..] {
        writeln!(text, "    {}", render_event(event))?;
    }
    Ok(())
}
