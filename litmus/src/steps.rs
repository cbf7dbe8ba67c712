//! The vocabulary of a litmus workload: file operations as plain data, with a text form of a line.
//!
//! ```text
//! open t A/tmp create; write t 0+8192 n; fsync t; rename A/tmp A/tgt; crash
//! ```
//!
//! Handles are short names chosen by the workload, files are named by their path below the root of
//! the file system (the root itself is `.`), and contents are one byte repeated, so that a dump
//! tells at a glance which write it shows.
//!
//! Invariant: parsing what is printed gives the same steps.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::errno::Errno;

/// Bytes of a page, the unit of writeback.
pub const PAGE: u64 = 4096;

/// The file that [`Step::Unrelated`] and [`Step::Commit`] append to. Every base state has it.
pub const UNRELATED_PATH: &str = "U/log";
/// Bytes that are appended to it each time.
pub const UNRELATED_LEN: u64 = PAGE;
/// The byte that these bytes are.
pub const UNRELATED_BYTE: u8 = b'u';

/// How a file is opened, beyond for reading and writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// `O_CREAT`
    Create,
    /// `O_EXCL`
    Exclusive,
    /// `O_TRUNC`
    Truncate,
    /// `O_APPEND`
    Append,
    /// `O_DIRECT`
    Direct,
    /// `O_DSYNC`
    Dsync,
}

impl Flag {
    /// Every flag.
    pub const ALL: [Self; 6] =
        [Self::Create, Self::Exclusive, Self::Truncate, Self::Append, Self::Direct, Self::Dsync];

    /// Its word in the text form.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Exclusive => "excl",
            Self::Truncate => "truncate",
            Self::Append => "append",
            Self::Direct => "direct",
            Self::Dsync => "dsync",
        }
    }
}

/// One operation of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Step {
    /// Opens a file for reading and writing.
    Open {
        /// Its name from now on.
        handle: String,
        /// The file.
        path: String,
        /// Further flags.
        flags: BTreeSet<Flag>,
    },
    /// Writes one byte over and over at an offset.
    Write {
        /// The file.
        handle: String,
        /// First byte.
        offset: u64,
        /// Number of bytes.
        len: u64,
        /// The byte.
        byte: u8,
    },
    /// Writes at the present end of the file.
    Append {
        /// The file.
        handle: String,
        /// Number of bytes.
        len: u64,
        /// The byte.
        byte: u8,
    },
    /// `ftruncate`, to a smaller or a larger length.
    SetLen {
        /// The file.
        handle: String,
        /// Its new length.
        len: u64,
    },
    /// `fallocate`.
    Allocate {
        /// The file.
        handle: String,
        /// First byte.
        offset: u64,
        /// Number of bytes.
        len: u64,
        /// With `FALLOC_FL_KEEP_SIZE`.
        keep_size: bool,
    },
    /// `fsync` of a file.
    Fsync(String),
    /// `fdatasync` of a file.
    Fdatasync(String),
    /// `sync_file_range`: writes the pages of a range and waits for them.
    SyncRange {
        /// The file.
        handle: String,
        /// First byte.
        offset: u64,
        /// Number of bytes.
        len: u64,
    },
    /// The kernel's background writeback happens to write this one page.
    Writeback {
        /// The file.
        handle: String,
        /// Number of the page within the file.
        page: u64,
    },
    /// Closes a file.
    Close(String),
    /// `fsync` of a directory.
    FsyncDir(String),
    /// `mkdir`
    Mkdir(String),
    /// `rmdir`
    Rmdir(String),
    /// `rename`
    Rename(String, String),
    /// `link`: the second path becomes another name of the first.
    Link(String, String),
    /// `unlink`
    Unlink(String),
    /// Appends a page to [`UNRELATED_PATH`] and syncs that file.
    Unrelated,
    /// The file system commits its metadata, without writing data that nobody synced: on ext4 and
    /// xfs what [`Step::Unrelated`] does, on btrfs a commit of the transaction.
    Commit,
    /// `syncfs`
    Syncfs,
    /// The power fails here. The workload goes on, so that there may be several.
    Crash,
}

/// What a step came to on a real file system.
pub type StepResult = Result<(), Errno>;

/// A text that is not a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("step `{step}`: {why}; expected something like `write t 0+4096 n`")]
pub struct ParseStepError {
    step: String,
    why: String,
}

/// A byte as text: letters and digits are themselves, others are `x` and two hexadecimal digits.
pub(crate) fn byte_text(byte: u8) -> String {
    match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("x{byte:02x}"),
    }
}

