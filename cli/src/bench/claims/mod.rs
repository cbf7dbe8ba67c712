//! `bench --claims`: what reports have claimed of engines like these, beside what is found here.
//!
//! A claim is a hypothesis. Each of these files measures those of one engine on this machine and
//! says what came of them, and under which conditions; a claim that is refuted is a finding, not a
//! failure.

mod accounting;
mod sink;
mod store;

use seedbed_hardware::{Engine, Failed, Machine, Worker, Workload};
use seedbed_measure::{Interval, Resampling, sample};
use serde::Serialize;
use serde_json::json;

use super::args::BenchArgs;
use super::grid::Size;
use super::measure::{Exact, Measured, launch};
use super::{machine, own_program};
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::output::{BAD, GOOD, NOTE, paint};

/// What came of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Confirmed,
    Refuted,
    NotTestable,
}

impl Verdict {
    fn of(holds: bool) -> Self {
        if holds { Self::Confirmed } else { Self::Refuted }
    }

    /// Of a claim that a cost is no more than `most`; within the measurement's error of that there
    /// is nothing to say. What comes out below nothing is wrong by at least as much.
    fn at_most(most: f64, cost: f64, error: f64) -> Self {
        if cost.is_nan() || error.is_nan() {
            return Self::NotTestable;
        }
        let (cost, error) = (cost.max(0.0), error.max(-cost));
        if cost + error <= most {
            Self::Confirmed
        } else if cost - error > most {
            Self::Refuted
        } else {
            Self::NotTestable
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Refuted => "refuted",
            Self::NotTestable => "not testable here",
        }
    }
}

/// With which probability an interval holds the truth.
const CONFIDENCE: f64 = 0.95;

/// By how many percent the second is more than the first, with which it took turns, and the ends
/// between which that lies; `None` of too few rounds to know.
fn percent_more(first: &[f64], second: &[f64]) -> Option<Interval> {
    let ratios = sample::log_ratios(first, second);
    let interval = Resampling::default().interval(&ratios, CONFIDENCE)?;
    Some(interval.map(|log| (log.exp() - 1.0) * 100.0))
}

fn interval_text(percent: Option<Interval>) -> String {
    match percent {
        Some(Interval { estimate, low, high }) => {
            format!("{estimate:+.0} %, between {low:+.0} and {high:+.0} %")
        }
        None => "too few rounds to know".to_owned(),
    }
}

/// A line of the ledger.
#[derive(Debug, Serialize)]
struct Claim {
    of: &'static str,
    claim: &'static str,
    measured: String,
    verdict: Verdict,
    conditions: String,
}

/// The ledger, as far as it is.
pub(super) struct Ledger<'a, 'c> {
    cx: &'a mut Context<'c>,
    args: &'a BenchArgs,
    claims: Vec<Claim>,
}

/// Measures everything that is claimed of the engine, or of all.
pub(crate) fn run(cx: &mut Context<'_>, args: &BenchArgs) -> Result<Exit, Failure> {
    let engine = args.engine.as_deref().map(str::parse::<Engine>).transpose();
    let engine = engine.map_err(Failure::usage)?;
    let here = machine(args, &[Workload::default()])?;
    let mut ledger = Ledger { cx, args, claims: Vec::new() };
    let measured = ledger.measure(engine);
    let Ledger { cx, claims, .. } = ledger;
    let exit = match &measured {
        Err(Failed::Wrong(_)) => Exit::Violation,
        Err(_) => Exit::Inconclusive,
        Ok(()) if cx.is_stopped() => Exit::Inconclusive,
        Ok(()) => Exit::Fine,
    };
    match args.json {
        true => cx.out.json(&whole(cx, &here, &claims, exit)),
        false => print(cx, &here, &claims),
    }
    if let Err(failed) = measured {
        return Err(Failure::new(exit, failed.to_string()));
    }
    if cx.is_stopped() {
        cx.err.line(paint(NOTE, "interrupted: the ledger is not whole"));
    }
    Ok(exit)
}

fn whole(
    cx: &Context<'_>,
    machine: &Machine,
    claims: &[Claim],
    exit: Exit,
) -> impl Serialize + use<> {
    let (interrupted, exit_code) = (cx.is_stopped(), exit.code());
    json!({ "machine": machine, "claims": claims, "interrupted": interrupted,
        "exit_code": exit_code })
}

fn print(cx: &mut Context<'_>, machine: &Machine, claims: &[Claim]) {
    cx.out.line(machine);
    for Claim { of, claim, measured, verdict, conditions } in claims {
        let style = match verdict {
            Verdict::Confirmed => GOOD,
            Verdict::Refuted => BAD,
            Verdict::NotTestable => NOTE,
        };
        cx.out.line(format_args!("\n{of}: {claim}"));
        cx.out.line(format_args!("  {}: {measured}", paint(style, verdict.word())));
        cx.out.line(format_args!("  conditions: {conditions}"));
    }
    let count = |of| claims.iter().filter(|claim| claim.verdict == of).count();
    let [yes, no, open] = [Verdict::Confirmed, Verdict::Refuted, Verdict::NotTestable].map(count);
    cx.out.line(format_args!("\n{yes} confirmed, {no} refuted, {open} not testable here"));
}

