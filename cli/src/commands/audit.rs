//! `audit`: which syncs are needed, and on which file systems.
//!
//! Each sync of the engine is left out, and each `sync_all` weakened to a `sync_data`, one at a
//! time; then the workloads are explored under each profile. What breaks a law was needed there.

use std::sync::atomic::Ordering;
use std::time::Duration;

use seedbed::Scenario;
use seedbed::explore::{Exploration, ExploreProgress, Explored, MissingBarrier, explore};
use seedbed::faults::{OpKind, Profile, Rule};
use seedbed::traces::escape;
use serde::Serialize;

use crate::args::AuditArgs;
use crate::commands::Context;
use crate::commands::explore::{bound, bounded};
use crate::exit::{Exit, Failure};
use crate::lookup;
use crate::output::{BAD, GOOD, HEAD, NOTE, paint};
use crate::progress::follow;
use crate::sites::{SyncSite, discover};
use crate::tables::{duration, print, table};

/// Lengths of sequences when nobody says how long: most sites need no more to matter.
const LENGTH: u32 = 1;

/// What is done to a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    LeftOut,
    Weakened,
}

/// One change of one sync under all profiles.
#[derive(Serialize)]
struct AuditRow {
    site: String,
    op: String,
    change: Change,
    /// Whether the sync was called at all.
    called: bool,
    cells: Vec<Cell>,
    /// The most realistic profile that exposes the change.
    severity: Option<&'static str>,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// Somewhere a law breaks without it.
    Needed,
    /// Within the bound nothing breaks.
    NotNeeded,
    /// It was not called, or not every image was looked at, under some profile.
    Untested,
}

/// One change under one profile.
#[derive(Serialize)]
struct Cell {
    profile: &'static str,
    needed: bool,
    law: Option<String>,
    ordering: Option<String>,
    missing: Option<MissingBarrier>,
    /// Persist nodes in the smallest counterexample.
    nodes: usize,
    images: u64,
    exhaustive: bool,
    called: bool,
}

#[derive(Serialize)]
struct AuditJson<'a> {
    scenario: &'a str,
    profiles: Vec<&'static str>,
    rows: &'a [AuditRow],
    bound: String,
    wall_ms: u64,
    interrupted: bool,
    exit_code: u8,
}

/// Audits one scenario. Finding out is success; what cannot be found out is inconclusive.
pub(crate) fn audit(cx: &mut Context<'_>, args: &AuditArgs) -> Result<Exit, Failure> {
    let scenario = lookup::scenario(cx.scenarios, &args.scenario)?;
    if let Some(plant) = &args.plant {
        lookup::plant(scenario, plant)?;
    }
    let what =
        Exploration { plant: args.plant.clone(), ..bounded(scenario, &args.bounds, LENGTH)? };
    let changes = changes(discover(scenario));
    if changes.is_empty() {
        let message = format!("{} makes no syncs: there is nothing to audit", scenario.name());
        return Err(Failure::new(Exit::NothingSelected, message));
    }
    let (mut rows, mut wall) = (Vec::new(), Duration::ZERO);
    for (number, (site, change)) in changes.iter().enumerate() {
        let label = format!("{} of {}: {}", number + 1, changes.len(), site.site);
        let (row, took) = audit_one(cx, scenario, &what, (site, *change), &label, args);
        rows.push(row);
        wall += took;
        if cx.is_stopped() {
            break;
        }
    }
    let untested = rows.iter().any(|row| row.verdict == Verdict::Untested);
    let exit = if cx.is_stopped() || untested { Exit::Inconclusive } else { Exit::Fine };
    if args.bounds.json {
        cx.out.json(&AuditJson {
            scenario: scenario.name(),
            profiles: what.profiles.iter().map(|profile| profile.name).collect(),
            rows: &rows,
            bound: bound(&what),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
            interrupted: cx.is_stopped(),
            exit_code: exit.code(),
        });
    } else {
        tell(cx, &rows, &what, wall);
    }
    Ok(exit)
}

fn changes(sites: Vec<SyncSite>) -> Vec<(SyncSite, Change)> {
    let mut changes = Vec::new();
    for site in sites {
        let weaker = site.op == OpKind::SyncAll.name();
        changes.push((site.clone(), Change::LeftOut));
        if weaker {
            changes.push((site, Change::Weakened));
        }
    }
    changes
}

fn audit_one(
    cx: &mut Context<'_>,
    scenario: &dyn Scenario,
    what: &Exploration,
    (site, change): (&SyncSite, Change),
    label: &str,
    args: &AuditArgs,
) -> (AuditRow, Duration) {
    let rule = match change {
        Change::LeftOut => Rule::omit_sync(&site.site),
        Change::Weakened => Rule::weaken_sync(&site.site),
    };
    let (mut cells, mut wall) = (Vec::new(), Duration::ZERO);
    for &profile in &what.profiles {
        let what = Exploration {
            profiles: vec![profile],
            rules: vec![rule.clone()],
            violations_max: 1,
            ..what.clone()
        };
        let progress = ExploreProgress::default();
        let look = |_| {
            let get = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
            let (cases, total) = (get(&progress.cases), get(&progress.cases_total));
            (cases, total.max(1), format!("{label}, {profile}: {cases}/{total} cases"))
        };
        let show = cx.show(args.bounds.quiet);
        let work = || explore(scenario, &what, &progress).unwrap_or_default();
        let (explored, took) = follow(show, &mut cx.err, (cx.stop, &progress.stop), look, work);
        wall += took;
        cells.push(cell(profile, &explored));
        if cx.is_stopped() {
            break;
        }
    }
    let exposing = |profile: &Profile| {
        cells.iter().any(|cell: &Cell| cell.needed && cell.profile == profile.name)
    };
    let severity = Profile::ALL.iter().find(|profile| exposing(profile));
    let called = cells.iter().any(|cell| cell.called);
    let verdict = verdict(&cells, what.profiles.len());
    let severity = severity.map(|profile| profile.name);
    let (site, op) = (site.site.clone(), site.op.clone());
    (AuditRow { site, op, change, called, cells, severity, verdict }, wall)
}

