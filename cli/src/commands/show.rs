//! `show`: a trace for people, or as JSON; of a damaged file what is good.

use seedbed::traces::{Trace, render_header};
use serde::Serialize;

use crate::args::ShowArgs;
use crate::commands::Context;
use crate::commands::shrink::body;
use crate::exit::{Exit, Failure};
use crate::finding::ending;

/// Decisions that are listed without being asked for.
const DECISIONS_SHOWN: usize = 40;

#[derive(Serialize)]
struct ShowJson<'a> {
    trace: &'a Trace,
    error: Option<String>,
}

/// Shows a trace.
pub(crate) fn show(cx: &mut Context<'_>, args: &ShowArgs) -> Result<Exit, Failure> {
    let (mut trace, fault) = Trace::salvage(&args.file)?;
    let window = args.events.clone().unwrap_or(0..u64::MAX);
    if args.json {
        trace.events.retain(|event| window.contains(&event.seq));
        let error = fault.as_ref().map(ToString::to_string);
        cx.out.json(&ShowJson { trace: &trace, error });
    } else {
        let most = if args.decisions { usize::MAX } else { DECISIONS_SHOWN };
        cx.out.text(render_header(&trace.header));
        body(cx, &trace, window, most);
        ending(&mut cx.out, &trace);
    }
    match fault {
        Some(fault) => Err(fault.into()),
        None => Ok(Exit::Fine),
    }
}
