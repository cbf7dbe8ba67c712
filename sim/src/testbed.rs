//! What a user of the simulator brings: an engine's workload, how to drive it through crashes, and
//! the laws that must hold. [`Testbed`] is implemented; [`Scenario`] is what tools run.

use std::fmt::Debug;
use std::sync::Arc;

use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use seedbed_faults::{Plan, Profile};
use seedbed_traces::OpText;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::budget::Tolerance;
use crate::choices::Source;
use crate::explore::CaseExplorer;
use crate::panics;
use crate::sim::{Finished, Sim};
use crate::vary::Variations;
use crate::world::Stop;

/// A rule that every run must obey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Law {
    /// Short, in words with spaces: `acknowledged is durable`.
    pub name: &'static str,
    /// What exactly must hold.
    pub statement: &'static str,
}

/// A deliberate deviation of the engine under test. Made by [`PlantInfo::bug`] or
/// [`PlantInfo::benign`]; what else is known of it is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlantInfo {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Whether it is harmless: then no law may notice it. Otherwise one must.
    pub benign: bool,
    /// Where the field met this bug; empty if that is not known.
    pub met: &'static str,
    /// The names of the laws that it may break; empty if nobody has said.
    pub breaks: &'static [&'static str],
    /// Its severity: the most realistic profile on which it shows ([`Profile::ALL`] has the
    /// order). `None` if nobody has said.
    pub severity: Option<Profile>,
    /// Why it may show on a more realistic profile as well, where the model allows more than was
    /// seen; empty if it must not.
    pub left_open: &'static str,
    /// The preset under which it shows best, or at all; `None` for whichever is asked for. The zoo
    /// looks for it there.
    pub plan: Option<&'static str>,
}

impl PlantInfo {
    /// A bug, which some law has to catch.
    pub const fn bug(name: &'static str, about: &'static str) -> Self {
        let (met, breaks, severity, left_open, plan) = ("", &[], None, "", None);
        Self { name, about, benign: false, met, breaks, severity, left_open, plan }
    }

    /// A deviation that no law may notice.
    pub const fn benign(name: &'static str, about: &'static str) -> Self {
        Self { benign: true, ..Self::bug(name, about) }
    }

    /// Says where the field met it.
    #[must_use]
    pub const fn met(self, met: &'static str) -> Self {
        Self { met, ..self }
    }

    /// Says which laws it breaks.
    #[must_use]
    pub const fn breaks(self, breaks: &'static [&'static str]) -> Self {
        Self { breaks, ..self }
    }

    /// Says on which profile it shows, and on none that is more realistic.
    #[must_use]
    pub const fn shows_on(self, profile: Profile) -> Self {
        Self { severity: Some(profile), ..self }
    }

    /// Says why it may show on a more realistic profile as well.
    #[must_use]
    pub const fn left_open(self, left_open: &'static str) -> Self {
        Self { left_open, ..self }
    }

    /// Says under which preset it shows.
    #[must_use]
    pub const fn under(self, preset: &'static str) -> Self {
        Self { plan: Some(preset), ..self }
    }
}

/// A sync of the engine under test, and what leaving it out comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncInfo {
    /// The name of its file: `checkpoint.rs`.
    pub file: &'static str,
    /// Which of the syncs in that file, in the order of lines, from 0.
    pub nth: usize,
    /// What it makes durable.
    pub about: &'static str,
    /// The most realistic profile on which it matters.
    pub severity: Profile,
    /// The preset under which that shows best; `None` for whichever is asked for.
    pub plan: Option<&'static str>,
}

/// A law was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The law's name.
    pub law: String,
    /// What the law demands here.
    pub expected: String,
    /// What was there instead.
    pub got: String,
    /// Events before it was noticed.
    pub at_event: u64,
    /// Decisions before it was noticed.
    pub at_decision: u64,
}

impl Violation {
    /// A violation noticed now.
    pub fn new(law: &str, expected: impl Into<String>, got: impl Into<String>) -> Self {
        let (expected, got) = (expected.into(), got.into());
        Self { law: law.to_owned(), expected, got, at_event: 0, at_decision: 0 }
    }
}

/// Why a drive ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A law was broken.
    Violation(Violation),
    /// The run could not be judged.
    Inconclusive(String),
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// The law that every testbed has: engine code does not panic.
pub const LAW_NO_PANIC: Law =
    Law { name: "no panic", statement: "no task of the engine panics, whatever the disk does" };
