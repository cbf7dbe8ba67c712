//! `run sink --real`: processes and servers that are killed, plants that must be caught, nothing
//! left behind. Small runs; those on PostgreSQL are skipped, visibly, without a server.

#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use seedbed_postgres::cluster::{Cluster, postgres_or_skip};
use serde_json::Value;

/// The binary, with temporary folders in `tmp`.
fn real(tmp: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seedbed"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("SEEDBED_") && !name.starts_with("SEEDBED_POSTGRES") {
            command.env_remove(name);
        }
    }
    command.env("TMPDIR", tmp).args(["run", "sink", "--real"]).args(args.split_whitespace());
    command
}

fn run(args: &str) -> (Output, tempfile::TempDir) {
    let tmp = tempfile::Builder::new().prefix("sr").tempdir().expect("a folder");
    // A server of another user has to be able to enter it.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(tmp.path(), mode).expect("changed");
    let output = real(tmp.path(), args).output().expect("it runs");
    (output, tmp)
}

#[track_caller]
fn json(output: &Output) -> Value {
    let err = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {err}"))
}

#[track_caller]
fn assert_empty(folder: &Path) {
    let left: Vec<_> = std::fs::read_dir(folder).expect("readable").collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// Always exactly once; and with one of a few seeds the kills found transactions prepared, and
/// decisions that were not carried out.
#[track_caller]
fn assert_exactly_once(args: &str) {
    let has_hit = (0..6).any(|seed| {
        let (output, tmp) = run(&format!("{args} --json --seed {seed}"));
        let found = json(&output);
        assert_eq!(output.status.code(), Some(0), "{found}");
        assert_eq!(found["violations"], Value::Array(Vec::new()));
        assert_eq!(found["rows_found"], found["rows"]);
        assert_eq!(found["left_prepared"], 0);
        assert_empty(tmp.path());
        let hits = &found["found"];
        hits["prepared"].as_u64() > Some(0) && hits["decisions"].as_u64() > Some(0)
    });
    assert!(has_hit, "{args}: the kills hit nothing");
}

/// Looks with a few seeds, since what is met in the real world is not the same each time.
#[track_caller]
fn assert_caught(args: &str) {
    let caught = (0..8).any(|seed| {
        let (output, tmp) = run(&format!("{args} --json --seed {seed}"));
        assert_empty(tmp.path());
        match output.status.code() {
            Some(0) => false,
            Some(1) => {
                assert_ne!(json(&output)["violations"], Value::Array(Vec::new()));
                true
            }
            code => panic!("{code:?}: {}", String::from_utf8_lossy(&output.stderr)),
        }
    });
    assert!(caught, "{args}: no seed has caught it");
}

#[track_caller]
fn assert_refused(args: &str, texts: &[&str]) {
    let (output, tmp) = run(args);
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    texts.iter().for_each(|text| assert!(err.contains(text), "no {text:?} in {err}"));
    assert_empty(tmp.path());
}

#[test]
fn embedded_participants_are_written_to_exactly_once_through_kills() {
    assert_exactly_once("--rows 6000 --kills 8 --batch 50");
}

#[test]
fn a_benign_twin_is_let_be() {
    assert_exactly_once("--rows 3000 --kills 6 --batch 50 --plant commits_twice");
}

#[test]
fn postgresql_is_written_to_exactly_once_through_kills() {
    if postgres_or_skip().is_some() {
        assert_exactly_once("--postgres auto --rows 4000 --kills 5 --batch 100");
    }
}

#[test]
fn plants_are_caught_on_embedded_participants() {
    assert_caught("--rows 4000 --kills 8 --batch 50 --plant completed_aborted");
    assert_caught("--rows 4000 --kills 8 --batch 50 --plant forgotten_too_early");
}

#[test]
fn a_plant_is_caught_on_postgresql() {
    if postgres_or_skip().is_some() {
        assert_caught("--postgres auto --rows 4000 --kills 6 --batch 50 --plant completed_aborted");
    }
}

#[tokio::test]
async fn a_server_of_the_users_is_not_killed_and_left_as_it_was() {
    let Some(programs) = postgres_or_skip() else { return };
    let cluster = Cluster::start(&programs).expect("a cluster");
    let url = cluster.create_database("shop").await.expect("a database");
    let tmp = tempfile::tempdir().expect("a folder");
    let mut command = real(tmp.path(), "--rows 3000 --kills 4 --batch 100 --json");
    let output = command.args(["--postgres", &url]).output().expect("it runs");
    let found = json(&output);
    assert_eq!(output.status.code(), Some(0), "{found}");
    assert_eq!(found["kills"]["sink"], 4);
    let (client, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("a client");
    tokio::spawn(connection);
    let sql = "SELECT (SELECT count(*) FROM pg_namespace WHERE starts_with(nspname, \
        'seedbed_real')) + (SELECT count(*) FROM seedbed_sink.writers) + \
        (SELECT count(*) FROM seedbed_sink.committed)";
    let left: i64 = client.query_one(sql, &[]).await.expect("an answer").get(0);
    assert_eq!(left, 0);
}

#[test]
fn a_folder_of_the_users_stays_and_must_be_empty() {
    let home = tempfile::tempdir().expect("a folder");
    let dir = home.path().join("run");
    let (output, tmp) = run(&format!("--rows 500 --kills 1 --dir {}", dir.display()));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_empty(tmp.path());
    for name in ["sink", "p0", "p1", "p2", "sink.log"] {
        assert!(dir.join(name).exists(), "{name}");
    }
    assert_refused(&format!("--rows 500 --dir {}", dir.display()), &["not empty"]);
}

#[test]
fn what_cannot_be_is_refused_with_what_to_do() {
    assert_refused("--postgres host=/nowhere", &["cannot connect to PostgreSQL"]);
    assert_refused("--seeds 5", &["--seeds", "simulated"]);
    assert_refused("--plant no_such", &["no plant of sink"]);
    assert_refused("--dir /proc/nothing", &["--dir /proc/nothing"]);
    let tmp = tempfile::tempdir().expect("a folder");
    let mut command = real(tmp.path(), "--postgres auto");
    let output = command.env("SEEDBED_POSTGRES_BIN", "/nowhere").output().expect("it runs");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("apt-get install postgresql"), "{err}");
}

/// How many processes have this in their environment or arguments.
fn processes_with(text: &str) -> usize {
    let all = std::fs::read_dir("/proc").expect("readable").flatten();
    let has = |path: &Path| {
        ["environ", "cmdline"].iter().any(|file| {
            let bytes = std::fs::read(path.join(file)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).contains(text)
        })
    };
    all.filter(|entry| has(&entry.path())).count()
}

#[test]
fn nothing_outlives_an_interrupted_or_a_killed_run() {
    for signal in ["INT", "KILL"] {
        let tmp = tempfile::Builder::new().prefix("sr-left").tempdir().expect("a folder");
        let mut command = real(tmp.path(), "--rows 100000000 --kills 3 --json");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("runs");
        let name = tmp.path().display().to_string();
        wait(|| processes_with(&name) >= 5);
        let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        let code = child.wait().expect("it ends").code();
        assert_eq!(code, (signal == "INT").then_some(3), "{signal}");
        wait(|| processes_with(&name) == 0);
        assert_empty(tmp.path());
    }
}

/// Waits for something of which it does not matter how long it takes.
#[allow(clippy::disallowed_methods, reason = "it waits for real processes")]
fn wait(is_so: impl Fn() -> bool) {
    while !is_so() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
