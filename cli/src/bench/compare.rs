//! Comparing with what was kept, or with another build.

use std::fmt::Display;

use seedbed_hardware::{Machine, Workload};
use seedbed_measure::{
    Baseline, Counters, Finding, Gate, Interval, Metric, Name, Plan, Report, Thresholds, Verdict,
    counters,
};
use serde::Serialize;

use super::Done;
use super::args::BenchArgs;
use super::measure::{Exact, Measured};
use crate::exit::Failure;

/// How to compare, and with what.
pub(super) struct Comparing {
    gate: Gate,
    with: Option<Name>,
    folder: std::path::PathBuf,
    machine: Machine,
}

/// What a comparison came to.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    /// With what.
    pub(super) with: String,
    /// The judgement; or why there is none.
    pub(super) judged: Result<Report, String>,
    /// Where figures without noise differ.
    pub(super) exact: Vec<Finding>,
    /// What else to know.
    pub(super) warnings: Vec<String>,
}

impl Comparing {
    pub(super) fn new(args: &BenchArgs, machine: &Machine) -> Result<Self, Failure> {
        let thresholds = Thresholds {
            throughput_drop: args.throughput_drop / 100.0,
            latency_growth: args.latency_growth / 100.0,
        };
        let gate = Gate { thresholds, ..Gate::default() };
        gate.check().map_err(Failure::usage)?;
        let name = |name: &Option<String>| {
            let name = name.as_deref().map(Name::new);
            name.transpose().map_err(Failure::usage)
        };
        // A name that cannot be one is told before anything is measured.
        name(&args.save_baseline)?;
        let with = name(&args.baseline)?;
        if let Some(with) = &with {
            let prefix = format!("{}.", with.as_str());
            let files = std::fs::read_dir(&args.baselines).into_iter().flatten().flatten();
            let mut names = files.map(|file| file.file_name().to_string_lossy().into_owned());
            if !names.any(|name| name.starts_with(&prefix)) {
                let (with, folder) = (with.as_str(), args.baselines.display());
                let what =
                    format!("no baseline {with} in {folder}: --save-baseline {with} makes one");
                return Err(Failure::usage(what));
            }
        }
        let (folder, machine) = (args.baselines.clone(), machine.clone());
        Ok(Self { gate, with, folder, machine })
    }

    /// How much worse is too much.
    pub(super) fn thresholds(&self) -> Thresholds {
        self.gate.thresholds
    }

    /// For rounds that are taken in turn.
    pub(super) fn plan(&self) -> (Plan, Gate) {
        (Plan::default(), self.gate.clone())
    }

    /// Compares with the baseline, if one is given.
    pub(super) fn judge(&self, workload: &Workload, measured: &Measured) -> Option<Compared> {
        let with = self.with.as_ref()?;
        let now = baseline(with.as_str(), workload, &self.machine, measured);
        let compared = now.and_then(|now| self.compare(with, &now));
        Some(compared.unwrap_or_else(|why| Compared {
            with: with.as_str().to_owned(),
            judged: Err(why),
            exact: Vec::new(),
            warnings: Vec::new(),
        }))
    }

    fn compare(&self, with: &Name, now: &Baseline) -> Result<Compared, String> {
        let saved = Baseline::load(&self.folder, &now.name).map_err(|error| error.to_string())?;
        let warnings = saved.comparable(now).map_err(|error| error.to_string())?;
        let judged = self.gate.judge_apart(&saved.rounds, &now.rounds);
        let judged = Ok(judged.map_err(|error| error.to_string())?);
        let exact = saved.counters.compare(&now.counters);
        Ok(Compared { with: with.as_str().to_owned(), judged, exact, warnings })
    }

    /// Keeps what was measured, if that is wanted.
    pub(super) fn keep(&self, args: &BenchArgs, done: &[Done]) -> Result<(), Failure> {
        let Some(name) = &args.save_baseline else { return Ok(()) };
        for Done { workload, measured, .. } in done {
            let kept = baseline(name, workload, &self.machine, measured).map_err(Failure::usage)?;
            kept.save(&self.folder).map_err(Failure::usage)?;
        }
        Ok(())
    }
}

/// What is kept of a workload: a file each.
fn baseline(
    name: &str,
    workload: &Workload,
    machine: &Machine,
    measured: &Measured,
) -> Result<Baseline, String> {
    let name = format!("{name}.{}", slug(workload));
    let name = Name::new(&name).map_err(|error| error.to_string())?;
    // How many operations a round has is of the machine's speed.
    let workload = Workload { operations: Workload::default().operations, ..workload.clone() };
    let text = serde_json::to_value(&workload).map_err(|error| error.to_string())?;
    let pairs = text.as_object().into_iter().flatten();
    let plainly = |value: &serde_json::Value| match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    };
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Ok(Baseline {
        name,
        saved_unix_s: since.map_or(0, |since| since.as_secs()),
        environment: machine.pairs().into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
        workload: pairs.map(|(key, value)| (key.clone(), plainly(value))).collect(),
        rounds: measured.rounds.iter().map(Into::into).collect(),
        counters: counters(&measured.exact),
    })
}

fn counters((operations, counts): &Exact) -> Counters {
    Counters { operations: *operations, counts: counts.clone() }
}

/// A workload as a part of a file's name.
fn slug(workload: &Workload) -> String {
    let text = format!("{}-{workload}", workload.engine.name());
    let word = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let slug: String = text.chars().map(word).collect();
    slug.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

impl Compared {
    /// What rounds in turn came to, and figures without noise of both.
    pub(super) fn of(with: impl Display, judged: Report, exact: (&Exact, &Exact)) -> Self {
        let exact = counters(exact.0).compare(&counters(exact.1));
        Self { with: with.to_string(), judged: Ok(judged), exact, warnings: Vec::new() }
    }

    pub(super) fn is_regressed(&self) -> bool {
        let is_slower =
            self.judged.as_ref().is_ok_and(|report| report.verdict() == Verdict::Regressed);
        is_slower || counters::verdict(&self.exact) == Verdict::Regressed
    }

    /// A cell of a table.
    pub(super) fn word(&self) -> String {
        let Ok(report) = &self.judged else { return "?".to_owned() };
        let throughput = report.metrics.iter().find(|one| one.metric == Metric::Throughput);
        let ratio = throughput.and_then(|one| one.ratio).map(|Interval { estimate, .. }| estimate);
        match ratio {
            Some(ratio) => format!("{} x{ratio:.2}", report.verdict()),
            None => report.verdict().to_string(),
        }
    }

    /// All of it, for people.
    pub(super) fn text(&self) -> String {
        let mut text = match &self.judged {
            Ok(report) => format!("against {}: {report}", self.with),
            Err(why) => format!("against {}: not compared: {why}\n", self.with),
        };
        for finding in &self.exact {
            text.push_str(&format!("  without noise: {finding}\n"));
        }
        for warning in &self.warnings {
            text.push_str(&format!("  warning: {warning}\n"));
        }
        text
    }
}
