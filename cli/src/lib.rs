//! The command line of seedbed, as a library: a testbed of one's own is a three-line `main`.
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     seedbed_cli::main(Vec::new()) // your scenarios: vec![Box::new(MyTestbed)]
//! }
//! ```
//!
//! Invariants: bad input gives an error with an exit code, never a panic; what a command prints on
//! standard output is its result, everything else goes to standard error.

mod args;
mod bench;
mod clock;
mod commands;
mod coverage;
mod diagnostics;
mod exit;
mod finding;
mod interrupt;
mod lookup;
mod output;
mod progress;
#[cfg(unix)]
mod real;
mod settings;
mod sites;
mod tables;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use anstream::{AutoStream, ColorChoice};
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};
use seedbed::Scenario;

use crate::args::{Color, Command, Top};
use crate::commands::Context;
pub use crate::exit::Exit;
use crate::exit::Failure;
use crate::output::{BAD, Output, paint};
use crate::progress::Show;

/// Seeds of a scenario without a command, unless [`Cli::main_seeds_of`] says otherwise.
pub const MAIN_SEEDS: u64 = 20_000;

/// Runs the command line of this process over these scenarios.
pub fn main(scenarios: Vec<Box<dyn Scenario>>) -> ExitCode {
    Cli::new("seedbed").scenarios(scenarios).run()
}

/// A command line over a list of scenarios.
pub struct Cli {
    program: &'static str,
    scenarios: Vec<Box<dyn Scenario>>,
    main_seeds: Vec<(&'static str, u64)>,
}

impl Cli {
    /// A command line of that name, without scenarios.
    pub fn new(program: &'static str) -> Self {
        Self { program, scenarios: Vec::new(), main_seeds: Vec::new() }
    }

    /// Adds scenarios.
    pub fn scenarios(mut self, scenarios: Vec<Box<dyn Scenario>>) -> Self {
        self.scenarios.extend(scenarios);
        self
    }

    /// Seeds of one scenario without a command, instead of [`MAIN_SEEDS`]: so that each scenario
    /// takes its share of the time.
    pub fn main_seeds_of(mut self, scenario: &'static str, seeds: u64) -> Self {
        self.main_seeds.push((scenario, seeds));
        self
    }

    /// Runs the command line of this process.
    pub fn run(&self) -> ExitCode {
        announce_panics();
        interrupt::listen();
        let args: Vec<_> = std::env::args_os().skip(1).collect();
        let top = match self.parse(args) {
            Ok(top) => top,
            Err(error) => return self.refuse(&error, std::io::stdout(), std::io::stderr()).into(),
        };
        let choice = match top.color {
            Color::Auto => None,
            Color::Always => Some(ColorChoice::Always),
            Color::Never => Some(ColorChoice::Never),
        };
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let out = choice.unwrap_or_else(|| AutoStream::choice(&stdout));
        let err = choice.unwrap_or_else(|| AutoStream::choice(&stderr));
        let show = if stderr.is_terminal() { Show::Bar } else { Show::Lines };
        let out = Output::new(AutoStream::new(stdout, out));
        let err = Output::new(AutoStream::new(stderr, err));
        if let Some(level) = top.log {
            diagnostics::print_from(level);
        }
        self.dispatch(&top, out, err, show, interrupt::flag()).into()
    }

