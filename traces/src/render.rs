//! Traces for people: one line per event, in fixed columns.
//!
//! No colour here: [`Line`] keeps the columns apart so that a terminal can colour them. Control
//! characters of names are escaped, so a trace cannot play tricks on a terminal.

use std::fmt::{self, Write};
use std::ops::Range;

use crate::model::{Decision, DecisionMode, End, Event, Header, Outcome, Trace, Verdict};

/// One event as columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Number, like `#000041`.
    pub seq: String,
    /// Simulated time, like `   1.250 ms`.
    pub time: String,
    /// Node, boot and task, like `n0.b2 t3`.
    pub place: String,
    /// What was done.
    pub op: String,
    /// On what, and how.
    pub subject: String,
    /// What came of it, and what was injected.
    pub outcome: String,
    /// Source location of the call.
    pub site: String,
}

impl Line {
    /// The columns of an event.
    pub fn new(event: &Event) -> Self {
        let subject = match event.detail.is_empty() {
            true => escape(&event.subject),
            false => format!("{} {}", escape(&event.subject), escape(&event.detail)),
        };
        let outcome = render_outcome(event.outcome);
        let outcome = match &event.cause {
            Some(cause) => format!("{outcome} (injected: {})", escape(cause)),
            None => outcome,
        };
        Self {
            seq: format!("#{:06}", event.seq),
            time: render_time(event.at_ns),
            place: format!("n{}.b{} t{}", event.node, event.boot, event.task),
            op: escape(&event.op),
            subject: subject.trim_start().to_owned(),
            outcome: outcome.trim_start().to_owned(),
            site: event.site.as_deref().map(escape).unwrap_or_default(),
        }
    }

    /// Each column's text and the width that it is padded to, in characters.
    pub fn columns(&self) -> [(&str, usize); 7] {
        [
            (&self.seq, 7),
            (&self.time, 11),
            (&self.place, 9),
            (&self.op, 11),
            (&self.subject, 42),
            (&self.outcome, 32),
            (&self.site, 0),
        ]
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = String::new();
        for (text, width) in self.columns() {
            write!(line, "{text:width$}  ")?;
        }
        f.write_str(line.trim_end())
    }
}

/// A time in a unit for people, always as wide and with the same precision.
pub fn render_time(ns: u64) -> String {
    let (unit_ns, unit) = match ns {
        0..1_000 => return format!("{ns:>8} ns"),
        1_000..1_000_000 => (1_000, "us"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s "),
    };
    let (whole, thousandths) = (ns / unit_ns, ns % unit_ns / (unit_ns / 1_000));
    format!("{whole:>4}.{thousandths:03} {unit}")
}

/// Text with control and direction characters escaped.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        let reorders = matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match character.is_control() || reorders {
            true => escaped.extend(character.escape_default()),
            false => escaped.push(character),
        }
    }
    escaped
}

fn render_outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::None => String::new(),
        Outcome::Done(0) => "ok".to_owned(),
        Outcome::Done(value) => format!("ok {value}"),
        Outcome::Failed { code } => match error_name(code) {
            Some(name) => name.to_owned(),
            None => format!("error {code}"),
        },
    }
}

/// Names of the error numbers (Linux's) that a simulated world returns.
fn error_name(code: i32) -> Option<&'static str> {
    Some(match code {
        1 => "EPERM",
        2 => "ENOENT",
        4 => "EINTR",
        5 => "EIO",
        9 => "EBADF",
        11 => "EAGAIN",
        13 => "EACCES",
        17 => "EEXIST",
        20 => "ENOTDIR",
        21 => "EISDIR",
        22 => "EINVAL",
        27 => "EFBIG",
        28 => "ENOSPC",
        30 => "EROFS",
        32 => "EPIPE",
        39 => "ENOTEMPTY",
        104 => "ECONNRESET",
        110 => "ETIMEDOUT",
        111 => "ECONNREFUSED",
        116 => "ESTALE",
        _ => return None,
    })
}

/// One line for an event.
pub fn render_event(event: &Event) -> String {
    Line::new(event).to_string()
}

/// One line for a decision, like `disk.latency[3] = 17 of 0..90`.
pub fn render_decision(decision: &Decision) -> String {
    let Decision { label, nth, bound, value } = decision;
    format!("{}[{nth}] = {value} of 0..{bound}", escape(label))
}

/// Several lines for a header, one per field.
pub fn render_header(header: &Header) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: &dyn fmt::Display| {
        let line = format!("{name:<9} {}", escape(&value.to_string()));
        text.push_str(line.trim_end());
        text.push('\n');
    };
    field("scenario", &header.scenario);
    field("seed", &header.seed);
    field("build", &header.build);
    field("config", &format_args!("{:016x}", header.config_digest));
    field("format", &header.format);
    for (name, value) in &header.settings {
        field("setting", &format_args!("{name} = {value}"));
    }
    if header.shrunk {
        field("shrunk", &"yes: made smaller after the run that found it");
    }
    for line in header.plan.lines().filter(|line| !line.trim().is_empty()) {
        field("plan", &line);
    }
    text
}

/// One line for a verdict.
pub(crate) fn render_verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Unfinished => "unfinished: the recording broke off".to_owned(),
        Verdict::Passed => "passed: all laws held".to_owned(),
        Verdict::Violation { law, at_event, at_decision, .. } => {
            let law = escape(law);
            format!("violation of {law} at event {at_event}, decision {at_decision}")
        }
        Verdict::Inconclusive { reason } => format!("inconclusive: {}", escape(reason)),
    }
}

/// Several lines for an end: verdict, counts, digest.
pub fn render_end(end: &End) -> String {
    let End { digest, events, decisions, verdict } = end;
    let mut text = format!("verdict   {}\n", render_verdict(verdict));
    if let Verdict::Violation { expected, got, .. } = verdict {
        let (expected, got) = (escape(expected), escape(got));
        text.push_str(&format!("expected  {expected}\ngot       {got}\n"));
    }
    text + &format!("totals    {events} events, {decisions} decisions\ndigest    {digest}\n")
}

/// A whole trace, or the events whose number is in the window.
pub fn render(trace: &Trace, window: Option<Range<u64>>) -> String {
    let mut text = render_header(&trace.header);
    for (number, op) in trace.workload.ops.iter().enumerate() {
        text.push_str(&format!("op {number:<6} {}\n", escape(&op.text)));
    }
    let kept = match trace.mode {
        DecisionMode::Complete => "complete",
        DecisionMode::Sparse => "sparse: all others are 0",
    };
    text.push_str(&format!("decisions {} ({kept})\n\n", trace.decisions.len()));
    let shown = |event: &&Event| window.as_ref().is_none_or(|window| window.contains(&event.seq));
    let mut left_out = 0;
    for event in &trace.events {
        match shown(&event) {
            true => {
                text.push_str(&render_event(event));
                text.push('\n');
            }
            false => left_out += 1,
        }
    }
    if left_out > 0 {
        text.push_str(&format!("({left_out} events outside the window)\n"));
    }
    text.push('\n');
    text.push_str(&render_end(&trace.end));
    text
}
