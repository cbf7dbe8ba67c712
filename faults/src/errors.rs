//! What can be wrong with a plan, a rule, or a piece of text; every message says what was found,
//! where, what is expected, and what to do.

use std::fmt;
use std::path::PathBuf;

/// Longest piece of the found text that a message repeats, in characters.
const SHOWN_MAX: usize = 60;

/// A piece of text that is not the value it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseError {
    what: &'static str,
    found: String,
    why: &'static str,
    expected: &'static str,
}

impl ParseError {
    pub(crate) fn new(
        what: &'static str,
        found: &str,
        why: &'static str,
        expected: &'static str,
    ) -> Self {
        Self { what, found: shown(found), why, expected }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, found, why, expected } = self;
        write!(f, "\"{found}\" is not a {what}: {why}; expected {expected}")
    }
}

impl std::error::Error for ParseError {}

/// Text from outside, escaped and cut so that it fits into a message.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// A rule that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// The path pattern is not a glob.
    #[error("path = \"{pattern}\" is not a path pattern: {reason}; expected one like \"*.log\"")]
    Glob {
        /// The pattern as found, cut to a readable length.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The source location cannot match anything.
    #[error("site = \"{site}\" is not a source location: expected one like \"engine.rs:210\"")]
    Site {
        /// The text as found, cut to a readable length.
        site: String,
    },
    /// `nth` counts from 1.
    #[error("nth = 0 matches nothing: calls are counted from 1; leave nth out to match every call")]
    NthZero,
    /// `then = "stall"` and `stall = "..."` belong together.
    #[error("{0}: write both, like then = \"stall\" and stall = \"300ms\"")]
    Stall(&'static str),
    /// This outcome makes no sense for this operation.
    #[error("then = \"{then}\" has no meaning for on = \"{on}\"")]
    Meaningless {
        /// The operation of the rule.
        on: &'static str,
        /// The outcome of the rule.
        then: &'static str,
    },
}

/// A plan that cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The file cannot be read.
    #[error("cannot read the fault plan {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The text is longer than any sensible plan.
    #[error("{origin}: a fault plan is at most {limit} bytes: is this another kind of file?")]
    TooLarge {
        /// File or preset.
        origin: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The text is not a plan: bad TOML, an unknown key, or a bad value.
    #[error("{}{message}{}", place(origin, *line, key), nearest_hint(nearest))]
    Invalid {
        /// File or preset.
        origin: String,
        /// Line, counted from 1, if known.
        line: Option<usize>,
        /// The key with its table, like `disk.read_latency`; empty if unknown.
        key: String,
        /// What is wrong.
        message: String,
        /// For a word that is not known, the known one that is closest.
        nearest: Option<String>,
    },
    /// A rule of the plan cannot be used.
    #[error("{}{source}", place(origin, *line, &format!("rule {index}")))]
    Rule {
        /// File or preset.
        origin: String,
        /// Line of the rule's `[[rule]]`, counted from 1, if known.
        line: Option<usize>,
        /// Which rule, counted from 1.
        index: usize,
        /// What is wrong with it.
        source: RuleError,
    },
    /// No preset has this name, and it does not look like a path.
    #[error(
        "no fault plan is named \"{name}\"{}; known: {known}; a file's name ends in .toml",
        nearest_hint(nearest)
    )]
    UnknownPreset {
        /// The name as found, cut to a readable length.
        name: String,
        /// The names of all presets.
        known: String,
        /// The closest of them, if one is close.
        nearest: Option<String>,
    },
}

fn place(origin: &str, line: Option<usize>, key: &str) -> String {
    let line = line.map(|line| format!(":{line}")).unwrap_or_default();
    let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
    format!("{origin}{line}: {key}")
}

fn nearest_hint(nearest: &Option<String>) -> String {
    match nearest {
        Some(word) => format!(" (did you mean \"{word}\"?)"),
        None => String::new(),
    }
}

/// The candidate closest to `word`, if it is close enough to be a typo of it.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    if word.len() > 64 {
        return None; // longer than every known word: not a typo, and the distance would be slow
    }
    let allowed = 1 + word.len() / 4;
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

/// Insertions, deletions and replacements that turn one word into the other.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}
