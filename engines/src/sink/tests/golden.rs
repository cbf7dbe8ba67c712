//! Golden bytes: rows, and the coordinator's store. What is on users' disks and what travels does
//! not change by accident.

use seedbed_env::OsEnv;
use tempfile::TempDir;

use super::super::decisions::{Checkpoint, Decided, Decisions, Found};
use super::super::options::Options;
use super::super::participant::{Gid, Writer};
use super::super::row::{Row, Rows, Value};
use super::{hex, rows_of, wide};
use crate::atomic_commit::Store;

#[test]
fn rows_of_every_type_are_as_ever() {
    let schema = wide();
    let low = [
        Value::Int(i64::MIN),
        Value::Text(""),
        Value::Bool(false),
        Value::Float(f64::NEG_INFINITY),
        Value::Text("zwölf"),
        Value::Bytes(&[0, 255]),
        Value::Timestamp(i64::MIN),
    ];
    let high = [
        Value::Int(i64::MAX),
        Value::Text("k"),
        Value::Bool(true),
        Value::Float(-0.0),
        Value::Text(""),
        Value::Bytes(&[]),
        Value::Timestamp(i64::MAX),
    ];
    let none = [Value::Int(-2), Value::Text("n"), Value::Null, Value::Null, Value::Null];
    let none = [&none[..], &[Value::Null, Value::Null]].concat();
    let rows = rows_of(&schema, &[&low, &high, &none]);
    let expected = [
        "33000000 030000000000000080 0500000000 01 04000000000000f0ff 05060000007a77c3b66c66",
        "060200000000ff 070000000000000080",
        "2c000000 03ffffffffffffff7f 05010000006b 02 040000000000000080 0500000000",
        "0600000000 07ffffffffffffff7f",
        "14000000 03feffffffffffffff 05010000006e 0000000000",
    ];
    assert_eq!(hex(rows.bytes()), expected.concat().replace(' ', ""));
    assert_eq!(Rows::parse(&schema, rows.bytes().to_vec()), Ok(rows.clone()));
    let first = rows.iter().next().unwrap();
    assert_eq!(hex(first.key(&schema)), "0300000000000000800500000000");
    assert_eq!(first.values().collect::<Vec<_>>(), low);
}

#[test]
fn a_not_a_number_keeps_its_bits() {
    let schema = wide();
    let mut values = [Value::Null; 7];
    (values[0], values[1]) = (Value::Int(0), Value::Text(""));
    values[3] = Value::Float(f64::from_bits(0x7ff0_dead_beef_0001));
    let rows = rows_of(&schema, &[&values]);
    let row = Row::parse(&schema, &rows.bytes()[4..]).unwrap();
    let Some(Value::Float(ratio)) = row.values().nth(3) else { panic!("{row:?}") };
    assert_eq!(ratio.to_bits(), 0x7ff0_dead_beef_0001);
}

#[test]
fn fingerprints_of_tables_and_the_place_of_a_key_are_as_ever() {
    assert_eq!(wide().fingerprint(), FINGERPRINT);
    let schema = super::narrow();
    let place = |id: i64| {
        let rows = rows_of(&schema, &[&super::narrow_row(id, None, None)]);
        rows.iter().next().unwrap().participant(&schema, 5)
    };
    assert_eq!([0, 1, 2, 3, i64::MIN, i64::MAX].map(place), PLACES);
}

const FINGERPRINT: u64 = 4390522661738094729;
const PLACES: [usize; 6] = [4, 1, 2, 4, 2, 3];

fn gid(incarnation: u64, number: u64) -> Gid {
    Gid { incarnation, number }
}

#[tokio::test]
async fn the_coordinators_entries_are_as_ever() {
    let dir = TempDir::new().unwrap();
    let env = OsEnv::new(dir.path());
    let writer = Writer::new("w-1").unwrap();
    let options = Options::default();
    let names = ["p0", "with,comma"];
    let open = || Decisions::open(env.clone(), "d".as_ref(), &writer, &names, &options);
    let (decisions, found) = open().await.unwrap();
    assert_eq!((found.incarnation, found.checkpoint), (1, Checkpoint::default()));
    let identity = found.identity.unwrap();
    let one = |number, participants| Decided { gid: gid(1, number), participants };
    let checkpoint = |number, offset| Checkpoint { number, offset };
    decisions.checkpoint(checkpoint(1, 10), &[one(1, 3)], &[]).await.unwrap();
    let both = [one(2, 1), one(0x0102_0304_0506_0708, 1 << 63)];
    decisions.checkpoint(checkpoint(2, 0x1122), &both, &[1]).await.unwrap();
    decisions.checkpoint(checkpoint(3, 0x1123), &[], &[]).await.unwrap();
    assert!(decisions.note_damage(gid(1, 0x0203), 63).await.unwrap());
    assert!(!decisions.note_damage(gid(1, 0x0203), 63).await.unwrap(), "once");
    decisions.close().await.unwrap();

    let store = Store::open(env.clone(), "d", options.store.clone()).await.unwrap();
    let line = |(key, value): (&Vec<u8>, &Vec<u8>)| format!("{} {}", hex(key), hex(value));
    let entries: Vec<String> = store.view(|entries| entries.iter().map(line).collect());
    let mark = hex(br"1 sink w-1 p0,with\,comma");
    let expected = [
        // The checkpoint and its offset.
        "63 03000000000000002311000000000000",
        // The decisions of checkpoint 2: how many, and each transaction and its participants.
        concat!(
            "640000000000000002 02000000",
            "010000000000000002000000000000000100000000000000",
            "010000000000000008070605040302010000000000000080",
        ),
        "68000000000000000100000000000002033f ",
        "69 0100000000000000",
        &format!("6d {mark}"),
        &format!("6e {}", hex(&identity.to_le_bytes())),
    ];
    assert_eq!(entries, expected);
    store.close().await.unwrap();

    let (_, found) = open().await.unwrap();
    let Found { identity: same, incarnation, checkpoint: last, decided, damage } = found;
    assert_eq!((same, incarnation, last), (Some(identity), 2, checkpoint(3, 0x1123)));
    assert_eq!(decided.into_iter().collect::<Vec<_>>(), [(2, both.to_vec())]);
    assert_eq!(damage, [(gid(1, 0x0203), 63)]);
}
