//! `seedbed calibrate`: measures this machine's disk and writes a profile of it.

use seedbed_hardware::calibrate::{self, Profile};
use seedbed_hardware::{Failed, Machine};

use super::args::CalibrateArgs;
use super::{COMMAND, own_program};
use crate::commands::Context;
use crate::exit::{Exit, Failure};

pub(crate) fn run(cx: &mut Context<'_>, args: &CalibrateArgs) -> Result<Exit, Failure> {
    let dir = &args.dir;
    if !dir.is_dir() {
        let what =
            format!("{}: no such folder; --dir names one on the disk to measure", dir.display());
        return Err(Failure::usage(what));
    }
    if let Some(out) = &args.out {
        writable(out)?;
    }
    let profile = measure(cx, args).map_err(|failed| match cx.is_stopped() {
        true => Failure::new(Exit::Inconclusive, "interrupted; no profile is written"),
        false => Failure::new(Exit::Inconclusive, failed),
    })?;
    let text = profile.to_text();
    match &args.out {
        None => cx.out.text(text),
        Some(out) => {
            let written = std::fs::write(out, text);
            written.map_err(|error| Failure::usage(format!("{}: {error}", out.display())))?;
            let sync = &profile.timing.sync[1];
            let middle = sync.ns[sync.ns.len() / 2] as f64 / 1e3;
            let out = out.display();
            cx.out.line(format_args!("{out}: a sync of 4 KiB takes {middle:.0} us in the middle"));
        }
    }
    Ok(Exit::Fine)
}

/// Refuses a place that cannot be written to before minutes are spent.
fn writable(out: &std::path::Path) -> Result<(), Failure> {
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(out);
    opened.map(drop).map_err(|error| Failure::usage(format!("{}: {error}", out.display())))
}

fn measure(cx: &mut Context<'_>, args: &CalibrateArgs) -> Result<Profile, Failed> {
    let dir = &args.dir;
    let (stop, err, quiet) = (cx.stop, &mut cx.err, args.quiet);
    let mut told = |what: &str| {
        if !quiet {
            err.line(what);
        }
    };
    let timing = calibrate::disk(dir, &args.name, stop, &mut told)?;
    let own = own_program()?;
    let costs = calibrate::costs((&own, COMMAND), dir, &timing, told)?;
    Ok(Profile { machine: Machine::here(dir).to_string(), timing, costs })
}
