//! Bytes that are not ours: no panic, and what is taken for a row is one to the last byte.

use proptest::prelude::*;
use seedbed_env::OsEnv;
use tempfile::TempDir;

use super::super::decisions::{Decisions, Found};
use super::super::error::Error;
use super::super::options::Options;
use super::super::participant::Writer;
use super::super::row::{ROW_KEY_LEN_MAX, ROW_LEN_MAX, Row, Rows, Value};
use super::{any_bytes, damaged_rows, encoded_again, narrow, narrow_row, rows_of, wide};
use crate::atomic_commit::{Batch, Store};

proptest! {
    #[test]
    fn what_is_taken_for_rows_is_encoded_to_the_same_bytes(
        bytes in prop_oneof![any_bytes(), damaged_rows()],
    ) {
        let schema = wide();
        if let Ok(row) = Row::parse(&schema, &bytes) {
            let again = encoded_again(&schema, row);
            prop_assert_eq!(&again.bytes()[4..], &bytes[..]);
        }
        if let Ok(rows) = Rows::parse(&schema, bytes.clone()) {
            prop_assert_eq!(rows.bytes(), &bytes[..]);
            let mut again = Rows::new();
            rows.iter().for_each(|row| again.append(&encoded_again(&schema, row)));
            prop_assert_eq!(&again, &rows);
            let chunks: Vec<&[u8]> = rows.chunks(40).collect();
            prop_assert_eq!(chunks.concat(), bytes);
            for chunk in chunks {
                let part = Rows::parse(&schema, chunk.to_vec()).unwrap();
                prop_assert!(chunk.len() <= 40 || part.len() == 1);
            }
        }
    }

    #[test]
    fn a_coordinators_entries_of_any_bytes_are_read_or_refused(
        entries in proptest::collection::vec(("[micdhx]", any_bytes(), any_bytes()), 0..4),
        count in any::<u32>(),
    ) {
        let mut all: Vec<(Vec<u8>, Vec<u8>)> = entries
            .into_iter()
            .map(|(first, rest, value)| ([first.as_bytes(), &rest].concat(), value))
            .collect();
        // A count that is not that of what follows.
        let counted = [&count.to_le_bytes()[..], &[7; 48]].concat();
        all.push((b"d\0\0\0\0\0\0\0\x09".to_vec(), counted));
        let entries = all.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
        let found = Found::read(entries);
        prop_assert!(found.is_none() || count == 2);
    }
}

#[test]
fn rows_that_break_a_limit_by_one_byte_are_refused_both_ways() {
    let schema = narrow();
    // Tag and number of the key; tag and length of a text; a null.
    let fits = "x".repeat(ROW_LEN_MAX - 9 - 5 - 1);
    let rows = rows_of(&schema, &[&narrow_row(1, Some(&fits), None)]);
    assert_eq!(rows.bytes().len(), 4 + ROW_LEN_MAX);
    assert!(Rows::parse(&schema, rows.bytes().to_vec()).is_ok());
    let long = format!("{fits}x");
    let error = Rows::new().push(&schema, &narrow_row(1, Some(&long), None)).unwrap_err();
    assert!(error.to_string().contains("at most 1048576 are possible"), "{error}");
    let error = Row::parse(&schema, &vec![0; ROW_LEN_MAX + 1]).unwrap_err();
    assert!(error.to_string().contains("at most 1048576 are possible"), "{error}");

    let schema = wide();
    let key = |len: usize| "k".repeat(len - 9 - 5);
    let push = |key: &str| {
        let mut values = [Value::Null; 7];
        (values[0], values[1]) = (Value::Int(0), Value::Text(key));
        Rows::new().push(&schema, &values)
    };
    assert!(push(&key(ROW_KEY_LEN_MAX)).is_ok());
    let error = push(&key(ROW_KEY_LEN_MAX + 1)).unwrap_err();
    assert!(error.to_string().contains("a key of 8193 bytes"), "{error}");
}

#[test]
fn values_that_do_not_fit_are_refused_and_leave_nothing() {
    let schema = narrow();
    let mut rows = rows_of(&schema, &[&narrow_row(1, None, None)]);
    let before = rows.clone();
    let wrong: [(&[Value<'_>], &str); 4] = [
        (&[Value::Null, Value::Null, Value::Null], "a key without a value"),
        (&[Value::Int(1), Value::Int(2), Value::Null], "cannot hold"),
        (&[Value::Int(1), Value::Text("a\0b"), Value::Null], "cannot hold"),
        (&[Value::Int(1), Value::Null], "a row of 2 values for 3 columns"),
    ];
    for (values, reason) in wrong {
        let error = rows.push(&schema, values).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert_eq!(rows, before);
    }
}

/// A key and a value.
type Entry<'a> = (&'a [u8], &'a [u8]);

/// A folder's files and their bytes.
fn content(dir: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        })
        .collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_folder_of_something_else_is_refused_and_stays_as_it_is() {
    let dir = TempDir::new().unwrap();
    let env = OsEnv::new(dir.path());
    let options = Options::default();
    let strange: [(&str, &[Entry<'_>], &str); 5] = [
        ("other-sink", &[(b"m", b"1 sink other a,b")], "holds \"1 sink other a,b\""),
        ("other-names", &[(b"m", b"1 sink test a,c")], "holds \"1 sink test a,c\""),
        ("one-name", &[(b"m", br"1 sink test a\,b")], r"holds "),
        ("future", &[(b"m", b"2 sink test a,b")], "not \"1 sink test a,b\""),
        ("something", &[(b"key", b"value")], "a store of something else"),
    ];
    let entry: Entry<'_> = (b"i", b"short");
    let entries = ("entries", &[(&b"m"[..], &b"1 sink test a,b"[..]), entry][..]);
    let entries = (entries.0, entries.1, "entries of another version");
    for (folder, entries, reason) in strange.into_iter().chain([entries]) {
        let store = Store::open(env.clone(), folder, options.store.clone()).await.unwrap();
        for (key, value) in entries {
            store.commit(Batch::putting(key, value)).await.unwrap();
        }
        store.close().await.unwrap();
        // Opening cuts off the zeros that were written ahead.
        let store = Store::open(env.clone(), folder, options.store.clone()).await.unwrap();
        store.close().await.unwrap();
        let before = content(&dir.path().join(folder));
        for _ in 0..2 {
            let writer = Writer::new("test").unwrap();
            let opened =
                Decisions::open(env.clone(), folder.as_ref(), &writer, &["a", "b"], &options).await;
            let error = opened.map(drop).unwrap_err();
            assert!(matches!(&error, Error::Foreign { folder: at, .. } if at == folder));
            assert!(error.to_string().contains(reason), "{error}");
            assert!(content(&dir.path().join(folder)) == before, "{folder} was changed");
        }
    }
}
