//! Running an exploration: in one go, or in pieces with the state written after each.

use std::sync::atomic::Ordering;
use std::time::Duration;

use seedbed::Scenario;
use seedbed::explore::{Exploration, ExploreProgress, Explored, Finding, Tally, explore as go};

use super::state::Saved;
use crate::args::ExploreArgs;
use crate::commands::Context;
use crate::exit::Failure;
use crate::progress::{follow, per_second};
use crate::tables::grouped;

/// With a state file: cases between two writes of it.
const CASES_PER_STATE: u64 = 400;

/// Explores to the end, or in pieces with the state written after each.
pub(super) fn run(
    cx: &mut Context<'_>,
    scenario: &dyn Scenario,
    what: &Exploration,
    saved: &mut Saved,
    args: &ExploreArgs,
) -> Result<(Explored, Duration), Failure> {
    let before = std::mem::take(&mut saved.broken);
    let (mut all, mut wall) = (Explored::default(), Duration::ZERO);
    loop {
        let piece = Exploration {
            first_case: saved.done,
            cases_max: if args.state.is_some() { CASES_PER_STATE } else { u64::MAX },
            ..what.clone()
        };
        let tally = saved.tally;
        let (explored, took) = explore_piece(cx, scenario, &piece, &tally, args.bounds.quiet);
        wall += took;
        saved.done = explored.done;
        saved.tally.add(&explored.tally);
        let broken = what.violations_max > 0 && !explored.found.is_empty();
        let over = explored.done >= explored.cases || explored.interrupted || broken;
        saved.inconclusive.extend(explored.inconclusive);
        all.found.extend(explored.found);
        (all.cases, all.done, all.interrupted) =
            (explored.cases, explored.done, explored.interrupted);
        if let Some(path) = &args.state {
            let law = |found: &Finding| (found.number, found.violation.law.clone());
            saved.broken = before.iter().cloned().chain(all.found.iter().map(law)).collect();
            saved.store(path)?;
        }
        if over {
            all.inconclusive.clone_from(&saved.inconclusive);
            saved.broken = before;
            return Ok((all, wall));
        }
    }
}

fn explore_piece(
    cx: &mut Context<'_>,
    scenario: &dyn Scenario,
    what: &Exploration,
    before: &Tally,
    quiet: bool,
) -> (Explored, Duration) {
    let progress = ExploreProgress::default();
    let look = |elapsed: Duration| {
        let get = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let (cases, total) = (what.first_case + get(&progress.cases), get(&progress.cases_total));
        let (found, checked) = (get(&progress.found), get(&progress.checked));
        let line = format!(
            "{}: {cases}/{total} cases, {} images ({}/s), {} recovered, {} violations",
            scenario.name(),
            grouped(before.found + found),
            grouped(per_second(found, elapsed)),
            grouped(before.checked + checked),
            get(&progress.violations),
        );
        (cases, total.max(1), line)
    };
    let show = cx.show(quiet);
    let work = || go(scenario, what, &progress).unwrap_or_default();
    follow(show, &mut cx.err, (cx.stop, &progress.stop), look, work)
}
