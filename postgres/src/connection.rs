//! A connection: statements are sent without waiting, and answers are awaited when the transaction
//! ends, so that a transaction costs one round trip, and its second phase another.
//!
//! The last statement so far is kept back until there is another or the transaction ends, because
//! then it can do more than insert: it makes the transaction's marker too, or is the whole
//! transaction.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::future::join;
use seedbed_engines::sink::{
    Connection, ConnectionState, Decision, Gid, No, Outcome, ParticipantError, Row, Rows, Vote,
    WriteMode,
};
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, CopyInSink, Error, Statement};

use crate::batch::parameters;
use crate::encode::{self, Array};
use crate::participant::Context;
use crate::replies::{Reply, send, settle};
use crate::resolve;
use crate::search;
use crate::setup;
use crate::statements::Statements;
use crate::trouble::{Trouble, asked};

/// Most rows of one statement. More are not faster, and the first of them are carried out while the
/// others are being encoded.
pub(crate) const STATEMENT_ROWS_MAX: usize = 1_000;
/// Most bytes of rows of one statement, but for its last row.
const STATEMENT_BYTES_MAX: usize = 8 << 20;
/// From so many rows on, new rows go by COPY, whose start costs a round trip.
const COPY_ROWS_MIN: usize = 2_000;
/// Most bytes of rows that are under way before answers are awaited.
const UNDER_WAY_MAX: usize = 16 << 20;

/// A connection to a PostgreSQL database.
#[derive(Debug)]
pub struct PostgresConnection {
    client: Arc<Client>,
    driver: Driver,
    context: Context,
    statements: Statements,
    open: Option<Open>,
    /// A request was begun and its last answer has not come.
    is_asking: bool,
    is_broken: bool,
}

/// The open transaction.
#[derive(Default)]
struct Open {
    /// The server knows of it.
    is_begun: bool,
    /// The parameters of its last statement, which is not sent yet.
    kept_back: Option<Vec<Array>>,
    replies: Vec<Reply>,
    /// Its rows, in case one is rejected.
    rows: Vec<Rows>,
    count: usize,
    bytes_under_way: usize,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("rows", &self.count).finish_non_exhaustive()
    }
}

/// The task that drives a connection's socket. It ends by itself when the client is dropped and
/// nothing is under way.
#[derive(Debug)]
pub(crate) struct Driver(JoinHandle<()>);

impl Driver {
    pub(crate) fn spawn<F>(connection: F) -> Self
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        // Its error is each request's as well.
        Self(tokio::spawn(async move { drop(connection.await) }))
    }
}

impl Drop for PostgresConnection {
    fn drop(&mut self) {
        if self.state() != ConnectionState::Idle {
            // The socket is closed at once, and the server rolls back what is open.
            self.driver.0.abort();
        }
    }
}

impl PostgresConnection {
    pub(crate) fn new(
        client: Client,
        driver: Driver,
        context: Context,
        statements: Statements,
    ) -> Self {
        let client = Arc::new(client);
        Self { client, driver, context, statements, open: None, is_asking: false, is_broken: false }
    }

    /// Marks the beginning of a request, until [`answered`](Self::answered). If the request's
    /// future is dropped between them, the connection stays open.
    fn ask(&mut self) -> Result<(), ParticipantError> {
        if std::mem::replace(&mut self.is_asking, true) {
            let text = "an earlier request was abandoned: the connection is to be closed";
            return Err(ParticipantError::Refused(text.to_owned()));
        }
        Ok(())
    }

    /// The request's last answer has come.
    fn answered<T>(&mut self, answer: Result<T, ParticipantError>) -> Result<T, ParticipantError> {
        self.is_asking = false;
        if answer.is_err() {
            // Not all of them are the connection's fault, but then it is not worth keeping.
            self.is_broken = true;
            self.open = None;
        }
        answer
    }

    fn batch(&self, sql: String) -> Reply {
        let client = Arc::clone(&self.client);
        send(async move { client.batch_execute(&sql).await.map(|()| 0) })
    }

    /// Opens a transaction in the server if none is, and sends the statement that was kept back.
    fn begin(&mut self) -> &mut Open {
        let begin = match &self.open {
            Some(open) if open.is_begun => None,
            _ => Some(self.batch("BEGIN".to_owned())),
        };
        let kept_back = self.open.as_mut().and_then(|open| open.kept_back.take());
        let rows = kept_back.map(|arrays| self.execute(&self.statements.rows, arrays));
        let open = self.open.get_or_insert_default();
        open.is_begun = true;
        open.replies.extend(begin);
        open.replies.extend(rows);
        open
    }

    fn execute(&self, statement: &Statement, arrays: Vec<Array>) -> Reply {
        let (client, statement) = (Arc::clone(&self.client), statement.clone());
        send(async move { client.execute_raw(&statement, &arrays).await })
    }

