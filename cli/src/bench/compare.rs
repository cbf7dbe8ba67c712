//! Comparing with what was kept, or with another build.
//!
//! Baselines are kept in a folder for each name, a file for each workload. With
//! `--fail-on-regression` nothing passes in silence: what could not be compared is no pass.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use seedbed_hardware::{Machine, Worker, Workload};
use seedbed_measure::bootstrap::ROUNDS_MIN;
use seedbed_measure::{
    Baseline, BaselineError, Counters, Finding, Gate, Interval, Metric, Name, Plan, Report,
    Thresholds, Verdict, counters,
};
use serde::Serialize;

use super::Done;
use super::args::BenchArgs;
use super::grid::Size;
use super::measure::{Exact, Measured, launch};
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::output::{NOTE, Output, paint};

/// Letters of a file's name that say what it is of, and those that tell it from all others.
const SLUG_LETTERS_MAX: usize = 50;
const HASH_LETTERS: usize = 12;

/// How to compare, and with what.
pub(super) struct Comparing {
    gate: Gate,
    with: Option<Name>,
    keep: Option<Name>,
    /// Fewer are not kept.
    rounds_full: usize,
    folder: PathBuf,
    machine: Machine,
}

/// What a comparison came to.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    /// With what.
    pub(super) with: String,
    /// Whether it ran in turn, each round in a new process.
    #[serde(skip)]
    pub(super) is_in_turn: bool,
    /// The judgement; or why there is none.
    pub(super) judged: Result<Report, String>,
    /// Where figures without noise differ.
    pub(super) exact: Vec<Finding>,
    /// What else to know.
    pub(super) warnings: Vec<String>,
}

impl Comparing {
    /// Refuses, before anything is measured, what could not be compared or kept after it.
    pub(super) fn new(
        cx: &Context<'_>,
        args: &BenchArgs,
        machine: &Machine,
        workloads: &[Workload],
    ) -> Result<Self, Failure> {
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
        let (with, keep) = (name(&args.baseline)?, name(&args.save_baseline)?);
        let (folder, machine) = (args.baselines.clone(), machine.clone());
        let rounds_full = rounds_full(args);
        let comparing = Self { gate, with, keep, rounds_full, folder, machine };
        comparing.check_baseline(workloads)?;
        comparing.check_keeping()?;
        check_other(cx, args, workloads)?;
        Ok(comparing)
    }

    fn folder_of(&self, name: &Name) -> PathBuf {
        self.folder.join(name.as_str())
    }

    fn check_baseline(&self, workloads: &[Workload]) -> Result<(), Failure> {
        let Some(with) = &self.with else { return Ok(()) };
        let folder = self.folder_of(with);
        if workloads.iter().any(|workload| file_name(workload).path_in(&folder).exists()) {
            return Ok(());
        }
        let (with, folder) = (with.as_str(), self.folder.display());
        Err(Failure::usage(format!(
            "no baseline {with} in {folder} of any of these workloads: the same command with \
             --save-baseline {with} makes one"
        )))
    }

    fn check_keeping(&self) -> Result<(), Failure> {
        let Some(keep) = &self.keep else { return Ok(()) };
        let rounds = self.rounds_full;
        if rounds < ROUNDS_MIN {
            return Err(Failure::usage(format!(
                "--save-baseline with --rounds {rounds}: nothing can be compared with fewer than \
                 {ROUNDS_MIN} rounds; give as many, or leave out --rounds"
            )));
        }
        let folder = self.folder_of(keep);
        let writable = std::fs::create_dir_all(&folder);
        writable.and_then(|()| tempfile::tempfile_in(&folder).map(drop)).map_err(|error| {
            let (keep, folder) = (keep.as_str(), folder.display());
            Failure::usage(format!("--save-baseline {keep}: cannot write to {folder}: {error}"))
        })
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
        let compared = self.compare(with, &self.baseline(workload, measured));
        Some(compared.unwrap_or_else(|why| Compared {
            with: with.as_str().to_owned(),
            is_in_turn: false,
            judged: Err(why),
            exact: Vec::new(),
            warnings: Vec::new(),
        }))
    }

