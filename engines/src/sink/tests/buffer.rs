//! The buffer: exact counts of bytes, batches without gaps, and what closes one.

use std::time::Duration;

use proptest::prelude::*;
use seedbed_env::Instant;

use super::super::buffer::{Batch, Buffer, participant_of};
use super::super::options::Options;
use super::super::row::{Rows, Value};
use super::{narrow, narrow_row};

fn options(batch_rows: usize, batch_bytes: usize) -> Options {
    Options { batch_rows, batch_bytes, ..Options::default() }
}

fn push(buffer: &mut Buffer, offset: u64, id: i64, text: &str) -> usize {
    let row = narrow_row(id, Some(text), None);
    let len = buffer.push(&narrow(), offset, &row, Instant::from_ns(offset)).unwrap();
    assert_eq!(len, Rows::len_of(&row), "what is asked for before is what it takes");
    len
}

fn offsets(batch: &Batch) -> Vec<u64> {
    let mut all: Vec<u64> = batch.parts.iter().flat_map(|part| &part.offsets).copied().collect();
    all.sort_unstable();
    all
}

#[test]
fn a_batch_is_ready_when_it_has_its_rows_or_its_bytes_and_not_before() {
    let mut buffer = Buffer::new(&options(3, 1000), 2, 5);
    for offset in 5..7 {
        push(&mut buffer, offset, offset as i64, "");
        assert!(!buffer.is_ready());
    }
    assert_eq!(buffer.since(), Some(Instant::from_ns(5)), "it is as old as its first row");
    push(&mut buffer, 7, 7, "");
    assert!(buffer.is_ready() && buffer.since().is_none());
    let batch = buffer.take().unwrap();
    assert_eq!((batch.from, batch.to, offsets(&batch)), (5, 8, vec![5, 6, 7]));

    // A row is 4 + 9 + 5 + 1 bytes and its text.
    let len = push(&mut buffer, 8, 8, &"x".repeat(980 - 19));
    assert_eq!((len, buffer.is_ready()), (980, false));
    push(&mut buffer, 9, 9, "y");
    assert!(buffer.is_ready(), "1000 bytes are there");
    let batch = buffer.take().unwrap();
    assert_eq!((batch.from, batch.to, batch.bytes), (8, 10, 1000));
}

#[test]
fn a_gap_in_the_offsets_belongs_to_the_batch_after_it() {
    let mut buffer = Buffer::new(&options(2, 1000), 1, 10);
    for offset in [20, 21, 30] {
        push(&mut buffer, offset, 1, "");
    }
    buffer.seal();
    let (first, second) = (buffer.take().unwrap(), buffer.take().unwrap());
    assert_eq!((first.from, first.to), (10, 22));
    assert_eq!((second.from, second.to), (22, 31));
    assert!(buffer.take().is_none());
    buffer.seal();
    assert!(!buffer.is_ready(), "an empty batch is none");
}

#[test]
fn a_row_that_does_not_fit_leaves_no_trace() {
    for participants in [1, 3] {
        let mut buffer = Buffer::new(&options(10, 1000), participants, 0);
        let bad = [Value::Int(1), Value::Int(1), Value::Null];
        let now = Instant::from_ns(1);
        assert!(buffer.push(&narrow(), 0, &bad, now).is_err());
        assert_eq!((buffer.bytes(), buffer.next_offset(), buffer.since()), (0, 0, None));
        let len = push(&mut buffer, 0, 1, "text");
        assert!(buffer.push(&narrow(), 1, &bad, now).is_err());
        assert_eq!((buffer.bytes(), buffer.next_offset()), (len, 1));
        buffer.seal();
        let batch = buffer.take().unwrap();
        assert_eq!((offsets(&batch), batch.keys.len(), batch.bytes), (vec![0], 1, len));
    }
}

