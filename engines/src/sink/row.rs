//! Typed rows: a table's schema, values, and the one encoding in which rows lie in buffers, travel,
//! and are stored, so that a row is serialised once.
//!
//! # Format
//! A row is the concatenation of its values, in the order of the columns. A value is a tag byte and
//! its content, little-endian: `0` null; `1` false; `2` true; `3` and an `i64`; `4` and an `f64`;
//! `5` text and `6` bytes, each with a `u32` length before them; `7` a timestamp, an `i64`.
//! [`Rows`] are rows with a `u32` length before each. Since the key's columns come first, the bytes
//! of a row's key are a prefix of the row.

use std::fmt;

use super::buffer::participant_of;
use crate::bytes::{put_u32, put_u64, u32_at, u64_at};

/// The longest row, in bytes as encoded.
pub const ROW_LEN_MAX: usize = 1 << 20;
/// Most columns of a table.
pub const COLUMNS_MAX: usize = 256;
/// The longest name of a table or a column, in bytes: PostgreSQL's limit.
pub const NAME_LEN_MAX: usize = 63;
/// The longest key of a row, in bytes as encoded.
pub const ROW_KEY_LEN_MAX: usize = 8 << 10;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// True or false.
    Bool,
    /// A signed integer of 64 bits.
    Int,
    /// An IEEE 754 number of 64 bits. Not for keys.
    Float,
    /// UTF-8 without NUL.
    Text,
    /// Any bytes.
    Bytes,
    /// Microseconds since 1970-01-01 UTC.
    Timestamp,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds. Columns that are not of the key may hold null as well.
    pub kind: ColumnType,
}

/// A table: its name, its columns, and how many of them, from the first, are the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Schema {
    table: String,
    columns: Vec<Column>,
    key: usize,
}

/// Why a schema, a row or encoded bytes are not acceptable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RowError(pub(super) String);

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// See [`ColumnType::Bool`].
    Bool(bool),
    /// See [`ColumnType::Int`].
    Int(i64),
    /// See [`ColumnType::Float`].
    Float(f64),
    /// See [`ColumnType::Text`].
    Text(&'a str),
    /// See [`ColumnType::Bytes`].
    Bytes(&'a [u8]),
    /// See [`ColumnType::Timestamp`].
    Timestamp(i64),
}

impl Schema {
    /// A table whose first `key` columns are its primary key.
    ///
    /// # Errors
    /// No columns or too many, no key, a key of floats, names that are empty, too long, double, or
    /// other than letters, digits and underscores.
    pub fn new(
        table: impl Into<String>,
        columns: Vec<Column>,
        key: usize,
    ) -> Result<Self, RowError> {
        let table = table.into();
        check_name("table", &table)?;
        if columns.is_empty() || columns.len() > COLUMNS_MAX {
            let many = columns.len();
            return Err(RowError(format!("{many} columns: a table has 1 to {COLUMNS_MAX}")));
        }
        if key == 0 || key > columns.len() {
            return Err(RowError(format!("a key of {key} of {} columns", columns.len())));
        }
        for (nth, column) in columns.iter().enumerate() {
            check_name("column", &column.name)?;
            if columns[..nth].iter().any(|other| other.name == column.name) {
                return Err(RowError(format!("two columns are called {:?}", column.name)));
            }
            if nth < key && column.kind == ColumnType::Float {
                return Err(RowError(format!("column {:?}: a key of floats", column.name)));
            }
        }
        Ok(Self { table, columns, key })
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Its columns; those of the key come first.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// How many columns are the key.
    pub fn key_columns(&self) -> usize {
        self.key
    }

    /// Tells schemas apart: participants refuse rows of another one.
    pub fn fingerprint(&self) -> u64 {
        let mut text = format!("{}:{}", self.table, self.key);
        for column in &self.columns {
            text.push_str(&format!(",{}:{:?}", column.name, column.kind));
        }
        let hash = blake3::hash(text.as_bytes());
        u64_at(hash.as_bytes(), 0)
    }
}

fn check_name(what: &str, name: &str) -> Result<(), RowError> {
    let fits = (1..=NAME_LEN_MAX).contains(&name.len());
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fits && plain && !name.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(());
    }
    let rule = "letters, digits and underscores, not a digit first";
    Err(RowError(format!("a {what} called {name:?}: names are 1 to {NAME_LEN_MAX} {rule}")))
}

impl Value<'_> {
    /// Whether it may stand in a column of this type.
    pub fn fits(&self, kind: ColumnType) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(_) => kind == ColumnType::Bool,
            Self::Int(_) => kind == ColumnType::Int,
            Self::Float(_) => kind == ColumnType::Float,
            Self::Text(text) => kind == ColumnType::Text && !text.contains('\0'),
            Self::Bytes(_) => kind == ColumnType::Bytes,
            Self::Timestamp(_) => kind == ColumnType::Timestamp,
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => 1,
            Self::Int(_) | Self::Float(_) | Self::Timestamp(_) => 9,
            Self::Text(text) => 5 + text.len(),
            Self::Bytes(bytes) => 5 + bytes.len(),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Null => out.push(0),
            Self::Bool(value) => out.push(1 + u8::from(value)),
            Self::Int(value) => put_tagged(out, 3, value.cast_unsigned()),
            Self::Float(value) => put_tagged(out, 4, value.to_bits()),
            Self::Text(text) => put_bytes(out, 5, text.as_bytes()),
            Self::Bytes(bytes) => put_bytes(out, 6, bytes),
            Self::Timestamp(value) => put_tagged(out, 7, value.cast_unsigned()),
        }
    }
}

