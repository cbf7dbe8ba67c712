//! seedbed-scenarios.
