//! What needs no root: texts go round, dumps read folders, generators repeat themselves, and the
//! tables that are compiled in are readable.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs;

use seedbed_litmus::{
    Dump, Entry, Errno, Recorded, Recovered, Row, Setup, Step, Workload, error_rows, parse_steps,
    random_workload, rows, standard_base,
};

const EVERY_STEP: &str = "\
    open t A/tmp create excl truncate append direct dsync; open u A/db; write t 0+8192 n; \
    append t 100 x00; set_len t 5; allocate t 0+4096; allocate t 4096+4096 keep_size; fsync t; \
    fdatasync t; sync_range t 0+4096; writeback t 3; close t; fsync_dir .; mkdir B; rmdir B; \
    rename A/tmp A/tgt; link A/tgt A/x; unlink A/x; unrelated; commit; syncfs; crash";

#[test]
fn every_step_survives_its_text() {
    let steps = parse_steps(EVERY_STEP).unwrap();
    assert_eq!(steps.len(), 22);
    for step in &steps {
        assert_eq!(step.to_string().parse::<Step>().as_ref(), Ok(step));
    }
    let workload = Workload { base: steps.clone(), steps };
    assert_eq!(workload.to_string().parse::<Workload>(), Ok(workload));
    let standard = Workload::standard(vec![Step::Commit]);
    assert_eq!(standard.to_string(), "commit");
    assert_eq!("commit".parse::<Workload>(), Ok(standard));
}

#[test]
fn what_is_no_step_is_refused_with_a_reason() {
    let cases = [
        ("writ t 0+1 n", "`writ` with these arguments"),
        ("write t 0-1 n", "OFFSET+LENGTH"),
        ("write t 0+1 nn", "`nn` is no byte"),
        ("write t a+1 n", "`a` is no number"),
        ("open t A/x sticky", "`sticky` is no open flag"),
        ("open t ../x", "no path below the root"),
        ("mkdir /etc", "no path below the root"),
        ("rename A/x", "`rename` with these arguments"),
    ];
    for (text, reason) in cases {
        let error = text.parse::<Step>().unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains(text), "{error}");
    }
}

#[test]
fn a_dump_shows_kinds_lengths_contents_and_identities() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    fs::create_dir_all(at("A/empty")).unwrap();
    fs::create_dir_all(at("lost+found")).unwrap();
    fs::write(at("A/file"), [[b'a'; 10000].as_slice(), &[0; 3], b"b"].concat()).unwrap();
    fs::hard_link(at("A/file"), at("B")).unwrap();
    fs::write(at("nothing"), "").unwrap();
    let dump = Dump::read(dir.path()).unwrap();
    let text = "A/empty/ A/file=a*10000,x00*3,b*1 B==A/file nothing=empty";
    assert_eq!(dump.to_string(), text);
    assert_eq!(text.parse::<Dump>().as_ref(), Ok(&dump));
    assert_eq!(dump.content("B"), dump.content("A/file"));
    assert!(matches!(dump.entries["A/file"], Entry::File { nlink: 2, .. }));
    // A link that is counted and not there.
    fs::remove_file(at("B")).unwrap();
    fs::hard_link(at("A/file"), at("lost+found/x")).unwrap();
    let dump = Dump::read(dir.path()).unwrap();
    assert_eq!(dump.to_string(), "A/empty/ A/file=a*10000,x00*3,b*1 (nlink 2) nothing=empty");
    assert_eq!(dump.to_string().parse::<Dump>(), Ok(dump));
}

#[test]
fn texts_that_are_no_dump_are_refused() {
    for text in ["A/file", "A/file=a5", "A/file=a*x", "A/file=aa*4", "A/file=a*4 (nlink x)"] {
        assert!(text.parse::<Dump>().is_err(), "{text}");
    }
    let refused = "refused EROFS".parse::<Recovered>();
    assert_eq!(refused, Ok(Recovered::Refused(Errno(30))));
    assert_eq!("E4711".parse::<Errno>().unwrap().to_string(), "E4711");
}

#[test]
fn the_table_is_complete_and_each_row_has_one_crash_at_its_end() {
    let rows = rows();
    let ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
    assert_eq!(ids, (1..=rows.len()).map(|id| format!("{id:02}")).collect::<Vec<_>>());
    for Row { id, workload, .. } in &rows {
        let crashes: Vec<_> = workload.steps.iter().map(|step| *step == Step::Crash).collect();
        assert_eq!(crashes.iter().position(|is| *is), Some(crashes.len() - 1), "{id}");
        assert_eq!(workload.base, standard_base(), "{id}");
    }
}

#[test]
fn every_row_is_recorded_on_every_setup() {
    let recorded = Recorded::shipped();
    for setup in Setup::with_power_losses() {
        for row in rows() {
            let known = recorded.outcomes(&row.id, setup.name);
            assert!(!known.is_empty(), "row {} on {}", row.id, setup.name);
        }
    }
    for setup in Setup::with_refused_writes() {
        for row in error_rows() {
            parse_steps(&row.base).unwrap();
            assert!(recorded.error_cells(&row.id, setup.name).is_some(), "{}", row.id);
        }
    }
}

#[test]
fn a_seed_gives_the_same_workload_and_seeds_differ() {
    let workloads: Vec<_> = (0..1000).map(random_workload).collect();
    assert_eq!(workloads, (0..1000).map(random_workload).collect::<Vec<_>>());
    let texts: BTreeSet<_> = workloads.iter().map(Workload::to_string).collect();
    assert!(texts.len() > 950, "{} of 1000", texts.len());
    for workload in &workloads {
        assert!((3..=25).contains(&workload.steps.len()), "{workload}");
    }
    for word in EVERY_STEP.split("; ").map(|step| step.split(' ').next().unwrap()) {
        let is_used = texts.iter().any(|text| text.contains(word));
        assert!(is_used || word == "crash", "{word} is never generated");
    }
}

#[test]
fn a_seed_means_the_same_on_every_machine() {
    let steps = "rename A/a B/b; fsync_dir B; open h0 B/b truncate; write h0 0+4096 a; mkdir C";
    assert_eq!(random_workload(1).steps, parse_steps(steps).unwrap());
}