/// What is measured, in words, and how.
type Step = (&'static str, fn(&mut Ledger<'_, '_>) -> Result<(), Failed>);

impl Ledger<'_, '_> {
    fn measure(&mut self, engine: Option<Engine>) -> Result<(), Failed> {
        let (store, accounting, sink) =
            (&store::STEPS[..], &accounting::STEPS[..], &sink::STEPS[..]);
        let steps = match engine {
            Some(Engine::AtomicCommit) => store.to_vec(),
            Some(Engine::Sink) => sink.to_vec(),
            None => [store, accounting, sink].concat(),
        };
        for (what, step) in steps {
            if self.cx.is_stopped() {
                break;
            }
            if !self.args.quiet {
                self.cx.err.line(format_args!("measuring: {what}"));
            }
            step(self)?;
        }
        Ok(())
    }

    fn claim(
        &mut self,
        of: &'static str,
        claim: &'static str,
        verdict: Verdict,
        measured: String,
        conditions: impl Into<String>,
    ) {
        let conditions = conditions.into();
        self.claims.push(Claim { of, claim, measured, verdict, conditions });
    }

    fn size(&self) -> Size {
        Size::of(self.args)
    }

    /// Runs workloads side by side, round by round in turn, so that what the machine does besides
    /// comes to all of them. `None` if it was interrupted.
    fn in_turn<const N: usize>(
        &self,
        workloads: &[Workload; N],
        size: Size,
    ) -> Result<Option<[Measured; N]>, Failed> {
        self.in_turn_with(workloads, size, || Ok(()))
    }

    /// As [`Ledger::in_turn`], with something else before each round of all.
    fn in_turn_with<const N: usize>(
        &self,
        workloads: &[Workload; N],
        size: Size,
        mut beside: impl FnMut() -> Result<(), Failed>,
    ) -> Result<Option<[Measured; N]>, Failed> {
        let own = own_program()?;
        let mut workers = Vec::new();
        for workload in workloads {
            let mut worker = Worker::start(launch(self.cx, &own, &self.args.dir), workload)?;
            let operations = worker.warm_up(workload, size.round_ns)?;
            worker.start_measuring()?;
            workers.push((worker, operations, Vec::new()));
        }
        for _ in 0..size.rounds {
            beside()?;
            for (worker, operations, rounds) in &mut workers {
                if self.cx.is_stopped() {
                    return Ok(None);
                }
                rounds.push(worker.round(*operations)?);
            }
        }
        let mut all = Vec::new();
        for (worker, _, rounds) in workers {
            let (ended, latencies) = worker.end()?;
            all.push(Measured { rounds, latencies, ended, exact: Exact::default() });
        }
        Ok(all.try_into().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{self, Confirmed, NotTestable, Refuted};
    use super::percent_more;

    #[test]
    fn what_lies_within_the_error_is_neither_confirmed_nor_refuted() {
        let cases = [
            (0.094, 0.101, Confirmed),
            (0.447, 0.100, Confirmed),
            (0.500, 0.100, NotTestable),
            (0.600, 0.100, NotTestable),
            (0.700, 0.100, Refuted),
            (0.100, 0.600, NotTestable),
            (-0.05, 0.100, Confirmed),
            (-15.0, 0.100, NotTestable),
            (f64::NAN, 0.1, NotTestable),
            (0.1, f64::NAN, NotTestable),
        ];
        for (cost, error, expected) in cases {
            assert_eq!(Verdict::at_most(0.547, cost, error), expected, "{cost}, {error}");
        }
    }

    #[test]
    fn an_interval_is_that_of_the_rounds() {
        let rewrites: Vec<f64> = (0..12).map(|nth| 100.0 + f64::from(nth)).collect();
        let of = |factor: f64| rewrites.iter().map(|ns| ns * factor).collect::<Vec<_>>();
        let found = percent_more(&rewrites, &of(1.2)).expect("enough rounds");
        assert!([found.low, found.high].iter().all(|end| (end - 20.0).abs() < 1e-9), "{found:?}");
        let noisy: Vec<f64> =
            of(1.2).iter().zip([0.8, 1.2].iter().cycle()).map(|(a, b)| a * b).collect();
        let found = percent_more(&rewrites, &noisy).expect("enough rounds");
        assert!(found.low < 20.0 && found.high > 20.0 && found.high - found.low > 5.0, "{found:?}");
        assert_eq!(percent_more(&rewrites[..11], &of(1.2)[..11]), None);
    }
}
