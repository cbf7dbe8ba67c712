//! What a simulation said, beside what was measured.

use maud::{Markup, html};
use seedbed_measure::Metric;

use super::rows::{Mark, Row, Rows};
use super::scale::Scale;
use super::svg::{both, marker};
use super::{SOUND, figure, section, units};

/// One figure of a workload, as a simulation said and as it was measured. Latencies are in
/// nanoseconds, throughput in operations a second.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::bench) struct Prediction {
    pub(in crate::bench) workload: String,
    pub(in crate::bench) metric: Metric,
    pub(in crate::bench) predicted: f64,
    /// `None` if nothing was measured.
    pub(in crate::bench) measured: Option<f64>,
}

impl Prediction {
    /// Without what is no figure.
    fn sound(&self) -> Option<Self> {
        let measured = self.measured.filter(|value| SOUND.contains(value));
        SOUND.contains(&self.predicted).then(|| Self { measured, ..self.clone() })
    }

    /// By which part the prediction is too high.
    fn error(&self) -> Option<f64> {
        Some(self.predicted / self.measured? - 1.0)
    }
}

pub(super) fn show(predictions: &[Prediction]) -> Option<Markup> {
    let predictions: Vec<Prediction> = predictions.iter().filter_map(Prediction::sound).collect();
    let figures: Vec<Markup> =
        Metric::ALL.into_iter().filter_map(|metric| panel(&predictions, metric)).collect();
    if figures.is_empty() {
        return None;
    }
    let about = html! {
        "The same workloads in simulation, on a disk with the timing of a profile, beside what \
         they came to here. The closer two marks are, the better the prediction; the number says \
         by how much it is too high (+) or too low (−)."
    };
    let names = [("predicted", "c1", 3), ("measured", "c0", 0)];
    Some(section(
        "predicted",
        "Predicted against measured",
        &about,
        html! {
            ul class="legend" {
                @for (name, class, shape) in names {
                    li {
                        @let class = format!("swatch mark {class}");
                    svg class=(class) viewBox="0 0 14 14" aria-hidden="true" {
                            (marker(shape, 7.0, 7.0, 5.0))
                        }
                        (name)
                    }
                }
            }
            div class="figures" { @for figure in figures { (figure) } }
        },
    ))
}

/// How a number is told.
type Words = fn(f64) -> String;

fn panel(predictions: &[Prediction], metric: Metric) -> Option<Markup> {
    let these: Vec<&Prediction> = predictions.iter().filter(|one| one.metric == metric).collect();
    these.first()?;
    let values = these.iter().flat_map(|one| [Some(one.predicted), one.measured]).flatten();
    let scale = Scale::log(values);
    let (text, tick): (Words, Words) = match metric {
        Metric::Throughput => (|rate| format!("{}/s", units::count(rate)), units::count_tick),
        Metric::Latency(_) => (units::time, units::time_tick),
    };
    let (title, axis_name) = match metric {
        Metric::Throughput => ("Throughput".to_owned(), "operations a second"),
        Metric::Latency(percentile) => (format!("Latency, {}", percentile.name()), "latency"),
    };
    let rows = Rows {
        scale,
        ticks: scale.ticks(6).into_iter().map(|value| (value, tick(value))).collect(),
        axis_name,
        rules: Vec::new(),
        rows: these.iter().map(|one| row(one, text)).collect(),
    };
    let chart = both(&format!("{title}, predicted and measured"), |width| rows.draw(width));
    Some(figure(&title, &summary(&these), chart))
}

fn row(one: &Prediction, text: fn(f64) -> String) -> Row {
    let Prediction { workload, predicted, measured, .. } = one;
    let mut marks = Vec::new();
    if let Some(measured) = *measured {
        let (low, high) = (measured.min(*predicted), measured.max(*predicted));
        marks.push(Mark::Whisker { low, high, class: "link".to_owned() });
        let title = format!("{workload}: measured {}", text(measured));
        marks.push(Mark::Dot { at: measured, shape: 0, class: "c0".to_owned(), title });
    }
    let title = format!("{workload}: predicted {}", text(*predicted));
    marks.push(Mark::Dot { at: *predicted, shape: 3, class: "c1".to_owned(), title });
    let note = match one.error() {
        Some(error) => units::percent(error),
        None => format!("{}, not measured", text(*predicted)),
    };
    Row { name: workload.clone(), note, note_class: "", marks }
}

/// How far off predictions are.
fn summary(these: &[&Prediction]) -> String {
    let sizes: Vec<f64> = these.iter().filter_map(|one| one.error()).map(f64::abs).collect();
    let worst = sizes.iter().copied().fold(0.0, f64::max) * 100.0;
    match seedbed_measure::sample::median(&sizes) {
        Some(middle) => {
            format!("off by {:.0} % in the middle, {worst:.0} % at worst", middle * 100.0)
        }
        None => "nothing was measured beside it".to_owned(),
    }
}
