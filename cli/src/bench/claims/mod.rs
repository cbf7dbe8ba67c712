//! `bench --claims`: what reports have claimed of engines like these, beside what is found here.
//!
//! A claim is a hypothesis. Each of these files measures those of one engine on this machine and
//! says what came of them, and under which conditions; a claim that is refuted is a finding, not a
//! failure.

mod accounting;
mod sink;
mod store;

use seedbed_hardware::{Ended, Engine, Failed, Machine, Round, Worker, Workload};
use seedbed_measure::sample;
use serde::Serialize;
use serde_json::json;

use super::args::BenchArgs;
use super::grid::Size;
use super::measure::{plain, warm_up};
use super::{COMMAND, machine};
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

    fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Refuted => "refuted",
            Self::NotTestable => "not testable here",
        }
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

/// What the rounds of a workload came to.
struct Figures {
    rounds: Vec<Round>,
    ended: Ended,
}

impl Figures {
    fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        let all: Vec<f64> = self.rounds.iter().map(of).collect();
        sample::median(&all).unwrap_or(f64::NAN)
    }

    /// Operations a second.
    fn throughput(&self) -> f64 {
        self.median(|round| plain(round).throughput())
    }

    /// The 50th and 99th percentile of latencies, in milliseconds.
    fn latency_ms(&self) -> [f64; 2] {
        let ms = |ns: u64| ns as f64 / 1e6;
        [
            self.median(|round| ms(round.latency.p50_ns)),
            self.median(|round| ms(round.latency.p99_ns)),
        ]
    }

    /// CPU time of all threads for an operation, in nanoseconds.
    fn cpu_ns(&self) -> f64 {
        let operations: u64 = self.rounds.iter().map(|round| round.operations).sum();
        let cpu: u64 = self.ended.threads.values().sum();
        cpu as f64 / operations.max(1) as f64
    }
}

impl Ledger<'_, '_> {
    fn measure(&mut self, engine: Option<Engine>) -> Result<(), Failed> {
        if engine != Some(Engine::Sink) {
            self.store()?;
        }
        if engine.is_none() {
            self.accounting()?;
        }
        if engine != Some(Engine::AtomicCommit) {
            self.sink()?;
        }
        Ok(())
    }

    /// Says what is measured now; whether to go on.
    fn goes_on(&mut self, what: &str) -> bool {
        let stopped = self.cx.is_stopped();
        if !stopped && !self.args.quiet {
            self.cx.err.line(format_args!("measuring: {what}"));
        }
        !stopped
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
    ) -> Result<Option<[Figures; N]>, Failed> {
        let own = std::env::current_exe();
        let own = own.map_err(|error| Failed::Machine(format!("this program's file: {error}")))?;
        let mut workers = Vec::new();
        for workload in workloads {
            let mut worker = Worker::start(&own, COMMAND, &self.args.dir, workload)?;
            let operations = warm_up(self.cx, &mut worker, workload, size)?;
            worker.start_measuring()?;
            workers.push((worker, operations, Vec::new()));
        }
        for _ in 0..size.rounds {
            for (worker, operations, rounds) in &mut workers {
                if self.cx.is_stopped() {
                    return Ok(None);
                }
                rounds.push(worker.round(*operations)?);
            }
        }
        let mut all = Vec::new();
        for (worker, _, rounds) in workers {
            all.push(Figures { rounds, ended: worker.end()? });
        }
        Ok(all.try_into().ok())
    }
}
