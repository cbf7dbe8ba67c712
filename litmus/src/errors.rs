//! What happens to a write that the device refuses: who hears of it, what readers see, and what is
//! on disk in the end.
//!
//! The file system lies in a file on another file system, an XFS that is full. One page of that
//! file is shared with a second file, so that overwriting it needs new space: there is none, and
//! the loop device reports `ENOSPC`, as thin provisioning does. All other pages are the file's own
//! and can be written. Deleting what fills the outer file system heals the device.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Advice, FallocateFlags, copy_file_range, fadvise, fallocate};
use serde::{Deserialize, Serialize};

use crate::dump::{read_runs, runs_text};
use crate::handles::Handles;
use crate::image::Image;
use crate::mount::{Mount, because};
use crate::setup::{FsKind, Setup};
use crate::steps::{PAGE, Step};
use crate::workload::parse_steps;

/// Bytes of the outer file system.
const OUTER_LEN: u64 = 1 << 30;
/// Bytes of which btrfs may use any for new data: its first block group for data is larger.
const BTRFS_REFUSED_LEN: u64 = 4 << 20;
/// The byte that marks the page in trouble.
const MARK: u8 = b'p';
/// The file in trouble.
pub(crate) const FILE: &str = "A/file";

/// Which page the device refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// The marked one.
    Page,
    /// The one behind it on the device.
    NextPage,
}

/// A write that the device refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorRow {
    /// A letter and a digit.
    pub id: String,
    /// What happens, in a sentence.
    pub about: String,
    /// The text of the steps that make `A/file`.
    pub base: String,
    /// What is refused, through the handle `w`.
    pub step: Step,
    /// Which page the device refuses. A btrfs is refused all new data, since it writes elsewhere.
    pub refused: Refused,
}

/// How a refused write was reported, and what readers saw. Calls come to `ok` or the name of an
/// error, contents are in the text form of dumps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorCells {
    /// The write itself.
    pub write: String,
    /// The first `fsync` through the same handle.
    pub fsync_1: String,
    /// The second one.
    pub fsync_2: String,
    /// `fsync` through a handle that had been opened before the failure.
    pub opened_before: String,
    /// `fsync` through a handle that was opened after it.
    pub opened_after: String,
    /// The content, as readers see it then.
    pub cached: String,
    /// The content after the page was dropped from the cache.
    pub dropped: String,
    /// `fsync` through the first handle when the device has healed.
    pub healed_fsync: String,
    /// Overwriting the first page of the file and syncing it then.
    pub healed_write: String,
    /// The content after unmounting and mounting again.
    pub remounted: String,
}

/// Runs a row on a new file system.
///
/// # Errors
///
/// The file systems cannot be made, mounted or filled, or the device does not refuse the page.
pub fn run_error_row(setup: &'static Setup, row: &ErrorRow) -> io::Result<ErrorCells> {
    let outer = Outer::new(setup)?;
    let steps = parse_steps(&row.base).map_err(io::Error::other)?;
    // Without options: a journal for data would hold a second copy of the marked page.
    let guest = outer.mount(setup.kind, &[])?;
    let mut handles = Handles::new(&guest, setup.kind);
    for step in steps.iter().chain([&Step::Syncfs]) {
        let made = handles.step(step);
        made.map_err(|errno| io::Error::other(format!("making the base state: {step}: {errno}")))?;
    }
    drop(handles);
    drop(guest);
    outer.refuse(setup.kind, row.refused)?;
    let mut cells = trouble(setup, row, &outer)?;
    let guest = outer.mount(setup.kind, setup.mount)?;
    cells.remounted = content(&guest.path().join(FILE))?;
    Ok(cells)
}

