//! The state file of an exploration: what was explored so far, and of what.

use std::fs;
use std::path::{Path, PathBuf};

use seedbed::explore::{Exploration, Tally};
use serde::{Deserialize, Serialize};

use super::bound;
use crate::exit::Failure;

/// What a state file holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Saved {
    /// Of this format.
    version: u32,
    /// What is explored, in words: another exploration has another one.
    what: String,
    /// All cases before this one are done.
    pub(super) done: u64,
    pub(super) tally: Tally,
    /// Of the cases that are done, those that broke a law, with the law.
    pub(super) broken: Vec<(u64, String)>,
    /// And those without a verdict, with the reason.
    pub(super) inconclusive: Vec<(u64, String)>,
}

/// The format of state files.
const VERSION: u32 = 5;
/// Larger state files are something else.
const STATE_BYTES_MAX: u64 = 1 << 26;

/// A hash of this program: what was explored with another build of the engine says nothing about
/// this one. Where the program cannot be read, a word that no hash is.
fn own_hash() -> String {
    let bytes = std::env::current_exe().and_then(fs::read);
    bytes.map_or("unknown".to_owned(), |bytes| blake3::hash(&bytes).to_hex().to_string())
}

impl Saved {
    fn new(scenario: &str, what: &Exploration) -> Self {
        let Exploration { settings, plant, rules, bounds, unread, .. } = what;
        let what = format!(
            "{} {} {scenario}; {}; settings {settings:?}; plant {plant:?}; rules {rules:?}; \
             {bounds:?}; unread {unread}",
            env!("CARGO_PKG_VERSION"),
            own_hash(),
            bound(what)
        );
        Self {
            version: VERSION,
            what,
            done: 0,
            tally: Tally::default(),
            broken: Vec::new(),
            inconclusive: Vec::new(),
        }
    }

    /// `cases` is how many there are.
    pub(super) fn load(
        path: &Path,
        scenario: &str,
        what: &Exploration,
        cases: u64,
    ) -> Result<Self, Failure> {
        let fresh = Self::new(scenario, what);
        let refuse = |why: String| {
            let hint = "choose another file with --state, or remove it to start anew";
            Failure::usage(format!("{}: {why}; {hint}", path.display()))
        };
        match fs::metadata(path) {
            Ok(meta) if meta.len() > STATE_BYTES_MAX || !meta.is_file() => {
                return Err(refuse("this is not the state of an exploration".to_owned()));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(fresh),
            _ => {}
        }
        let text = fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        let saved: Self = serde_json::from_str(&text)
            .map_err(|error| refuse(format!("not the state of an exploration: {error}")))?;
        if saved.version != fresh.version || saved.what != fresh.what || saved.done > cases {
            let why = "it belongs to another exploration, or to another build of this program";
            return Err(refuse(why.to_owned()));
        }
        Ok(saved)
    }

    /// Writes beside the file and renames, so that a kill leaves the old state or the new.
    pub(super) fn store(&self, path: &Path) -> Result<(), Failure> {
        let refuse = |error: String| Failure::usage(format!("--state {}: {error}", path.display()));
        let text = serde_json::to_string_pretty(self).map_err(|error| refuse(error.to_string()))?;
        let mut name = path.as_os_str().to_owned();
        name.push(".tmp");
        let temporary = PathBuf::from(name);
        fs::write(&temporary, text).map_err(|error| refuse(error.to_string()))?;
        fs::rename(&temporary, path).map_err(|error| refuse(error.to_string()))
    }
}
