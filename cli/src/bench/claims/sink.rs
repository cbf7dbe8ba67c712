//! Claims of a report on a streaming database sink, which had projected most of them.

use seedbed::seam::cpu::OTHER;
use seedbed_hardware::{Engine, Failed, Workload};
use seedbed_measure::Summary;

use super::{Ledger, Step, Verdict, interval_text, percent_more};
use crate::bench::grid::{self, Size};
use crate::bench::measure::Measured;
use crate::bench::report::Middle;

const OF: &str = "sink";
/// Rows a second of a source that does not wait.
const RATE: u64 = 100_000;

pub(super) const STEPS: [Step; 4] = [
    ("rows a second", |ledger| ledger.rows_a_second()),
    ("rows that arrive by themselves", |ledger| ledger.at_a_rate()),
    ("what checkpoints cost", |ledger| ledger.checkpoints()),
    ("rows pushed together", |ledger| ledger.batch_add()),
];

/// Rows at that rate, and a checkpoint each so many milliseconds.
fn at_rate(checkpoint_ms: u32) -> Workload {
    Workload { rate: RATE, checkpoint_ms, ..grid::base(Engine::Sink) }
}

impl Ledger<'_, '_> {
    fn rows_a_second(&mut self) -> Result<(), Failed> {
        let workloads = [grid::base(Engine::Sink)];
        let Some([measured]) = self.in_turn(&workloads, self.size())? else { return Ok(()) };
        let rate = Middle::of(&measured).throughput;
        self.claim(
            OF,
            "more than 100 K events/s",
            Verdict::of(rate > RATE as f64),
            format!("{:.0} K rows/s, each once, each in a durable checkpoint", rate / 1e3),
            format!("{}; 3 embedded participants in the same process, on this disk", workloads[0]),
        );
        Ok(())
    }

    /// What is claimed of a sink that keeps up with its source.
    fn at_a_rate(&mut self) -> Result<(), Failed> {
        let workloads = [at_rate(50)];
        let Some([usual]) = self.in_turn(&workloads, self.long())? else { return Ok(()) };
        let conditions = format!("{RATE} rows/s, 1 000 in a transaction, a checkpoint each 50 ms");
        let Middle { throughput, pools_busy, .. } = Middle::of(&usual);
        let Summary { p50_ns, p99_ns, .. } = usual.latencies.summary();
        let [p50, p99] = [p50_ns, p99_ns].map(|ns| ns as f64 / 1e6);
        self.claim(
            OF,
            "P99 below 100 ms",
            Verdict::of(p99 < 100.0 && throughput > 0.95 * RATE as f64),
            format!("P50 {p50:.0} ms, P99 {p99:.0} ms from arrival to the durable checkpoint"),
            conditions.clone(),
        );
        let memory = usual.ended.peak_memory as f64 / 1e6;
        let rows = usual.ended.checked;
        self.claim(
            OF,
            "less than 100 MB of memory a sink",
            // Whatever is found: how much of it is the sink's is unknown.
            Verdict::NotTestable,
            format!("{memory:.0} MB at most, of sink and participants together with {rows} rows"),
            format!(
                "{conditions}; the participants, which keep every row, are in the sink's process, \
                 and no part of its memory is told apart; the sink alone in a process of its own \
                 is measured by engines/examples/sink_throughput.rs"
            ),
        );
        let busy = pools_busy * 100.0;
        self.claim(
            OF,
            "connection pools are 50 to 80 % in use",
            Verdict::of((50.0..=80.0).contains(&busy)),
            format!("{busy:.0} %"),
            format!("{conditions}; 4 connections to each participant"),
        );
        Ok(())
    }

    /// Long rounds: each ends with a checkpoint, which must not count for much.
    fn long(&self) -> Size {
        Size { rounds: self.size().rounds.min(4), round_ns: 1_500_000_000 }
    }

    fn checkpoints(&mut self) -> Result<(), Failed> {
        // The same twice says how far off it is.
        let turns = [at_rate(50), at_rate(3_600_000), at_rate(50)];
        let Some(turns) = self.in_turn(&turns, self.long())? else { return Ok(()) };
        let [often, seldom, again] = turns.map(|one| engines_cpu_us(&one));
        let overhead = |often: f64| (often / seldom - 1.0) * 100.0;
        let (most, least) = (overhead(often.max(again)), overhead(often.min(again)));
        let (middle, error) = ((most + least) / 2.0, (most - least) / 2.0);
        self.claim(
            OF,
            "checkpoints cost less than 5 %",
            Verdict::at_most(5.0, middle, error),
            format!(
                "{middle:+.1} % of the engines' CPU time, give or take {error:.1}: {often:.2} and \
                 {again:.2} us a row with a checkpoint each 50 ms, {seldom:.2} us with one at the \
                 end of each round"
            ),
            format!(
                "{RATE} rows/s; sink and participants together without the source and the \
                 runtime, in turn; what checkpoints take of the most rows a second: \
                 engines/examples/sink_throughput.rs"
            ),
        );
        Ok(())
    }

    /// Of the ten optimisations, those that have a counterpart.
    fn batch_add(&mut self) -> Result<(), Failed> {
        let one = grid::base(Engine::Sink);
        let many = Workload { push_rows: 250, ..one.clone() };
        let alone = Workload { connections: 1, ..many.clone() };
        let Some([one, many, alone]) = self.in_turn(&[one, many, alone], self.size())? else {
            return Ok(());
        };
        let [one, many, alone] = [one, many, alone].map(|one| {
            let throughput = |round| seedbed_measure::Round::from(round).throughput();
            one.rounds.iter().map(throughput).collect::<Vec<_>>()
        });
        let added = percent_more(&one, &many);
        self.claim(
            OF,
            "adding rows in batches brings 25 % of throughput",
            match added {
                Some(added) if added.low >= 25.0 => Verdict::Confirmed,
                Some(added) if added.high < 25.0 => Verdict::Refuted,
                _ => Verdict::NotTestable,
            },
            interval_text(added),
            "250 rows a push against one, in turn; source, sink and participants share the machine",
        );
        let pooled = interval_text(percent_more(&alone, &many));
        self.claim(
            OF,
            "a buffer without locks brings 40 % of throughput",
            Verdict::NotTestable,
            "the buffer's lock has one source and one task that takes batches: nobody waits for it"
                .to_owned(),
            format!(
                "what does bring something is measured beside: 4 connections to a participant \
                 against 1, {pooled}"
            ),
        );
        Ok(())
    }
}

/// CPU time of the engines' own tasks for a row, in microseconds: what has no class is the source's
/// and the runtime's.
fn engines_cpu_us(measured: &Measured) -> f64 {
    let classes = measured.ended.classes.iter().filter(|(name, _)| *name != OTHER.name());
    let ns: f64 = classes.map(|(_, class)| class.cpu_ns as f64).sum();
    let rows: f64 = measured.rounds.iter().map(|round| round.operations as f64).sum();
    ns / 1e3 / rows.max(1.0)
}
