//! Statistics of honest timing.
//!
//! What a machine says about speed is noise, drift and stalls with a signal in between. This crate
//! holds what can be said in spite of it: [`latency`] has histograms that do not hide a stall,
//! [`sample`] and [`bootstrap`] the change between two programs that ran in turn, with an interval,
//! [`gate`] the judgement of that interval, [`plan`] who runs when and for how many rounds,
//! [`counters`] the figures that have no noise, and [`baseline`] the file in which all is kept.
//!
//! ```
//! use seedbed_measure::{Comparison, Gate, Plan, Round, Side, Verdict};
//!
//! let mut comparison = Comparison::new(Plan::default(), Gate::default()).unwrap();
//! while let Some(turn) = comparison.turn() {
//!     // Here one would run the program of `turn.side` and time it.
//!     let elapsed_ns = if turn.side == Side::Before { 1_000_000 } else { 1_150_000 };
//!     comparison.record(Round::timed(500, elapsed_ns)).unwrap();
//! }
//! let report = comparison.report();
//! assert_eq!(report.verdict(), Verdict::Regressed);
//! println!("{report}");
//! ```
//!
//! Invariants:
//! * Same input, same answer: resampling and the order of turns come from seeds, and nothing here
//!   reads a clock. Callers measure, this crate judges.
//! * No input makes it panic or allocate without bound: times saturate, files are read up to a
//!   limit.
//! * This crate depends on nothing of ours.

pub mod baseline;
pub mod bootstrap;
pub mod counters;
pub mod gate;
pub mod latency;
pub mod plan;
pub mod sample;

pub use baseline::{Baseline, BaselineError, Name};
pub use bootstrap::{Interval, Resampling};
pub use counters::{Counters, Finding};
pub use gate::{Gate, Judged, Metric, Report, Thresholds, Verdict};
pub use latency::{Latencies, Percentile, Summary};
pub use plan::{Comparison, Plan, Side, Turn};
pub use sample::{MeasureError, Round};
