//! All runs of one small workload that differ in where a node crashes and in what becomes of one
//! message: for engines of several nodes, what exploring crash images is for one.
//!
//! A testbed says which runs there are, as jobs: workload, plan, and the few decisions that are not
//! 0. So each of them is an ordinary run, which is recorded, replayed and shrunk like any other.
//! There are two steps, because only a run with a crash shows which messages there are after it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::testbed::{Job, Outcome, Run, Scenario, Violation};

/// A way in which a node crashes, or the plain run.
#[derive(Clone, Debug)]
pub struct Crash {
    /// The run without anything else. It must be recorded.
    pub job: Job,
    /// The crash is meant to come too late for every run. A node that crashes all the same shows
    /// that there are more ways than are listed.
    pub is_beyond: bool,
}

/// The runs of a testbed's small workload.
pub trait Variations: Send + Sync {
    /// What they are, in a sentence: what differs, within which bounds, and what is left out.
    fn about(&self) -> &'static str;

    /// The plain run, and one for each way in which a node crashes.
    fn crashes(&self, plant: Option<&str>) -> Vec<Crash>;

    /// For a run with such a crash, or without: one for each thing that becomes of one message of
    /// it.
    fn messages(&self, job: &Job, run: &Run) -> Vec<Job>;
}

/// How far it is; read by a progress display.
#[derive(Debug, Default)]
pub struct VaryProgress {
    /// Crashes whose messages were gone through.
    pub crashes: AtomicU64,
    /// Crashes there are.
    pub crashes_total: AtomicU64,
    /// Runs.
    pub runs: AtomicU64,
    /// Violations.
    pub violations: AtomicU64,
    /// Set it to stop soon.
    pub stop: AtomicBool,
}

/// What it came to. The same on any number of threads, unless it was stopped.
#[derive(Debug, Default)]
pub struct Varied {
    /// Ways in which a node crashes, and the plain run.
    pub crashes: u64,
    /// Of these, gone through.
    pub done: u64,
    /// Runs.
    pub runs: u64,
    /// Broken laws with their jobs, in order, up to the limit.
    pub found: Vec<(Job, Violation)>,
    /// Reasons for which runs had no verdict, and how many.
    pub inconclusive: BTreeMap<String, u64>,
    /// Runs in which a node crashed that was to crash too late: there are ways that are not listed.
    pub beyond: u64,
    /// Whether it was stopped before all runs were made.
    pub interrupted: bool,
}

impl Varied {
    /// Whether every run that [`Variations::about`] describes was made and has a verdict.
    pub fn is_exhaustive(&self) -> bool {
        !self.interrupted && self.inconclusive.is_empty() && self.beyond == 0
    }
}

/// Goes through all variations, on so many threads. Stops after `violations_max` violations; 0 =
/// never.
pub fn vary(
    scenario: &dyn Scenario,
    variations: &dyn Variations,
    plant: Option<&str>,
    (jobs, violations_max): (usize, usize),
    progress: &VaryProgress,
) -> Varied {
    let crashes = variations.crashes(plant);
    progress.crashes_total.store(crashes.len() as u64, Ordering::Relaxed);
    let work = Work {
        scenario,
        variations,
        crashes: &crashes,
        violations_max,
        progress,
        next: AtomicU64::new(0),
        parts: Mutex::new(BTreeMap::new()),
    };
    std::thread::scope(|scope| {
        for _ in 1..jobs.max(1) {
            scope.spawn(|| work.run());
        }
        work.run();
    });
    work.conclude()
}

/// What one crash came to.
#[derive(Default)]
struct Part {
    runs: u64,
    found: Vec<(Job, Violation)>,
    inconclusive: BTreeMap<String, u64>,
    beyond: u64,
    whole: bool,
}

struct Work<'a> {
    scenario: &'a dyn Scenario,
    variations: &'a dyn Variations,
    crashes: &'a [Crash],
    violations_max: usize,
    progress: &'a VaryProgress,
    next: AtomicU64,
    parts: Mutex<BTreeMap<u64, Part>>,
}

