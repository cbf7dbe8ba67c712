//! Many cases on all cores, in a fixed order, so that an exploration can be stopped and resumed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use seedbed_faults::{Profile, Rule};
use seedbed_traces::Trace;

use super::{
    Broken, Case, CaseEnd, CaseExplorer, FailingCall, Lost, MissingBarrier, Sequence, Setting,
    Tally,
};
use crate::choices::Source;
use crate::disk::Bounds;
use crate::testbed::{Job, Outcome, Scenario, Violation};
use crate::trace::record;

/// What to explore.
#[derive(Clone, Debug)]
pub struct Exploration {
    /// Lengths of the exhaustive sequences, from 1 up to this; 0 = none.
    pub length_max: u32,
    /// Seeds of longer workloads.
    pub seeds: std::ops::Range<u64>,
    /// Settings, by name; empty = all.
    pub settings: Vec<String>,
    /// What file systems promise.
    pub profiles: Vec<Profile>,
    /// Crashes in a row, for sequences up to `deep_length_max`; others get 1.
    pub depth: u32,
    /// The longest sequences that are crashed inside recovery as well.
    pub deep_length_max: u32,
    /// The longest sequences that go on after a crash and are crashed again at work.
    pub work_length_max: u32,
    /// When a crash point is not exhausted any more.
    pub bounds: Bounds,
    /// Threads.
    pub jobs: usize,
    /// The deviation to switch on.
    pub plant: Option<String>,
    /// Syncs to leave out or weaken.
    pub rules: Vec<Rule>,
    /// Each disk call of the workload fails once, one in a run.
    pub failures: bool,
    /// Junk is put in the place of unstable writes, where the testbed judges that.
    pub unstable: bool,
    /// Images that differ only in bytes that nobody reads are looked at once.
    pub unread: bool,
    /// Stop after this many violations; 0 = never.
    pub violations_max: usize,
    /// Cases before this one are done already.
    pub first_case: u64,
    /// At most so many cases from there.
    pub cases_max: u64,
}

impl Default for Exploration {
    fn default() -> Self {
        Self {
            length_max: 2,
            seeds: 0..0,
            settings: Vec::new(),
            profiles: Profile::FIVE.to_vec(),
            depth: 2,
            deep_length_max: 2,
            work_length_max: 1,
            bounds: Bounds::default(),
            jobs: 1,
            plant: None,
            rules: Vec::new(),
            failures: false,
            unstable: true,
            unread: true,
            violations_max: 1,
            first_case: 0,
            cases_max: u64::MAX,
        }
    }
}

/// A broken law.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The case's number.
    pub number: u64,
    /// The case.
    pub case: Case,
    /// The law and how.
    pub violation: Violation,
    /// What the crashes on the way left, in order.
    pub story: Vec<Lost>,
    /// The call that failed on the way, if one did; its rule is one of the case's.
    pub failing: Option<FailingCall>,
    /// The barrier that would have kept the law; `None` if no loss is to blame.
    pub missing: Option<MissingBarrier>,
    /// The run as a trace, which replays. `None` if the ordinary run does not break the same law.
    pub trace: Option<Box<Trace>>,
}

/// What an exploration came to.
#[derive(Clone, Debug, Default)]
pub struct Explored {
    /// Cases there are.
    pub cases: u64,
    /// All cases before this one are done.
    pub done: u64,
    /// Counts over the cases that were done.
    pub tally: Tally,
    /// Violations in the order of the cases.
    pub found: Vec<Finding>,
    /// Cases without a verdict, with the reason.
    pub inconclusive: Vec<(u64, String)>,
    /// Whether it was stopped from outside.
    pub interrupted: bool,
}

impl Explored {
    /// Whether every legal image of every case was looked at. Not if there are no cases, nor if a
    /// law was broken: that ends its case.
    pub fn is_exhaustive(&self) -> bool {
        let is_whole = self.cases > 0 && self.done == self.cases;
        let is_settled = self.inconclusive.is_empty() && self.found.is_empty();
        is_whole && is_settled && self.tally.unexhausted == 0
    }
}

