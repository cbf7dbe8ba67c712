//! The simulated disk: what a file system holds, what of it is durable, and what a power loss
//! may leave.
//!
//! A plain synchronous data structure without time, faults or tasks, so that it can be tested,
//! cloned and driven alone. Everything is keyed by inode, never by path.
//!
//! # The model
//! * What was done and is not durable is a set of **persist nodes**: writes to units (pages or
//!   sectors), new lengths, new meanings of names. The disk's [`Profile`] orders them: this one
//!   cannot persist without that one. A power loss leaves any part of them that respects the
//!   order; see [`Pending`].
//! * A file's pages have versions: the durable one and one more per write since. Of each unit one
//!   version stays, never a mix of writes; the first lost write of a page may be torn at sector
//!   (512 byte) granularity where the profile says so.
//! * A grown length without its data reads as zeros.
//! * [`Disk::complete`] of a barrier makes durable what the profile says it covers of what was
//!   there when the barrier began.
//! * A failed sync leaves the pages as they are in the cache, clean: no later sync covers them
//!   until they are written again (fsync(2); Rebello et al., USENIX ATC 2020).
//! * A process crash loses nothing of this: the cache belongs to the kernel.
//!
//! # How
//! The content seen by readers is stored once; each pending write keeps the bytes it replaced. A
//! sync forgets those undo bytes; a power loss plays those of the lost writes backwards. So writing
//! costs two copies of the bytes, a sync costs nothing per byte, and no page is kept twice. The
//! order of persist nodes is worked out only when the power goes.

mod barrier;
mod content;
mod distinct;
mod errors;
mod extent;
mod file;
mod images;
mod log_tree;
mod looks;
mod loss;
mod media;
mod names;
mod near;
mod pages;
mod pending;
mod reach;
mod reads;
#[cfg(test)]
mod tests;
mod unstable;

use std::io;
use std::panic::Location;

use seedbed_env::{DirEntry, FileKind, OpenOptions};
use seedbed_faults::{Growth, NameOrder, Profile};
use slab::Slab;
use xxhash_rust::xxh3::Xxh3Default;

use file::FileData;
use names::{DirData, NameVersion, Place};

pub use barrier::{Barrier, SyncKind};
pub use distinct::CrashImage;
pub use errors::ErrSeq;
pub use extent::WriteBack;
pub use images::{Bounds, ImageCount, Tear};
pub use loss::{Chooser, Lost};
pub use media::Damage;
pub use pending::{Kept, NodeOp, Pending, PersistNode};
pub use reach::Witness;
pub use reads::Reads;
pub use unstable::{Junk, Spoil};

/// Where in the engine's source a change came from, if that is known.
pub type Site = Option<&'static Location<'static>>;

/// Bytes in a page: the unit that has versions.
pub const PAGE: usize = 4096;
/// Bytes in a sector: the unit that is never torn.
pub const SECTOR: usize = 512;
/// The largest length of a simulated file; beyond it writes fail with `FileTooLarge`.
pub const FILE_LEN_MAX: u64 = 1 << 30;

/// An inode number; handles hold it, so it stays valid while the file is open.
pub type Ino = u32;

/// The root directory's inode number.
const ROOT: Ino = 0;

/// A simulated disk with one file system; see the module's documentation.
#[derive(Clone, Debug)]
pub struct Disk {
    inodes: Slab<Inode>,
    /// Numbers every change, in program order.
    seq: u64,
    /// Bytes of pages in use.
    used: u64,
    /// Bytes there are; `u64::MAX` is no limit.
    capacity: u64,
    profile: Profile,
    /// The last operation in the profile's metadata order that may still be lost, 0 if none.
    journal_end: u64,
    /// Who is calling.
    site: Site,
    /// Barriers completed or failed so far.
    barriers: u64,
    /// The journal stops at its next commit.
    aborting: bool,
    /// The file system has given up; see [`Disk::shut_down`].
    is_shut_down: bool,
    /// Files and directories there may be; `usize::MAX` is no limit.
    inodes_max: usize,
    /// The device below.
    device: Device,
    /// What lies in the device's cache: a flush makes it durable.
    cached: Vec<Cached>,
}

