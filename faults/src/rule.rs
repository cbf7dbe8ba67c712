//! Surgical faults: "the third `sync_data` of `*.log` on node 1 fails".
//!
//! A [`Rule`] is plain data from a plan. [`Rule::compile`] checks it once, so that a malformed
//! pattern is an error when the plan is loaded, and gives a [`CompiledRule`] whose `matches` is
//! cheap enough for every call. Invariant: a compiled rule matches only operations for which its
//! outcome has a meaning, so a simulator never has to ask what a short rename would be.

use std::fmt;
use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Serialize, Serializer};

use crate::errors::{ParseError, RuleError, nearest, shown};
use crate::range::DurationRange;

#[cfg(test)]
mod tests;

/// Longest path pattern and longest site, in bytes.
const PATTERN_BYTES_MAX: usize = 1024;

macro_rules! op_kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal,)*) => {
        /// An operation on a disk.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum OpKind {
            $($(#[$doc])* $kind,)*
        }

        impl OpKind {
            /// Every operation, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The operation's name in plans, traces and tables.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

op_kinds! {
    /// Opens a file.
    Open "open",
    /// Reads bytes of a file.
    Read "read",
    /// Writes bytes of a file.
    Write "write",
    /// Makes a file's bytes durable.
    SyncData "sync_data",
    /// Makes a file's bytes and metadata durable.
    SyncAll "sync_all",
    /// Makes a folder's entries durable.
    SyncDir "sync_dir",
    /// Changes a file's length.
    SetLen "set_len",
    /// Gives a file another name.
    Rename "rename",
    /// Removes a file.
    RemoveFile "remove_file",
    /// Makes a folder.
    CreateDir "create_dir",
    /// Removes a folder.
    RemoveDir "remove_dir",
    /// Lists a folder.
    ReadDir "read_dir",
    /// Gives a file one more name.
    HardLink "hard_link",
    /// Allocates space in a file.
    Allocate "allocate",
    /// Writes back pages of a file, which is no sync.
    SyncRange "sync_range",
}

impl OpKind {
    /// Whether this makes something durable.
    pub const fn is_sync(self) -> bool {
        matches!(self, Self::SyncData | Self::SyncAll | Self::SyncDir)
    }
}

/// Which operations a rule is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum On {
    /// One kind of operation.
    Op(OpKind),
    /// Any of the three syncs: `"sync"`.
    Sync,
    /// Every operation: `"any"`.
    Any,
}

impl On {
    /// The name in plans.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Op(op) => op.name(),
            Self::Sync => "sync",
            Self::Any => "any",
        }
    }

    /// Whether `op` is one of them.
    pub fn includes(self, op: OpKind) -> bool {
        match self {
            Self::Op(wanted) => wanted == op,
            Self::Sync => op.is_sync(),
            Self::Any => true,
        }
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for On {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let ops = OpKind::ALL.iter().map(|op| Self::Op(*op));
        let mut known = ops.chain([Self::Sync, Self::Any]);
        known.find(|on| on.name() == text).ok_or_else(|| {
            let expected = "open, read, write, sync_data, sync_all, sync_dir, set_len, rename, \
                            remove_file, create_dir, remove_dir, read_dir, hard_link, allocate, \
                            sync_range, sync (any of sync_data, sync_all, sync_dir) or any";
            let why = "there is no such operation";
            ParseError::new("operation", text, why, expected)
        })
    }
}

impl Serialize for On {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for On {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|error: ParseError| {
            let names = OpKind::ALL.iter().map(|op| op.name()).chain(["sync", "any"]);
            let hint = nearest(&text, names);
            let hint = hint.map(|name| format!(" (did you mean \"{name}\"?)")).unwrap_or_default();
            serde::de::Error::custom(format!("{error}{hint}"))
        })
    }
}

