//! The format stays what it is: golden bytes of version 1.

use super::{bytes, read, sample};

const GOLDEN_V1: &[u8] = include_bytes!("../../golden/v1.trace");

#[test]
fn the_golden_file_of_version_1_reads_as_it_always_did() {
    assert_eq!(read(GOLDEN_V1).unwrap(), sample());
}

#[test]
fn the_same_trace_still_writes_the_same_bytes() {
    assert_eq!(bytes(&sample()), GOLDEN_V1);
}

/// Only for a new format version, which gets a new file.
#[test]
#[ignore = "writes the golden file"]
fn write_the_golden_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/v1.trace");
    std::fs::write(path, bytes(&sample())).unwrap();
}
