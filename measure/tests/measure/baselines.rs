//! Saved baselines: whole or not at all, and no file that can hurt.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use seedbed_measure::baseline::BYTES_MAX;
use seedbed_measure::{Baseline, BaselineError, Counters, Latencies, Name, Round};

fn texts(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn baseline() -> Baseline {
    let mut latencies = Latencies::new();
    (1..200_u64).for_each(|n| latencies.record(n * n));
    let round = |n| Round { operations: 199, elapsed_ns: n, latency: latencies.summary() };
    let counts = [("syncs".to_owned(), 199), ("bytes".to_owned(), u64::MAX)].into();
    Baseline {
        name: Name::new("main_2.x-a").unwrap(),
        saved_unix_s: 1_700_000_000,
        environment: texts(&[("cpu", "4 \u{d7} some \"processor\"\n"), ("fs", "ext4")]),
        workload: texts(&[("engine", "atomic_commit"), ("operations", "199")]),
        rounds: (1..20).map(round).collect(),
        counters: Counters { operations: 199, counts },
    }
}

fn bytes() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    fs::read(baseline().save(folder.path()).unwrap()).unwrap()
}

fn parse(bytes: &[u8]) -> Result<Baseline, BaselineError> {
    Baseline::parse(Path::new("it.json"), bytes)
}

fn said(bytes: &[u8]) -> String {
    parse(bytes).unwrap_err().to_string()
}

#[test]
fn what_is_saved_is_read_again_and_is_json() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("made/on/the/way");
    let path = baseline().save(&folder).unwrap();
    assert_eq!(path, folder.join("main_2.x-a.json"));
    assert_eq!(Baseline::load(&folder, &baseline().name).unwrap(), baseline());
    let json: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(json["body"]["workload"]["engine"], "atomic_commit");
}

#[test]
fn saving_replaces_the_older_one_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    baseline().save(folder.path()).unwrap();
    let newer = Baseline { saved_unix_s: 1_800_000_000, ..baseline() };
    newer.save(folder.path()).unwrap();
    assert_eq!(Baseline::load(folder.path(), &newer.name).unwrap(), newer);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_baseline_that_cannot_be_put_in_place_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let taken = baseline().name.path_in(folder.path());
    fs::create_dir(&taken).unwrap();
    let error = baseline().save(folder.path()).unwrap_err();
    assert!(matches!(error, BaselineError::Io { action: "write", .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = Baseline::read(&taken).unwrap_err();
    assert!(matches!(error, BaselineError::NotAFile { .. }), "{error}");
}

#[test]
fn names_are_names_of_files_and_nothing_else() {
    for name in ["a", "A-1_b.c", "-", "2026.11", &"x".repeat(64)] {
        let folder = Path::new("folder");
        let path = Name::new(name).unwrap().path_in(folder);
        assert_eq!(path.parent(), Some(folder));
    }
    let long = "x".repeat(65);
    for name in
        ["", ".", "..", ".hidden", "../a", "a/b", "a\\b", "/etc", "a b", "a\0", "\u{e4}", &long]
    {
        let error = Name::new(name).unwrap_err();
        assert!(error.to_string().contains("1 to 64"), "{error}");
    }
    let endless = "y".repeat(1 << 20);
    assert!(Name::new(&endless).unwrap_err().to_string().len() < 300);
    assert!(serde_json::from_str::<Name>("\"../a\"").is_err());
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let bytes = bytes();
    // But for the last line break nothing can be left out.
    for length in 0..bytes.len() - 1 {
        let error = parse(&bytes[..length]).unwrap_err();
        assert!(matches!(error, BaselineError::Truncated { .. }), "{length} bytes: {error}");
    }
    assert!(said(&bytes[..100]).contains("cut off after 100 bytes"));
}

proptest! {
    #[test]
    fn random_damage_is_refused_or_changes_nothing(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let mut damaged = bytes();
        for (at, byte) in damage {
            let at = at.index(damaged.len());
            damaged[at] = byte;
        }
        // A line break outside the body may become a space.
        if let Ok(read) = parse(&damaged) {
            prop_assert_eq!(read, baseline());
        }
    }

    #[test]
    fn foreign_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), ours: bool) {
        let beginning: &[u8] = br#"{"format":"seedbed baseline","version":1,"#;
        let bytes = if ours { [beginning, &bytes].concat() } else { bytes };
        prop_assert!(parse(&bytes).is_err());
    }
}

#[test]
fn foreign_and_future_files_are_told_apart() {
    assert!(said(b"{\"name\": \"something else\"}").contains("not a baseline"));
    assert!(said(b"\x7fELF").contains("not a baseline"));
    let future = br#"{"format":"seedbed baseline","version":7,"signature":[1],"body":[1,2]}"#;
    let error = said(future);
    assert!(error.contains("version 7") && error.contains("use a newer one"), "{error}");
    let none = br#"{"format":"seedbed baseline","version":1}"#;
    assert!(said(none).contains("no body"), "{}", said(none));
}

