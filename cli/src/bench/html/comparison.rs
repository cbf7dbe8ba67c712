//! What a comparison with a baseline or another build came to.

use maud::{Markup, html};
use seedbed_hardware::Workload;
use seedbed_measure::{Interval, Judged, Metric, Thresholds, Verdict};

use super::rows::{Mark, Row, Rows};
use super::scale::Scale;
use super::svg::{Tick, both};
use super::{figure, section, units};
use crate::bench::Done;
use crate::bench::compare::Compared;

/// Ratios that an axis may name, where it does not reach over decades.
const NAMED: [f64; 21] = [
    0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0, 3.0, 4.0,
    6.0, 10.0,
];

pub(super) fn show(done: &[&Done], thresholds: Thresholds) -> Option<Markup> {
    let compared: Vec<(&Workload, &Compared)> =
        done.iter().filter_map(|done| Some((&done.workload, done.compared.as_ref()?))).collect();
    let (_, first) = compared.first()?;
    let figures: Vec<Markup> =
        Metric::ALL.into_iter().filter_map(|metric| panel(&compared, metric, thresholds)).collect();
    let about = html! {
        "This run divided by " b { (first.with) } ". A point is the best estimate of the ratio, \
         the line across it holds the truth with the confidence of the comparison. The dashed line \
         is the threshold of a regression: " i { "same" } " means that reaching it is excluded, "
        i { "regressed" } " that a harmless change is, " i { "unclear" } " that neither is."
    };
    Some(section(
        "comparison",
        "Comparison",
        &about,
        html! {
            @if !figures.is_empty() {
                (legend())
                div class="figures" { @for figure in figures { (figure) } }
            }
            (notes(&compared))
        },
    ))
}

/// A verdict's colour, and the shape that tells the same without colours.
const fn look(verdict: Verdict) -> (&'static str, usize) {
    match verdict {
        Verdict::Same => ("plain", 0),
        Verdict::Better => ("good", 2),
        Verdict::Unclear => ("doubt", 3),
        Verdict::Regressed => ("bad", 4),
    }
}

fn legend() -> Markup {
    let all = [Verdict::Same, Verdict::Better, Verdict::Unclear, Verdict::Regressed];
    html! {
        ul class="legend" {
            @for verdict in all {
                @let (class, shape) = look(verdict);
                li {
                    svg class={ "swatch mark " (class) } viewBox="0 0 26 14" aria-hidden="true" {
                        line class="whisker" x1="3" x2="23" y1="7" y2="7" {}
                        (super::svg::marker(shape, 13.0, 7.0, 4.5))
                    }
                    (verdict)
                }
            }
        }
    }
}

/// One metric of all workloads; nothing if it was judged in none.
fn panel(
    compared: &[(&Workload, &Compared)],
    metric: Metric,
    thresholds: Thresholds,
) -> Option<Markup> {
    let judged: Vec<(&Workload, &Judged)> = compared
        .iter()
        .filter_map(|(workload, compared)| {
            let report = compared.judged.as_ref().ok()?;
            let judged = report.metrics.iter().find(|judged| judged.metric == metric)?;
            Some((*workload, judged))
        })
        .collect();
    judged.first()?;
    let (threshold, rule, axis_name) = match metric {
        Metric::Throughput => {
            let part = thresholds.throughput_drop;
            (
                1.0 - part,
                units::percent(-part),
                "operations a second, after / before: right is better",
            )
        }
        Metric::Latency(_) => {
            let part = thresholds.latency_growth;
            (1.0 + part, units::percent(part), "latency, after / before: left is better")
        }
    };
    let ratios = judged.iter().filter_map(|(_, judged)| judged.ratio);
    let ends = ratios.flat_map(|ratio| [ratio.low, ratio.high]).filter(|end| end.is_finite());
    let (scale, ticks) = axis(ends.chain([threshold]));
    let rows = Rows {
        scale,
        ticks,
        axis_name,
        rules: vec![(1.0, String::new()), (threshold, format!("threshold {rule}"))],
        rows: judged.iter().map(|(workload, judged)| row(workload, judged)).collect(),
    };
    let words = format!("Ratio of {metric} to before, for each workload");
    Some(figure(&title(metric), "", both(&words, |width| rows.draw(width))))
}

