//! Ctrl-C: the first one asks for an orderly end, the second one ends at once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::Exit;

static STOP: AtomicBool = AtomicBool::new(false);

/// Set once the user asked for an end.
pub(crate) fn flag() -> &'static AtomicBool {
    &STOP
}

/// Listens from now on. Without a handler Ctrl-C ends the process as usual.
pub(crate) fn listen() {
    // A program that has its own handler keeps it.
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(Exit::Killed.code().into());
        }
    });
}
