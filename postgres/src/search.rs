//! Which row it was. An error of a statement with many rows does not name the row in a way that a
//! program can rely on, so the rows are written once more, in a transaction that is rolled back:
//! halves of what may hold the row, those that are accepted being left written. That is at most
//! twice the rows, and only where a row was rejected.

use seedbed_engines::sink::{No, ParticipantError, Row, Rows};
use tokio_postgres::{Client, Error};

use crate::batch::parameters;
use crate::connection::STATEMENT_ROWS_MAX;
use crate::participant::Context;
use crate::statements::Statements;
use crate::trouble::{Trouble, asked};

/// Finds the first row that is rejected after those before it, if there is one, or else what is in
/// the way of finding it. Nothing is open, before and after.
pub(crate) async fn find(
    client: &Client,
    context: &Context,
    statements: &Statements,
    rows: &[Rows],
) -> Result<Option<No>, ParticipantError> {
    let rows: Vec<Row<'_>> = rows.iter().flat_map(Rows::iter).collect();
    client.batch_execute("BEGIN").await.map_err(asked)?;
    // Constraints that are looked at late would all be found at the end.
    let found = match client.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await {
        Ok(()) => halve(client, context, statements, &rows).await,
        Err(error) => Err(asked(error)),
    };
    client.batch_execute("ROLLBACK").await.map_err(asked)?;
    found
}

async fn halve(
    client: &Client,
    context: &Context,
    statements: &Statements,
    rows: &[Row<'_>],
) -> Result<Option<No>, ParticipantError> {
    // Those before `accepted` are written; with those before `end` it fails.
    let (mut accepted, mut end) = (0, rows.len());
    while accepted < end {
        // The whole is not tried first: it was, and failed. The last row left is tried.
        let middle = accepted + ((end - accepted) / 2).clamp(1, STATEMENT_ROWS_MAX);
        client.batch_execute("SAVEPOINT s").await.map_err(asked)?;
        let arrays = parameters(&context.schema, context.mode, &rows[accepted..middle]);
        let tried: Result<u64, Error> = client.execute_raw(&statements.rows, &arrays).await;
        match tried.map_err(|error| Trouble::of(&error)) {
            Ok(_) => {
                client.batch_execute("RELEASE SAVEPOINT s").await.map_err(asked)?;
                accepted = middle;
            }
            Err(Trouble::Row(reason)) if middle - accepted == 1 => {
                // A transaction has no more rows than can be counted so.
                return Ok(Some(No::Rejected { row: accepted as u32, reason }));
            }
            Err(Trouble::Row(_)) => {
                client.batch_execute("ROLLBACK TO SAVEPOINT s").await.map_err(asked)?;
                end = middle;
            }
            Err(other) => return other.vote().map(Some),
        }
    }
    Ok(None)
}