/// What a disk knows of the device below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// A power loss takes what was written back since the last flush.
    pub volatile_cache: bool,
    /// Pages may be torn, if the profile says so as well.
    pub tears: bool,
    /// A write that a power loss catches leaves its neighbours in the page alone.
    pub powersafe_overwrite: bool,
    /// The junk of a power loss is in exactly the bytes of one write that nothing had made durable.
    pub garbage_in_write: bool,
}

impl Default for Device {
    fn default() -> Self {
        Self {
            volatile_cache: true,
            tears: true,
            powersafe_overwrite: true,
            garbage_in_write: false,
        }
    }
}

/// Something that was written to the device and not flushed.
#[derive(Clone, Copy, Debug)]
enum Cached {
    /// A whole sync.
    Sync(Barrier),
    /// A unit of a file, up to an operation.
    Unit { ino: Ino, unit: u32, upto: u64 },
}

impl Cached {
    /// Adds it to a hash; operations are numbered from `first` on.
    fn hash(&self, first: u64, hash: &mut Xxh3Default) {
        match self {
            Self::Sync(barrier) => barrier.hash(first, hash),
            Self::Unit { ino, unit, upto } => {
                hash.update(&[7]);
                hash.update(&ino.to_le_bytes());
                hash.update(&unit.to_le_bytes());
                hash.update(&upto.wrapping_sub(first).to_le_bytes());
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Inode {
    node: Node,
    /// Names that stand for it, in any version that may still come back.
    links: u32,
    /// Open handles.
    handles: u32,
    /// A log tree has held it since the last commit.
    logged: bool,
    /// What the last commit holds of a file that the log tree holds newer.
    committed: Option<Box<FileData>>,
    /// Errors of writing it back.
    errors: ErrSeq,
}

impl Inode {
    fn new(node: Node) -> Self {
        let (links, handles, logged, committed) = (0, 0, false, None);
        Self { node, links, handles, logged, committed, errors: ErrSeq::default() }
    }
}

#[derive(Clone, Debug)]
enum Node {
    File(FileData),
    Dir(DirData),
}

/// The operating system's error numbers (Linux, and macOS for these; Windows' own on Windows).
pub mod os_code {
    /// Bad file descriptor: the handle has not the access the call needs.
    pub const EBADF: i32 = if cfg!(windows) { 6 } else { 9 };
    /// Input/output error.
    pub const EIO: i32 = if cfg!(windows) { 1117 } else { 5 };
    /// File exists.
    pub const EEXIST: i32 = if cfg!(windows) { 183 } else { 17 };
    /// Not a directory.
    pub const ENOTDIR: i32 = if cfg!(windows) { 267 } else { 20 };
    /// Operation not permitted.
    pub const EPERM: i32 = if cfg!(windows) { 5 } else { 1 };
    /// Is a directory.
    pub const EISDIR: i32 = if cfg!(windows) { 5 } else { 21 };
    /// No such file or directory.
    pub const ENOENT: i32 = 2;
    /// Invalid argument.
    pub const EINVAL: i32 = if cfg!(windows) { 87 } else { 22 };
    /// File too large.
    pub const EFBIG: i32 = if cfg!(windows) { 223 } else { 27 };
    /// Read-only file system.
    pub const EROFS: i32 = if cfg!(windows) { 19 } else { 30 };
    /// Too many open files.
    pub const EMFILE: i32 = if cfg!(windows) { 4 } else { 24 };
    /// Disk quota exceeded.
    pub const EDQUOT: i32 = if cfg!(windows) {
        1295
    } else if cfg!(target_os = "macos") {
        69
    } else {
        122
    };
    /// No space left on device.
    pub const ENOSPC: i32 = if cfg!(windows) { 112 } else { 28 };
    /// Directory not empty.
    pub const ENOTEMPTY: i32 = if cfg!(windows) {
        145
    } else if cfg!(target_os = "macos") {
        66
    } else {
        39
    };
}

fn os_error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

impl Disk {
    /// An empty disk without a size limit.
    pub fn new() -> Self {
        Self::with_profile(Profile::POSIX)
    }

    /// An empty disk whose file system promises what `profile` says.
    pub fn with_profile(profile: Profile) -> Self {
        let mut disk = Self {
            inodes: Slab::new(),
            seq: 0,
            used: 0,
            capacity: u64::MAX,
            profile,
            journal_end: 0,
            site: None,
            barriers: 0,
            aborting: false,
            is_shut_down: false,
            inodes_max: usize::MAX,
            device: Device::default(),
            cached: Vec::new(),
        };
        disk.format(profile);
        disk
    }

    /// Empties the disk, keeping its allocations.
    pub(crate) fn format(&mut self, profile: Profile) {
        self.profile = profile;
        self.journal_end = 0;
        self.site = None;
        self.barriers = 0;
        // Every change is numbered: without one the root is as it was made.
        if self.seq > 0 || self.inodes.is_empty() {
            self.inodes.clear();
            let root = Inode { links: 1, ..Inode::new(Node::Dir(DirData::default())) };
            assert_eq!(self.inodes.insert(root) as Ino, ROOT);
        }
        self.seq = 0;
        self.used = 0;
        self.capacity = u64::MAX;
        self.aborting = false;
        self.is_shut_down = false;
        self.inodes_max = usize::MAX;
        self.device = Device::default();
        self.cached.clear();
    }

    /// Limits the disk to `bytes` of pages (metadata is free).
    pub fn set_capacity(&mut self, bytes: u64) {
        self.capacity = bytes;
    }

    /// Sets what the device below is.
    pub fn set_device(&mut self, device: Device) {
        self.device = device;
    }

    /// Limits how many files and directories there may be, besides the root.
    pub fn set_inodes_max(&mut self, inodes: u64) {
        self.inodes_max = usize::try_from(inodes).map_or(usize::MAX, |max| max.saturating_add(1));
    }

    /// What the file system promises.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Grows with everything that changes what is there or what is durable.
    pub(crate) fn revision(&self) -> (u64, u64) {
        (self.seq, self.barriers)
    }

    /// Whose the next changes are, for reports.
    pub fn set_site(&mut self, site: Site) {
        self.site = site;
    }

    /// Bytes of pages in use.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Opens or creates a file and counts a handle on it; see [`Disk::close`].
    ///
    /// # Errors
    /// As the operating system's: `NotFound`, `AlreadyExists`, `IsADirectory`, `InvalidInput`;
    /// ENOSPC if there are as many files as there may be.
    pub fn open(&mut self, path: &str, options: OpenOptions) -> io::Result<Ino> {
        options.validate()?;
        if self.is_shut_down && options.write {
            return Err(os_error(os_code::EROFS));
        }
        let (dir, name) = self.parent(path)?;
        let ino = match self.dir(dir)?.get(name) {
            Some(_) if options.create_new => return Err(os_error(os_code::EEXIST)),
            Some(ino) => ino,
            None if options.create || options.create_new => {
                let fixed_len = self.profile.growth == Growth::Immediate;
                let file = FileData::new(self.profile.unit, fixed_len);
                self.add_inode(dir, name, Node::File(file))?
            }
            None => return Err(os_error(os_code::ENOENT)),
        };
        // A directory does not open.
        self.file_mut(ino)?;
        if options.truncate {
            self.set_len(ino, 0)?;
        }
        self.inodes[ino as usize].handles += 1;
        Ok(ino)
    }

    /// Gives back a handle taken by [`Disk::open`].
    pub fn close(&mut self, ino: Ino) {
        let inode = &mut self.inodes[ino as usize];
        assert!(inode.handles > 0, "closed a file that was not open");
        inode.handles -= 1;
        self.free_if_unused(ino);
    }

    /// Reads what readers see; returns the bytes read, 0 at the end of the file.
    pub fn read_at(&self, ino: Ino, buf: &mut [u8], offset: u64) -> usize {
        match &self.inodes[ino as usize].node {
            Node::File(file) => file.read_at(buf, offset),
            Node::Dir(_) => 0,
        }
    }

    /// Writes bytes at `offset`; returns how many were written: fewer than given if space ran out
    /// after some.
    ///
    /// # Errors
    /// ENOSPC if no byte fits, EFBIG beyond [`FILE_LEN_MAX`], EIO for a part of an unreadable page.
    #[inline]
    pub fn write_at(&mut self, ino: Ino, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > FILE_LEN_MAX {
            return Err(os_error(os_code::EFBIG));
        }
        let free = self.capacity.saturating_sub(self.used);
        let Node::File(file) = &mut self.inodes[ino as usize].node else {
            return Err(os_error(os_code::EISDIR));
        };
        if !file.unreadable.is_empty() {
            file.make_readable(offset, bytes.len())?;
        }
        self.seq += 1;
        let by = (self.seq, self.site);
        let (written, grown) = file.write_at(bytes, offset, free, by);
        self.used += grown;
        if self.profile.growth == Growth::AtWrite {
            self.journal_end = self.seq;
        }
        if written == 0 && !bytes.is_empty() {
            return Err(os_error(os_code::ENOSPC));
        }
        Ok(written)
    }

    /// Cuts or extends a file.
    ///
    /// # Errors
    /// EFBIG beyond [`FILE_LEN_MAX`].
    pub fn set_len(&mut self, ino: Ino, len: u64) -> io::Result<()> {
        if len > FILE_LEN_MAX {
            return Err(os_error(os_code::EFBIG));
        }
        let by = (self.next_seq(), self.site);
        let file = self.file_mut(ino)?;
        // What is cut off is not read any more.
        if !file.unreadable.is_empty() {
            file.unreadable.retain(|page| u64::from(*page) * PAGE as u64 <= len.saturating_sub(1));
        }
        if len == 0 {
            file.unreadable.clear();
        }
        if file.set_len(len, by) {
            self.journal_end = self.seq;
        }
        Ok(())
    }

    /// The length readers see, in bytes.
    pub fn len(&self, ino: Ino) -> u64 {
        match &self.inodes[ino as usize].node {
            Node::File(file) => file.len(),
            Node::Dir(_) => 0,
        }
    }

    /// Creates a directory.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound` (the parent), ENOSPC as for files.
    pub fn create_dir(&mut self, path: &str) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        if self.dir(dir)?.get(name).is_some() {
            return Err(os_error(os_code::EEXIST));
        }
        self.add_inode(dir, name, Node::Dir(DirData::default()))?;
        Ok(())
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, `DirectoryNotEmpty`.
    pub fn remove_dir(&mut self, path: &str) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        let ino = self.dir(dir)?.get(name).ok_or_else(|| os_error(os_code::ENOENT))?;
        if !self.dir(ino)?.is_empty() {
            return Err(os_error(os_code::ENOTEMPTY));
        }
        self.unbind(dir, name);
        Ok(())
    }

    /// Removes a file's name; open handles keep working.
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory`.
    pub fn remove_file(&mut self, path: &str) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        let ino = self.dir(dir)?.get(name).ok_or_else(|| os_error(os_code::ENOENT))?;
        if self.is_dir(ino) {
            return Err(os_error(os_code::EISDIR));
        }
        self.unbind(dir, name);
        Ok(())
    }

    /// Renames a file or directory, replacing a file (or an empty directory by a directory).
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory`, `NotADirectory`, `DirectoryNotEmpty`, and `InvalidInput` for a
    /// directory moved below itself.
    pub fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        let ino = self.dir(from_dir)?.get(from_name).ok_or_else(|| os_error(os_code::ENOENT))?;
        let moves_dir = self.is_dir(ino);
        let target = self.dir(to_dir)?.get(to_name);
        // Two names of one file, or a rename onto itself: nothing happens (rename(2)).
        if target == Some(ino) {
            return Ok(());
        }
        if moves_dir && self.is_below(to, ino) {
            return Err(os_error(os_code::EINVAL));
        }
        // A directory cannot be replaced by what is in it.
        if target.is_some_and(|target| self.is_below(from, target)) {
            return Err(os_error(os_code::ENOTEMPTY));
        }
        if let Some(old) = target {
            self.check_replaceable(old, moves_dir)?;
        }
        self.move_name((from_dir, from_name), (to_dir, to_name), ino, target.is_some());
        Ok(())
    }

    /// Gives a file one more name.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists`, EPERM for a directory.
    pub fn hard_link(&mut self, from: &str, to: &str) -> io::Result<()> {
        let ino = self.resolve(from)?;
        let (dir, name) = self.parent(to)?;
        if self.dir(dir)?.get(name).is_some() {
            return Err(os_error(os_code::EEXIST));
        }
        if self.is_dir(ino) {
            return Err(os_error(os_code::EPERM));
        }
        let version = NameVersion { ino: Some(ino), ..self.version() };
        self.bind(dir, name, version);
        self.settle_immediate(&[dir]);
        Ok(())
    }

    /// Lists a directory in name order.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`.
    pub fn read_dir(&self, path: &str) -> io::Result<Vec<DirEntry>> {
        let dir = self.dir(self.resolve(path)?)?;
        let entry = |(name, ino): (&str, Ino)| DirEntry {
            name: name.to_owned(),
            kind: if self.is_dir(ino) { FileKind::Dir } else { FileKind::File },
        };
        Ok(dir.iter().map(entry).collect())
    }

    // --- paths and inodes ---------------------------------------------------------------------

    fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    fn is_dir(&self, ino: Ino) -> bool {
        matches!(self.inodes[ino as usize].node, Node::Dir(_))
    }

    fn dir(&self, ino: Ino) -> io::Result<&DirData> {
        match &self.inodes[ino as usize].node {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(os_error(os_code::ENOTDIR)),
        }
    }

    /// For inodes already known to be directories.
    fn dir_mut(&mut self, ino: Ino) -> &mut DirData {
        match &mut self.inodes[ino as usize].node {
            Node::Dir(dir) => dir,
            Node::File(_) => unreachable!("inode {ino} was a directory"),
        }
    }

    fn file_mut(&mut self, ino: Ino) -> io::Result<&mut FileData> {
        match &mut self.inodes[ino as usize].node {
            Node::File(file) => Ok(file),
            Node::Dir(_) => Err(os_error(os_code::EISDIR)),
        }
    }

    fn resolve(&self, path: &str) -> io::Result<Ino> {
        let mut ino = ROOT;
        for name in components(path) {
            ino = self.dir(ino)?.get(name?).ok_or_else(|| os_error(os_code::ENOENT))?;
        }
        Ok(ino)
    }

    /// The directory a path's last component is in, and that component.
    fn parent<'a>(&self, path: &'a str) -> io::Result<(Ino, &'a str)> {
        let trimmed = path.trim_end_matches('/');
        let (dir, name) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
        if name.is_empty() || name == "." || name == ".." {
            return Err(os_error(os_code::EINVAL));
        }
        let dir = self.resolve(dir)?;
        self.dir(dir)?;
        Ok((dir, name))
    }

    /// Whether `path` leads through the directory `ino`.
    fn is_below(&self, path: &str, ino: Ino) -> bool {
        let mut at = ROOT;
        for name in components(path).map_while(Result::ok) {
            match self.dir(at).ok().and_then(|dir| dir.get(name)) {
                Some(next) if next == ino => return true,
                Some(next) => at = next,
                None => return false,
            }
        }
        false
    }

    fn check_replaceable(&self, old: Ino, by_dir: bool) -> io::Result<()> {
        match &self.inodes[old as usize].node {
            Node::File(_) if by_dir => Err(os_error(os_code::ENOTDIR)),
            Node::Dir(_) if !by_dir => Err(os_error(os_code::EISDIR)),
            Node::Dir(dir) if !dir.is_empty() => Err(os_error(os_code::ENOTEMPTY)),
            _ => Ok(()),
        }
    }

    /// A version of a name made by the next operation.
    fn version(&mut self) -> NameVersion {
        if self.profile.names == NameOrder::LogTree {
            // What a log may hold in between has numbers of its own.
            self.seq += 3;
        }
        NameVersion {
            op: self.next_seq(),
            ino: None,
            pair: None,
            needs_pair: false,
            creates: false,
            replaces: false,
            free: false,
            site: self.site,
        }
    }

    /// Makes an inode with a name.
    fn add_inode(&mut self, dir: Ino, name: &str, node: Node) -> io::Result<Ino> {
        if self.inodes.len() >= self.inodes_max {
            return Err(os_error(os_code::ENOSPC));
        }
        let ino = self.inodes.insert(Inode::new(node)) as Ino;
        self.bind_new(dir, name, ino);
        Ok(ino)
    }

    /// Names a new inode.
    fn bind_new(&mut self, dir: Ino, name: &str, ino: Ino) {
        let version = NameVersion { ino: Some(ino), creates: true, ..self.version() };
        self.bind(dir, name, version);
        self.settle_immediate(&[dir]);
    }

    fn unbind(&mut self, dir: Ino, name: &str) {
        let version = self.version();
        self.bind(dir, name, version);
        self.settle_immediate(&[dir]);
    }

    /// Both halves of a rename. A file's old name goes only if its new one stays; a directory
    /// moves atomically.
    fn move_name(&mut self, from: (Ino, &str), to: (Ino, &str), ino: Ino, replaces: bool) {
        let place = |(dir, name): (Ino, &str)| Some(Place { dir, name: name.into() });
        let mut version = self.version();
        // Both halves go the same way.
        version.free =
            self.joins_log(from.0, from.1, Some(ino)) || self.joins_log(to.0, to.1, None);
        let needs_pair = self.is_dir(ino);
        // ext4 flushes blocks whose allocation is delayed. Space that was allocated in advance has
        // taken their place, and the new length waits for data that nobody writes.
        let is_allocated = self.file_mut(ino).is_ok_and(|file| file.is_allocated);
        let replaces = replaces && !is_allocated;
        let old_needs_pair = needs_pair || self.profile.rename_is_safe;
        let old = NameVersion { pair: place(to), needs_pair: old_needs_pair, ..version.clone() };
        let new =
            NameVersion { ino: Some(ino), pair: place(from), needs_pair, replaces, ..version };
        self.bind(to.0, to.1, new);
        self.bind(from.0, from.1, old);
        self.settle_immediate(&[to.0, from.0]);
    }

    /// Gives a name a new version.
    fn bind(&mut self, dir: Ino, name: &str, version: NameVersion) {
        self.link(version.ino);
        self.journal_end = version.op;
        match self.profile.names {
            NameOrder::LogTree => self.bind_in_log(dir, name, version),
            _ => self.dir_mut(dir).push(name, version),
        }
    }

    /// Where names are durable at once, they are so now.
    fn settle_immediate(&mut self, dirs: &[Ino]) {
        if self.profile.names == NameOrder::Immediate {
            dirs.iter().for_each(|&dir| self.make_names_durable(dir, u64::MAX));
        }
    }

    /// An inode gets one more version of a name.
    fn link(&mut self, ino: Option<Ino>) {
        if let Some(ino) = ino {
            self.inodes[ino as usize].links += 1;
        }
    }

    fn unlink(&mut self, ino: Option<Ino>) {
        if let Some(ino) = ino {
            let inode = &mut self.inodes[ino as usize];
            assert!(inode.links > 0, "inode {ino} lost a name it did not have");
            inode.links -= 1;
            self.free_if_unused(ino);
        }
    }

    fn free_if_unused(&mut self, ino: Ino) {
        let inode = &self.inodes[ino as usize];
        if inode.links > 0 || inode.handles > 0 {
            return;
        }
        match self.inodes.remove(ino as usize).node {
            Node::File(file) => self.used -= file.page_bytes(),
            Node::Dir(dir) => dir.into_inos().for_each(|ino| self.unlink(Some(ino))),
        }
    }
}

/// The components of a path, which starts at the root whether or not it begins with a slash.
fn components(path: &str) -> impl Iterator<Item = io::Result<&str>> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").map(|part| match part {
        ".." => Err(os_error(os_code::EINVAL)),
        part => Ok(part),
    })
}
