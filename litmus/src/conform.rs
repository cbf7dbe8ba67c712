//! Conformance: what real file systems left lies inside what their profiles allow.
//!
//! The law has one direction. What was seen and is forbidden is an [`Escape`], a defect of the
//! simulated disk, which would be more forgiving than the kernel. What is allowed and was never
//! seen is fine; [`Tally`] counts how much of it there is, so that one sees that not everything is
//! allowed.

use std::collections::BTreeSet;
use std::io;

use seedbed::faults::Profile;

use crate::model::{Escape, LegalCount, Model};
use crate::real::{Crashes, Observed, Recovered, Runner};
use crate::setup::Setup;
use crate::steps::Step;
use crate::workload::Workload;

/// Legal sets that are looked at to count legal images.
const SETS_MAX: u64 = 1024;

/// One run held against a profile.
#[derive(Clone, Debug)]
pub struct Held {
    /// What the profile does not allow, in the order in which it happened.
    pub escapes: Vec<Escape>,
    /// How many images were legal at the last crash.
    pub legal: LegalCount,
    /// Crashes that were compared.
    pub crashes: u64,
    /// Different states among them.
    pub states: u64,
}

/// Holds a run against a profile: the steps are carried out on a simulated disk as well, and each
/// of them must come to the same there, and each crash leave something legal.
///
/// # Errors
///
/// The base cannot be made.
pub fn hold(
    setup: &Setup,
    profile: Profile,
    workload: &Workload,
    observed: &Observed,
) -> io::Result<Held> {
    let mut model = Model::new(profile, setup.kind, &workload.base)?;
    let mut held = Held { escapes: Vec::new(), legal: LegalCount::NONE, crashes: 0, states: 0 };
    let mut states = BTreeSet::new();
    let mut crashes = observed.crashes.iter().peekable();
    for after in 0..=workload.steps.len() {
        if let Some(step) = after.checked_sub(1) {
            let (real, simulated) = (observed.results[step], model.step(&workload.steps[step]));
            if simulated != real {
                // From here on the two have done different things.
                held.escapes.push(Escape::Result { step, real, model: simulated });
                break;
            }
        }
        while let Some(crash) = crashes.next_if(|crash| crash.after == after) {
            states.insert(&crash.recovered);
            held.crashes += 1;
            if crashes.peek().is_none() {
                held.legal = model.legal_images(SETS_MAX);
            }
            let is_legal = match &crash.recovered {
                Recovered::Mounted(dump) => model.allows(dump),
                Recovered::Refused(_) => false,
            };
            if !is_legal {
                let recovered = crash.recovered.clone();
                held.escapes.push(Escape::Image { after, recovered });
            }
        }
    }
    held.states = states.len() as u64;
    Ok(held)
}

/// Counts of what was held against one profile.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Workloads.
    pub workloads: u64,
    /// Crashes.
    pub crashes: u64,
    /// Different states, counted by workload.
    pub states: u64,
    /// Crashes and steps that escaped.
    pub escapes: u64,
    legal: Vec<LegalCount>,
}

impl Tally {
    /// Adds a run.
    pub fn add(&mut self, held: &Held) {
        self.workloads += 1;
        self.crashes += held.crashes;
        self.states += held.states;
        self.escapes += held.escapes.len() as u64;
        self.legal.push(held.legal);
    }

    /// How many images were legal at the last crash of a workload, in the middle of all of them.
    pub fn legal_median(&self) -> u64 {
        let mut legal: Vec<_> = self.legal.iter().map(|legal| legal.images).collect();
        legal.sort_unstable();
        legal.get(legal.len() / 2).copied().unwrap_or(0)
    }

    /// Of all images that were legal at the last crashes, how many of a thousand were seen there.
    /// One run shows one of them; where counting ended early there are more, and this is too much.
    pub fn seen_per_mille(&self) -> u64 {
        let legal: u64 = self.legal.iter().map(|legal| legal.images).sum();
        (1000 * self.legal.len() as u64).checked_div(legal).unwrap_or(0)
    }

    /// Workloads of which all legal images were counted.
    pub fn fully_counted(&self) -> u64 {
        self.legal.iter().filter(|legal| legal.is_complete).count() as u64
    }
}

/// Makes a workload smaller that still escapes: steps go as long as it does. Every candidate is
/// run, so what only happens sometimes may stay larger than it need be.
///
/// # Errors
///
/// Those of [`Runner::run`].
pub fn shrink_escape(
    runner: &mut Runner,
    setup: &'static Setup,
    profile: Profile,
    workload: &Workload,
) -> io::Result<Workload> {
    let mut escapes = |steps: &[Step]| -> io::Result<Option<usize>> {
        let candidate = Workload { base: workload.base.clone(), steps: steps.to_vec() };
        let observed = runner.run(setup, &candidate, Crashes::EveryStep)?;
        let held = hold(setup, profile, &candidate, &observed)?;
        Ok(held.escapes.iter().find_map(|escape| match escape {
            Escape::Image { after, .. } => Some(*after),
            Escape::Result { .. } => None,
        }))
    };
    let mut steps = workload.steps.clone();
    if let Some(after) = escapes(&steps)? {
        steps.truncate(after);
    }
    let mut at = steps.len();
    while at > 0 {
        at -= 1;
        let mut fewer = steps.clone();
        fewer.remove(at);
        if let Some(after) = escapes(&fewer)? {
            fewer.truncate(after);
            steps = fewer;
            at = at.min(steps.len());
        }
    }
    Ok(Workload { base: workload.base.clone(), steps })
}
