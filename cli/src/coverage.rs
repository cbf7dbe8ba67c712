//! What a sweep came to besides its laws: probes that were reached or never, and what its checkers
//! have cost.

use std::collections::BTreeMap;

use comfy_table::Table;
use seedbed::{Scenario, Swept};
use serde::Serialize;

use crate::output::{BAD, NOTE, Output, paint};
use crate::tables::{grouped, numbers, print, table};

/// How often each probe was reached: the scenario's own, and those of the world.
pub(crate) fn probes(scenario: &dyn Scenario, swept: &Swept) -> BTreeMap<&'static str, u64> {
    let own = scenario.probes().into_iter().map(|name| (name, 0));
    let mut probes: BTreeMap<_, _> = own.collect();
    probes.extend(&swept.probes);
    probes
}

/// Probes that were never reached.
pub(crate) fn never(scenario: &dyn Scenario, swept: &Swept) -> Vec<&'static str> {
    let probes = probes(scenario, swept).into_iter();
    probes.filter(|(_, count)| *count == 0).map(|(name, _)| name).collect()
}

/// Says how many probes were reached, and which never; nothing of a scenario without any. Where all
/// are required, those never reached are an error.
pub(crate) fn tell_probes<'o>(
    (out, err): (&mut Output<'o>, &mut Output<'o>),
    scenario: &dyn Scenario,
    swept: &Swept,
    (required, quiet): (bool, bool),
) {
    let (all, never) = (probes(scenario, swept).len(), never(scenario, swept));
    if all == 0 {
        return;
    }
    let (name, seeds) = (scenario.name(), grouped(swept.seeds));
    let reached = all - never.len();
    let line = format!("{name}: {reached} of {all} probes reached in {seeds} seeds");
    let told = if required && !never.is_empty() { err } else { out };
    match (never.is_empty(), required) {
        (false, true) => {
            let what = "and --require-probes asks for all";
            told.line(format_args!("{} {line}, {what}; never:", paint(BAD, "error:")));
        }
        _ if quiet => return,
        (true, _) => return told.line(line),
        (false, false) => told.line(paint(NOTE, format_args!("{line}; never:"))),
    }
    never.iter().for_each(|name| told.line(format_args!("  {name}")));
    told.line("  what they stand for was not tested: more --seeds, or another plan by --faults");
}

/// What a checker has cost.
#[derive(Serialize)]
pub(crate) struct CheckerJson {
    name: &'static str,
    events: u64,
    ns: u64,
    /// Of the CPU time of the sweep, from 0 to 1.
    share: f64,
}

/// What checkers have cost, by name.
pub(crate) fn checkers(swept: &Swept) -> Vec<CheckerJson> {
    let share = |ns: u64| ns as f64 / swept.cpu.ns.max(1) as f64;
    let costs = swept.checkers.iter().map(|(name, cost)| CheckerJson {
        name,
        events: cost.events,
        ns: cost.ns,
        share: share(cost.ns),
    });
    costs.collect()
}

/// The costs as a table, the dearest first; nothing of a sweep without checkers.
pub(crate) fn tell_checkers(out: &mut Output<'_>, scenario: &dyn Scenario, swept: &Swept) {
    let mut costs = checkers(swept);
    costs.sort_by_key(|cost| std::cmp::Reverse(cost.ns));
    if costs.is_empty() {
        return;
    }
    let title = format!("checkers of {}", scenario.name());
    let mut rows = table(&[&title, "events", "ns/event", "% of CPU time"]);
    let row = |rows: &mut Table, name: &str, events: u64, ns: u64, share: f64| {
        let each = if events == 0 { 0.0 } else { ns as f64 / events as f64 };
        let cells = [grouped(events), format!("{each:.1}"), format!("{:.2}", 100.0 * share)];
        let [events, each, share] = cells;
        rows.add_row([name.to_owned(), events, each, share]);
    };
    for CheckerJson { name, events, ns, share } in &costs {
        row(&mut rows, name, *events, *ns, *share);
    }
    if costs.len() > 1 {
        // Each is given the same events.
        let events = costs.iter().map(|cost| cost.events).max().unwrap_or(0);
        let (ns, share) =
            costs.iter().fold((0, 0.0), |(ns, share), cost| (ns + cost.ns, share + cost.share));
        row(&mut rows, "all", events, ns, share);
    }
    numbers(&mut rows, &[0]);
    print(out, &rows);
}
