//! The rows of one statement. PostgreSQL changes no row twice in one, so rows of the same key are
//! made one before: what a statement for each of them, in their order, would leave.

use seedbed_engines::sink::{Row, Schema, Value, WriteMode};
use seedbed_env::map::FxHashMap;

use crate::encode::{Array, arrays};

/// The parameters of the statement for these rows, a column each.
pub(crate) fn parameters(schema: &Schema, mode: WriteMode, rows: &[Row<'_>]) -> Vec<Array> {
    if mode == WriteMode::Insert {
        return arrays(schema, rows.iter().map(|row| row.values()));
    }
    // By key, the place of its row in `kept`.
    let mut places: FxHashMap<&[u8], usize> = FxHashMap::default();
    let mut kept: Vec<Row<'_>> = Vec::with_capacity(rows.len());
    let mut merged: FxHashMap<usize, Vec<Value<'_>>> = FxHashMap::default();
    for row in rows {
        let place = *places.entry(row.key(schema)).or_insert(kept.len());
        if place == kept.len() {
            kept.push(*row);
        } else if mode == WriteMode::Replace {
            kept[place] = *row;
        } else {
            let values = merged.entry(place).or_insert_with(|| kept[place].values().collect());
            for (value, later) in values.iter_mut().zip(row.values()) {
                if later != Value::Null {
                    *value = later;
                }
            }
        }
    }
    if merged.is_empty() {
        return arrays(schema, kept.iter().map(|row| row.values()));
    }
    let whole = kept.iter().enumerate();
    arrays(
        schema,
        whole.map(|(place, row)| {
            merged.get(&place).cloned().unwrap_or_else(|| row.values().collect())
        }),
    )
}
