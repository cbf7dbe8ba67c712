//! Golden bytes: what is on users' disks does not change by accident.

use seedbed_engines::atomic_commit::format::{
    SnapshotHeader, block_header, decode_snapshot_header, encode_snapshot_header, put_entry,
    take_entry,
};
use seedbed_engines::record_log::{
    Decoded, FileHeader, Record, decode_header, decode_record, encode_header, encode_record,
};

const HEADER: FileHeader = FileHeader { generation: 2, salt: 0x0123_4567_89ab_cdef, base_seq: 41 };

const LOG_HEADER: &str = concat!(
    "7362726c6f670d0a01000000d01613140200000000000000efcdab89674523012900000000000000",
    "00000000a2fa262d",
);
const RECORD: &str = "d0ac870807000000010000002a0000000000000029000000000000007061796c6f6164";
const SNAPSHOT: &str = concat!(
    "7362736e61700d0a01000000c2813442020000000000000029000000000000004d00000000000000",
    "0100000000000000abababababababababababababababababababababababababababababababab",
    "00000000d13c82b6100000003d376ffd03000000050000006b657976616c7565000000006d64033f",
);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn the_log_header_is_as_ever() {
    assert_eq!(hex(&encode_header(&HEADER)), LOG_HEADER);
    assert_eq!(decode_header(&unhex(LOG_HEADER)), Ok(HEADER));
}

#[test]
fn a_record_is_as_ever() {
    let mut bytes = Vec::new();
    let record = Record { kind: 1, seq: 42, confirmed: 41, payload: &[] };
    encode_record(&mut bytes, &HEADER, 48, &record, &[b"pay", b"load"]);
    assert_eq!(hex(&bytes), RECORD);
    let record = Record { payload: b"payload", ..record };
    let size = bytes.len();
    assert_eq!(decode_record(&unhex(RECORD), &HEADER, 48), Decoded::Record { record, size });
}

#[test]
fn a_snapshot_is_as_ever() {
    let header =
        SnapshotHeader { generation: 2, seq: 41, wal_salt: 77, entries: 1, root: [0xab; 32] };
    let mut block = Vec::new();
    put_entry(&mut block, b"key", b"value");
    let mut bytes = encode_snapshot_header(&header);
    bytes.extend(block_header(&header, 0, &block));
    bytes.extend(&block);
    bytes.extend(block_header(&header, 1, &[]));
    assert_eq!(hex(&bytes), SNAPSHOT);
    let golden = unhex(SNAPSHOT);
    assert_eq!(decode_snapshot_header(&golden), Ok(header));
    let mut entries = &golden[96..golden.len() - 8];
    assert_eq!(take_entry(&mut entries), Ok((&b"key"[..], &b"value"[..])));
    assert!(entries.is_empty());
}
