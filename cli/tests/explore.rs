//! `explore` and `audit` from outside, over the built-in store.

use std::path::Path;

use seedbed_cli::{Cli, Exit};
use serde_json::Value;

fn run(line: &str) -> (Exit, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let cli = Cli::new("seedbed").scenarios(seedbed_scenarios::all());
    let exit = cli.run_with(line.split_whitespace(), &mut out, &mut err);
    (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[track_caller]
fn expect(line: &str, exit: Exit, texts: &[&str]) -> String {
    let (got, out, err) = run(line);
    assert_eq!(got, exit, "out: {out}\nerr: {err}");
    for text in texts {
        assert!(out.contains(text) || err.contains(text), "no {text:?} in: {out}\nerr: {err}");
    }
    out
}

const SHORT: &str = "explore atomic_commit --length 1 --setting immediate --profile ext4,posix";

#[test]
fn an_exploration_ends_with_its_counts_and_says_that_it_is_exhaustive() {
    expect(SHORT, Exit::Fine, &["14 of 14", "exhaustive: every legal set", "no violation"]);
    let json: Value = serde_json::from_str(&expect(
        &format!("{SHORT} --json"),
        Exit::Fine,
        &["\"exhaustive\":true"],
    ))
    .unwrap();
    assert_eq!(json["profiles"], serde_json::json!(["ext4", "posix"]));
    let (found, pruned, checked) = (&json["images"], &json["pruned"], &json["checked"]);
    assert!(json["spoiled"].as_u64() > Some(0), "{json}");
    assert!(found.as_u64() > pruned.as_u64() && checked.as_u64() > Some(0), "{json}");
}

#[test]
fn a_left_out_sync_is_reported_with_its_order_and_a_trace_that_replays() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().display();
    let line =
        format!("{SHORT} --omit-sync snapshot.rs --omit-sync checkpoint.rs --traces {folder}");
    let out = expect(&line, Exit::Violation, &["violation:", "lost", "must persist before"]);
    let trace = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    assert!(out.contains(&*trace.to_string_lossy()), "{out}");
    expect(&format!("replay {}", trace.display()), Exit::Violation, &["reproduced"]);
    expect(&format!("shrink {}", trace.display()), Exit::Fine, &["decisions"]);
}

#[test]
fn a_failing_call_is_told_and_how_much_was_not_exhausted() {
    let dir = tempfile::tempdir().unwrap();
    let line = format!("{SHORT} --failures 1 --depth 1 --traces {}", dir.path().display());
    expect(&line, Exit::Fine, &["all but one byte", "a call failed in", "no violation"]);
    let texts = ["failure", "eio at call", "crash", "replay:", "not exhaustive"];
    expect(&format!("{line} --plant sync_error_ignored"), Exit::Violation, &texts);
    let few = format!("{SHORT} --images 4");
    expect(&few, Exit::Fine, &["not exhaustive: ", "more than 4 images", "up to 2 deviations"]);
    expect(&format!("{SHORT} --failures 2"), Exit::Usage, &["--failures"]);
}

#[test]
fn failing_calls_are_refused_where_the_laws_are_not_about_them() {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let cli = Cli::new("seedbed").scenarios(seedbed_scenarios::patterns());
    let line = "explore pattern_grown_header --failures 1";
    let exit = cli.run_with(line.split_whitespace(), &mut out, &mut err);
    assert_eq!(exit, Exit::NothingSelected);
    assert!(String::from_utf8(err).unwrap().contains("not about calls that fail"));
}

#[test]
fn junk_and_the_missing_barrier_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let line = format!("{SHORT} --traces {}", dir.path().display());
    let texts = ["violation: unstable bytes are verified", "junk", ": noise", "replay:"];
    expect(&format!("{line} --plant length_trusted"), Exit::Violation, &texts);
    let line = format!("{line} --omit-sync log_task.rs --json");
    let json: Value = serde_json::from_str(&expect(&line, Exit::Violation, &[])).unwrap();
    let missing = &json["violations"][0]["missing"]["sync"];
    assert!(missing["of"].as_str().is_some_and(|of| of.starts_with("store/wal")), "{json}");
}

