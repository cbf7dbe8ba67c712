//! What is asked of the disk, counted: a benchmark's figures that have no noise.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a world has asked of its disk since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskCounts {
    /// Calls that read.
    pub reads: u64,
    /// Bytes that were read.
    pub read_bytes: u64,
    /// Calls that write.
    pub writes: u64,
    /// Bytes that were written.
    pub written_bytes: u64,
    /// Syncs of files, of ranges too, and writes of files that were opened with `dsync`.
    pub syncs: u64,
    /// Syncs of directories.
    pub dir_syncs: u64,
}

/// The counters; each is a nanosecond or two beside a system call of hundreds.
#[derive(Debug, Default)]
pub(super) struct Counters {
    reads: AtomicU64,
    read_bytes: AtomicU64,
    writes: AtomicU64,
    written_bytes: AtomicU64,
    syncs: AtomicU64,
    dir_syncs: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self, bytes: usize) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn written(&self, bytes: usize) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn sync(&self) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn dir_sync(&self) {
        self.dir_syncs.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> DiskCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DiskCounts {
            reads: of(&self.reads),
            read_bytes: of(&self.read_bytes),
            writes: of(&self.writes),
            written_bytes: of(&self.written_bytes),
            syncs: of(&self.syncs),
            dir_syncs: of(&self.dir_syncs),
        }
    }
}
