//! The engines' tests, on real files in a temporary folder.

mod damage;
mod failures;
mod golden;
mod merkle;
#[cfg(feature = "plants")]
mod plants;
mod preallocated;
mod record_log;
mod stalls;
mod store;
mod support;