/// The verdict on a change that is to be explored under so many profiles.
fn verdict(cells: &[Cell], profiles: usize) -> Verdict {
    if cells.iter().any(|cell| cell.needed) {
        Verdict::Needed
    } else if cells.len() == profiles && cells.iter().all(|cell| cell.exhaustive && cell.called) {
        Verdict::NotNeeded
    } else {
        Verdict::Untested
    }
}

fn cell(profile: Profile, explored: &Explored) -> Cell {
    let finding = explored.found.first();
    Cell {
        profile: profile.name,
        needed: finding.is_some(),
        law: finding.map(|finding| finding.violation.law.clone()),
        ordering: finding.and_then(|finding| finding.ordering()),
        missing: finding.and_then(|finding| finding.missing.clone()),
        nodes: finding.map_or(0, |finding| finding.nodes()),
        images: explored.tally.found,
        exhaustive: explored.is_exhaustive(),
        called: explored.tally.omitted > 0,
    }
}

fn tell(cx: &mut Context<'_>, rows: &[AuditRow], what: &Exploration, wall: Duration) {
    let mut header = vec!["sync", "call", "change"];
    header.extend(what.profiles.iter().map(|profile| profile.name));
    header.push("verdict");
    let mut shown = table(&header);
    for row in rows {
        let change = match row.change {
            Change::LeftOut => "left out",
            Change::Weakened => "only data",
        };
        let mut cells = vec![short(&row.site).to_owned(), row.op.clone(), change.to_owned()];
        let mark = |cell: &Cell| match (cell.needed, cell.exhaustive && cell.called) {
            (true, _) => "needed",
            (false, true) => "-",
            (false, false) => "?",
        };
        cells.extend(row.cells.iter().map(|cell| mark(cell).to_owned()));
        cells.resize(header.len() - 1, String::new());
        cells.push(match (row.verdict, row.severity) {
            (Verdict::Needed, Some(profile)) => format!("needed from {profile} on"),
            (Verdict::Needed, None) => "needed".to_owned(),
            (Verdict::NotNeeded, _) => "not needed".to_owned(),
            (Verdict::Untested, _) if row.cells.len() < what.profiles.len() => {
                "untested: interrupted".to_owned()
            }
            (Verdict::Untested, _) if !row.called => "untested: not called".to_owned(),
            (Verdict::Untested, _) if row.cells.iter().any(|cell| !cell.called) => {
                "untested: not called under every profile".to_owned()
            }
            (Verdict::Untested, _) => "untested: not all images".to_owned(),
        });
        shown.add_row(cells);
    }
    print(&mut cx.out, &shown);
    for row in rows {
        let Some(cell) = row.cells.iter().find(|cell| Some(cell.profile) == row.severity) else {
            continue;
        };
        let (law, order) = (cell.law.as_deref(), cell.ordering.as_deref());
        let law = paint(BAD, escape(law.unwrap_or_default()));
        cx.out.line(format_args!("{} {law}", paint(HEAD, short(&row.site))));
        if let Some(order) = order {
            cx.out.line(format_args!("  {}", escape(order)));
        }
        if let Some(missing) = &cell.missing {
            cx.out.line(format_args!("  missing: {}", escape(&missing.to_string())));
        }
    }
    let needed = rows.iter().filter(|row| row.verdict == Verdict::Needed).count();
    let verdict = format!("{needed} of {} changes break a law", rows.len());
    let exhausted = rows.iter().all(|row| row.verdict != Verdict::Untested);
    let verdict = if exhausted { paint(GOOD, verdict) } else { paint(NOTE, verdict) };
    cx.out.line(format_args!("{verdict}, in {}. `-`: {}", duration(wall), bound(what)));
}

/// A site without the folders that all share.
fn short(site: &str) -> &str {
    site.rsplit('/').next().unwrap_or(site)
}

#[cfg(test)]
mod tests {
    use super::{Cell, Verdict, verdict};

    fn cell(needed: bool, exhaustive: bool, called: bool) -> Cell {
        let (law, ordering, missing) = (None, None, None);
        let (profile, nodes, images) = ("ext4", 0, 1);
        Cell { profile, needed, law, ordering, missing, nodes, images, exhaustive, called }
    }

    #[test]
    fn not_needed_takes_every_profile_with_every_image_and_the_sync_called() {
        let silent = || cell(false, true, true);
        assert_eq!(verdict(&[silent(), silent()], 2), Verdict::NotNeeded);
        assert_eq!(verdict(&[silent()], 2), Verdict::Untested, "one profile was not reached");
        assert_eq!(verdict(&[silent(), cell(false, false, true)], 2), Verdict::Untested);
        assert_eq!(verdict(&[silent(), cell(false, true, false)], 2), Verdict::Untested);
        assert_eq!(verdict(&[cell(true, false, true), silent()], 2), Verdict::Needed);
    }
}
