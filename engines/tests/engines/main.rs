//! The engines' tests, on real files in a temporary folder.

mod damage;
mod example_bytes;
mod failures;
mod merkle;
#[cfg(feature = "plants")]
mod plants;
mod record_log;
mod store;
mod support;
