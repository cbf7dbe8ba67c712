//! The first difference of two traces.
//!
//! What a run *is* comes first (scenario, seed, plan, workload), then what it decided, what
//! happened, and how it ended. The build is compared last: two builds whose runs are equal but for
//! it are the common good case.

use std::fmt;

use crate::model::{Decision, DecisionMode, Header, Trace, Verdict};
use crate::render::{escape, render_decision, render_event, render_verdict};

/// Events shown before the first one that differs.
const COMMON_EVENTS: usize = 3;

/// The first difference of two traces; texts are rendered, and none means "is not there".
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Diff {
    /// There is none.
    Same,
    /// The runs are not of the same thing, or not of the same build.
    Header {
        /// Which field.
        field: &'static str,
        /// The field on the left.
        left: String,
        /// The field on the right.
        right: String,
    },
    /// The clients do something else.
    Workload {
        /// Number of the operation, from 0.
        op: usize,
        /// The operation on the left.
        left: Option<String>,
        /// The operation on the right.
        right: Option<String>,
    },
    /// Something was decided differently.
    Decision {
        /// Number of the decision among those compared, from 0.
        number: usize,
        /// The decision on the left.
        left: Option<String>,
        /// The decision on the right.
        right: Option<String>,
    },
    /// Something else happened.
    Event {
        /// Number of the event in the trace, from 0.
        number: usize,
        /// The last events before, which are the same on both sides.
        common: Vec<String>,
        /// The event on the left.
        left: Option<String>,
        /// The event on the right.
        right: Option<String>,
    },
    /// All that was recorded is the same, but the run ended differently.
    End {
        /// `digest`, `verdict`, or a count.
        field: &'static str,
        /// The field on the left.
        left: String,
        /// The field on the right.
        right: String,
    },
}

/// Names the first difference of two traces.
pub fn diff(left: &Trace, right: &Trace) -> Diff {
    diff_identity(&left.header, &right.header)
        .or_else(|| diff_workload(left, right))
        .or_else(|| diff_decisions(left, right))
        .or_else(|| diff_events(left, right))
        .or_else(|| diff_end(left, right))
        .or_else(|| diff_build(left, right))
        .unwrap_or(Diff::Same)
}

