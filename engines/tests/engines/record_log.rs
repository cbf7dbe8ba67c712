//! The shared log by itself.

use std::path::Path;

use seedbed_engines::record_log::{
    BadRecord, Decoded, FILE_HEADER_LEN, FileHeader, PAYLOAD_MAX, Record, ScanEnd, ScanRules,
    Scanner, Writer, decode_record, encode_header, encode_record,
};
use seedbed_env::{Fs, OpenOptions, OsEnv};

use crate::support::run;

const HEADER: FileHeader = FileHeader { generation: 3, salt: 99, base_seq: 10 };

fn record_bytes(position: u64, seq: u64, confirmed: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let record = Record { kind: 1, seq, confirmed, payload: &[] };
    encode_record(&mut out, &HEADER, position, &record, &[payload]);
    out
}

/// Scans these bytes as a log file: the sequence numbers, and the end.
fn scan(bytes: &[u8]) -> (Vec<u64>, ScanEnd) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("log"), bytes).unwrap();
    run(async {
        let env = OsEnv::new(dir.path());
        let file = env.open(Path::new("log"), OpenOptions::reading()).await.unwrap();
        let mut scanner = Scanner::open(&file, ScanRules::default()).await.unwrap().unwrap();
        let mut seqs = Vec::new();
        while let Some(record) = scanner.next().await.unwrap() {
            seqs.push(record.seq);
        }
        (seqs, scanner.end().unwrap())
    })
}

/// A log of records 11, 12, ... with payloads of these lengths, all with watermark `seq - lag`.
fn log(lens: &[usize], lag: u64) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut starts) = (encode_header(&HEADER), Vec::new());
    for (i, &len) in lens.iter().enumerate() {
        starts.push(bytes.len());
        let seq = 11 + i as u64;
        let confirmed = seq.saturating_sub(lag).max(10);
        let record = record_bytes(bytes.len() as u64, seq, confirmed, &vec![i as u8; len]);
        bytes.extend(record);
    }
    (bytes, starts)
}

#[test]
fn zeros_are_no_record_at_any_length() {
    for len in 1..200 {
        let zeros = vec![0; len];
        let decoded = decode_record(&zeros, &HEADER, 48);
        assert!(matches!(decoded, Decoded::Bad { .. }), "{len}");
    }
    let (mut bytes, _) = log(&[5, 5], 1);
    bytes.resize(bytes.len() + 5000, 0);
    let (seqs, end) = scan(&bytes);
    assert_eq!(seqs, [11, 12]);
    assert!(matches!(end, ScanEnd::Torn(torn) if torn.later.is_none() && !torn.is_corruption()));
}

#[test]
fn a_record_verifies_only_at_its_place_in_its_file() {
    let bytes = record_bytes(48, 11, 10, b"payload");
    assert!(matches!(decode_record(&bytes, &HEADER, 48), Decoded::Record { .. }));
    let elsewhere = [
        (HEADER, 49),
        (FileHeader { generation: 4, ..HEADER }, 48),
        (FileHeader { salt: 98, ..HEADER }, 48),
    ];
    for (header, position) in elsewhere {
        let bad = Decoded::Bad { reason: BadRecord::Checksum };
        assert_eq!(decode_record(&bytes, &header, position), bad);
    }
}

#[test]
fn every_flipped_bit_of_a_record_is_found() {
    let bytes = record_bytes(48, 11, 10, b"payload");
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(decode_record(&flipped, &HEADER, 48), Decoded::Bad { .. }), "{bit}");
    }
}

#[test]
fn long_and_short_records_are_read_across_chunks() {
    let lens = [0, 1, 300_000, 262_144 - 28 - 48, 7, 1_000_000, 3, 262_143, 262_144, 0, 0];
    let (bytes, _) = log(&lens, 1);
    let (seqs, end) = scan(&bytes);
    assert_eq!(seqs, (11..11 + lens.len() as u64).collect::<Vec<_>>());
    assert_eq!(end, ScanEnd::Clean);
}

#[test]
fn behind_a_hole_the_search_finds_records_wherever_they_are() {
    let lens = [10, 500_000, 20, 262_100, 30, 40];
    let (whole, starts) = log(&lens, 1);
    for hole in 0..lens.len() - 1 {
        let mut bytes = whole.clone();
        bytes[starts[hole]..starts[hole + 1]].fill(0);
        let (seqs, ScanEnd::Torn(torn)) = scan(&bytes) else { panic!("a hole was not seen") };
        assert_eq!(seqs.len(), hole);
        assert_eq!((torn.offset, torn.seq), (starts[hole] as u64, 11 + hole as u64));
        let later = torn.later.expect("a record stands behind the hole");
        assert_eq!((later.offset, later.seq), (starts[hole + 1] as u64, 12 + hole as u64));
        assert_eq!(later.confirmed, 15, "the last record's watermark");
        assert!(torn.is_corruption() && torn.searched);
    }
}

#[test]
fn a_hole_that_nothing_later_vouches_for_is_a_torn_tail() {
    let (mut bytes, starts) = log(&[10, 10, 10, 10], 100);
    bytes[starts[1]..starts[2]].fill(0);
    let (seqs, ScanEnd::Torn(torn)) = scan(&bytes) else { panic!("a hole was not seen") };
    assert_eq!(seqs, [11]);
    assert!(torn.later.is_some() && !torn.is_corruption());
}

#[test]
fn a_whole_record_out_of_sequence_is_corruption() {
    let mut bytes = encode_header(&HEADER);
    bytes.extend(record_bytes(FILE_HEADER_LEN as u64, 13, 10, b"x"));
    let (seqs, ScanEnd::Torn(torn)) = scan(&bytes) else { panic!("a gap was not seen") };
    assert!(seqs.is_empty() && torn.is_corruption());
    assert_eq!(torn.reason, BadRecord::Sequence);
}

#[test]
fn bytes_that_look_like_many_records_cost_bounded_work() {
    // Plausible headers back to back, each claiming the rest of the file.
    let mut bytes = encode_header(&HEADER);
    for i in 0..40_000_u32 {
        let left = (40_000 - i) * 28 - 28;
        bytes.extend_from_slice(&[9; 4]);
        bytes.extend_from_slice(&left.to_le_bytes());
        bytes.extend_from_slice(&[1, 0, 0, 0]);
        bytes.extend_from_slice(&12_u64.to_le_bytes());
        bytes.extend_from_slice(&10_u64.to_le_bytes());
    }
    let (_, ScanEnd::Torn(torn)) = scan(&bytes) else { panic!("garbage was not seen") };
    assert!(!torn.searched && torn.is_corruption(), "what was not searched is not cut off");
}

#[test]
fn too_long_a_payload_is_refused_before_anything_is_staged() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let env = OsEnv::new(dir.path());
        let file = env.open("log", OpenOptions::read_write_create()).await.unwrap();
        let mut writer = Writer::create(file, HEADER).await.unwrap();
        assert!(writer.stage(1, 11, 10, &[&vec![0; PAYLOAD_MAX], b"x"]).is_err());
        assert!(writer.is_empty());
        writer.stage(1, 11, 10, &[b"a", b"b"]).unwrap();
        writer.write().await.unwrap();
        writer.sync().await.unwrap();
        assert_eq!(writer.len(), 48 + 28 + 2);
    });
}
