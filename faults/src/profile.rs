//! Persistence profiles: what a file system promises about a power loss, as plain data.
//!
//! A profile says in which order things become durable, and what a sync covers. The simulated disk
//! turns it into a partial order of what is pending; whatever that order does not forbid may be
//! left by a power loss. Where kernels differ or documentation is silent a profile allows more,
//! never less: an engine that survives it survives the real thing.
//!
//! The named profiles describe Linux 6.18 (ext4, xfs, btrfs); their rules were checked against
//! crash images of that kernel.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::errors::ParseError;

/// How operations on names, and truncations, become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameOrder {
    /// Each name by itself, in no order.
    Unordered,
    /// In program order: a power loss leaves a prefix of them (a metadata journal).
    Journal,
    /// In program order, but a sync of one file takes that file's names out of the order (btrfs'
    /// log tree).
    LogTree,
    /// At once.
    Immediate,
}

/// How a length that grew by writing becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Independently of the data.
    Independent,
    /// When its pages are written back, which may be any time later (delayed allocation).
    Delayed,
    /// In program order with the names (allocation at write time).
    AtWrite,
    /// At once.
    Immediate,
}

/// What is left of a file system that has given up after an error in its journal or log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivesUp {
    /// It can be read; changes and syncs fail with EROFS.
    ReadOnly,
    /// Everything fails with EIO.
    Dead,
}

/// What a file system promises; see the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name in plans and on the command line.
    pub name: &'static str,
    /// In a sentence, for lists.
    pub about: &'static str,
    /// Order of names and truncations.
    pub names: NameOrder,
    /// When a grown length becomes durable.
    pub growth: Growth,
    /// A grown length never becomes durable before the data in it. Not so with ext4's delayed
    /// allocation: a length within a block that is there enters the journal when it is written,
    /// and a new block is marked as unwritten, which reads as zeros, until its data is there.
    /// `data=ordered` does not wait for either. Nor on btrfs: when any data of a file has been
    /// written, the length in memory is taken.
    pub data_before_len: bool,
    /// The zeros at the end of a file that was cut are on the device before the new length is
    /// (`data=ordered`): when it grows again, what was cut off does not come back.
    pub zeros_before_cut: bool,
    /// Overwritten bytes become visible only with everything older in the journal.
    pub copy_on_write: bool,
    /// A rename over an existing file first starts to write back the new one (`auto_da_alloc`): it
    /// is never shorter than it was. Nobody waits for the data.
    pub replace_flushes: bool,
    /// A rename never leaves neither name.
    pub rename_is_safe: bool,
    /// `sync_all` of a file makes its own names durable.
    pub sync_covers_names: bool,
    /// `sync_data` does so as well.
    pub sync_data_covers_names: bool,
    /// Bytes that become durable as one: a page, or a sector.
    pub unit: u32,
    /// A page that a power loss catches on its way may be torn between sectors.
    pub tears: bool,
    /// What it is after it has given up.
    pub gives_up: GivesUp,
    /// It gives up at the next commit after data could not be written (`data_err=abort`).
    pub data_error_aborts: bool,
}

impl Profile {
    /// What POSIX promises and no more.
    pub const POSIX: Self = Self {
        name: "posix",
        about: "strict POSIX: durable is what a sync was asked for; names need their directory",
        names: NameOrder::Unordered,
        growth: Growth::Independent,
        data_before_len: false,
        zeros_before_cut: false,
        copy_on_write: false,
        replace_flushes: false,
        rename_is_safe: true,
        sync_covers_names: false,
        sync_data_covers_names: false,
        unit: 4096,
        tears: true,
        gives_up: GivesUp::ReadOnly,
        data_error_aborts: false,
    };

    /// ext4 with its default options.
    pub const EXT4: Self = Self {
        name: "ext4",
        about: "ext4, data=ordered, delayed allocation, auto_da_alloc (the defaults)",
        names: NameOrder::Journal,
        growth: Growth::Delayed,
        zeros_before_cut: true,
        replace_flushes: true,
        sync_covers_names: true,
        ..Self::POSIX
    };

