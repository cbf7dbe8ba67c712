//! What an error of the server means for a transaction. SQLSTATEs decide; texts are for people and
//! depend on the server's language.

use std::error::Error as _;

use seedbed_engines::sink::{No, ParticipantError};
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use crate::statements::OURS;

/// An error, sorted by what is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The connection is of no use any more.
    Lost(String),
    /// Another transaction is in the way.
    Conflict,
    /// A row breaks a rule of the table; which one is to be found out.
    Row(String),
    /// The server cannot just now.
    Unable(String),
    /// A later incarnation is at work.
    Fenced,
    /// There is no such object: at COMMIT PREPARED, no such transaction.
    NotThere(String),
    /// Another session is at it.
    Busy(String),
    /// It would be refused again.
    Refused(String),
}

/// An error with what caused it.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.as_db_error().map_or_else(|| error.to_string(), words);
    let mut cause = error.source().filter(|_| error.as_db_error().is_none());
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// The server's words: message, detail, hint, and the SQLSTATE.
fn words(error: &DbError) -> String {
    let mut text = error.message().to_owned();
    for more in [error.detail(), error.hint()].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(more);
    }
    format!("{text} (SQLSTATE {})", error.code().code())
}

impl Trouble {
    pub(crate) fn of(error: &Error) -> Self {
        match error.as_db_error() {
            None => Self::Lost(chain(error)),
            Some(db) => Self::of_server(db),
        }
    }

    fn of_server(error: &DbError) -> Self {
        let (code, text) = (error.code(), words(error));
        let is_marker = error.schema() == Some(OURS) && error.table() == Some("committed");
        let fatal = ["FATAL", "PANIC"].contains(&error.severity());
        let ends = error.parsed_severity().map_or(fatal, |severity| {
            use tokio_postgres::error::Severity::{Fatal, Panic};
            matches!(severity, Fatal | Panic)
        });
        if ends {
            return Self::Lost(text);
        }
        if is_marker && *code == SqlState::NOT_NULL_VIOLATION {
            return Self::Fenced;
        }
        if is_marker && *code == SqlState::UNIQUE_VIOLATION {
            return Self::Unable(format!("this transaction was decided already: {text}"));
        }
        if *code == SqlState::LOCK_NOT_AVAILABLE {
            return Self::Conflict;
        }
        if *code == SqlState::UNDEFINED_OBJECT {
            return Self::NotThere(text);
        }
        if *code == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE {
            return Self::Busy(text);
        }
        if *code == SqlState::DUPLICATE_OBJECT {
            let why = "a transaction of this name is prepared already, perhaps in another database \
                       of the server; two participants of one sink at one server need a `branch`";
            return Self::Unable(format!("{why}: {text}"));
        }
        match &code.code()[..2] {
            "40" => Self::Conflict,
            // Data, cardinality, integrity, check option, and what triggers raise.
            "22" | "21" | "23" | "44" | "P0" => Self::Row(text),
            "53" if error.hint().is_some_and(|hint| hint.contains("max_prepared_transactions")) => {
                let what = "set it in postgresql.conf and start the server again, or resolve what \
                            stands in pg_prepared_xacts";
                Self::Unable(format!("{text}: {what}"))
            }
            // Resources, an operator's hand, input and output, the server's own mistakes.
            "53" | "54" | "57" | "58" | "XX" => Self::Unable(text),
            _ => Self::Refused(text),
        }
    }

    /// The vote that it makes, or why there is none. Of a row, which one must be found out before.
    pub(crate) fn vote(self) -> Result<No, ParticipantError> {
        match self {
            Self::Lost(text) => Err(ParticipantError::Lost(text)),
            Self::Conflict => Ok(No::Conflict),
            Self::Row(reason) | Self::Unable(reason) | Self::Busy(reason) => {
                Ok(No::Unable { reason })
            }
            Self::Fenced => Err(ParticipantError::Fenced { by: 0 }),
            Self::NotThere(text) | Self::Refused(text) => Err(ParticipantError::Refused(text)),
        }
    }

    /// As the answer to something that is no transaction's end.
    pub(crate) fn error(self) -> ParticipantError {
        match self {
            Self::Lost(text) | Self::Unable(text) | Self::Busy(text) => {
                ParticipantError::Lost(text)
            }
            Self::Conflict => ParticipantError::Lost("a lock is held by another session".into()),
            Self::Fenced => ParticipantError::Fenced { by: 0 },
            Self::Row(text) | Self::NotThere(text) | Self::Refused(text) => {
                ParticipantError::Refused(text)
            }
        }
    }
}

/// The error as the answer to a question.
pub(crate) fn asked(error: Error) -> ParticipantError {
    Trouble::of(&error).error()
}
