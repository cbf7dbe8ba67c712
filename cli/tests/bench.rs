//! `seedbed bench` and `calibrate`, as a user runs them; nothing here depends on how fast it is.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn bench(dir: &Path, args: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seedbed"));
    command.current_dir(dir).env("NO_COLOR", "1").arg("bench").args(args.split_whitespace());
    command.output().expect("it runs")
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder on the disk of the build: the usual place for temporary ones may be in memory.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is() {
    let dir = folder();
    std::fs::write(dir.path().join("w.toml"), "clients = 0").expect("written");
    let cases = [
        ("rocket", "no engine \"rocket\": one of atomic_commit, sink"),
        ("atomic_commit --dir nowhere", "nowhere: no such folder"),
        ("atomic_commit --clients 0", "clients is 0: 1 to 4096"),
        ("atomic_commit --durability batch", "batch:N"),
        ("atomic_commit --workload absent.toml", "absent.toml:"),
        ("atomic_commit --workload w.toml", "w.toml: clients is 0"),
        ("atomic_commit --baseline main", "no baseline main in seedbed-baselines"),
        ("atomic_commit --save-baseline ../main", "../main"),
        ("atomic_commit --simulate floppy", "nvme, cloud_ssd, hdd, fsync_300ms"),
        ("atomic_commit --throughput-drop 0", "the threshold of throughput is 0"),
        ("sink --clients 2 --window 10", "the sink has one source"),
        ("rocket --claims", "no engine \"rocket\": one of atomic_commit, sink"),
        ("--claims --baseline main", "cannot be used with"),
        ("--claims --dir nowhere", "nowhere: no such folder"),
        ("", "<ENGINE>"),
    ];
    for (args, expected) in cases {
        let output = bench(dir.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args}: {}", error(&output));
        assert!(error(&output).contains(expected), "{args}: {}", error(&output));
    }
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("it is there").flatten().collect();
    assert_eq!(left.len(), 1, "nothing was made: {left:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_in_memory_is_refused_unless_it_is_meant() {
    let Ok(memory) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("skipped: no /dev/shm");
        return;
    };
    let args = "atomic_commit --clients 1 --rounds 1 --quick";
    let refused = bench(memory.path(), args);
    assert_eq!(refused.status.code(), Some(2));
    assert!(error(&refused).contains("a sync keeps nothing"), "{}", error(&refused));
    // Where nothing is promised there is nothing to refuse.
    for more in ["--allow-memory", "--durability none"] {
        let output = bench(memory.path(), &format!("{args} {more}"));
        assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    }
}

#[test]
fn figures_are_kept_compared_and_counted_without_noise() {
    let dir = folder();
    let args = "atomic_commit --quick --clients 2 --value-bytes 64 --rounds 2 --json";
    let first = bench(dir.path(), &format!("{args} --save-baseline main"));
    assert_eq!(first.status.code(), Some(0), "{}", error(&first));
    let first: Value = serde_json::from_slice(&first.stdout).expect("JSON");
    let one = &first["workloads"][0];
    assert_eq!(one["rounds"].as_array().map(Vec::len), Some(2));
    assert!(one["rounds"][0]["disk"]["syncs"].as_u64() > Some(0));
    assert!(one["rounds"][0]["allocations"]["count"].as_u64() > Some(0));
    assert!(one["ended"]["checked"].as_u64() > Some(0));
    assert!(one["exact"]["counts"]["syncs"].as_u64() > Some(0));
    assert!(first["machine"]["cores"].as_u64() > Some(0));

    let again = bench(dir.path(), &format!("{args} --baseline main --fail-on-regression"));
    let again: Value = serde_json::from_slice(&again.stdout).expect("JSON");
    assert_eq!(again["workloads"][0]["exact"], one["exact"], "to the last unit");
    let comparison = &again["workloads"][0]["comparison"];
    assert_eq!(comparison["exact"], serde_json::json!([]));
    let said = comparison["judged"]["Ok"]["metrics"][0]["reason"].as_str();
    assert!(said.is_some_and(|said| said.contains("2 rounds are too few")), "{comparison}");

    // A baseline in which there was one sync less: more of something is a regression.
    let folder = dir.path().join("seedbed-baselines");
    let file = std::fs::read_dir(&folder).expect("it is there").flatten().next().expect("one");
    let mut saved = seedbed_measure::Baseline::read(&file.path()).expect("a baseline");
    *saved.counters.counts.get_mut("syncs").expect("counted") -= 1;
    saved.save(&folder).expect("saved");
    let args = args.replace("--json", "--baseline main --fail-on-regression");
    let worse = bench(dir.path(), &args);
    let text = String::from_utf8_lossy(&worse.stdout).into_owned();
    assert_eq!(worse.status.code(), Some(1), "{text}");
    assert!(text.contains("1 more than") && text.contains("have regressed"), "{text}");

    // A file that is damaged is told, and nothing is judged by it.
    std::fs::write(file.path(), "{\"seedbed").expect("written");
    let damaged = bench(dir.path(), &args);
    let text = String::from_utf8_lossy(&damaged.stdout).into_owned();
    assert!(text.contains("not compared"), "{text}");
}

