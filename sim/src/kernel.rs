//! What the kernel does by itself, between the calls of an engine: it writes pages back, commits
//! its journal, drops pages from the cache, forgets files, and gives up.
//!
//! Each of these is a decision at an operation. None but an error shows before a power loss or a
//! drop from the cache: what is written back early is one of the things that a power loss could
//! have left anyway.

use seedbed_faults::OpKind;

use crate::disk::os_code;
use crate::node::NodeId;
use crate::stats::FaultKind;
use crate::world::{Note, World};

/// What the kernel can do by itself, the mildest first.
const WRITE_BACK: u64 = 0;
const COMMIT: u64 = 1;
const EVICT: u64 = 2;
const ACTIONS: u64 = 4;

impl World {
    /// The kernel's own business before a call, if the plan has any.
    #[inline]
    pub(crate) fn background(&mut self, index: usize) {
        let probability = self.faults.disk.background_probability;
        if self.choices.chance("background", probability) {
            self.act_by_itself(index);
        }
    }

    #[inline(never)]
    fn act_by_itself(&mut self, index: usize) {
        match self.choices.choose("background.what", ACTIONS) {
            WRITE_BACK => self.write_back(index),
            COMMIT => {
                self.nodes[index].disk.commit();
                self.note_background(index, "commit", String::new(), None);
            }
            EVICT => self.evict(index),
            _ => {
                let forgotten = self.nodes[index].disk.forget_errors();
                if forgotten > 0 {
                    let detail = format!("{forgotten} files with errors that nobody has seen");
                    self.note_background(index, "forget", detail, None);
                }
            }
        }
    }

    fn write_back(&mut self, index: usize) {
        let dirty = self.nodes[index].disk.dirty_units();
        if dirty.is_empty() || self.nodes[index].disk.is_shut_down() {
            return;
        }
        let (ino, unit) =
            dirty[self.choices.choose("background.unit", dirty.len() as u64) as usize];
        let fails = self.faults.disk.writeback_error_probability;
        let may_fail = self.nodes[index].disk_faults.may;
        let fails = may_fail && self.choices.chance("fault.writeback_error", fails);
        let disk = &mut self.nodes[index].disk;
        let detail = format!("unit {unit} of {}", disk.name_of(ino));
        if fails {
            disk.fail_write_back(ino, unit, os_code::EIO);
            self.stats.count_fault(FaultKind::WritebackError);
            self.note_fault(index, FaultKind::WritebackError);
        } else {
            disk.write_back(ino, unit);
        }
        let cause = fails.then_some(FaultKind::WritebackError.name());
        self.note_background(index, "write_back", detail, cause);
    }

    /// The cache drops a page that the device refused: readers see what the device has.
    fn evict(&mut self, index: usize) {
        let refused = self.nodes[index].disk.refused_units();
        if refused.is_empty() {
            return;
        }
        let (ino, unit) =
            refused[self.choices.choose("background.unit", refused.len() as u64) as usize];
        let versions = self.nodes[index].disk.refused_versions(ino, unit);
        let lost = self.choices.choose("background.lost", versions + 1);
        let disk = &mut self.nodes[index].disk;
        disk.evict(ino, unit, lost);
        let detail = format!("unit {unit} of {}: {lost} versions back", disk.name_of(ino));
        let cause = (lost > 0).then_some(FaultKind::Evicted);
        cause.into_iter().for_each(|kind| self.stats.count_fault(kind));
        self.note_background(index, "evict", detail, cause.map(FaultKind::name));
    }

    fn note_background(
        &mut self,
        index: usize,
        op: &'static str,
        detail: String,
        cause: Option<&'static str>,
    ) {
        self.digest.bytes(op.as_bytes());
        self.log(NodeId(index as u16), || Note { op, detail, cause, ..Note::default() });
    }

    /// Whether this call makes the file system give up.
    pub(crate) fn gives_up(&mut self, op: OpKind) -> bool {
        let commits = match op {
            OpKind::Open | OpKind::Read | OpKind::Write | OpKind::ReadDir => false,
            op => op != OpKind::SyncRange,
        };
        let probability = self.faults.disk.shutdown_probability;
        commits && self.choices.chance("fault.shutdown", probability)
    }
}
