//! What an engine is loaded with. The same file serves the real disk and the simulated one.
//!
//! A workload file is TOML; keys that are missing have the values of [`Workload::default`]:
//!
//! ```toml
//! engine = "atomic_commit"
//! durability = "group"        # immediate, batch:N, async_sync, write_behind:MS, none
//! clients = 8
//! window = 1                  # operations of a client that are under way at once
//! value_bytes = 1024
//! push_rows = 1               # of the sink: rows pushed at a time
//! checkpoint_ms = 50          # of the sink: from checkpoint to checkpoint
//! connections = 4             # of the sink, to each participant
//! rate = 0                    # operations a second that arrive by themselves; 0: closed loop
//! ```

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use seedbed_engines::atomic_commit::Durability;
use serde::{Deserialize, Serialize};

use crate::text;

/// Longest workload file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 16;
/// Most clients.
pub const CLIENTS_MAX: u32 = 4096;
/// Most operations under way at once, of all clients: the store's queue holds no more.
pub const OUTSTANDING_MAX: u64 = 1 << 16;
/// Most operations of a round: the time that each took is kept until its end.
pub const OPERATIONS_MAX: u64 = 50_000_000;

/// What the sink usually has, see [`Workload`].
const PUSH_ROWS: u32 = 1;
const CHECKPOINT_MS: u32 = 50;
const CONNECTIONS: u32 = 4;

/// An engine that can be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// The state store: an operation is a commit of one key.
    AtomicCommit,
    /// The database sink with embedded participants: an operation is a row, done when it is in a
    /// durable checkpoint.
    Sink,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::AtomicCommit, Self::Sink];

    /// Its name, as on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AtomicCommit => "atomic_commit",
            Self::Sink => "sink",
        }
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|engine| engine.name() == name);
        found.ok_or_else(|| format!("no engine {name:?}: one of {}", known()))
    }
}

/// [`Durability`] as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mode(pub Durability);

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Durability::Immediate => f.write_str("immediate"),
            Durability::Group { .. } => f.write_str("group"),
            Durability::Batch(count) => write!(f, "batch:{count}"),
            Durability::AsyncSync => f.write_str("async_sync"),
            Durability::WriteBehind { interval } => {
                write!(f, "write_behind:{}", interval.as_millis())
            }
            _ => f.write_str("none"),
        }
    }
}

impl From<Mode> for String {
    fn from(mode: Mode) -> Self {
        mode.to_string()
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, number) = text.split_once(':').map_or((text, None), |(a, b)| (a, Some(b)));
        let number = number.map(str::parse::<u64>).transpose();
        let mode = match (name, number) {
            ("immediate", Ok(None)) => Durability::Immediate,
            ("group", Ok(None)) => {
                // As many as can wait: what limits a group is the sync before it.
                Durability::Group { max_batch: OUTSTANDING_MAX as usize, max_delay: Duration::ZERO }
            }
            ("batch", Ok(Some(count @ 1..=1_000_000))) => Durability::Batch(count as usize),
            ("async_sync", Ok(None)) => Durability::AsyncSync,
            ("write_behind", Ok(Some(ms @ 0..=3_600_000))) => {
                Durability::WriteBehind { interval: Duration::from_millis(ms) }
            }
            ("none", Ok(None)) => Durability::None,
            _ => {
                let known = "immediate, group, batch:N, async_sync, write_behind:MS, none";
                return Err(format!("no durability {text:?}: one of {known}"));
            }
        };
        Ok(Self(mode))
    }
}

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workload {
    /// Which engine.
    pub engine: Engine,
    /// What an acknowledgement of the store means. The sink's is always durable.
    pub durability: Mode,
    /// Clients that run side by side. The sink has one source.
    pub clients: u32,
    /// Operations of a client that are under way at once, in closed loop.
    pub window: u32,
    /// Bytes of a value, or of a row's text.
    pub value_bytes: u32,
    /// Keys of all clients together.
    pub keys: u32,
    /// Operations of a round, of all clients together. `seedbed bench` finds as many as take as
    /// long as a round should, whatever a file says.
    pub operations: u64,
    /// Operations a second that arrive whether or not earlier ones are done (*open loop*); 0:
    /// each client has `window` operations under way and begins one when one is done (*closed
    /// loop*).
    pub rate: u64,
    /// Rows of a transaction of the sink.
    pub batch_rows: u32,
    /// Participants of the sink.
    pub participants: u32,
    /// Rows that are pushed into the sink at a time.
    #[serde(skip_serializing_if = "is_usual::<PUSH_ROWS>")]
    pub push_rows: u32,
    /// Milliseconds between checkpoints of the sink.
    #[serde(skip_serializing_if = "is_usual::<CHECKPOINT_MS>")]
    pub checkpoint_ms: u32,
    /// Connections of the sink to each participant.
    #[serde(skip_serializing_if = "is_usual::<CONNECTIONS>")]
    pub connections: u32,
}

