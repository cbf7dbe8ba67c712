//! `seedbed bench` and `calibrate`, as a user runs them; nothing here depends on how fast it is.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};

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
        ("atomic_commit --throughput-drop 95", "'--throughput-drop <PERCENT>': expected 0.1 to 90"),
        ("atomic_commit --latency-growth 0", "'--latency-growth <PERCENT>': expected 0.1 to 10000"),
        ("atomic_commit --throughput-drop 20", "--baseline <NAME>|--against <PROGRAM>"),
        ("atomic_commit --fail-on-regression", "--baseline <NAME>|--against <PROGRAM>"),
        ("atomic_commit --against other --rounds 3", "cannot be used with '--rounds"),
        ("atomic_commit --save-baseline main --rounds 11", "fewer than 12 rounds"),
        ("atomic_commit --save-baseline main --baselines w.toml", "cannot write to w.toml/main"),
        ("atomic_commit --batch-rows 1,2", "--batch-rows means nothing for atomic_commit"),
        ("atomic_commit --rate 0", "0 is not in 1..="),
        ("atomic_commit --rate 100 --window 1,2", "cannot be used with '--window"),
        (
            "sink --clients 2 --window 10",
            "--clients means nothing for sink: the sink has one source",
        ),
        ("sink --durability group,immediate", "--durability means nothing for sink"),
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

/// Neither a device nor a pipe has an end to read to.
#[cfg(unix)]
#[test]
fn files_that_are_named_are_files_and_not_too_long() {
    let dir = folder();
    std::fs::write(dir.path().join("long.toml"), "#".repeat(1 << 17)).expect("written");
    let made = Command::new("mkfifo").arg(dir.path().join("pipe.toml")).status();
    assert!(made.expect("mkfifo").success());
    let cases = [
        ("--workload /dev/zero", "/dev/zero: no workload: not a regular file"),
        ("--workload pipe.toml", "pipe.toml: no workload: not a regular file"),
        ("--workload long.toml", "long.toml: no workload: longer than 65536 bytes"),
        ("--simulate /dev/zero", "/dev/zero: no profile: not a regular file"),
        ("--simulate pipe.toml", "pipe.toml: no profile: not a regular file"),
    ];
    for (args, expected) in cases {
        let output = bench(dir.path(), &format!("atomic_commit {args}"));
        assert_eq!(output.status.code(), Some(2), "{args}: {}", error(&output));
        assert!(error(&output).contains(expected), "{args}: {}", error(&output));
    }
}

#[test]
fn what_arrives_by_itself_waits_for_no_window() {
    let dir = folder();
    let args = "atomic_commit --quick --rate 1000 --only-simulate --simulate nvme --json";
    let output = bench(dir.path(), args);
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    let predicted: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let names: Vec<_> = predicted["predictions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| &one["workload"])
        .collect();
    assert_eq!(names, ["group, 1 x 1, 1024 B, 1000/s", "group, 8 x 1, 1024 B, 1000/s"]);
}

/// The keys of a description such as `{a, b: [{c}]}`: `/a`, `/b` and `/b/c`.
fn described(text: &str) -> BTreeSet<String> {
    let (mut keys, mut inside, mut word) = (BTreeSet::new(), Vec::new(), String::new());
    for letter in text.chars() {
        match letter {
            'a'..='z' | '_' => word.push(letter),
            '{' | '}' | ',' if !word.is_empty() => {
                keys.insert(format!("{}/{word}", inside.join("")));
            }
            _ => {}
        }
        match letter {
            '{' if word.is_empty() => inside.push(String::new()),
            '{' => inside.push(format!("/{}", std::mem::take(&mut word))),
            '}' => drop(inside.pop()),
            _ => {}
        }
        if "{},".contains(letter) {
            word.clear();
        }
        if letter == '}' && inside.is_empty() {
            break;
        }
    }
    keys
}

/// The keys of a value, within what is described also those of what is inside.
fn printed(value: &Value, at: &str, described: &BTreeSet<String>) -> BTreeSet<String> {
    let value = value.as_array().and_then(|all| all.first()).unwrap_or(value);
    let mut keys = BTreeSet::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        let key = format!("{at}/{key}");
        if described.iter().any(|one| one.starts_with(&format!("{key}/"))) {
            keys.extend(printed(value, &key, described));
        }
        keys.insert(key);
    }
    keys
}

/// Asserts that a JSON object is as the help says after these words.
fn assert_described(value: &Value, after: &str) {
    let help = bench(Path::new("."), "--help");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, text) = words.split_once(after).expect("the help has a description");
    let described = described(text);
    assert_eq!(printed(value, "", &described), described);
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