    fn compare(&self, with: &Name, now: &Baseline) -> Result<Compared, String> {
        let told = |error| match error {
            BaselineError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                let with = with.as_str();
                format!("{with} has no such workload: --save-baseline {with} adds it")
            }
            error => error.to_string(),
        };
        let saved = Baseline::load(&self.folder_of(with), &now.name).map_err(told)?;
        let warnings = saved.comparable(now).map_err(|error| error.to_string())?;
        let judged = self.gate.judge_apart(&saved.rounds, &now.rounds);
        let judged = Ok(judged.map_err(|error| error.to_string())?);
        let exact = saved.counters.compare(&now.counters);
        let with = with.as_str().to_owned();
        Ok(Compared { with, is_in_turn: false, judged, exact, warnings })
    }

    /// Keeps what was measured to its end, if that is wanted, and says what is not kept.
    pub(super) fn keep(&self, err: &mut Output<'_>, done: &[Done]) -> Result<(), Failure> {
        let Some(keep) = &self.keep else { return Ok(()) };
        let (folder, full) = (self.folder_of(keep), self.rounds_full);
        let mut failed = Vec::new();
        for Done { workload, measured, .. } in done {
            let rounds = rounds_whole(measured);
            if rounds < full {
                let what = format!("{workload}: {rounds} of {full} rounds");
                err.line(paint(NOTE, format_args!("not kept as a baseline: {what}")));
                continue;
            }
            let kept = self.baseline(workload, measured).save(&folder);
            failed.extend(kept.err().map(|error| error.to_string()));
        }
        match failed.is_empty() {
            true => Ok(()),
            false => Err(Failure::usage(failed.join("\n"))),
        }
    }

    /// What is kept of a workload: a file each.
    fn baseline(&self, workload: &Workload, measured: &Measured) -> Baseline {
        let text = serde_json::to_value(identity(workload)).expect("a workload is data");
        let pairs = text.as_object().into_iter().flatten();
        let plainly = |value: &serde_json::Value| match value.as_str() {
            Some(text) => text.to_owned(),
            None => value.to_string(),
        };
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let environment = self.machine.pairs().into_iter();
        Baseline {
            name: file_name(workload),
            saved_unix_s: since.map_or(0, |since| since.as_secs()),
            environment: environment.map(|(key, value)| (key.to_owned(), value)).collect(),
            workload: pairs.map(|(key, value)| (key.clone(), plainly(value))).collect(),
            rounds: measured.rounds.iter().map(Into::into).collect(),
            counters: counters(&measured.exact),
        }
    }
}

/// The rounds that a workload has if nothing ends it early, at least.
fn rounds_full(args: &BenchArgs) -> usize {
    match args.against {
        Some(_) => Plan::default().rounds_first,
        None => Size::of(args).rounds,
    }
}

/// Rounds that came to their end: Ctrl-C cuts the last one short.
fn rounds_whole(measured: &Measured) -> usize {
    let whole = measured.rounds.iter().map(|round| round.operations).max();
    measured.rounds.iter().filter(|round| Some(round.operations) == whole).count()
}

/// Lets the other program open an engine: one that is no build of this one is told before anything
/// is measured.
fn check_other(cx: &Context<'_>, args: &BenchArgs, workloads: &[Workload]) -> Result<(), Failure> {
    let (Some(other), Some(workload)) = (&args.against, workloads.first()) else { return Ok(()) };
    Worker::start(launch(cx, other, &args.dir), workload).map(drop).map_err(|failed| {
        let other = other.display();
        let what = format!("--against {other}: {failed}: name another build of this program");
        Failure::new(Exit::Inconclusive, what)
    })
}

/// A workload but for how many operations a round has, which is of the machine's speed.
fn identity(workload: &Workload) -> Workload {
    Workload { operations: Workload::default().operations, ..workload.clone() }
}

/// The file of a workload: its beginning is for people, its end is of all that the workload says.
fn file_name(workload: &Workload) -> Name {
    let text = format!("{}-{workload}", workload.engine.name());
    let word = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let slug: String = text.chars().map(word).collect();
    let mut slug = slug.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    slug.truncate(SLUG_LETTERS_MAX);
    let whole = serde_json::to_string(&identity(workload)).expect("a workload is data");
    let hash = blake3::hash(whole.as_bytes()).to_hex();
    Name::new(&format!("{slug}-{}", &hash[..HASH_LETTERS])).expect("it has a name's letters")
}

/// How a run ends that is to fail on regressions: none of them, if all could be looked for.
pub(super) fn exit_of(done: &[Done]) -> Exit {
    let is_open =
        |done: &Done| done.compared.as_ref().is_none_or(|compared| compared.gap().is_some());
    if done.iter().filter_map(|done| done.compared.as_ref()).any(Compared::is_regressed) {
        Exit::Violation
    } else if done.iter().any(is_open) {
        Exit::Inconclusive
    } else {
        Exit::Fine
    }
}