/// What a rule does to the call it fires on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Fails with EIO.
    Eio,
    /// Fails with ENOSPC.
    NoSpace,
    /// Reads or writes fewer bytes than asked for.
    Short,
    /// Reports success and does nothing.
    Omit,
    /// A `sync_all` does what a `sync_data` does.
    Weaken,
    /// The process dies here; the page cache lives.
    Crash,
    /// The power goes here; the page cache is lost.
    PowerLoss,
    /// Takes the rule's `stall` longer.
    Stall,
}

impl Then {
    /// The name in plans and traces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eio => "eio",
            Self::NoSpace => "no_space",
            Self::Short => "short",
            Self::Omit => "omit",
            Self::Weaken => "weaken",
            Self::Crash => "crash",
            Self::PowerLoss => "power_loss",
            Self::Stall => "stall",
        }
    }

    /// Whether this outcome has a meaning for `op`.
    pub const fn applies_to(self, op: OpKind) -> bool {
        match self {
            Self::Eio | Self::Crash | Self::PowerLoss | Self::Stall => true,
            Self::Short => matches!(op, OpKind::Read | OpKind::Write),
            Self::Weaken => matches!(op, OpKind::SyncAll),
            Self::Omit => !matches!(op, OpKind::Open | OpKind::Read | OpKind::ReadDir),
            Self::NoSpace => !matches!(
                op,
                OpKind::Read | OpKind::ReadDir | OpKind::RemoveFile | OpKind::RemoveDir
            ),
        }
    }
}

/// A surgical fault: when a call matches everything that is given, `then` happens to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which operations: a name of [`OpKind`], `sync` or `any`.
    pub on: On,
    /// Glob over the path. Without a `/` it is matched against the file's name, in any folder;
    /// with one against the whole path, where `*` stays within a folder and `**` does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Source location of the call, from its end: `engine.rs:210`, `log/engine.rs:210`, or
    /// `engine.rs` for all its lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Only on this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u16>,
    /// Only in this boot of a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<u32>,
    /// Only the nth call that matches all of the above, counted from 1; every call if not given.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "clamped")]
    pub nth: Option<u64>,
    /// What happens.
    pub then: Then,
    /// How much longer the call takes, for `then = "stall"`; drawn per call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall: Option<DurationRange>,
}

/// TOML's integers end at 2^63 - 1, and no run makes that many calls.
fn clamped<S: Serializer>(nth: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
    nth.map(|nth| nth.min(i64::MAX as u64)).serialize(to)
}

impl Rule {
    /// A rule for every call of `on`.
    pub const fn new(on: On, then: Then) -> Self {
        let (path, site, node, boot, nth, stall) = (None, None, None, None, None, None);
        Self { on, path, site, node, boot, nth, then, stall }
    }

    /// Leaves out the sync at a source location: it reports success and makes nothing durable.
    pub fn omit_sync(site: impl Into<String>) -> Self {
        Self { site: Some(site.into()), ..Self::new(On::Sync, Then::Omit) }
    }

    /// Makes the `sync_all` at a source location a `sync_data`.
    pub fn weaken_sync(site: impl Into<String>) -> Self {
        Self { site: Some(site.into()), ..Self::new(On::Op(OpKind::SyncAll), Then::Weaken) }
    }

    /// Checks the rule and prepares it for matching.
    ///
    /// # Errors
    /// [`RuleError`] if the rule could never fire or has no meaning.
    pub fn compile(&self) -> Result<CompiledRule, RuleError> {
        if self.nth == Some(0) {
            return Err(RuleError::NthZero);
        }
        match (self.then, self.stall) {
            (Then::Stall, None) => return Err(RuleError::Stall("a stall needs to know how long")),
            (Then::Stall, Some(_)) | (_, None) => {}
            (_, Some(_)) => return Err(RuleError::Stall("stall is given but then is not stall")),
        }
        let mut included = OpKind::ALL.iter().filter(|op| self.on.includes(**op));
        if !included.any(|op| self.then.applies_to(*op)) {
            let (on, then) = (self.on.name(), self.then.name());
            return Err(RuleError::Meaningless { on, then });
        }
        let path = self.path.as_deref().map(PathPattern::new).transpose()?;
        let site = self.site.as_deref().map(Site::new).transpose()?;
        Ok(CompiledRule { rule: self.clone(), path, site })
    }
}

