//! The crate from outside: histograms, robust numbers, the gate on a simulated machine, files.

mod baselines;
mod counters;
mod latencies;
mod machine;
mod plans;
mod rules;
mod samples;
