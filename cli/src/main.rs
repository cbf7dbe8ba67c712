//! The binary `seedbed`: the command line over the built-in scenarios.

use std::process::ExitCode;

fn main() -> ExitCode {
    seedbed_cli::main(seedbed_scenarios::all())
}
