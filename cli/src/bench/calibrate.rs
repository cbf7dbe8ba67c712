//! `seedbed calibrate`: measures this machine's disk and writes a profile of it.

use seedbed_hardware::calibrate::{self, Profile};
use seedbed_hardware::{Failed, Machine};

use super::args::CalibrateArgs;
use super::measure::launch;
use super::own_program;
use super::place::Place;
use crate::commands::Context;
use crate::exit::{Exit, Failure};

pub(crate) fn run(cx: &mut Context<'_>, args: &CalibrateArgs) -> Result<Exit, Failure> {
    let dir = &args.dir;
    if !dir.is_dir() {
        let what =
            format!("{}: no such folder; --dir names one on the disk to measure", dir.display());
        return Err(Failure::usage(what));
    }
    let machine = Machine::here(dir);
    if machine.is_in_memory() && !args.allow_memory {
        let (dir, kind) = (dir.display(), &machine.file_system);
        return Err(Failure::usage(format!(
            "{dir} is on {kind}, which is no disk: name a folder on one by --dir, or measure all \
             the same with --allow-memory"
        )));
    }
    let place = args.out.as_deref().map(|path| Place::new("--out", path)).transpose()?;
    let profile = measure(cx, args, &machine).map_err(|failed| match cx.is_stopped() {
        true => Failure::new(Exit::Inconclusive, "interrupted; no profile is written"),
        false => Failure::new(Exit::Inconclusive, failed),
    })?;
    let text = profile.to_text();
    match (&place, &args.out) {
        (Some(place), Some(out)) => {
            place.write(&text)?;
            let sync = &profile.timing.sync[1];
            let middle = sync.ns[sync.ns.len() / 2] as f64 / 1e3;
            let out = out.display();
            cx.out.line(format_args!("{out}: a sync of 4 KiB takes {middle:.0} us in the middle"));
        }
        _ => cx.out.text(text),
    }
    Ok(Exit::Fine)
}

fn measure(
    cx: &mut Context<'_>,
    args: &CalibrateArgs,
    machine: &Machine,
) -> Result<Profile, Failed> {
    let own = own_program()?;
    let launch = launch(cx, &own, &args.dir);
    let (err, quiet) = (&mut cx.err, args.quiet);
    let mut told = |what: &str| {
        if !quiet {
            err.line(what);
        }
    };
    let timing = calibrate::disk(launch.dir, &args.name, launch.stop, &mut told)?;
    let costs = calibrate::costs(launch, &timing, told)?;
    Ok(Profile { machine: machine.to_string(), timing, costs })
}