fn put_tagged(out: &mut Vec<u8>, tag: u8, value: u64) {
    out.push(tag);
    put_u64(out, value);
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_u32(out, bytes.len() as u32);
    out.extend_from_slice(bytes);
}

/// Reads the value at `at`; gives it and where the next one begins. `None` if it is not one.
fn decode(row: &[u8], at: usize) -> Option<(Value<'_>, usize)> {
    let tag = *row.get(at)?;
    let number = || (row.len() >= at + 9).then(|| u64_at(row, at + 1));
    let content = || {
        let len = (row.len() >= at + 5).then(|| u32_at(row, at + 1) as usize)?;
        row.get(at + 5..(at + 5).checked_add(len)?)
    };
    Some(match tag {
        0 => (Value::Null, at + 1),
        1 | 2 => (Value::Bool(tag == 2), at + 1),
        3 => (Value::Int(number()?.cast_signed()), at + 9),
        4 => (Value::Float(f64::from_bits(number()?)), at + 9),
        5 => {
            let bytes = content()?;
            (Value::Text(std::str::from_utf8(bytes).ok()?), at + 5 + bytes.len())
        }
        6 => {
            let bytes = content()?;
            (Value::Bytes(bytes), at + 5 + bytes.len())
        }
        7 => (Value::Timestamp(number()?.cast_signed()), at + 9),
        _ => return None,
    })
}

/// One encoded row that was checked against its schema.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Row<'a>(&'a [u8]);

impl<'a> Row<'a> {
    /// Its bytes.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Its values, in the order of the columns.
    pub fn values(self) -> impl Iterator<Item = Value<'a>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let (value, next) = decode(self.0, at)?;
            at = next;
            Some(value)
        })
    }

    /// The bytes of its key: a prefix of its bytes.
    pub fn key(self, schema: &Schema) -> &'a [u8] {
        let mut end = 0;
        for _ in 0..schema.key {
            // Only the lengths matter here, so text is not looked at again.
            end += match self.0[end] {
                0..=2 => 1,
                5 | 6 => 5 + u32_at(self.0, end + 1) as usize,
                _ => 9,
            };
        }
        &self.0[..end]
    }

    /// Which of so many participants it belongs to.
    pub fn participant(self, schema: &Schema, participants: usize) -> usize {
        participant_of(self.key(schema), participants)
    }

    /// Takes bytes for a row if they are one of this table.
    ///
    /// # Errors
    /// What does not fit.
    pub fn parse(schema: &Schema, bytes: &'a [u8]) -> Result<Self, RowError> {
        if bytes.len() > ROW_LEN_MAX {
            return Err(too_long(bytes.len()));
        }
        let mut at = 0;
        for nth in 0..schema.columns.len() {
            let cut = || RowError(format!("column {nth}: cut off, or of an unknown kind"));
            let (value, next) = decode(bytes, at).ok_or_else(cut)?;
            check_value(schema, nth, &value)?;
            at = next;
        }
        if at != bytes.len() {
            return Err(RowError(format!("{} bytes after its last column", bytes.len() - at)));
        }
        check_key_len(Self(bytes).key(schema).len())?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.values()).finish()
    }
}

fn check_value(schema: &Schema, nth: usize, value: &Value<'_>) -> Result<(), RowError> {
    let column = &schema.columns[nth];
    if !value.fits(column.kind) {
        let (name, kind) = (&column.name, column.kind);
        return Err(RowError(format!("column {name:?} is {kind:?} and cannot hold {value:?}")));
    }
    if nth < schema.key && matches!(value, Value::Null) {
        return Err(RowError(format!("column {:?}: a key without a value", column.name)));
    }
    Ok(())
}

