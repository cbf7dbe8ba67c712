//! `litmus`: what the running kernel leaves of small workloads after a power loss, beside what was
//! recorded.

use std::collections::BTreeMap;
use std::io;

use seedbed_litmus::{
    Crash, Crashes, ErrorCells, ErrorRow, Job, Observed, Recorded, Recovered, Row, Setup,
    StepResult, Verdict, check_error_row, error_rows, kernel, outcome, random_workload, rows,
    run_all, steps_text, verdict,
};
use serde::Serialize;

use crate::args::LitmusArgs;
use crate::clock::Watch;
use crate::commands::Context;
use crate::commands::conform::Conformance;
use crate::exit::{Exit, Failure};
use crate::lookup;
use crate::output::{BAD, DIM, GOOD, HEAD, NOTE, paint};
use crate::progress::per_second;
use crate::tables::{duration, grouped};

/// Threads per core: mounting and unmounting is mostly waiting.
const THREADS_PER_CORE: usize = 3;

/// A row of the table on one setup.
#[derive(Serialize)]
struct RowJson {
    id: String,
    about: String,
    steps: String,
    setup: &'static str,
    outcome: Recovered,
    verdict: Verdict,
}

/// A row about failing writes on one setup.
#[derive(Serialize)]
struct ErrorRowJson {
    id: String,
    about: String,
    setup: &'static str,
    cells: ErrorCells,
    verdict: Verdict,
}

/// A random workload on one setup.
#[derive(Serialize)]
struct RandomJson {
    seed: u64,
    steps: String,
    setup: &'static str,
    results: Vec<StepResult>,
    crashes: Vec<Crash>,
}

/// Something that could not be run.
#[derive(Serialize)]
struct Skipped {
    setup: &'static str,
    reason: String,
}

#[derive(Serialize)]
struct LitmusJson {
    kernel: String,
    recorded_kernel: String,
    rows: Vec<RowJson>,
    error_rows: Vec<ErrorRowJson>,
    random: Vec<RandomJson>,
    skipped: Vec<Skipped>,
    conformance: Conformance,
    /// Outcomes that are none of those recorded.
    different: usize,
    interrupted: bool,
    exit_code: u8,
}

/// What is to be run.
struct Selection {
    setups: Vec<&'static Setup>,
    rows: Vec<Row>,
    error_rows: Vec<ErrorRow>,
    threads: usize,
}

/// Runs the table, or random workloads.
pub(crate) fn litmus(cx: &mut Context<'_>, args: &LitmusArgs) -> Result<Exit, Failure> {
    let mut selection = select(args)?;
    let recorded = Recorded::shipped();
    let mut report = LitmusJson {
        kernel: kernel(),
        recorded_kernel: recorded.kernel.clone(),
        rows: Vec::new(),
        error_rows: Vec::new(),
        random: Vec::new(),
        skipped: Vec::new(),
        conformance: Conformance::default(),
        different: 0,
        interrupted: false,
        exit_code: 0,
    };
    selection.setups.retain(|setup| match setup.available() {
        Ok(()) => true,
        Err(why) => {
            report.skipped.push(Skipped { setup: setup.name, reason: why.to_string() });
            false
        }
    });
    let watch = Watch::start();
    match args.random {
        Some(count) => run_random(cx, &selection, args.seed, count, &mut report),
        None => run_table(cx, &selection, &recorded, &mut report),
    }
    report.conformance.shrink(cx);
    report.different = report.rows.iter().filter(|row| row.verdict == Verdict::Different).count()
        + report.error_rows.iter().filter(|row| row.verdict == Verdict::Different).count();
    report.interrupted = cx.is_stopped();
    let exit = match () {
        () if report.different > 0 || report.conformance.has_escapes() => Exit::Violation,
        () if report.interrupted || !report.skipped.is_empty() => Exit::Inconclusive,
        () => Exit::Fine,
    };
    report.exit_code = exit.code();
    if args.json {
        cx.out.json(&report);
    } else {
        print(cx, &report, &recorded);
        let runs = report.rows.len() + report.error_rows.len() + report.random.len();
        let wall = watch.elapsed();
        let rate = per_second(runs as u64, wall);
        cx.out.line(format_args!("{} runs in {}, {rate}/s", grouped(runs as u64), duration(wall)));
        report.conformance.print(cx);
        close(cx, &report);
    }
    Ok(exit)
}

