//! `shrink`: the trace of a violation, made small.

use std::path::{Path, PathBuf};

use seedbed::traces::{Trace, Verdict, escape};
use seedbed::{ShrinkError, ShrinkLimits, Shrunk, shrink as shrink_trace};

use crate::args::ShrinkArgs;
use crate::commands::Context;
use crate::commands::replay::scenario_of;
use crate::exit::{Exit, Failure};
use crate::finding::{ending, quote};
use crate::output::{GOOD, HEAD, NOTE, paint};
use crate::progress::spinner;

/// Shrinks a trace.
pub(crate) fn shrink(cx: &mut Context<'_>, args: &ShrinkArgs) -> Result<Exit, Failure> {
    let trace = Trace::read(&args.file)?;
    let scenario = scenario_of(cx.scenarios, &args.file, &trace)?;
    let limits = ShrinkLimits { runs_max: args.runs, stop: cx.stop };
    let spinner = spinner(cx.show, "shrinking");
    let shrunk = shrink_trace(scenario, &trace, &limits);
    spinner.finish_and_clear();
    let shrunk = shrunk.map_err(|error| failure(&trace, error))?;
    let path = args.output.clone().unwrap_or_else(|| small_name(&args.file));
    print(cx, &shrunk);
    shrunk.trace.write(&path)?;
    let shown = path.display();
    cx.out.line(format_args!("{} {shown}", paint(GOOD, "written:")));
    let quoted = quote(&path.to_string_lossy());
    cx.out.line(format_args!("{} {} show {quoted}", paint(HEAD, "show:   "), cx.program));
    cx.out.line(format_args!("{} {} replay {quoted}", paint(HEAD, "replay: "), cx.program));
    if cx.is_stopped() {
        cx.err.line(paint(NOTE, "interrupted: this is the best so far"));
        return Ok(Exit::Inconclusive);
    }
    if !shrunk.finished {
        let what = "the limit of runs is spent; --runs N allows more";
        cx.err.line(format_args!("{} {what}", paint(NOTE, "not finished:")));
    }
    Ok(Exit::Fine)
}

/// A trace that never broke a law selects nothing; one that does not any more has diverged.
fn failure(trace: &Trace, error: ShrinkError) -> Failure {
    let exit = match (&error, &trace.end.verdict) {
        (ShrinkError::Plan(_), _) => Exit::Usage,
        (_, Verdict::Violation { .. }) => Exit::Diverged,
        _ => Exit::NothingSelected,
    };
    Failure::new(exit, escape(&error.to_string()))
}

/// `x.trace` becomes `x.shrunk.trace`.
fn small_name(file: &Path) -> PathBuf {
    let stem = file.with_extension("");
    let mut name = stem.file_name().unwrap_or_default().to_owned();
    name.push(".shrunk.trace");
    file.with_file_name(name)
}

fn print(cx: &mut Context<'_>, shrunk: &Shrunk) {
    let Shrunk { trace, runs, before, after, .. } = shrunk;
    cx.out.line(format_args!("operations  {} -> {}", before.0, after.0));
    cx.out.line(format_args!("decisions   {} -> {} (others are 0)", before.1, after.1));
    let faults = trace.events.iter().filter(|event| event.cause.is_some()).count();
    cx.out.line(format_args!("faults      {faults} (injected into events)"));
    cx.out.line(format_args!("runs        {runs}\n"));
    ending(cx, trace);
}
