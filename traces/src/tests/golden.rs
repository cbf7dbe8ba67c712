//! The format stays what it is: golden bytes of version 1.

use super::{bytes, read, sample};

const GOLDEN_V1: &[u8] = include_bytes!("../../golden/v1.trace");

#[test]
fn the_golden_file_of_version_1_reads_as_it_always_did() {
    assert_eq!(read(GOLDEN_V1).unwrap(), sample());
}

/// With `UPDATE_GOLDEN=1` the file is written: only for a new format version, which gets a new
/// file.
#[test]
fn the_same_trace_still_writes_the_same_bytes() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/v1.trace");
        std::fs::write(path, bytes(&sample())).unwrap();
    }
    assert_eq!(bytes(&sample()), GOLDEN_V1);
}
