//! What the sink asks of a participant: a resource manager that can *prepare* a transaction, which
//! is to promise that it will be able to commit it, whatever happens to the participant meanwhile.
//!
//! The embedded participant (`sink::embedded`) and adapters to databases implement these traits.
//!
//! # What a participant promises
//! * A vote *yes* is durable before it is given. A prepared transaction is committed or aborted by
//!   its coordinator only, or by a person ([`Outcome::Heuristic`]), never by itself.
//! * Commit and abort may be asked any number of times; the answer stays the same, until
//!   [`Connection::prepare`] names a higher `finished`.
//! * A connection of an earlier incarnation of the same writer is refused, once one of a later
//!   incarnation was accepted; and one of a sink that only has the same name.

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;

use super::row::{RowError, Rows, Schema};

/// The longest name of a writer, in bytes. With it a global identifier keeps below the 200 bytes
/// that PostgreSQL allows.
pub const WRITER_LEN_MAX: usize = 64;

/// The name of a sink: it owns the transactions that carry it, at every participant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Writer(Arc<str>);

impl Writer {
    /// A name of 1 to 64 lower-case letters, digits, `_` and `-`.
    ///
    /// # Errors
    /// Another name.
    pub fn new(name: &str) -> Result<Self, RowError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = (1..=WRITER_LEN_MAX).contains(&name.len());
        if fits && name.bytes().all(|byte| plain(byte) || byte == b'_' || byte == b'-') {
            return Ok(Self(name.into()));
        }
        let rule = format!("1 to {WRITER_LEN_MAX} lower-case letters, digits, '_' and '-'");
        Err(RowError(format!("a sink called {name:?}: names are {rule}")))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What to tell a sink of this name whose [identity](Session::identity) is not the known one.
    pub fn is_taken(&self) -> String {
        format!(
            "the name {self} belongs to a sink with another folder: give this one a name of its \
             own. If the other folder is lost, what it left prepared has to be decided by hand"
        )
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A transaction of one writer. Never used twice: each start of a sink is a new incarnation, and
/// within one the numbers go up from 1. Ordered by age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gid {
    /// Which start of the sink began it; from 1.
    pub incarnation: u64,
    /// Which of that incarnation's transactions.
    pub number: u64,
}

impl fmt::Display for Gid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.incarnation, self.number)
    }
}

impl FromStr for Gid {
    type Err = RowError;

    fn from_str(text: &str) -> Result<Self, RowError> {
        let parts = text.split_once('.').and_then(|(left, right)| {
            Some(Self { incarnation: left.parse().ok()?, number: right.parse().ok()? })
        });
        // What prints differently is somebody else's.
        let ours = parts.filter(|gid| gid.to_string() == text);
        ours.ok_or_else(|| RowError(format!("{text:?} is not a transaction's number")))
    }
}

/// How rows go into the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WriteMode {
    /// Each row is new; one whose key is there already is rejected.
    #[default]
    Insert,
    /// A row is added, or changes the one that has its key: a column that is null in the new row
    /// keeps its value.
    Upsert,
    /// A row is added, or takes the place of the one that has its key.
    Replace,
}

/// Who connects, and what for.
#[derive(Clone, Debug)]
pub struct Session {
    /// The sink's name.
    pub writer: Writer,
    /// Drawn when the sink's folder was made. A participant lets one sink of a name in; another
    /// one, from another folder, would take the first one's transactions for its own.
    pub identity: u64,
    /// Which of its starts; fences off earlier ones.
    pub incarnation: u64,
    /// The table that it writes to.
    pub schema: Arc<Schema>,
    /// How.
    pub mode: WriteMode,
}

/// What becomes of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// It is done, at every participant.
    Commit,
    /// It leaves nothing.
    Abort,
}

/// A participant's answer to *prepare*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vote {
    /// It is prepared, durably.
    Yes,
    /// It is not, and never will be.
    No(No),
}

/// Why a participant votes no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum No {
    /// Another transaction that is prepared holds a row. Try again.
    Conflict,
    /// A row breaks a rule of the table, and would again.
    Rejected {
        /// Which one, counted from 0 in the transaction.
        row: u32,
        /// Which rule.
        reason: String,
    },
    /// The participant cannot just now: its disk is full, its limit of prepared transactions is
    /// reached. Try again.
    Unable {
        /// What is missing, and what a person can do.
        reason: String,
    },
}

