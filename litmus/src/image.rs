//! Disk images in memory: anonymous sparse files that loop devices show to the kernel.
//!
//! Invariants: an image vanishes with its last descriptor, so nothing is left behind however this
//! process ends. A snapshot is the image at one instant: it is read again after copying, and taken
//! once more if it changed meanwhile.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, SeekFrom, memfd_create, seek};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 18;
/// Most attempts to read an image while nothing writes to it.
const SNAPSHOTS_MAX: u32 = 100;

/// A disk image.
#[derive(Debug)]
pub(crate) struct Image {
    file: File,
    len: u64,
}

impl Image {
    /// An image of zeros, which take no memory.
    pub(crate) fn new(len: u64) -> io::Result<Self> {
        let file = File::from(memfd_create("seedbed-litmus", MemfdFlags::CLOEXEC)?);
        file.set_len(len)?;
        Ok(Self { file, len })
    }

    /// The file, for a loop device.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// A path by which other processes can open the image while this one has it open.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()).into()
    }

    /// The image as it is at one instant, though it may be in use.
    pub(crate) fn snapshot(&self) -> io::Result<Self> {
        for _ in 0..SNAPSHOTS_MAX {
            let copy = self.copy()?;
            if self.is_same(&copy)? {
                return Ok(copy);
            }
        }
        Err(io::Error::other("the image changes all the time: no instant could be caught"))
    }

    /// Whether both hold the same bytes.
    pub(crate) fn is_same(&self, other: &Self) -> io::Result<bool> {
        assert_eq!(self.len, other.len, "snapshots have the length of their image");
        Ok(self.holds_what_is_in(other)? && other.holds_what_is_in(self)?)
    }

    /// A copy in which pages of zeros take no memory.
    fn copy(&self) -> io::Result<Self> {
        let copy = Self::new(self.len)?;
        self.each_chunk(|bytes, offset| {
            for (index, page) in bytes.chunks(4096).enumerate() {
                if page.iter().any(|byte| *byte != 0) {
                    copy.file.write_all_at(page, offset + 4096 * index as u64)?;
                }
            }
            Ok(true)
        })?;
        Ok(copy)
    }

    /// Whether what takes memory in the other is the same here.
    fn holds_what_is_in(&self, other: &Self) -> io::Result<bool> {
        let mut mine = vec![0; CHUNK];
        other.each_chunk(|bytes, offset| {
            let mine = &mut mine[..bytes.len()];
            self.file.read_exact_at(mine, offset)?;
            Ok(mine == bytes)
        })
    }

    /// Shows everything that is not a hole to a function until that says no; whether it never did.
    fn each_chunk(&self, mut each: impl FnMut(&[u8], u64) -> io::Result<bool>) -> io::Result<bool> {
        let mut buffer = vec![0; CHUNK];
        let mut offset = 0;
        while let Some((from, to)) = self.next_data(offset)? {
            offset = from;
            while offset < to {
                let len = (to - offset).min(CHUNK as u64) as usize;
                self.file.read_exact_at(&mut buffer[..len], offset)?;
                if !each(&buffer[..len], offset)? {
                    return Ok(false);
                }
                offset += len as u64;
            }
        }
        Ok(true)
    }

    /// The first stretch at or after an offset that is not a hole.
    fn next_data(&self, offset: u64) -> io::Result<Option<(u64, u64)>> {
        if offset >= self.len {
            return Ok(None);
        }
        match seek(&self.file, SeekFrom::Data(offset)) {
            Ok(from) => Ok(Some((from, seek(&self.file, SeekFrom::Hole(from))?))),
            Err(rustix::io::Errno::NXIO) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
