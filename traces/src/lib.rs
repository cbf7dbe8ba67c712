//! seedbed-traces.
