//! Claims of a report on CPU accounting of threads.

use std::time::Duration;

use seedbed::seam::cpu::CpuError;
use seedbed_hardware::{Failed, accounting};

use super::{Ledger, Step, Verdict};

const OF: &str = "CPU accounting";

pub(super) const STEPS: [Step; 2] = [
    ("what CPU accounting costs", |ledger| ledger.accounting_costs()),
    ("whether spikes are caught", |ledger| ledger.spikes()),
];

fn failed(error: CpuError) -> Failed {
    Failed::Machine(error.to_string())
}

impl Ledger<'_, '_> {
    fn accounting_costs(&mut self) -> Result<(), Failed> {
        let costs = accounting::costs().map_err(failed)?;
        let us = costs.cpu_clock / 1e3;
        self.claim(
            OF,
            "a reading of a thread's CPU time costs 4.686 us",
            Verdict::of(us <= 4.686),
            format!("{us:.2} us"),
            "one reading after the other, on one thread; confirmed if it costs no more",
        );
        let turns = if self.args.quick { 100 } else { 500 };
        let overheads = accounting::overhead(Duration::from_millis(1), turns).map_err(failed)?;
        let of = |name: &str| {
            let found = overheads.iter().find(|one| one.contender == name);
            found.map_or(f64::NAN, |one| one.median)
        };
        let (slices, naive) = (of("slices"), of("naive"));
        let error = of("the measurement's own error").abs();
        self.claim(
            OF,
            "accounting costs 0.547 % of the run time; the aim is 0 %",
            Verdict::at_most(0.547, slices, error),
            format!(
                "{slices:.3} % of the CPU time with a slice each millisecond; {naive:.3} % with \
                 two readings around each millisecond"
            ),
            format!(
                "operations of 1 ms, median of {turns} turns with and without, the same to \
                 {error:.3} %; confirmed if it costs no more with that error added, refuted if it \
                 costs more with it taken off"
            ),
        );
        Ok(())
    }

    fn spikes(&mut self) -> Result<(), Failed> {
        let spikes = accounting::spikes(1000).map_err(failed)?;
        self.claim(
            OF,
            "an operation that burns 0.1 ms or more is flagged, however short the interval",
            Verdict::of(spikes.caught == spikes.rounds),
            format!(
                "{} of {} spikes of 0.11 ms flagged, and {} of 100 000 operations of 5 us",
                spikes.caught, spikes.rounds, spikes.small_flagged
            ),
            "each spike among a hundred operations of 5 us and ten of 50 us",
        );
        Ok(())
    }
}
