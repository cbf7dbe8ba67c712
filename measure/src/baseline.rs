//! A saved measurement, to compare later ones with.
//!
//! The file is one JSON document: `format`, `version`, `checksum` (blake3 of the text of `body`)
//! and `body`. All numbers in it are integers, so what is read is exactly what was written. It
//! appears under its name whole or not at all: written beside it, synced, renamed, and the folder
//! synced.
//!
//! Invariants: no file makes the reader panic, and it reads at most [`BYTES_MAX`]; what it returns
//! keeps the limits that [`Baseline::check`] states.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::counters::{COUNTERS_MAX, Counters};
use crate::sample::{ROUNDS_MAX, Round};

/// The version that is written, and the latest that is read.
pub const FORMAT_VERSION: u64 = 1;
/// Larger files are not read: a baseline at all its limits is smaller.
pub const BYTES_MAX: u64 = 16 << 20;
/// How each file begins.
const BEGINNING: &str = r#"{"format":"seedbed baseline","version":"#;
/// Most letters of a name.
const NAME_LETTERS_MAX: usize = 64;
/// Most entries of a description.
const ENTRIES_MAX: usize = 100;
/// Most bytes of a key or value of a description, or of a counter's name.
const TEXT_BYTES_MAX: usize = 1000;

/// What is wrong with a baseline, its name or its file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaselineError {
    /// Not a name.
    #[error(
        "{name:?} is no name of a baseline: 1 to 64 of the letters a-z and A-Z, digits, _ - and ., \
         the first not a ."
    )]
    Name {
        /// The beginning of what was given.
        name: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// `read` or `write`.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// Something else has this name.
    #[error("{}: not a regular file: name a baseline's file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Too large to be one.
    #[error("{}: larger than {BYTES_MAX} bytes, which no baseline is", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Something else, or its first bytes are damaged.
    #[error(
        "{}: not a baseline: it does not begin with {BEGINNING}: save the baseline anew",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Written by a later version of this program.
    #[error(
        "{}: a baseline of version {version}, and this program reads up to {FORMAT_VERSION}: \
         use a newer one, or save the baseline anew", path.display()
    )]
    Future {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// It ends too early.
    #[error("{}: the file is cut off after {bytes} bytes: save the baseline anew", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// How long it is.
        bytes: usize,
    },
    /// It is not what was written.
    #[error("{}: damaged or changed by hand: {what}: save the baseline anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// What is to be saved breaks a limit.
    #[error("this cannot be saved as a baseline: {what}")]
    Limit {
        /// Which.
        what: String,
    },
    /// The two measured something else.
    #[error(
        "different workloads cannot be compared: {}: save the baseline anew",
        differences.join("; ")
    )]
    OtherWorkload {
        /// One for each entry that differs.
        differences: Vec<String>,
    },
}

/// The name of a baseline: 1 to 64 ASCII letters, digits, `_`, `-` and `.`, the first not a `.`. So
/// it is the name of a visible file in the folder that it is put in, and nothing else.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// [`BaselineError::Name`].
    pub fn new(name: &str) -> Result<Self, BaselineError> {
        let is_letter = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let is_sound = (1..=NAME_LETTERS_MAX).contains(&name.len())
            && !name.starts_with('.')
            && name.chars().all(is_letter);
        if is_sound {
            return Ok(Self(name.to_owned()));
        }
        Err(BaselineError::Name { name: name.chars().take(NAME_LETTERS_MAX + 1).collect() })
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its file in a folder of baselines.
    #[must_use]
    pub fn path_in(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.json", self.0))
    }
}

impl TryFrom<String> for Name {
    type Error = BaselineError;

    fn try_from(name: String) -> Result<Self, BaselineError> {
        Self::new(&name)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// What was measured, where and when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// What it is called.
    pub name: Name,
    /// When it was saved, in seconds since 1970.
    pub saved_unix_s: u64,
    /// The machine: processor, kernel, file system, whatever may matter. A difference is a warning.
    pub environment: BTreeMap<String, String>,
    /// What was run: engine, operations, sizes, threads. A difference forbids comparing.
    pub workload: BTreeMap<String, String>,
    /// What each round came to, in the order in which they were run.
    pub rounds: Vec<Round>,
    /// The figures without noise.
    pub counters: Counters,
}

/// The outside of a file; later versions may have more fields, but they have these.
#[derive(Deserialize)]
struct Envelope<'a> {
    version: u64,
    #[serde(default)]
    checksum: String,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

impl Baseline {
    /// Whether it keeps the limits: up to 1000 rounds, each with operations, time and figures that
    /// can be those of one histogram; up to 100 entries in a description, 1000 counters, 1000 bytes
    /// in a text.
    ///
    /// # Errors
    /// [`BaselineError::Limit`] with what breaks which limit.
    pub fn check(&self) -> Result<(), BaselineError> {
        self.broken_limit().map_or(Ok(()), |what| Err(BaselineError::Limit { what }))
    }

