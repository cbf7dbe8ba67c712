//! The simulated disk asked the same question as the real one: may this be left after a crash?
//!
//! [`Model`] carries the steps of a workload out on a [`Disk`] with the profile of a setup. After
//! any step it says whether a power loss could leave what a real file system left. What the kernel
//! does by itself, such as writing pages back and committing, is no step here: the legal images of
//! what is pending include all of it.
//!
//! Invariant: a dump counts as legal only when a legal image was made that is this dump.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use seedbed::disk::{Device, Disk, Ino, Pending, SyncKind};
use seedbed::faults::Profile;
use seedbed::seam::{FileKind, OpenOptions};

use crate::dump::{Dump, Entry, Fill, push};
use crate::errno::Errno;
use crate::real::Recovered;
use crate::setup::FsKind;
use crate::steps::{Flag, PAGE, Step, StepResult, UNRELATED_BYTE, UNRELATED_LEN, UNRELATED_PATH};

/// Reads and writes.
const BOTH: OpenOptions = OpenOptions::new().read(true).write(true);

/// A simulated disk on which a workload is carried out.
#[derive(Clone, Debug)]
pub struct Model {
    disk: Disk,
    kind: FsKind,
    open: BTreeMap<String, Open>,
}

#[derive(Clone, Debug)]
struct Open {
    ino: Ino,
    flags: BTreeSet<Flag>,
}

/// How many images are legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LegalCount {
    /// Different images that were found, without those of torn pages.
    pub images: u64,
    /// Whether these are all.
    pub is_complete: bool,
}

impl LegalCount {
    /// Nothing was counted.
    pub const NONE: Self = Self { images: 0, is_complete: true };
}

/// What a real file system did that its profile does not allow.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Escape {
    /// A crash left what no legal image shows.
    Image {
        /// How many steps had been carried out.
        after: usize,
        /// What was there.
        recovered: Recovered,
    },
    /// A step came to something else than on the simulated disk.
    Result {
        /// Which step.
        step: usize,
        /// What it came to on the real file system.
        real: StepResult,
        /// And on the simulated disk.
        model: StepResult,
    },
}

impl Model {
    /// A disk with a base state that is durable.
    ///
    /// # Errors
    ///
    /// A step of the base fails.
    pub fn new(profile: Profile, kind: FsKind, base: &[Step]) -> io::Result<Self> {
        let mut disk = Disk::with_profile(profile);
        // A loop device hands everything on at once.
        disk.set_device(Device { volatile_cache: false, ..Device::default() });
        let mut model = Self { disk, kind, open: BTreeMap::new() };
        base.iter().try_for_each(|step| model.carry_out(step))?;
        let open = std::mem::take(&mut model.open);
        open.into_values().for_each(|open| model.disk.close(open.ino));
        model.disk.sync_all();
        Ok(model)
    }

