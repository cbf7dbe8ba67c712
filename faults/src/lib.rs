//! Fault vocabulary as plain data: what may go wrong in a simulated world, how often, and where.
//!
//! * A [`Plan`] is what a person writes: TOML with ranges (`sync_error_probability =
//!   "1/1000..1/10"`). [`Plan::draw`] turns it into [`Faults`], the concrete world of one seed.
//! * A [`Rule`] is surgical: "the third `sync_data` of `*.log` fails with EIO".
//! * [`presets`] are plans that ship with the crate.
//!
//! Invariants:
//! * Nothing here does I/O except [`Plan::load`], and nothing here knows the simulator: randomness
//!   comes in through a `choose(label, bound)` function, and the value 0 always means the most
//!   benign outcome, so that a shrinker can drive a plan towards "nothing goes wrong".
//! * Probabilities are integer ratios, never floats: the same plan means the same everywhere.
//! * Text from outside never panics: it is accepted or refused with what was found, what is
//!   expected, and an example.

mod budget;
mod device;
mod draw;
mod errors;
mod faults;
mod net;
mod plan;
mod presets;
mod profile;
mod range;
mod ratio;
mod rule;
mod run;
pub mod timing;

pub use budget::Budget;
pub use device::{DeviceFaults, DevicePlan, SECTOR_BYTES};
pub use errors::{ParseError, PlanError, RuleError};
pub use faults::{ClockFaults, DiskFaults, Faults, NodeFaults};
pub use net::{NetFaults, NetPlan};
pub use plan::{
    ClockPlan, DRIFT_PPM_MAX, DURATION_NS_MAX, DiskPlan, NodePlan, PLAN_BYTES_MAX, Plan, RULES_MAX,
};
pub use presets::{Preset, presets};
pub use profile::{GivesUp, Growth, NameOrder, Profile};
pub use range::{CountRange, DurationRange, RatioRange};
pub use ratio::Ratio;
pub use rule::{CompiledRule, On, OpKind, Rule, RuleState, Then};
pub use run::{RunSettings, Seeds};
pub use timing::Timing;
