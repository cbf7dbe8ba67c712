//! Throughput: over what can be chosen as a number, and for each durability mode.

use maud::{Markup, html};
use seedbed_hardware::Workload;

use super::groups::{Dimension, Group, common, differing, groups, words};
use super::rows::{Mark, Row, Rows};
use super::scale::Scale;
use super::svg::{Axes, COLOURS, Extra, Series, Spot, both, legend};
use super::{figure, section, units};
use crate::bench::Done;
use crate::bench::measure::Measured;

/// Largest over smallest value, above which an axis is logarithmic.
const SPREAD: f64 = 20.0;
/// What a throughput is over, with the name of the axis.
const OVER: [(Dimension, &str, &str); 4] = [
    (Dimension::Clients, "Over clients", "clients side by side"),
    (Dimension::Window, "Over what is under way at once", "operations under way, of each client"),
    (Dimension::BatchRows, "Over the size of a batch", "rows of a batch"),
    (Dimension::ValueBytes, "Over the size of a value", "bytes of a value"),
];

/// Operations a second of the rounds.
#[derive(Clone, Copy)]
struct Rate {
    middle: f64,
    /// The middle half of the rounds.
    half: Option<(f64, f64)>,
}

impl Rate {
    fn of(measured: &Measured) -> Self {
        let rate = |round: &seedbed_hardware::Round| {
            round.operations as f64 * 1e9 / round.elapsed_ns.max(1) as f64
        };
        let mut rates: Vec<f64> = measured.rounds.iter().map(rate).collect();
        rates.sort_by(f64::total_cmp);
        let middle = seedbed_measure::sample::median(&rates).unwrap_or(0.0);
        let (last, quarter) = (rates.len().saturating_sub(1), rates.len().saturating_sub(1) / 4);
        let half = (rates.len() > 1).then(|| (rates[quarter], rates[last - quarter]));
        Self { middle, half }
    }

    fn text(self) -> String {
        let middle = format!("{}/s", units::count(self.middle));
        match self.half {
            Some((low, high)) => {
                format!("{middle}, rounds {} to {}", units::count(low), units::count(high))
            }
            None => middle,
        }
    }
}

pub(super) fn show(done: &[&Done]) -> Option<Markup> {
    // What arrives by itself is not the engine's throughput.
    let closed = done.iter().copied().filter(|done| done.workload.rate == 0);
    let closed: Vec<&Done> = closed.collect();
    let workloads: Vec<&Workload> = closed.iter().map(|done| &done.workload).collect();
    let rates: Vec<Rate> = closed.iter().map(|done| Rate::of(&done.measured)).collect();
    let mut figures = Vec::new();
    for (dimension, title, axis) in OVER {
        let groups = groups(&workloads, dimension);
        for groups in groups.chunks(COLOURS) {
            figures.push(over(&workloads, &rates, groups, (title, axis)));
        }
    }
    for group in groups(&workloads, Dimension::Durability) {
        figures.push(modes(&workloads, &rates, &group));
    }
    if figures.is_empty() {
        return None;
    }
    let about = html! {
        "Operations that are acknowledged in a second, when clients begin the next one as soon as \
         one is done. Higher is better. Points are medians of the rounds, lines across them the \
         middle half of the rounds."
    };
    Some(section(
        "throughput",
        "Throughput",
        &about,
        html! {
            div class="figures" { @for figure in figures { (figure) } }
        },
    ))
}

/// An axis for values above 0: from 0 if they are alike enough.
fn axis(values: &[f64]) -> Scale {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    match least > 0.0 && most / least > SPREAD {
        true => Scale::log(values.iter().copied()),
        false => Scale::linear(values.iter().copied()),
    }
}

/// All that an axis has to reach.
fn reach(rates: impl IntoIterator<Item = Rate>) -> Vec<f64> {
    let ends = |rate: Rate| {
        let (low, high) = rate.half.unwrap_or((rate.middle, rate.middle));
        [rate.middle, low, high]
    };
    rates.into_iter().flat_map(ends).collect()
}

