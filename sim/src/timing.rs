//! Calls of the disk that take as long as a measured disk lets them; see [`Timing`].

use seedbed_env::map::FxHashMap;
use seedbed_faults::OpKind;
use seedbed_faults::timing::{self, Timing};

use crate::calls::Call;
use crate::disk::Ino;
use crate::world::World;

/// A disk's timing, and what it depends on.
#[derive(Debug)]
pub(crate) struct Timed {
    timing: Timing,
    /// Bytes of a node's file that were written and not synced.
    dirty: FxHashMap<(u16, Ino), u64>,
    /// Until when syncs are under way, on all nodes: they share the disk.
    syncs: Vec<u64>,
}

impl Timed {
    pub(crate) fn new(timing: Timing) -> Self {
        Self { timing, dirty: FxHashMap::default(), syncs: Vec::new() }
    }
}

impl World {
    /// What a call takes on the disk that was measured, in nanoseconds; `None` where latencies are
    /// the plan's.
    #[inline(never)]
    pub(crate) fn timed_ns(&mut self, call: Call<'_>) -> Option<u64> {
        let timed = self.timed.as_mut()?;
        let drawn = self.choices.choose("latency", timing::DRAWS);
        let file = call.ino.map(|ino| (call.env.node, ino));
        let len = call.len as u64;
        let timing = &timed.timing;
        let is_sync = call.op.is_sync() || call.writes_back();
        if !is_sync {
            return Some(match call.op {
                OpKind::Read => timing::sample(&timing.read, len, drawn),
                OpKind::Write => {
                    if let Some(file) = file {
                        *timed.dirty.entry(file).or_default() += len;
                    }
                    timing::sample(&timing.write, len, drawn)
                }
                _ => timing::sample(&timing.metadata, 0, drawn),
            });
        }
        let dirty = file.and_then(|file| timed.dirty.remove(&file)).unwrap_or(0);
        let alone = match call.op {
            OpKind::SyncDir => timing::sample(&timing.sync_dir, 0, drawn),
            _ => timing::sample(&timing.sync, dirty + len, drawn),
        };
        let now = self.now;
        timed.syncs.retain(|until| *until > now);
        let ns = timing.beside(alone, timed.syncs.len());
        timed.syncs.push(now.saturating_add(ns));
        Some(ns)
    }
}
