//! Trace files that are not what was written: always an error with code 2, never a panic, and never
//! another result.

use std::path::Path;

use seedbed_cli::Exit;

use crate::{run, violation};

/// A small trace: the shrunk one.
fn small() -> (tempfile::TempDir, String, Vec<u8>) {
    let (dir, path) = violation();
    run(&format!("shrink {path}")).expect(Exit::Fine, &[]);
    let small = path.replace(".trace", ".shrunk.trace");
    let bytes = std::fs::read(&small).unwrap();
    (dir, small, bytes)
}

fn refused(path: &str, bytes: &[u8], what: &str) {
    std::fs::write(Path::new(path), bytes).unwrap();
    for command in ["replay", "show", "show --json", "shrink"] {
        let ran = run(&format!("{command} {path}"));
        assert_eq!(ran.exit, Exit::Usage, "{command}, {what}: {}{}", ran.out, ran.err);
        assert!(ran.err.starts_with("error: ") && ran.err.contains(path), "{what}: {}", ran.err);
    }
}

#[test]
fn cut_off_anywhere() {
    let (_dir, path, bytes) = small();
    for end in 0..bytes.len() {
        refused(&path, &bytes[..end], &format!("cut at {end} of {}", bytes.len()));
    }
}

#[test]
fn one_bit_wrong_anywhere() {
    let (_dir, path, bytes) = small();
    for index in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[index] ^= 1 << (index % 8);
        refused(&path, &bad, &format!("bit {} of byte {index}", index % 8));
    }
}

#[test]
fn more_behind_the_end_or_something_else_altogether() {
    let (_dir, path, bytes) = small();
    refused(&path, &[&bytes[..], b"x"].concat(), "more behind the end");
    refused(&path, &[&bytes[..], &bytes[..]].concat(), "twice");
    refused(&path, b"#!/bin/sh\necho this is not a trace at all\n", "a script");
    refused(&path, &[0; 4096], "zeros");
    run(&format!("show {path}")).expect(Exit::Usage, &["not a trace"]);
    run("show /nowhere/x.trace").expect(Exit::Usage, &["/nowhere/x.trace", "check the path"]);
    run("replay /").expect(Exit::Usage, &["cannot read"]);
}

#[test]
fn made_by_a_newer_version() {
    let (_dir, path, mut bytes) = small();
    bytes[8..10].copy_from_slice(&99_u16.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..12]);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    refused(&path, &bytes, "format 99");
    run(&format!("show {path}")).expect(Exit::Usage, &["newer seedbed", "99"]);
}

#[test]
fn what_is_good_of_a_damaged_file_is_shown() {
    let (_dir, path, bytes) = small();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let ran = run(&format!("show {path}"));
    ran.expect(Exit::Usage, &["scenario  log", "operations", "unfinished", "cut off at byte"]);
    let json = run(&format!("show {path} --json")).json();
    assert!(json["trace"]["header"].is_object() && json["error"].is_string());
}
