//! What an engine costs over bare ways to do the same, and from how many operations in flight on
//! that is worth it.

use maud::{Markup, html};

use super::scale::Scale;
use super::svg::{Axes, Extra, Pin, Series, Spot, both, legend};
use super::{SOUND, figure, section, units};

/// An engine's cost over what is in flight, and what it is held against.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::bench) struct Overhead {
    /// Names, with nanoseconds of an operation.
    pub(in crate::bench) baselines: Vec<(String, f64)>,
    /// Operations in flight, with the engine's nanoseconds of an operation.
    pub(in crate::bench) points: Vec<(f64, f64)>,
}

/// Ratios to a baseline that are looked for, with their names.
const LEVELS: [(f64, &str); 2] = [(1.1, "+10 %"), (1.0, "0 %")];
/// Ratios that an axis may name.
const NAMED: [f64; 14] =
    [1.0, 1.1, 1.5, 2.0, 3.0, 6.0, 11.0, 51.0, 101.0, 1001.0, 0.9, 0.8, 0.5, 0.25];

/// Where an overhead passes a level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Crossing {
    pub(super) in_flight: f64,
    pub(super) is_falling: bool,
}

pub(super) fn show(overhead: &Overhead) -> Option<Markup> {
    let is_sound = |(_, ns): &&(String, f64)| SOUND.contains(ns);
    let baselines: Vec<&(String, f64)> = overhead.baselines.iter().filter(is_sound).collect();
    let mut points = overhead.points.clone();
    points.retain(|(x, y)| SOUND.contains(x) && SOUND.contains(y));
    points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    if baselines.is_empty() || points.is_empty() {
        return None;
    }
    let curves: Vec<Curve> =
        baselines.iter().enumerate().map(|(nth, one)| Curve::of(nth, one, &points)).collect();
    let about = html! {
        "Time for each operation (one second by the throughput) beside that of each way to \
         write that promises nothing, over how many are in flight at once. Where a curve falls to \
         0 % as many operations are done in a second. Crossings are read off between measured \
         points, on the axes as drawn."
    };
    Some(section(
        "overhead",
        "Overhead",
        &about,
        html! {
            div class="figures" { (chart(&curves, &points)) }
            ul class="notes" {
                @for curve in &curves { @for (level, name) in LEVELS {
                    li { (sentence(curve, level, name)) }
                } }
            }
        },
    ))
}

/// The overhead over one baseline.
struct Curve {
    colour: usize,
    name: String,
    /// In flight, and the ratio to the baseline.
    ratios: Vec<(f64, f64)>,
}

impl Curve {
    fn of(colour: usize, (name, ns): &(String, f64), points: &[(f64, f64)]) -> Self {
        let ratios = points.iter().map(|(x, y)| (*x, y / ns)).collect();
        Self { colour, name: name.clone(), ratios }
    }
}

/// Where a curve passes a level, between points as a straight line on logarithmic axes.
pub(super) fn crossings(ratios: &[(f64, f64)], level: f64) -> Vec<Crossing> {
    let between = ratios.windows(2).filter_map(|pair| {
        let [(x0, y0), (x1, y1)] = [pair[0], pair[1]];
        let (above, below) = ((y0 / level).ln(), (y1 / level).ln());
        let is_falling = above > 0.0 && below <= 0.0;
        let is_rising = above <= 0.0 && below > 0.0;
        let part = above / (above - below);
        let in_flight = (x0.ln() + part * (x1.ln() - x0.ln())).exp();
        (is_falling || is_rising).then_some(Crossing { in_flight, is_falling })
    });
    between.collect()
}

