//! Which syncs a scenario makes, and where in its source: by recording a few seeds.

use std::collections::BTreeMap;
use std::sync::Arc;

use seedbed::faults::{OpKind, Plan};
use seedbed::{Job, Scenario, record};
use serde::Serialize;

/// Seeds that are recorded.
const SEEDS: u64 = 8;
/// The plan under which they run: crashes, so that recovery is seen too.
const PLAN: &str = "crashes";

/// A sync call in the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SyncSite {
    /// `file:line`.
    pub site: String,
    /// `sync_data`, `sync_all` or `sync_dir`.
    pub op: String,
    /// How often it was called.
    pub calls: u64,
}

/// The sync sites of a scenario, by file and line.
pub(crate) fn discover(scenario: &dyn Scenario) -> Vec<SyncSite> {
    let plan = Arc::new(Plan::preset(PLAN).unwrap_or_default());
    let mut calls: BTreeMap<(String, u64, String), u64> = BTreeMap::new();
    for seed in 0..SEEDS {
        let trace = record(scenario, &Job::new(seed, Arc::clone(&plan)));
        let is_sync = |op: &str| OpKind::ALL.iter().any(|kind| kind.is_sync() && kind.name() == op);
        for event in trace.events.iter().filter(|event| is_sync(&event.op)) {
            let Some((file, line)) = event.site.as_deref().and_then(|site| site.rsplit_once(':'))
            else {
                continue;
            };
            let key = (file.to_owned(), line.parse().unwrap_or(0), event.op.to_string());
            *calls.entry(key).or_default() += 1;
        }
    }
    let sites = calls.into_iter();
    sites
        .map(|((file, line, op), calls)| SyncSite { site: format!("{file}:{line}"), op, calls })
        .collect()
}