#[test]
fn what_does_not_exist_is_refused_with_what_there_is() {
    expect("explore nothing", Exit::Usage, &["known: atomic_commit"]);
    expect("explore atomic_commit --profile ext5", Exit::Usage, &["ext4_nodelalloc"]);
    expect("explore atomic_commit --setting imediate", Exit::Usage, &["\"immediate\"?"]);
    expect("explore atomic_commit --plant nothing", Exit::Usage, &["ack_before_sync"]);
    expect("explore atomic_commit --depth 0", Exit::Usage, &["--depth"]);
    expect("explore atomic_commit --images 0", Exit::Usage, &["--images"]);
    expect("litmus --random 0", Exit::Usage, &["--random"]);
    expect("litmus --random 2 --seed 18446744073709551615", Exit::Usage, &["--seed"]);
    let out = expect("explore atomic_commit --length 0", Exit::NothingSelected, &["--seeds"]);
    assert!(!out.contains("exhaustive") && !out.contains("no violation"), "{out}");
    expect("audit atomic_commit --profile ext5", Exit::Usage, &["ext4_nodelalloc"]);
}

#[test]
fn a_sync_that_was_not_changed_is_no_answer() {
    let alone = format!("{SHORT} --omit-sync nowhere.rs:1");
    let texts = ["--omit-sync nowhere.rs:1 changed nothing: no sync is known", "no answer"];
    let out = expect(&alone, Exit::NothingSelected, &texts);
    assert!(!out.contains("exhaustive") && !out.contains("no violation"), "{out}");
    let json = expect(&format!("{alone} --json"), Exit::NothingSelected, &["nowhere.rs:1"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["exhaustive"], false);
    assert_eq!(json["unmatched"], serde_json::json!(["nowhere.rs:1"]));
    let data = format!("{SHORT} --weaken-sync log_task.rs");
    expect(&data, Exit::NothingSelected, &["log_task.rs changed nothing: that is a data sync"]);
    let list: Value = serde_json::from_str(&expect("list --json", Exit::Fine, &[])).unwrap();
    let scenarios = list["scenarios"].as_array().unwrap();
    let store = scenarios.iter().find(|scenario| scenario["name"] == "atomic_commit").unwrap();
    let sites = store["sync_sites"].as_array().unwrap();
    let dir = sites.iter().find(|site| site["op"] == "sync_dir").unwrap()["site"].as_str().unwrap();
    let dirs = format!("{SHORT} --weaken-sync log_task.rs --weaken-sync {dir}");
    expect(&dirs, Exit::NothingSelected, &["that is a sync_dir, and only a sync_all"]);
    // What did change something is told about by itself.
    let both = format!("{SHORT} --setting immediate_checkpoints --weaken-sync checkpoint.rs");
    let (_, _, err) = run(&both);
    assert!(!err.contains("changed nothing"), "{err}");
    let texts = ["nowhere.rs changed nothing", "exhaustive: every legal set", "no violation"];
    expect(&format!("{both} --weaken-sync nowhere.rs"), Exit::Fine, &texts);
}

#[test]
fn the_bound_names_what_it_is_restricted_to() {
    let texts = ["all sequences of up to 1 operations", "settings immediate;", "ext4, posix"];
    expect(SHORT, Exit::Fine, &texts);
    let seeds = "explore atomic_commit --length 0 --seeds 1 --setting immediate --profile ext4 \
                 --images 4";
    let out = expect(seeds, Exit::Fine, &["the workloads of seeds 0..1", "not exhaustive"]);
    assert!(!out.contains("all sequences"), "{out}");
}

#[test]
fn a_state_file_is_gone_on_from_and_a_strange_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state.json");
    let line = format!("{SHORT} --state {}", state.display());
    let whole = expect(&line, Exit::Fine, &["14 of 14"]);
    let again = expect(&line, Exit::Fine, &["continued after case 14"]);
    let images = |out: &str| out.lines().find(|line| line.contains("14 of 14")).map(counts);
    assert_eq!(images(&whole), images(&again));
    let saved = std::fs::read_to_string(&state).unwrap();
    let other = format!("{line} --depth 1");
    expect(&other, Exit::Usage, &["another exploration", "remove it"]);
    for text in ["", "{", "[1]", "{\"version\": 2}", "\u{0}\u{0}"] {
        std::fs::write(&state, text).unwrap();
        expect(&line, Exit::Usage, &["not the state of an exploration", "--state"]);
    }
    let mut ahead: Value = serde_json::from_str(&saved).unwrap();
    ahead["done"] = 15.into();
    std::fs::write(&state, ahead.to_string()).unwrap();
    expect(&line, Exit::Usage, &["another exploration, or to another build"]);
    let folder = format!("{SHORT} --state {}", dir.path().display());
    expect(&folder, Exit::Usage, &["not the state of an exploration"]);
    let nowhere = Path::new("no/such/folder/state.json");
    expect(&format!("{SHORT} --state {}", nowhere.display()), Exit::Usage, &["--state"]);
}