impl Finding {
    /// The order that was missing, in a sentence: what must be durable before what.
    pub fn ordering(&self) -> Option<String> {
        let last = self.story.iter().rev().find(|step| !step.lost.is_empty())?;
        let lost: Vec<&str> = last.lost.iter().map(|(what, _)| what.as_str()).collect();
        let before = match (last.kept.last(), last.at_op) {
            (Some(kept), _) => kept.clone(),
            (None, Some(op)) => format!("what was told before operation {op} of that boot"),
            (None, None) => "what was told at the end of that boot".to_owned(),
        };
        Some(format!("{} must persist before {before}", lost.join(" and ")))
    }

    /// Persist nodes in the report.
    pub fn nodes(&self) -> usize {
        self.story.iter().map(|step| step.lost.len()).sum()
    }
}

/// How far an exploration is; read by a progress display while it runs.
#[derive(Debug, Default)]
pub struct ExploreProgress {
    /// Cases done.
    pub cases: AtomicU64,
    /// Cases there are.
    pub cases_total: AtomicU64,
    /// Legal images so far.
    pub found: AtomicU64,
    /// Images recovered and judged.
    pub checked: AtomicU64,
    /// Violations.
    pub violations: AtomicU64,
    /// Set it to stop soon.
    pub stop: AtomicBool,
}

/// Explores a scenario on this and further threads; `None` if it cannot be explored.
pub fn explore(
    scenario: &dyn Scenario,
    what: &Exploration,
    progress: &ExploreProgress,
) -> Option<Explored> {
    let explorer = scenario.explorer()?;
    let space = Space::new(&*explorer, what);
    progress.cases_total.store(space.len(), Ordering::Relaxed);
    let shared = Shared {
        scenario,
        explorer: &*explorer,
        what,
        space,
        progress,
        next: AtomicU64::new(what.first_case),
        ends: Mutex::default(),
    };
    std::thread::scope(|scope| {
        for _ in 1..what.jobs.max(1) {
            scope.spawn(|| shared.work());
        }
        shared.work();
    });
    Some(shared.into_explored())
}

/// How many cases an exploration has; `None` if the scenario cannot be explored.
pub fn case_count(scenario: &dyn Scenario, what: &Exploration) -> Option<u64> {
    scenario.explorer().map(|explorer| Space::new(&*explorer, what).len())
}

/// All cases in order: shortest sequences first, then by setting, then by profile.
struct Space {
    letters: u64,
    length_max: u32,
    seeds: std::ops::Range<u64>,
    settings: Vec<Setting>,
    profiles: Vec<Profile>,
    unstable: bool,
}

impl Space {
    fn new(explorer: &dyn CaseExplorer, what: &Exploration) -> Self {
        let wanted = |setting: &Setting| {
            what.settings.is_empty() || what.settings.iter().any(|name| name == setting.name)
        };
        Self {
            letters: explorer.letters() as u64,
            length_max: what.length_max,
            seeds: what.seeds.clone(),
            settings: explorer.settings().into_iter().filter(wanted).collect(),
            profiles: what.profiles.clone(),
            unstable: what.unstable && explorer.judges_unstable(),
        }
    }

    /// Saturates where nobody will ever come.
    fn len(&self) -> u64 {
        let words = (1..=self.length_max).map(|length| self.words(length));
        let seeds = self.seeds.end.saturating_sub(self.seeds.start);
        let sequences = words.fold(seeds, u64::saturating_add);
        sequences.saturating_mul((self.settings.len() * self.profiles.len()) as u64)
    }

    /// Sequences of so many operations.
    fn words(&self, length: u32) -> u64 {
        self.letters.saturating_pow(length)
    }

    /// Sequence number `nth`: the shortest first, by their letters; then those of seeds.
    fn sequence(&self, mut nth: u64) -> Sequence {
        for length in 1..=self.length_max {
            if nth < self.words(length) {
                let places = (0..length).rev().map(|place| self.letters.pow(place));
                let letter = |worth: u64| (nth / worth % self.letters) as usize;
                return Sequence::Letters(places.map(letter).collect());
            }
            nth -= self.words(length);
        }
        Sequence::Seed(self.seeds.start + nth)
    }

