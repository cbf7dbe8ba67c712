//! The second phase: commit and abort of prepared transactions, asked as often as one likes, and
//! which ones there are.
//!
//! What became of a transaction that is not prepared any more is told by its row in
//! `seedbed_sink.committed`. The transaction itself inserted it, so it is there exactly if it was
//! committed. One that is aborted without being found gets a row that says so, with the same key:
//! should an old request to prepare it still be on its way to the server, that will fail; and if it
//! is just being carried out, inserting waits for its end.

use std::sync::Arc;
use std::time::Duration;

use seedbed_engines::sink::{Decision, Gid, Outcome, ParticipantError};
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error};

use crate::participant::Context;
use crate::replies::{Reply, send};
use crate::trouble::{Trouble, asked};

/// Requests that are sent without waiting for an answer between them.
const SENT_MAX: usize = 256;
/// How long to ask again and again where another session is at the transaction,
const BUSY_MAX: Duration = Duration::from_secs(10);
/// and how long to wait in between.
const BUSY_WAIT: Duration = Duration::from_millis(10);

/// The name of a transaction at the server.
pub(crate) fn global_name(owner: &str, gid: Gid) -> String {
    format!("{}{gid}", prefix(owner))
}

fn prefix(owner: &str) -> String {
    format!("seedbed/{owner}/")
}

/// A transaction's number, as the server stores it.
pub(crate) fn stored(number: u64) -> Result<i64, ParticipantError> {
    let refused = |_| ParticipantError::Refused(format!("a number above i64::MAX: {number}"));
    i64::try_from(number).map_err(refused)
}

/// Commits or aborts these; an outcome for each.
pub(crate) async fn resolve(
    client: &Arc<Client>,
    context: &Context,
    decision: Decision,
    gids: &[Gid],
) -> Result<Vec<Outcome>, ParticipantError> {
    let mut outcomes = Vec::with_capacity(gids.len());
    for some in gids.chunks(SENT_MAX) {
        let replies = some.iter().map(|gid| ask(client, context, decision, *gid)).collect();
        let replies: Vec<Reply> = replies;
        let answers = futures_util::future::join_all(replies).await;
        for (gid, answer) in some.iter().zip(answers) {
            outcomes.push(match answer {
                Ok(_) => Outcome::Done,
                Err(error) => explain(client, context, decision, *gid, error).await?,
            });
        }
    }
    Ok(outcomes)
}

fn ask(client: &Arc<Client>, context: &Context, decision: Decision, gid: Gid) -> Reply {
    let verb = match decision {
        Decision::Commit => "COMMIT",
        Decision::Abort => "ROLLBACK",
    };
    let sql = format!("{verb} PREPARED '{}'", global_name(&context.owner, gid));
    let client = Arc::clone(client);
    send(async move { client.batch_execute(&sql).await.map(|()| 0) })
}

/// What the refusal of a COMMIT PREPARED or ROLLBACK PREPARED means; asks again if need be.
async fn explain(
    client: &Arc<Client>,
    context: &Context,
    decision: Decision,
    gid: Gid,
    mut error: Error,
) -> Result<Outcome, ParticipantError> {
    let end = Instant::now() + BUSY_MAX;
    while Instant::now() < end {
        let elsewhere = error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED);
        match Trouble::of(&error) {
            Trouble::Busy(_) => {}
            // Of this name in another database, it is none of this one.
            Trouble::Refused(_) if !elsewhere => return Err(asked(error)),
            Trouble::Refused(_) | Trouble::NotThere(_) => {
                let outcome = match decision {
                    Decision::Commit => Some(committed(client, context, gid).await?),
                    Decision::Abort => aborted(client, context, gid).await?,
                };
                if let Some(outcome) = outcome {
                    return Ok(outcome);
                }
            }
            other => return Err(other.error()),
        }
        tokio::time::sleep(BUSY_WAIT).await;
        match ask(client, context, decision, gid).await {
            Ok(_) => return Ok(Outcome::Done),
            Err(again) => error = again,
        }
    }
    let name = global_name(&context.owner, gid);
    Err(ParticipantError::Lost(format!("another session holds {name}")))
}

