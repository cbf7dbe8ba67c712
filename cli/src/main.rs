//! The binary `seedbed`: the command line over the built-in scenarios.

use std::process::ExitCode;

use seedbed_cli::Cli;

/// Seeds of each scenario in the main job, measured so that on two cores each takes an equal share
/// of about half a minute.
const MAIN_SEEDS: [(&str, u64); 1] = [("atomic_commit", 240_000)];

fn main() -> ExitCode {
    let mut cli = Cli::new("seedbed").scenarios(seedbed_scenarios::all());
    for (scenario, seeds) in MAIN_SEEDS {
        cli = cli.main_seeds_of(scenario, seeds);
    }
    cli.run()
}