/// The exit code that a comparison of equal programs should have: only noise can make a difference.
fn expected_exit(output: &Output) -> (Value, i32) {
    let whole: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let comparison = &whole["workloads"][0]["comparison"];
    assert_eq!(comparison["exact"], serde_json::json!([]), "to the last unit");
    let metrics = comparison["judged"]["Ok"]["metrics"].as_array().expect("it is judged");
    assert!(metrics.iter().all(|one| one["ratio"]["low"].is_number()), "{comparison}");
    let is_regressed = metrics.iter().any(|one| one["verdict"] == "regressed");
    (whole.clone(), i32::from(is_regressed))
}

/// Thresholds that no noise passes if it can be helped.
const LAX: &str = "--fail-on-regression --throughput-drop 90 --latency-growth 10000";

#[test]
fn figures_are_kept_compared_and_counted_without_noise() {
    let dir = folder();
    let args = "atomic_commit --quick --clients 2 --value-bytes 64 --json";
    let first = bench(dir.path(), &format!("{args} --save-baseline main"));
    assert_eq!(first.status.code(), Some(0), "{}", error(&first));
    let first: Value = serde_json::from_slice(&first.stdout).expect("JSON");
    assert_described(&first, "JSON: ");
    let one = &first["workloads"][0];
    assert_eq!(one["rounds"].as_array().map(Vec::len), Some(12));
    assert!(one["rounds"][0]["disk"]["syncs"].as_u64() > Some(0));
    assert!(one["rounds"][0]["allocations"]["count"].as_u64() > Some(0));
    assert!(one["ended"]["checked"].as_u64() > Some(0));
    assert!(one["exact"]["counts"]["syncs"].as_u64() > Some(0));
    assert!(first["machine"]["cores"].as_u64() > Some(0));

    let again = bench(dir.path(), &format!("{args} --baseline main {LAX}"));
    let (whole, expected) = expected_exit(&again);
    assert_eq!(again.status.code(), Some(expected), "{}", error(&again));
    assert_eq!(whole["workloads"][0]["exact"], one["exact"], "to the last unit");
}

#[test]
fn a_comparison_that_cannot_be_made_is_no_pass() {
    let dir = folder();
    let args = "atomic_commit --quick --clients 2 --value-bytes 64";
    let saved = bench(dir.path(), &format!("{args} --save-baseline main"));
    assert_eq!(saved.status.code(), Some(0), "{}", error(&saved));
    // With two rounds noise has no say: what is left are figures without noise.
    let gate = |more: &str| {
        let args = format!("{args} --rounds 2 --baseline main {more}");
        let output = bench(dir.path(), &args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text, error(&output))
    };
    let (code, text, _) = gate("");
    assert_eq!(code, Some(0), "nobody asked for more than a hint: {text}");
    let (code, _, told) = gate("--fail-on-regression");
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("not compared: group, 2 x 1, 64 B: 2 rounds are too few"), "{told}");

    // A baseline in which there was one sync less: more of something is a regression.
    let folder = dir.path().join("seedbed-baselines").join("main");
    let file = std::fs::read_dir(&folder).expect("it is there").flatten().next().expect("one");
    let mut saved = seedbed_measure::Baseline::read(&file.path()).expect("a baseline");
    *saved.counters.counts.get_mut("syncs").expect("counted") -= 1;
    saved.save(&folder).expect("saved");
    let (code, text, told) = gate("--fail-on-regression --quiet");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("1 more than") && text.contains("have regressed"), "{text}");
    assert!(told.contains("not compared: "), "{told}");
    let first = text.lines().next().unwrap_or_default();
    assert!(first.contains("Linux") || cfg!(not(target_os = "linux")), "the machine: {text}");

    // A workload that was not saved.
    let (code, _, told) = gate("--fail-on-regression --window 1,2 --quiet");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("64 B: main has no such workload: --save-baseline main adds"), "{told}");

    // A file that is damaged is told, and nothing is judged by it.
    std::fs::write(file.path(), "{\"seedbed").expect("written");
    let (code, text, told) = gate("--fail-on-regression");
    assert_eq!(code, Some(3), "{told}");
    assert!(text.contains("not compared"), "{text}");
    assert!(told.contains("not a baseline") && told.contains("save the baseline anew"), "{told}");
}

#[test]
fn another_build_runs_in_turn() {
    let dir = folder();
    let own = env!("CARGO_BIN_EXE_seedbed");
    let args = "atomic_commit --quick --clients 2 --value-bytes 64 --json";
    let output = bench(dir.path(), &format!("{args} --against {own} {LAX}"));
    let (whole, expected) = expected_exit(&output);
    assert_eq!(output.status.code(), Some(expected), "{}", error(&output));
    let comparison = &whole["workloads"][0]["comparison"];
    assert_eq!(comparison["with"], own);
    let rounds = comparison["judged"]["Ok"]["rounds"].as_u64();
    assert!(rounds.is_some_and(|rounds| [20, 40, 60].contains(&rounds)), "{comparison}");
}

