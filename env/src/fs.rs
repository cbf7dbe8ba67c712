//! Files and directories, with std's names and shapes.
//!
//! Durability is what these traits are about, so it is spelled out: [`File::sync_data`] and
//! [`File::sync_all`] make a file's bytes and length durable; a *name* (a created, renamed or
//! removed directory entry) is durable only after [`Fs::sync_dir`] of its directory. What a
//! particular file system gives beyond that is not to be relied on.

use std::future::Future;
use std::io;
use std::path::Path;

/// How to open a file; the fields mean what [`std::fs::OpenOptions`]' methods of the same name
/// mean. The last three are open(2)'s and Linux': elsewhere opening with them is an `Unsupported`
/// error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Allow reading.
    pub read: bool,
    /// Allow writing.
    pub write: bool,
    /// Create the file if it does not exist (needs `write`).
    pub create: bool,
    /// Create the file, and fail with `AlreadyExists` if it is there (needs `write`).
    pub create_new: bool,
    /// Cut the file to length zero (needs `write`).
    pub truncate: bool,
    /// `O_APPEND`: every write goes to the end of the file, whatever its offset (needs `write`, and
    /// no `truncate`).
    pub append: bool,
    /// `O_DIRECT`: reads and writes go past the page cache. A write that has returned is not
    /// durable: the device's cache and the metadata still need a sync. Offsets and lengths are
    /// multiples of [`DIRECT_ALIGN`], or the call fails with EINVAL (some file systems take them
    /// all the same); memory may lie anywhere.
    pub direct: bool,
    /// `O_DSYNC`: each write returns when its own bytes are as durable as
    /// [`File::sync_data`] makes them; other bytes of the file are not its business.
    pub dsync: bool,
}

/// What offsets and lengths of `direct` I/O are multiples of, in bytes, on devices with blocks of
/// that size, as the simulated ones have; there are others with blocks of 4096.
pub const DIRECT_ALIGN: u64 = 512;

impl OpenOptions {
    /// No access at all; set what is needed.
    pub const fn new() -> Self {
        Self {
            read: false,
            write: false,
            create: false,
            create_new: false,
            truncate: false,
            append: false,
            direct: false,
            dsync: false,
        }
    }

    /// Opens an existing file for reading.
    pub const fn reading() -> Self {
        Self::new().read(true)
    }

    /// Opens for reading and writing, creating the file if it is missing.
    pub const fn read_write_create() -> Self {
        Self::new().read(true).write(true).create(true)
    }

    /// Sets [`Self::read`].
    pub const fn read(mut self, yes: bool) -> Self {
        self.read = yes;
        self
    }

    /// Sets [`Self::write`].
    pub const fn write(mut self, yes: bool) -> Self {
        self.write = yes;
        self
    }

    /// Sets [`Self::create`].
    pub const fn create(mut self, yes: bool) -> Self {
        self.create = yes;
        self
    }

    /// Sets [`Self::create_new`].
    pub const fn create_new(mut self, yes: bool) -> Self {
        self.create_new = yes;
        self
    }

    /// Sets [`Self::truncate`].
    pub const fn truncate(mut self, yes: bool) -> Self {
        self.truncate = yes;
        self
    }

    /// Sets [`Self::append`].
    pub const fn append(mut self, yes: bool) -> Self {
        self.append = yes;
        self
    }

    /// Sets [`Self::direct`].
    pub const fn direct(mut self, yes: bool) -> Self {
        self.direct = yes;
        self
    }

    /// Sets [`Self::dsync`].
    pub const fn dsync(mut self, yes: bool) -> Self {
        self.dsync = yes;
        self
    }

    /// Whether the combination is one the operating system would take.
    ///
    /// # Errors
    /// `InvalidInput` when no access is asked for, when a creating, truncating or appending option
    /// is given without `write`, or `append` with `truncate`.
    pub fn validate(&self) -> io::Result<()> {
        let changes = self.create || self.create_new || self.truncate || self.append;
        let clashes = self.append && self.truncate;
        if !clashes && (self.write || self.read && !changes) {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "open needs read or write; create, create_new, truncate and append need write; append \
             and truncate exclude each other",
        ))
    }
}

/// What a directory entry names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The last component of the path.
    pub name: String,
    /// What the name stands for.
    pub kind: FileKind,
}