/// The law that every testbed has: some task can run until the work is done.
pub const LAW_LIVE: Law = Law {
    name: "no deadlock",
    statement: "as long as the workload is not done, some task can run or a timer is set",
};

/// The law of testbeds that [judge it](crate::explore::Explore::judges_unstable), in explorations.
pub const LAW_UNSTABLE: Law = Law {
    name: "unstable bytes are verified",
    statement: "recovery uses bytes that no sync had made durable only after a check has passed \
                over them: with junk in the place of one such write, and nothing else changed, it \
                refuses and says so, or all other laws hold of what it serves",
};

/// A law that was broken after a power loss had left junk in the place of an unstable write.
pub(crate) fn unverified(failure: Failure) -> Failure {
    match failure {
        Failure::Violation(Violation { law, got, .. }) => {
            let got = format!("with junk in the place of an unstable write, {law}: {got}");
            Violation::new(LAW_UNSTABLE.name, LAW_UNSTABLE.statement, got).into()
        }
        other => other,
    }
}

impl From<Stop> for Failure {
    /// What a stop means that the driver did not expect.
    fn from(stop: Stop) -> Self {
        let violation =
            |law: Law, got: String| Self::Violation(Violation::new(law.name, law.statement, got));
        match stop {
            Stop::Panicked(message) => violation(LAW_NO_PANIC, message),
            Stop::Deadlock => violation(LAW_LIVE, Stop::Deadlock.to_string()),
            Stop::PollLimit(_) => Self::Inconclusive(stop.to_string()),
            Stop::Crashed(..) => Self::Inconclusive(format!("unexpectedly, {stop}")),
        }
    }
}

/// An engine under test: workload, driver, laws.
pub trait Testbed: Send + Sync + 'static {
    /// One operation of the workload. It is kept in traces, shrunk and replayed.
    type Op: Clone + Debug + Serialize + DeserializeOwned + 'static;

    /// Short name for the command line.
    fn name(&self) -> &'static str;

    /// One sentence.
    fn about(&self) -> &'static str;

    /// The laws that [`Testbed::drive`] checks, besides [`LAW_NO_PANIC`] and [`LAW_LIVE`].
    fn laws(&self) -> &'static [Law];

    /// Deviations that can be switched on by name.
    fn plants(&self) -> Vec<PlantInfo> {
        Vec::new()
    }

    /// Whether tools leave out its engine's syncs, one by one. Not if these are another engine's,
    /// which has a scenario of its own.
    fn has_own_syncs(&self) -> bool {
        true
    }

    /// What is known of the engine's syncs. One that is not named here may matter or not.
    fn syncs(&self) -> &'static [SyncInfo] {
        &[]
    }

    /// What a sweep should come to, by the names of the probes: see [`seedbed_env::probes!`].
    fn probes(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// The preset under which it is swept if nobody asks for another one.
    fn plan(&self) -> &'static str {
        "rough"
    }

    /// How many nodes of each kind it must survive: a run that goes beyond breaks no law but
    /// [`LAW_NO_PANIC`], it has no verdict. Nodes that go down come back, and partitions heal.
    fn tolerates(&self) -> Tolerance {
        Tolerance::ANY
    }

    /// Generates a workload. Leaving out any operations must give a workload as well.
    fn workload(&self) -> BoxedStrategy<Vec<Self::Op>>;

    /// Runs the workload in the given world, through its crashes, and checks the laws.
    ///
    /// # Errors
    /// The first violation, or why there is no verdict.
    fn drive(&self, sim: &mut Sim, ops: &[Self::Op], plant: Option<&str>) -> Result<(), Failure>;

    /// For engines of several nodes: the runs of a small workload that are all to be gone through.
    fn variations(&self) -> Option<&dyn Variations> {
        None
    }

    /// For testbeds that are [`Explore`](crate::explore::Explore) as well: `Some(explorer(self))`.
    fn explorer(&self) -> Option<Box<dyn CaseExplorer + '_>> {
        None
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Job {
    /// Decides everything that `workload` and `source` leave open.
    pub seed: u64,
    /// What may go wrong.
    pub plan: Arc<Plan>,
    /// The deviation to switch on.
    pub plant: Option<String>,
    /// The workload; generated from the seed if not given.
    pub workload: Option<Vec<OpText>>,
    /// Where decisions come from.
    pub source: Source,
    /// Keep decisions and events.
    pub record: bool,
    /// Keep what is done to disks.
    pub tape: bool,
}

