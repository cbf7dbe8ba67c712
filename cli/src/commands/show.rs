//! `show`: a trace for people, or as JSON; of a damaged file what is good.

use std::ops::Range;

use seedbed::traces::{Trace, escape, render_decision, render_header};
use serde::Serialize;

use crate::args::ShowArgs;
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::finding::{ending, event_line};
use crate::output::{HEAD, paint};

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
        ending(cx, &trace);
    }
    match fault {
        Some(fault) => Err(fault.into()),
        None => Ok(Exit::Fine),
    }
}

/// Operations, decisions that are not 0, and events of a trace.
fn body(cx: &mut Context<'_>, trace: &Trace, events: Range<u64>, decisions_max: usize) {
    cx.out.line(format_args!("{} {}", paint(HEAD, "operations"), trace.workload.ops.len()));
    for (number, op) in trace.workload.ops.iter().enumerate() {
        cx.out.line(format_args!("  {number:<6} {}", escape(&op.text)));
    }
    let stated: Vec<_> = trace.decisions.iter().filter(|decision| decision.value != 0).collect();
    let count = stated.len();
    cx.out.line(format_args!("{} {count} (others are 0)", paint(HEAD, "decisions")));
    match count > decisions_max {
        true => cx.out.line("  (--decisions lists them)"),
        false => {
            for decision in stated {
                cx.out.line(format_args!("  {}", escape(&render_decision(decision))));
            }
        }
    }
    cx.out.line(format_args!("{} {}", paint(HEAD, "events"), trace.events.len()));
    let mut outside = 0;
    for event in &trace.events {
        match events.contains(&event.seq) {
            true => cx.out.line(format_args!("  {}", event_line(event))),
            false => outside += 1,
        }
    }
    if outside > 0 {
        cx.out.line(format_args!("  ({outside} events outside the window)"));
    }
    cx.out.line("");
}
