//! The command line from outside: every exit code, every bad input, and what is printed. Most tests
//! run it in this process over a toy testbed; those about the environment, pipes and signals run
//! the binary.

mod binary;
mod damage;
mod reports;
mod toy;

use std::path::Path;

use seedbed_cli::{Cli, Exit};
use serde_json::Value;

use toy::{ODD, SOUND, Toy};

/// What a command line came to.
struct Ran {
    exit: Exit,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "one line of JSON: {}", self.out);
        serde_json::from_str(&self.out).unwrap()
    }

    #[track_caller]
    fn expect(self, exit: Exit, texts: &[&str]) -> Self {
        let Self { out, err, .. } = &self;
        assert_eq!(self.exit, exit, "out: {out}\nerr: {err}");
        for text in texts {
            assert!(out.contains(text) || err.contains(text), "no {text:?} in: {out}\nerr: {err}");
        }
        self
    }
}

fn cli() -> Cli {
    let log = Toy { name: "log", plants: SOUND };
    let odd = Toy { name: "odd", plants: ODD };
    Cli::new("seedbed").scenarios(vec![Box::new(log), Box::new(odd)])
}

fn run(line: &str) -> Ran {
    run_args(&line.split_whitespace().collect::<Vec<_>>())
}

fn run_args(args: &[&str]) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = cli().run_with(args.iter().copied(), &mut out, &mut err);
    Ran { exit, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

/// A folder, and a trace of a violation in it.
fn violation() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().display();
    let ran = run(&format!(
        "run log --faults crashes --plant no_sync --seeds 500 --json --traces {folder}"
    ))
    .expect(Exit::Violation, &[]);
    let trace = ran.json()["violations"][0]["trace"].as_str().unwrap().to_owned();
    assert!(Path::new(&trace).exists(), "{trace}");
    (dir, trace)
}

#[test]
fn a_sweep_without_violations_ends_with_a_table_and_code_0() {
    let ran = run("run log --seeds 50 --faults crashes").expect(Exit::Fine, &["all laws held"]);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    insta::assert_snapshot!(
        words(ran.out.lines().nth(1).unwrap()),
        @"scenario seeds checks crashes power losses faults simulated wall seeds/s violations"
    );
    assert!(words(ran.out.lines().nth(3).unwrap()).starts_with("log 50 "), "{}", ran.out);
}

#[test]
fn without_a_command_all_scenarios_are_swept() {
    let ran = run("--seeds 20 --jobs 2").expect(Exit::Fine, &["log", "odd", "all laws held"]);
    assert!(ran.out.lines().any(|line| line.trim().starts_with("all ")), "{}", ran.out);
    let json = run("--seeds 20 --json").expect(Exit::Fine, &[]).json();
    assert_eq!(json["scenarios"].as_array().unwrap().len(), 2);
    assert_eq!((&json["exit_code"], &json["interrupted"]), (&0.into(), &false.into()));
}

#[test]
fn a_violation_is_reported_with_everything_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().display();
    let line =
        format!("run log --faults crashes --plant no_sync --seeds 500 --quiet --traces {folder}");
    let ran = run(&line).expect(Exit::Violation, &["acknowledged is durable", "log, seed "]);
    let is_event = |line: &&str| !line.starts_with("    #");
    let shape = ran.out.lines().filter(is_event).filter_map(|line| line.split_whitespace().next());
    insta::assert_snapshot!(
        shape.collect::<Vec<_>>().join(" "),
        @"violation: scenario expected got noticed events trace replay: or: shrink:"
    );
    assert!(ran.out.lines().any(|line| line.contains("cli/tests/toy/mod.rs:")), "{}", ran.out);
    let events = ran.out.lines().filter(|line| !is_event(line)).count();
    assert!((6..=12).contains(&events), "{events} events");
    assert_eq!(run(&line).out, ran.out, "the same again");
    // The shown commands do what they say.
    let command = |name: &str| {
        let line = ran.out.lines().map(str::trim).find(|line| line.starts_with(name)).unwrap();
        line.split_once("seedbed ").unwrap().1.to_owned()
    };
    run(&command("replay:")).expect(Exit::Violation, &["reproduced: same digest"]);
    run(&command("or:")).expect(Exit::Violation, &["violation: acknowledged is durable"]);
    run(&command("shrink:")).expect(Exit::Fine, &["operations", "decisions", "written:"]);
}