/// Finds what was asked for.
fn select(args: &LitmusArgs) -> Result<Selection, Failure> {
    let known: Vec<_> = Setup::ALL.iter().map(|setup| setup.name).collect();
    let named = |name: &String| {
        Setup::named(name).ok_or_else(|| lookup::unknown("file system", name, &known))
    };
    let setups = match (args.fs.is_empty(), args.random) {
        (true, Some(_)) => {
            Setup::ALL.iter().filter(|setup| setup.name == setup.kind.name()).collect()
        }
        (true, None) => Setup::ALL.iter().collect(),
        (false, _) => args.fs.iter().map(named).collect::<Result<_, _>>()?,
    };
    let is_wanted = |id: &str| args.row.as_ref().is_none_or(|wanted| wanted == id);
    let (mut table, mut errors) = (rows(), error_rows());
    let known: Vec<_> =
        table.iter().map(|row| &row.id).chain(errors.iter().map(|row| &row.id)).cloned().collect();
    if let Some(row) = args.row.as_ref().filter(|row| !known.contains(row)) {
        let known: Vec<_> = known.iter().map(String::as_str).collect();
        return Err(lookup::unknown("row", row, &known));
    }
    table.retain(|row| is_wanted(&row.id));
    errors.retain(|row| is_wanted(&row.id));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.jobs.map_or(THREADS_PER_CORE * cores, usize::from);
    Ok(Selection { setups, rows: table, error_rows: errors, threads })
}

/// Runs jobs; those that could not be run are noted.
fn run_jobs(
    cx: &Context<'_>,
    threads: usize,
    jobs: &[Job],
    skipped: &mut Vec<Skipped>,
    mut each: impl FnMut(usize, Observed) -> io::Result<()>,
) {
    run_all(jobs, threads, cx.stop, |number, observed| {
        if let Err(error) = observed.and_then(|observed| each(number, observed)) {
            let setup = jobs[number].setup.name;
            let reason = format!("{error}, running: {}", steps_text(&jobs[number].workload.steps));
            skipped.push(Skipped { setup, reason });
        }
    });
}

fn run_table(
    cx: &Context<'_>,
    selection: &Selection,
    recorded: &Recorded,
    report: &mut LitmusJson,
) {
    let setups: Vec<_> =
        Setup::with_power_losses().filter(|setup| selection.setups.contains(setup)).collect();
    let pairs: Vec<_> = selection
        .rows
        .iter()
        .flat_map(|row| setups.iter().map(move |setup| (row, *setup)))
        .collect();
    let job = |(row, setup): &(&Row, &'static Setup)| Job {
        setup,
        workload: row.workload.clone(),
        crashes: Crashes::Marked,
    };
    let jobs: Vec<_> = pairs.iter().map(job).collect();
    run_jobs(cx, selection.threads, &jobs, &mut report.skipped, |number, observed| {
        let (row, setup) = pairs[number];
        report.conformance.check(&row.id, setup, &row.workload, &observed)?;
        let outcome = outcome(row, observed)?;
        report.rows.push(RowJson {
            id: row.id.clone(),
            about: row.about.clone(),
            steps: row.workload.to_string(),
            setup: setup.name,
            verdict: verdict(recorded, row, setup, &outcome),
            outcome,
        });
        Ok(())
    });
    let place = |name: &str| Setup::ALL.iter().position(|setup| setup.name == name);
    report.rows.sort_by_key(|row| (row.id.clone(), place(row.setup)));
    for row in &selection.error_rows {
        let setups = Setup::with_refused_writes();
        for setup in setups.filter(|setup| selection.setups.contains(setup)) {
            if cx.is_stopped() {
                return;
            }
            match check_error_row(recorded, row, setup) {
                Ok((cells, verdict)) => report.error_rows.push(ErrorRowJson {
                    id: row.id.clone(),
                    about: row.about.clone(),
                    setup: setup.name,
                    cells,
                    verdict,
                }),
                Err(error) => {
                    let reason = format!("{error}, running row {}", row.id);
                    report.skipped.push(Skipped { setup: setup.name, reason });
                }
            }
        }
    }
}

fn run_random(
    cx: &Context<'_>,
    selection: &Selection,
    first: u64,
    count: u64,
    report: &mut LitmusJson,
) {
    let seeds = || (0..count).map(|number| first.wrapping_add(number));
    for setup in &selection.setups {
        let job =
            |seed| Job { setup, workload: random_workload(seed), crashes: Crashes::EveryStep };
        let jobs: Vec<_> = seeds().map(job).collect();
        run_jobs(cx, selection.threads, &jobs, &mut report.skipped, |number, observed| {
            let seed = first.wrapping_add(number as u64);
            let name = format!("seed {seed}");
            report.conformance.check(&name, setup, &jobs[number].workload, &observed)?;
            let Observed { results, crashes } = observed;
            let steps = jobs[number].workload.to_string();
            report.random.push(RandomJson { seed, steps, setup: setup.name, results, crashes });
            Ok(())
        });
    }
    report.random.sort_by_key(|run| (run.setup, run.seed));
}

