//! seedbed-env.
