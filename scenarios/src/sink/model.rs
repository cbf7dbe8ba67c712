//! What the tables must hold: the rows of the source, in order, each where it belongs, but for
//! those that were rejected rightly, and those that a person took or gave.

use std::collections::{BTreeMap, BTreeSet};

use seedbed::Violation;
use seedbed::check::Offset;
use seedbed_engines::sink::{Decision, Row, Rows, Schema, Value, WriteMode};

use super::CONTENT;
use super::recorder::Recorder;
use super::workload::{Record, Source};

/// A row as the table has it: what stands beside its id.
pub(super) type Stored = (i64, Option<String>);
/// A table: rows by id.
pub(super) type Table = BTreeMap<i64, Stored>;

/// The values of a record, in the order of the columns.
pub(super) fn values(offset: u64, record: &Record) -> [Value<'_>; 3] {
    let note = record.note.as_deref().map_or(Value::Null, Value::Text);
    [Value::Int(record.id), Value::Int(offset.cast_signed()), note]
}

/// A row of a table.
pub(super) fn stored(row: Row<'_>) -> (i64, Stored) {
    let values: Vec<Value<'_>> = row.values().collect();
    match values[..] {
        [Value::Int(id), Value::Int(offset), Value::Text(note)] => {
            (id, (offset, Some(note.to_owned())))
        }
        [Value::Int(id), Value::Int(offset), Value::Null] => (id, (offset, None)),
        _ => (i64::MIN, (i64::MIN, Some(format!("not a row of this table: {row:?}")))),
    }
}

/// What becomes of a row at its participant.
enum Fate {
    /// It is written.
    Written,
    /// It was rejected. Perhaps a person had committed it before.
    Rejected { given: bool },
    /// A person took it.
    Lost,
}

/// Compares the tables of all participants with the source.
pub(super) fn check(
    schema: &Schema,
    mode: WriteMode,
    source: &Source,
    recorder: &Recorder,
    tables: &[Table],
) -> Result<(), Violation> {
    let mut expected = vec![Table::new(); tables.len()];
    // Keys of rows that a person took: they were there when a later one of the same key came.
    let mut lost = BTreeSet::new();
    for (offset, record) in source.records.iter().enumerate() {
        let offset = offset as u64;
        let mut rows = Rows::new();
        let pushed = rows.push(schema, &values(offset, record));
        assert!(pushed.is_ok(), "records fit the table");
        let row = rows.iter().next().expect("it was just pushed");
        let nth = row.participant(schema, tables.len());
        let table = &mut expected[nth];
        let is_there = table.contains_key(&record.id);
        match fate(recorder, offset, nth as u8) {
            Fate::Lost => {
                lost.insert(record.id);
                continue;
            }
            // What a person has committed already is rejected when it comes again.
            Fate::Rejected { given: true } if !is_there => {}
            Fate::Rejected { .. }
                if mode != WriteMode::Insert || !is_there && !lost.contains(&record.id) =>
            {
                return Err(broken(
                    format!("row {offset} is taken: nothing is wrong with it"),
                    "it was rejected".to_owned(),
                ));
            }
            Fate::Rejected { .. } => continue,
            Fate::Written => {}
        }
        let new = (offset.cast_signed(), record.note.clone());
        let row = table.entry(record.id).or_insert_with(|| new.clone());
        match mode {
            WriteMode::Insert if is_there => {
                return Err(broken(
                    format!("row {offset} is rejected: its key is there already"),
                    "it was not".to_owned(),
                ));
            }
            WriteMode::Upsert if record.note.is_none() => row.0 = new.0,
            _ => *row = new,
        }
    }
    for (nth, (expected, table)) in expected.iter().zip(tables).enumerate() {
        compare(nth, expected, table)?;
    }
    Ok(())
}

fn fate(recorder: &Recorder, offset: u64, nth: u8) -> Fate {
    let (mut given, mut lost) = (false, false);
    for known in recorder.transactions.values().filter(|known| known.offsets.contains(&offset)) {
        let by_hand = known.by_hand.get(&nth);
        let damaged = known.damaged.contains(&nth);
        if known.committed {
            lost |= by_hand == Some(&Decision::Abort) || damaged;
        } else {
            given |= by_hand == Some(&Decision::Commit) || damaged;
        }
    }
    match recorder.rejected.contains(&offset) {
        true => Fate::Rejected { given },
        // What an earlier attempt was given stays, whatever becomes of the one that was committed.
        false if lost && !given => Fate::Lost,
        false => Fate::Written,
    }
}

fn compare(nth: usize, expected: &Table, table: &Table) -> Result<(), Violation> {
    let ids: BTreeSet<_> = expected.keys().chain(table.keys()).collect();
    for id in ids {
        let (want, got) = (expected.get(id), table.get(id));
        if want != got {
            let show = |stored: Option<&Stored>| match stored {
                Some((offset, note)) => format!("the row with offset {offset}, note {note:?}"),
                None => "no row".to_owned(),
            };
            return Err(broken(
                format!("participant {nth} has for key {id} {}", show(want)),
                show(got),
            ));
        }
    }
    Ok(())
}

fn broken(expected: String, got: String) -> Violation {
    Violation::new(CONTENT.name, format!("{}; {expected}", CONTENT.statement), got)
}

/// Which records are in the tables, and how often, where each is a row of its own.
pub(super) fn target(tables: &[Table]) -> Vec<(Offset, u32)> {
    let rows = tables.iter().flat_map(BTreeMap::values);
    rows.map(|(offset, _)| (Offset(*offset as u32), 1)).collect()
}