/// Tells what nobody should take for a pass.
pub(super) fn tell(cx: &mut Context<'_>, done: &[Done]) {
    for Done { workload, compared, .. } in done {
        if let Some(why) = compared.as_ref().and_then(Compared::gap) {
            cx.err.line(paint(NOTE, format_args!("not compared: {workload}: {why}")));
        }
    }
    let compared = done.iter().filter_map(|done| done.compared.as_ref());
    let unclear = compared.filter(|compared| compared.is_unclear()).count();
    if unclear > 0 {
        let count = done.len();
        cx.err.line(paint(
            NOTE,
            format_args!(
                "{unclear} of {count} workloads are unclear, which is no alarm and no pass: noise \
                 would hide a regression; measure on a quieter machine, or longer with --full"
            ),
        ));
    }
}

fn counters((operations, counts): &Exact) -> Counters {
    Counters { operations: *operations, counts: counts.clone() }
}

impl Compared {
    /// What rounds in turn came to, and figures without noise of both.
    pub(super) fn of(with: impl Display, judged: Report, exact: (&Exact, &Exact)) -> Self {
        let exact = counters(exact.0).compare(&counters(exact.1));
        let (with, warnings) = (with.to_string(), Vec::new());
        Self { with, is_in_turn: true, judged: Ok(judged), exact, warnings }
    }

    pub(super) fn is_regressed(&self) -> bool {
        let is_slower =
            self.judged.as_ref().is_ok_and(|report| report.verdict() == Verdict::Regressed);
        is_slower || counters::verdict(&self.exact) == Verdict::Regressed
    }

    /// Why something was not compared, if that is so, and what to do.
    pub(super) fn gap(&self) -> Option<String> {
        let report = match &self.judged {
            Ok(report) => report,
            Err(why) => return Some(why.clone()),
        };
        if report.metrics.iter().all(|judged| judged.ratio.is_none()) {
            let rounds = report.rounds;
            return Some(format!(
                "{rounds} rounds are too few, {ROUNDS_MIN} are needed at least: leave out \
                 --rounds, and save the baseline anew if it has fewer"
            ));
        }
        // A figure that is new hides no old one.
        let is_gap = |finding: &&Finding| {
            matches!(finding, Finding::OtherOperations { .. } | Finding::Missing { .. })
        };
        let finding = self.exact.iter().find(is_gap)?;
        Some(format!("figures without noise: {finding}"))
    }

    /// Whether noise, and nothing else, hides what it comes to.
    fn is_unclear(&self) -> bool {
        let is_noisy =
            self.judged.as_ref().is_ok_and(|report| report.verdict() == Verdict::Unclear);
        is_noisy && self.gap().is_none() && !self.is_regressed()
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use seedbed_hardware::allocations::Allocations;
    use seedbed_hardware::bench::Disk;
    use seedbed_hardware::{Ended, Engine};
    use seedbed_measure::{Latencies, Round, Summary};

    use super::*;

    #[test]
    fn each_workload_has_a_file_of_its_own() {
        let usual = Workload::default();
        let long = Workload {
            engine: Engine::Sink,
            push_rows: 10_000,
            checkpoint_ms: 3_600_000,
            connections: 64,
            rate: 1_000_000_000,
            ..usual.clone()
        };
        let all = [
            Workload { keys: 20_000, ..usual.clone() },
            Workload { participants: 2, ..usual.clone() },
            Workload { batch_rows: 10, ..usual.clone() },
            Workload { clients: 11, ..usual.clone() },
            Workload { window: 11, ..usual.clone() },
            Workload { participants: 2, ..long.clone() },
            long,
            usual.clone(),
        ];
        let names: std::collections::BTreeSet<_> =
            all.iter().map(|workload| file_name(workload).as_str().to_owned()).collect();
        assert_eq!(names.len(), all.len(), "{names:?}");
        assert!(names.iter().any(|name| name.starts_with("atomic_commit-group-1-x-1-1024-B-")));
        // How long a round is makes it no other workload.
        assert_eq!(file_name(&Workload { operations: 7, ..usual.clone() }), file_name(&usual));
    }

    #[test]
    fn what_was_cut_short_is_named_and_not_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let comparing = Comparing {
            gate: Gate::default(),
            with: None,
            keep: Some(Name::new("main").expect("a name")),
            rounds_full: 12,
            folder: folder.path().to_owned(),
            machine: Machine::here(folder.path()),
        };
        let done = |clients, rounds: &[u64]| {
            let round = |operations: &u64| seedbed_hardware::Round {
                operations: *operations,
                elapsed_ns: 1,
                latency: Summary::default(),
                seen: Summary::default(),
                late_max_ns: 0,
                disk: Disk::default(),
                allocations: Allocations::default(),
                pools_busy: None,
            };
            let rounds = rounds.iter().map(round).collect();
            let (ended, exact, latencies) = Default::default();
            let workload = Workload { clients, ..Workload::default() };
            Done {
                workload,
                measured: Measured { rounds, latencies, ended, exact },
                compared: None,
            }
        };
        let whole = done(1, &[5; 12]);
        let all = [done(2, &[&[5; 11][..], &[4]].concat()), done(3, &[5; 3]), whole];
        let mut told = Vec::new();
        comparing.keep(&mut Output::new(&mut told), &all).expect("kept");
        let told = String::from_utf8(told).expect("text");
        for words in ["group, 2 x 1, 1024 B: 11 of 12", "group, 3 x 1, 1024 B: 3 of 12"] {
            assert!(told.contains(words), "{told}");
        }
        let kept = std::fs::read_dir(folder.path().join("main")).expect("there").flatten();
        let kept: Vec<_> = kept.map(|file| file.path()).collect();
        assert_eq!(kept, [file_name(&all[2].workload).path_in(&folder.path().join("main"))]);
    }

