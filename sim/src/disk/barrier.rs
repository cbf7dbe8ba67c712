//! What a completed sync makes durable, by profile.

use std::io;

use seedbed_faults::{Growth, NameOrder};
use xxhash_rust::xxh3::Xxh3Default;

use super::file::LenChange;
use super::names::Place;
use super::{Cached, Disk, ErrSeq, Ino, Node, os_error};

/// Which sync of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncKind {
    /// `sync_all`: fsync(2).
    All,
    /// `sync_data`: fdatasync(2).
    Data,
}

/// A sync that has begun: what [`Disk::complete`] will make durable.
#[derive(Clone, Copy, Debug)]
#[must_use = "a barrier does nothing until it is completed or failed"]
pub struct Barrier {
    ino: Ino,
    kind: SyncKind,
    /// Changes up to this number are covered.
    upto: u64,
    /// Of a file only the data in this range: where it starts and ends.
    extent: Option<(u64, u64)>,
    /// The device makes that one write durable (FUA) and flushes nothing else.
    is_fua: bool,
}

impl Barrier {
    /// What it is a sync of.
    pub fn ino(&self) -> Ino {
        self.ino
    }

    /// Which sync.
    pub fn kind(&self) -> SyncKind {
        self.kind
    }

    /// Adds it to a hash; operations are numbered from `first` on.
    pub(super) fn hash(&self, first: u64, hash: &mut Xxh3Default) {
        let Self { ino, kind, upto, extent, is_fua } = self;
        hash.update(&[8, u8::from(*kind == SyncKind::All), u8::from(*is_fua)]);
        hash.update(&ino.to_le_bytes());
        hash.update(&upto.wrapping_sub(first).to_le_bytes());
        let (start, end) = extent.unwrap_or((u64::MAX, 0));
        hash.update(&start.to_le_bytes());
        hash.update(&end.to_le_bytes());
    }
}

impl Disk {
    /// Begins a sync of an open file.
    pub fn begin_sync(&self, ino: Ino, kind: SyncKind) -> Barrier {
        Barrier { ino, kind, upto: self.seq, extent: None, is_fua: false }
    }

    /// Begins what a write through `O_DSYNC` waits for: a [`SyncKind::Data`] of its own range, not
    /// of other pages.
    pub fn begin_sync_written(&self, ino: Ino, at: u64, len: u64) -> Barrier {
        let extent = Some((at, at.saturating_add(len)));
        Barrier { ino, kind: SyncKind::Data, upto: self.seq, extent, is_fua: false }
    }

    /// The same for a write through `O_DIRECT` as well. Bytes that are overwritten in place, in a
    /// file without a new length, take a write with FUA and no flush: what else is in the device's
    /// cache stays there (Linux: `IOMAP_DIO_WRITE_THROUGH` in fs/iomap/direct-io.c). Where there
    /// may be a hole, which takes a flush, it is taken for the same: that makes less durable.
    pub fn begin_sync_written_direct(&self, ino: Ino, at: u64, len: u64) -> Barrier {
        let barrier = self.begin_sync_written(ino, at, len);
        let is_fua = match self.inodes.get(ino as usize).map(|inode| &inode.node) {
            Some(Node::File(file)) if !self.profile.copy_on_write => {
                file.lens().is_empty() && at.saturating_add(len) <= file.durable_len()
            }
            _ => false,
        };
        Barrier { is_fua, ..barrier }
    }

    /// Begins a sync of a directory.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`.
    pub fn begin_sync_dir(&self, path: &str) -> io::Result<Barrier> {
        let ino = self.resolve(path)?;
        self.dir(ino)?;
        Ok(Barrier { ino, kind: SyncKind::All, upto: self.seq, extent: None, is_fua: false })
    }

    /// The barrier is reached: what it covers is durable, unless the file system has given up; see
    /// [`Disk::end_sync`] for what the caller is told.
    #[inline]
    pub fn complete(&mut self, barrier: Barrier) {
        self.barriers += 1;
        if self.aborting || self.is_shut_down {
            self.stop_at_commit(barrier.ino);
            if self.is_shut_down {
                return;
            }
        }
        if barrier.is_fua {
            return self.settle_written(barrier);
        }
        if !self.cached.is_empty() {
            self.flush();
        }
        self.settle(barrier);
    }