/// Whether a field has its usual value. It is not written then: earlier builds, with which this one
/// is compared, do not know it.
fn is_usual<const USUAL: u32>(value: &u32) -> bool {
    *value == USUAL
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            engine: Engine::AtomicCommit,
            durability: "group".parse().expect("a mode"),
            clients: 1,
            window: 1,
            value_bytes: 1024,
            keys: 10_000,
            operations: 5_000,
            rate: 0,
            batch_rows: 1000,
            participants: 3,
            push_rows: PUSH_ROWS,
            checkpoint_ms: CHECKPOINT_MS,
            connections: CONNECTIONS,
        }
    }
}

impl Workload {
    /// A workload file's.
    ///
    /// # Errors
    /// The file cannot be read, or as [`Workload::parse`].
    pub fn load(path: &Path) -> Result<Self, String> {
        let told = |what| format!("{}: no workload: {what}", path.display());
        let text = text::read(path, FILE_BYTES_MAX).map_err(told)?;
        Self::parse(&text).map_err(|what| format!("{}: {what}", path.display()))
    }

    /// A workload out of a file's text.
    ///
    /// # Errors
    /// Text that is no workload, or one that breaks a limit; with the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let workload: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        workload.check()?;
        Ok(workload)
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// Which value, and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        let range = |name: &str, value: u64, max: u64| match (1..=max).contains(&value) {
            true => Ok(()),
            false => Err(format!("{name} is {value}: 1 to {max}")),
        };
        range("clients", self.clients.into(), CLIENTS_MAX.into())?;
        range("window", self.window.into(), OUTSTANDING_MAX)?;
        range("clients times window", self.outstanding(), OUTSTANDING_MAX)?;
        range("keys", self.keys.into(), 10_000_000)?;
        range("operations", self.operations, OPERATIONS_MAX)?;
        range("batch_rows", self.batch_rows.into(), 1 << 20)?;
        range("participants", self.participants.into(), 16)?;
        range("push_rows", self.push_rows.into(), 10_000)?;
        range("checkpoint_ms", self.checkpoint_ms.into(), 3_600_000)?;
        range("connections", self.connections.into(), 64)?;
        if self.engine == Engine::Sink && self.rate == 0 && self.push_rows > self.window {
            let Self { push_rows, window, .. } = self;
            return Err(format!("push_rows is {push_rows}, and only {window} are under way"));
        }
        if self.rate > 0 {
            range("rate", self.rate, 1_000_000_000)?;
        }
        // Both are stored with the value's number, by which the check knows it.
        if !(16..=1 << 20).contains(&self.value_bytes) {
            return Err(format!("value_bytes is {}: 16 to {}", self.value_bytes, 1 << 20));
        }
        if self.keys < self.clients {
            return Err(format!("{} keys for {} clients", self.keys, self.clients));
        }
        if self.engine == Engine::Sink && self.clients != 1 {
            return Err("the sink has one source: `clients` must be 1".to_owned());
        }
        Ok(())
    }

    /// Operations that are under way at once, at most, in closed loop.
    pub fn outstanding(&self) -> u64 {
        u64::from(self.clients) * u64::from(self.window)
    }

    /// Whether an acknowledged operation outlives a power loss.
    pub fn is_durable(&self) -> bool {
        self.engine == Engine::Sink || self.durability.0.survives_power_loss()
    }
}

