//! Small random workloads, a function of their seed.
//!
//! They reach what no table thinks of: combinations. Each has a few steps over two or three files
//! in two directories. Every write has a byte of its own, so a dump tells which writes it shows.
//! Steps succeed as far as names, handles and alignment go: the generator keeps track of these.
//!
//! Invariant: the same seed gives the same workload on every machine.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::steps::{Flag, PAGE, Step};
use crate::workload::{Workload, parse_steps};

/// The base of random workloads: a file of three pages, one of one page, and the unrelated file.
pub const RANDOM_BASE: &str = "\
    mkdir A; open g A/a create; write g 0+12288 o; fsync g; close g; \
    mkdir B; open g B/b create; write g 0+4096 p; fsync g; close g; \
    mkdir U; open g U/log create; write g 0+4096 u; fsync g; close g; syncfs";

/// Fewest steps of a workload, without those that open files.
const STEPS_MIN: u64 = 3;
/// Most of them.
const STEPS_MAX: u64 = 10;
/// Names that files may get.
const NAMES: [&str; 6] = ["A/a", "A/c", "B/b", "B/d", "C/e", "D/f"];
/// A directory that workloads may make.
const NEW_DIR: &str = "C";
/// All that directories may be called.
const DIRS: [&str; 4] = ["A", "B", "C", "D"];
/// Pages of the largest file.
const PAGES_MAX: u64 = 6;

/// The workload of a seed.
///
/// # Panics
///
/// Never: the base is a constant that tests parse.
pub fn random_workload(seed: u64) -> Workload {
    let mut generator = Generator::new(seed);
    let wanted = STEPS_MIN + generator.below(STEPS_MAX - STEPS_MIN + 1);
    for _ in 0..wanted {
        generator.step();
    }
    let base = parse_steps(RANDOM_BASE).expect("the base is made of steps");
    Workload { base, steps: generator.steps }
}

/// What kind of step comes next.
#[derive(Clone, Copy)]
enum Kind {
    Write,
    Append,
    SetLen,
    Allocate,
    Fsync,
    Fdatasync,
    SyncRange,
    Writeback,
    Close,
    Create,
    FsyncDir,
    Dir,
    RenameDir,
    Rename,
    Link,
    Unlink,
    Commit,
    Unrelated,
    Syncfs,
}

/// How often each kind is drawn.
const WEIGHTS: [(Kind, u64); 19] = [
    (Kind::Write, 22),
    (Kind::Append, 14),
    (Kind::SetLen, 6),
    (Kind::Allocate, 4),
    (Kind::Fsync, 10),
    (Kind::Fdatasync, 8),
    (Kind::SyncRange, 2),
    (Kind::Writeback, 8),
    (Kind::Close, 2),
    (Kind::Create, 8),
    (Kind::FsyncDir, 6),
    (Kind::Dir, 5),
    (Kind::RenameDir, 3),
    (Kind::Rename, 12),
    (Kind::Link, 3),
    (Kind::Unlink, 4),
    (Kind::Commit, 6),
    (Kind::Unrelated, 4),
    (Kind::Syncfs, 1),
];

/// An open file.
struct Open {
    file: usize,
    is_append: bool,
    is_direct: bool,
}

struct Generator {
    random: ChaCha8Rng,
    steps: Vec<Step>,
    /// Length of each file.
    files: Vec<u64>,
    /// Which file each path names.
    names: BTreeMap<String, usize>,
    dirs: BTreeSet<String>,
    open: Vec<(String, Open)>,
    /// The file that a step was about last.
    recent: usize,
    handles: u32,
    writes: u8,
}

