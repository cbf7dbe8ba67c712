//! What can be wrong with a trace; every message says what, where, the last good event if there is
//! one, and what to do.

use std::io;
use std::path::PathBuf;

/// A trace that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The operating system refused.
    #[error("cannot {action} the trace {}: {source}{}", path.display(), io_hint(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// `read` or `write`.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file has no bytes.
    #[error("{}: the file is empty: the run that made it did not get to write; run it again",
        path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file starts like something else.
    #[error("{}: not a trace: it starts with \"{found}\" instead of \"SEEDBED\\n\"",
        path.display())]
    NotATrace {
        /// The file.
        path: PathBuf,
        /// Its first bytes, escaped.
        found: String,
    },
    /// The format is newer than this reader.
    #[error(
        "{}: made by a newer seedbed: its format is {found}, the newest known here is \
         {supported}; update seedbed to read it",
        path.display()
    )]
    FutureVersion {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: u16,
        /// Newest version that can be read.
        supported: u16,
    },
    /// The file uses features that this reader does not know.
    #[error(
        "{}: made by a newer seedbed: it uses the unknown features {found:#06x}; update seedbed \
         to read it",
        path.display()
    )]
    UnknownFlags {
        /// The file.
        path: PathBuf,
        /// The flags in the file.
        found: u16,
    },
    /// The file breaks off inside a frame.
    #[error(
        "{}: cut off at byte {offset}: copying or writing it was interrupted; copy it again, or \
         salvage what is there{}",
        path.display(), last_good(last_event)
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Where it breaks off, in bytes from the start.
        offset: u64,
        /// The last good event, rendered.
        last_event: Option<String>,
    },
    /// A part is not what was written.
    #[error(
        "{}: damaged at byte {offset}: {reason}; copy it again, or salvage what came before{}",
        path.display(), last_good(last_event)
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the bad part starts, in bytes from the start.
        offset: u64,
        /// What is wrong with it.
        reason: String,
        /// The last good event, rendered.
        last_event: Option<String>,
    },
    /// All frames are good, but the one that ends a trace is missing.
    #[error(
        "{}: it has no end: the run that made it was stopped at byte {offset}; salvage what is \
         there, or run its seed again{}",
        path.display(), last_good(last_event)
    )]
    NoEnd {
        /// The file.
        path: PathBuf,
        /// Length of the file, in bytes.
        offset: u64,
        /// The last good event, rendered.
        last_event: Option<String>,
    },
    /// More than a trace may hold.
    #[error("{}: {what} is beyond the limit of a trace, {limit}; record a shorter run",
        path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is too large.
        what: &'static str,
        /// The limit, in the unit of `what`.
        limit: u64,
    },
    /// The end does not count what was recorded: a mistake in the recorder.
    #[error(
        "{}: the end counts {declared} {what}, but {held} were recorded: the recorder is wrong",
        path.display()
    )]
    Miscounted {
        /// The file.
        path: PathBuf,
        /// `events` or `decisions`.
        what: &'static str,
        /// Number in the end.
        declared: u64,
        /// Number in the trace.
        held: u64,
    },
}

fn last_good(event: &Option<String>) -> String {
    match event {
        Some(event) => format!("; the last good event is: {event}"),
        None => "; no event before it is readable".to_owned(),
    }
}

fn io_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ": check the rights of the file and its folder, or choose another folder"
        }
        io::ErrorKind::NotFound => ": check the path",
        io::ErrorKind::StorageFull => ": make room, or choose another folder",
        _ => "",
    }
}
