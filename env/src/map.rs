//! Maps without a random hasher: iteration order is a function of the insertions alone, on every
//! run. The hash is FxHash, which is not for keys that an adversary chooses.
//!
//! The crate `fxhash` is no longer maintained and is complete; this module is the one place to
//! change if it must be replaced.

pub use fxhash::{FxHashMap, FxHashSet, FxHasher64};