fn chart(curves: &[Curve], points: &[(f64, f64)]) -> Markup {
    let ratios = || curves.iter().flat_map(|curve| curve.ratios.iter().map(|(_, ratio)| *ratio));
    let low = ratios().fold(0.95, f64::min) / 1.05;
    let high = ratios().fold(1.3, f64::max) * 1.15;
    let y = Scale::log_between(low, high);
    let (least, most) = (points[0].0, points[points.len() - 1].0);
    let lines = curves.iter().map(|curve| Series {
        name: format!("over {}", curve.name),
        colour: curve.colour,
        spots: curve.ratios.iter().map(|(x, ratio)| spot(*x, *ratio)).collect(),
    });
    let lines: Vec<Series> = lines.collect();
    let axes = Axes {
        x: Scale::log_between(least / 1.15, most * 1.15),
        y,
        x_name: "operations in flight",
        y_name: "overhead over the baseline",
        x_ticks: points.iter().map(|(x, _)| (*x, units::exact_tick(*x))).collect(),
        y_ticks: y_ticks(&y, low, high),
    };
    let pins = curves.iter().flat_map(|curve| {
        LEVELS.into_iter().flat_map(move |(level, name)| {
            crossings(&curve.ratios, level).into_iter().map(
                move |Crossing { in_flight, .. }| {
                    let number = in_flight_text(in_flight);
                    Pin {
                        x: in_flight,
                        y: level,
                        colour: curve.colour,
                        title: format!("{name} over {} at {number} in flight", curve.name),
                        name: number,
                        // Two that are close together are named on both sides.
                        is_below: level == LEVELS[1].0,
                    }
                },
            )
        })
    });
    // The axis names the other one.
    let rules = vec![(LEVELS[0].0, LEVELS[0].1.to_owned()), (LEVELS[1].0, String::new())];
    let extra = Extra { rules, pins: pins.collect() };
    let words = "Overhead over each baseline, over operations in flight";
    let chart = both(words, |width| axes.draw(width, &lines, &extra));
    let names = legend(lines.iter().map(|line| (line.colour, &*line.name)));
    figure("Overhead over what is in flight", "", html! { (names) (chart) })
}

fn spot(in_flight: f64, ratio: f64) -> Spot {
    let title = format!("{} at {} in flight", units::percent(ratio - 1.0), units::count(in_flight));
    Spot { x: in_flight, y: ratio, interval: None, title: Some(title), is_thin: false }
}

/// Names of the axis that do not touch each other, those that matter most first. The levels have
/// names of their own.
fn y_ticks(scale: &Scale, low: f64, high: f64) -> Vec<(f64, String)> {
    let mut kept: Vec<f64> = Vec::new();
    for ratio in NAMED.into_iter().filter(|ratio| (low..=high).contains(ratio)) {
        let is_free = |other: &f64| (scale.place(*other) - scale.place(ratio)).abs() > 0.07;
        if kept.iter().all(is_free) {
            kept.push(ratio);
        }
    }
    kept.sort_by(f64::total_cmp);
    let name = |ratio: f64| match ((ratio - 1.0) * 100.0).round() {
        0.0 => "0 %".to_owned(),
        percent => format!("{percent:+} %").replace('-', "−"),
    };
    kept.into_iter().map(|ratio| (ratio, name(ratio))).collect()
}

fn in_flight_text(number: f64) -> String {
    let digits = usize::from(number < 10.0);
    if number < 1e4 { format!("{number:.digits$}") } else { units::count(number) }
}

fn sentence(curve: &Curve, level: f64, name: &str) -> String {
    let found = crossings(&curve.ratios, level);
    let over = &curve.name;
    if found.is_empty() {
        let is_above = curve.ratios.iter().all(|(_, ratio)| *ratio > level);
        let side = if is_above { "above" } else { "at or below" };
        return format!("Over {over} it is {side} {name} everywhere.");
    }
    let places = found.iter().map(|crossing| {
        let way = if crossing.is_falling { "falls to" } else { "rises above" };
        format!("{way} {name} at about {} in flight", in_flight_text(crossing.in_flight))
    });
    format!("Over {over} it {}.", places.collect::<Vec<_>>().join(", "))
}