/// A rule that is ready to match.
#[derive(Clone, Debug)]
pub struct CompiledRule {
    rule: Rule,
    path: Option<PathPattern>,
    site: Option<Site>,
}

impl CompiledRule {
    /// The rule it was made from.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Whether a call matches everything but `nth`. `site` is the call's file and line.
    pub fn matches(&self, op: OpKind, path: &str, site: (&str, u32), node: u16, boot: u32) -> bool {
        let rule = &self.rule;
        rule.on.includes(op)
            && rule.then.applies_to(op)
            && rule.node.is_none_or(|wanted| wanted == node)
            && rule.boot.is_none_or(|wanted| wanted == boot)
            && self.site.as_ref().is_none_or(|wanted| wanted.matches(site.0, site.1))
            && self.path.as_ref().is_none_or(|pattern| pattern.matches(path))
    }
}

/// How many calls a rule has matched; the caller keeps one per rule and world.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RuleState {
    /// Calls that matched so far.
    pub matched: u64,
}

impl RuleState {
    /// Counts one call that [`CompiledRule::matches`] accepted, and says whether the rule fires.
    pub fn fires(&mut self, rule: &CompiledRule) -> bool {
        self.matched = self.matched.saturating_add(1);
        rule.rule.nth.is_none_or(|nth| nth == self.matched)
    }
}

/// A prepared glob.
#[derive(Clone, Debug)]
struct PathPattern {
    glob: GlobMatcher,
    whole_path: bool,
}

impl PathPattern {
    fn new(pattern: &str) -> Result<Self, RuleError> {
        let bad = |reason: String| RuleError::Glob { pattern: shown(pattern), reason };
        if pattern.is_empty() {
            return Err(bad("it is empty".to_owned()));
        }
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(bad(format!("it is longer than {PATTERN_BYTES_MAX} bytes")));
        }
        let relative = pattern.trim_start_matches('/');
        let glob = GlobBuilder::new(relative)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| bad(error.kind().to_string()))?;
        Ok(Self { glob: glob.compile_matcher(), whole_path: pattern.contains('/') })
    }

    fn matches(&self, path: &str) -> bool {
        let path = path.trim_start_matches('/');
        let name = path.rsplit('/').next().unwrap_or(path);
        self.glob.is_match(if self.whole_path { path } else { name })
    }
}

/// The end of a source location, with or without a line.
#[derive(Clone, Debug)]
struct Site {
    file: String,
    line: Option<u32>,
}

impl Site {
    fn new(text: &str) -> Result<Self, RuleError> {
        let bad = || RuleError::Site { site: shown(text) };
        let (file, line) = match text.rsplit_once(':') {
            Some((file, line)) => (file, Some(line.parse().map_err(|_| bad())?)),
            None => (text, None),
        };
        let file = file.replace('\\', "/");
        let names_a_file = !file.is_empty() && !file.ends_with('/') && !file.contains(':');
        if !names_a_file || text.len() > PATTERN_BYTES_MAX {
            return Err(bad());
        }
        Ok(Self { file, line })
    }

    fn matches(&self, file: &str, line: u32) -> bool {
        if self.line.is_some_and(|wanted| wanted != line) || self.file.len() > file.len() {
            return false;
        }
        let (front, end) = file.as_bytes().split_at(file.len() - self.file.len());
        let is_separator = |byte: u8| byte == b'/' || byte == b'\\';
        let same = |a: u8, b: u8| a == b || (is_separator(a) && is_separator(b));
        end.iter().zip(self.file.bytes()).all(|(a, b)| same(*a, b))
            && front.last().is_none_or(|byte| is_separator(*byte))
    }
}
