//! All types of values, at their ends, and tables as wide as they may be.

use std::sync::Arc;

use seedbed_engines::sink::{
    COLUMNS_MAX, Column, ColumnType, Connection, Rows, Schema, Value, Vote, WriteMode,
};
use seedbed_postgres::cluster::shared_or_skip;

use crate::bed::{Bed, client, commit, gid, query, rejected, vote};

fn all_types() -> Schema {
    let kinds = [
        ("k", ColumnType::Text),
        ("b", ColumnType::Bool),
        ("i", ColumnType::Int),
        ("f", ColumnType::Float),
        ("t", ColumnType::Text),
        ("y", ColumnType::Bytes),
        ("s", ColumnType::Timestamp),
    ];
    let columns = kinds.map(|(name, kind)| Column { name: name.to_owned(), kind });
    Schema::new("all_types", columns.to_vec(), 1).expect("a schema")
}

const EPOCH_US: i64 = 946_684_800_000_000;
const FIRST: i64 = -211_813_488_000_000_000 + EPOCH_US;
/// PostgreSQL's last microsecond counts from 2000.
const LAST: i64 = 9_223_371_331_200_000_000 - 1;

#[tokio::test]
async fn values_come_back_as_they_went_in() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "types").await;
    let bed = Bed { schema: Arc::new(all_types()), ..bed };
    let long = vec![0xA5; (1 << 20) - 100];
    let values: Vec<[Value<'_>; 6]> = vec![
        [Value::Null; 6],
        [
            Value::Bool(false),
            Value::Int(i64::MIN),
            Value::Float(f64::NEG_INFINITY),
            Value::Text(""),
            Value::Bytes(&[]),
            Value::Timestamp(FIRST),
        ],
        [
            Value::Bool(true),
            Value::Int(i64::MAX),
            Value::Float(f64::NAN),
            Value::Text("\u{1F332} 'quoted' \\ \"x\"\n\t"),
            Value::Bytes(&[0, 255, b'\\']),
            Value::Timestamp(0),
        ],
        [
            Value::Null,
            Value::Int(-1),
            Value::Float(-0.0),
            Value::Null,
            Value::Bytes(&long),
            Value::Timestamp(LAST),
        ],
    ];
    for (incarnation, mode) in [(1, WriteMode::Insert), (2, WriteMode::Upsert)] {
        let mut connection = bed.connect_as(incarnation, mode).await;
        let mut rows = Rows::new();
        for (nth, row) in values.iter().enumerate() {
            let key = format!("{nth}");
            let row: Vec<_> = [Value::Text(&key)].into_iter().chain(*row).collect();
            rows.push(&bed.schema, &row).expect("a row");
        }
        commit(&mut connection, &rows).await;
        check(&bed, &values).await;
        // By COPY, below other rows.
        let mut many = Rows::new();
        for nth in 0..3_000 {
            let key = format!("below {nth}");
            let row: Vec<_> = [Value::Text(&key)].into_iter().chain(values[nth % 3]).collect();
            many.push(&bed.schema, &row).expect("a row");
        }
        commit(&mut connection, &many).await;
        let differ = "SELECT count(*) FROM all_types a, all_types b WHERE a.k LIKE 'below%' \
            AND b.k = (substr(a.k, 7)::int % 3)::text AND (a.b, a.i, a.f, a.t, a.y, a.s) \
            IS DISTINCT FROM (b.b, b.i, b.f, b.t, b.y, b.s)";
        assert_eq!(query(&bed.url, differ).await, ["0"]);
        query(&bed.url, "DELETE FROM all_types").await;
    }
}

