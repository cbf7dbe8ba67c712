//! What a file system holds: every path with kind, length, content and identity.
//!
//! The text form is one line, so that a recorded outcome can be read and compared by eye:
//!
//! ```text
//! A/db=o*16384 A/tgt=n*4096,x00*4096 A/tmp==A/tgt B/ U/log=u*4096
//! ```
//!
//! `*` says how often a byte stands there, `==` that a path is another name of the same file, `!`
//! that reading fails, `empty` that there is no byte, and a trailing slash that there is an empty
//! directory. Directories with something in them are not listed, their paths say that they are
//! there. `(nlink 3)` follows where the file system counts other links than there are paths.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::steps::{PAGE, byte_text, parse_byte};

/// What a stretch of a file reads as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fill {
    /// This byte, everywhere.
    Byte(u8),
    /// An error.
    Unreadable,
}

/// A stretch of a file with the same byte everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run {
    /// What it reads as.
    pub fill: Fill,
    /// Number of bytes.
    pub len: u64,
}

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// A directory.
    Dir,
    /// A file under the first of its names.
    File {
        /// Its content. Adjacent runs differ; no run is empty.
        runs: Vec<Run>,
        /// How many links the file system counts.
        nlink: u64,
    },
    /// Another name of the file at that path, which comes earlier in the order of paths.
    SameAs(String),
}

/// What a file system holds, by path. The root itself is not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Dump {
    /// All paths, relative to the root, with what they name.
    pub entries: BTreeMap<String, Entry>,
}

impl Dump {
    /// Reads everything below a folder. Where reading a file fails, the page counts as unreadable.
    ///
    /// # Errors
    ///
    /// A folder that cannot be listed, or a file that cannot be opened.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut paths = BTreeMap::new();
        list(root, "", &mut paths)?;
        let mut seen = BTreeMap::new();
        let mut entries = BTreeMap::new();
        for (path, metadata) in paths {
            let entry = if metadata.is_dir() {
                Entry::Dir
            } else if let Some(first) = seen.get(&metadata.ino()) {
                Entry::SameAs(String::clone(first))
            } else {
                seen.insert(metadata.ino(), path.clone());
                let runs = content(&root.join(&path))?;
                Entry::File { runs, nlink: metadata.nlink() }
            };
            entries.insert(path, entry);
        }
        Ok(Self { entries })
    }

    /// The content of the file at a path, whichever of its names this is.
    pub fn content(&self, path: &str) -> Option<&[Run]> {
        match self.entries.get(path)? {
            Entry::Dir => None,
            Entry::File { runs, .. } => Some(runs),
            Entry::SameAs(first) => self.content(first),
        }
    }

    /// How many paths name the file whose first name this is.
    pub(crate) fn names(&self, first: &str) -> u64 {
        let is_name = |entry: &&Entry| matches!(entry, Entry::SameAs(other) if other == first);
        1 + self.entries.values().filter(is_name).count() as u64
    }

    fn is_empty_dir(&self, path: &str) -> bool {
        let below = format!("{path}/");
        !self.entries.keys().any(|other| other.starts_with(&below))
    }
}

fn list(root: &Path, below: &str, paths: &mut BTreeMap<String, fs::Metadata>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| {
            io::Error::other(format!("{} is not a name of ours", Path::new(&name).display()))
        })?;
        if below.is_empty() && name == "lost+found" {
            continue;
        }
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            list(root, &path, paths)?;
        }
        paths.insert(path, metadata);
    }
    Ok(())
}

fn content(path: &Path) -> io::Result<Vec<Run>> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    read_runs(&file, len)
}

