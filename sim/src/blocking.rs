//! The blocking face of the simulated disk, for engines that are synchronous.
//!
//! The same disk, faults, crash points and decisions as [`SimEnv`]'s, with std-shaped methods that
//! return when the operation is done; simulated time passes meanwhile. No scheduling is claimed:
//! nothing else runs during a call.
//!
//! An operation at which the node crashes returns an error, and so does every later one: the engine
//! is expected to return, and what it does until then changes nothing. [`Sim::run_blocking`] then
//! reports the crash.

use std::io;
use std::panic::Location;
use std::path::Path;

use seedbed_env::{DirEntry, OpenOptions};
use seedbed_faults::OpKind;

use crate::calls::Submitted;
use crate::env::{SimEnv, SimFile, utf8};
use crate::node::DOWN;
use crate::panics;
use crate::sim::Sim;
use crate::world::{Stop, with};

/// The disk of one life of one node, for synchronous code; see the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockingFs {
    env: SimEnv,
}

/// An open file of a [`BlockingFs`].
#[derive(Debug)]
pub struct BlockingFile {
    file: SimFile,
}

/// Lets the operation's time pass.
fn settle<T>(submitted: Submitted<T>) -> io::Result<T> {
    with(|world| world.now = world.now.max(submitted.at));
    if submitted.result.is_none() {
        let put_off = with(|world| world.reset_hung(submitted.at));
        assert_eq!(put_off, None, "nothing goes down while a blocking call hangs");
    }
    or_crashed(submitted.result)
}

/// What a call comes to: an error if the node crashed at it.
fn or_crashed<T>(result: Option<io::Result<T>>) -> io::Result<T> {
    result.unwrap_or_else(|| {
        Err(io::Error::other("the simulated node crashed at this operation; nothing follows it"))
    })
}

impl SimEnv {
    /// The blocking face of this node's disk.
    pub fn blocking(self) -> BlockingFs {
        BlockingFs { env: self }
    }
}

impl Sim {
    /// Runs synchronous code on a node's running life.
    ///
    /// # Errors
    /// [`Stop::Crashed`] if the node crashed meanwhile: then the code's own result is dropped, and
    /// the disk is what the crash left. [`Stop::Panicked`] if it panicked.
    pub fn run_blocking<T>(
        &mut self,
        env: SimEnv,
        run: impl FnOnce(BlockingFs) -> T,
    ) -> Result<T, Stop> {
        panics::hook();
        let result = panics::catch(|| run(env.blocking()));
        match with(|world| world.stop.take()) {
            Some(Stop::Crashed(node, kind)) => {
                if with(|world| world.nodes[node.0 as usize].life) != DOWN {
                    self.crash(node, kind);
                }
                Err(Stop::Crashed(node, kind))
            }
            Some(stop) => Err(stop),
            None => result.map_err(Stop::Panicked),
        }
    }
}

impl BlockingFs {
    /// Opens or creates a file; see [`seedbed_env::Fs::open`].
    ///
    /// # Errors
    /// As the operating system's, and when the node crashes.
    #[track_caller]
    pub fn open(&self, path: impl AsRef<Path>, options: OpenOptions) -> io::Result<BlockingFile> {
        let path = utf8(path.as_ref())?;
        let file = settle(self.env.submit_open(path, options, Location::caller()))?;
        Ok(BlockingFile { file })
    }

