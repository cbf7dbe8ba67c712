//! Real files. Linux first; macOS and Windows differ only in the helpers at the end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::OsEnv;
use crate::cpu::{self, Class, CpuAccounts};
use crate::{DirEntry, File, FileKind, Fs, OpenOptions};

#[cfg(target_os = "linux")]
use super::linux as extra;

/// A file of the operating system.
#[derive(Clone, Debug)]
pub struct OsFile {
    file: Arc<fs::File>,
    /// Opened with `O_DIRECT`.
    direct: bool,
    /// Opened with `O_DSYNC`.
    dsync: bool,
    env: OsEnv,
}

/// Calls on the blocking pool, where their thread is metered.
static DISK: Class = Class::new("disk");

/// Where memory of `O_DIRECT` lies: enough for every device, in bytes.
const MEMORY_ALIGN: usize = 4096;

/// A buffer that `O_DIRECT` takes, and where in it the aligned part begins.
fn aligned(len: usize) -> (Vec<u8>, usize) {
    let memory = vec![0_u8; len + MEMORY_ALIGN];
    let start = memory.as_ptr().align_offset(MEMORY_ALIGN);
    assert!(start < MEMORY_ALIGN, "a byte's alignment can be reached");
    (memory, start)
}

impl OsFile {
    /// Reads past the page cache, which takes as long as the device does.
    async fn read_direct(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let (file, len) = (Arc::clone(&self.file), buf.len());
        let (memory, start, read) = self
            .env
            .off_reactor(move || {
                let (mut memory, start) = aligned(len);
                let read = positional::read_at(&file, &mut memory[start..start + len], offset)?;
                Ok((memory, start, read))
            })
            .await?;
        buf[..read].copy_from_slice(&memory[start..start + read]);
        Ok(read)
    }

    /// Writes past the page cache, or until it is durable.
    async fn write_through(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let (mut memory, start) = aligned(buf.len());
        memory[start..start + buf.len()].copy_from_slice(buf);
        let (file, range) = (Arc::clone(&self.file), start..start + buf.len());
        self.env.off_reactor(move || positional::write_at(&file, &memory[range], offset)).await
    }
}

impl OsEnv {
    /// Runs a call that may block for milliseconds on tokio's blocking pool, or here if that is
    /// wanted.
    async fn off_reactor<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        if self.inner.inline {
            return cpu::run(&DISK, call);
        }
        let accounts = self.inner.accounts.clone();
        let call = move || {
            accounts.iter().for_each(CpuAccounts::enroll);
            cpu::run(&DISK, call)
        };
        match tokio::task::spawn_blocking(call).await {
            Ok(result) => result,
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

impl File for OsFile {
    async fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = match self.direct {
            true => self.read_direct(buf, offset).await,
            false => positional::read_at(&self.file, buf, offset),
        }?;
        self.env.inner.counters.read(read);
        Ok(read)
    }

    async fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let written = match self.direct || self.dsync {
            true => self.write_through(buf, offset).await,
            false => positional::write_at(&self.file, buf, offset),
        }?;
        let counters = &self.env.inner.counters;
        counters.written(written);
        if self.dsync {
            counters.sync();
        }
        Ok(written)
    }

    async fn sync_data(&self) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        self.env.inner.counters.sync();
        self.env.off_reactor(move || file.sync_data()).await
    }

    async fn sync_all(&self) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        self.env.inner.counters.sync();
        self.env.off_reactor(move || file.sync_all()).await
    }

    async fn sync_range(&self, offset: u64, len: u64) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        self.env.inner.counters.sync();
        self.env.off_reactor(move || extra::sync_range(&file, offset, len)).await
    }

    async fn allocate(&self, offset: u64, len: u64, keep_size: bool) -> io::Result<()> {
        extra::allocate(&self.file, offset, len, keep_size)
    }

    async fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    async fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

impl Fs for OsEnv {
    type File = OsFile;

    async fn open<P: AsRef<Path> + Send>(
        &self,
        path: P,
        options: OpenOptions,
    ) -> io::Result<OsFile> {
        options.validate()?;
        let path = self.resolve(path.as_ref());
        let mut std = fs::OpenOptions::new();
        std.read(options.read)
            .write(options.write)
            .create(options.create)
            .create_new(options.create_new)
            .truncate(options.truncate);
        extra::set_flags(&mut std, options)?;
        let file = std.open(&path)?;
        // Linux opens a directory for reading; the seam's files are never directories.
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(OsFile {
            file: Arc::new(file),
            direct: options.direct,
            dsync: options.dsync,
            env: self.clone(),
        })
    }

    async fn rename<P: AsRef<Path> + Send, Q: AsRef<Path> + Send>(
        &self,
        from: P,
        to: Q,
    ) -> io::Result<()> {
        fs::rename(self.resolve(from.as_ref()), self.resolve(to.as_ref()))
    }

