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
    /// What was written to files of nodes.
    written: FxHashMap<(u16, Ino), Written>,
    /// Until when syncs are under way, on all nodes: they share the disk.
    syncs: Vec<u64>,
}

impl Timed {
    pub(crate) fn new(timing: Timing) -> Self {
        Self { timing, written: FxHashMap::default(), syncs: Vec::new() }
    }
}

/// What was written to a file.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    /// Where the last byte ends that was ever written.
    end: u64,
    /// Bytes that were not synced.
    dirty: u64,
    /// Whether some of these are beyond what was there, or the length was changed.
    grows: bool,
}

impl Written {
    fn write(&mut self, at: u64, len: u64) {
        let end = at.saturating_add(len);
        self.grows |= end > self.end;
        self.end = self.end.max(end);
        self.dirty += len;
    }
}

impl World {
    /// What a call takes on the disk that was measured, in nanoseconds; `None` where latencies are
    /// the plan's.
    #[inline(never)]
    pub(crate) fn timed_ns(&mut self, call: Call<'_>) -> Option<u64> {
        // A file that is shorter than what was ever written to it was cut, or is a new one.
        let length = call.ino.map(|ino| self.nodes[call.env.node as usize].disk.len(ino));
        let timed = self.timed.as_mut()?;
        let drawn = self.choices.choose("latency", timing::DRAWS);
        let file = call.ino.map(|ino| (call.env.node, ino));
        let len = call.len as u64;
        if let (Some(file), Some(length)) = (file, length)
            && let Some(written) = timed.written.get_mut(&file)
            && written.end > length
        {
            (written.end, written.grows) = (0, true);
        }
        let timing = &timed.timing;
        let is_sync = call.op.is_sync() || call.writes_back();
        if !is_sync {
            return Some(match call.op {
                OpKind::Read => timing::sample(&timing.read, len, drawn),
                OpKind::Write => {
                    if let Some(file) = file {
                        timed.written.entry(file).or_default().write(call.at, len);
                    }
                    timing::sample(&timing.write, len, drawn)
                }
                OpKind::SetLen | OpKind::Allocate => {
                    if let Some(file) = file {
                        timed.written.entry(file).or_default().grows = true;
                    }
                    timing::sample(&timing.metadata, 0, drawn)
                }
                _ => timing::sample(&timing.metadata, 0, drawn),
            });
        }
        let written = file.map(|file| timed.written.entry(file).or_default());
        let synced = written.map_or_else(Written::default, |written| {
            written.write(call.at, len);
            let clean = Written { end: written.end, ..Written::default() };
            std::mem::replace(written, clean)
        });
        let alone = match call.op {
            OpKind::SyncDir => timing::sample(&timing.sync_dir, 0, drawn),
            _ => timing::sample(timing.syncs(synced.grows), synced.dirty, drawn),
        };
        let now = self.now;
        timed.syncs.retain(|until| *until > now);
        let ns = timing.beside(alone, timed.syncs.len());
        timed.syncs.push(now.saturating_add(ns));
        Some(ns)
    }
}