    fn broken_limit(&self) -> Option<String> {
        let too_many = |what: &str, count: usize, max: usize| {
            (count > max).then(|| format!("{count} {what} are more than {max}"))
        };
        let descriptions = [&self.environment, &self.workload];
        let texts = descriptions.into_iter().flatten().flat_map(|(key, value)| [key, value]);
        let mut texts = texts.chain(self.counters.counts.keys());
        let is_odd = |round: &Round| {
            round.operations == 0 || round.elapsed_ns == 0 || !round.latency.is_plausible()
        };
        too_many("rounds", self.rounds.len(), ROUNDS_MAX)
            .or_else(|| too_many("entries of the environment", self.environment.len(), ENTRIES_MAX))
            .or_else(|| too_many("entries of the workload", self.workload.len(), ENTRIES_MAX))
            .or_else(|| too_many("counters", self.counters.counts.len(), COUNTERS_MAX))
            .or_else(|| {
                let text = texts.find(|text| text.len() > TEXT_BYTES_MAX)?;
                let beginning: String = text.chars().take(40).collect();
                Some(format!("the text {beginning:?}... is longer than {TEXT_BYTES_MAX} bytes"))
            })
            .or_else(|| {
                let at = self.rounds.iter().position(is_odd)?;
                Some(format!("round {at} has figures that no run has: {:?}", self.rounds[at]))
            })
    }

    /// Writes it into a folder, which is made if it is not there, in the place of an older one of
    /// its name. Returns where.
    ///
    /// # Errors
    /// [`BaselineError::Limit`], or [`BaselineError::Io`], after which the older one is still
    /// there.
    pub fn save(&self, folder: &Path) -> Result<PathBuf, BaselineError> {
        self.check()?;
        let path = self.name.path_in(folder);
        let io = |source| BaselineError::Io { path: path.clone(), action: "write", source };
        let body = serde_json::to_string_pretty(self).map_err(|error| io(error.into()))?;
        let checksum = blake3::hash(body.as_bytes()).to_hex();
        let text = format!(
            "{BEGINNING}{FORMAT_VERSION},\"checksum\":\"{checksum}\",\"body\":\n{body}\n}}\n"
        );
        fs::create_dir_all(folder).map_err(io)?;
        replace(folder, &path, text.as_bytes()).map_err(io)?;
        Ok(path)
    }

    /// Reads the one of a name from a folder.
    ///
    /// # Errors
    /// As [`Baseline::read`].
    pub fn load(folder: &Path, name: &Name) -> Result<Self, BaselineError> {
        Self::read(&name.path_in(folder))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`BaselineError`] if it cannot be read, is something else, too new, cut off or damaged.
    pub fn read(path: &Path) -> Result<Self, BaselineError> {
        let io = |source| BaselineError::Io { path: path.to_owned(), action: "read", source };
        // Asked before it is opened: opening a pipe waits for its writer.
        if !fs::metadata(path).map_err(io)?.is_file() {
            return Err(BaselineError::NotAFile { path: path.to_owned() });
        }
        let mut bytes = Vec::new();
        let limit = BYTES_MAX + 1;
        File::open(path).map_err(io)?.take(limit).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 == limit {
            return Err(BaselineError::TooLarge { path: path.to_owned() });
        }
        Self::parse(path, &bytes)
    }

    /// Reads the bytes of a file, which errors call `path`.
    ///
    /// # Errors
    /// As [`Baseline::read`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, BaselineError> {
        let damaged = |what: String| BaselineError::Damaged { path: path.to_owned(), what };
        let truncated = || BaselineError::Truncated { path: path.to_owned(), bytes: bytes.len() };
        if bytes.len() < BEGINNING.len() && BEGINNING.as_bytes().starts_with(bytes) {
            return Err(truncated());
        }
        if !bytes.starts_with(BEGINNING.as_bytes()) {
            return Err(BaselineError::Foreign { path: path.to_owned() });
        }
        let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(|error| {
            if error.is_eof() { truncated() } else { damaged(error.to_string()) }
        })?;
        if envelope.version > FORMAT_VERSION {
            let version = envelope.version;
            return Err(BaselineError::Future { path: path.to_owned(), version });
        }
        if envelope.version == 0 {
            return Err(damaged("there is no version 0".into()));
        }
        let body = envelope.body.ok_or_else(|| damaged("it has no body".into()))?.get();
        if envelope.checksum != blake3::hash(body.as_bytes()).to_hex().as_str() {
            return Err(damaged("the checksum is not that of the body".into()));
        }
        let read: Self = serde_json::from_str(body).map_err(|error| damaged(error.to_string()))?;
        match read.broken_limit() {
            Some(what) => Err(damaged(what)),
            None => Ok(read),
        }
    }

    /// Whether a later measurement can be compared with this one. Returns a warning for each
    /// difference of the environments.
    ///
    /// # Errors
    /// [`BaselineError::OtherWorkload`] with each difference of the workloads.
    pub fn comparable(&self, later: &Self) -> Result<Vec<String>, BaselineError> {
        let differences = differences(&self.workload, &later.workload);
        if !differences.is_empty() {
            return Err(BaselineError::OtherWorkload { differences });
        }
        Ok(differences_of_environments(self, later))
    }
}

fn differences_of_environments(before: &Baseline, after: &Baseline) -> Vec<String> {
    let found = differences(&before.environment, &after.environment);
    found.into_iter().map(|found| format!("another environment: {found}")).collect()
}

/// One line for each key whose values differ.
fn differences(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let new = after.keys().filter(|key| !before.contains_key(*key));
    let keys = before.keys().chain(new);
    let show = |value: Option<&String>| value.map_or("nothing".into(), |v| format!("{v:?}"));
    keys.filter(|key| before.get(*key) != after.get(*key))
        .map(|key| format!("{key} was {}, now {}", show(before.get(key)), show(after.get(key))))
        .collect()
}

/// Puts bytes under a name, whole or not at all, and durably.
fn replace(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As other files: the umask takes from it.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