    /// Runs a command line from code: the arguments without the program's name, and where output
    /// goes. Colours are off unless asked for.
    pub fn run_with<A: Into<OsString>>(
        &self,
        args: impl IntoIterator<Item = A>,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Exit {
        let top = match self.parse(args.into_iter().map(Into::into).collect()) {
            Ok(top) => top,
            Err(error) => return self.refuse(&error, out, err),
        };
        let stop = AtomicBool::new(false);
        let (out, err) = match top.color {
            Color::Always => (Output::new(out), Output::new(err)),
            Color::Auto | Color::Never => (Output::new(Plain(out)), Output::new(Plain(err))),
        };
        self.dispatch(&top, out, err, Show::Nothing, &stop)
    }

    fn parse(&self, args: Vec<OsString>) -> Result<Top, clap::Error> {
        let mut command = Top::command().name(self.program).bin_name(self.program);
        let program = OsString::from(self.program);
        let matches = command.try_get_matches_from_mut([program].into_iter().chain(args))?;
        let Some((name, _)) = matches.subcommand() else {
            return Top::from_arg_matches(&matches);
        };
        let misplaced = matches.ids().find(|id| {
            let id = id.as_str();
            let is_given = matches.try_contains_id(id).unwrap_or(false);
            let is_mine = !matches!(id, "color" | "log") && is_given;
            is_mine && matches.value_source(id) == Some(ValueSource::CommandLine)
        });
        match misplaced {
            Some(id) => {
                let flag = id.as_str().replace('_', "-");
                let message = format!("--{flag} belongs after `{name}`\n");
                Err(command.error(clap::error::ErrorKind::ArgumentConflict, message))
            }
            None => Top::from_arg_matches(&matches),
        }
    }

    /// Help and version go to standard output and are fine; the rest is a usage error.
    fn refuse(&self, error: &clap::Error, out: impl Write, err: impl Write) -> Exit {
        match error.use_stderr() {
            true => {
                Output::new(err).text(error);
                Exit::Usage
            }
            false => {
                Output::new(out).text(error);
                Exit::Fine
            }
        }
    }

    fn dispatch(
        &self,
        top: &Top,
        out: Output<'_>,
        err: Output<'_>,
        show: Show,
        stop: &AtomicBool,
    ) -> Exit {
        let main_seeds = |name: &str| {
            let own = self.main_seeds.iter().find(|(scenario, _)| *scenario == name);
            own.map_or(MAIN_SEEDS, |(_, seeds)| *seeds)
        };
        let mut cx = Context {
            program: self.program,
            scenarios: &self.scenarios,
            main_seeds: &main_seeds,
            out,
            err,
            show,
            stop,
        };
        let ended = catch_unwind(AssertUnwindSafe(|| command(&mut cx, top)));
        let exit = match ended {
            Ok(Ok(exit)) => exit,
            Ok(Err(Failure { exit, message })) => {
                cx.err.line(format_args!("{} {message}", paint(BAD, "error:")));
                exit
            }
            Err(_) => Exit::Internal,
        };
        match cx.out.error().map(ToString::to_string) {
            Some(error) => {
                let what = "cannot write to standard output";
                cx.err.line(format_args!("{} {what}: {error}", paint(BAD, "error:")));
                if exit == Exit::Fine { Exit::Usage } else { exit }
            }
            None => exit,
        }
    }
}

fn command(cx: &mut Context<'_>, top: &Top) -> Result<Exit, Failure> {
    match &top.command {
        None => commands::sweep::main_job(cx, &top.sweep),
        #[cfg(unix)]
        Some(Command::Run(args)) if args.real.real => real::run(cx, args),
        Some(Command::Bench(args)) if args.claims => bench::claims::run(cx, args),
        Some(Command::Bench(args)) => bench::run(cx, args),
        Some(Command::Calibrate(args)) => bench::calibrate::run(cx, args),
        Some(Command::BenchProcess) => Ok(bench::process()),
        #[cfg(unix)]
        Some(Command::RealProcess) => Ok(real::process::run()),
        Some(Command::Run(args)) => commands::sweep::run(cx, args),
        Some(Command::List(args)) => commands::list::list(cx, args),
        Some(Command::Replay(args)) => commands::replay::replay(cx, args),
        Some(Command::Shrink(args)) => commands::shrink::shrink(cx, args),
        Some(Command::Script(args)) => commands::script::script(cx, args),
        Some(Command::Show(args)) => commands::show::show(cx, args),
        Some(Command::Diff(args)) => commands::diff::diff(cx, args),
        Some(Command::Zoo(args)) => commands::zoo::zoo(cx, args),
        Some(Command::Explore(args)) => commands::explore::explore(cx, args),
        Some(Command::Audit(args)) => commands::audit::audit(cx, args),
        #[cfg(target_os = "linux")]
        Some(Command::Litmus(args)) => commands::litmus::litmus(cx, args),
    }
}

/// A sink that drops colours.
struct Plain<'a>(&'a mut dyn Write);

impl Write for Plain<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.0.write_all(anstream::adapter::strip_str(&text).to_string().as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Panics outside engines are mistakes of the tool or of a testbed: says so, and what to do.
fn announce_panics() {
    let former = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        former(info);
        let version = env!("CARGO_PKG_VERSION");
        // Standard error may be gone; there is nothing else to tell it to.
        let _ = writeln!(
            std::io::stderr(),
            "internal error of seedbed {version}, not of the engine under test. Please report the \
             lines above with the command line and, if a trace was involved, the trace file; run \
             again with RUST_BACKTRACE=1 for more."
        );
    }));
}