async fn committed(
    client: &Client,
    context: &Context,
    gid: Gid,
) -> Result<Outcome, ParticipantError> {
    Ok(match decided(client, context, gid).await? {
        Some(Decision::Commit) => Outcome::Done,
        Some(Decision::Abort) => Outcome::Heuristic(Decision::Abort),
        None => Outcome::Missing,
    })
}

/// Sees to it that a transaction that is not there never will be. `None` if it is there after all.
async fn aborted(
    client: &Client,
    context: &Context,
    gid: Gid,
) -> Result<Option<Outcome>, ParticipantError> {
    const NEVER: &str = "INSERT INTO seedbed_sink.committed VALUES ($1, $2, $3, true) \
        ON CONFLICT DO NOTHING";
    let (incarnation, number) = (stored(gid.incarnation)?, stored(gid.number)?);
    let parameters: [(&(dyn ToSql + Sync), Type); 3] =
        [(&context.owner, Type::TEXT), (&incarnation, Type::INT8), (&number, Type::INT8)];
    match client.execute_typed(NEVER, &parameters).await {
        Ok(1) => Ok(Some(Outcome::Done)),
        Ok(_) => Ok(match decided(client, context, gid).await? {
            Some(Decision::Commit) => Some(Outcome::Heuristic(Decision::Commit)),
            Some(Decision::Abort) => Some(Outcome::Done),
            // Forgotten between the two.
            None => None,
        }),
        Err(error) => match Trouble::of(&error) {
            // Its row is locked: it was prepared meanwhile.
            Trouble::Conflict => Ok(None),
            other => Err(other.error()),
        },
    }
}

async fn decided(
    client: &Client,
    context: &Context,
    gid: Gid,
) -> Result<Option<Decision>, ParticipantError> {
    const LOOK: &str = "SELECT aborted FROM seedbed_sink.committed \
        WHERE writer = $1 AND incarnation = $2 AND number = $3";
    let (incarnation, number) = (stored(gid.incarnation)?, stored(gid.number)?);
    let parameters: [(&(dyn ToSql + Sync), Type); 3] =
        [(&context.owner, Type::TEXT), (&incarnation, Type::INT8), (&number, Type::INT8)];
    let rows = client.query_typed(LOOK, &parameters).await.map_err(asked)?;
    Ok(rows.first().map(|row| if row.get(0) { Decision::Abort } else { Decision::Commit }))
}

/// The owner's prepared transactions in this database, by age. Those of others, of other databases
/// and of other roles are none of ours.
pub(crate) async fn prepared(
    client: &Client,
    context: &Context,
) -> Result<Vec<Gid>, ParticipantError> {
    const LIST: &str = "SELECT substr(gid, length($1) + 1) FROM pg_prepared_xacts \
        WHERE database = current_database() AND owner = current_user AND starts_with(gid, $1)";
    let rows = client.query_typed(LIST, &[(&prefix(&context.owner), Type::TEXT)]).await;
    let rows = rows.map_err(asked)?;
    let mut gids: Vec<Gid> =
        rows.iter().filter_map(|row| row.get::<_, &str>(0).parse().ok()).collect();
    gids.sort_unstable();
    Ok(gids)
}

/// Forgets the outcomes of transactions below `finished`. Nobody waits for it.
pub(crate) fn forget(client: &Arc<Client>, context: &Context, finished: Gid) {
    const FORGET: &str = "DELETE FROM seedbed_sink.committed \
        WHERE writer = $1 AND (incarnation, number) < ($2, $3)";
    let clamp = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (incarnation, number) = (clamp(finished.incarnation), clamp(finished.number));
    let (client, owner) = (Arc::clone(client), context.owner.clone());
    drop(send(async move {
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&owner, Type::TEXT), (&incarnation, Type::INT8), (&number, Type::INT8)];
        client.execute_typed(FORGET, &parameters).await
    }));
}