    /// Renames a file or directory; see [`seedbed_env::Fs::rename`].
    ///
    /// # Errors
    /// As the operating system's, and when the node crashes.
    #[track_caller]
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        let (from, to) = (utf8(from.as_ref())?, utf8(to.as_ref())?);
        settle(self.env.submit_rename(from, to, Location::caller()))
    }

    /// Gives a file one more name; see [`seedbed_env::Fs::hard_link`].
    ///
    /// # Errors
    /// As the operating system's, and when the node crashes.
    #[track_caller]
    pub fn hard_link(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        let (from, to) = (utf8(from.as_ref())?, utf8(to.as_ref())?);
        settle(self.env.submit_hard_link(from, to, Location::caller()))
    }

    /// Removes a file's name.
    ///
    /// # Errors
    /// As the operating system's, and when the node crashes.
    #[track_caller]
    pub fn remove_file(&self, path: impl AsRef<Path>) -> io::Result<()> {
        settle(self.env.submit_name(OpKind::RemoveFile, utf8(path.as_ref())?, Location::caller()))
    }

    /// Creates a directory.
    ///
    /// # Errors
    /// As the operating system's, and when the node crashes.
    #[track_caller]
    pub fn create_dir(&self, path: impl AsRef<Path>) -> io::Result<()> {
        settle(self.env.submit_name(OpKind::CreateDir, utf8(path.as_ref())?, Location::caller()))
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// As the operating system's, and when the node crashes.
    #[track_caller]
    pub fn remove_dir(&self, path: impl AsRef<Path>) -> io::Result<()> {
        settle(self.env.submit_name(OpKind::RemoveDir, utf8(path.as_ref())?, Location::caller()))
    }

    /// Lists a directory in name order.
    ///
    /// # Errors
    /// As the operating system's, and when the node crashes.
    #[track_caller]
    pub fn read_dir(&self, path: impl AsRef<Path>) -> io::Result<Vec<DirEntry>> {
        let (submitted, entries) =
            self.env.submit_read_dir(utf8(path.as_ref())?, Location::caller());
        settle(submitted)?;
        Ok(entries)
    }

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// As the operating system's, and when the node crashes.
    #[track_caller]
    pub fn sync_dir(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = utf8(path.as_ref())?;
        let barrier = settle(self.env.submit_sync_dir(path, Location::caller()))?;
        or_crashed(self.env.end_sync_dir(barrier))
    }
}

impl BlockingFile {
    /// Reads at most `buf.len()` bytes at `offset`; may read fewer.
    ///
    /// # Errors
    /// As the operating system's, and when the node crashes.
    #[track_caller]
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        settle(self.file.submit_read(buf, offset, Location::caller()))
    }

    /// Writes at most `buf.len()` bytes at `offset`; may write fewer.
    ///
    /// # Errors
    /// As the operating system's, and when the node crashes.
    #[track_caller]
    pub fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let site = Location::caller();
        if self.file.writes_otherwise() {
            let through = settle(self.file.submit_through(buf, offset, site))?;
            return or_crashed(self.file.end_through(through));
        }
        settle(self.file.submit_write(buf, offset, site))
    }

    /// Reads exactly `buf.len()` bytes at `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before; otherwise as [`Self::read_at`].
    #[track_caller]
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            match self.read_at(&mut buf[done..], offset + done as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => done += read,
            }
        }
        Ok(())
    }

    /// Writes all of `buf` at `offset`.
    ///
    /// # Errors
    /// As [`Self::write_at`]; after any error a prefix may be written.
    #[track_caller]
    pub fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            match self.write_at(&buf[done..], offset + done as u64)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => done += written,
            }
        }
        Ok(())
    }

    /// Makes data and length durable (`fdatasync`).
    ///
    /// # Errors
    /// As the operating system's, and when the node crashes.
    #[track_caller]
    pub fn sync_data(&self) -> io::Result<()> {
        self.sync(OpKind::SyncData, Location::caller())
    }

    /// Makes data, length and attributes durable (`fsync`).
    ///
    /// # Errors
    /// As the operating system's, and when the node crashes.
    #[track_caller]
    pub fn sync_all(&self) -> io::Result<()> {
        self.sync(OpKind::SyncAll, Location::caller())
    }

    fn sync(&self, op: OpKind, site: &'static Location<'static>) -> io::Result<()> {
        let barrier = settle(self.file.submit_sync(op, site))?;
        or_crashed(self.file.end_sync(barrier))
    }

    /// Writes back the pages of a range, which is no sync; see [`seedbed_env::File::sync_range`].
    ///
    /// # Errors
    /// As the operating system's, and when the node crashes.
    #[track_caller]
    pub fn sync_range(&self, offset: u64, len: u64) -> io::Result<()> {
        let begun = settle(self.file.submit_sync_range(offset, len, Location::caller()))?;
        or_crashed(self.file.end_sync_range(begun))
    }

    /// Allocates space for a range; see [`seedbed_env::File::allocate`].
    ///
    /// # Errors
    /// As the operating system's, and when the node crashes.
    #[track_caller]
    pub fn allocate(&self, offset: u64, len: u64, keep_size: bool) -> io::Result<()> {
        settle(self.file.submit_allocate(offset, len, keep_size, Location::caller()))
    }

    /// Cuts or extends the file to `len` bytes.
    ///
    /// # Errors
    /// As the operating system's, and when the node crashes.
    #[track_caller]
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        settle(self.file.submit_set_len(len, Location::caller()))
    }

    /// The file's length in bytes.
    ///
    /// # Errors
    /// If the handle's boot is over.
    pub fn len(&self) -> io::Result<u64> {
        self.file.len_now()
    }

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// If the handle's boot is over.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}
