//! The file systems under test, with the options that matter to crashes.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use seedbed::faults::Profile;
use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::mount::because;

/// A file system of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FsKind {
    /// ext4
    Ext4,
    /// XFS
    Xfs,
    /// Btrfs
    Btrfs,
}

impl FsKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Ext4, Self::Xfs, Self::Btrfs];

    /// The kernel's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// The Debian package that makes such file systems.
    const fn package(self) -> &'static str {
        match self {
            Self::Ext4 => "e2fsprogs",
            Self::Xfs => "xfsprogs",
            Self::Btrfs => "btrfs-progs",
        }
    }

    /// Bytes of an image: the least that each mkfs takes, with some room.
    pub(crate) const fn image_len(self) -> u64 {
        match self {
            Self::Ext4 => 32 << 20,
            Self::Xfs => 300 << 20,
            Self::Btrfs => 128 << 20,
        }
    }

    /// Options of mkfs that keep images small and quiet: no zeroing in the background later.
    const fn mkfs_options(self) -> &'static [&'static str] {
        match self {
            Self::Ext4 => &[
                "-q",
                "-F",
                "-b",
                "4096",
                "-E",
                "lazy_itable_init=0,lazy_journal_init=0,nodiscard",
            ],
            Self::Xfs => &["-q", "-f", "-K"],
            Self::Btrfs => &["-q", "-f", "-K"],
        }
    }
}

/// A file system with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Setup {
    /// What it is called, here and in recorded outcomes.
    pub name: &'static str,
    /// The file system.
    pub kind: FsKind,
    /// Options of its mkfs.
    pub mkfs: &'static [&'static str],
    /// Options of its mount.
    pub mount: &'static [&'static str],
}

const fn plain(kind: FsKind) -> Setup {
    Setup { name: kind.name(), kind, mkfs: &[], mount: &[] }
}

const fn ext4(
    name: &'static str,
    mkfs: &'static [&'static str],
    mount: &'static [&'static str],
) -> Setup {
    Setup { name, kind: FsKind::Ext4, mkfs, mount }
}

impl Setup {
    /// Every setup: each file system as it comes, and the options of ext4 that change outcomes, or
    /// might.
    pub const ALL: &[Self] = &[
        plain(FsKind::Ext4),
        plain(FsKind::Xfs),
        plain(FsKind::Btrfs),
        ext4("ext4-1k", &["-b", "1024"], &[]),
        ext4("ext4-noauto_da_alloc", &[], &["noauto_da_alloc"]),
        ext4("ext4-nodelalloc", &[], &["nodelalloc"]),
        ext4("ext4-writeback", &[], &["data=writeback"]),
        ext4("ext4-journal", &[], &["data=journal"]),
        ext4("ext4-fast_commit", &["-O", "fast_commit"], &[]),
        ext4("ext4-abort", &[], &["data_err=abort"]),
    ];

    /// The setups on which the power fails: all but those whose options are about errors only.
    pub fn with_power_losses() -> impl Iterator<Item = &'static Self> {
        Self::ALL.iter().filter(|setup| setup.name != "ext4-abort")
    }

    /// The setups on which writes are refused: those whose options change what becomes of them.
    pub fn with_refused_writes() -> impl Iterator<Item = &'static Self> {
        let names = ["ext4", "xfs", "btrfs", "ext4-journal", "ext4-abort"];
        Self::ALL.iter().filter(move |setup| names.contains(&setup.name))
    }

    /// The setup of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|setup| setup.name == name)
    }

    /// What the simulated disk promises in its place. Nothing for `data=journal`, which no profile
    /// describes.
    pub fn profile(&self) -> Option<Profile> {
        match self.name {
            "xfs" => Some(Profile::XFS),
            "btrfs" => Some(Profile::BTRFS),
            "ext4-noauto_da_alloc" => Some(Profile::EXT4_NOAUTO_DA_ALLOC),
            "ext4-nodelalloc" => Some(Profile::EXT4_NODELALLOC),
            "ext4-writeback" => Some(Profile::EXT4_WRITEBACK),
            "ext4-journal" => None,
            "ext4-abort" => Some(Profile::EXT4_DATA_ERR_ABORT),
            // A page is several blocks, each of which persists by itself.
            "ext4-1k" => Some(Profile { unit: 1024, ..Profile::EXT4 }),
            // Options that change neither what is promised nor what is lost.
            _ => Some(Profile::EXT4),
        }
    }

    /// A new file system, never mounted.
    pub(crate) fn make(&self) -> io::Result<Image> {
        let image = Image::new(self.kind.image_len())?;
        self.make_at(&image.path())?;
        image.snapshot()
    }

    /// Makes a file system on a file or device.
    pub(crate) fn make_at(&self, path: &Path) -> io::Result<()> {
        let program = format!("mkfs.{}", self.kind.name());
        let made = Command::new(&program)
            .args(self.kind.mkfs_options())
            .args(self.mkfs)
            .arg(path)
            .env("PATH", search_path())
            .stdin(Stdio::null())
            .output()
            .map_err(|error| because(&program, &error))?;
        if made.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&made.stderr).trim().to_owned();
        Err(io::Error::other(format!("{program} ended with {}: {said}", made.status)))
    }

    /// Whether such a file system can be made and mounted here.
    ///
    /// # Errors
    ///
    /// What is missing, and how to get it.
    pub fn available(&self) -> Result<(), Unavailable> {
        if !rustix::process::geteuid().is_root() {
            return Err(Unavailable("only root may mount file systems: run it as root".to_owned()));
        }
        if let Err(error) = File::options().read(true).write(true).open("/dev/loop-control") {
            let why = format!("there are no loop devices (/dev/loop-control: {error})");
            return Err(Unavailable(format!("{why}: try `modprobe loop`")));
        }
        let name = self.kind.name();
        if !is_in_path(&format!("mkfs.{name}")) {
            let package = self.kind.package();
            let why = format!("mkfs.{name} is not installed: `apt-get install {package}`");
            return Err(Unavailable(why));
        }
        let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
        if !known.lines().any(|line| line.split_whitespace().last() == Some(name)) {
            let why = format!("this kernel does not know {name}: try `modprobe {name}`");
            return Err(Unavailable(why));
        }
        Ok(())
    }
}

/// Why nothing can be said here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(String);

/// Where programs are looked for; the folders of root's programs are not in everybody's path.
fn search_path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    format!("{own}:/usr/local/sbin:/usr/sbin:/sbin")
}

fn is_in_path(program: &str) -> bool {
    search_path().split(':').any(|folder| Path::new(folder).join(program).is_file())
}
