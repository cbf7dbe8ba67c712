//! seedbed-cli.