    /// ext4 without the flush at a replacing rename.
    pub const EXT4_NOAUTO_DA_ALLOC: Self = Self {
        name: "ext4_noauto_da_alloc",
        about: "ext4 mounted with noauto_da_alloc: a replacing rename does not write back data",
        replace_flushes: false,
        ..Self::EXT4
    };

    /// ext4 with allocation at write time.
    pub const EXT4_NODELALLOC: Self = Self {
        name: "ext4_nodelalloc",
        about: "ext4 mounted with nodelalloc: lengths grow in the journal, in program order",
        growth: Growth::AtWrite,
        data_before_len: true,
        ..Self::EXT4
    };

    /// ext4 with `data=writeback`.
    pub const EXT4_WRITEBACK: Self = Self {
        name: "ext4_writeback",
        about: "ext4 mounted with data=writeback: what was cut off a file may come back in it",
        zeros_before_cut: false,
        replace_flushes: false,
        ..Self::EXT4
    };

    /// ext4 with `data_err=abort`.
    pub const EXT4_DATA_ERR_ABORT: Self = Self {
        name: "ext4_data_err_abort",
        about: "ext4 mounted with data_err=abort: read-only after data could not be written",
        data_error_aborts: true,
        ..Self::EXT4
    };

    /// xfs.
    pub const XFS: Self = Self {
        name: "xfs",
        about: "xfs: a metadata log in program order, delayed allocation, 0-byte rename targets",
        data_before_len: true,
        zeros_before_cut: false,
        replace_flushes: false,
        sync_data_covers_names: true,
        gives_up: GivesUp::Dead,
        ..Self::EXT4
    };

    /// btrfs.
    pub const BTRFS: Self = Self {
        name: "btrfs",
        about: "btrfs: copy on write, whole commits, and a log of the files that were synced",
        names: NameOrder::LogTree,
        zeros_before_cut: false,
        copy_on_write: true,
        replace_flushes: false,
        sync_data_covers_names: true,
        tears: false,
        ..Self::EXT4
    };

    /// A raw device, or files of fixed size opened with `O_DIRECT`.
    pub const RAW: Self = Self {
        name: "raw",
        about: "a raw device: names and lengths are fixed, each sector persists by itself",
        names: NameOrder::Immediate,
        growth: Growth::Immediate,
        unit: 512,
        tears: false,
        ..Self::POSIX
    };

    /// Less than any file system promises.
    pub const ADVERSARIAL: Self = Self {
        name: "adversarial",
        about: "less than POSIX: sectors persist by themselves, a rename may lose both names",
        rename_is_safe: false,
        unit: 512,
        tears: false,
        ..Self::POSIX
    };

    /// All named profiles, the most realistic first: the order in which the severity of a bug is
    /// judged.
    pub const ALL: [Self; 10] = [
        Self::EXT4,
        Self::XFS,
        Self::BTRFS,
        Self::EXT4_NOAUTO_DA_ALLOC,
        Self::EXT4_NODELALLOC,
        Self::EXT4_WRITEBACK,
        Self::EXT4_DATA_ERR_ABORT,
        Self::POSIX,
        Self::RAW,
        Self::ADVERSARIAL,
    ];

    /// The five that every engine should survive: the three file systems, POSIX, and ext4 without
    /// its favours.
    pub const FIVE: [Self; 5] =
        [Self::EXT4, Self::XFS, Self::BTRFS, Self::EXT4_NOAUTO_DA_ALLOC, Self::POSIX];
}

impl Default for Profile {
    fn default() -> Self {
        Self::POSIX
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl FromStr for Profile {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const KNOWN: &str = "posix, ext4, ext4_noauto_da_alloc, ext4_nodelalloc, ext4_writeback, \
                             ext4_data_err_abort, xfs, btrfs, raw or adversarial";
        let known = Self::ALL.into_iter().find(|profile| profile.name == text);
        known.ok_or_else(|| ParseError::new("disk profile", text, "nobody knows it", KNOWN))
    }
}

impl Serialize for Profile {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for Profile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}