    /// Makes durable what one write with FUA covers, with what is older in the same units: versions
    /// of a unit stay in order.
    fn settle_written(&mut self, Barrier { ino, upto, extent, .. }: Barrier) {
        let file = self.inodes.get_mut(ino as usize).map(|inode| &mut inode.node);
        if let (Some(Node::File(file)), Some(extent)) = (file, extent) {
            file.make_extent_durable(upto, extent);
        }
    }

    /// A device that lies: the sync is reported as done, and what it covers is in the device's
    /// cache, until somebody flushes that.
    pub fn lie(&mut self, barrier: Barrier) {
        let same = |cached: &&mut Cached| match cached {
            Cached::Sync(Barrier { ino, kind, extent, .. }) => {
                (*ino, *kind, *extent) == (barrier.ino, barrier.kind, barrier.extent)
            }
            Cached::Unit { .. } => false,
        };
        match self.cached.iter_mut().find(same) {
            Some(cached) => *cached = Cached::Sync(barrier),
            None => self.cached.push(Cached::Sync(barrier)),
        }
    }

    /// A flush of the device: what is in its cache is durable, in the order in which it was
    /// written.
    fn flush(&mut self) {
        for cached in std::mem::take(&mut self.cached) {
            match cached {
                Cached::Sync(barrier) => self.settle(barrier),
                Cached::Unit { ino, unit, upto } => self.settle_unit(ino, unit, upto),
            }
        }
    }

    /// Makes durable what a barrier covers.
    fn settle(&mut self, barrier: Barrier) {
        // With nothing pending in the metadata order a file's sync is about that file alone.
        let is_logged = self.profile.names == NameOrder::LogTree;
        if (self.journal_end > 0 || is_logged) && self.inodes.contains(barrier.ino as usize) {
            match self.profile.names {
                NameOrder::Journal => self.commit_journal(self.journal_cut(barrier)),
                NameOrder::LogTree => self.log(barrier.ino, barrier.upto),
                NameOrder::Unordered | NameOrder::Immediate => {}
            }
        }
        if is_logged && self.is_nameless(barrier.ino) {
            return self.log_nameless(barrier.ino, barrier.upto);
        }
        if is_logged {
            self.keep_committed(barrier.ino);
        }
        match self.inodes.get_mut(barrier.ino as usize).map(|inode| &mut inode.node) {
            Some(Node::File(file)) => match barrier.extent {
                None => self.used -= file.make_durable(barrier.upto),
                Some(extent) => {
                    file.make_extent_durable(barrier.upto, extent);
                    // btrfs' log may take along whatever of the file is there.
                    if is_logged {
                        file.loosen(barrier.upto);
                    }
                }
            },
            Some(Node::Dir(_)) if is_logged => {}
            Some(Node::Dir(_)) => self.make_names_durable(barrier.ino, barrier.upto),
            // Removed, and every handle closed, while the sync was under way.
            None => {}
        }
    }

    /// The end of a sync through a handle: [`Disk::complete`], and what is said about it.
    ///
    /// # Errors
    /// The last error of writing the file back that this handle has not `seen`; that of a file
    /// system that has given up.
    #[inline]
    pub fn end_sync(&mut self, barrier: Barrier, seen: &mut ErrSeq) -> io::Result<()> {
        self.complete(barrier);
        self.check_errors(barrier.ino, seen)?;
        self.refusal(true).map_or(Ok(()), |code| Err(os_error(code)))
    }

    /// The sync failed: the pages it covered are clean and not durable, and stay so until they are
    /// written again. Names stay pending. Other handles on the file hear of it, with `code`, at
    /// their next sync.
    pub fn fail(&mut self, barrier: Barrier, code: i32) {
        self.barriers += 1;
        self.note_error(barrier.ino, code);
        if let Some(Node::File(file)) =
            self.inodes.get_mut(barrier.ino as usize).map(|inode| &mut inode.node)
        {
            file.fail_sync(barrier.upto, barrier.extent);
        }
    }

