//! Junk in the place of unstable writes: does a check pass over what recovery uses?
//!
//! Beside the legal images of a crash point there are those in which one write that nothing has
//! made durable is junk. Legal images show bytes that are used unchecked only if some legal version
//! of them is wrong; junk is always wrong. Such an image is recovered and judged, and not crashed
//! again.

use std::sync::Arc;

use super::case::{CaseRun, Left, Step, Told};
use super::{CaseEnd, Explore, Goal};
use crate::choices::Source;
use crate::disk::{Disk, Pending};
use crate::testbed::unverified;

impl<T: Explore> CaseRun<'_, T> {
    /// Looks at all images of a crash point in which one unstable write is junk.
    pub(super) fn spoil_each(
        &mut self,
        pending: &Pending<'_>,
        told: &Told<T::Memory>,
        path: &mut Vec<Step>,
    ) -> Result<(), CaseEnd> {
        let mut stop = None;
        pending.spoiled(|kept, spoil, image| {
            let key = (image.content_hash(), told.fingerprints.1);
            // A legal image is judged as one.
            if self.seen.contains_key(&key) || !self.spoiled.insert(key) {
                return true;
            }
            match self.check_spoiled(image, &told.power, path) {
                Ok(()) => return true,
                Err(CaseEnd::Broken(broken)) => {
                    let left = Left { kept: kept.clone(), tears: Vec::new(), spoil: Some(spoil) };
                    stop = Some(self.smallest(pending, left, &broken.violation, told, path));
                }
                Err(other) => stop = Some(other),
            }
            false
        });
        stop.map_or(Ok(()), Err)
    }

    /// The engine must refuse the image, or satisfy the laws.
    pub(super) fn check_spoiled(
        &mut self,
        image: Disk,
        memory: &T::Memory,
        path: &[Step],
    ) -> Result<(), CaseEnd> {
        if !(self.go_on)() {
            return Err(CaseEnd::Stopped);
        }
        self.tally.spoiled += 1;
        let (mut sim, node) = self.world(Source::Sparse(Arc::from([])));
        sim.set_disk(node, image);
        sim.note_unstable_junk();
        sim.note_reads(node);
        let mut recovered = memory.clone();
        let boot = self.testbed.boot(&mut sim, node, &mut recovered, Goal::Recover);
        self.unread.add(&sim.take_reads(node));
        boot.map(drop).map_err(|failure| self.end(unverified(failure), path))
    }
}
