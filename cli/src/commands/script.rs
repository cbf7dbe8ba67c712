//! `script`: a program that does to a real file system what a trace did to the simulated one.
//!
//! It makes a file system in a file, mounts it by a loop device, makes the engine's calls, writes
//! back by force what the simulated power loss had kept, copies the device at that instant, mounts
//! the copy and compares. A file system that leaves the same shows that the image is real.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use seedbed::disk::{NodeOp, SyncKind};
use seedbed::faults::Profile;
use seedbed::tape::{Change, Persisted, Tape, What, tape};
use seedbed::traces::Trace;

use crate::args::ScriptArgs;
use crate::commands::Context;
use crate::commands::replay::scenario_of;
use crate::exit::{Exit, Failure};

/// The part that is the same in every script.
const RUNTIME: &str = include_str!("script.py");
/// The unit that the kernel writes back.
const PAGE: u64 = 4096;

/// A real file system.
struct FileSystem {
    name: &'static str,
    bytes: u64,
    mkfs: &'static [&'static str],
    mount: &'static str,
}

/// The file system that a profile describes; ext4 for those that no file system is like.
fn file_system(profile: Profile) -> FileSystem {
    let ext4 = |mount| FileSystem { name: "ext4", bytes: 64 << 20, mkfs: &["-q", "-F"], mount };
    match profile.name {
        "xfs" => FileSystem { name: "xfs", bytes: 320 << 20, mkfs: &["-q", "-f"], mount: "" },
        "btrfs" => FileSystem { name: "btrfs", bytes: 128 << 20, mkfs: &["-q", "-f"], mount: "" },
        "ext4_noauto_da_alloc" => ext4("noauto_da_alloc"),
        "ext4_nodelalloc" => ext4("nodelalloc"),
        "ext4_writeback" => ext4("data=writeback"),
        "ext4_data_err_abort" => ext4("data_err=abort"),
        _ => ext4(""),
    }
}

/// Prints the script of a trace.
pub(crate) fn script(cx: &mut Context<'_>, args: &ScriptArgs) -> Result<Exit, Failure> {
    let trace = Trace::read(&args.file)?;
    let scenario = scenario_of(cx.scenarios, &args.file, &trace)?;
    let (tape, _) = tape(scenario, &trace)?;
    let loss = tape.entries.iter().any(|taped| matches!(taped.what, What::PowerLoss { .. }));
    if !loss {
        return Err(Failure::usage(format!(
            "{}: in this trace the power never goes: there is nothing for a kernel to reproduce",
            args.file.display()
        )));
    }
    if tape.entries.iter().any(|taped| taped.node != 0) {
        return Err(Failure::usage(format!(
            "{}: several nodes have disks in this trace; a script has one",
            args.file.display()
        )));
    }
    let profile = args.fs.unwrap_or(tape.profile);
    cx.out.text(text(&trace, &tape, profile));
    Ok(Exit::Fine)
}

fn text(trace: &Trace, tape: &Tape, profile: Profile) -> String {
    let FileSystem { name, bytes, mkfs, mount } = file_system(profile);
    let mkfs: Vec<String> = mkfs.iter().map(|option| format!("{option:?}")).collect();
    let mut script = format!(
        "#!/usr/bin/env python3\n\
         \"\"\"What a trace of seedbed did to its disk, on a real {name}.\n\n\
         Scenario {scenario}, seed {seed}, simulated disk {simulated}. Run it as root; it\n\
         takes loop devices and leaves nothing behind. Exit code 0: the kernel left the\n\
         same.\n\"\"\"\n\n",
        scenario = trace.header.scenario,
        seed = trace.header.seed,
        simulated = tape.profile,
    );
    let _ = writeln!(script, "FS, MOUNT, SIZE = {name:?}, {mount:?}, {bytes}");
    let _ = writeln!(script, "MKFS = [{}]", mkfs.join(", "));
    let _ = writeln!(script, "OTHER = \".seedbed-other\"  # synced to make the journal commit\n");
    let _ = writeln!(script, "\ndef steps():\n    same = True");
    let mut entries = &tape.entries[..];
    while let Some(end) =
        entries.iter().position(|taped| matches!(taped.what, What::PowerLoss { .. }))
    {
        let (boot, rest) = entries.split_at(end + 1);
        let What::PowerLoss { kept, left } = &boot[end].what else { unreachable!("found") };
        for taped in &boot[..end] {
            step(&mut script, &taped.what, taped.site, kept);
        }
        power_loss(&mut script, left);
        entries = rest;
    }
    let _ = writeln!(script, "    return same\n\n");
    script + RUNTIME
}