fn over(
    all: &[&Workload],
    rates: &[Rate],
    groups: &[Group],
    (title, axis_name): (&str, &str),
) -> Markup {
    let dimension = groups[0].dimension;
    let members = || groups.iter().flat_map(|group| &group.members);
    let shown: Vec<&Workload> = members().map(|place| all[*place]).collect();
    let mut between = differing(&shown);
    between.retain(|one| *one != dimension);
    let number = |place: usize| dimension.number(all[place]).unwrap_or(0.0);
    let lines = groups.iter().enumerate().map(|(nth, group)| {
        let spot = |place: &usize| Spot {
            x: number(*place),
            y: rates[*place].middle,
            interval: rates[*place].half,
            title: Some(format!("{}: {}", dimension.text(all[*place]), rates[*place].text())),
            is_thin: false,
        };
        Series {
            name: match between.is_empty() {
                true => "operations a second".to_owned(),
                false => words(all[group.members[0]], &between),
            },
            colour: nth,
            spots: group.members.iter().map(spot).collect(),
        }
    });
    let lines: Vec<Series> = lines.collect();
    let y = axis(&reach(members().map(|place| rates[*place])));
    let mut numbers: Vec<f64> = members().map(|place| number(*place)).collect();
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    let (least, most) = (numbers[0], numbers[numbers.len() - 1]);
    let name = |number: f64| match dimension {
        Dimension::ValueBytes => units::bytes_tick(number),
        _ => units::exact_tick(number),
    };
    let axes = Axes {
        x: Scale::log_between(least / 1.15, most * 1.15),
        y,
        x_name: axis_name,
        y_name: "operations a second",
        x_ticks: numbers.iter().map(|number| (*number, name(*number))).collect(),
        y_ticks: y.ticks(6).into_iter().map(|rate| (rate, units::count_tick(rate))).collect(),
    };
    let names: Vec<&str> = lines.iter().map(|line| &*line.name).collect();
    let words = format!("Throughput {}: {}", title.to_lowercase(), names.join("; "));
    let chart = both(&words, |width| axes.draw(width, &lines, &Extra::default()));
    let names =
        (!between.is_empty()).then(|| legend(lines.iter().map(|line| (line.colour, &*line.name))));
    figure(
        title,
        &common(&shown, &[dimension]),
        html! { @if let Some(names) = names { (names) } (chart) },
    )
}

fn modes(all: &[&Workload], rates: &[Rate], group: &Group) -> Markup {
    let of = |place: &usize| rates[*place];
    let scale = axis(&reach(group.members.iter().map(of)));
    let row = |place: &usize| {
        let (rate, class) = (of(place), "c0".to_owned());
        let name = Dimension::Durability.text(all[*place]);
        let title = format!("{name}: {}", rate.text());
        let mut marks = Vec::new();
        // A bar without its zero would say nothing.
        match scale.is_log() {
            true => {
                marks.push(Mark::Dot { at: rate.middle, shape: 0, class: class.clone(), title })
            }
            false => {
                let class = class.clone();
                let word = String::new();
                marks.push(Mark::Bar { from: 0.0, to: rate.middle, class, title, word });
            }
        }
        if let Some((low, high)) = rate.half {
            let class = if scale.is_log() { class } else { "over-bar".to_owned() };
            marks.push(Mark::Whisker { low, high, class });
        }
        let note = format!("{}/s", units::count(rate.middle));
        // What is lost with the power is fast for a reason.
        let note_class = if all[*place].is_durable() { "" } else { "dim" };
        let name = if all[*place].is_durable() { name } else { format!("{name} *") };
        Row { name, note, note_class, marks }
    };
    let rows = Rows {
        scale,
        ticks: scale.ticks(6).into_iter().map(|one| (one, units::count_tick(one))).collect(),
        axis_name: "operations a second",
        rules: Vec::new(),
        rows: group.members.iter().map(row).collect(),
    };
    let shown: Vec<&Workload> = group.members.iter().map(|place| all[*place]).collect();
    let chart = both("Throughput of each durability mode", |width| rows.draw(width));
    let some_lose = shown.iter().any(|workload| !workload.is_durable());
    figure(
        "By durability",
        &common(&shown, &[]),
        html! {
            (chart)
            @if some_lose {
                p class="aside" { "* An acknowledged operation may be lost with the power." }
            }
        },
    )
}