    /// Commits the metadata order as the kernel does every few seconds: names and truncations so
    /// far become durable; data only where the profile ties it to them.
    pub fn commit(&mut self) {
        if self.aborting {
            self.shut_down();
        }
        if self.is_shut_down {
            return;
        }
        match self.profile.names {
            NameOrder::Journal | NameOrder::LogTree => {
                self.commit_journal(self.seq);
                self.end_log();
            }
            NameOrder::Unordered | NameOrder::Immediate => {}
        }
    }

    /// Makes everything durable, like syncfs(2).
    pub fn sync_all(&mut self) {
        if self.aborting {
            self.shut_down();
        }
        if self.is_shut_down {
            return;
        }
        self.commit_journal(self.seq);
        self.end_log();
        for (_, inode) in &mut self.inodes {
            if let Node::File(file) = &mut inode.node {
                self.used -= file.make_durable(u64::MAX);
            }
        }
    }

    /// The last operation of the journal that must be committed for this barrier.
    fn journal_cut(&self, barrier: Barrier) -> u64 {
        let Barrier { ino, kind, upto, extent, is_fua: _ } = barrier;
        let covers_names = match kind {
            SyncKind::All => self.profile.sync_covers_names,
            SyncKind::Data => self.profile.sync_data_covers_names,
        };
        let names = self.pending_names().filter(|(dir, _, version)| {
            let own = version.ino == Some(ino) && (covers_names || version.creates);
            version.op <= upto && (own || *dir == ino)
        });
        let last_name = names.map(|(_, _, version)| version.op).max().unwrap_or(0);
        let last_len = match &self.inodes[ino as usize].node {
            Node::File(file) => {
                // A length beyond the range is not the business of this sync.
                let end = extent.map_or(u64::MAX, |(_, end)| end);
                let covered = |len: &&LenChange| {
                    len.seq <= upto && !len.is_bare() && (!len.grown || len.to <= end)
                };
                let lens = match self.profile.growth {
                    Growth::Delayed => file.lens_not_taken_back(),
                    _ => file.lens(),
                };
                lens.iter().rev().find(covered)
            }
            Node::Dir(_) => None,
        };
        last_name.max(last_len.map_or(0, |len| len.seq))
    }

    /// Makes the journal durable up to an operation, with the data that it is tied to.
    fn commit_journal(&mut self, cut: u64) {
        if cut == 0 {
            return;
        }
        self.write_back_replacements(cut);
        let everywhere: Vec<(Place, u64)> = self
            .pending_names()
            .filter(|(_, _, version)| version.op <= cut)
            .map(|(dir, name, _)| (Place { dir, name: name.into() }, cut))
            .collect();
        self.make_places_durable(everywhere, |_| false);
        let at_write = self.profile.growth == Growth::AtWrite;
        let before_len = self.profile.data_before_len;
        let zeros = self.profile.zeros_before_cut;
        for (_, inode) in &mut self.inodes {
            let Node::File(file) = &mut inode.node else { continue };
            let hides = |unit| zeros && (before_len || file.has_block(unit));
            let forced: Vec<(u64, u32)> = file
                .writes()
                .iter()
                .filter(|write| write.seq <= cut)
                .filter(|write| match write.cuts {
                    true => !write.is_tail(file.unit()) || hides(write.unit),
                    false => at_write && before_len && file.allocates(write),
                })
                .map(|write| (write.seq, write.unit))
                .collect();
            file.persist(
                |write| forced.contains(&(write.seq, write.unit)),
                |len| len.seq <= cut && !len.is_bare() && (!len.grown || at_write),
            );
        }
        if cut >= self.journal_end {
            self.journal_end = 0;
        }
    }

    /// Lengths of files that replaced others in the journal up to `cut`.
    fn write_back_replacements(&mut self, cut: u64) {
        // Where they grow in the journal they are part of it.
        if !self.profile.replace_flushes || self.profile.growth == Growth::AtWrite {
            return;
        }
        let replacing: Vec<(Ino, u64)> = self
            .pending_names()
            .filter(|(_, _, version)| version.replaces && version.op <= cut)
            .filter_map(|(_, _, version)| Some((version.ino?, version.op)))
            .collect();
        for (ino, op) in replacing {
            if let Some(Node::File(file)) = self.inodes.get_mut(ino as usize).map(|i| &mut i.node) {
                file.persist(|_| false, |len| len.seq <= op);
            }
        }
    }
}