/// Which of the fields differs first.
fn first_field<const N: usize>(
    fields: [(&'static str, String, String); N],
) -> Option<(&'static str, String, String)> {
    fields.into_iter().find(|(_, left, right)| left != right)
}

fn diff_identity(left: &Header, right: &Header) -> Option<Diff> {
    let pair = |name, of: &dyn Fn(&Header) -> String| (name, of(left), of(right));
    let settings = |header: &Header| {
        let settings = header.settings.iter().map(|(name, value)| format!("{name} = {value}"));
        settings.collect::<Vec<_>>().join(", ")
    };
    let (field, left, right) = first_field([
        pair("scenario", &|header| header.scenario.clone()),
        pair("seed", &|header| header.seed.to_string()),
        pair("settings", &settings),
        pair("plan", &|header| header.plan.clone()),
        pair("config_digest", &|header| format!("{:016x}", header.config_digest)),
    ])?;
    let (left, right) = match field {
        "plan" => first_line_that_differs(&left, &right),
        _ => (escape(&left), escape(&right)),
    };
    Some(Diff::Header { field, left, right })
}

/// The first line that differs, on both sides.
fn first_line_that_differs(left: &str, right: &str) -> (String, String) {
    let (mut left, mut right) = (left.lines(), right.lines());
    loop {
        match (left.next(), right.next()) {
            (Some(a), Some(b)) if a == b => {}
            (None, None) => return ("(line ends)".to_owned(), "(other line ends)".to_owned()),
            (a, b) => {
                let shown = |line: Option<&str>| line.map_or("(nothing)".to_owned(), escape);
                return (shown(a), shown(b));
            }
        }
    }
}

fn diff_workload(left: &Trace, right: &Trace) -> Option<Diff> {
    let (left, right) = (&left.workload.ops, &right.workload.ops);
    let op = first_difference(left, right)?;
    let same_text = left.get(op).map(|op| &op.text) == right.get(op).map(|op| &op.text);
    let shown = |ops: &[crate::OpText]| {
        let op = ops.get(op)?;
        let bytes = op.bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let text = escape(&op.text);
        Some(if same_text { format!("{text} (bytes {bytes})") } else { text })
    };
    Some(Diff::Workload { op, left: shown(left), right: shown(right) })
}

fn diff_decisions(left: &Trace, right: &Trace) -> Option<Diff> {
    if left.mode == right.mode {
        return diff_decision_lists(&left.decisions, &right.decisions);
    }
    // A sparse trace leaves out zeros; compare what both could hold.
    let nonzero = |trace: &Trace| {
        let decisions = trace.decisions.iter();
        decisions.filter(|decision| decision.value != 0).cloned().collect::<Vec<_>>()
    };
    diff_decision_lists(&nonzero(left), &nonzero(right))
}

fn diff_decision_lists(left: &[Decision], right: &[Decision]) -> Option<Diff> {
    let number = first_difference(left, right)?;
    let shown = |decisions: &[Decision]| decisions.get(number).map(render_decision);
    Some(Diff::Decision { number, left: shown(left), right: shown(right) })
}

fn diff_events(left: &Trace, right: &Trace) -> Option<Diff> {
    let (left, right) = (&left.events, &right.events);
    let number = first_difference(left, right)?;
    let common = &left[number.saturating_sub(COMMON_EVENTS)..number];
    Some(Diff::Event {
        number,
        common: common.iter().map(render_event).collect(),
        left: left.get(number).map(render_event),
        right: right.get(number).map(render_event),
    })
}

fn diff_end(left: &Trace, right: &Trace) -> Option<Diff> {
    let pair = |name, of: &dyn Fn(&Trace) -> String| (name, of(left), of(right));
    let (field, left, right) = first_field([
        pair("events", &|trace| trace.end.events.to_string()),
        pair("decisions", &|trace| trace.end.decisions.to_string()),
        pair("digest", &|trace| trace.end.digest.to_string()),
        pair("verdict", &|trace| render_verdict(&trace.end.verdict)),
        pair("violation", &|trace| violation(&trace.end.verdict)),
    ])?;
    Some(Diff::End { field, left, right })
}

/// What a violation expected and got.
fn violation(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Violation { expected, got, .. } => {
            format!("expected {}, got {}", escape(expected), escape(got))
        }
        _ => String::new(),
    }
}

fn diff_build(left: &Trace, right: &Trace) -> Option<Diff> {
    let pair = |name, of: &dyn Fn(&Trace) -> String| (name, of(left), of(right));
    let (field, left, right) = first_field([
        pair("shrunk", &|trace| trace.header.shrunk.to_string()),
        pair("decision mode", &|trace| match trace.mode {
            DecisionMode::Complete => "complete".to_owned(),
            DecisionMode::Sparse => "sparse".to_owned(),
        }),
        pair("build", &|trace| escape(&trace.header.build)),
        pair("format", &|trace| trace.header.format.to_string()),
    ])?;
    Some(Diff::Header { field, left, right })
}

/// Where two lists differ first, which may be the end of the shorter one.
fn first_difference<T: PartialEq>(left: &[T], right: &[T]) -> Option<usize> {
    let common = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    (common < left.len().max(right.len())).then_some(common)
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sides = |f: &mut fmt::Formatter<'_>, left: &Option<String>, right: &Option<String>| {
            let shown = |side: &Option<String>| side.clone().unwrap_or("(nothing)".to_owned());
            write!(f, "\n  left   {}\n  right  {}", shown(left), shown(right))
        };
        let fields = |f: &mut fmt::Formatter<'_>, left: &str, right: &str| {
            let shown = |side: &str| (!side.is_empty()).then(|| side.to_owned());
            sides(f, &shown(left), &shown(right))
        };
        match self {
            Self::Same => f.write_str("the traces are the same"),
            Self::Header { field, left, right } => {
                write!(f, "the headers differ in {field}")?;
                fields(f, left, right)
            }
            Self::Workload { op, left, right } => {
                write!(f, "the workloads differ at operation {op}")?;
                sides(f, left, right)
            }
            Self::Decision { number, left, right } => {
                write!(f, "the decisions differ at number {number}")?;
                sides(f, left, right)
            }
            Self::Event { number, common, left, right } => {
                write!(f, "the decisions are the same, the events differ at number {number}")?;
                for event in common {
                    write!(f, "\n  both   {event}")?;
                }
                sides(f, left, right)
            }
            Self::End { field, left, right } => {
                write!(f, "all that was recorded is the same, the ends differ in {field}")?;
                fields(f, left, right)
            }
        }
    }
}