impl Job {
    /// A seed under a plan.
    pub fn new(seed: u64, plan: Arc<Plan>) -> Self {
        Self {
            seed,
            plan,
            plant: None,
            workload: None,
            source: Source::Seed,
            record: false,
            tape: false,
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All laws held.
    Passed,
    /// A law was broken.
    Violation(Violation),
    /// There is no verdict, and why.
    Inconclusive(String),
    /// The testbed itself (not the engine) panicked, or could not use its input.
    Internal(String),
}

impl Outcome {
    /// The violation, if there is one.
    pub fn violation(&self) -> Option<&Violation> {
        match self {
            Self::Violation(violation) => Some(violation),
            _ => None,
        }
    }
}

/// A run's end and what it left.
#[derive(Clone, Debug)]
pub struct Run {
    /// How it ended.
    pub outcome: Outcome,
    /// Digest, counts, and the record if there is one.
    pub finished: Finished,
    /// The workload, if the run was recorded.
    pub workload: Vec<OpText>,
}

/// A [`Testbed`] as tools see it.
pub trait Scenario: Send + Sync {
    /// Short name for the command line.
    fn name(&self) -> &'static str;
    /// One sentence.
    fn about(&self) -> &'static str;
    /// All laws.
    fn laws(&self) -> Vec<Law>;
    /// Deviations that can be switched on by name.
    fn plants(&self) -> Vec<PlantInfo>;
    /// Whether tools leave out its engine's syncs, one by one.
    fn has_own_syncs(&self) -> bool {
        true
    }
    /// What is known of the engine's syncs.
    fn syncs(&self) -> &'static [SyncInfo] {
        &[]
    }
    /// What a sweep should come to, by the names of the probes.
    fn probes(&self) -> Vec<&'static str> {
        Vec::new()
    }
    /// The preset under which it is swept if nobody asks for another one.
    fn plan(&self) -> &'static str {
        "rough"
    }
    /// How many nodes of each kind it must survive.
    fn tolerates(&self) -> Tolerance {
        Tolerance::ANY
    }
    /// Runs one job on this thread.
    fn run(&self, job: &Job) -> Run;
    /// The runs of a small workload of several nodes that are all to be gone through.
    fn variations(&self) -> Option<&dyn Variations> {
        None
    }
    /// Its cases, if all its crash images can be explored.
    fn explorer(&self) -> Option<Box<dyn CaseExplorer + '_>> {
        None
    }

    /// Whether [`Scenario::run`] can use a recorded workload.
    ///
    /// # Errors
    /// Which operation it cannot read, and why.
    fn check_workload(&self, _workload: &[OpText]) -> Result<(), String> {
        Ok(())
    }
}

impl<T: Testbed> Scenario for T {
    fn name(&self) -> &'static str {
        Testbed::name(self)
    }

    fn about(&self) -> &'static str {
        Testbed::about(self)
    }

    fn laws(&self) -> Vec<Law> {
        let mut laws = Testbed::laws(self).to_vec();
        laws.extend([LAW_NO_PANIC, LAW_LIVE]);
        let judges = |explorer: Box<dyn CaseExplorer + '_>| explorer.judges_unstable();
        laws.extend(Testbed::explorer(self).is_some_and(judges).then_some(LAW_UNSTABLE));
        laws
    }

    fn plants(&self) -> Vec<PlantInfo> {
        Testbed::plants(self)
    }

    fn has_own_syncs(&self) -> bool {
        Testbed::has_own_syncs(self)
    }

    fn syncs(&self) -> &'static [SyncInfo] {
        Testbed::syncs(self)
    }

    fn probes(&self) -> Vec<&'static str> {
        Testbed::probes(self)
    }

    fn plan(&self) -> &'static str {
        Testbed::plan(self)
    }

    fn tolerates(&self) -> Tolerance {
        Testbed::tolerates(self)
    }

    fn run(&self, job: &Job) -> Run {
        panics::hook();
        let mut sim = Sim::with_source(job.seed, job.source.clone(), job.record);
        sim.apply_plan(&job.plan);
        sim.set_tolerance(Testbed::tolerates(self));
        if job.tape {
            sim.keep_tape();
        }
        let ops = match &job.workload {
            Some(texts) => decode_ops::<T::Op>(texts),
            None => generate(&Testbed::workload(self), job.seed),
        };
        let (outcome, workload) = match ops {
            Ok(ops) => {
                let texts = if job.record { encode_ops(&ops) } else { Vec::new() };
                let drive = || self.drive(&mut sim, &ops, job.plant.as_deref());
                let mut result = panics::catch(drive);
                if sim.has_unstable_junk() {
                    result = result.map(|result| result.map_err(unverified));
                }
                let result = result.map(|result| result.map_err(|failure| excused(failure, &sim)));
                (outcome(result, &sim), texts)
            }
            Err(reason) => (Outcome::Internal(reason), Vec::new()),
        };
        sim.note_outcome(&outcome);
        Run { outcome, finished: sim.finish(), workload }
    }

    fn explorer(&self) -> Option<Box<dyn CaseExplorer + '_>> {
        Testbed::explorer(self)
    }

    fn variations(&self) -> Option<&dyn Variations> {
        Testbed::variations(self)
    }

    fn check_workload(&self, workload: &[OpText]) -> Result<(), String> {
        decode_ops::<T::Op>(workload).map(drop)
    }
}

