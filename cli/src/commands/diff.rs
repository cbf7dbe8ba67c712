//! `diff`: the first difference of two traces.

use seedbed::traces::{Diff, Trace, diff as diff_traces};

use crate::args::DiffArgs;
use crate::commands::Context;
use crate::exit::{Exit, Failure};

/// Compares two traces.
pub(crate) fn diff(cx: &mut Context<'_>, args: &DiffArgs) -> Result<Exit, Failure> {
    let (left, right) = (Trace::read(&args.left)?, Trace::read(&args.right)?);
    let diff = diff_traces(&left, &right);
    cx.out.line(&diff);
    match diff {
        Diff::Same => Ok(Exit::Fine),
        // How it was made and kept, not what happened: these are compared last.
        Diff::Header { field: "build" | "format" | "shrunk" | "decision mode", .. } => {
            cx.out.line("the runs are the same");
            Ok(Exit::Fine)
        }
        _ => Ok(Exit::Violation),
    }
}