fn check_key_len(len: usize) -> Result<(), RowError> {
    if len <= ROW_KEY_LEN_MAX {
        return Ok(());
    }
    Err(RowError(format!("a key of {len} bytes, at most {ROW_KEY_LEN_MAX} are possible")))
}

fn too_long(len: usize) -> RowError {
    RowError(format!("a row of {len} bytes, at most {ROW_LEN_MAX} are possible"))
}

/// Encoded rows, one after the other in one allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    bytes: Vec<u8>,
    count: u32,
}

impl Rows {
    /// No rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Encodes a row at the end; gives its length in bytes.
    ///
    /// # Errors
    /// It does not fit the schema; then nothing is added.
    pub fn push(&mut self, schema: &Schema, values: &[Value<'_>]) -> Result<usize, RowError> {
        if values.len() != schema.columns.len() {
            let (got, want) = (values.len(), schema.columns.len());
            return Err(RowError(format!("a row of {got} values for {want} columns")));
        }
        let mut len = 0;
        let mut key_len = 0;
        for (nth, value) in values.iter().enumerate() {
            check_value(schema, nth, value)?;
            len += value.encoded_len();
            if nth + 1 == schema.key {
                key_len = len;
            }
        }
        if len > ROW_LEN_MAX {
            return Err(too_long(len));
        }
        check_key_len(key_len)?;
        put_u32(&mut self.bytes, len as u32);
        values.iter().for_each(|value| value.encode(&mut self.bytes));
        self.count += 1;
        Ok(4 + len)
    }

    /// How long a row of these values is, in bytes as encoded.
    pub(super) fn len_of(values: &[Value<'_>]) -> usize {
        4 + values.iter().map(Value::encoded_len).sum::<usize>()
    }

    /// Adds other rows at the end.
    pub(super) fn append(&mut self, rows: &Self) {
        self.bytes.extend_from_slice(&rows.bytes);
        self.count += rows.count;
    }

    /// The key of the row that begins at this place of the bytes.
    pub(super) fn key_at(&self, schema: &Schema, at: usize) -> &[u8] {
        let len = u32_at(&self.bytes, at) as usize;
        Row(&self.bytes[at + 4..at + 4 + len]).key(schema)
    }

    /// Adds a row that is encoded already; gives its length in bytes.
    pub fn push_row(&mut self, row: Row<'_>) -> usize {
        put_u32(&mut self.bytes, row.0.len() as u32);
        self.bytes.extend_from_slice(row.0);
        self.count += 1;
        4 + row.0.len()
    }

    /// Takes bytes for rows if they are rows of this table.
    ///
    /// # Errors
    /// Which row does not fit, and what.
    pub fn parse(schema: &Schema, bytes: Vec<u8>) -> Result<Self, RowError> {
        let (mut at, mut count) = (0, 0);
        while at < bytes.len() {
            let row = (bytes.len() >= at + 4)
                .then(|| u32_at(&bytes, at) as usize)
                .and_then(|len| bytes.get(at + 4..(at + 4).checked_add(len)?));
            let row = row.ok_or_else(|| RowError(format!("row {count} is cut off")))?;
            Row::parse(schema, row).map_err(|error| RowError(format!("row {count}: {error}")))?;
            at += 4 + row.len();
            count += 1;
        }
        Ok(Self { bytes, count })
    }

    /// The rows, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (row, after) = rest[4..].split_at(u32_at(rest, 0) as usize);
            rest = after;
            Some(Row(row))
        })
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Their bytes, with the lengths.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their bytes in pieces of whole rows, each at most `len_max` long unless it is one row.
    pub(super) fn chunks(&self, len_max: usize) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let mut end = 0;
            while end < rest.len() {
                let next = end + 4 + u32_at(rest, end) as usize;
                if next > len_max && end > 0 {
                    break;
                }
                end = next;
            }
            let (chunk, after) = rest.split_at(end);
            rest = after;
            (!chunk.is_empty()).then_some(chunk)
        })
    }

    /// Removes all rows and keeps the allocation.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// The first `count` rows.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        let mut first = Self::new();
        for row in self.iter().take(count) {
            first.push_row(row);
        }
        first
    }

    /// All rows but the one at `nth`, in their order.
    #[must_use]
    pub fn without(&self, nth: usize) -> Self {
        let mut left = Self { bytes: Vec::with_capacity(self.bytes.len()), count: 0 };
        for (at, row) in self.iter().enumerate() {
            if at != nth {
                left.push_row(row);
            }
        }
        left
    }
}
