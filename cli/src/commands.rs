//! The commands, one file each; what they share is in [`Context`].

use std::sync::atomic::{AtomicBool, Ordering};

use seedbed::Scenario;

use crate::output::Output;
use crate::progress::Show;

pub(crate) mod audit;
#[cfg(target_os = "linux")]
mod conform;
pub(crate) mod diff;
pub(crate) mod explore;
pub(crate) mod list;
#[cfg(target_os = "linux")]
pub(crate) mod litmus;
pub(crate) mod replay;
pub(crate) mod script;
pub(crate) mod show;
pub(crate) mod shrink;
pub(crate) mod sweep;
pub(crate) mod zoo;

/// What every command is given.
pub(crate) struct Context<'a> {
    /// Name of the program, for commands that are shown.
    pub program: &'a str,
    pub scenarios: &'a [Box<dyn Scenario>],
    /// Seeds of each scenario without a command.
    pub main_seeds: &'a dyn Fn(&str) -> u64,
    pub out: Output<'a>,
    pub err: Output<'a>,
    /// How progress is shown unless it is switched off.
    pub show: Show,
    /// Set when the user wants an end.
    pub stop: &'a AtomicBool,
}

impl Context<'_> {
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn show(&self, quiet: bool) -> Show {
        if quiet { Show::Nothing } else { self.show }
    }
}
