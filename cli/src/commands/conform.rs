//! What `litmus` says about conformance: whether the simulated disk is more forgiving than the
//! kernel that was just asked, and how much it allows.

use std::collections::BTreeMap;
use std::io;

use seedbed_litmus::{
    Escape, Observed, Runner, Setup, Tally, Workload, hold, shrink_escape, steps_text,
};
use serde::Serialize;

use crate::commands::Context;
use crate::output::{BAD, DIM, GOOD, HEAD, NOTE, paint};
use crate::tables::grouped;

/// Escapes that are shrunk; each takes some runs.
const SHRUNK_MAX: usize = 4;

/// All runs held against their profiles.
#[derive(Default, Serialize)]
pub(crate) struct Conformance {
    #[serde(serialize_with = "as_counts")]
    tallies: BTreeMap<&'static str, Tally>,
    escapes: Vec<Escaped>,
}

/// A run that showed what its profile does not allow.
#[derive(Serialize)]
struct Escaped {
    /// A row, or a seed.
    name: String,
    setup: &'static str,
    profile: &'static str,
    steps: String,
    first: Escape,
    /// The smallest workload that was found to escape as well.
    shrunk: Option<String>,
    #[serde(skip)]
    workload: Workload,
}

/// The counts of one setup.
#[derive(Serialize)]
struct Counts {
    setup: &'static str,
    workloads: u64,
    crashes: u64,
    states: u64,
    escapes: u64,
    /// Legal images at the last crash of a workload.
    legal_median: u64,
    /// Of a thousand legal images, how many were seen.
    legal_seen_per_mille: u64,
    /// Workloads of which all legal images were counted.
    fully_counted: u64,
}

fn counts(setup: &'static str, tally: &Tally) -> Counts {
    Counts {
        setup,
        workloads: tally.workloads,
        crashes: tally.crashes,
        states: tally.states,
        escapes: tally.escapes,
        legal_median: tally.legal_median(),
        legal_seen_per_mille: tally.seen_per_mille(),
        fully_counted: tally.fully_counted(),
    }
}

fn as_counts<S: serde::Serializer>(
    tallies: &BTreeMap<&'static str, Tally>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(tallies.iter().map(|(setup, tally)| counts(setup, tally)))
}

impl Conformance {
    /// Holds a run against the profile of its setup, if it has one.
    pub(crate) fn check(
        &mut self,
        name: &str,
        setup: &'static Setup,
        workload: &Workload,
        observed: &Observed,
    ) -> io::Result<()> {
        let Some(profile) = setup.profile() else { return Ok(()) };
        let held = hold(setup, profile, workload, observed)?;
        self.tallies.entry(setup.name).or_default().add(&held);
        if let Some(first) = held.escapes.into_iter().next() {
            self.escapes.push(Escaped {
                name: name.to_owned(),
                setup: setup.name,
                profile: profile.name,
                steps: workload.to_string(),
                first,
                shrunk: None,
                workload: workload.clone(),
            });
        }
        Ok(())
    }

    pub(crate) fn has_escapes(&self) -> bool {
        !self.escapes.is_empty()
    }

    /// Makes the first escapes smaller.
    pub(crate) fn shrink(&mut self, cx: &Context<'_>) {
        let mut runner = Runner::new();
        self.escapes
            .sort_by(|left, right| (left.setup, &left.name).cmp(&(right.setup, &right.name)));
        for escaped in self.escapes.iter_mut().take(SHRUNK_MAX) {
            let setup = Setup::named(escaped.setup).expect("it was run there");
            let Some(profile) = setup.profile().filter(|_| !cx.is_stopped()) else { return };
            let shrunk = shrink_escape(&mut runner, setup, profile, &escaped.workload);
            escaped.shrunk = shrunk.ok().map(|workload| workload.to_string());
        }
    }

    pub(crate) fn print(&self, cx: &mut Context<'_>) {
        for (setup, tally) in &self.tallies {
            let Counts { workloads, crashes, states, legal_median, .. } = counts(setup, tally);
            let verdict = match tally.escapes {
                0 => paint(GOOD, "all legal"),
                some => paint(BAD, format_args!("{some} escapes")),
            };
            let seen = tally.seen_per_mille();
            cx.out.line(format_args!(
                "{}  {verdict}: {} workloads, {} crashes, {} states; {legal_median} images are \
                 legal in the median, {}.{}% of all legal ones were seen",
                paint(HEAD, setup),
                grouped(workloads),
                grouped(crashes),
                grouped(states),
                seen / 10,
                seen % 10,
            ));
        }
        for escaped in &self.escapes {
            let Escaped { name, setup, profile, first, shrunk, workload, .. } = escaped;
            let what = format!("{name} on {setup} left what the profile {profile} does not allow");
            cx.out.line(format_args!("{} {what}", paint(BAD, "escape:")));
            match first {
                Escape::Image { after, recovered } => {
                    let steps = steps_text(&workload.steps[..*after]);
                    cx.out.line(format_args!("    {}", paint(DIM, steps)));
                    cx.out.line(format_args!("    after step {after}: {recovered}"));
                }
                Escape::Result { step, real, model } => {
                    let steps = steps_text(&workload.steps[..=*step]);
                    cx.out.line(format_args!("    {}", paint(DIM, steps)));
                    cx.out.line(format_args!("    its last step: {real:?}, simulated {model:?}"));
                }
            }
            if let Some(shrunk) = shrunk {
                cx.out.line(format_args!("    {} {shrunk}", paint(NOTE, "smallest:")));
            }
        }
    }
}
