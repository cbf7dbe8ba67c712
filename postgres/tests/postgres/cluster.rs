//! Servers for tests leave nothing behind, however their owner ends.

// Real processes are waited for.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use seedbed_postgres::cluster::{Cluster, postgres_or_skip};

/// Set in the process that is to be killed.
const CHILD: &str = "POSTGRES_TEST_CHILD";

fn postmaster(folder: &Path) -> u32 {
    let file = std::fs::read_to_string(folder.join("data/postmaster.pid")).expect("running");
    file.lines().next().and_then(|line| line.parse().ok()).expect("a process id")
}

fn is_gone(folder: &Path, pid: u32) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        if !folder.exists() && !process.exists() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

#[test]
fn a_dropped_cluster_leaves_neither_process_nor_folder() {
    let Some(programs) = postgres_or_skip() else { return };
    let cluster = Cluster::start(&programs).expect("a cluster");
    let (folder, pid) = (cluster.folder().to_owned(), postmaster(cluster.folder()));
    drop(cluster);
    assert!(is_gone(&folder, pid), "{}", folder.display());
}

/// Does nothing unless it is started by the test below.
#[test]
fn child_that_is_killed() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let programs = Cluster::find().expect("a server");
    let cluster = Cluster::start(&programs).expect("a cluster");
    println!("\nat {}", cluster.folder().display());
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_killed_owner_leaves_neither_process_nor_folder() {
    if postgres_or_skip().is_none() {
        return;
    }
    let mut child = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", "cluster::child_that_is_killed", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let folder = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("at ").map(PathBuf::from))
        .expect("a cluster");
    let pid = postmaster(&folder);
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert!(is_gone(&folder, pid), "{}", folder.display());
}

#[test]
fn a_setting_that_is_none_fails_with_the_servers_words() {
    let Some(programs) = postgres_or_skip() else { return };
    let answer = Cluster::start_with(&programs, &[("no_such_setting", "1")]);
    let text = answer.expect_err("not a setting").to_string();
    assert!(text.contains("no_such_setting"), "{text}");
}
