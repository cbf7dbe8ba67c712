//! Figures to tables and JSON. A bar that is missed is stated; it is not an error, since absolute
//! values depend on the machine and its load.

use serde::Serialize;

use crate::measure::{LIBRARIES, Measured};
use crate::work::Row;

/// One workload, all rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) workload: &'static str,
    pub(crate) unit: &'static str,
    /// Units per CPU second that seedbed is held to.
    pub(crate) bar: Option<f64>,
    pub(crate) bar_is_met: Option<bool>,
    pub(crate) figures: Vec<Figure>,
}

/// One library at one workload.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) library: &'static str,
    /// Units per CPU second; absent if the library has nothing of the kind.
    pub(crate) rate: Option<Spread>,
    /// seedbed's rate divided by this one's, round by round.
    pub(crate) seedbed_ratio: Option<Spread>,
}

/// Median and range.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => (values[middle - 1] + values[middle]) / 2.0,
            _ => values[middle],
        };
        Some(Self { median, min, max })
    }
}

/// Peak memory of one library after runs of growing length.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) library: &'static str,
    /// Pairs of run length and KiB.
    pub(crate) peaks: Vec<(u64, u64)>,
}

impl Comparison {
    /// `rounds` holds what each library of [`LIBRARIES`] did, round by round.
    pub(crate) fn new(row: &Row, rounds: &[Vec<Option<Measured>>]) -> Self {
        let rate = |round: &Vec<Option<Measured>>, index: usize| round[index].map(Measured::rate);
        let figures: Vec<Figure> = (0..LIBRARIES.len())
            .map(|index| {
                let rates = rounds.iter().filter_map(|round| rate(round, index)).collect();
                let ratio =
                    |round: &Vec<Option<Measured>>| Some(rate(round, 0)? / rate(round, index)?);
                let ratios = rounds.iter().filter_map(ratio).collect();
                Figure {
                    library: LIBRARIES[index],
                    rate: Spread::of(rates),
                    seedbed_ratio: Spread::of(ratios),
                }
            })
            .collect();
        let bar = (row.bar > 0.0).then_some(row.bar);
        let ours = figures[0].rate.map(|rate| rate.median);
        let bar_is_met = bar.zip(ours).map(|(bar, ours)| ours >= bar);
        Self { workload: row.name, unit: row.unit, bar, bar_is_met, figures }
    }

    /// Prints the workload's lines of the table.
    pub(crate) fn print(&self) {
        let bar = match (self.bar, self.bar_is_met) {
            (Some(bar), Some(true)) => format!("bar {}: met", short(bar)),
            (Some(bar), _) => format!("bar {}: missed", short(bar)),
            (None, _) => "no bar".to_owned(),
        };
        println!("{} ({} per CPU second; {bar})", self.workload, self.unit);
        for figure in &self.figures {
            let Some(rate) = figure.rate else {
                println!("  {:8} {:>9}", figure.library, "-");
                continue;
            };
            let Spread { median, min, max } = rate;
            let ratio = match figure.seedbed_ratio {
                Some(ratio) if figure.library != LIBRARIES[0] => {
                    format!("  seedbed / {} = {:.2}", figure.library, ratio.median)
                }
                _ => String::new(),
            };
            let range = format!("({} .. {})", short(min), short(max));
            println!("  {:8} {:>9} {range:<24}{ratio}", figure.library, short(median));
        }
    }
}

/// Prints the table of memory.
pub(crate) fn print_memory(rows: &[Memory]) {
    println!("peak memory of one world above an empty process, KiB, by length of the run");
    for row in rows {
        let cell = |(n, kib): &(u64, u64)| format!("{}: {kib}", short(*n as f64));
        let cells: Vec<String> = row.peaks.iter().map(cell).collect();
        println!("  {:8} {}", row.library, cells.join("   "));
    }
}

/// What the figures do not say by themselves.
pub(crate) const NOTES: &str = "\
seedbed: digest, random ready order and the full crash model are on in every figure.
append-blocking: seedbed's blocking face; madsim's futures, which never wait; turmoil's std shim.
\"-\": the library has nothing of the kind.
madsim: its disk has no latency and no crash model: the awaited append sleeps by itself (1 ms is
  its shortest sleep), and in crash-reopen nothing can be lost. It has no digest.
turmoil: hosts are visited in random order, tasks of a host run first come, first served. It has
  no digest.
floor: hand-written loops without tasks, faults, digest, random order and undo: far below any
  simulator.";

/// A number with three digits and its unit: 12.3 M.
pub(crate) fn short(value: f64) -> String {
    let (scaled, unit) = match value {
        value if value >= 1e6 => (value / 1e6, " M"),
        value if value >= 1e3 => (value / 1e3, " k"),
        value => (value, ""),
    };
    let digits = match scaled {
        scaled if scaled >= 100.0 => 0,
        scaled if scaled >= 10.0 => 1,
        _ => 2,
    };
    format!("{scaled:.digits$}{unit}")
}
