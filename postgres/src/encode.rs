//! Rows in PostgreSQL's binary formats: as the stream of a COPY, or turned into one array for each
//! column, which a statement unnests.
//!
//! Both are written straight from the bytes of the rows, whose format is `sink::Row`'s; text was
//! checked when the row was made and is not looked at again.

use std::error::Error;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use seedbed_engines::sink::{ColumnType, Row, Schema, Value};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// From 1970 to 2000, PostgreSQL's first day, in microseconds.
const EPOCH_US: i64 = 946_684_800_000_000;
/// What PostgreSQL takes for a time, in its microseconds: 4714 BC to the end of 294276.
const TIMES: Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

/// A time that PostgreSQL does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadRow {
    /// Where it is among the rows given.
    pub(crate) row: usize,
    /// What is wrong.
    pub(crate) reason: String,
}

fn postgres_time(unix_us: i64) -> Option<i64> {
    unix_us.checked_sub(EPOCH_US).filter(|time| TIMES.contains(time))
}

/// Finds a row that PostgreSQL has no values for.
pub(crate) fn check<'a>(
    schema: &Schema,
    rows: impl Iterator<Item = Row<'a>>,
) -> Result<(), BadRow> {
    if !schema.columns().iter().any(|column| column.kind == ColumnType::Timestamp) {
        return Ok(());
    }
    for (row, values) in rows.enumerate() {
        for (value, column) in values.values().zip(schema.columns()) {
            if let Value::Timestamp(time) = value
                && postgres_time(time).is_none()
            {
                let name = &column.name;
                let reason = format!("column {name:?}: no time that PostgreSQL has: {time} us");
                return Err(BadRow { row, reason });
            }
        }
    }
    Ok(())
}

/// Writes a value with its length before it. Of times the range was checked.
fn put_value(value: Value<'_>, out: &mut BytesMut) {
    match value {
        Value::Null => out.put_i32(-1),
        Value::Bool(value) => {
            out.put_i32(1);
            out.put_u8(u8::from(value));
        }
        Value::Int(value) => put_number(value.cast_unsigned(), out),
        Value::Float(value) => put_number(value.to_bits(), out),
        Value::Timestamp(value) => {
            put_number(value.wrapping_sub(EPOCH_US).cast_unsigned(), out);
        }
        Value::Text(text) => put_bytes(text.as_bytes(), out),
        Value::Bytes(bytes) => put_bytes(bytes, out),
    }
}

fn put_number(value: u64, out: &mut BytesMut) {
    out.put_i32(8);
    out.put_u64(value);
}

fn put_bytes(bytes: &[u8], out: &mut BytesMut) {
    // A row is no longer than 1 MiB.
    out.put_i32(bytes.len() as i32);
    out.put_slice(bytes);
}

/// The stream of a `COPY ... FROM STDIN BINARY`.
pub(crate) fn copy_stream<'a>(
    schema: &Schema,
    rows: impl Iterator<Item = Row<'a>>,
    bytes_hint: usize,
) -> Bytes {
    let mut out = BytesMut::with_capacity(64 + bytes_hint + bytes_hint / 2);
    out.put_slice(b"PGCOPY\n\xff\r\n\0");
    // No flags, no extension of the header.
    out.put_u64(0);
    let columns = schema.columns().len() as i16;
    for row in rows {
        out.put_i16(columns);
        row.values().for_each(|value| put_value(value, &mut out));
    }
    out.put_i16(-1);
    out.freeze()
}

/// One column of many rows, as an array parameter.
#[derive(Debug)]
pub(crate) struct Array {
    element: u32,
    count: i32,
    has_null: bool,
    body: BytesMut,
}

impl Array {
    fn new(kind: ColumnType) -> Self {
        Self { element: type_of(kind).oid(), count: 0, has_null: false, body: BytesMut::new() }
    }

    fn push(&mut self, value: Value<'_>) {
        self.has_null |= matches!(value, Value::Null);
        self.count += 1;
        put_value(value, &mut self.body);
    }
}

impl ToSql for Array {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        // One dimension, whose first index is 1; or none, where there is nothing.
        out.put_i32(i32::from(self.count > 0));
        out.put_i32(i32::from(self.has_null));
        out.put_u32(self.element);
        if self.count > 0 {
            out.put_i32(self.count);
            out.put_i32(1);
        }
        out.put_slice(&self.body);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// The columns of these rows.
pub(crate) fn arrays<'a, V>(schema: &Schema, rows: impl Iterator<Item = V>) -> Vec<Array>
where
    V: IntoIterator<Item = Value<'a>>,
{
    let mut arrays: Vec<Array> =
        schema.columns().iter().map(|column| Array::new(column.kind)).collect();
    for row in rows {
        row.into_iter().zip(&mut arrays).for_each(|(value, array)| array.push(value));
    }
    arrays
}

/// The type that a column of the table must have.
pub(crate) fn type_of(kind: ColumnType) -> Type {
    match kind {
        ColumnType::Bool => Type::BOOL,
        ColumnType::Int => Type::INT8,
        ColumnType::Float => Type::FLOAT8,
        ColumnType::Text => Type::TEXT,
        ColumnType::Bytes => Type::BYTEA,
        ColumnType::Timestamp => Type::TIMESTAMPTZ,
    }
}

/// What SQL calls it.
pub(crate) fn sql_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Bool => "boolean",
        ColumnType::Int => "bigint",
        ColumnType::Float => "double precision",
        ColumnType::Text => "text",
        ColumnType::Bytes => "bytea",
        ColumnType::Timestamp => "timestamp with time zone",
    }
}