impl fmt::Display for Workload {
    /// One line for tables.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clients, window, value_bytes, rate, .. } = self;
        match self.engine {
            Engine::AtomicCommit => write!(f, "{}, {clients} x {window}", self.durability)?,
            Engine::Sink => write!(f, "batches of {}, window {window}", self.batch_rows)?,
        }
        write!(f, ", {value_bytes} B")?;
        if self.engine == Engine::Sink {
            if self.push_rows != PUSH_ROWS {
                write!(f, ", pushed by {}", self.push_rows)?;
            }
            if self.checkpoint_ms != CHECKPOINT_MS {
                write!(f, ", checkpoints each {} ms", self.checkpoint_ms)?;
            }
            if self.connections != CONNECTIONS {
                write!(f, ", {} connections", self.connections)?;
            }
        }
        match rate {
            0 => Ok(()),
            rate => write!(f, ", {rate}/s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_is_not_as_usual() {
        let parsed = Workload::parse("durability = \"batch:10\"\nclients = 8\nrate = 100\n");
        let expected = Workload {
            durability: Mode(Durability::Batch(10)),
            clients: 8,
            rate: 100,
            ..Workload::default()
        };
        assert_eq!(parsed, Ok(expected.clone()));
        assert_eq!(expected.to_string(), "batch:10, 8 x 1, 1024 B, 100/s");
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let cases = [
            ("color = 1", "color"),
            ("durability = \"batch\"", "batch:N"),
            ("durability = \"batch:0\"", "batch:N"),
            ("durability = \"group:3\"", "one of immediate"),
            ("clients = 5000", "clients is 5000: 1 to 4096"),
            ("clients = 4096\nwindow = 65536", "clients times window"),
            ("clients = 9\nkeys = 8", "8 keys for 9 clients"),
            ("value_bytes = 15", "value_bytes is 15"),
            ("operations = 99999999999", "operations is"),
            ("engine = \"rocket\"", "rocket"),
            ("engine = \"sink\"\nclients = 2", "one source"),
            ("rate = 5000000000", "rate is"),
            ("engine = \"sink\"\nwindow = 9\npush_rows = 10", "only 9 are under way"),
            ("connections = 65", "connections is 65: 1 to 64"),
            ("window = -1", "window"),
        ];
        for (text, expected) in cases {
            let why = Workload::parse(text).expect_err(text);
            assert!(why.contains(expected), "{text}: {why}");
        }
    }

    #[test]
    fn an_earlier_build_is_asked_only_for_what_it_knows() {
        let usual = serde_json::to_string(&Workload::default()).expect("data");
        let own = ["push_rows", "checkpoint_ms", "connections"];
        assert!(own.iter().all(|name| !usual.contains(name)), "{usual}");
        let unusual =
            Workload { push_rows: 2, checkpoint_ms: 7, connections: 1, ..Workload::default() };
        let text = serde_json::to_string(&unusual).expect("data");
        assert!(own.iter().all(|name| text.contains(name)), "{text}");
        assert_eq!(serde_json::from_str::<Workload>(&text).expect("a workload"), unusual);
    }

    #[test]
    fn modes_are_read_as_they_are_printed() {
        for text in ["immediate", "group", "batch:7", "async_sync", "write_behind:10", "none"] {
            let mode: Mode = text.parse().expect("a mode");
            assert_eq!(mode.to_string(), text);
        }
    }
}
