//! A violation with everything that a person needs to go on: its recorded run, its trace file, and
//! the commands that replay and shrink it.

use std::fs;
use std::path::{Path, PathBuf};

use seedbed::traces::{Event, Line, Trace, Verdict, escape, render_end};
use seedbed::{Found, Job, LAW_DETERMINISTIC, Law, Scenario, record};
use serde::Serialize;

use crate::commands::Context;
use crate::output::{BAD, DIM, HEAD, NOTE, Output, paint};
use crate::settings::Target;

/// Events shown around the one at which a violation was noticed.
const EVENTS_SHOWN: usize = 12;

/// A violation, recorded.
pub(crate) struct Finding {
    pub program: String,
    pub found: Found,
    pub scenario: String,
    /// What the law demands here.
    pub expected: String,
    pub events: Vec<Event>,
    /// Where the trace is, or why there is none.
    pub trace: Result<PathBuf, String>,
    /// The command that runs the seed again.
    pub replay_seed: String,
}

/// A violation as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct FindingJson<'a> {
    seed: u64,
    law: &'a str,
    expected: &'a str,
    got: &'a str,
    at_event: u64,
    at_decision: u64,
    trace: Option<String>,
    replay: String,
    shrink: Option<String>,
}

impl Finding {
    /// Runs the seed again with everything recorded, and writes its trace.
    pub(crate) fn new(
        program: &str,
        scenario: &dyn Scenario,
        target: &Target,
        found: Found,
        folder: &Path,
    ) -> Self {
        let trace = record(scenario, &job(target, found.seed));
        let path = folder.join(file_name(scenario.name(), target, found.seed));
        let written = write(&trace, &path).map(|()| path);
        Self { trace: written, ..Self::of_trace(program, scenario, target, found, &trace) }
    }

    /// Of a run that is recorded already, without a file.
    pub(crate) fn of_trace(
        program: &str,
        scenario: &dyn Scenario,
        target: &Target,
        found: Found,
        trace: &Trace,
    ) -> Self {
        Self {
            program: program.to_owned(),
            scenario: scenario.name().to_owned(),
            expected: demanded(scenario.laws(), &found.violation.law, &found.violation.expected),
            events: window(trace, found.violation.at_event),
            trace: Err("it was not asked for: --trace FILE writes it".to_owned()),
            replay_seed: replay_seed(program, scenario.name(), target, found.seed),
            found,
        }
    }

    fn path(&self) -> Option<String> {
        self.trace.as_ref().ok().map(|path| path.to_string_lossy().into_owned())
    }

    fn replay(&self) -> String {
        let of_file = |path: String| format!("{} replay {}", self.program, quote(&path));
        self.path().map_or(self.replay_seed.clone(), of_file)
    }

    fn shrink(&self) -> Option<String> {
        self.path().map(|path| format!("{} shrink {}", self.program, quote(&path)))
    }

    /// The violation as JSON.
    pub(crate) fn json(&self) -> FindingJson<'_> {
        let violation = &self.found.violation;
        FindingJson {
            seed: self.found.seed,
            law: &violation.law,
            expected: &violation.expected,
            got: &violation.got,
            at_event: violation.at_event,
            at_decision: violation.at_decision,
            trace: self.path(),
            replay: self.replay(),
            shrink: self.shrink(),
        }
    }

    /// One line.
    pub(crate) fn brief(&self, out: &mut Output<'_>) {
        let Found { seed, violation } = &self.found;
        let law = paint(BAD, escape(&violation.law));
        out.line(format_args!("violation: {law} at seed {seed} of {}", self.scenario));
    }

    /// The whole report.
    pub(crate) fn report(&self, out: &mut Output<'_>) {
        let Found { seed, violation } = &self.found;
        out.line("");
        let law = paint(BAD, escape(&violation.law));
        out.line(format_args!("{} {law}", paint(BAD, "violation:")));
        field(out, "scenario", &format!("{}, seed {seed}", self.scenario));
        field(out, "expected", &self.expected);
        field(out, "got", &violation.got);
        let at = format!("event {}, decision {}", violation.at_event, violation.at_decision);
        field(out, "noticed", &at);
        if !self.events.is_empty() {
            out.line(format_args!("  {}", paint(HEAD, "events")));
        }
        for event in &self.events {
            out.line(format_args!("    {}", event_line(event)));
        }
        match &self.trace {
            Ok(path) => field(out, "trace", &path.to_string_lossy()),
            Err(reason) => field(out, "trace", &format!("none: {reason}")),
        }
        field(out, "replay:", &self.replay());
        if self.trace.is_ok() {
            field(out, "or:", &self.replay_seed);
        }
        if let Some(shrink) = self.shrink() {
            field(out, "shrink:", &shrink);
        }
    }
}

/// The job of a seed.
pub(crate) fn job(target: &Target, seed: u64) -> Job {
    Job { plant: target.plant.clone(), ..Job::new(seed, target.plan.clone()) }
}

/// A named value, whose further lines are indented.
fn field(out: &mut Output<'_>, name: &str, value: &str) {
    let name = format!("{name:<9}");
    let mut lines = value.lines();
    let first = escape(lines.next().unwrap_or_default());
    out.line(format_args!("  {} {first}", paint(HEAD, name)));
    for line in lines {
        out.line(format_args!("            {}", escape(line)));
    }
}