#[test]
fn a_disk_that_is_not_here_is_predicted() {
    let dir = folder();
    let args = "atomic_commit --only-simulate --simulate fsync_300ms --durability immediate --json";
    let output = bench(dir.path(), args);
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    let predicted: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let p50 = predicted["predictions"][0]["latency"]["p50_ns"].as_u64().expect("a number");
    assert!((300_000_000..303_000_000).contains(&p50), "{predicted}");
    let again = bench(dir.path(), args);
    assert_eq!(again.stdout.len(), output.stdout.len());
    let again: Value = serde_json::from_slice(&again.stdout).expect("JSON");
    assert_eq!(again["predictions"], predicted["predictions"], "the same to the last unit");
}

/// What each claim came to is the machine's; that each is looked at is ours.
#[test]
fn every_claim_has_a_verdict_and_what_it_rests_on() {
    let dir = folder();
    let output = bench(dir.path(), "--claims --quick --rounds 2 --json --quiet");
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    let ledger: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let claims = ledger["claims"].as_array().expect("an array");
    let count = |of: &str| claims.iter().filter(|claim| claim["of"] == of).count();
    assert_eq!(["atomic_commit", "CPU accounting", "sink"].map(count), [4, 3, 7]);
    for claim in claims {
        let verdict = claim["verdict"].as_str().unwrap_or_default();
        assert!(["confirmed", "refuted", "not_testable"].contains(&verdict), "{claim}");
        for told in ["claim", "measured", "conditions"] {
            assert!(claim[told].as_str().is_some_and(|told| !told.is_empty()), "{claim}");
        }
        assert!(!claim["measured"].to_string().contains("NaN"), "{claim}");
    }
    // These depend on no machine.
    let of = |words: &str| {
        let found = claims.iter().find(|claim| claim["claim"].to_string().contains(words));
        found.unwrap_or_else(|| panic!("no claim of {words}"))
    };
    assert_eq!(of("41 068 %")["verdict"], "not_testable", "{}", of("41 068 %"));
    assert_eq!(of("Merkle root")["verdict"], "confirmed", "{}", of("Merkle root"));
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("it is there").flatten().collect();
    assert!(left.is_empty(), "nothing stays: {left:?}");
}

#[test]
fn a_report_says_what_durability_costs_beside_writes_that_promise_nothing() {
    let dir = folder();
    let args = "atomic_commit --window 1,16 --rounds 1 --quick --quiet --html report.html";
    let output = bench(dir.path(), args);
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    let page = std::fs::read_to_string(dir.path().join("report.html")).expect("it is there");
    assert!(page.contains("Overhead over what is in flight"));
    for name in ["rewrite the file", "temporary + rename", "open + pwrite", "pwrite in place"] {
        assert!(page.contains(name), "{name}");
    }
}