    async fn hard_link<P: AsRef<Path> + Send, Q: AsRef<Path> + Send>(
        &self,
        from: P,
        to: Q,
    ) -> io::Result<()> {
        fs::hard_link(self.resolve(from.as_ref()), self.resolve(to.as_ref()))
    }

    async fn remove_file<P: AsRef<Path> + Send>(&self, path: P) -> io::Result<()> {
        fs::remove_file(self.resolve(path.as_ref()))
    }

    async fn create_dir<P: AsRef<Path> + Send>(&self, path: P) -> io::Result<()> {
        fs::create_dir(self.resolve(path.as_ref()))
    }

    async fn remove_dir<P: AsRef<Path> + Send>(&self, path: P) -> io::Result<()> {
        fs::remove_dir(self.resolve(path.as_ref()))
    }

    async fn read_dir<P: AsRef<Path> + Send>(&self, path: P) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.resolve(path.as_ref()))? {
            let entry = entry?;
            let name = entry.file_name().into_string().map_err(|name| {
                let message = format!("the file name {name:?} is not UTF-8: rename or remove it");
                io::Error::new(io::ErrorKind::InvalidData, message)
            })?;
            let kind = if entry.file_type()?.is_dir() { FileKind::Dir } else { FileKind::File };
            entries.push(DirEntry { name, kind });
        }
        entries.sort_unstable();
        Ok(entries)
    }

    async fn sync_dir<P: AsRef<Path> + Send>(&self, path: P) -> io::Result<()> {
        let path = self.resolve(path.as_ref());
        self.inner.counters.dir_sync();
        self.off_reactor(move || sync_directory(path)).await
    }
}

#[cfg(unix)]
fn sync_directory(path: PathBuf) -> io::Result<()> {
    let dir = fs::File::open(path)?;
    if !dir.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    dir.sync_all()
}

/// Windows has no directory sync: NTFS journals names itself. Only the path is checked.
#[cfg(not(unix))]
fn sync_directory(path: PathBuf) -> io::Result<()> {
    match fs::metadata(path)?.is_dir() {
        true => Ok(()),
        false => Err(io::ErrorKind::NotADirectory.into()),
    }
}

#[cfg(not(target_os = "linux"))]
mod extra {
    //! What only Linux has. Nothing here stands in for it: what it would promise is not so.
    use std::fs;
    use std::io;

    use crate::OpenOptions;

    fn unsupported<T>(what: &str) -> io::Result<T> {
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("{what} is Linux' only")))
    }

    pub(super) fn set_flags(_: &mut fs::OpenOptions, options: OpenOptions) -> io::Result<()> {
        match options.append || options.direct || options.dsync {
            true => unsupported("opening with append, direct or dsync"),
            false => Ok(()),
        }
    }

    pub(super) fn sync_range(_: &fs::File, _: u64, _: u64) -> io::Result<()> {
        unsupported("sync_range")
    }

    pub(super) fn allocate(_: &fs::File, _: u64, _: u64, _: bool) -> io::Result<()> {
        unsupported("allocate")
    }
}

#[cfg(unix)]
mod positional {
    //! pread and pwrite.
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt;

    pub(super) fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buf, offset)
    }

    pub(super) fn write_at(file: &File, buf: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(buf, offset)
    }
}

#[cfg(windows)]
mod positional {
    //! ReadFile and WriteFile with an offset; they move a cursor that nobody uses.
    use std::fs::File;
    use std::io;
    use std::os::windows::fs::FileExt;

    pub(super) fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        file.seek_read(buf, offset)
    }

    pub(super) fn write_at(file: &File, buf: &[u8], offset: u64) -> io::Result<usize> {
        file.seek_write(buf, offset)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::sync::{Either, race};

    /// Whether a sync ends while the only thread that could help is taken.
    fn ends_without_help(env: &OsEnv) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .expect("a runtime");
        let (release, taken) = mpsc::channel::<()>();
        runtime.spawn_blocking(move || taken.recv());
        let ended = runtime.block_on(async {
            let file = env.open("file", OpenOptions::read_write_create()).await.expect("a file");
            file.write_all_at(b"bytes", 0).await.expect("room");
            let sync = async {
                file.sync_data().await?;
                file.sync_all().await?;
                env.sync_dir(".").await
            };
            // Were it not for the other thread, it would end at the first poll.
            match race(sync, async {}).await {
                Either::Left(synced) => synced.is_ok(),
                Either::Right(()) => false,
            }
        });
        drop(release);
        ended
    }

    #[test]
    fn inline_syncs_need_no_other_thread_and_others_do() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(ends_without_help(&OsEnv::with_inline_syncs(dir.path())));
        assert!(!ends_without_help(&OsEnv::new(dir.path())));
    }
}