#[cfg(unix)]
#[test]
fn another_program_that_is_no_build_is_told_before_anything_is_measured() {
    let dir = folder();
    for (other, expected) in [
        ("cat", "--against cat: the measuring process has ended"),
        ("true", "--against true: the measuring process has ended"),
        ("./missing", "--against ./missing: cannot start ./missing"),
    ] {
        let output = bench(dir.path(), &format!("atomic_commit --quick --against {other}"));
        let told = error(&output);
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains(expected) && !told.contains("1 of 3"), "{told}");
        assert!(told.contains("name another build of this program"), "{told}");
    }
}

/// Waits for a line on standard error.
#[cfg(unix)]
fn wait_for(lines: &mut impl Iterator<Item = std::io::Result<String>>, words: &str) {
    let found = lines.map_while(Result::ok).find(|line| line.contains(words));
    found.unwrap_or_else(|| panic!("no line with {words:?}"));
}

#[cfg(unix)]
#[test]
fn what_was_measured_to_its_end_is_kept_though_the_rest_fails() {
    use std::io::{BufRead, BufReader};
    let dir = folder();
    let name = "m".repeat(64);
    let line = format!("bench atomic_commit --clients 1,2 --save-baseline {name} --html page.html");
    let mut command = Command::new(env!("CARGO_BIN_EXE_seedbed"));
    command.current_dir(dir.path()).env("NO_COLOR", "1").args(line.split_whitespace());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    wait_for(&mut lines, "1 of 2");
    // Where the page was to go there is something else by the time that it is written.
    std::fs::create_dir(dir.path().join("page.html")).expect("made");
    wait_for(&mut lines, "2 of 2");
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.expect("kill").success());
    let told: Vec<_> = lines.map_while(Result::ok).collect();
    let told = told.join("\n");
    assert_eq!(child.wait().expect("it ends").code(), Some(3), "{told}");
    assert!(told.contains("page.html: not written"), "{told}");
    assert!(told.contains("interrupted after"), "{told}");
    let kept = std::fs::read_dir(dir.path().join("seedbed-baselines").join(name));
    let kept: Vec<_> = kept.expect("it is there").flatten().map(|file| file.path()).collect();
    let [one] = kept.as_slice() else { panic!("kept: {kept:?}; {told}") };
    let saved = seedbed_measure::Baseline::read(one).expect("a baseline");
    assert_eq!((saved.workload["clients"].as_str(), saved.rounds.len()), ("1", 12));
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
    assert_described(&ledger, "with --claims ");
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
    let recomputed = of("41 068 %")["measured"].as_str().unwrap_or_default();
    assert!(recomputed.contains("one writer: 300.0 ms, +38511 %: one sync"), "{recomputed}");
    assert!(recomputed.ends_with("900 ms"), "three syncs: {recomputed}");
    let batches = of("26 736 %")["measured"].as_str().unwrap_or_default();
    assert!(batches.contains("90 % better by `batch:10`"), "{batches}");
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

fn calibrate(dir: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seedbed"));
    command.current_dir(dir).env("NO_COLOR", "1").arg("calibrate").args(args.split_whitespace());
    command
}

#[test]
fn a_place_that_cannot_be_calibrated_or_written_to_is_refused_before_anything_is_measured() {
    let dir = folder();
    let mut cases = vec![
        ("--dir nowhere", "nowhere: no such folder"),
        ("--out nowhere/disk.toml", "--out nowhere/disk.toml: there is no folder nowhere"),
        ("--out .", "name a file in it"),
    ];
    match Path::new("/dev/shm").is_dir() {
        true => cases.push(("--dir /dev/shm", "--allow-memory")),
        false => eprintln!("skipped: no /dev/shm"),
    }
    for (args, expected) in cases {
        let output = calibrate(dir.path(), args).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{args}: {}", error(&output));
        assert!(error(&output).contains(expected), "{args}: {}", error(&output));
    }
    assert_eq!(std::fs::read_dir(dir.path()).expect("it is there").count(), 0);
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_no_half_of_a_profile() {
    use std::io::{BufRead, BufReader};
    let dir = folder();
    let mut command = calibrate(dir.path(), "--out disk.toml");
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    wait_for(&mut lines, "appends");
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.expect("kill").success());
    let told = lines.map_while(Result::ok).collect::<Vec<_>>().join("\n");
    assert_eq!(child.wait().expect("it ends").code(), Some(3), "{told}");
    assert!(told.contains("interrupted; no profile is written"), "{told}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("it is there").count(), 0, "{told}");
}