#[test]
fn json_holds_what_the_help_says() {
    let (_dir, trace) = violation();
    let folder = Path::new(&trace).parent().unwrap().display();
    let json = run(&format!(
        "run log --faults crashes --plant no_sync --seeds 0..=499 --json --traces {folder}"
    ))
    .expect(Exit::Violation, &[])
    .json();
    let keys: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        keys,
        [
            "beyond",
            "checkers",
            "cpu_ms",
            "digest",
            "exit_code",
            "inconclusive",
            "internal",
            "interrupted",
            "omit_sync",
            "plan",
            "plant",
            "probes",
            "scenario",
            "seeds",
            "stats",
            "violations",
            "wall_ms"
        ]
    );
    let found = &json["violations"][0];
    let keys: Vec<_> = found.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        keys,
        ["at_decision", "at_event", "expected", "got", "law", "replay", "seed", "shrink", "trace"]
    );
    assert_eq!(json["digest"].as_str().unwrap().len(), 16);
    assert_eq!((&json["seeds"]["end"], &json["exit_code"]), (&500.into(), &1.into()));
    assert!(json["stats"]["checks"].as_u64().unwrap() > 0);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let result = |jobs: u32| {
        let line = "run log --faults rough --plant no_sync --seeds 300 --max-violations 0";
        let mut json = run(&format!("{line} --json --jobs {jobs} --traces /dev/null/x")).json();
        let object = json.as_object_mut().unwrap();
        object.retain(|key, _| !["wall_ms", "cpu_ms"].contains(&&**key));
        json
    };
    assert_eq!(result(1), result(4));
}

#[test]
fn what_does_not_exist_is_a_usage_error_with_the_nearest_name() {
    run("run lgo").expect(Exit::Usage, &["did you mean \"log\"", "known: log, odd"]);
    run("run log --plant nosync").expect(Exit::Usage, &["did you mean \"no_sync\""]);
    run("run log --faults ruogh").expect(Exit::Usage, &["did you mean \"rough\""]);
    run("run log --faults /nowhere/x.toml").expect(Exit::Usage, &["/nowhere/x.toml"]);
    run("run log --omit-sync x:y").expect(Exit::Usage, &["engine.rs:210"]);
    run("run log --jobs 0").expect(Exit::Usage, &["1..=1024"]);
    run("rnu log").expect(Exit::Usage, &["unrecognized subcommand"]);
    run("zoo lgo").expect(Exit::Usage, &["did you mean \"log\""]);
    run("replay --scenario lgo --seed 1").expect(Exit::Usage, &["did you mean \"log\""]);
    run("--seeds 5 run log").expect(Exit::Usage, &["--seeds belongs after `run`"]);
}

#[test]
fn bad_ranges_of_seeds_are_told_from_empty_ones() {
    run("run log --seeds 9..3").expect(Exit::Usage, &["reversed"]);
    run("run log --seeds x").expect(Exit::Usage, &["1000..2000"]);
    run("run log --seeds 5..5").expect(Exit::NothingSelected, &["5..5"]);
    run("run log --seeds 0").expect(Exit::NothingSelected, &[]);
    run("--seeds 0").expect(Exit::NothingSelected, &[]);
    run("zoo --seeds 0").expect(Exit::NothingSelected, &[]);
    let none = Cli::new("mine").run_with([""; 0], &mut Vec::new(), &mut Vec::new());
    assert_eq!(none, Exit::NothingSelected);
}

#[test]
fn a_sync_that_is_never_called_says_nothing() {
    run("run log --seeds 20 --faults crashes --omit-sync nowhere.rs:1")
        .expect(Exit::NothingSelected, &["warning:", "nowhere.rs:1", "never called"]);
}

#[test]
fn a_left_out_sync_is_found_by_its_site() {
    let json = run("list --json").expect(Exit::Fine, &[]).json();
    let sites = json["scenarios"][0]["sync_sites"].as_array().unwrap();
    assert_eq!(sites.len(), 3, "the sync of the name, of recovery, of appends: {sites:?}");
    let site = sites[2]["site"].as_str().unwrap();
    let line = "--faults crashes --seeds 500 --quiet --traces /dev/null/x";
    let ran = run(&format!("run log --omit-sync {site} {line}"));
    ran.expect(Exit::Violation, &["acknowledged is durable", "--omit-sync", site]);
}

