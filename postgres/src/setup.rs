//! What happens before a connection is given out: is the server fit for it, are the tables there,
//! is this the latest incarnation, and is no session of an earlier one at work any more.

use futures_util::future::try_join;
use seedbed_engines::sink::ParticipantError;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::participant::{Context, Settings};
use crate::statements::{self, Statements};
use crate::table;
use crate::trouble::asked;

/// The oldest version that can do all that is asked of it: 14.
const VERSION_MIN: i32 = 140_000;
/// How long to wait for a session that was told to end.
const END_MS: i64 = 10_000;
/// The longest name of a session, in bytes.
const SESSION_NAME_MAX: usize = 63;

const SERVER: &str = "SELECT current_setting('server_version_num')::int, \
    current_setting('server_version'), current_setting('max_prepared_transactions')::int, \
    current_setting('fsync') = 'on', pg_is_in_recovery(), \
    set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
        WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, false), \
    to_regclass('seedbed_sink.writers') IS NOT NULL \
        AND to_regclass('seedbed_sink.committed') IS NOT NULL, \
    to_regclass($1) IS NOT NULL";

/// Makes a connection ready for use.
pub(crate) async fn set_up(
    client: &Client,
    context: &Context,
    settings: &Settings,
) -> Result<Statements, ParticipantError> {
    let set = statements::session_settings(settings.lock_timeout.as_millis());
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 1] =
        [(&context.table, Type::TEXT)];
    let (rows, ()) = try_join(client.query_typed(SERVER, &parameters), client.batch_execute(&set))
        .await
        .map_err(asked)?;
    let server = rows.first().ok_or_else(|| ParticipantError::Lost("no answer".to_owned()))?;
    check_server(server, settings)?;
    if !server.get::<_, bool>(6) {
        client.batch_execute(&statements::create_ours()).await.map_err(asked)?;
    }
    fence(client, context).await?;
    if !server.get::<_, bool>(7) {
        let create = statements::create_table(&context.table, &context.schema);
        let locked = format!("BEGIN; SELECT pg_advisory_xact_lock(8315163812435620196); {create}");
        client.batch_execute(&format!("{locked}; COMMIT")).await.map_err(asked)?;
    }
    table::check(client, &context.table, &context.schema).await?;
    Statements::prepare(client, &context.table, &context.schema, context.mode).await.map_err(asked)
}

fn check_server(row: &Row, settings: &Settings) -> Result<(), ParticipantError> {
    let (number, version): (i32, &str) = (row.get(0), row.get(1));
    let (prepared, fsync, standby): (i32, bool, bool) = (row.get(2), row.get(3), row.get(4));
    let least = settings.prepared_min;
    let wrong = if number < VERSION_MIN {
        format!("PostgreSQL {version}: version 14 or later is needed")
    } else if i64::from(prepared) < i64::from(least) {
        format!(
            "max_prepared_transactions is {prepared}, and at least {least} are needed: set \
             `max_prepared_transactions = {}` in postgresql.conf, max_connections at least as \
             high, and start the server again",
            least.max(100)
        )
    } else if !fsync {
        "fsync is off: nothing that is prepared would be durable; set `fsync = on`".to_owned()
    } else if standby {
        "it is a standby, which cannot be written to".to_owned()
    } else {
        return Ok(());
    };
    Err(ParticipantError::Refused(wrong))
}

/// Takes over from earlier incarnations, or finds out that a later one has done so.
///
/// The number in the table keeps earlier incarnations from connecting. Sessions that they have
/// already are ended, and awaited: after that no transaction of theirs can become prepared, and a
/// list of prepared transactions is complete. A session that passed this fence before the number
/// changed was there before, so it is among those that are looked for after.
async fn fence(client: &Client, context: &Context) -> Result<(), ParticipantError> {
    const RAISE: &str = "INSERT INTO seedbed_sink.writers AS w VALUES ($1, $2, $3) \
        ON CONFLICT (writer) DO UPDATE SET incarnation = EXCLUDED.incarnation \
        WHERE w.identity = EXCLUDED.identity AND w.incarnation < EXCLUDED.incarnation";
    let mut known = latest(client, context).await?;
    if known.is_none_or(|(number, _)| number < context.incarnation) {
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] = [
            (&context.owner, Type::TEXT),
            (&context.incarnation, Type::INT8),
            (&context.identity, Type::INT8),
        ];
        client.query_typed(RAISE, &parameters).await.map_err(asked)?;
        known = latest(client, context).await?;
    }
    match known {
        Some((_, identity)) if identity != context.identity => {
            Err(ParticipantError::Refused(context.writer.is_taken()))
        }
        Some((by, _)) if by > context.incarnation => {
            Err(ParticipantError::Fenced { by: by.cast_unsigned() })
        }
        _ => end_earlier(client, context).await,
    }
}

/// The latest incarnation that has connected, and its identity.
pub(crate) async fn latest(
    client: &Client,
    context: &Context,
) -> Result<Option<(i64, i64)>, ParticipantError> {
    const LOOK: &str = "SELECT incarnation, identity FROM seedbed_sink.writers WHERE writer = $1";
    let rows = client.query_typed(LOOK, &[(&context.owner, Type::TEXT)]).await.map_err(asked)?;
    Ok(rows.first().map(|row| (row.get(0), row.get(1))))
}

async fn end_earlier(client: &Client, context: &Context) -> Result<(), ParticipantError> {
    const SESSIONS: &str = "SELECT pid, application_name FROM pg_stat_activity \
        WHERE datname = current_database() AND starts_with(application_name, 'seedbed/')";
    const END: &str = "SELECT pg_terminate_backend(pid, $3) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid = $1 AND application_name = $2";
    for row in client.query_typed(SESSIONS, &[]).await.map_err(asked)? {
        let (pid, name): (i32, &str) = (row.get(0), row.get(1));
        if !is_earlier(name, context) {
            continue;
        }
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
            [(&pid, Type::INT4), (&name, Type::TEXT), (&END_MS, Type::INT8)];
        let ended = client.query_typed(END, &parameters).await.map_err(asked)?;
        if ended.iter().any(|row| !row.get::<_, bool>(0)) {
            let text = format!("the session {name} (process {pid}) of an earlier start lives on");
            return Err(ParticipantError::Lost(text));
        }
    }
    Ok(())
}

/// What a session calls itself: `seedbed/<incarnation>/<owner>`, a long owner cut and with a hash.
pub(crate) fn session_name(owner: &str, incarnation: i64) -> String {
    let whole = format!("seedbed/{incarnation}/{owner}");
    if whole.len() <= SESSION_NAME_MAX {
        return whole;
    }
    format!("seedbed/{incarnation}/{:.16}~{:016x}", owner, fnv1a(owner.as_bytes()))
}

fn is_earlier(name: &str, context: &Context) -> bool {
    let mut parts = name.splitn(3, '/').skip(1);
    let incarnation = parts.next().and_then(|number| number.parse::<i64>().ok());
    incarnation.is_some_and(|number| {
        number < context.incarnation && session_name(&context.owner, number) == name
    })
}

/// A hash that is the same in all versions of ours.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sessions_fit_and_tell_long_owners_apart() {
        assert_eq!(session_name("shop", 7), "seedbed/7/shop");
        let long = |last: char| format!("{}{last}", "w".repeat(63));
        let (one, other) = (session_name(&long('a'), i64::MAX), session_name(&long('b'), i64::MAX));
        assert_ne!(one, other);
        assert!(one.len() <= SESSION_NAME_MAX, "{one}");
    }
}