/// An open file. Closing is dropping, and is not a sync.
pub trait File: Send + Sync + Sized + 'static {
    /// Reads at most `buf.len()` bytes at `offset`; 0 means end of file (or an empty buffer).
    /// May return fewer bytes than are there.
    #[track_caller]
    fn read_at(
        &self,
        buf: &mut [u8],
        offset: u64,
    ) -> impl Future<Output = io::Result<usize>> + Send;

    /// Writes at most `buf.len()` bytes at `offset`, growing the file if needed. May write fewer
    /// bytes than were given. A file opened with `append` is written at its end instead.
    #[track_caller]
    fn write_at(&self, buf: &[u8], offset: u64) -> impl Future<Output = io::Result<usize>> + Send;

    /// Makes data and length durable (`fdatasync`).
    ///
    /// After an error it is unknown which of the bytes written since the last success are
    /// durable, and a later success does not cover them (fsync(2), "Rebello et al., Can
    /// Applications Recover from fsync Failures?", ATC'20).
    #[track_caller]
    fn sync_data(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Makes data, length and attributes durable (`fsync`). Errors as for [`Self::sync_data`].
    #[track_caller]
    fn sync_all(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Writes back the pages of a range and waits for them (sync_file_range(2), Linux; elsewhere
    /// an `Unsupported` error). `len` 0 is up to the end of the file.
    ///
    /// **Not a sync**: the device's cache is not flushed, and neither the file's length nor what
    /// else is needed to find new bytes is written.
    #[track_caller]
    fn sync_range(&self, offset: u64, len: u64) -> impl Future<Output = io::Result<()>> + Send;

    /// Allocates space for a range, which reads as zeros where there was nothing (fallocate(2),
    /// Linux; elsewhere, and on file systems that cannot, an `Unsupported` error). The file gets
    /// longer to hold it, unless `keep_size`.
    #[track_caller]
    fn allocate(
        &self,
        offset: u64,
        len: u64,
        keep_size: bool,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Cuts or extends (with zeros) the file to `len` bytes.
    #[track_caller]
    fn set_len(&self, len: u64) -> impl Future<Output = io::Result<()>> + Send;

    /// The file's length in bytes.
    #[track_caller]
    fn len(&self) -> impl Future<Output = io::Result<u64>> + Send;

    /// Whether the file has no bytes.
    #[track_caller]
    fn is_empty(&self) -> impl Future<Output = io::Result<bool>> + Send {
        let len = self.len();
        async move { Ok(len.await? == 0) }
    }

    /// Reads exactly `buf.len()` bytes at `offset`, continuing after short reads.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before the buffer is full.
    #[track_caller]
    fn read_exact_at(
        &self,
        buf: &mut [u8],
        offset: u64,
    ) -> impl Future<Output = io::Result<()>> + Send {
        async move {
            let mut done = 0;
            while done < buf.len() {
                match self.read_at(&mut buf[done..], offset + done as u64).await {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(read) => done += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        }
    }

    /// Writes all of `buf` at `offset`, continuing after short writes.
    ///
    /// # Errors
    /// `WriteZero` if a write makes no progress. After any error a prefix may be written.
    #[track_caller]
    fn write_all_at(&self, buf: &[u8], offset: u64) -> impl Future<Output = io::Result<()>> + Send {
        async move {
            let mut done = 0;
            while done < buf.len() {
                match self.write_at(&buf[done..], offset + done as u64).await {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => done += written,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        }
    }
}

/// A file system. Cloning gives another handle to the same one.
pub trait Fs: Clone + Send + Sync + 'static {
    /// The open file of this file system.
    type File: File;

    /// Opens (or creates) a file.
    #[track_caller]
    fn open<P: AsRef<Path> + Send>(
        &self,
        path: P,
        options: OpenOptions,
    ) -> impl Future<Output = io::Result<Self::File>> + Send;

    /// Renames a file or directory, replacing a file at `to`. Atomic for readers; durable only
    /// after [`Self::sync_dir`] of both directories.
    #[track_caller]
    fn rename<P: AsRef<Path> + Send, Q: AsRef<Path> + Send>(
        &self,
        from: P,
        to: Q,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Gives a file one more name; `AlreadyExists` if there is one. Durable only after
    /// [`Self::sync_dir`] of its directory.
    #[track_caller]
    fn hard_link<P: AsRef<Path> + Send, Q: AsRef<Path> + Send>(
        &self,
        from: P,
        to: Q,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Removes a file's name. Open handles keep working.
    #[track_caller]
    fn remove_file<P: AsRef<Path> + Send>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Creates one directory; its parent must exist.
    #[track_caller]
    fn create_dir<P: AsRef<Path> + Send>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Removes an empty directory.
    #[track_caller]
    fn remove_dir<P: AsRef<Path> + Send>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Lists a directory in name order. Names that are not UTF-8 are an `InvalidData` error.
    #[track_caller]
    fn read_dir<P: AsRef<Path> + Send>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<Vec<DirEntry>>> + Send;

    /// Makes the names in a directory durable. Does not sync the files they name.
    #[track_caller]
    fn sync_dir<P: AsRef<Path> + Send>(
        &self,
        path: P,
    ) -> impl Future<Output = io::Result<()>> + Send;
}