#[test]
fn a_row_that_is_left_out_is_counted_out_once() {
    let mut buffer = Buffer::new(&options(10, 10_000), 1, 0);
    let lens: Vec<usize> = ["a", "bb", "ccc"]
        .iter()
        .zip(0..)
        .map(|(text, nth)| push(&mut buffer, nth, 1, text))
        .collect();
    buffer.seal();
    let mut batch = buffer.take().unwrap();
    assert_eq!(batch.leave_out(0, 1), (1, lens[1]));
    buffer.release_row(lens[1]);
    assert_eq!((offsets(&batch), batch.bytes), (vec![0, 2], lens[0] + lens[2]));
    assert_eq!(buffer.bytes(), batch.bytes);
    assert_eq!((batch.leave_out(0, 0).0, batch.leave_out(0, 0).0), (0, 2));
    assert_eq!((batch.participants(), batch.bytes), (0, 0));
    buffer.release_row(lens[0] + lens[2]);
    buffer.release(batch);
    assert_eq!(buffer.bytes(), 0);
}

proptest! {
    #[test]
    fn batches_hold_every_row_once_in_order_and_bytes_are_exact(
        rows in proptest::collection::vec((0_i64..20, "[a-z]{0,30}", 0_u64..3, 0_u8..8), 1..120),
        participants in 1_usize..5,
        batch_rows in 1_usize..9,
        batch_bytes in 1_usize..300,
        start in 0_u64..5,
    ) {
        let schema = narrow();
        let mut buffer = Buffer::new(&options(batch_rows, batch_bytes), participants, start);
        let (mut next, mut covered, mut waiting, mut out) = (start, start, 0, 0);
        let mut seen: Vec<(u64, i64, String)> = Vec::new();
        let mut expected = Vec::new();
        let mut held: Vec<Batch> = Vec::new();
        for (id, text, gap, does) in rows {
            let offset = next + gap;
            waiting += push(&mut buffer, offset, id, &text);
            expected.push((offset, id, text));
            next = offset + 1;
            prop_assert_eq!(buffer.next_offset(), next);
            if does == 0 {
                buffer.seal();
            }
            while does < 4 && let Some(batch) = buffer.take() {
                prop_assert_eq!(batch.from, covered);
                covered = batch.to;
                prop_assert!(batch.keys.len() <= batch_rows);
                take_apart(&schema, &batch, participants, &mut seen);
                waiting -= batch.bytes;
                out += batch.bytes;
                held.push(batch);
            }
            if does == 7 && let Some(batch) = held.pop() {
                out -= batch.bytes;
                buffer.release(batch);
            }
            prop_assert_eq!(buffer.bytes(), waiting + out);
        }
        buffer.seal();
        while let Some(batch) = buffer.take() {
            prop_assert_eq!(batch.from, covered);
            covered = batch.to;
            take_apart(&schema, &batch, participants, &mut seen);
            buffer.release(batch);
        }
        held.into_iter().for_each(|batch| buffer.release(batch));
        prop_assert_eq!((buffer.bytes(), covered), (0, next));
        prop_assert_eq!(seen, expected);
    }
}

/// The rows of a batch by offset; each is where it belongs.
fn take_apart(
    schema: &super::super::row::Schema,
    batch: &Batch,
    participants: usize,
    seen: &mut Vec<(u64, i64, String)>,
) {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    for (nth, part) in batch.parts.iter().enumerate() {
        assert_eq!(part.rows.len(), part.offsets.len());
        assert_eq!(batch.participants() >> nth & 1 == 1, !part.rows.is_empty());
        bytes += part.rows.bytes().len();
        for (row, offset) in part.rows.iter().zip(&part.offsets) {
            assert_eq!(participant_of(row.key(schema), participants), nth);
            let values: Vec<Value<'_>> = row.values().collect();
            let [Value::Int(id), Value::Text(text), Value::Null] = values[..] else {
                panic!("not what was pushed: {row:?}")
            };
            rows.push((*offset, id, text.to_owned()));
        }
    }
    assert_eq!((batch.bytes, batch.keys.len()), (bytes, rows.len()));
    rows.sort();
    assert!(rows.iter().all(|(offset, ..)| (batch.from..batch.to).contains(offset)));
    seen.extend(rows);
}

#[test]
fn attempts_wait_longer_each_time_up_to_a_limit() {
    let options = Options::default();
    let waits = [1, 2, 3, 7, 8, 9, u32::MAX].map(|nth| options.retry_after(nth).as_millis());
    assert_eq!(waits, [20, 40, 80, 1280, 2000, 2000, 2000]);
    let options = Options { retry_delay: Duration::MAX, ..Options::default() };
    assert_eq!(options.retry_after(5), Duration::from_secs(2));
}
