//! Real files. Linux first; macOS and Windows differ only in the helpers at the end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::OsEnv;
use crate::{DirEntry, File, FileKind, Fs, OpenOptions};

/// A file of the operating system.
#[derive(Clone, Debug)]
pub struct OsFile(Arc<fs::File>);

/// Runs a call that may block for milliseconds on tokio's blocking pool.
async fn off_reactor<T: Send + 'static>(
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error)),
    }
}

impl File for OsFile {
    async fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        positional::read_at(&self.0, buf, offset)
    }

    async fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        positional::write_at(&self.0, buf, offset)
    }

    async fn sync_data(&self) -> io::Result<()> {
        let file = Arc::clone(&self.0);
        off_reactor(move || file.sync_data()).await
    }

    async fn sync_all(&self) -> io::Result<()> {
        let file = Arc::clone(&self.0);
        off_reactor(move || file.sync_all()).await
    }

    async fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    async fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
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
        let file = fs::OpenOptions::new()
            .read(options.read)
            .write(options.write)
            .create(options.create)
            .create_new(options.create_new)
            .truncate(options.truncate)
            .open(&path)?;
        // Linux opens a directory for reading; the seam's files are never directories.
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(OsFile(Arc::new(file)))
    }

    async fn rename<P: AsRef<Path> + Send, Q: AsRef<Path> + Send>(
        &self,
        from: P,
        to: Q,
    ) -> io::Result<()> {
        fs::rename(self.resolve(from.as_ref()), self.resolve(to.as_ref()))
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
        off_reactor(move || sync_directory(path)).await
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