impl Work<'_> {
    fn run(&self) {
        loop {
            let nth = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(crash) = self.crashes.get(nth as usize) else { return };
            if self.is_over() {
                return;
            }
            let part = self.go_through(crash);
            self.progress.crashes.fetch_add(1, Ordering::Relaxed);
            let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            parts.insert(nth, part);
        }
    }

    fn is_over(&self) -> bool {
        let found = self.progress.violations.load(Ordering::Relaxed) as usize;
        let enough = self.violations_max > 0 && found >= self.violations_max;
        enough || self.progress.stop.load(Ordering::Relaxed)
    }

    /// Runs a crash, and then each message of it.
    fn go_through(&self, crash: &Crash) -> Part {
        let mut part = Part::default();
        let run = self.scenario.run(&crash.job);
        let messages = self.variations.messages(&crash.job, &run);
        let is_down = |run: &Run| run.finished.stats.crashes + run.finished.stats.power_losses > 0;
        part.beyond += u64::from(crash.is_beyond && is_down(&run));
        self.judge(&crash.job, run, &mut part);
        for job in messages {
            if self.is_over() {
                return part;
            }
            let run = self.scenario.run(&job);
            part.beyond += u64::from(crash.is_beyond && is_down(&run));
            self.judge(&job, run, &mut part);
        }
        part.whole = true;
        part
    }

    fn judge(&self, job: &Job, run: Run, part: &mut Part) {
        part.runs += 1;
        self.progress.runs.fetch_add(1, Ordering::Relaxed);
        match run.outcome {
            Outcome::Passed => {}
            Outcome::Violation(violation) => {
                self.progress.violations.fetch_add(1, Ordering::Relaxed);
                part.found.push((job.clone(), violation));
            }
            Outcome::Inconclusive(reason) | Outcome::Internal(reason) => {
                *part.inconclusive.entry(reason).or_default() += 1;
            }
        }
    }

    fn conclude(self) -> Varied {
        let parts = self.parts.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut varied = Varied { crashes: self.crashes.len() as u64, ..Varied::default() };
        for part in parts.into_values() {
            varied.done += u64::from(part.whole);
            varied.runs += part.runs;
            varied.beyond += part.beyond;
            varied.found.extend(part.found);
            for (reason, count) in part.inconclusive {
                *varied.inconclusive.entry(reason).or_default() += count;
            }
        }
        if self.violations_max > 0 {
            varied.found.truncate(self.violations_max);
        }
        varied.interrupted = varied.done < varied.crashes;
        varied
    }
}

/// Decisions that are not 0, for a job: label, which of its kind, answer.
pub fn sparse(answers: &[(&'static str, u64, u64)]) -> crate::choices::Source {
    use seedbed_traces::Decision;
    let decision = |(label, nth, value): &(&'static str, u64, u64)| Decision {
        label: (*label).into(),
        nth: *nth,
        bound: value + 1,
        value: *value,
    };
    crate::choices::Source::Sparse(Arc::from(answers.iter().map(decision).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use proptest::strategy::{BoxedStrategy, Just, Strategy};
    use seedbed_env::Fs;
    use seedbed_faults::Plan;

    use super::*;
    use crate::testbed::{Failure, Law, Testbed};
    use crate::{Sim, Stop};

    /// A node makes three calls. Crashes are listed up to this operation.
    struct ThreeCalls(u64);

    impl Testbed for ThreeCalls {
        type Op = ();

        fn name(&self) -> &'static str {
            "three_calls"
        }

        fn about(&self) -> &'static str {
            "a node that makes three calls"
        }

        fn laws(&self) -> &'static [Law] {
            &[]
        }

        fn workload(&self) -> BoxedStrategy<Vec<()>> {
            Just(Vec::new()).boxed()
        }

        fn drive(&self, sim: &mut Sim, _ops: &[()], _plant: Option<&str>) -> Result<(), Failure> {
            let node = sim.add_node("n");
            let env = sim.boot(node);
            let run = sim.run(env, async move {
                for name in ["one", "two", "three"] {
                    drop(env.create_dir(name).await);
                }
            });
            match run {
                Ok(()) | Err(Stop::Crashed(..)) => Ok(()),
                Err(stop) => Err(stop.into()),
            }
        }
    }

    impl Variations for ThreeCalls {
        fn about(&self) -> &'static str {
            "a crash at each call"
        }

        fn crashes(&self, _plant: Option<&str>) -> Vec<Crash> {
            let text = "name = \"crash\"\nabout = \"one crash\"\n\
                [node]\ncrash_count = 1\ncrash_after_ops = \"1..9\"\n";
            let plan = Arc::new(Plan::from_toml(text, "a plan").expect("it is well formed"));
            let crash = |op| Crash {
                job: Job { source: sparse(&[("crash.op", 0, op)]), ..Job::new(0, plan.clone()) },
                is_beyond: op == self.0,
            };
            (0..=self.0).map(crash).collect()
        }

        fn messages(&self, job: &Job, _run: &Run) -> Vec<Job> {
            vec![job.clone()]
        }
    }

    #[test]
    fn it_is_not_exhaustive_if_a_node_crashes_where_none_should_come_to() {
        let vary = |last: u64| {
            let testbed = ThreeCalls(last);
            vary(&testbed, &testbed, None, (2, 0), &VaryProgress::default())
        };
        let varied = vary(4);
        assert_eq!((varied.crashes, varied.done, varied.runs), (5, 5, 10), "{varied:?}");
        assert_eq!((varied.beyond, varied.is_exhaustive()), (0, true), "{varied:?}");
        let varied = vary(3);
        assert_eq!((varied.beyond, varied.is_exhaustive()), (2, false), "{varied:?}");
        assert!(varied.found.is_empty() && !varied.interrupted, "{varied:?}");
    }
}