#[test]
fn no_verdict_and_internal_errors_have_their_codes() {
    run("run odd --plant endless --seeds 3").expect(Exit::Inconclusive, &["200 polls", "seed 0"]);
    run("run odd --plant broken --seeds 3").expect(Exit::Internal, &["the testbed is broken"]);
    run("replay --scenario odd --plant endless --seed 1").expect(Exit::Inconclusive, &["polls"]);
    run("replay --scenario odd --plant broken --seed 1").expect(Exit::Internal, &["is broken"]);
    run("replay --scenario log --seed 1").expect(Exit::Fine, &["all laws held"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("endless.trace").display().to_string();
    run(&format!("replay --scenario odd --plant endless --seed 1 --trace {file}"));
    let texts = ["reproduced", "inconclusive: still running after 200 polls"];
    run(&format!("replay {file}")).expect(Exit::Inconclusive, &texts);
}

#[test]
fn nondeterminism_is_a_violation_when_looked_for() {
    run("run odd --plant ambient --seeds 3").expect(Exit::Fine, &[]);
    run("run odd --plant ambient --seeds 3 --check-determinism --traces /dev/null/x")
        .expect(Exit::Violation, &["violation: deterministic", "what the law says"]);
}

#[test]
fn a_replay_that_is_another_run_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.trace").display().to_string();
    let seed = format!("replay --scenario odd --plant ambient --seed 1 --trace {file}");
    run(&seed).expect(Exit::Fine, &[]);
    run(&format!("replay {file}")).expect(Exit::Diverged, &["diverged:", "digest"]);
    // The same file, but for one decision.
    let (_dir, path) = violation();
    let mut trace = seedbed::traces::Trace::read(Path::new(&path)).unwrap();
    trace.decisions[3].label = "renamed".into();
    trace.write(Path::new(&path)).unwrap();
    run(&format!("replay {path}")).expect(Exit::Diverged, &["decision 3", "renamed"]);
}

#[test]
fn a_trace_of_another_testbed_is_a_usage_error() {
    let (_dir, path) = violation();
    let mut trace = seedbed::traces::Trace::read(Path::new(&path)).unwrap();
    trace.header.settings[0].1 = "no_snyc".to_owned();
    trace.write(Path::new(&path)).unwrap();
    run(&format!("replay {path}")).expect(Exit::Usage, &["did you mean \"no_sync\""]);
    trace.header.scenario = "lgo".to_owned();
    trace.write(Path::new(&path)).unwrap();
    run(&format!("replay {path}")).expect(Exit::Usage, &["did you mean \"log\"", &path]);
    run(&format!("shrink {path}")).expect(Exit::Usage, &["did you mean \"log\""]);
}

#[test]
fn a_workload_of_another_version_is_a_usage_error() {
    let (_dir, path) = violation();
    let mut trace = seedbed::traces::Trace::read(Path::new(&path)).unwrap();
    trace.workload.ops[0].bytes.extend([1, 2]);
    trace.workload.ops[0].text = "Seven(7)".to_owned();
    trace.write(Path::new(&path)).unwrap();
    for command in ["replay", "shrink"] {
        let texts = [&*path, "operation 0, Seven(7)", "another version"];
        run(&format!("{command} {path}")).expect(Exit::Usage, &texts);
    }
}

#[test]
fn shrinking_writes_a_small_trace_that_breaks_the_same_law() {
    let (dir, path) = violation();
    let ran = run(&format!("shrink {path}")).expect(Exit::Fine, &["acknowledged is durable"]);
    assert!(ran.out.contains("operations  ") && ran.out.contains("faults  "), "{}", ran.out);
    assert!(!ran.out.contains("#0000"), "the trace itself is for `show`: {}", ran.out);
    let small = path.replace(".trace", ".shrunk.trace");
    assert!(ran.out.contains(&format!("seedbed show {small}")), "{}", ran.out);
    run(&format!("replay {small}")).expect(Exit::Violation, &["reproduced: same digest"]);
    let other = dir.path().join("o.trace").display().to_string();
    run(&format!("shrink {path} -o {other} --runs 3")).expect(Exit::Fine, &["not finished"]);
    run(&format!("shrink {path} -o /dev/null/x.trace")).expect(Exit::Usage, &["/dev/null/x"]);
    let passed = dir.path().join("passed.trace").display().to_string();
    run(&format!("replay --scenario log --seed 1 --trace {passed}")).expect(Exit::Fine, &[]);
    run(&format!("shrink {passed}")).expect(Exit::NothingSelected, &["nothing to shrink"]);
}

#[test]
fn show_and_diff_say_what_is_in_traces() {
    let (dir, path) = violation();
    let shown = ["scenario  log", "operations", "decisions", "events", "verdict", "digest"];
    run(&format!("show {path}")).expect(Exit::Fine, &shown);
    run(&format!("show {path} --events 3..5")).expect(Exit::Fine, &["#000003", "outside"]);
    run(&format!("show {path} --events 5..3")).expect(Exit::Usage, &["reversed"]);
    let json = run(&format!("show {path} --json --events 3..5")).expect(Exit::Fine, &[]).json();
    assert_eq!(json["trace"]["events"].as_array().unwrap().len(), 2);
    run(&format!("diff {path} {path}")).expect(Exit::Fine, &["the traces are the same"]);
    let other = dir.path().join("other.trace").display().to_string();
    run(&format!("replay --scenario log --seed 1 --trace {other}")).expect(Exit::Fine, &[]);
    run(&format!("diff {path} {other}")).expect(Exit::Violation, &["headers differ"]);
    run(&format!("diff {path} /nowhere/x")).expect(Exit::Usage, &["/nowhere/x"]);
}

#[test]
fn the_zoo_wants_bugs_caught_and_twins_let_be() {
    let ran = run("zoo log --seeds 400 --faults crashes")
        .expect(Exit::Fine, &["no_sync", "caught", "extra_sync", "silent"]);
    assert!(ran.out.contains("every plant was caught"), "{}", ran.out);
    run("zoo log --seeds 400 --faults crashes --markdown")
        .expect(Exit::Fine, &["| name | kind | result |", "|---|---|"]);
    let json = run("zoo log --seeds 400 --faults crashes --json").expect(Exit::Fine, &[]).json();
    let caught = &json["specimens"][0]["caught"]["swept"];
    assert_eq!((&caught["replays"], &json["exit_code"]), (&true.into(), &0.into()));
    let texts = ["unnoticed", "NOT CAUGHT", "FALSE ALARM", "the testbed is broken"];
    run("zoo odd --seeds 50 --faults crashes").expect(Exit::Violation, &texts);
}

#[test]
fn list_names_everything() {
    let texts =
        ["no_sync", "(benign)", "no deadlock", "sync_data", "cli/tests/toy/mod.rs:", "rough"];
    run("list").expect(Exit::Fine, &texts);
}

#[test]
fn a_folder_that_cannot_be_written_does_not_hide_the_violation() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a-file");
    std::fs::write(&file, "x").unwrap();
    let folder = file.join("below").display().to_string();
    let line = format!("run log --faults crashes --plant no_sync --seeds 500 --traces {folder}");
    let texts = ["acknowledged is durable", "cannot make the folder", "--traces DIR", "replay:"];
    run(&line).expect(Exit::Violation, &texts);
    let json = run(&format!("{line} --json")).expect(Exit::Violation, &[]).json();
    assert!(
        json["violations"][0]["trace"].is_null() && json["violations"][0]["replay"].is_string()
    );
    run(&format!("replay --scenario log --seed 1 --trace {folder}/x"))
        .expect(Exit::Usage, &[&folder]);
}

