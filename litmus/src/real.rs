//! Runs workloads on real file systems and looks at what crashes leave of them.
//!
//! The file system lies on a loop device over memory that has no volatile cache: what the file
//! system has sent to its device is there. A crash is a copy of the device at an instant. The copy
//! is mounted, which replays journals and logs, and everything in it is read. Whatever is missing
//! is therefore missing because of the file system.
//!
//! Base states are made once, unmounted and kept: each run starts on a copy. The file system of the
//! run is unmounted before its copies are mounted, since they all have the same identity.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::dump::Dump;
use crate::errno::Errno;
use crate::handles::Handles;
use crate::image::Image;
use crate::mount::{Mount, because};
use crate::setup::Setup;
use crate::steps::{Step, StepResult};
use crate::workload::{Workload, steps_text};

/// When the power fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crashes {
    /// Where the workload says so, or at its end if it does not.
    Marked,
    /// Before the first step, and after each.
    EveryStep,
}

/// What there is after a crash. In text a dump is itself, and the other case is `refused` with the
/// error.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Recovered {
    /// The file system could be mounted and read.
    Mounted(Dump),
    /// It could not.
    Refused(Errno),
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mounted(dump) => dump.fmt(f),
            Self::Refused(errno) => write!(f, "refused {errno}"),
        }
    }
}

impl FromStr for Recovered {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("refused ") {
            Some(errno) => Ok(Self::Refused(errno.parse()?)),
            None => text.parse().map(Self::Mounted).map_err(|error| format!("{error}")),
        }
    }
}

impl From<Recovered> for String {
    fn from(recovered: Recovered) -> Self {
        recovered.to_string()
    }
}

impl TryFrom<String> for Recovered {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// One crash of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crash {
    /// How many steps of the workload had been carried out.
    pub after: usize,
    /// What was there afterwards.
    pub recovered: Recovered,
}

/// What one run of a workload came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// What each step returned.
    pub results: Vec<StepResult>,
    /// The crashes, in their order.
    pub crashes: Vec<Crash>,
}

/// Runs workloads one after the other. Several runners may work beside each other.
#[derive(Debug, Default)]
pub struct Runner {
    /// File systems in their base state, by setup and base.
    bases: BTreeMap<(&'static str, String), Image>,
}

impl Runner {
    /// A runner.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a workload on a new file system and recovers from its crashes.
    ///
    /// # Errors
    ///
    /// The file system cannot be made or mounted, or its base state cannot be made. Steps that fail
    /// are part of what is observed.
    pub fn run(
        &mut self,
        setup: &'static Setup,
        workload: &Workload,
        crashes: Crashes,
    ) -> io::Result<Observed> {
        let image = self.base(setup, &workload.base)?.snapshot()?;
        let mut film = Film { image: &image, shots: Vec::new(), crashes: Vec::new() };
        let mut results = Vec::new();
        let mount = mount(setup, &image).map_err(|error| mounting(setup, &error))?;
        let mut handles = Handles::new(&mount, setup.kind);
        if crashes == Crashes::EveryStep {
            film.shoot(0)?;
        }
        for (index, step) in workload.steps.iter().enumerate() {
            results.push(handles.step(step));
            if crashes == Crashes::EveryStep || *step == Step::Crash {
                film.shoot(index + 1)?;
            }
        }
        if film.crashes.is_empty() {
            film.shoot(workload.steps.len())?;
        }
        drop(handles);
        drop(mount);
        Ok(Observed { results, crashes: film.develop(setup)? })
    }

    fn base(&mut self, setup: &'static Setup, base: &[Step]) -> io::Result<&Image> {
        let key = (setup.name, steps_text(base));
        if !self.bases.contains_key(&key) {
            let image = make_base(setup, base)?;
            self.bases.insert(key.clone(), image);
        }
        Ok(&self.bases[&key])
    }
}

/// A new file system with a base state in it, cleanly unmounted.
fn make_base(setup: &Setup, base: &[Step]) -> io::Result<Image> {
    let image = setup.make()?;
    let mount = mount(setup, &image).map_err(|error| mounting(setup, &error))?;
    let mut handles = Handles::new(&mount, setup.kind);
    for step in base {
        handles.step(step).map_err(|errno| {
            io::Error::other(format!("making the base state on {}: {step}: {errno}", setup.name))
        })?;
    }
    drop(handles);
    drop(mount);
    image.snapshot()
}

fn mount(setup: &Setup, image: &Image) -> io::Result<Mount> {
    Mount::device(setup.kind.name(), image.file(), setup.mount)
}

fn mounting(setup: &Setup, error: &io::Error) -> io::Error {
    because(&format!("mounting {}", setup.name), error)
}

/// The crash images of one run.
struct Film<'a> {
    image: &'a Image,
    /// The images that differ from the one before.
    shots: Vec<Image>,
    /// For each crash, the steps done and the number of its image.
    crashes: Vec<(usize, usize)>,
}

impl Film<'_> {
    fn shoot(&mut self, after: usize) -> io::Result<()> {
        let is_old = match self.shots.last() {
            Some(last) => self.image.is_same(last)?,
            None => false,
        };
        if !is_old {
            self.shots.push(self.image.snapshot()?);
        }
        self.crashes.push((after, self.shots.len() - 1));
        Ok(())
    }

    fn develop(self, setup: &Setup) -> io::Result<Vec<Crash>> {
        let recovered = self.shots.iter().map(|image| recover(setup, image));
        let recovered: Vec<_> = recovered.collect::<io::Result<_>>()?;
        let crash =
            |(after, shot): (usize, usize)| Crash { after, recovered: recovered[shot].clone() };
        Ok(self.crashes.into_iter().map(crash).collect())
    }
}

/// How often an image is tried before it counts as refused.
const MOUNT_TRIES: u32 = 3;

/// Mounts for writing, as a machine does that comes up again: ext4 does not replay fast commits
/// otherwise.
fn recover(setup: &Setup, image: &Image) -> io::Result<Recovered> {
    // A good image was refused once in a while on a loaded machine with many loop devices; a bad
    // one is refused each time.
    let mut tries = MOUNT_TRIES;
    loop {
        tries -= 1;
        match mount(setup, image) {
            Ok(mount) => return Ok(Recovered::Mounted(Dump::read(&mount.path())?)),
            Err(error) => match error.raw_os_error() {
                Some(_) if tries > 0 => {}
                Some(number) => return Ok(Recovered::Refused(Errno(number))),
                None => return Err(error),
            },
        }
    }
}