impl Generator {
    fn new(seed: u64) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            steps: Vec::new(),
            files: vec![3 * PAGE, PAGE],
            names: [("A/a".to_owned(), 0), ("B/b".to_owned(), 1)].into(),
            dirs: ["A".to_owned(), "B".to_owned()].into(),
            open: Vec::new(),
            recent: 0,
            handles: 0,
            writes: 0,
        }
    }

    /// A name of a file, preferring the file that a step was about last: most trouble is between
    /// steps about one file.
    fn path(&mut self) -> Option<String> {
        let all: Vec<_> = self.names.keys().cloned().collect();
        let is_recent = |path: &&String| self.names[*path] == self.recent;
        let recent: Vec<_> = all.iter().filter(is_recent).cloned().collect();
        match self.below(2) {
            _ if all.is_empty() => None,
            0 if !recent.is_empty() => Some(self.pick(&recent)),
            _ => Some(self.pick(&all)),
        }
    }

    /// A number below a bound.
    fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there is something to choose from");
        self.random.next_u64() % bound
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }

    fn step(&mut self) {
        let total = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.below(total);
        let chosen = WEIGHTS.iter().find(|(_, weight)| {
            let is_here = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            is_here
        });
        let (kind, _) = chosen.expect("less than the total was drawn");
        match kind {
            Kind::Write => self.write(),
            Kind::Append => self.append(),
            Kind::SetLen => self.set_len(),
            Kind::Allocate => self.allocate(),
            Kind::Close => self.close(),
            Kind::Create => self.create(),
            Kind::Dir => self.dir(),
            Kind::RenameDir => self.rename_dir(),
            Kind::Rename | Kind::Link => self.name(*kind),
            Kind::Unlink => self.unlink(),
            Kind::FsyncDir => {
                let dirs: Vec<_> = self.dirs.iter().cloned().collect();
                let dir = self.pick(&dirs);
                self.steps.push(Step::FsyncDir(dir));
            }
            Kind::Fsync => {
                let (handle, _) = self.handle();
                self.steps.push(Step::Fsync(handle));
            }
            Kind::Fdatasync => {
                let (handle, _) = self.handle();
                self.steps.push(Step::Fdatasync(handle));
            }
            Kind::SyncRange => {
                let (handle, _) = self.handle();
                let offset = PAGE * self.below(3);
                self.steps.push(Step::SyncRange { handle, offset, len: 2 * PAGE });
            }
            Kind::Writeback => {
                let (handle, open) = self.handle();
                let pages = self.files[self.open[open].1.file].div_ceil(PAGE).max(1);
                let page = self.below(pages);
                self.steps.push(Step::Writeback { handle, page });
            }
            Kind::Commit => self.steps.push(Step::Commit),
            Kind::Unrelated => self.steps.push(Step::Unrelated),
            Kind::Syncfs => self.steps.push(Step::Syncfs),
        }
    }

    /// An open file, newly opened if there is none or by chance.
    fn handle(&mut self) -> (String, usize) {
        if self.open.is_empty() || self.below(4) == 0 {
            let flag = match self.below(12) {
                0 => Some(Flag::Append),
                1 => Some(Flag::Direct),
                2 => Some(Flag::Dsync),
                3 => Some(Flag::Truncate),
                _ => None,
            };
            match self.path() {
                Some(path) => self.open(&path, flag.into_iter().collect()),
                None => self.create_file(),
            }
        }
        let recent = self.open.iter().rposition(|(_, open)| open.file == self.recent);
        let number = match (self.below(2), recent) {
            (0, Some(recent)) => recent,
            _ => self.below(self.open.len() as u64) as usize,
        };
        self.recent = self.open[number].1.file;
        (self.open[number].0.clone(), number)
    }

    fn open(&mut self, path: &str, flags: BTreeSet<Flag>) {
        let file = self.names.get(path).copied().unwrap_or_else(|| {
            self.files.push(0);
            self.files.len() - 1
        });
        self.names.insert(path.to_owned(), file);
        self.recent = file;
        if flags.contains(&Flag::Truncate) {
            self.files[file] = 0;
        }
        let handle = format!("h{}", self.handles);
        self.handles += 1;
        let is_append = flags.contains(&Flag::Append);
        let open = Open { file, is_append, is_direct: flags.contains(&Flag::Direct) };
        self.open.push((handle.clone(), open));
        self.steps.push(Step::Open { handle, path: path.to_owned(), flags });
    }

    /// A number of bytes to write; whole pages for `O_DIRECT`.
    fn len(&mut self, is_direct: bool) -> u64 {
        match self.below(10) {
            0 if !is_direct => 512,
            1 if !is_direct => 5000,
            2..=3 => 2 * PAGE,
            _ => PAGE,
        }
    }

    fn byte(&mut self) -> u8 {
        self.writes += 1;
        b'a' + (self.writes - 1) % 14
    }

    fn write(&mut self) {
        let (handle, number) = self.handle();
        let Open { file, is_append, is_direct } = self.open[number].1;
        if is_append {
            return self.append_to(handle, number);
        }
        let page = self.below((self.files[file] / PAGE + 1).min(PAGES_MAX));
        let skew = if !is_direct && self.below(6) == 0 { 100 } else { 0 };
        let (offset, len) = (page * PAGE + skew, self.len(is_direct));
        self.files[file] = self.files[file].max(offset + len);
        let byte = self.byte();
        self.steps.push(Step::Write { handle, offset, len, byte });
    }

    fn append(&mut self) {
        let (handle, number) = self.handle();
        self.append_to(handle, number);
    }

    /// Appends, unless `O_DIRECT` cannot since the file ends within a page.
    fn append_to(&mut self, handle: String, number: usize) {
        let Open { file, is_direct, .. } = self.open[number].1;
        if is_direct && !self.files[file].is_multiple_of(PAGE) {
            self.steps.push(Step::Fsync(handle));
            return;
        }
        let len = self.len(is_direct);
        self.files[file] += len;
        let byte = self.byte();
        self.steps.push(Step::Append { handle, len, byte });
    }

    fn set_len(&mut self) {
        let (handle, number) = self.handle();
        let len = match self.below(4) {
            0 => 0,
            1 => PAGE + 100,
            _ => PAGE * self.below(PAGES_MAX),
        };
        let file = self.open[number].1.file;
        self.files[file] = len;
        self.steps.push(Step::SetLen { handle, len });
    }

    fn allocate(&mut self) {
        let (handle, number) = self.handle();
        let file = self.open[number].1.file;
        let (offset, len) = (PAGE * self.below(PAGES_MAX), PAGE * (1 + self.below(2)));
        let keep_size = self.below(2) == 0;
        if !keep_size {
            self.files[file] = self.files[file].max(offset + len);
        }
        self.steps.push(Step::Allocate { handle, offset, len, keep_size });
    }

    fn close(&mut self) {
        if self.open.is_empty() {
            return self.write();
        }
        let number = self.below(self.open.len() as u64) as usize;
        let (handle, _) = self.open.remove(number);
        self.steps.push(Step::Close(handle));
    }

    /// Names whose directory is there and that are free.
    fn free_names(&self) -> Vec<&'static str> {
        let is_free =
            |name: &&str| !self.names.contains_key(*name) && self.dirs.contains(&name[..1]);
        NAMES.into_iter().filter(|name| is_free(name)).collect()
    }

    /// Makes a file and writes into it, as programs do.
    fn create(&mut self) {
        if !self.free_names().is_empty() {
            self.create_file();
        }
        self.append();
    }

    /// Makes a file under a free name. There is one: it is asked for where there are fewer files
    /// than names, and there is always a directory.
    fn create_file(&mut self) {
        let name = self.pick(&self.free_names());
        self.open(name, [Flag::Create, Flag::Exclusive].into());
    }

    /// Makes the new directory, or removes it.
    fn dir(&mut self) {
        let is_used = self.names.keys().any(|name| name.starts_with(NEW_DIR));
        if self.dirs.contains(NEW_DIR) && !is_used {
            self.dirs.remove(NEW_DIR);
            self.steps.push(Step::Rmdir(NEW_DIR.to_owned()));
        } else if !self.dirs.contains(NEW_DIR) {
            self.dirs.insert(NEW_DIR.to_owned());
            self.steps.push(Step::Mkdir(NEW_DIR.to_owned()));
        } else {
            self.steps.push(Step::FsyncDir(NEW_DIR.to_owned()));
        }
    }

    /// Renames a directory, with all that is in it, to a name that is free or an empty directory's.
    fn rename_dir(&mut self) {
        let dirs: Vec<_> = self.dirs.iter().cloned().collect();
        let from = self.pick(&dirs);
        let is_empty = |dir: &str| !self.names.keys().any(|name| &name[..1] == dir);
        let is_target = |dir: &&str| **dir != *from && is_empty(dir);
        let targets: Vec<_> = DIRS.into_iter().filter(is_target).collect();
        if targets.is_empty() {
            return self.steps.push(Step::FsyncDir(from));
        }
        let to = self.pick(&targets).to_owned();
        self.dirs.remove(&from);
        self.dirs.insert(to.clone());
        let moved = |(name, file): (String, usize)| match name[..1] == from {
            true => (format!("{to}{}", &name[1..]), file),
            false => (name, file),
        };
        self.names = std::mem::take(&mut self.names).into_iter().map(moved).collect();
        self.steps.push(Step::Rename(from, to));
    }

    /// Renames a file to any name of another file or of none, or links it to a free name.
    fn name(&mut self, kind: Kind) {
        let Some(from) = self.path() else { return self.create() };
        let file = self.names[&from];
        let is_link = matches!(kind, Kind::Link);
        // A rename between two names of one file does nothing.
        let is_other = |name: &&str| match self.names.get(*name) {
            Some(other) => !is_link && *other != file,
            None => true,
        };
        let has_dir = |name: &&str| self.dirs.contains(&name[..1]);
        let targets: Vec<_> =
            NAMES.into_iter().filter(|name| is_other(name) && has_dir(name)).collect();
        if targets.is_empty() {
            return self.unlink();
        }
        let to = self.pick(&targets).to_owned();
        self.recent = file;
        self.names.insert(to.clone(), file);
        if is_link {
            return self.steps.push(Step::Link(from, to));
        }
        self.names.remove(&from);
        self.steps.push(Step::Rename(from, to));
    }

    fn unlink(&mut self) {
        let Some(path) = self.path() else { return self.create() };
        self.names.remove(&path);
        self.steps.push(Step::Unlink(path));
    }
}
