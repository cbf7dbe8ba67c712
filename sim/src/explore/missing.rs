//! The missing barrier: which sync would have kept a broken law?
//!
//! Each candidate is added to the partial order of the crash point at which the loss was, and all
//! images that are legal then are looked at again. A candidate is missing if none of them breaks a
//! law. Weak ones come first: one lost node before one kept node, then all that a sync of its file
//! or directory would cover before that node, then both before the power goes at all.

use std::fmt;

use super::case::{CaseRun, Left, Step, Told, last_loss};
use super::{CaseEnd, Explore};
use crate::disk::Pending;

/// Which barrier would have kept a law, within the images of one crash point.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingBarrier {
    /// This one.
    Sync {
        /// The path of the file or directory to sync; empty for the root.
        of: String,
        /// What has to persist: one node, or all that such a sync covers.
        first: Vec<String>,
        /// The source location of the newest of these.
        after: Option<String>,
        /// What they have to persist before; `None`: before the crash point.
        before: Option<String>,
        /// Its source location.
        until: Option<String>,
    },
    /// No single one does.
    NotOne,
}

impl fmt::Display for MissingBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Sync { of, after, before, until, .. } = self else {
            return f.write_str("no single barrier keeps the law");
        };
        let of = if of.is_empty() { "the root directory" } else { of };
        write!(f, "a sync of {of} ")?;
        match (after, until.as_ref().or(before.as_ref())) {
            (Some(after), Some(until)) => write!(f, "between {after} and {until}"),
            (Some(after), None) => write!(f, "after {after}, before anything is told of it"),
            (None, Some(until)) => write!(f, "before {until}"),
            (None, None) => f.write_str("before anything is told of it"),
        }
    }
}

/// A barrier to try: these nodes before that one, or before the crash.
struct Candidate {
    first: Vec<usize>,
    before: Option<usize>,
}

impl<T: Explore> CaseRun<'_, T> {
    /// Adds the missing barrier to what is known of a violation, if this is the crash point at
    /// which something was lost last.
    pub(super) fn find_missing(
        &mut self,
        end: &mut CaseEnd,
        (pending, left): (&Pending<'_>, &Left),
        told: &Told<T::Memory>,
        path: &mut Vec<Step>,
    ) {
        let is_here = last_loss(end) == Some(path.len() - 1);
        let CaseEnd::Broken(broken) = end else { return };
        let crashes = broken.story.len() as u32;
        if left.spoil.is_some() || !is_here {
            return;
        }
        let (depth, again) = (self.depth, self.again);
        // Violations that take more crashes than this one are other ones.
        (self.depth, self.again) = (crashes, true);
        let found = candidates(pending, left).into_iter().find(|Candidate { first, before }| {
            let ordered = pending.with_barrier(first, *before);
            self.is_silent(&ordered, told, path)
        });
        (self.depth, self.again) = (depth, again);
        broken.missing = Some(match found {
            Some(candidate) => candidate.describe(pending),
            None => MissingBarrier::NotOne,
        });
    }

    /// Whether no image of this crash point breaks a law.
    fn is_silent(
        &mut self,
        pending: &Pending<'_>,
        told: &Told<T::Memory>,
        path: &mut Vec<Step>,
    ) -> bool {
        self.forget();
        let mut silent = true;
        pending.images(self.case.bounds, |image| {
            if self.is_new((image.hash, told.fingerprints.1), path.len()) {
                silent = self.check(&image.disk(), &told.power, path).is_ok();
            }
            silent
        });
        silent
    }
}

/// What may have been missing, the weakest first.
fn candidates(pending: &Pending<'_>, left: &Left) -> Vec<Candidate> {
    let lost = left.lost();
    let kept: Vec<usize> = (0..pending.len()).filter(|&node| left.kept[node]).collect();
    let later = |first: &[usize]| {
        let newest = first.iter().copied().max().unwrap_or(0);
        // What one call did no sync can put in order.
        let is_later = |&node: &usize| pending.nodes()[node].seq > pending.nodes()[newest].seq;
        kept.iter().copied().filter(is_later).map(Some).collect::<Vec<_>>()
    };
    let one = |node: usize| vec![node];
    // What a sync covers that comes before this one, or at the end.
    let whole = |node: usize, before: Option<usize>| -> Vec<usize> {
        let place = pending.place(node);
        let seq = before.map_or(u64::MAX, |before| pending.nodes()[before].seq);
        let covers =
            |other: &usize| pending.place(*other) == place && pending.nodes()[*other].seq < seq;
        (0..pending.len()).filter(covers).collect()
    };
    let mut all = Vec::new();
    for &node in &lost {
        let before = later(&[node]).into_iter();
        all.extend(before.map(|before| Candidate { first: one(node), before }));
    }
    for &node in &lost {
        let before = later(&[node]).into_iter();
        all.extend(before.map(|before| Candidate { first: whole(node, before), before }));
    }
    all.extend(lost.iter().map(|&node| Candidate { first: one(node), before: None }));
    all.extend(lost.iter().map(|&node| Candidate { first: whole(node, None), before: None }));
    all
}

impl Candidate {
    fn describe(&self, pending: &Pending<'_>) -> MissingBarrier {
        let site = |node: usize| {
            let site = pending.nodes()[node].site;
            site.map(|site| format!("{}:{}", site.file(), site.line()))
        };
        let newest = self.first.iter().copied().max();
        MissingBarrier::Sync {
            of: newest.map(|node| pending.place_name(node)).unwrap_or_default(),
            first: self.first.iter().map(|&node| pending.describe(node)).collect(),
            after: newest.and_then(site),
            before: self.before.map(|node| pending.describe(node)),
            until: self.before.and_then(site),
        }
    }
}