    /// The disk as it is now.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(crate) fn disk_mut(&mut self) -> &mut Disk {
        &mut self.disk
    }

    /// The file that a handle has open.
    ///
    /// # Errors
    ///
    /// There is no such handle.
    pub(crate) fn ino(&self, handle: &str) -> io::Result<Ino> {
        Ok(self.handle(handle)?.ino)
    }

    /// Carries out one step.
    pub fn step(&mut self, step: &Step) -> StepResult {
        self.carry_out(step).map_err(|error| Errno::from(&error))
    }

    fn carry_out(&mut self, step: &Step) -> io::Result<()> {
        match step {
            Step::Open { handle, path, flags } => self.open(handle, path, flags),
            Step::Write { handle, offset, len, byte } => {
                let open = self.handle(handle)?.clone();
                let is_append = open.flags.contains(&Flag::Append);
                let offset = if is_append { self.disk.len(open.ino) } else { *offset };
                self.write(&open, offset, *len, *byte)
            }
            Step::Append { handle, len, byte } => {
                let open = self.handle(handle)?.clone();
                self.write(&open, self.disk.len(open.ino), *len, *byte)
            }
            Step::SetLen { handle, len } => self.disk.set_len(self.handle(handle)?.ino, *len),
            Step::Allocate { handle, offset, len, keep_size } => {
                self.disk.allocate(self.handle(handle)?.ino, *offset, *len, *keep_size)
            }
            Step::Fsync(handle) => self.sync(handle, SyncKind::All),
            Step::Fdatasync(handle) => self.sync(handle, SyncKind::Data),
            Step::SyncRange { handle, offset, len } => {
                self.disk.sync_range(self.handle(handle)?.ino, *offset, *len);
                Ok(())
            }
            Step::Writeback { handle, page } => {
                self.disk.sync_range(self.handle(handle)?.ino, page * PAGE, PAGE);
                Ok(())
            }
            Step::Close(handle) => {
                let open = self.open.remove(handle).ok_or_else(bad_handle)?;
                self.disk.close(open.ino);
                Ok(())
            }
            Step::FsyncDir(path) => {
                let barrier = self.disk.begin_sync_dir(at(path))?;
                self.disk.complete(barrier);
                Ok(())
            }
            Step::Mkdir(path) => self.disk.create_dir(path),
            Step::Rmdir(path) => self.disk.remove_dir(path),
            Step::Rename(from, to) => self.disk.rename(from, to),
            Step::Link(from, to) => self.disk.hard_link(from, to),
            Step::Unlink(path) => self.disk.remove_file(path),
            Step::Unrelated => self.unrelated(),
            Step::Commit => self.commit(),
            Step::Syncfs => {
                self.disk.sync_all();
                Ok(())
            }
            Step::Crash => Ok(()),
        }
    }

    fn handle(&self, handle: &str) -> io::Result<&Open> {
        self.open.get(handle).ok_or_else(bad_handle)
    }

    fn open(&mut self, handle: &str, path: &str, flags: &BTreeSet<Flag>) -> io::Result<()> {
        let has = |flag| flags.contains(&flag);
        let (create, exclusive) = (has(Flag::Create), has(Flag::Exclusive));
        let options = OpenOptions {
            create: create && !exclusive,
            create_new: create && exclusive,
            truncate: has(Flag::Truncate),
            ..BOTH
        };
        let ino = self.disk.open(path, options)?;
        let open = Open { ino, flags: flags.clone() };
        if let Some(old) = self.open.insert(handle.to_owned(), open) {
            self.disk.close(old.ino);
        }
        Ok(())
    }

    fn write(&mut self, open: &Open, offset: u64, len: u64, byte: u8) -> io::Result<()> {
        let bytes = vec![byte; len as usize];
        let is_direct = open.flags.contains(&Flag::Direct);
        match is_direct {
            true => self.disk.write_direct(open.ino, &bytes, offset)?,
            false => self.disk.write_at(open.ino, &bytes, offset)?,
        };
        if open.flags.contains(&Flag::Dsync) {
            let barrier = match is_direct {
                true => self.disk.begin_sync_written_direct(open.ino, offset, len),
                false => self.disk.begin_sync_written(open.ino, offset, len),
            };
            self.disk.complete(barrier);
        }
        Ok(())
    }

    fn sync(&mut self, handle: &str, kind: SyncKind) -> io::Result<()> {
        let barrier = self.disk.begin_sync(self.handle(handle)?.ino, kind);
        self.disk.complete(barrier);
        Ok(())
    }

    fn commit(&mut self) -> io::Result<()> {
        match self.kind {
            FsKind::Ext4 | FsKind::Xfs => self.unrelated(),
            FsKind::Btrfs => {
                self.disk.commit();
                Ok(())
            }
        }
    }

    fn unrelated(&mut self) -> io::Result<()> {
        let ino = self.disk.open(UNRELATED_PATH, BOTH)?;
        let bytes = [UNRELATED_BYTE; UNRELATED_LEN as usize];
        self.disk.write_at(ino, &bytes, self.disk.len(ino))?;
        let barrier = self.disk.begin_sync(ino, SyncKind::All);
        self.disk.complete(barrier);
        self.disk.close(ino);
        Ok(())
    }

    /// Whether a power loss now may leave this.
    pub fn allows(&self, dump: &Dump) -> bool {
        let Some(image) = disk_of(dump) else { return false };
        let pending = self.disk.pending();
        let Some(witness) = pending.witness(&image) else { return false };
        let shown = dump_of(&pending.image(&witness.kept, &witness.tears));
        assert_eq!(shown, *dump, "the witness leaves what it stands for");
        true
    }

    /// Counts the images that a power loss may leave now, by looking at as many legal sets.
    pub fn legal_images(&self, sets_max: u64) -> LegalCount {
        let pending = self.disk.pending();
        let (mut seen, mut sets) = (BTreeSet::new(), 0);
        let is_complete = pending.legal_sets(|kept| {
            sets += 1;
            if sets <= sets_max {
                seen.insert(pending.image(kept, &[]).content_hash());
            }
            sets <= sets_max
        });
        LegalCount { images: seen.len() as u64, is_complete }
    }

    /// What is pending, for explanations.
    pub fn pending(&self) -> Pending<'_> {
        self.disk.pending()
    }
}

/// The root is `.` in steps, and nothing on the simulated disk.
fn at(path: &str) -> &str {
    if path == "." { "" } else { path }
}

fn bad_handle() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}

/// A disk that shows what a dump shows; none if it shows what no disk of ours does.
fn disk_of(dump: &Dump) -> Option<Disk> {
    let mut disk = Disk::new();
    for (path, entry) in &dump.entries {
        match entry {
            Entry::Dir => disk.create_dir(path).ok()?,
            Entry::SameAs(first) => disk.hard_link(first, path).ok()?,
            Entry::File { runs, nlink } => {
                if *nlink != dump.names(path) {
                    return None;
                }
                let ino = disk.open(path, BOTH.create(true)).ok()?;
                let mut offset = 0;
                for run in runs {
                    let Fill::Byte(byte) = run.fill else { return None };
                    let bytes = vec![byte; run.len as usize];
                    disk.write_at(ino, &bytes, offset).ok()?;
                    offset += run.len;
                }
            }
        }
    }
    Some(disk)
}

/// What readers see on a disk.
pub fn dump_of(disk: &Disk) -> Dump {
    let mut disk = disk.clone();
    let (mut dump, mut known) = (Dump::default(), BTreeMap::new());
    list(&mut disk, "", &mut dump, &mut known);
    dump.count_links(&BTreeMap::new());
    dump
}

fn list(disk: &mut Disk, below: &str, dump: &mut Dump, known: &mut BTreeMap<Ino, String>) {
    for entry in disk.read_dir(below).expect("it was listed") {
        let path = match below {
            "" => entry.name.clone(),
            below => format!("{below}/{}", entry.name),
        };
        if entry.kind == FileKind::Dir {
            dump.insert(&path, Entry::Dir);
            list(disk, &path, dump, known);
            continue;
        }
        let ino = disk.open(&path, OpenOptions::reading()).expect("it was listed");
        if let Some(first) = known.get(&ino) {
            dump.insert(&path, Entry::SameAs(first.clone()));
            continue;
        }
        known.insert(ino, path.clone());
        let mut bytes = vec![0; disk.len(ino) as usize];
        disk.read_at(ino, &mut bytes, 0);
        let mut runs = Vec::new();
        bytes.iter().for_each(|byte| push(&mut runs, Fill::Byte(*byte), 1));
        dump.insert(&path, Entry::File { runs, nlink: 0 });
    }
}