fn print(cx: &mut Context<'_>, report: &LitmusJson, recorded: &Recorded) {
    for rows in report.rows.chunk_by(|left, right| left.id == right.id) {
        print_row(cx, rows, recorded);
    }
    for rows in report.error_rows.chunk_by(|left, right| left.id == right.id) {
        cx.out.line(format_args!("{}  {}", paint(HEAD, &rows[0].id), rows[0].about));
        for row in rows {
            print_cells(cx, row);
        }
    }
    for runs in report.random.chunk_by(|left, right| left.setup == right.setup) {
        let crashes: usize = runs.iter().map(|run| run.crashes.len()).sum();
        let failed = runs.iter().flat_map(|run| &run.results).filter(|step| step.is_err()).count();
        let states = runs.iter().map(|run| {
            let states = run.crashes.iter().map(|crash| &crash.recovered);
            states.collect::<std::collections::BTreeSet<_>>().len()
        });
        cx.out.line(format_args!(
            "{}  {} random workloads, {} crashes, {} states, {failed} failed steps",
            paint(HEAD, runs[0].setup),
            grouped(runs.len() as u64),
            grouped(crashes as u64),
            grouped(states.sum::<usize>() as u64),
        ));
    }
}

/// One row: each outcome with the setups that have it.
fn print_row(cx: &mut Context<'_>, rows: &[RowJson], recorded: &Recorded) {
    cx.out.line(format_args!("{}  {}", paint(HEAD, &rows[0].id), rows[0].about));
    cx.out.line(format_args!("    {}", paint(DIM, &rows[0].steps)));
    let mut setups: BTreeMap<&Recovered, Vec<&str>> = BTreeMap::new();
    for row in rows {
        setups.entry(&row.outcome).or_default().push(row.setup);
    }
    for (outcome, setups) in setups {
        cx.out.line(format_args!("    {outcome}  {}", paint(DIM, setups.join(", "))));
    }
    for row in rows.iter().filter(|row| row.verdict == Verdict::Different) {
        let setup = row.setup;
        cx.out.line(format_args!("    {} on {setup}, recorded are:", paint(BAD, "different")));
        for outcome in recorded.outcomes(&row.id, row.setup) {
            cx.out.line(format_args!("        {outcome}"));
        }
    }
}

fn print_cells(cx: &mut Context<'_>, row: &ErrorRowJson) {
    let ErrorCells { write, fsync_1, fsync_2, opened_before, opened_after, .. } = &row.cells;
    let ErrorCells { cached, dropped, healed_fsync, healed_write, remounted, .. } = &row.cells;
    cx.out.line(format_args!(
        "    {}  write {write}, fsync {fsync_1}, again {fsync_2}, opened before {opened_before}, \
         opened after {opened_after}",
        row.setup
    ));
    cx.out.line(format_args!("        cached {cached}, dropped {dropped}"));
    cx.out.line(format_args!(
        "        healed: fsync {healed_fsync}, write {healed_write}, remounted {remounted}"
    ));
    if row.verdict == Verdict::Different {
        let command = format!("{} litmus --row {} --json", cx.program, row.id);
        let hint = "this is not what was recorded";
        cx.out.line(format_args!("        {}: {hint}; see {command}", paint(BAD, "different")));
    }
}

fn close(cx: &mut Context<'_>, report: &LitmusJson) {
    let LitmusJson { kernel, recorded_kernel, skipped, different, .. } = report;
    for Skipped { setup, reason } in skipped {
        cx.err.line(format_args!("{} {setup}: {reason}", paint(NOTE, "skipped:")));
    }
    if *different > 0 {
        let what = "outcomes on this kernel that were not recorded";
        cx.out.line(format_args!("{} {different} {what}", paint(BAD, "different:")));
        cx.out.line(format_args!("this is Linux {kernel}, the record is of {recorded_kernel}"));
    } else if report.rows.len() + report.error_rows.len() > 0 {
        let good = paint(GOOD, "as recorded");
        cx.out.line(format_args!("{good} (Linux {kernel}; the record is of {recorded_kernel})"));
    }
}
