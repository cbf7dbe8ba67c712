//! `script`: what it prints, what it refuses, and that a real kernel leaves what it says.

#![cfg(target_os = "linux")]

use std::path::PathBuf;
use std::process::{Command, Output};

use seedbed_litmus::Setup;

fn corpus(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../traces/corpus")).join(name)
}

fn script(name: &str, more: &[&str]) -> Output {
    let seedbed = env!("CARGO_BIN_EXE_seedbed");
    let output = Command::new(seedbed).arg("script").arg(corpus(name)).args(more).output();
    output.expect("the binary runs")
}

#[test]
fn a_script_holds_the_calls_the_bytes_and_what_is_to_be_left() {
    let output = script("pattern_zero_byte_file-rename_unsynced.trace", &["--fs", "xfs"]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{text}");
    for part in ["FS, MOUNT, SIZE = \"xfs\"", "    rename(", "    power_loss()", "fromhex("] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn a_trace_in_which_the_power_never_goes_has_no_script() {
    let output = script("pattern_recycled_wal-no_generation.trace", &[]);
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("the power never goes"), "{error}");
}

/// The kernel leaves the empty file, and not when the script is changed to sync it.
#[test]
fn a_real_kernel_leaves_what_the_script_says() {
    let setup = Setup::named("ext4").expect("a setup");
    if let Err(why) = setup.available() {
        eprintln!("skipped: {why}");
        return;
    }
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: python3 is not installed: `apt-get install python3`");
        return;
    }
    let name = "pattern_unsynced_compaction-output_unsynced.trace";
    let text = String::from_utf8(script(name, &["--fs", "ext4"]).stdout).expect("text");
    let folder = tempfile::tempdir().expect("a folder");
    let ran = |text: &str| {
        let path = folder.path().join("script.py");
        std::fs::write(&path, text).expect("written");
        let output = Command::new("python3").arg(&path).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said + &error)
    };
    let (code, said) = ran(&text);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("reproduced"), "{said}");
    let last = text.rfind("    power_loss()\n").expect("a power loss");
    let synced = format!("{}    os.sync()\n{}", &text[..last], &text[last..]);
    let (code, said) = ran(&synced);
    assert_eq!(code, Some(1), "with a sync nothing is lost: {said}");
}
