//! Carries steps out with real system calls.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, syncfs};

use crate::errno::Errno;
use crate::mount::Mount;
use crate::setup::FsKind;
use crate::steps::{Flag, PAGE, Step, StepResult, UNRELATED_BYTE, UNRELATED_LEN, UNRELATED_PATH};
use crate::sys;

/// Alignment of buffers and extents that any `O_DIRECT` is content with.
const DIRECT_ALIGN: usize = 4096;

/// The open files of one workload on one mounted file system.
pub(crate) struct Handles<'a> {
    mount: &'a Mount,
    kind: FsKind,
    root: PathBuf,
    open: BTreeMap<String, File>,
}

impl<'a> Handles<'a> {
    pub(crate) fn new(mount: &'a Mount, kind: FsKind) -> Self {
        Self { mount, kind, root: mount.path(), open: BTreeMap::new() }
    }

    /// Carries out one step. A handle that is not open gives `EBADF`.
    pub(crate) fn step(&mut self, step: &Step) -> StepResult {
        self.carry_out(step).map_err(|error| Errno::from(&error))
    }

    fn carry_out(&mut self, step: &Step) -> io::Result<()> {
        match step {
            Step::Open { handle, path, flags } => {
                let file = open(&self.at(path), flags)?;
                self.open.insert(handle.clone(), file);
                Ok(())
            }
            Step::Write { handle, offset, len, byte } => {
                write(self.file(handle)?, *offset, *len, *byte)
            }
            Step::Append { handle, len, byte } => append(self.file(handle)?, *len, *byte),
            Step::SetLen { handle, len } => self.file(handle)?.set_len(*len),
            Step::Allocate { handle, offset, len, keep_size } => {
                let keep = FallocateFlags::KEEP_SIZE;
                let flags = if *keep_size { keep } else { FallocateFlags::empty() };
                Ok(fallocate(self.file(handle)?, flags, *offset, *len)?)
            }
            Step::Fsync(handle) => self.file(handle)?.sync_all(),
            Step::Fdatasync(handle) => self.file(handle)?.sync_data(),
            Step::SyncRange { handle, offset, len } => {
                sys::sync_range(self.file(handle)?, *offset, *len)
            }
            Step::Writeback { handle, page } => {
                sys::sync_range(self.file(handle)?, page * PAGE, PAGE)
            }
            Step::Close(handle) => {
                let closed = self.open.remove(handle);
                closed.map(drop).ok_or_else(bad_handle)
            }
            Step::FsyncDir(path) => File::open(self.at(path))?.sync_all(),
            Step::Mkdir(path) => fs::create_dir(self.at(path)),
            Step::Rmdir(path) => fs::remove_dir(self.at(path)),
            Step::Rename(from, to) => fs::rename(self.at(from), self.at(to)),
            Step::Link(from, to) => fs::hard_link(self.at(from), self.at(to)),
            Step::Unlink(path) => fs::remove_file(self.at(path)),
            Step::Unrelated => self.unrelated(),
            Step::Commit => match self.kind {
                FsKind::Btrfs => sys::commit_btrfs(self.mount.open_root()?),
                FsKind::Ext4 | FsKind::Xfs => self.unrelated(),
            },
            Step::Syncfs => Ok(syncfs(self.mount.open_root()?)?),
            Step::Crash => Ok(()),
        }
    }

    fn unrelated(&self) -> io::Result<()> {
        let file = open(&self.at(UNRELATED_PATH), &BTreeSet::new())?;
        append(&file, UNRELATED_LEN, UNRELATED_BYTE)?;
        file.sync_all()
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn file(&self, handle: &str) -> io::Result<&File> {
        self.open.get(handle).ok_or_else(bad_handle)
    }
}

fn bad_handle() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}

fn open(path: &Path, flags: &BTreeSet<Flag>) -> io::Result<File> {
    let bits = flags.iter().map(|flag| match flag {
        Flag::Create => libc::O_CREAT,
        Flag::Exclusive => libc::O_EXCL,
        Flag::Truncate => libc::O_TRUNC,
        Flag::Append => libc::O_APPEND,
        Flag::Direct => libc::O_DIRECT,
        Flag::Dsync => libc::O_DSYNC,
    });
    let bits = bits.fold(0, |all, bit| all | bit);
    File::options().read(true).write(true).custom_flags(bits).mode(0o644).open(path)
}

fn append(file: &File, len: u64, byte: u8) -> io::Result<()> {
    write(file, file.metadata()?.len(), len, byte)
}

/// Writes one byte over and over, in one call where the kernel takes it in one, from memory that is
/// aligned for `O_DIRECT`.
fn write(file: &File, offset: u64, len: u64, byte: u8) -> io::Result<()> {
    let len = usize::try_from(len).map_err(io::Error::other)?;
    let buffer = vec![byte; len + DIRECT_ALIGN];
    let start = buffer.as_ptr().align_offset(DIRECT_ALIGN);
    file.write_all_at(&buffer[start..start + len], offset)
}
