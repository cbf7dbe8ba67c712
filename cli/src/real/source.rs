//! The source: rows that follow from the seed alone, so that anybody can make them again.

use std::sync::Arc;

use seedbed_engines::sink::{Column, ColumnType, Rows, Schema, Value};

/// The table that the rows go into.
pub(super) const TABLE: &str = "events";

/// The table's schema. The key is the offset, so that what is missing can be named.
pub(super) fn schema() -> Arc<Schema> {
    let columns = [
        ("id", ColumnType::Int),
        ("account", ColumnType::Text),
        ("amount", ColumnType::Int),
        ("price", ColumnType::Float),
        ("checked", ColumnType::Bool),
        ("note", ColumnType::Text),
        ("at", ColumnType::Timestamp),
    ];
    let columns = columns.map(|(name, kind)| Column { name: name.to_owned(), kind });
    Arc::new(Schema::new(TABLE, columns.to_vec(), 1).expect("a schema by the rules"))
}

/// A generator of 64 bits that has no state but a number: SplitMix64.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mix(u64);

impl Mix {
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut mix = Self(seed);
        let start = mix.next();
        Self(start ^ stream.wrapping_mul(0xD605_BBB5_8C8A_BC1B))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut out = self.0;
        out = (out ^ (out >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        out = (out ^ (out >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        out ^ (out >> 31)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// A row's content.
#[derive(Debug)]
pub(super) struct Item {
    id: i64,
    account: Option<String>,
    amount: Option<i64>,
    price: Option<f64>,
    checked: Option<bool>,
    note: String,
    at: i64,
}

impl Item {
    /// The row at this offset.
    pub(super) fn new(seed: u64, offset: u64) -> Self {
        let mut mix = Mix::new(seed, offset);
        let account = mix.below(10_007);
        let is_there = |mix: &mut Mix| mix.below(8) > 0;
        let account = is_there(&mut mix).then(|| format!("account-{account}"));
        let amount = is_there(&mut mix).then(|| mix.next().cast_signed() >> 20);
        let price = is_there(&mut mix).then(|| mix.below(1 << 30) as f64 / 128.0);
        let checked = is_there(&mut mix).then(|| mix.below(2) == 1);
        let word = ["", "x", "tab\tquote'", "größer", "\\N", "line\nline", "日本", "plain"];
        let note = word[mix.below(8) as usize].repeat(mix.below(5) as usize);
        let at = (mix.below(1 << 51)).cast_signed();
        Self { id: offset.cast_signed(), account, amount, price, checked, note, at }
    }

    /// Its values, as the schema has them.
    pub(super) fn values(&self) -> [Value<'_>; 7] {
        [
            Value::Int(self.id),
            self.account.as_deref().map_or(Value::Null, Value::Text),
            self.amount.map_or(Value::Null, Value::Int),
            self.price.map_or(Value::Null, Value::Float),
            self.checked.map_or(Value::Null, Value::Bool),
            Value::Text(&self.note),
            Value::Timestamp(self.at),
        ]
    }

    /// The row, encoded, in place of what `into` held.
    pub(super) fn encode(&self, schema: &Schema, into: &mut Rows) {
        into.clear();
        into.push(schema, &self.values()).expect("a row of this schema");
    }
}