/// The last events up to the one at which a violation was noticed, and that one.
fn window(trace: &Trace, at_event: u64) -> Vec<Event> {
    let upto = trace.events.iter().take_while(|event| event.seq <= at_event);
    let mut events: Vec<_> = upto.cloned().collect();
    events.drain(..events.len().saturating_sub(EVENTS_SHOWN));
    events
}

/// An event in columns, in colours.
pub(crate) fn event_line(event: &Event) -> String {
    let line = Line::new(event);
    let columns = line.columns();
    let Some(last) = columns.iter().rposition(|(text, _)| !text.is_empty()) else {
        return String::new();
    };
    let mut shown = String::new();
    for (index, (text, width)) in columns.into_iter().enumerate().take(last + 1) {
        let width = if index == last { 0 } else { width };
        let padded = format!("{text:width$}");
        let style = match (index, &event.cause, &*event.op) {
            (0 | 1 | 6, ..) => Some(DIM),
            (3, _, "crash" | "power_loss" | "violation") => Some(BAD),
            (5, Some(_), _) => Some(NOTE),
            _ => None,
        };
        shown.push_str(&style.map_or(padded.clone(), |style| paint(style, padded)));
        shown.push_str(if index == last { "" } else { "  " });
    }
    shown
}

/// Verdict, counts and digest of a trace.
pub(crate) fn ending(cx: &mut Context<'_>, trace: &Trace) {
    let mut end = trace.end.clone();
    if let Verdict::Violation { law, expected, .. } = &mut end.verdict {
        let name = &trace.header.scenario;
        let laws = cx.scenarios.iter().find(|scenario| scenario.name() == name);
        let laws = laws.map(|scenario| scenario.laws());
        *expected = demanded(laws.unwrap_or_default(), law, expected);
    }
    cx.out.text(render_end(&end));
}

/// What a law demands here: without its statement, which `list` shows.
fn demanded(laws: Vec<Law>, name: &str, expected: &str) -> String {
    let law = laws.into_iter().chain([LAW_DETERMINISTIC]).find(|law| law.name == name);
    match law.and_then(|law| expected.strip_prefix(law.statement)) {
        Some("") => "what the law says (`list` has its statement)".to_owned(),
        Some(here) => here.trim_start_matches([':', ';', ' ']).to_owned(),
        None => expected.to_owned(),
    }
}

/// Writes a trace, making its folder; says what to do if that cannot be done.
pub(crate) fn write(trace: &Trace, path: &Path) -> Result<(), String> {
    let hint = "choose another folder with --traces DIR, or record the seed with `replay --seed N \
                --trace FILE`";
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|error| {
            format!("cannot make the folder {}: {error}; {hint}", folder.display())
        })?;
    }
    trace.write(path).map_err(|error| format!("{error}; {hint}"))
}

/// `<scenario>-<plant, left-out sync or plan>-seed<N>.trace`.
pub(crate) fn file_name(scenario: &str, target: &Target, seed: u64) -> String {
    let mut parts = vec![scenario.to_owned()];
    parts.extend(target.plant.clone());
    parts.extend(target.omit_sync.iter().map(|site| format!("omit-{site}")));
    if parts.len() == 1 {
        let stem = Path::new(&target.plan_arg).file_stem();
        parts.push(stem.map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default());
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' };
    let name: String = parts.join("-").chars().map(plain).take(NAME_CHARS_MAX).collect();
    format!("{name}-seed{seed}.trace")
}

/// File systems take no longer names than 255 bytes; the seed and the ending come on top.
const NAME_CHARS_MAX: usize = 160;

/// The command that runs a seed again without a trace.
fn replay_seed(program: &str, scenario: &str, target: &Target, seed: u64) -> String {
    let faults = quote(&target.plan_arg);
    let mut command =
        format!("{program} replay --scenario {scenario} --seed {seed} --faults {faults}");
    if let Some(plant) = &target.plant {
        command.push_str(&format!(" --plant {}", quote(plant)));
    }
    for site in &target.omit_sync {
        command.push_str(&format!(" --omit-sync {}", quote(site)));
    }
    command
}

/// An argument as a POSIX shell takes it.
pub(crate) fn quote(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%".contains(c);
    match !argument.is_empty() && argument.chars().all(plain) {
        true => argument.to_owned(),
        false => format!("'{}'", argument.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use seedbed::{LAW_LIVE, LAW_NO_PANIC};

    use super::demanded;

    #[test]
    fn what_is_expected_is_told_without_the_laws_statement() {
        let expected = |text: &str| demanded(vec![LAW_LIVE, LAW_NO_PANIC], LAW_LIVE.name, text);
        let statement = LAW_LIVE.statement;
        assert_eq!(expected(&format!("{statement}: of commits 3 to 5")), "of commits 3 to 5");
        assert_eq!(expected(&format!("{statement}; the last was 7")), "the last was 7");
        assert_eq!(expected("at least 3 bytes"), "at least 3 bytes");
        assert_eq!(expected(statement), "what the law says (`list` has its statement)");
    }
}
