//! What a run did to its disks, byte for byte: enough to do it again on a real file system.
//!
//! Events say what happened, for people, and leave out the bytes. A [`Tape`] keeps every call that
//! changed a disk, every sync that was completed, and of each power loss what it left; see
//! [`tape`]. The command line makes a script of it.

use std::collections::BTreeMap;

use seedbed_env::{FileKind, OpenOptions};
use seedbed_faults::{OpKind, PlanError, Profile};
use seedbed_traces::Trace;

use crate::disk::{Disk, NodeOp, Pending, SyncKind};
use crate::node::CrashKind;
use crate::testbed::{Job, Outcome, Scenario};
use crate::trace::job_of;

/// The calls of a run that mattered to its disks, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tape {
    /// What the disks promise.
    pub profile: Profile,
    /// What happened.
    pub entries: Vec<Taped>,
    /// The number of each node's last change.
    seen: Vec<u64>,
    /// What the power loss under way keeps.
    kept: Vec<Persisted>,
}

/// One thing that happened on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taped {
    /// On which node.
    pub node: u16,
    /// From where in the engine's source, if by a call.
    pub site: Option<&'static std::panic::Location<'static>>,
    /// What.
    pub what: What,
}

/// What happened; paths are as readers saw them then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A call changed the disk; its changes have the numbers after `changes.0` up to `changes.1`.
    Change {
        /// What it did.
        change: Change,
        /// The numbers.
        changes: (u64, u64),
    },
    /// A sync of a file was completed.
    Sync(String, SyncKind),
    /// A sync of a directory was completed.
    SyncDir(String),
    /// Bytes of a file (from where, how many) were written until they were durable.
    SyncWritten(String, u64, u64),
    /// Pages with these bytes of a file (from where, how many) were written back.
    WriteBack(String, u64, u64),
    /// The process died.
    Crash,
    /// The power went.
    PowerLoss {
        /// What was pending and stayed.
        kept: Vec<Persisted>,
        /// What was left: files with their content, and directories.
        left: BTreeMap<String, Option<Vec<u8>>>,
    },
}

/// A change of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A file was created, or emptied by being opened.
    Create(String),
    /// Bytes were written at an offset.
    Write(String, u64, Vec<u8>),
    /// A length was set.
    SetLen(String, u64),
    /// A name was given another meaning.
    Rename(String, String),
    /// A file was given one more name.
    HardLink(String, String),
    /// Space was allocated: from where, how many bytes, and whether the length was kept.
    Allocate(String, u64, u64, bool),
    /// A file's name was removed.
    RemoveFile(String),
    /// A directory was made.
    CreateDir(String),
    /// A directory was removed.
    RemoveDir(String),
}

/// Something that persisted although no sync had covered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persisted {
    /// The change that it is a part of.
    pub change: u64,
    /// What kind of thing.
    pub op: NodeOp,
    /// For bytes of a file: from where, and how many.
    pub bytes: Option<(u64, u64)>,
}

/// Runs a trace again and keeps what it does to its disks.
///
/// # Errors
/// If the plan inside cannot be read by this version.
pub fn tape(scenario: &dyn Scenario, trace: &Trace) -> Result<(Tape, Outcome), PlanError> {
    let run = scenario.run(&Job { tape: true, ..job_of(trace)? });
    Ok((run.finished.tape.unwrap_or_default(), run.outcome))
}

impl Tape {
    /// A call that may have changed a node's disk, on `path` as it was called.
    pub(crate) fn call(
        &mut self,
        node: u16,
        op: OpKind,
        (path, at, len): (&str, u64, usize),
        site: &'static std::panic::Location<'static>,
        disk: &Disk,
    ) {
        let from = self.seen(node);
        let to = disk.revision().0;
        if from == to {
            return;
        }
        self.seen[node as usize] = to;
        let path_now = path.to_owned();
        let change = match op {
            OpKind::Open => Change::Create(path_now),
            OpKind::Write => Change::Write(path_now, at, bytes_of(disk, path, at, len)),
            OpKind::SetLen => Change::SetLen(path_now, at),
            OpKind::Rename => match path.split_once(" -> ") {
                Some((from, to)) => Change::Rename(from.to_owned(), to.to_owned()),
                None => return,
            },
            OpKind::HardLink => match path.split_once(" -> ") {
                Some((from, to)) => Change::HardLink(from.to_owned(), to.to_owned()),
                None => return,
            },
            OpKind::Allocate => {
                // Within the length it makes no difference whether that was to be kept.
                let end = at.saturating_add(len as u64);
                Change::Allocate(path_now, at, len as u64, end > len_of(disk, path))
            }
            OpKind::RemoveFile => Change::RemoveFile(path_now),
            OpKind::CreateDir => Change::CreateDir(path_now),
            OpKind::RemoveDir => Change::RemoveDir(path_now),
            _ => return,
        };
        let what = What::Change { change, changes: (from, to) };
        self.entries.push(Taped { node, site: Some(site), what });
    }

    fn seen(&mut self, node: u16) -> u64 {
        if self.seen.len() <= node as usize {
            self.seen.resize(node as usize + 1, 0);
        }
        self.seen[node as usize]
    }

    /// Something without a call of its own.
    pub(crate) fn push(&mut self, node: u16, what: What) {
        self.entries.push(Taped { node, site: None, what });
    }

    /// What a power loss keeps of what is pending.
    pub(crate) fn keep(&mut self, pending: &Pending<'_>, kept: &[bool]) {
        self.kept = (0..pending.len())
            .filter(|node| kept[*node])
            .map(|node| {
                let bytes = pending.written(node);
                Persisted {
                    change: pending.nodes()[node].seq,
                    op: pending.op(node),
                    bytes: bytes.map(|(_, at, len)| (at, len)),
                }
            })
            .collect();
    }

    /// A crash, when the disk is what it left.
    pub(crate) fn crash(&mut self, node: u16, kind: CrashKind, disk: &Disk) {
        self.profile = disk.profile();
        let kept = std::mem::take(&mut self.kept);
        let what = match kind {
            CrashKind::Process => What::Crash,
            CrashKind::PowerLoss => What::PowerLoss { kept, left: left(disk) },
        };
        self.push(node, what);
        self.seen(node);
        self.seen[node as usize] = disk.revision().0;
    }
}

fn len_of(disk: &Disk, path: &str) -> u64 {
    let mut disk = disk.clone();
    disk.open(path, OpenOptions::reading()).map_or(0, |ino| disk.len(ino))
}

fn bytes_of(disk: &Disk, path: &str, at: u64, len: usize) -> Vec<u8> {
    let mut disk = disk.clone();
    let Ok(ino) = disk.open(path, OpenOptions::reading()) else { return Vec::new() };
    let mut bytes = vec![0; len];
    let read = disk.read_at(ino, &mut bytes, at);
    bytes.truncate(read);
    bytes
}

/// All files and directories.
fn left(disk: &Disk) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut left = BTreeMap::new();
    let mut dirs = vec![String::new()];
    while let Some(dir) = dirs.pop() {
        for entry in disk.read_dir(&dir).unwrap_or_default() {
            let path = if dir.is_empty() { entry.name } else { format!("{dir}/{}", entry.name) };
            if entry.kind == FileKind::Dir {
                left.insert(path.clone(), None);
                dirs.push(path);
            } else {
                let bytes = bytes_of(disk, &path, 0, usize::try_from(FILE_MAX).unwrap_or(0));
                left.insert(path, Some(bytes));
            }
        }
    }
    left
}

/// Longest file whose content a tape keeps.
const FILE_MAX: u64 = 1 << 20;