/// The byte that a text from [`byte_text`] stands for.
pub(crate) fn parse_byte(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] if byte.is_ascii_alphanumeric() => Ok(*byte),
        [b'x', _, _] => {
            u8::from_str_radix(&text[1..], 16).map_err(|_| format!("`{text}` is no byte"))
        }
        _ => Err(format!("`{text}` is no byte (a letter, a digit, or x and two digits)")),
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { handle, path, flags } => {
                write!(f, "open {handle} {path}")?;
                flags.iter().try_for_each(|flag| write!(f, " {}", flag.word()))
            }
            Self::Write { handle, offset, len, byte } => {
                write!(f, "write {handle} {offset}+{len} {}", byte_text(*byte))
            }
            Self::Append { handle, len, byte } => {
                write!(f, "append {handle} {len} {}", byte_text(*byte))
            }
            Self::SetLen { handle, len } => write!(f, "set_len {handle} {len}"),
            Self::Allocate { handle, offset, len, keep_size } => {
                let suffix = if *keep_size { " keep_size" } else { "" };
                write!(f, "allocate {handle} {offset}+{len}{suffix}")
            }
            Self::Fsync(handle) => write!(f, "fsync {handle}"),
            Self::Fdatasync(handle) => write!(f, "fdatasync {handle}"),
            Self::SyncRange { handle, offset, len } => {
                write!(f, "sync_range {handle} {offset}+{len}")
            }
            Self::Writeback { handle, page } => write!(f, "writeback {handle} {page}"),
            Self::Close(handle) => write!(f, "close {handle}"),
            Self::FsyncDir(path) => write!(f, "fsync_dir {path}"),
            Self::Mkdir(path) => write!(f, "mkdir {path}"),
            Self::Rmdir(path) => write!(f, "rmdir {path}"),
            Self::Rename(from, to) => write!(f, "rename {from} {to}"),
            Self::Link(from, to) => write!(f, "link {from} {to}"),
            Self::Unlink(path) => write!(f, "unlink {path}"),
            Self::Unrelated => f.write_str("unrelated"),
            Self::Commit => f.write_str("commit"),
            Self::Syncfs => f.write_str("syncfs"),
            Self::Crash => f.write_str("crash"),
        }
    }
}

impl FromStr for Step {
    type Err = ParseStepError;

    fn from_str(text: &str) -> Result<Self, ParseStepError> {
        parse(text).map_err(|why| ParseStepError { step: text.trim().to_owned(), why })
    }
}

fn parse(text: &str) -> Result<Step, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let own = |word: &str| word.to_owned();
    let step = match words.as_slice() {
        ["open", handle, name, flags @ ..] => Step::Open {
            handle: own(handle),
            path: path(name)?,
            flags: flags.iter().map(|word| flag(word)).collect::<Result<_, _>>()?,
        },
        ["write", handle, range, byte] => {
            let (offset, len) = parse_range(range)?;
            Step::Write { handle: own(handle), offset, len, byte: parse_byte(byte)? }
        }
        ["append", handle, len, byte] => {
            Step::Append { handle: own(handle), len: number(len)?, byte: parse_byte(byte)? }
        }
        ["set_len", handle, len] => Step::SetLen { handle: own(handle), len: number(len)? },
        ["allocate", handle, range] => allocate(handle, range, false)?,
        ["allocate", handle, range, "keep_size"] => allocate(handle, range, true)?,
        ["fsync", handle] => Step::Fsync(own(handle)),
        ["fdatasync", handle] => Step::Fdatasync(own(handle)),
        ["sync_range", handle, range] => {
            let (offset, len) = parse_range(range)?;
            Step::SyncRange { handle: own(handle), offset, len }
        }
        ["writeback", handle, page] => Step::Writeback { handle: own(handle), page: number(page)? },
        ["close", handle] => Step::Close(own(handle)),
        ["fsync_dir", name] => Step::FsyncDir(path(name)?),
        ["mkdir", name] => Step::Mkdir(path(name)?),
        ["rmdir", name] => Step::Rmdir(path(name)?),
        ["rename", from, to] => Step::Rename(path(from)?, path(to)?),
        ["link", from, to] => Step::Link(path(from)?, path(to)?),
        ["unlink", name] => Step::Unlink(path(name)?),
        ["unrelated"] => Step::Unrelated,
        ["commit"] => Step::Commit,
        ["syncfs"] => Step::Syncfs,
        ["crash"] => Step::Crash,
        [] => return Err("it is empty".to_owned()),
        [verb, ..] => return Err(format!("`{verb}` with these arguments is unknown")),
    };
    Ok(step)
}

fn allocate(handle: &str, range: &str, keep_size: bool) -> Result<Step, String> {
    let (offset, len) = parse_range(range)?;
    Ok(Step::Allocate { handle: handle.to_owned(), offset, len, keep_size })
}

fn flag(word: &str) -> Result<Flag, String> {
    let found = Flag::ALL.into_iter().find(|flag| flag.word() == word);
    found.ok_or_else(|| format!("`{word}` is no open flag"))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

fn parse_range(text: &str) -> Result<(u64, u64), String> {
    let (offset, len) = text.split_once('+').ok_or(format!("`{text}` is not OFFSET+LENGTH"))?;
    Ok((number(offset)?, number(len)?))
}

/// Paths stay below the root: nothing outside the file system under test can be named.
fn path(text: &str) -> Result<String, String> {
    let parts_are_plain = text.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let characters_are_plain = !text.contains(['=', ';', '|', '*', ',']);
    match text == "." || (parts_are_plain && characters_are_plain) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is no path below the root of the file system")),
    }
}

impl From<Step> for String {
    fn from(step: Step) -> Self {
        step.to_string()
    }
}

impl TryFrom<String> for Step {
    type Error = ParseStepError;

    fn try_from(text: String) -> Result<Self, ParseStepError> {
        text.parse()
    }
}