/// A participant's answer to *commit* and *abort*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is as asked, now or since an earlier time.
    Done,
    /// Somebody else had decided otherwise: the answer says what.
    Heuristic(Decision),
    /// Asked to commit, it finds neither a prepared transaction nor a sign that it was committed.
    Missing,
}

/// Whether a connection can be used for something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Yes.
    Idle,
    /// A transaction is open on it: rows were written, or an answer is outstanding.
    Open,
    /// It is of no use any more.
    Broken,
}

/// Why a participant cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParticipantError {
    /// The connection is lost. What was asked may have been done or not.
    #[error("connection lost: {0}")]
    Lost(String),
    /// A later incarnation of the sink is at work.
    #[error("a later start of this sink (number {by}) has taken over; this one must stop")]
    Fenced {
        /// Its number; 0 if that is not known.
        by: u64,
    },
    /// The participant speaks another version, has another table, or is not one.
    #[error("refused: {0}")]
    Refused(String),
}

/// A resource manager that the sink can connect to.
pub trait Participant: Send + Sync + 'static {
    /// A connection to it.
    type Connection: Connection;

    /// What people call it, in messages.
    fn name(&self) -> &str;

    /// Whether it makes each decision durable by itself, so that many of them are carried out
    /// faster on several connections at once than by one request.
    fn spreads_decisions(&self) -> bool {
        false
    }

    /// Connects. The caller limits the time.
    fn connect(
        &self,
        session: &Session,
    ) -> impl Future<Output = Result<Self::Connection, ParticipantError>> + Send;
}

/// A connection to a participant. Requests go one after the other. A future that is dropped before
/// its end leaves the connection [`Open`](ConnectionState::Open) or
/// [`Broken`](ConnectionState::Broken): it must not be used for anything else then.
pub trait Connection: Send + Sized + 'static {
    /// Whether it can be used for something new.
    fn state(&self) -> ConnectionState;

    /// Adds rows to the open transaction; opens one if there is none. Rejected rows may show here
    /// or only when preparing: `Some` is the participant's *no*, after which nothing is open.
    fn write(
        &mut self,
        rows: &Rows,
    ) -> impl Future<Output = Result<Option<No>, ParticipantError>> + Send;

    /// Prepares the open transaction under this name. After it none is open.
    ///
    /// No transaction of this writer below `finished` will be asked about again: what the
    /// participant remembers of their outcome may be forgotten.
    fn prepare(
        &mut self,
        gid: Gid,
        finished: Gid,
    ) -> impl Future<Output = Result<Vote, ParticipantError>> + Send;

    /// Commits the open transaction at once, in one phase. After it none is open.
    fn commit_open(&mut self) -> impl Future<Output = Result<Vote, ParticipantError>> + Send;

    /// Commits prepared transactions; an outcome for each.
    fn commit(
        &mut self,
        gids: &[Gid],
    ) -> impl Future<Output = Result<Vec<Outcome>, ParticipantError>> + Send;

    /// Aborts prepared transactions; an outcome for each. One that is not there is done.
    fn abort(
        &mut self,
        gids: &[Gid],
    ) -> impl Future<Output = Result<Vec<Outcome>, ParticipantError>> + Send;

    /// The writer's prepared transactions, of all its incarnations, by age; and, where a
    /// participant can know, those that a person has decided and that were not asked about since.
    fn prepared(&mut self) -> impl Future<Output = Result<Vec<Gid>, ParticipantError>> + Send;

    /// Says that damage at these transactions was reported: they need not be listed any more. A
    /// participant that does not list what a person has decided has nothing to do here.
    fn forget(
        &mut self,
        _gids: &[Gid],
    ) -> impl Future<Output = Result<(), ParticipantError>> + Send {
        async { Ok(()) }
    }

    /// Asks for a sign of life.
    fn ping(&mut self) -> impl Future<Output = Result<(), ParticipantError>> + Send;
}
