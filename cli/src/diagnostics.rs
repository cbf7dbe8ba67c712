//! `--log`: what engines say through `tracing`, on standard error, with simulated time.

use std::fmt;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::args::Level;

/// Prints diagnostics from now on. A second call changes nothing.
pub(crate) fn print_from(level: Level) {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_timer(SimulatedTime)
        .with_writer(std::io::stderr);
    // Another subscriber may be in place when the command line is used as a library.
    let _ = lines.try_init();
}

/// The time of the simulation on this thread, as traces show it.
struct SimulatedTime;

impl FormatTime for SimulatedTime {
    fn format_time(&self, to: &mut Writer<'_>) -> fmt::Result {
        match seedbed::simulated_ns() {
            Some(ns) => write!(to, "{:>12}", seedbed::traces::render_time(ns)),
            None => write!(to, "{:>12}", "-"),
        }
    }
}
