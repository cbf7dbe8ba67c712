//! seedbed-engines.