/// Everything between the two mounts.
fn trouble(setup: &Setup, row: &ErrorRow, outer: &Outer) -> io::Result<ErrorCells> {
    let guest = outer.mount(setup.kind, setup.mount)?;
    let path = guest.path().join(FILE);
    let mut cells = ErrorCells::default();
    let mut handles = Handles::new(&guest, setup.kind);
    let mut call = |text: &str| -> io::Result<String> {
        let steps = parse_steps(text).map_err(io::Error::other)?;
        let failed = steps.iter().find_map(|step| handles.step(step).err());
        Ok(failed.map_or("ok".to_owned(), |errno| errno.to_string()))
    };
    call(&format!("open w {FILE}; open before {FILE}"))?;
    cells.write = call(&row.step.to_string())?;
    cells.fsync_1 = call("fsync w")?;
    cells.fsync_2 = call("fsync w")?;
    cells.opened_before = call("fsync before")?;
    cells.opened_after = call(&format!("open after {FILE}; fsync after"))?;
    cells.cached = content(&path)?;
    fadvise(File::open(&path)?, 0, None, Advice::DontNeed)?;
    cells.dropped = content(&path)?;
    outer.heal()?;
    cells.healed_fsync = call("fsync w")?;
    cells.healed_write = call("write w 0+4096 e; fsync w")?;
    Ok(cells)
}

fn content(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    Ok(runs_text(&read_runs(&file, len)?))
}

/// The outer file system, with the image of the file system under test in it.
struct Outer {
    image: File,
    mount: Mount,
}

impl Outer {
    /// Makes both file systems.
    fn new(setup: &Setup) -> io::Result<Self> {
        let disk = Image::new(OUTER_LEN)?;
        let xfs = Setup::ALL.iter().find(|setup| setup.kind == FsKind::Xfs).expect("it is there");
        xfs.make_at(&disk.path())?;
        // The loop device keeps the memory alive.
        let mount = Mount::device("xfs", disk.file(), &[])
            .map_err(|error| because("mounting the outer file system", &error))?;
        let path = mount.path().join("image");
        let image = File::options().read(true).write(true).create_new(true).open(&path)?;
        fallocate(&image, FallocateFlags::empty(), 0, setup.kind.image_len())?;
        setup.make_at(&mount.outside_path().join("image"))?;
        Ok(Self { image, mount })
    }

    /// Mounts the file system under test.
    fn mount(&self, kind: FsKind, options: &[&str]) -> io::Result<Mount> {
        let mounted = Mount::device(kind.name(), &self.image, options);
        mounted.map_err(|error| because(&format!("mounting {}", kind.name()), &error))
    }

    /// From now on the page cannot be written.
    fn refuse(&self, kind: FsKind, refused: Refused) -> io::Result<()> {
        let marked = self.find_mark()?;
        let (offset, len) = match (kind, refused) {
            (FsKind::Btrfs, _) => (marked + PAGE, BTRFS_REFUSED_LEN),
            (_, Refused::Page) => (marked, PAGE),
            (_, Refused::NextPage) => (marked + PAGE, PAGE),
        };
        // Only what has been written can be shared.
        let mut bytes = vec![0; len as usize];
        self.image.read_exact_at(&mut bytes, offset)?;
        self.image.write_all_at(&bytes, offset)?;
        self.image.sync_all()?;
        let pin = File::create(self.mount.path().join("pin"))?;
        let (mut from, mut to) = (offset, 0);
        // Between files of one XFS this shares the extent.
        copy_file_range(&self.image, Some(&mut from), &pin, Some(&mut to), len as usize)?;
        pin.sync_all()?;
        self.fill()
    }

    /// Where the marked page is.
    fn find_mark(&self) -> io::Result<u64> {
        let len = self.image.metadata()?.len();
        let mut page = vec![0; PAGE as usize];
        for offset in (0..len).step_by(PAGE as usize) {
            self.image.read_exact_at(&mut page, offset)?;
            if page.iter().all(|byte| *byte == MARK) {
                return Ok(offset);
            }
        }
        Err(io::Error::other("the marked page is not on the device"))
    }

    /// Takes all space that is left.
    fn fill(&self) -> io::Result<()> {
        let filler = File::create(self.mount.path().join("filler"))?;
        let mut offset = 0;
        let mut len = OUTER_LEN;
        while len >= PAGE {
            match fallocate(&filler, FallocateFlags::empty(), offset, len) {
                Ok(()) => offset += len,
                Err(rustix::io::Errno::NOSPC) => len /= 2,
                Err(error) => return Err(error.into()),
            }
        }
        filler.sync_all()
    }

    /// From now on everything can be written.
    fn heal(&self) -> io::Result<()> {
        fs::remove_file(self.mount.path().join("filler"))?;
        Ok(rustix::fs::syncfs(self.mount.open_root()?)?)
    }
}
