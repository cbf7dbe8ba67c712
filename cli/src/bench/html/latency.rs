//! Latency curves: how slow operations are, from the median to the slowest of ten thousand.

use maud::{Markup, html};
use seedbed_hardware::Workload;

use super::scale::Scale;
use super::svg::{Axes, Extra, Series, Spot, both, legend};
use super::{figure, groups, section, units};
use crate::bench::Done;
use crate::bench::measure::Measured;

/// Fewest latencies beyond a place on which a solid line rests, as in the judgement.
const BEYOND_MIN: f64 = seedbed_measure::gate::BEYOND_MIN as f64;
/// Places between one nine and the next.
const STEPS: u32 = 20;
/// Places that have a marker, and their names.
const NAMED: [(f64, &str); 6] =
    [(0.0, "0"), (0.5, "50"), (0.9, "90"), (0.99, "99"), (0.999, "99.9"), (0.9999, "99.99")];

pub(super) fn show(done: &[&Done]) -> Option<Markup> {
    let workloads: Vec<&Workload> = done.iter().map(|done| &done.workload).collect();
    let curves: Vec<Vec<Spot>> = done.iter().map(|done| curve(&done.measured)).collect();
    let values = || curves.iter().flatten().map(|spot| spot.y);
    values().next()?;
    let y = Scale::log(values());
    let high = curves.iter().flatten().map(|spot| spot.x).fold(0.0, f64::max);
    let panels = groups::panels(&workloads);
    let panels = panels.iter().map(|members| panel(&workloads, &curves, members, (high, y)));
    let about = html! {
        "How long an operation takes, at every percentile: at 99, one operation of a hundred takes \
         longer. Each nine has the same width. Lower is better; both axes are the same in all \
         charts. A line is dashed where fewer than 10 operations are slower."
    };
    let more = html! {
        b { "Corrected for coordinated omission. " }
        "A client that waits for a slow answer asks nothing meanwhile; the operations that it \
         would have begun then are counted with the time that they would have waited. In open loop \
         an operation counts from when it was due."
    };
    Some(section(
        "latency",
        "Latency",
        &about,
        html! {
            div class="figures" { @for panel in panels { (panel) } }
            p class="aside" { (more) }
        },
    ))
}

fn panel(
    all: &[&Workload],
    curves: &[Vec<Spot>],
    members: &[usize],
    (high, y): (f64, Scale),
) -> Markup {
    let these: Vec<&Workload> = members.iter().map(|place| all[*place]).collect();
    let differing = groups::differing(&these);
    let lines = members.iter().enumerate().map(|(nth, place)| Series {
        name: groups::words(all[*place], &differing),
        colour: nth,
        spots: curves[*place].clone(),
    });
    let lines: Vec<Series> = lines.collect();
    let x = Scale::nines(high);
    let named = NAMED.iter().filter(|(part, _)| *part <= high);
    let axes = Axes {
        x,
        y,
        x_name: "percentile of operations",
        y_name: "latency",
        x_ticks: named.map(|(part, name)| (*part, (*name).to_owned())).collect(),
        y_ticks: y.ticks(8).into_iter().map(|ns| (ns, units::time_tick(ns))).collect(),
    };
    let title = match differing.as_slice() {
        [] => "The workload".to_owned(),
        [one] => format!("By {}", one.name()),
        _ => "By workload".to_owned(),
    };
    let names: Vec<&str> = lines.iter().map(|line| &*line.name).collect();
    let words = format!("Latency over percentiles of {}", names.join("; "));
    let chart = both(&words, |width| axes.draw(width, &lines, &Extra::default()));
    let names = legend(lines.iter().map(|line| (line.colour, &*line.name)));
    figure(&title, &groups::common(&these, &[]), html! { (names) (chart) })
}

/// The latencies of all rounds together at many percentiles.
fn curve(measured: &Measured) -> Vec<Spot> {
    let latencies = &measured.latencies;
    let count = latencies.count() as f64;
    if count < 1.0 {
        return Vec::new();
    }
    let last = (1.0 - 1.0 / count).min(NAMED[NAMED.len() - 1].0);
    let steps = (0..=4 * STEPS).map(|nth| 1.0 - 10_f64.powf(-f64::from(nth) / f64::from(STEPS)));
    let mut parts: Vec<f64> = steps.chain(NAMED.iter().map(|(part, _)| *part)).collect();
    parts.push(last);
    parts.sort_by(f64::total_cmp);
    parts.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    parts.retain(|part| *part <= last + 1e-9);
    let spot = |part: f64| {
        let ns = latencies.part_ns(part).max(1) as f64;
        let named = NAMED.iter().filter(|(_, name)| *name != "0");
        let named = named.clone().find(|(named, _)| (named - part).abs() < 1e-9);
        Spot {
            x: part,
            y: ns,
            interval: None,
            title: named.map(|(_, name)| format!("P{name} {}", units::time(ns))),
            is_thin: count * (1.0 - part) < BEYOND_MIN,
        }
    };
    parts.into_iter().map(spot).collect()
}
