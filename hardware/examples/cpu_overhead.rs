//! What CPU accounting costs on this machine, and whether its budget catches a spike; see
//! `seedbed_hardware::accounting`.
//!
//! `cargo run --release -p seedbed-hardware --example cpu_overhead -- [--json] [TURNS]`

use std::time::Duration;

use seedbed_hardware::accounting::{Costs, Overhead, Spikes, costs, overhead, spikes};
use serde_json::json;

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let is_json = args.iter().any(|arg| arg == "--json");
    let turns = match args.iter().find(|arg| *arg != "--json") {
        Some(turns) => turns.parse().map_err(|_| format!("{turns} is no number of turns"))?,
        None => 500,
    };
    if turns == 0 {
        return Err("give at least one turn".into());
    }
    let costs = costs()?;
    let lengths = [1000, 100, 10];
    let overheads = lengths.map(|length| overhead(Duration::from_micros(length), turns));
    let [a, b, c] = overheads;
    let overheads = [a?, b?, c?];
    let spikes = spikes(1000)?;
    if is_json {
        let overheads: Vec<_> = lengths.iter().zip(&overheads).collect();
        println!("{:#}", json!({ "costs_ns": costs, "overheads": overheads, "spikes": spikes }));
    } else {
        print_costs(costs);
        println!("overhead in % of the CPU time: median of ratios, ratio of lower deciles");
        lengths.iter().zip(&overheads).for_each(|(length, of)| print_overhead(*length, of));
        print_spikes(spikes);
    }
    Ok(())
}

fn print_costs(costs: Costs) {
    println!("nanoseconds each");
    let rows = [
        ("a reading of the thread's CPU clock", costs.cpu_clock),
        ("a reading of the monotonic clock", costs.monotonic),
        ("run, no meter", costs.unmetered),
        ("run, metered", costs.run),
        ("a poll of in_class, metered", costs.in_class),
        ("run, metered with a budget of 0.1 ms", costs.budgeted),
        ("run, CPU clock read at both ends", costs.dearest),
    ];
    rows.iter().for_each(|(what, ns)| println!("  {what:<44}{ns:>8.1}"));
}

fn print_overhead(length: u64, contenders: &[Overhead]) {
    println!("  operations of {length} us");
    for Overhead { contender, median, deciles } in contenders {
        println!("    {contender:<42}{median:>8.3}{deciles:>8.3}");
    }
}

fn print_spikes(spikes: Spikes) {
    println!("spikes");
    let rows = [
        ("rounds with one spike of 110 us", spikes.rounds),
        ("of them, caught", spikes.caught),
        ("operations of 50 us: flagged", spikes.half_flagged),
        ("operations of 50 us: over 75 us", spikes.half_long),
        ("operations of 5 us: flagged", spikes.small_flagged),
    ];
    rows.iter().for_each(|(what, count)| println!("  {what:<44}{count:>8}"));
}