    fn case(&self, number: u64, what: &Exploration) -> Case {
        let (profiles, settings) = (self.profiles.len() as u64, self.settings.len() as u64);
        let sequence = self.sequence(number / (profiles * settings));
        let length = match &sequence {
            Sequence::Letters(letters) => letters.len() as u32,
            Sequence::Seed(_) => u32::MAX,
        };
        Case {
            setting: self.settings[(number / profiles % settings) as usize].clone(),
            profile: self.profiles[(number % profiles) as usize],
            sequence,
            depth: if length <= what.deep_length_max { what.depth.max(1) } else { 1 },
            goes_on: length <= what.work_length_max,
            bounds: what.bounds,
            plant: what.plant.clone(),
            rules: what.rules.clone(),
            failures: what.failures,
            unstable: self.unstable,
            unread: what.unread,
        }
    }
}

struct Shared<'a> {
    scenario: &'a dyn Scenario,
    explorer: &'a dyn CaseExplorer,
    what: &'a Exploration,
    space: Space,
    progress: &'a ExploreProgress,
    /// The next case to hand out.
    next: AtomicU64,
    ends: Mutex<Vec<(u64, Tally, CaseEnd)>>,
}

impl Shared<'_> {
    fn work(&self) {
        let stop = || self.progress.stop.load(Ordering::Relaxed);
        while !stop() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.end() {
                return;
            }
            let case = self.space.case(number, self.what);
            let mut tally = Tally::default();
            let end = self.explorer.explore(&case, &mut tally, &|| !stop());
            let progress = self.progress;
            progress.found.fetch_add(tally.found, Ordering::Relaxed);
            progress.checked.fetch_add(tally.checked, Ordering::Relaxed);
            match end {
                CaseEnd::Stopped => return,
                CaseEnd::Broken(_) => {
                    let found = 1 + progress.violations.fetch_add(1, Ordering::Relaxed);
                    let max = self.what.violations_max as u64;
                    if max > 0 && found >= max {
                        // Cases that were handed out before this one are finished all the same.
                        self.next.store(u64::MAX / 2, Ordering::Relaxed);
                    }
                }
                CaseEnd::Done | CaseEnd::Inconclusive(_) => {}
            }
            progress.cases.fetch_add(1, Ordering::Relaxed);
            self.ends
                .lock()
                .unwrap_or_else(|poison| poison.into_inner())
                .push((number, tally, end));
        }
    }

    fn end(&self) -> u64 {
        self.what.first_case.saturating_add(self.what.cases_max).min(self.space.len())
    }

    fn into_explored(self) -> Explored {
        let mut ends =
            std::mem::take(&mut *self.ends.lock().unwrap_or_else(|poison| poison.into_inner()));
        ends.sort_by_key(|(number, ..)| *number);
        let mut explored =
            Explored { cases: self.space.len(), done: self.what.first_case, ..Explored::default() };
        explored.interrupted = self.progress.stop.load(Ordering::Relaxed);
        for (number, tally, end) in ends {
            // After an interruption later cases may be done already: they are done again.
            if number != explored.done {
                break;
            }
            explored.done += 1;
            explored.tally.add(&tally);
            match end {
                CaseEnd::Done | CaseEnd::Stopped => {}
                CaseEnd::Inconclusive(reason) => explored.inconclusive.push((number, reason)),
                CaseEnd::Broken(broken) => {
                    let Broken { violation, answers, story, failing, missing } = *broken;
                    let mut case = self.space.case(number, self.what);
                    case.rules.extend(failing.iter().map(|call| call.rule.clone()));
                    let trace = self.trace_of(&case, &violation, answers);
                    let finding =
                        Finding { number, case, violation, story, failing, missing, trace };
                    explored.found.push(finding);
                    let max = self.what.violations_max;
                    if max > 0 && explored.found.len() >= max {
                        break;
                    }
                }
            }
        }
        explored
    }

    /// The ordinary run that these answers lead to.
    fn trace_of(
        &self,
        case: &Case,
        violation: &Violation,
        answers: Vec<seedbed_traces::Decision>,
    ) -> Option<Box<Trace>> {
        let job = Job {
            plant: case.plant.clone(),
            workload: Some(self.explorer.workload(&case.sequence).ok()?),
            source: Source::Sparse(answers.into()),
            ..Job::new(0, case.plan().into())
        };
        let law = |outcome: &Outcome| outcome.violation().map(|violation| violation.law.clone());
        let reproduced = law(&self.scenario.run(&job).outcome)? == violation.law;
        reproduced.then(|| Box::new(record(self.scenario, &job)))
    }
}