/// A run that goes on does not forget what was found, nor count it twice.
#[test]
fn what_was_broken_before_stays_broken() {
    let dir = tempfile::tempdir().unwrap();
    let (state, traces) = (dir.path().join("state.json"), dir.path().display());
    let line = format!("{SHORT} --plant length_trusted --traces {traces} --json");
    let run_json = |line: &str| -> Value {
        let (exit, out, err) = run(line);
        assert_eq!(exit, Exit::Violation, "{err}");
        serde_json::from_str(&out).unwrap()
    };
    let line = format!("{line} --state {}", state.display());
    let first = run_json(&line);
    assert_eq!((&first["violations"][0]["case"], &first["done"]), (&0.into(), &1.into()));
    let second = run_json(&line);
    assert_eq!(second["broken_before"][0][0], 0, "{second}");
    assert_eq!(second["violations"][0]["case"], 1, "it goes on behind it: {second}");
    let all = run_json(&format!("{line} --max-violations 0"));
    assert_eq!((&all["done"], &all["exhaustive"]), (&14.into(), &false.into()));
    let again = run_json(&line);
    assert_eq!(again["violations"].as_array().unwrap().len(), 0, "{again}");
    let broken = |json: &Value, key: &str| json[key].as_array().unwrap().len();
    let (new, old) = (broken(&all, "violations"), broken(&all, "broken_before"));
    assert!(new > 0 && old == 2, "{all}");
    assert_eq!(broken(&again, "broken_before"), new + old, "{again}");
    assert_eq!(again["images"], all["images"]);
}

/// The counts of a table's row, without times and rates.
fn counts(line: &str) -> String {
    let digits = |c: char| c.is_ascii_digit() || c == ' ';
    line.split("  ").filter(|cell| cell.trim().chars().all(digits)).take(4).collect()
}

#[test]
fn the_audit_names_the_file_system_from_which_on_a_sync_matters() {
    let line = "audit atomic_commit --setting immediate_checkpoints --profile ext4,posix --json";
    let (exit, out, err) = run(line);
    // In this setting some syncs are not called, which is no answer.
    assert_eq!(exit, Exit::Inconclusive, "{err}");
    let json: Value = serde_json::from_str(&out).unwrap();
    let rows = json["rows"].as_array().unwrap();
    let of = |op: &str, change: &str, key: &str| {
        let rows = rows.iter().filter(|row| row["op"] == op && row["change"] == change);
        rows.map(|row| row[key].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>()
    };
    assert!(of("sync_dir", "left_out", "severity").contains(&"posix".to_owned()), "{out}");
    assert!(of("sync_all", "left_out", "severity").contains(&"ext4".to_owned()), "{out}");
    assert_eq!(of("sync_all", "weakened", "verdict"), ["not_needed", "not_needed"], "{out}");
    assert!(out.contains("untested"), "{out}");
}