/// The runs of the first bytes of an open file.
pub(crate) fn read_runs(file: &File, len: u64) -> io::Result<Vec<Run>> {
    let mut runs = Vec::new();
    let mut page = vec![0; PAGE as usize];
    let mut offset = 0;
    while offset < len {
        let wanted = (len - offset).min(PAGE) as usize;
        match file.read_at(&mut page[..wanted], offset) {
            Ok(0) => return Err(io::Error::other(format!("it ends at {offset}, not {len}"))),
            Ok(got) => {
                page[..got].iter().for_each(|byte| push(&mut runs, Fill::Byte(*byte), 1));
                offset += got as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => {
                push(&mut runs, Fill::Unreadable, wanted as u64);
                offset += wanted as u64;
            }
        }
    }
    Ok(runs)
}

/// Adds a stretch at the end of a content, which stays in its shortest form.
pub fn push(runs: &mut Vec<Run>, fill: Fill, len: u64) {
    match runs.last_mut() {
        _ if len == 0 => {}
        Some(last) if last.fill == fill => last.len += len,
        _ => runs.push(Run { fill, len }),
    }
}

/// The text of a content.
pub(crate) fn runs_text(runs: &[Run]) -> String {
    let text = |run: &Run| match run.fill {
        Fill::Byte(byte) => format!("{}*{}", byte_text(byte), run.len),
        Fill::Unreadable => format!("!*{}", run.len),
    };
    match runs {
        [] => "empty".to_owned(),
        runs => runs.iter().map(text).collect::<Vec<_>>().join(","),
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        for (path, entry) in &self.entries {
            match entry {
                Entry::Dir if self.is_empty_dir(path) => words.push(format!("{path}/")),
                Entry::Dir => {}
                Entry::SameAs(first) => words.push(format!("{path}=={first}")),
                Entry::File { runs, nlink } => {
                    words.push(format!("{path}={}", runs_text(runs)));
                    if *nlink != self.names(path) {
                        words.push(format!("(nlink {nlink})"));
                    }
                }
            }
        }
        f.write_str(&words.join(" "))
    }
}

/// A text that is not a dump.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` in a dump: {why}; expected something like `A/db=o*4096,n*4096`")]
pub struct ParseDumpError {
    word: String,
    why: String,
}

impl FromStr for Dump {
    type Err = ParseDumpError;

    fn from_str(text: &str) -> Result<Self, ParseDumpError> {
        let text = text.replace(" (nlink ", "(");
        let mut dump = Self::default();
        let mut counted = BTreeMap::new();
        for word in text.split_whitespace() {
            let bad = |why: String| ParseDumpError { word: word.to_owned(), why };
            if let Some(path) = word.strip_suffix('/') {
                dump.insert(path, Entry::Dir);
            } else if let Some((path, first)) = word.split_once("==") {
                dump.insert(path, Entry::SameAs(first.to_owned()));
            } else if let Some((path, content)) = word.split_once('=') {
                let (content, nlink) = content.split_once('(').unwrap_or((content, ""));
                if let Some(nlink) = nlink.strip_suffix(')') {
                    let nlink = nlink.parse().map_err(|_| bad("bad nlink".to_owned()))?;
                    counted.insert(path.to_owned(), nlink);
                }
                let runs = parse_runs(content).map_err(bad)?;
                dump.insert(path, Entry::File { runs, nlink: 0 });
            } else {
                return Err(bad("there is no `=`".to_owned()));
            }
        }
        dump.count_links(&counted);
        Ok(dump)
    }
}

impl Dump {
    /// Adds an entry and the directories above it.
    pub fn insert(&mut self, path: &str, entry: Entry) {
        for (at, _) in path.match_indices('/') {
            self.entries.entry(path[..at].to_owned()).or_insert(Entry::Dir);
        }
        self.entries.insert(path.to_owned(), entry);
    }

    /// Sets every file's links to the given number, or to the number of its paths.
    pub(crate) fn count_links(&mut self, counted: &BTreeMap<String, u64>) {
        let names: Vec<_> =
            self.entries.keys().map(|path| (path.clone(), self.names(path))).collect();
        for (path, names) in names {
            if let Some(Entry::File { nlink, .. }) = self.entries.get_mut(&path) {
                *nlink = counted.get(&path).copied().unwrap_or(names);
            }
        }
    }
}

/// The content that a text from [`runs_text`] stands for.
pub(crate) fn parse_runs(text: &str) -> Result<Vec<Run>, String> {
    let mut runs = Vec::new();
    if text == "empty" {
        return Ok(runs);
    }
    for part in text.split(',') {
        let (fill, len) = part.split_once('*').ok_or("there is no `*`")?;
        let fill = if fill == "!" { Fill::Unreadable } else { Fill::Byte(parse_byte(fill)?) };
        let len = len.parse().map_err(|_| format!("`{len}` is no number of bytes"))?;
        push(&mut runs, fill, len);
    }
    Ok(runs)
}

impl From<Dump> for String {
    fn from(dump: Dump) -> Self {
        dump.to_string()
    }
}

impl TryFrom<String> for Dump {
    type Error = ParseDumpError;

    fn try_from(text: String) -> Result<Self, ParseDumpError> {
        text.parse()
    }
}