#[test]
fn a_plan_file_says_what_is_wrong_with_it_and_how_to_run_it() {
    let dir = tempfile::tempdir().unwrap();
    let plan = |text: &str| {
        let path = dir.path().join("plan.toml");
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let path = plan("[disk]\nread_eror_probability = \"1/2\"\n");
    run(&format!("run log --faults {path}"))
        .expect(Exit::Usage, &["plan.toml:2", "did you mean \"read_error_probability\""]);
    let path = plan("[run]\nseeds = 7\njobs = 0\n");
    run(&format!("run log --faults {path}")).expect(Exit::Usage, &["jobs = 0"]);
    let path = plan("[run]\nseeds = 7\nplant = \"endless\"\nmax_violations = 2\n");
    let json =
        run(&format!("run odd --json --faults {path}")).expect(Exit::Inconclusive, &[]).json();
    assert_eq!((&json["seeds"]["run"], &json["plant"]), (&7.into(), &"endless".into()));
    let json = run(&format!("run odd --json --faults {path} --seeds 2..4")).json();
    assert_eq!(json["seeds"]["run"], 2);
    run(&format!("--faults {path}")).expect(Exit::Usage, &["use `run SCENARIO`"]);
}

#[test]
fn colours_come_only_when_asked_for() {
    let is_coloured = |line: &str| run(line).out.contains('\u{1b}');
    assert!(!is_coloured("list"));
    assert!(is_coloured("list --color always"));
    assert!(!is_coloured("--color never run log --seeds 3"));
}

#[test]
fn every_help_has_an_example_and_the_first_lists_the_exit_codes() {
    let commands = ["", "run", "list", "replay", "shrink", "show", "diff", "zoo", "litmus"];
    for command in commands {
        let help = run(&format!("{command} --help")).expect(Exit::Fine, &["Example", "Usage:"]);
        assert!(help.out.contains(format!("seedbed {command}").trim_end()), "{}", help.out);
    }
    let help = run("--help").out;
    for exit in Exit::ALL {
        assert!(help.contains(&format!("\n  {:<3} ", exit.code())), "{exit:?} in {help}");
    }
    run("--version").expect(Exit::Fine, &[env!("CARGO_PKG_VERSION")]);
}

#[test]
fn litmus_refuses_what_it_does_not_know() {
    run("litmus --fs xsf").expect(Exit::Usage, &["did you mean \"xfs\"", "ext4-nodelalloc"]);
    run("litmus --row 99").expect(Exit::Usage, &["no row is named \"99\"", "E1"]);
    run("litmus --row 01 --random 3").expect(Exit::Usage, &["cannot be used with"]);
}

#[test]
fn litmus_runs_or_says_what_it_takes() {
    let ran = run("litmus --fs ext4 --row 07 --json");
    let json = ran.json();
    if ran.exit == Exit::Inconclusive {
        let reason = json["skipped"][0]["reason"].as_str().unwrap();
        println!("skipped: {reason}");
        assert!(json["rows"].as_array().unwrap().is_empty());
        return;
    }
    let row = &json["rows"][0];
    assert_eq!((&row["setup"], &row["id"]), (&"ext4".into(), &"07".into()));
    let outcome = row["outcome"].as_str().unwrap();
    assert!(outcome.contains("A/tgt=o*8192 A/tmp=n*8192"), "{outcome}");
    run("litmus --fs ext4 --row 07").expect(Exit::Fine, &["A/tmp=n*8192", "1 runs"]);
    let random = run("litmus --fs ext4 --random 2 --seed 5 --json").expect(Exit::Fine, &[]).json();
    let seeds: Vec<_> =
        random["random"].as_array().unwrap().iter().map(|run| run["seed"].clone()).collect();
    assert_eq!(seeds, [5, 6]);
}

/// A scenario that does not even catch its own mistakes.
struct Raw;

impl seedbed::Scenario for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn about(&self) -> &'static str {
        "panics"
    }

    fn laws(&self) -> Vec<seedbed::Law> {
        Vec::new()
    }

    fn plants(&self) -> Vec<seedbed::PlantInfo> {
        Vec::new()
    }

    fn run(&self, _job: &seedbed::Job) -> seedbed::Run {
        panic!("a scenario of one's own can do this")
    }
}

#[test]
fn a_panic_of_the_tool_is_an_internal_error() {
    let cli = Cli::new("mine").scenarios(vec![Box::new(Raw)]);
    for args in [&["run", "raw"][..], &["list"], &["--jobs", "3"]] {
        let exit = cli.run_with(args.iter().copied(), &mut Vec::new(), &mut Vec::new());
        assert_eq!(exit, Exit::Internal, "{args:?}");
    }
}