/// No impossible world is called a bug: a law that was broken in a run beyond what the engine must
/// survive leaves it without a verdict. That is then the reason for having none, also where there
/// would have been none: a process whose medium cannot be read may end again and again.
fn excused(failure: Failure, sim: &Sim) -> Failure {
    let Some(why) = sim.beyond_tolerance() else { return failure };
    let reason = match failure {
        Failure::Violation(violation) if violation.law == LAW_NO_PANIC.name => {
            return Failure::Violation(violation);
        }
        Failure::Violation(Violation { law, got, .. }) => format!("{law}: {got}"),
        Failure::Inconclusive(reason) => reason,
    };
    let what = format!("this world is beyond what it must survive ({why}), so not judged");
    Failure::Inconclusive(format!("{what}: {reason}"))
}

fn outcome(result: Result<Result<(), Failure>, String>, sim: &Sim) -> Outcome {
    match result {
        Ok(Ok(())) => Outcome::Passed,
        Ok(Err(Failure::Violation(violation))) => Outcome::Violation(Violation {
            at_event: sim.event_count(),
            at_decision: sim.decision_count(),
            ..violation
        }),
        Ok(Err(Failure::Inconclusive(reason))) => Outcome::Inconclusive(reason),
        Err(panic) => Outcome::Internal(format!("the testbed panicked: {panic}")),
    }
}

/// A workload from a seed: the same for the same version of proptest, on every machine.
pub(crate) fn generate<Op: Debug>(
    strategy: &BoxedStrategy<Vec<Op>>,
    seed: u64,
) -> Result<Vec<Op>, String> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let tree = strategy.new_tree(&mut runner);
    tree.map(|tree| tree.current()).map_err(|reason| format!("no workload: {reason}"))
}

/// Operations as they stand in traces and jobs.
pub fn encode_ops<Op: Debug + Serialize>(ops: &[Op]) -> Vec<OpText> {
    let config = bincode::config::standard();
    let encode = |op: &Op| {
        let bytes = bincode::serde::encode_to_vec(op, config);
        OpText { bytes: bytes.unwrap_or_default(), text: format!("{op:?}") }
    };
    ops.iter().map(encode).collect()
}

fn decode_ops<Op: DeserializeOwned>(texts: &[OpText]) -> Result<Vec<Op>, String> {
    /// No operation of a workload needs more.
    const OP_BYTES_MAX: usize = 1 << 20;
    let config = bincode::config::standard().with_limit::<OP_BYTES_MAX>();
    let decode = |(number, op): (usize, &OpText)| {
        let why = match bincode::serde::decode_from_slice(&op.bytes, config) {
            Ok((decoded, used)) if used == op.bytes.len() => return Ok(decoded),
            Ok(_) => "it has bytes that this version does not know".to_owned(),
            Err(error) => error.to_string(),
        };
        let what = "cannot be read: it was written by another version of the testbed";
        Err(format!("operation {number}, {}, {what} ({why})", op.text))
    };
    texts.iter().enumerate().map(decode).collect()
}