#[test]
fn a_figure_changed_by_hand_is_noticed() {
    let text = String::from_utf8(bytes()).unwrap();
    let changed = text.replace("\"syncs\": 199", "\"syncs\": 198");
    assert_ne!(changed, text);
    assert!(said(changed.as_bytes()).contains("changed by hand: the checksum"));
}

/// A file with a right checksum whose body was made by another hand.
fn sealed(body: &str) -> Vec<u8> {
    let checksum = blake3::hash(body.as_bytes());
    let head = r#"{"format":"seedbed baseline","version":1,"checksum":""#;
    format!("{head}{checksum}\",\"body\":{body}}}").into_bytes()
}

#[test]
fn a_right_checksum_does_not_make_a_body_right() {
    let body = serde_json::to_string(&baseline()).unwrap();
    assert_eq!(parse(&sealed(&body)).unwrap(), baseline());
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    for (from, to, expected) in [
        ("\"operations\":199,\"elapsed_ns\":3", "\"operations\":0,\"elapsed_ns\":3", "round 2"),
        ("\"elapsed_ns\":3", "\"elapsed_ns\":1e99", "invalid"),
        ("\"main_2.x-a\"", "\"../../a\"", "no name"),
        ("\"saved_unix_s\"", "\"saved\"", "unknown field"),
        ("\"ext4\"", &deep, "invalid type"),
        ("\"ext4\"", &format!("\"{}\"", "x".repeat(1001)), "longer than 1000"),
    ] {
        let changed = body.replacen(from, to, 1);
        assert_ne!(changed, body);
        let error = said(&sealed(&changed));
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn reading_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.json");
    // A sparse file of a terabyte, where the file system has those.
    let file = fs::File::create(&path).unwrap();
    let length = if file.set_len(1 << 40).is_ok() { 1 << 40 } else { BYTES_MAX + 1 };
    file.set_len(length).unwrap();
    let error = Baseline::read(&path).unwrap_err();
    assert!(matches!(error, BaselineError::TooLarge { .. }), "{error}");
    let missing = Baseline::read(&folder.path().join("none.json")).unwrap_err();
    assert!(missing.to_string().contains("cannot read"), "{missing}");
}

/// The largest baseline that may be saved can be read again.
#[test]
fn a_baseline_at_all_limits_is_smaller_than_the_largest_file() {
    // The control character takes six bytes in JSON.
    let text = |n: usize| format!("{n:04}{}", "\u{1}".repeat(996));
    let map = || (0..100).map(|n| (text(n), text(n))).collect();
    let mut full = baseline();
    (full.environment, full.workload) = (map(), map());
    full.counters.counts = (0..1000).map(|n| (text(n), u64::MAX)).collect();
    full.rounds =
        vec![Round { operations: u64::MAX, elapsed_ns: u64::MAX, ..full.rounds[0] }; 1000];
    let folder = tempfile::tempdir().unwrap();
    let path = full.save(folder.path()).unwrap();
    assert_eq!(Baseline::read(&path).unwrap(), full);
}

#[test]
fn limits_hold_when_saving_too() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |baseline: Baseline, expected: &str| {
        let error = baseline.save(folder.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let many = (0..1001).map(|n| (n.to_string(), n)).collect();
    refused(
        Baseline { counters: Counters { operations: 1, counts: many }, ..baseline() },
        "1001 counters are more than 1000",
    );
    let rounds = vec![Round::timed(1, 1); 1001];
    refused(Baseline { rounds, ..baseline() }, "1001 rounds");
    let mut odd = baseline();
    odd.rounds[4].latency.p50_ns = odd.rounds[4].latency.max_ns + 1;
    refused(odd, "round 4");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn other_workloads_are_refused_and_other_machines_named() {
    let before = baseline();
    assert_eq!(before.comparable(&before).unwrap(), Vec::<String>::new());
    let moved = Baseline { environment: texts(&[("fs", "xfs"), ("ram", "1")]), ..baseline() };
    let warnings = before.comparable(&moved).unwrap();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert_eq!(warnings[1], "another environment: fs was \"ext4\", now \"xfs\"");
    let workload = texts(&[("engine", "atomic_commit"), ("operations", "200")]);
    let error = before.comparable(&Baseline { workload, ..baseline() }).unwrap_err().to_string();
    let expected = "different workloads cannot be compared: operations was \"199\", now \"200\": \
                    save the baseline anew";
    assert_eq!(error, expected);
}

/// A pipe has no end to read to, and opening it would wait for a writer.
#[cfg(unix)]
#[test]
fn a_pipe_is_refused_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("pipe.json");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("coreutils are there").success());
    let error = Baseline::read(&path).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
}