    async fn add(&mut self, rows: &Rows) -> Result<Option<No>, ParticipantError> {
        let before = self.open.as_ref().map_or(0, |open| open.count);
        if let Err(bad) = encode::check(&self.context.schema, rows.iter()) {
            self.roll_back().await?;
            let row = row_number(before + bad.row)?;
            return Ok(Some(No::Rejected { row, reason: bad.reason }));
        }
        row_number(before + rows.len())?;
        if self.context.mode == WriteMode::Insert && rows.len() >= COPY_ROWS_MIN {
            if let Some(no) = self.copy(rows).await? {
                return Ok(Some(no));
            }
        } else {
            self.send_arrays(rows);
        }
        let open = self.open.get_or_insert_default();
        open.rows.push(rows.clone());
        open.count += rows.len();
        open.bytes_under_way += rows.bytes().len();
        if open.bytes_under_way > UNDER_WAY_MAX {
            return self.catch_up().await;
        }
        Ok(None)
    }

    /// Sends rows as parameters of statements, and keeps the last of these back.
    fn send_arrays(&mut self, rows: &Rows) {
        let mut some: Vec<Row<'_>> = Vec::with_capacity(rows.len().min(STATEMENT_ROWS_MAX));
        let mut bytes = 0;
        let mut left = rows.len();
        for row in rows.iter() {
            some.push(row);
            bytes += row.bytes().len();
            left -= 1;
            if left > 0 && some.len() < STATEMENT_ROWS_MAX && bytes < STATEMENT_BYTES_MAX {
                continue;
            }
            if self.open.as_ref().is_some_and(|open| open.kept_back.is_some()) {
                self.begin();
            }
            let arrays = parameters(&self.context.schema, self.context.mode, &some);
            self.open.get_or_insert_default().kept_back = Some(arrays);
            some.clear();
            bytes = 0;
        }
    }

    /// Sends rows by COPY.
    async fn copy(&mut self, rows: &Rows) -> Result<Option<No>, ParticipantError> {
        // A COPY in a transaction that failed is refused, which must not happen (see lib.rs).
        if self.open.as_ref().is_some_and(|open| open.count > 0)
            && let Some(no) = self.catch_up().await?
        {
            return Ok(Some(no));
        }
        let replies = std::mem::take(&mut self.begin().replies);
        let (begun, copy) =
            join(settle(replies), self.client.copy_in::<_, Bytes>(&self.statements.copy)).await;
        begun.map_err(asked)?;
        // An error here ends the connection.
        let copy: CopyInSink<Bytes> = copy.map_err(asked)?;
        let stream = encode::copy_stream(&self.context.schema, rows.iter(), rows.bytes().len());
        let mut copy = Box::pin(copy);
        let reply = send(async move {
            copy.send(stream).await?;
            copy.as_mut().finish().await
        });
        if let Some(open) = &mut self.open {
            open.replies.push(reply);
        }
        Ok(None)
    }

    /// Waits for all answers; after an error nothing is open.
    async fn catch_up(&mut self) -> Result<Option<No>, ParticipantError> {
        let open = self.begin();
        open.bytes_under_way = 0;
        match settle(std::mem::take(&mut open.replies)).await {
            Ok(()) => Ok(None),
            Err(error) => {
                let rows = std::mem::take(&mut open.rows);
                self.roll_back().await?;
                self.no(&error, &rows).await.map(Some)
            }
        }
    }

    async fn roll_back(&mut self) -> Result<(), ParticipantError> {
        let Some(open) = self.open.take().filter(|open| open.is_begun) else { return Ok(()) };
        let rollback = self.batch("ROLLBACK".to_owned());
        // What it rolls back may have failed.
        let _ = settle(open.replies).await;
        rollback.await.map(drop).map_err(asked)
    }

    /// Sends what commits the open transaction in one phase. A single statement needs no other.
    fn commit_last(&mut self) -> Reply {
        let unknown = self.open.as_mut().filter(|open| !open.is_begun);
        if let Some(arrays) = unknown.and_then(|open| open.kept_back.take()) {
            return self.execute(&self.statements.rows, arrays);
        }
        self.begin();
        self.batch("COMMIT".to_owned())
    }

    /// Ends the open transaction by `last`, which is sent behind all else.
    async fn end(&mut self, last: Vec<Reply>) -> Result<Vote, ParticipantError> {
        let mut open = self.open.take().unwrap_or_default();
        open.replies.extend(last);
        match settle(open.replies).await {
            Ok(()) => Ok(Vote::Yes),
            Err(error) => self.no(&error, &open.rows).await.map(Vote::No),
        }
    }

