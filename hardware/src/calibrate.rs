//! Measures a disk, and what engines cost on this machine, so that a simulation takes as long.
//!
//! A [`Profile`] is written as a file; see there. `disk.rs` measures the disk, `costs.rs` the
//! engines.

mod costs;
mod disk;

use std::collections::BTreeMap;
use std::path::Path;

use seedbed::faults::timing::{TIMING_BYTES_MAX, Timing};
use serde::{Deserialize, Serialize};

pub use self::costs::costs;
pub use self::disk::disk;
use crate::simulate::Costs;
use crate::workload::Engine;
use crate::{Failed, text};

/// A disk and a machine, as measured; or made up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Where it was measured; empty if it was not.
    #[serde(default)]
    pub machine: String,
    /// How long the disk takes.
    pub timing: Timing,
    /// What engines cost.
    #[serde(default)]
    pub costs: BTreeMap<Engine, Costs>,
}

impl Profile {
    /// A shipped profile, or a file's.
    ///
    /// # Errors
    /// There is none of that name, or the file is no profile.
    pub fn find(name: &str) -> Result<Self, String> {
        if let Some(timing) = Timing::preset(name) {
            return Ok(Self { machine: String::new(), timing, costs: usual_costs() });
        }
        let known: Vec<_> = Timing::presets().map(|preset| preset.name).collect();
        let text = text::read(Path::new(name), TIMING_BYTES_MAX);
        let text = text.map_err(|what| {
            format!("{name}: no profile: {what}; shipped profiles are {}", known.join(", "))
        })?;
        Self::parse(&text).map_err(|why| format!("{name}: {why}"))
    }

    /// A profile from a file's text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let profile: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        Timing::parse(&profile.timing.to_text())?;
        let sane = |cost: f64| (0.0..1e12).contains(&cost);
        for (engine, costs) in &profile.costs {
            let Costs { call_ns, operation_ns, byte_ns, wake_ns, sync_ns, message_ns } = *costs;
            let all = [call_ns, operation_ns, byte_ns, wake_ns, sync_ns, message_ns];
            if !all.into_iter().all(sane) {
                return Err(format!("costs.{}: 0 to 1e12 nanoseconds", engine.name()));
            }
        }
        Ok(profile)
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        toml::to_string(self).expect("a profile is plain data")
    }

    /// What an engine costs; as usual, if nobody has measured it.
    pub fn costs_of(&self, engine: Engine) -> Costs {
        let usual = usual_costs();
        self.costs.get(&engine).or_else(|| usual.get(&engine)).copied().unwrap_or_default()
    }
}

/// What engines cost on two virtual cores of an AMD EPYC, where nothing else is known.
fn usual_costs() -> BTreeMap<Engine, Costs> {
    let store = Costs {
        call_ns: 5_000.0,
        operation_ns: 3_000.0,
        byte_ns: 3.0,
        wake_ns: 2_000.0,
        sync_ns: 20_000.0,
        message_ns: 20_000.0,
    };
    let sink = Costs { operation_ns: 7_000.0, byte_ns: 5.0, ..store };
    BTreeMap::from([(Engine::AtomicCommit, store), (Engine::Sink, sink)])
}

fn machine(what: String) -> Failed {
    Failed::Machine(what)
}

fn interrupted() -> Failed {
    machine("interrupted".to_owned())
}
