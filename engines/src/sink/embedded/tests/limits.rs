//! How long rows and transactions may become: what was prepared can be committed, always.

use super::super::super::row::{Column, ColumnType, ROW_LEN_MAX};
use super::super::kernel::TRANSACTION_LEN_MAX;
use super::*;
use crate::atomic_commit::BATCH_LEN_MAX;

const ZERO: Gid = Gid { incarnation: 0, number: 0 };
/// Tag and number of a key, tags and lengths of two texts.
const HEADS: usize = 9 + 5 + 5;

fn row(id: i64, left: Option<&str>, right: Option<&str>) -> Rows {
    rows_of(&narrow(), &[&narrow_row(id, left, right)])
}

#[test]
fn a_merged_row_keeps_the_limit_of_rows() {
    let (mut desk, w) = (Desk::new(narrow()), writer("w"));
    let half = "x".repeat(ROW_LEN_MAX / 2);
    desk.commit_open(WriteMode::Insert, row(1, Some(&half), None)).unwrap();
    let room = ROW_LEN_MAX - half.len() - HEADS;
    let upsert = |desk: &mut Desk, number, len: usize| {
        let text = "y".repeat(len);
        desk.prepare(&w, gid(1, number), ZERO, WriteMode::Upsert, row(1, None, Some(&text)))
    };
    let Err(No::Rejected { row: 0, reason }) = upsert(&mut desk, 1, room + 1) else {
        panic!("it is too long")
    };
    assert!(reason.contains("1048577 bytes: up to 1048576"), "{reason}");
    upsert(&mut desk, 2, room).unwrap();
    assert_eq!(desk.decide(&w, gid(1, 2), Decision::Commit, false), Outcome::Done);
    assert_eq!(desk.rows()[0].2.as_ref().map(String::len), Some(room));
    // What takes the place of something does not make the row longer.
    desk.commit_open(WriteMode::Upsert, row(1, Some(&half.replace('x', "z")), None)).unwrap();
    assert!(desk.rows()[0].1.as_ref().is_some_and(|left| left.starts_with('z')));
    // But within a transaction lengths are added up.
    let third = "z".repeat(ROW_LEN_MAX / 3);
    let mut both = row(2, Some(&third), None);
    both.append(&row(2, None, Some(&third)));
    both.append(&row(2, Some(&third), None));
    let voted = desk.commit_open(WriteMode::Upsert, both);
    assert!(matches!(voted, Err(No::Rejected { row: 2, .. })), "{voted:?}");
}

#[test]
fn a_transaction_that_would_not_fit_into_one_batch_with_what_is_stored_is_not_prepared() {
    let (mut desk, w) = (Desk::new(narrow()), writer("w"));
    let long = "x".repeat(ROW_LEN_MAX - 100);
    for id in 0..40 {
        desk.commit_open(WriteMode::Insert, row(id, Some(&long), None)).unwrap();
    }
    let touch = |ids: std::ops::Range<i64>| {
        let mut all = Rows::new();
        ids.for_each(|id| all.append(&row(id, None, Some("y"))));
        all
    };
    let voted = desk.prepare(&w, gid(1, 1), ZERO, WriteMode::Upsert, touch(0..40));
    let Err(No::Unable { reason }) = voted else { panic!("{voted:?}") };
    assert!(reason.contains("32 rows") && reason.contains("batch_rows"), "{reason}");
    let voted = desk.commit_open(WriteMode::Upsert, touch(0..40));
    assert!(matches!(voted, Err(No::Unable { .. })), "{voted:?}");
    // Nothing is held, and what fits can be committed.
    desk.prepare(&w, gid(1, 2), ZERO, WriteMode::Upsert, touch(0..32)).unwrap();
    desk.prepare(&w, gid(1, 3), ZERO, WriteMode::Upsert, touch(32..40)).unwrap();
    let apply = |desk: &Desk, number, batch: &mut Batch| {
        let value = &desk.memory.0[&transaction_key(b'p', &w, gid(1, number))];
        let prepared = Prepared::parse(&desk.schema, value).unwrap();
        prepared.apply(&desk.schema, &desk.memory, batch)
    };
    let mut group = Batch::new();
    apply(&desk, 2, &mut group).unwrap();
    let before = group.clone();
    assert!(apply(&desk, 3, &mut group).is_none(), "together they are too long");
    assert_eq!(group, before);
    for number in 2..4 {
        assert_eq!(desk.decide(&w, gid(1, number), Decision::Commit, false), Outcome::Done);
    }
    assert!(desk.rows().iter().all(|(_, left, right)| {
        left.as_ref().map(String::len) == Some(long.len()) && right.as_deref() == Some("y")
    }));
}

#[test]
fn the_longest_transaction_can_be_committed_whatever_its_rows_are() {
    let column = |nth: usize, kind| Column { name: format!("c{nth}"), kind };
    let bits: Vec<Column> = (0..24).map(|nth| column(nth, ColumnType::Bool)).collect();
    let short = std::sync::Arc::new(Schema::new("t", bits[..1].to_vec(), 1).unwrap());
    let all = std::sync::Arc::new(Schema::new("t", bits, 24).unwrap());
    let text = vec![column(0, ColumnType::Text)];
    let text = std::sync::Arc::new(Schema::new("t", text, 1).unwrap());
    let one = rows_of(&short, &[&[Value::Bool(true)]]);
    let distinct = |nth: usize| {
        let values: Vec<Value<'_>> = (0..24).map(|bit| Value::Bool(nth >> bit & 1 == 1)).collect();
        rows_of(&all, &[&values])
    };
    let key = |nth: usize| format!("{nth:08}{}", "k".repeat(8000));
    check_longest(&short, WriteMode::Replace, |_| one.clone());
    check_longest(&all, WriteMode::Insert, distinct);
    check_longest(&text, WriteMode::Upsert, |nth| rows_of(&text, &[&[Value::Text(&key(nth))]]));
}

/// As many rows as a transaction may have.
fn check_longest(schema: &std::sync::Arc<Schema>, mode: WriteMode, row: impl Fn(usize) -> Rows) {
    let mut rows = Rows::new();
    for nth in 0.. {
        let row = row(nth);
        if rows.bytes().len() + row.bytes().len() > TRANSACTION_LEN_MAX {
            break;
        }
        rows.append(&row);
    }
    let (memory, mut kernel) = (Memory::default(), Kernel::default());
    let prepared = Prepared { mode, rows };
    let w = Writer::new(&"w".repeat(64)).unwrap();
    kernel.prepare(schema, &memory, &w, gid(1, 1), &prepared).unwrap();
    let mut batch = Batch::new();
    prepared.apply(schema, &memory, &mut batch).unwrap();
    batch.delete(transaction_key(b'p', &w, gid(1, 1)));
    batch.put(transaction_key(b'c', &w, gid(1, 1)), b"c");
    assert!(batch.len() > 3 && batch.encoded_len() <= BATCH_LEN_MAX);
    assert!(!batch.changes().is_empty(), "it is valid");
}