fn title(metric: Metric) -> String {
    match metric {
        Metric::Throughput => "Throughput".to_owned(),
        Metric::Latency(percentile) => format!("Latency, {}", percentile.name()),
    }
}

/// An axis around 1 and these ratios, with a little room.
fn axis(ends: impl Iterator<Item = f64>) -> (Scale, Vec<Tick>) {
    let (low, high) =
        ends.fold((1.0_f64, 1.0_f64), |(low, high), end| (low.min(end), high.max(end)));
    let (low, high) = (low.clamp(1e-9, 0.93) / 1.06, high.clamp(1.07, 1e9) * 1.06);
    let scale = Scale::log_between(low, high);
    let named = NAMED.into_iter().filter(|ratio| (low..=high).contains(ratio));
    let named: Vec<f64> = if high / low > 100.0 { scale.ticks(6) } else { named.collect() };
    let name = |ratio: f64| if ratio >= 1e-3 { ratio.to_string() } else { format!("{ratio:e}") };
    (scale, named.into_iter().map(|ratio| (ratio, name((ratio * 1e9).round() / 1e9))).collect())
}

fn row(workload: &Workload, judged: &Judged) -> Row {
    let Judged { verdict, ratio, reason, .. } = judged;
    let (class, shape) = look(*verdict);
    let mut marks = Vec::new();
    if let Some(Interval { estimate, low, high }) = *ratio {
        let class = class.to_owned();
        marks.push(Mark::Whisker { low, high, class: class.clone() });
        marks.push(Mark::Dot {
            at: estimate,
            shape,
            class,
            title: format!("{workload}: {reason}"),
        });
    }
    let note = match ratio {
        Some(ratio) => format!("{} {verdict}", units::ratio(ratio.estimate)),
        None => format!("{verdict}: too few rounds"),
    };
    Row { name: workload.to_string(), note, note_class: class, marks }
}

/// A cell of a table.
pub(super) fn word(compared: &Compared) -> String {
    let Ok(report) = &compared.judged else { return "not compared".to_owned() };
    let throughput = report.metrics.iter().find(|judged| judged.metric == Metric::Throughput);
    let verdict = report.verdict();
    match throughput.and_then(|judged| judged.ratio) {
        Some(ratio) => format!("{verdict}, throughput {}", units::ratio(ratio.estimate)),
        None => verdict.to_string(),
    }
}

/// What was not compared, and what else to know; each once, with the workloads that it is about.
fn notes(compared: &[(&Workload, &Compared)]) -> Markup {
    let mut notes: Vec<(String, Vec<String>)> = Vec::new();
    for (workload, compared) in compared {
        let own: Vec<String> = match &compared.judged {
            Err(why) => vec![format!("not compared: {why}")],
            Ok(report) => report.notes.clone(),
        };
        let changed = compared.warnings.iter().map(|what| format!("the machine: {what}"));
        let exact = compared.exact.iter().map(|finding| format!("without noise: {finding}"));
        for note in own.into_iter().chain(exact).chain(changed) {
            match notes.iter_mut().find(|(text, _)| *text == note) {
                Some((_, workloads)) => workloads.push(workload.to_string()),
                None => notes.push((note, vec![workload.to_string()])),
            }
        }
    }
    html! {
        @if !notes.is_empty() {
            ul class="notes" {
                @for (note, workloads) in &notes {
                    li {
                        @if workloads.len() < compared.len() { (workloads.join("; ")) ": " }
                        (note)
                    }
                }
            }
        }
    }
}
