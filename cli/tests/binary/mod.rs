//! The binary: what needs an environment, a pipe or a signal of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The binary, with none of its variables set.
fn seedbed(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seedbed"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SEEDBED_") {
            command.env_remove(name);
        }
    }
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").args(args);
    command
}

fn scenario() -> String {
    let list = seedbed(&["list", "--json"]).output().unwrap();
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    list["scenarios"][0]["name"].as_str().unwrap().to_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn flags_go_before_variables_before_the_plan_before_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("p.toml");
    std::fs::write(&plan, "[run]\nseeds = 3\ncheck_determinism = 1\n").unwrap();
    let (plan, scenario) = (plan.to_str().unwrap(), scenario());
    let run = |extra: &[&str], variables: &[(&str, &str)]| {
        let mut command = seedbed(&["run", &scenario, "--json"]);
        json(&command.args(extra).envs(variables.iter().copied()).output().unwrap())
    };
    let seeds = |value: &Value| value["seeds"]["end"].as_u64().unwrap();
    let variables = [("SEEDBED_SEEDS", "5"), ("SEEDBED_FAULTS", plan), ("SEEDBED_JOBS", "1")];
    assert_eq!(seeds(&run(&["--seeds", "7", "--faults", "none"], &variables)), 7);
    assert_eq!(run(&["--faults", "none"], &variables)["plan"], "none");
    assert_eq!(seeds(&run(&[], &variables)), 5);
    assert_eq!(run(&[], &variables)["plan"], plan);
    assert_eq!(seeds(&run(&[], &variables[1..])), 3);
    assert_eq!(seeds(&run(&["--faults", "none"], &[])), 1000);
    let bad = seedbed(&["run", &scenario]).env("SEEDBED_SEEDS", "9..3").output().unwrap();
    assert_eq!(bad.status.code(), Some(2));
    let two = [("SEEDBED_OMIT_SYNC", "a.rs:1,b.rs:2"), ("SEEDBED_SEEDS", "2")];
    assert_eq!(run(&[], &two)["omit_sync"].as_array().unwrap().len(), 2);
}

#[test]
fn colours_follow_the_customs() {
    let is_coloured = |variables: &[(&str, &str)], args: &[&str]| {
        let output = seedbed(args).envs(variables.iter().copied()).output().unwrap();
        output.stdout.contains(&0x1b)
    };
    assert!(!is_coloured(&[], &["list"]), "not into a pipe");
    assert!(is_coloured(&[("CLICOLOR_FORCE", "1")], &["list"]));
    assert!(!is_coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], &["list"]));
    assert!(!is_coloured(&[("CLICOLOR_FORCE", "1")], &["list", "--color", "never"]));
    assert!(is_coloured(&[("NO_COLOR", "1")], &["list", "--color", "always"]));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child =
        seedbed(&["list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = seedbed(&["list"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output"));
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
}

#[cfg(unix)]
#[test]
fn an_interrupted_sweep_says_so_and_keeps_what_it_has() {
    let scenario = scenario();
    let args = ["run", &scenario, "--seeds", "0..1000000000", "--faults", "none", "--json"];
    let mut child = seedbed(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The first line of progress: it runs.
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.contains("seeds/s") && line.contains("checks/s"), "{line}");
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let json = json(&output);
    assert_eq!((&json["interrupted"], &json["exit_code"]), (&true.into(), &3.into()));
    assert!(json["seeds"]["run"].as_u64().unwrap() > 0);
}

/// After the first Ctrl-C the process cannot end: its result goes into a pipe that is full.
#[cfg(unix)]
#[test]
fn a_second_interrupt_ends_the_process_at_once() {
    let (unread, full) = std::io::pipe().unwrap();
    let mut filler = Command::new("yes").stdout(full.try_clone().unwrap()).spawn().unwrap();
    let args = ["run", &scenario(), "--seeds", "0..1000000000", "--faults", "none", "--json"];
    let mut child = seedbed(&args).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    // Two signals that arrive together are one: more of them until the process is gone.
    let mut status = None;
    for _ in 0..10_000 {
        interrupt(&child);
        status = child.try_wait().unwrap();
        if status.is_some() {
            break;
        }
    }
    child.kill().unwrap();
    filler.kill().unwrap();
    filler.wait().unwrap();
    drop(unread);
    assert_eq!(status.expect("it ended by itself").code(), Some(130));
}

#[test]
fn a_bench_leaves_a_report_that_stands_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, file) = (dir.path().to_str().unwrap(), dir.path().join("report.html"));
    let html = file.to_str().unwrap();
    // What it says does not depend on how durable the folder is.
    let line = format!(
        "bench atomic_commit --clients 1,2 --window 8 --rounds 1 --allow-memory --quiet --dir \
         {folder}"
    );
    let words: Vec<&str> = line.split(' ').chain(["--html", html]).collect();
    let output = seedbed(&words).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    for part in ["<b>checked: </b>", "id=\"latency\"", "id=\"throughput\"", "group, 2 x 8, 1024 B"]
    {
        assert!(text.contains(part), "no {part}");
    }
    assert!(!text.contains("id=\"comparison\"") && !text.contains("http:"));
    // A simulation alone, over it.
    let line = "bench atomic_commit --clients 1 --only-simulate --simulate nvme --quiet --html";
    let words: Vec<&str> = line.split(' ').chain([html, "--dir", folder]).collect();
    assert_eq!(seedbed(&words).output().unwrap().status.code(), Some(0));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("id=\"predicted\"") && !text.contains("id=\"latency\""));
}

#[test]
fn a_report_that_could_not_be_written_is_refused_before_anything_is_measured() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    let missing = format!("{folder}/missing/report.html");
    for (html, why) in [(&*missing, "there is no folder"), (folder, "name a file in it")] {
        let words = ["bench", "atomic_commit", "--quick", "--dir", folder, "--html", html];
        let output = seedbed(&words).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(why) && !told.contains("1 of 3"), "{told}");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "nothing is left");
    }
}