    /// One that took so many nanoseconds for an operation before and after, over so many rounds.
    fn report(rounds: u64, before_ns: u64, after_ns: u64) -> Report {
        let rounds =
            |ns| (0..rounds).map(|nth| Round::timed(1000, ns * 1000 + nth)).collect::<Vec<_>>();
        Gate::default().judge_apart(&rounds(before_ns), &rounds(after_ns)).expect("can be judged")
    }

    fn compared(judged: Report, before: &[(&str, u64)], after: &[(&str, u64)]) -> Compared {
        let exact = |counts: &[(&str, u64)]| {
            let count = |(name, count): &(&str, u64)| ((*name).to_owned(), *count);
            (2000, counts.iter().map(count).collect::<BTreeMap<_, _>>())
        };
        Compared::of("main", judged, (&exact(before), &exact(after)))
    }

    fn exit(all: Vec<Option<Compared>>) -> Exit {
        let done = |compared| {
            let (ended, exact) = (Ended::default(), Exact::default());
            let (rounds, latencies) = (Vec::new(), Latencies::new());
            let measured = Measured { rounds, latencies, ended, exact };
            Done { workload: Workload::default(), measured, compared }
        };
        exit_of(&all.into_iter().map(done).collect::<Vec<_>>())
    }

    #[test]
    fn only_what_was_compared_passes() {
        let syncs = [("syncs", 5)];
        let fine = || Some(compared(report(12, 100, 100), &syncs, &syncs));
        let failed = || Compared { judged: Err("damaged".into()), ..fine().expect("there") };
        let missing = compared(report(12, 100, 100), &syncs, &[]);
        let new = compared(report(12, 100, 100), &[], &syncs);
        let short = compared(report(11, 100, 200), &syncs, &syncs);
        let mut other = compared(report(12, 100, 100), &syncs, &syncs);
        other.exact = vec![Finding::OtherOperations { before: 1, after: 2 }];
        let slower = || Some(compared(report(12, 100, 200), &syncs, &syncs));
        assert_eq!(exit(vec![fine(), fine()]), Exit::Fine);
        assert_eq!(exit(vec![Some(new)]), Exit::Fine, "all that was counted still is");
        for open in [Some(failed()), Some(missing), Some(short), Some(other), None] {
            assert_eq!(exit(vec![fine(), open]), Exit::Inconclusive);
        }
        assert_eq!(exit(vec![Some(failed()), slower()]), Exit::Violation, "that is known");
    }

    #[test]
    fn noise_is_no_alarm_and_is_counted() {
        let mut noisy = compared(report(12, 100, 100), &[], &[]);
        noisy.judged.as_mut().expect("judged").metrics[0].verdict = Verdict::Unclear;
        assert!(noisy.is_unclear() && noisy.gap().is_none());
        assert!(!compared(report(12, 100, 100), &[], &[]).is_unclear());
        assert!(!compared(report(11, 100, 100), &[], &[]).is_unclear(), "that was not compared");
        assert_eq!(exit(vec![Some(noisy)]), Exit::Fine);
    }
}
