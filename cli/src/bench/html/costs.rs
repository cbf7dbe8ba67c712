//! What an operation costs: CPU time by class, syncs, bytes.

use std::collections::BTreeMap;

use maud::{Markup, html};
use seedbed_hardware::bench::Class;

use super::rows::{Mark, Row, Rows};
use super::scale::Scale;
use super::svg::{COLOURS, Tick, both};
use super::{figure, section, units};
use crate::bench::Done;
use crate::bench::measure::Measured;
use crate::bench::report::{Middle, cpu_per_operation};

/// Classes with a colour of their own; the others share the last one.
const CLASSES: usize = COLOURS - 1;

pub(super) fn show(done: &[&Done]) -> Option<Markup> {
    let syncs = |middle: &Middle| middle.syncs;
    let written = |middle: &Middle| middle.written;
    let figures = [
        cpu(done),
        bars(done, ("Syncs", "syncs of an operation"), syncs, &COUNTS),
        bars(done, ("Written", "bytes of an operation"), written, &BYTES),
    ];
    let figures: Vec<Markup> = figures.into_iter().flatten().collect();
    if figures.is_empty() {
        return None;
    }
    let about = html! {
        "What one operation takes of the processor and asks of the disk. Operations that share a \
         sync have less than one each. Shorter is better."
    };
    Some(section(
        "costs",
        "Cost of an operation",
        &about,
        html! {
            div class="figures" { @for figure in figures { (figure) } }
        },
    ))
}

/// How a quantity is drawn.
struct Unit {
    scale: fn(&[f64]) -> Scale,
    text: fn(f64) -> String,
    tick: fn(f64) -> String,
}

const COUNTS: Unit = Unit {
    scale: |values| Scale::linear(values.iter().copied()),
    text: units::count,
    tick: units::count_tick,
};
const BYTES: Unit = Unit {
    scale: |values| Scale::bytes(values.iter().copied()),
    text: units::bytes,
    tick: units::bytes_tick,
};

/// One bar for each workload; nothing if all are 0.
fn bars(
    done: &[&Done],
    (title, axis_name): (&str, &str),
    of: fn(&Middle) -> f64,
    unit: &Unit,
) -> Option<Markup> {
    let Unit { scale, text, tick } = unit;
    let value = |done: &&Done| of(&Middle::of(&done.measured));
    let values: Vec<f64> = done.iter().map(value).collect();
    values.iter().find(|value| **value > 0.0)?;
    let scale = scale(&values);
    let row = |(done, value): (&&Done, &f64)| {
        let name = done.workload.to_string();
        let (title, note) = (format!("{name}: {}", text(*value)), text(*value));
        let (class, word) = ("c0".to_owned(), String::new());
        let marks = vec![Mark::Bar { from: 0.0, to: *value, class, title, word }];
        Row { name, note, note_class: "", marks }
    };
    let rows = Rows {
        scale,
        ticks: ticks(scale, *tick),
        axis_name,
        rules: Vec::new(),
        rows: done.iter().zip(&values).map(row).collect(),
    };
    let words = format!("{title} of an operation, for each workload");
    Some(figure(title, "medians of the rounds", both(&words, |width| rows.draw(width))))
}

fn ticks(scale: Scale, name: fn(f64) -> String) -> Vec<Tick> {
    scale.ticks(5).into_iter().map(|value| (value, name(value))).collect()
}

/// Classes that use most over all workloads, with the most first. What is nowhere a hundredth would
/// not be seen.
fn largest<'a>(done: &[&'a Done]) -> Vec<&'a str> {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for Done { measured, .. } in done {
        let operations = operations(measured);
        let total: f64 = measured.ended.threads.values().map(|ns| *ns as f64).sum();
        let is_seen = |class: &Class| class.cpu_ns as f64 >= total / 100.0;
        for (name, class) in classes(measured).filter(|(_, class)| is_seen(class)) {
            *sums.entry(name).or_default() += class.cpu_ns as f64 / operations;
        }
    }
    let mut names: Vec<(&str, f64)> = sums.into_iter().collect();
    // Stable: names that use the same stay in the order of the alphabet.
    names.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    names.into_iter().map(|(name, _)| name).take(CLASSES).collect()
}

