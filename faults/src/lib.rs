//! seedbed-faults.