type Site = Option<&'static std::panic::Location<'static>>;

/// One call, and what the kernel does by itself right after it.
fn step(script: &mut String, what: &What, site: Site, kept: &[Persisted]) {
    let call = match what {
        What::Change { change, .. } => match change {
            Change::Create(path) => format!("create({path:?})"),
            Change::Write(path, at, bytes) => {
                format!("write({path:?}, {at}, \"{}\")", hex(bytes))
            }
            Change::SetLen(path, len) => format!("set_len({path:?}, {len})"),
            Change::Rename(from, to) => format!("rename({from:?}, {to:?})"),
            Change::HardLink(from, to) => format!("hard_link({from:?}, {to:?})"),
            Change::Allocate(path, at, len, keep_size) => {
                let keep_size = if *keep_size { "True" } else { "False" };
                format!("allocate({path:?}, {at}, {len}, {keep_size})")
            }
            Change::RemoveFile(path) => format!("remove_file({path:?})"),
            Change::CreateDir(path) => format!("create_dir({path:?})"),
            Change::RemoveDir(path) => format!("remove_dir({path:?})"),
        },
        What::Sync(path, SyncKind::All) => format!("sync_all({path:?})"),
        What::Sync(path, SyncKind::Data) => format!("sync_data({path:?})"),
        What::SyncWritten(path, at, len) => format!("sync_written({path:?}, {at}, {len})"),
        What::WriteBack(path, at, len) => format!("write_back({path:?}, {at}, {len})"),
        What::SyncDir(path) => format!("sync_dir({path:?})"),
        What::Crash | What::PowerLoss { .. } => "crash()".to_owned(),
    };
    let site = site.map(|site| format!("  # {}:{}", site.file(), site.line()));
    let _ = writeln!(script, "    {call}{}", site.unwrap_or_default());
    let What::Change { change, changes } = what else { return };
    let here = kept.iter().filter(|node| changes.0 < node.change && node.change <= changes.1);
    let mut commits = false;
    for node in here {
        if let (Some((at, len)), Some(path)) = (node.bytes, written(change)) {
            let (start, end) = (at - at % PAGE, (at + len).next_multiple_of(PAGE));
            let _ = writeln!(script, "    write_back({path:?}, {start}, {})", end - start);
        } else if let (NodeOp::Grow, Change::Write(path, at, bytes)) = (node.op, change) {
            let last = (at + bytes.len() as u64).saturating_sub(1) / PAGE * PAGE;
            let _ = writeln!(script, "    write_back({path:?}, {last}, {PAGE})");
            commits = true;
        } else {
            commits = true;
        }
    }
    if commits {
        let _ = writeln!(script, "    commit()");
    }
}

/// The file that a change writes to; it may have another name when the power goes.
fn written(change: &Change) -> Option<&str> {
    match change {
        Change::Write(path, ..) | Change::SetLen(path, _) => Some(path),
        _ => None,
    }
}

fn power_loss(script: &mut String, left: &BTreeMap<String, Option<Vec<u8>>>) {
    let _ = writeln!(script, "    power_loss()\n    same &= expect({{");
    for (path, content) in left {
        let shown = match content {
            None => "None".to_owned(),
            Some(bytes) => format!("bytes.fromhex(\"{}\")", hex(bytes)),
        };
        let _ = writeln!(script, "        {path:?}: {shown},");
    }
    let _ = writeln!(script, "    }})");
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
