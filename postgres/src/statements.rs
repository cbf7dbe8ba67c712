//! The SQL: texts, and the statements that a connection prepares once.

use futures_util::future::{try_join, try_join3};
use seedbed_engines::sink::{Schema, WriteMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, Statement};

use crate::encode::sql_type;

/// The schema of the tables that remember writers and outcomes.
pub(crate) const OURS: &str = "seedbed_sink";

/// What sessions are set to, whatever the database's defaults.
pub(crate) fn session_settings(lock_timeout_ms: u128) -> String {
    format!(
        "SET lock_timeout = '{lock_timeout_ms}ms'; \
         SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE"
    )
}

/// A name, quoted. It holds letters, digits and underscores.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// Names of columns, quoted, with commas between them.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(quoted).collect::<Vec<_>>().join(", ")
}

/// What connections prepare.
#[derive(Clone, Debug)]
pub(crate) struct Statements {
    /// Rows from one array for each column.
    pub(crate) rows: Statement,
    /// Rows from a binary stream; only for inserting.
    pub(crate) copy: Statement,
    /// The row that is there exactly if its transaction was committed.
    pub(crate) marker: Statement,
    /// Both, the marker's parameters first: one statement less for each transaction. The rows are
    /// in the WITH: there PostgreSQL refuses a table whose rules make something else of an INSERT
    /// than one statement, so that none of them can take the marker along. Then this is `None`.
    pub(crate) rows_and_marker: Option<Statement>,
}

impl Statements {
    pub(crate) async fn prepare(
        client: &Client,
        table: &str,
        schema: &Schema,
        mode: WriteMode,
    ) -> Result<Self, Error> {
        let (rows, copy) = (rows_sql(table, schema, mode, 0), copy_sql(table, schema));
        let both = format!("WITH rows AS ({}) {MARKER}", rows_sql(table, schema, mode, 3));
        let both = async {
            match client.prepare(&both).await {
                Err(error) if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => Ok(None),
                both => both.map(Some),
            }
        };
        let one_by_one =
            try_join3(client.prepare(&rows), client.prepare(&copy), client.prepare(MARKER));
        let ((rows, copy, marker), rows_and_marker) = try_join(one_by_one, both).await?;
        Ok(Self { rows, copy, marker, rows_and_marker })
    }
}

/// A writer that is not there, or of a later incarnation, gives null, which the column refuses: so
/// the transaction fails in the server, and nobody has to look at an answer before PREPARE is sent.
const MARKER: &str = "INSERT INTO seedbed_sink.committed (writer, incarnation, number) VALUES (\
    (SELECT w.writer FROM seedbed_sink.writers w WHERE w.writer = $1 AND w.incarnation <= $2), \
    $2, $3)";

/// An array for each column, as parameters behind `before` others.
fn rows_sql(table: &str, schema: &Schema, mode: WriteMode, before: usize) -> String {
    let columns = schema.columns();
    let names = list(columns.iter().map(|column| column.name.as_str()));
    let arrays = columns.iter().enumerate();
    let arrays: Vec<String> = arrays
        .map(|(nth, column)| format!("${}::{}[]", before + nth + 1, sql_type(column.kind)))
        .collect();
    let arrays = arrays.join(", ");
    let insert = format!("INSERT INTO {table} AS t ({names}) SELECT * FROM unnest({arrays})");
    if mode == WriteMode::Insert {
        return insert;
    }
    let (key, others) = columns.split_at(schema.key_columns());
    let key = list(key.iter().map(|column| column.name.as_str()));
    if others.is_empty() {
        return format!("{insert} ON CONFLICT ({key}) DO NOTHING");
    }
    let changes = others.iter().map(|column| {
        let name = quoted(&column.name);
        match mode {
            WriteMode::Upsert => format!("{name} = COALESCE(EXCLUDED.{name}, t.{name})"),
            _ => format!("{name} = EXCLUDED.{name}"),
        }
    });
    let changes = changes.collect::<Vec<_>>().join(", ");
    format!("{insert} ON CONFLICT ({key}) DO UPDATE SET {changes}")
}

fn copy_sql(table: &str, schema: &Schema) -> String {
    let names = list(schema.columns().iter().map(|column| column.name.as_str()));
    format!("COPY {table} ({names}) FROM STDIN BINARY")
}

/// Makes the tables of ours. Several connections may try at once.
pub(crate) fn create_ours() -> String {
    format!(
        "BEGIN; SET LOCAL lock_timeout = '30s'; SELECT pg_advisory_xact_lock(8315163812435620196); \
         CREATE SCHEMA IF NOT EXISTS {OURS}; \
         CREATE TABLE IF NOT EXISTS {OURS}.writers \
         (writer text COLLATE \"C\" PRIMARY KEY, incarnation bigint NOT NULL, \
         identity bigint NOT NULL); \
         CREATE TABLE IF NOT EXISTS {OURS}.committed \
         (writer text COLLATE \"C\" NOT NULL, incarnation bigint NOT NULL, number bigint NOT NULL, \
         aborted boolean NOT NULL DEFAULT false, PRIMARY KEY (writer, incarnation, number)); \
         COMMIT"
    )
}

/// Makes the user's table.
pub(crate) fn create_table(table: &str, schema: &Schema) -> String {
    let columns = schema.columns().iter().enumerate().map(|(nth, column)| {
        let null = if nth < schema.key_columns() { " NOT NULL" } else { "" };
        format!("{} {}{null}", quoted(&column.name), sql_type(column.kind))
    });
    let columns = columns.collect::<Vec<_>>().join(", ");
    let key = &schema.columns()[..schema.key_columns()];
    let key = list(key.iter().map(|column| column.name.as_str()));
    format!("CREATE TABLE IF NOT EXISTS {table} ({columns}, PRIMARY KEY ({key}))")
}
