//! Tests of the sink's parts, and of the whole with a participant that says what a test wants.

mod buffer;
mod fake;
mod golden;
mod parse;
mod pool;
mod sink;
mod state;

use std::sync::Arc;

use proptest::prelude::*;

use super::row::{Column, ColumnType, Row, Rows, Schema, Value};

/// A table with columns of every type; two of them are the key.
pub(super) fn wide() -> Arc<Schema> {
    let column = |(name, kind): (&str, ColumnType)| Column { name: name.to_owned(), kind };
    let columns = [
        ("id", ColumnType::Int),
        ("part", ColumnType::Text),
        ("flag", ColumnType::Bool),
        ("ratio", ColumnType::Float),
        ("text", ColumnType::Text),
        ("bytes", ColumnType::Bytes),
        ("at", ColumnType::Timestamp),
    ];
    Arc::new(Schema::new("wide", columns.map(column).to_vec(), 2).unwrap())
}

/// A table of a number, which is the key, and two texts.
pub(super) fn narrow() -> Arc<Schema> {
    let column = |(name, kind): (&str, ColumnType)| Column { name: name.to_owned(), kind };
    let columns =
        [("id", ColumnType::Int), ("left", ColumnType::Text), ("right", ColumnType::Text)];
    Arc::new(Schema::new("narrow", columns.map(column).to_vec(), 1).unwrap())
}

/// A row of the narrow table.
pub(super) fn narrow_row<'a>(
    id: i64,
    left: Option<&'a str>,
    right: Option<&'a str>,
) -> [Value<'a>; 3] {
    let text = |text: Option<&'a str>| text.map_or(Value::Null, Value::Text);
    [Value::Int(id), text(left), text(right)]
}

/// Rows of a table.
pub(super) fn rows_of(schema: &Schema, values: &[&[Value<'_>]]) -> Rows {
    let mut rows = Rows::new();
    for values in values {
        rows.push(schema, values).unwrap();
    }
    rows
}

/// Hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that are nearly always nonsense, and now and then nearly sense.
pub(super) fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let small = prop_oneof![3 => 0_u8..10, 1 => any::<u8>(), 1 => Just(0xff)];
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        proptest::collection::vec(small, 0..200)
    ]
}

/// Bytes of a few rows of the wide table, with at most one byte changed, cut somewhere or not.
pub(super) fn damaged_rows() -> impl Strategy<Value = Vec<u8>> {
    let row = (any::<i64>(), "[a-z]{0,9}", any::<Option<bool>>(), any::<Option<u64>>());
    let all = proptest::collection::vec((row, any::<Option<Vec<u8>>>()), 1..4);
    let change = proptest::option::of((any::<prop::sample::Index>(), any::<u8>()));
    (all, change, proptest::option::of(any::<prop::sample::Index>())).prop_map(
        |(all, change, cut)| {
            let schema = wide();
            let mut rows = Rows::new();
            for ((id, part, flag, ratio), bytes) in &all {
                let values = [
                    Value::Int(*id),
                    Value::Text(part),
                    flag.map_or(Value::Null, Value::Bool),
                    ratio.map_or(Value::Null, |bits| Value::Float(f64::from_bits(bits))),
                    Value::Null,
                    bytes.as_deref().map_or(Value::Null, Value::Bytes),
                    Value::Timestamp(*id),
                ];
                rows.push(&schema, &values).unwrap();
            }
            let mut bytes = rows.bytes().to_vec();
            if let Some((at, byte)) = change {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes
        },
    )
}

/// Encodes a row's values once more.
pub(super) fn encoded_again(schema: &Schema, row: Row<'_>) -> Rows {
    let values: Vec<Value<'_>> = row.values().collect();
    rows_of(schema, &[&values])
}
