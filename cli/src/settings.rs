//! Settings: flag, then environment variable, then the `[run]` table of the plan file, then the
//! default. The first two are merged by the argument parser.

use std::path::PathBuf;
use std::sync::Arc;

use seedbed::faults::{Plan, Rule, RunSettings, Seeds};
use seedbed::{Scenario, Sweep};

use crate::args::{JOBS_MAX, SweepArgs, TargetArgs};
use crate::exit::{Exit, Failure};
use crate::lookup;

/// The folder for traces of whoever asks for none.
const TRACES_DEFAULT: &str = "seedbed-traces";

/// What is different from the engine as it is, and what may go wrong.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The plan as it was asked for: a name or a path.
    pub plan_arg: String,
    /// The plan, with the syncs to leave out as its first rules.
    pub plan: Arc<Plan>,
    pub plant: Option<String>,
    pub omit_sync: Vec<String>,
}

/// Everything that a sweep needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub target: Target,
    /// As asked for, if anyone said so.
    pub seeds: Option<Seeds>,
    pub jobs: usize,
    pub violations_max: usize,
    pub check_every: u64,
    pub require_probes: bool,
    pub traces: PathBuf,
}

impl Target {
    /// Loads the plan that is asked for, or else the scenario's own, and applies what is to be left
    /// out. Gives the plan's `[run]` table too.
    pub(crate) fn resolve(
        scenario: &dyn Scenario,
        faults: Option<&str>,
        args: &TargetArgs,
    ) -> Result<(Self, RunSettings), Failure> {
        let plan_arg = plan_name(scenario, faults);
        let mut plan = Plan::load(&plan_arg)?;
        let run = plan.run.take().unwrap_or_default();
        let plant = args.plant.clone().or_else(|| run.plant.clone());
        let given: Vec<_> = args.omit_sync.iter().filter(|site| !site.is_empty()).collect();
        let omit_sync: Vec<String> = match given.is_empty() {
            true => run.omit_sync.clone(),
            false => given.into_iter().cloned().collect(),
        };
        for (index, site) in omit_sync.iter().enumerate() {
            let rule = Rule::omit_sync(site);
            rule.compile().map_err(|error| Failure::usage(format!("--omit-sync: {error}")))?;
            plan.rules.insert(index, rule);
        }
        let plant = plant.filter(|name| !name.is_empty());
        Ok((Self { plan_arg, plan: Arc::new(plan), plant, omit_sync }, run))
    }

    /// Refuses a plant that the scenario does not have.
    pub(crate) fn check(&self, scenario: &dyn Scenario) -> Result<(), Failure> {
        match &self.plant {
            Some(plant) => lookup::plant(scenario, plant).map(drop),
            None => Ok(()),
        }
    }
}

impl Settings {
    /// Merges what was given with the plan file and the defaults; `check_every` is one, and the
    /// scenario's plan another.
    pub(crate) fn resolve(
        scenario: &dyn Scenario,
        args: &SweepArgs,
        target: &TargetArgs,
        check_every: u64,
    ) -> Result<Self, Failure> {
        let (target, run) = Target::resolve(scenario, args.faults.as_deref(), target)?;
        let traces = args.traces.clone().or_else(|| run.traces.as_ref().map(PathBuf::from));
        let violations_max = args.max_violations.or(run.max_violations).unwrap_or(1);
        let check = args.check_determinism.or(run.check_determinism).map(u64::from);
        let settings = Self {
            seeds: args.seeds.or(run.seeds),
            jobs: jobs(args.jobs.or(run.jobs))?,
            violations_max: violations_max as usize,
            check_every: check.unwrap_or(check_every),
            require_probes: args.require_probes || run.require_probes,
            traces: traces.unwrap_or_else(|| PathBuf::from(TRACES_DEFAULT)),
            target,
        };
        settings.seeds.map_or(Ok(()), check_seeds)?;
        Ok(settings)
    }

    /// The sweep of these seeds that these settings describe.
    pub(crate) fn sweep(&self, seeds: Seeds) -> Sweep {
        Sweep {
            seeds: seeds.range(),
            jobs: self.jobs,
            plan: Arc::clone(&self.target.plan),
            plant: self.target.plant.clone(),
            violations_max: self.violations_max,
            check_every: self.check_every,
        }
    }
}

/// The plan that is asked for, by name or path, or else the scenario's own.
pub(crate) fn plan_name(scenario: &dyn Scenario, faults: Option<&str>) -> String {
    faults.filter(|name| !name.is_empty()).unwrap_or(scenario.plan()).to_owned()
}

/// The number of threads: as given, or one per core.
pub(crate) fn jobs(given: Option<u16>) -> Result<usize, Failure> {
    match given {
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
        Some(jobs @ 1..=JOBS_MAX) => Ok(usize::from(jobs)),
        Some(jobs) => {
            Err(Failure::usage(format!("jobs = {jobs} is out of range: expected 1..={JOBS_MAX}")))
        }
    }
}

/// Refuses to sweep nothing and to call it a success.
pub(crate) fn check_seeds(seeds: Seeds) -> Result<(), Failure> {
    match seeds.range().is_empty() {
        false => Ok(()),
        true => {
            let message = format!("the seeds {seeds} are none: ask for at least one");
            Err(Failure::new(Exit::NothingSelected, message))
        }
    }
}
