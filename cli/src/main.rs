//! The binary `seedbed`: the command line over the built-in scenarios and the patterns.

use std::process::ExitCode;

use seedbed_cli::Cli;

/// Counts while `bench` measures; otherwise the system's.
#[global_allocator]
static ALLOCATOR: seedbed_hardware::allocations::Counting = seedbed_hardware::allocations::Counting;

/// Seeds of each scenario in the main job, measured so that on two cores each takes an equal share
/// of about half a minute.
const MAIN_SEEDS: [(&str, u64); 2] = [("atomic_commit", 75_000), ("sink", 15_000)];
/// Seeds of each pattern there: only to show that their right variants are silent.
const PATTERN_SEEDS: u64 = 2_000;

fn main() -> ExitCode {
    let mut cli = Cli::new("seedbed").scenarios(seedbed_scenarios::all());
    for (scenario, seeds) in MAIN_SEEDS {
        cli = cli.main_seeds_of(scenario, seeds);
    }
    for pattern in seedbed_scenarios::patterns() {
        cli = cli.main_seeds_of(pattern.name(), PATTERN_SEEDS);
    }
    cli.scenarios(seedbed_scenarios::patterns()).run()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn every_scenario_has_seeds_of_its_own_in_the_main_job() {
        let scenarios = seedbed_scenarios::all();
        let known: BTreeSet<_> = scenarios.iter().map(|scenario| scenario.name()).collect();
        let measured: BTreeSet<_> = super::MAIN_SEEDS.iter().map(|(name, _)| *name).collect();
        assert_eq!(measured, known, "measure what fills its share of the main job");
        assert_eq!(measured.len(), super::MAIN_SEEDS.len(), "a scenario is named twice");
    }
}
