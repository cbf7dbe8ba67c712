//! Whether the user's table is as the sink's schema says. All differences are told at once.

use futures_util::future::try_join3;
use seedbed_engines::sink::{ParticipantError, Schema};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::encode::sql_type;
use crate::trouble::asked;

const KIND: &str = "SELECT relkind::text, relpersistence::text FROM pg_class \
    WHERE oid = to_regclass($1)";
const COLUMNS: &str = "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull, \
    atthasdef OR attidentity <> '', attgenerated <> '' OR attidentity = 'a' FROM pg_attribute \
    WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
/// The columns of each unique index that ON CONFLICT can name.
const KEYS: &str = "SELECT ARRAY(SELECT a.attname::text \
    FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) k \
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k) FROM pg_index i \
    WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indimmediate \
    AND i.indpred IS NULL AND i.indexprs IS NULL";

/// Checks the table of this quoted name, which is there.
pub(crate) async fn check(
    client: &Client,
    table: &str,
    schema: &Schema,
) -> Result<(), ParticipantError> {
    let of_table = |sql| {
        let parameters = [(&table as &(dyn tokio_postgres::types::ToSql + Sync), Type::TEXT)];
        async move { client.query_typed(sql, &parameters).await }
    };
    let (kind, columns, keys) =
        try_join3(of_table(KIND), of_table(COLUMNS), of_table(KEYS)).await.map_err(asked)?;
    let mut wrong = Vec::new();
    kind.iter().for_each(|row| check_kind(row, &mut wrong));
    check_columns(&columns, schema, &mut wrong);
    check_key(&keys, schema, &mut wrong);
    if wrong.is_empty() {
        return Ok(());
    }
    Err(ParticipantError::Refused(format!("table {table}: {}", wrong.join("; "))))
}

fn check_kind(row: &Row, wrong: &mut Vec<String>) {
    let (kind, persistence): (&str, &str) = (row.get(0), row.get(1));
    if !["r", "p"].contains(&kind) {
        wrong.push("it is not an ordinary or partitioned table".to_owned());
    }
    if persistence != "p" {
        wrong.push("it is unlogged, and would be empty after a crash".to_owned());
    }
}

fn check_columns(rows: &[Row], schema: &Schema, wrong: &mut Vec<String>) {
    for (nth, column) in schema.columns().iter().enumerate() {
        let (name, want) = (&column.name, sql_type(column.kind));
        let Some(row) = rows.iter().find(|row| row.get::<_, &str>(0) == name) else {
            wrong.push(format!("column {name:?} is missing, and must be {want}"));
            continue;
        };
        let is: &str = row.get(1);
        if is != want {
            wrong.push(format!("column {name:?} is {is}, and must be {want}"));
        }
        if row.get(4) {
            wrong.push(format!("column {name:?} is generated, and cannot be written"));
        }
        if nth < schema.key_columns() && !row.get::<_, bool>(2) {
            wrong.push(format!("column {name:?} is of the key, and must be NOT NULL"));
        }
    }
    for row in rows {
        let (name, not_null, has_default): (&str, bool, bool) =
            (row.get(0), row.get(2), row.get(3));
        let is_ours = schema.columns().iter().any(|column| column.name == name);
        if !is_ours && not_null && !has_default {
            wrong.push(format!(
                "column {name:?} is not the sink's, and has neither a default nor null"
            ));
        }
    }
}

fn check_key(rows: &[Row], schema: &Schema, wrong: &mut Vec<String>) {
    let mut want: Vec<&str> =
        schema.columns()[..schema.key_columns()].iter().map(|column| &*column.name).collect();
    want.sort_unstable();
    let is_there = rows.iter().any(|row| {
        let mut is: Vec<&str> = row.get(0);
        is.sort_unstable();
        is == want
    });
    if !is_there {
        let key = want.join(", ");
        wrong.push(format!("it has no primary key or unique index of exactly ({key})"));
    }
}
