//! seedbed-tests.