async fn check(bed: &Bed, values: &[[Value<'_>; 6]]) {
    let sql = "SELECT b, i, f, t, y, (extract(epoch FROM s) * 1000000)::bigint FROM all_types \
        ORDER BY k";
    let rows = client(&bed.url).await.query(sql, &[]).await.expect("rows");
    assert_eq!(rows.len(), values.len());
    for (row, values) in rows.iter().zip(values) {
        let (b, i): (Option<bool>, Option<i64>) = (row.get(0), row.get(1));
        let (f, t): (Option<f64>, Option<&str>) = (row.get(2), row.get(3));
        let (y, s): (Option<&[u8]>, Option<i64>) = (row.get(4), row.get(5));
        let got = [
            b.map_or(Value::Null, Value::Bool),
            i.map_or(Value::Null, Value::Int),
            f.map_or(Value::Null, Value::Float),
            t.map_or(Value::Null, Value::Text),
            y.map_or(Value::Null, Value::Bytes),
            s.map_or(Value::Null, Value::Timestamp),
        ];
        for (got, want) in got.iter().zip(values) {
            match (got, want) {
                (Value::Float(got), Value::Float(want)) => {
                    assert_eq!(got.to_bits(), want.to_bits());
                }
                _ => assert!(got == want, "a value of {:?}", want.fits(ColumnType::Bytes)),
            }
        }
    }
}

#[tokio::test]
async fn times_that_postgresql_does_not_have_are_rejected() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "times").await;
    let bed = Bed { schema: Arc::new(all_types()), ..bed };
    let mut connection = bed.connect().await;
    for time in [i64::MIN, FIRST - 1] {
        let mut rows = Rows::new();
        for (key, time) in [("a", 0), ("b", time)] {
            let mut row = [Value::Null; 7];
            (row[0], row[6]) = (Value::Text(key), Value::Timestamp(time));
            rows.push(&bed.schema, &row).expect("a row");
        }
        let (row, reason) = rejected(vote(&mut connection, &rows, 1).await);
        assert_eq!((row, reason.contains("\"s\"")), (1, true), "{reason}");
    }
}

#[tokio::test]
async fn a_table_of_256_columns_takes_rows_in_each_mode() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "wide").await;
    let columns = (0..COLUMNS_MAX).map(|nth| {
        let kind = if nth % 2 == 0 { ColumnType::Int } else { ColumnType::Text };
        Column { name: format!("column_{nth}"), kind }
    });
    let schema = Schema::new("wide", columns.collect(), 2).expect("a schema");
    let bed = Bed { schema: Arc::new(schema), ..bed };
    let mut start = 0;
    for mode in [WriteMode::Insert, WriteMode::Upsert, WriteMode::Replace] {
        let mut connection = bed.connect_as(1, mode).await;
        for count in [3, 2_100] {
            let mut rows = Rows::new();
            for nth in start..start + count {
                let value = |at| if at % 2 == 0 { Value::Int(nth) } else { Value::Text("t") };
                let row: Vec<_> = (0..COLUMNS_MAX).map(value).collect();
                rows.push(&bed.schema, &row).expect("a row");
            }
            start += count;
            let number = start as u64;
            assert_eq!(vote(&mut connection, &rows, number).await, Vote::Yes);
            connection.commit(&[gid(number)]).await.expect("committed");
        }
    }
    let sum = query(&bed.url, "SELECT count(*) FROM wide WHERE column_254 = column_0").await;
    assert_eq!(sum, [start.to_string()]);
}

#[tokio::test]
async fn names_need_no_care() {
    let Some(cluster) = shared_or_skip() else { return };
    let bed = Bed::new(cluster, "names").await;
    let kind = ColumnType::Int;
    let names = ["Order", "select", "user", "UPPER", "_", "excluded", "t"];
    let columns = names.map(|name| Column { name: name.to_owned(), kind });
    for table in ["order", "Table", "user"] {
        query(&bed.url, "CREATE SCHEMA IF NOT EXISTS \"Primary\"").await;
        let schema = Arc::new(Schema::new(table, columns.to_vec(), 2).expect("a schema"));
        let participant = Bed::at(bed.url.clone(), "names").participant;
        let participant = participant.in_schema("Primary").expect("a name");
        let bed = Bed { schema, participant, ..Bed::at(bed.url.clone(), "names") };
        for mode in [WriteMode::Insert, WriteMode::Upsert, WriteMode::Replace] {
            let mut connection = bed.connect_as(1, mode).await;
            let mut rows = Rows::new();
            let key = Value::Int(mode as i64);
            rows.push(&bed.schema, &[key; 7]).expect("a row");
            commit(&mut connection, &rows).await;
        }
        let sql = format!("SELECT count(*) FROM \"Primary\".\"{table}\"");
        assert_eq!(query(&bed.url, &sql).await, ["3"]);
    }
}