/// The classes of a workload. `other` is what is in none.
fn classes(measured: &Measured) -> impl Iterator<Item = (&String, &Class)> {
    measured.ended.classes.iter().filter(|(name, _)| *name != "other")
}

fn operations(measured: &Measured) -> f64 {
    let operations = measured.rounds.iter().map(|round| round.operations as f64);
    operations.sum::<f64>().max(1.0)
}

/// A part of an operation's CPU time: its name, its colour, and nanoseconds.
type Part<'a> = (&'a str, String, f64);

/// An operation's CPU time in parts: large classes, other ones, and what is in none.
fn parts<'a>(measured: &Measured, large: &[&'a str]) -> Vec<Part<'a>> {
    let operations = operations(measured);
    let of = |name: &str| {
        measured.ended.classes.get(name).map_or(0.0, |class| class.cpu_ns as f64 / operations)
    };
    let all: f64 = classes(measured).map(|(_, class)| class.cpu_ns as f64).sum();
    let all = all / operations;
    let large: Vec<Part<'a>> =
        large.iter().enumerate().map(|(nth, name)| (*name, format!("c{nth}"), of(name))).collect();
    let shown: f64 = large.iter().map(|(_, _, ns)| ns).sum();
    let total = cpu_per_operation(measured);
    let rest = [
        ("other classes", format!("c{CLASSES}"), all - shown),
        ("in no class", "rest".to_owned(), total - all),
    ];
    large.into_iter().chain(rest).filter(|(_, _, ns)| *ns > 0.5).collect()
}

fn cpu(done: &[&Done]) -> Option<Markup> {
    let large = largest(done);
    let all: Vec<Vec<Part<'_>>> = done.iter().map(|done| parts(&done.measured, &large)).collect();
    let sum = |parts: &Vec<Part<'_>>| parts.iter().map(|(_, _, ns)| ns).sum::<f64>();
    let sums: Vec<f64> = all.iter().map(sum).collect();
    sums.iter().find(|sum| **sum > 0.0)?;
    let scale = Scale::linear(sums.iter().copied());
    let row = |((done, parts), sum): ((&&Done, &Vec<Part<'_>>), &f64)| {
        let mut from = 0.0;
        let bar = |(name, class, ns): &Part<'_>| {
            let share = ns * 100.0 / sum;
            let title = format!("{name}: {}, {share:.0} %", units::time(*ns));
            let to = from + ns;
            let bar =
                Mark::Bar { from, to, class: class.clone(), title, word: format!("{share:.0} %") };
            from = to;
            bar
        };
        let marks = parts.iter().map(bar).collect();
        Row { name: done.workload.to_string(), note: units::time(*sum), note_class: "", marks }
    };
    let rows = Rows {
        scale,
        ticks: ticks(scale, units::time_tick),
        axis_name: "CPU time of an operation, all threads",
        rules: Vec::new(),
        rows: done.iter().zip(&all).zip(&sums).map(row).collect(),
    };
    let mut names: Vec<(&str, &str)> = Vec::new();
    let order = large.iter().copied().chain(["other classes", "in no class"]);
    for name in order {
        let found = all.iter().flatten().find(|(part, _, _)| *part == name);
        names.extend(found.map(|(name, class, _)| (*name, class.as_str())));
    }
    let chart = both("CPU time of an operation by class, for each workload", |w| rows.draw(w));
    Some(figure(
        "CPU time by class",
        "all threads, system calls included",
        html! {
            ul class="legend" {
                @for (name, class) in &names {
                    li { span class={ "block " (class) } {} (name) }
                }
            }
            (chart)
        },
    ))
}