    /// Why the transaction with these rows failed.
    async fn no(&mut self, error: &Error, rows: &[Rows]) -> Result<No, ParticipantError> {
        match Trouble::of(error) {
            Trouble::Row(text) => {
                // A row of another transaction may have been in the way, and be gone by then.
                let otherwise = match error.code() {
                    Some(&SqlState::UNIQUE_VIOLATION) => No::Conflict,
                    _ => No::Unable { reason: format!("{text}; no row shows it by itself") },
                };
                let found = search::find(&self.client, &self.context, &self.statements, rows);
                Ok(found.await?.unwrap_or(otherwise))
            }
            Trouble::Fenced => {
                let by = setup::latest(&self.client, &self.context).await?;
                let by = by.map_or(0, |(number, _)| number.cast_unsigned());
                Err(ParticipantError::Fenced { by })
            }
            other => other.vote(),
        }
    }

    /// Sends what makes the marker of the transaction of this number: with the rows that were kept
    /// back, if there are any.
    fn send_marker(&mut self, number: i64) -> Reply {
        let both = self.statements.rows_and_marker.clone();
        let both = both.and_then(|both| Some((both, self.open.as_mut()?.kept_back.take()?)));
        self.begin();
        let client = Arc::clone(&self.client);
        let (owner, incarnation) = (self.context.owner.clone(), self.context.incarnation);
        let (statement, kept_back) = match both {
            Some((both, arrays)) => (both, arrays),
            None => (self.statements.marker.clone(), Vec::new()),
        };
        send(async move {
            let marker: [&(dyn ToSql + Sync); 3] = [&owner, &incarnation, &number];
            let arrays = kept_back.iter().map(|array| array as &(dyn ToSql + Sync));
            let all: Vec<_> = marker.into_iter().chain(arrays).collect();
            client.execute(&statement, &all).await
        })
    }

    async fn prepare_as(&mut self, gid: Gid, finished: Gid) -> Result<Vote, ParticipantError> {
        if i64::try_from(gid.incarnation) != Ok(self.context.incarnation) {
            let text = format!("transaction {gid} is of another incarnation than the connection");
            return Err(ParticipantError::Refused(text));
        }
        let number = resolve::stored(gid.number)?;
        let marker = self.send_marker(number);
        let name = resolve::global_name(&self.context.owner, gid);
        let prepare = self.batch(format!("PREPARE TRANSACTION '{name}'"));
        if self.context.sweep.is_due(finished) {
            resolve::forget(&self.client, &self.context, finished);
        }
        self.end(vec![marker, prepare]).await
    }

    async fn resolve(
        &mut self,
        decision: Decision,
        gids: &[Gid],
    ) -> Result<Vec<Outcome>, ParticipantError> {
        self.ask()?;
        if self.open.is_some() {
            let text = "prepared transactions cannot be resolved while one is open";
            return self.answered(Err(ParticipantError::Refused(text.to_owned())));
        }
        let outcomes = resolve::resolve(&self.client, &self.context, decision, gids).await;
        self.answered(outcomes)
    }
}

/// A row's place in a transaction.
fn row_number(count: usize) -> Result<u32, ParticipantError> {
    let refused = |_| ParticipantError::Refused("too many rows in one transaction".to_owned());
    u32::try_from(count).map_err(refused)
}

impl Connection for PostgresConnection {
    fn state(&self) -> ConnectionState {
        if self.is_broken || self.client.is_closed() {
            ConnectionState::Broken
        } else if self.is_asking || self.open.is_some() {
            ConnectionState::Open
        } else {
            ConnectionState::Idle
        }
    }

    async fn write(&mut self, rows: &Rows) -> Result<Option<No>, ParticipantError> {
        self.ask()?;
        let answer = self.add(rows).await;
        self.answered(answer)
    }

    async fn prepare(&mut self, gid: Gid, finished: Gid) -> Result<Vote, ParticipantError> {
        self.ask()?;
        let vote = self.prepare_as(gid, finished).await;
        self.answered(vote)
    }

    async fn commit_open(&mut self) -> Result<Vote, ParticipantError> {
        self.ask()?;
        if self.open.is_none() {
            return self.answered(Ok(Vote::Yes));
        }
        let last = self.commit_last();
        let vote = self.end(vec![last]).await;
        self.answered(vote)
    }

    async fn commit(&mut self, gids: &[Gid]) -> Result<Vec<Outcome>, ParticipantError> {
        self.resolve(Decision::Commit, gids).await
    }

    async fn abort(&mut self, gids: &[Gid]) -> Result<Vec<Outcome>, ParticipantError> {
        self.resolve(Decision::Abort, gids).await
    }

    async fn prepared(&mut self) -> Result<Vec<Gid>, ParticipantError> {
        self.ask()?;
        let gids = resolve::prepared(&self.client, &self.context).await;
        self.answered(gids)
    }

    async fn ping(&mut self) -> Result<(), ParticipantError> {
        self.ask()?;
        let answer = self.client.check_connection().await.map_err(asked);
        self.answered(answer)
    }
}
