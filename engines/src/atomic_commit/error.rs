//! What can go wrong, and what to do then.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::record_log::HeaderError;

/// An error of a [`Store`](super::Store). Cheap to clone: one failure answers many commits.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system failed.
    #[error("{}: cannot {op}: {source}{}", path.display(), advice(source))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        op: &'static str,
        /// The file system's error.
        source: Arc<io::Error>,
    },
    /// A file of the store is damaged. Nothing was changed; restore the directory from a copy.
    #[error("{}: corrupt at byte {offset}: {reason}; restore it from a copy", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where, in bytes.
        offset: u64,
        /// What was found and what was expected.
        reason: String,
    },
    /// A file was written by a later version of this software.
    #[error(
        "{}: format version {found}, this build reads up to {supported}: use a newer build",
        path.display()
    )]
    FutureVersion {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: u32,
        /// The highest version this build reads.
        supported: u32,
    },
    /// A file has a name of the store's but is something else. It was left alone.
    #[error("{}: not a file of this store: move it away or use another folder", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// Whether this commit is done is unknown: it may be there after the store is opened again,
    /// or not. Never after that will it change.
    #[error("commit {seq} is in doubt: {reason}; open the store again to see whether it is there")]
    InDoubt {
        /// The commit's sequence number.
        seq: u64,
        /// What failed.
        reason: Arc<Error>,
    },
    /// Not done, and never will be: the store stopped after an earlier failure. Open it again.
    /// Reading goes on with what was visible.
    #[error("not done: the store stopped after a failure ({reason}); open it again")]
    Poisoned {
        /// The failure.
        reason: Arc<Error>,
    },
    /// Not done: too much is waiting already. Wait for a ticket, then try again.
    #[error("not done: {waiting} commits of {bytes} bytes wait already; try again later")]
    Busy {
        /// Commits that wait.
        waiting: usize,
        /// Their length in bytes.
        bytes: usize,
    },
    /// Not done: the batch or an option breaks a limit.
    #[error("not done: {reason}")]
    Invalid {
        /// Which, and what is allowed.
        reason: String,
    },
    /// Not done: the store was closed.
    #[error("not done: the store was closed")]
    Closed,
}

/// What a user can do about an I/O error, if there is something.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            " (the disk is full: free space, then open the store again)"
        }
        io::ErrorKind::PermissionDenied => " (the store needs to read and write its folder)",
        io::ErrorKind::ReadOnlyFilesystem => " (the store needs a writable file system)",
        _ => "",
    }
}

/// Turns an I/O error into an [`Error::Io`] that says where and at what it happened.
pub(super) fn at<'a>(path: &'a Path, op: &'static str) -> impl FnOnce(io::Error) -> Error + 'a {
    assert!(!op.is_empty(), "an error says what was tried");
    move |source| Error::Io { path: path.to_path_buf(), op, source: Arc::new(source) }
}

/// A damaged file.
pub(super) fn corrupt(path: &Path, offset: u64, reason: impl Into<String>) -> Error {
    let reason = reason.into();
    assert!(!reason.is_empty(), "an error says what was expected");
    Error::Corrupt { path: path.to_path_buf(), offset, reason }
}

/// A file whose header is not acceptable.
pub(super) fn bad_header(path: &Path, error: HeaderError) -> Error {
    assert!(path.file_name().is_some(), "a header is a file's");
    let path = path.to_path_buf();
    match error {
        HeaderError::NotOurs => Error::NotOurs { path },
        HeaderError::FutureVersion { found } => {
            Error::FutureVersion { path, found, supported: crate::record_log::VERSION }
        }
        HeaderError::Damaged { reason } => {
            Error::Corrupt { path, offset: 0, reason: reason.to_owned() }
        }
    }
}
