//! The fault budget of a world of several nodes: how many of them may be hit.
//!
//! Engines of several nodes survive so many failures and no more; a world that hits more nodes
//! than that is impossible to survive, and no finding. The same numbers say what an engine
//! survives: then a budget is a **tolerance**. Invariant: `None` is no limit, which asks nothing
//! and changes nothing.

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::rule::Then;

/// Most nodes that a limit may speak of.
pub(crate) const NODES_MAX: u64 = 65_536;

/// How many nodes may be hit, as a plan says it (`[budget]`), or how many an engine survives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Nodes that are down at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes_down_max: Option<u64>,
    /// Nodes whose disks ever fail: errors, full disks, file systems that give up, calls that hang.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes_disk_faults_max: Option<u64>,
    /// Nodes whose media are ever damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes_damaged_max: Option<u64>,
    /// Nodes that are cut off at once, by partitions or swizzles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes_cut_off_max: Option<u64>,
}

impl Budget {
    /// Any number of nodes.
    pub const ANY: Self = Self {
        nodes_down_max: None,
        nodes_disk_faults_max: None,
        nodes_damaged_max: None,
        nodes_cut_off_max: None,
    };

    /// No node at all.
    pub const NONE: Self = Self {
        nodes_down_max: Some(0),
        nodes_disk_faults_max: Some(0),
        nodes_damaged_max: Some(0),
        nodes_cut_off_max: Some(0),
    };

    /// Whether it limits nothing: then a plan's text leaves the table out.
    pub(crate) fn is_any(&self) -> bool {
        *self == Self::ANY
    }

    /// Its limits by key, with what a node is then.
    pub(crate) fn limits(&self) -> [(&'static str, &'static str, Option<u64>); 4] {
        [
            ("budget.nodes_down_max", "down at once", self.nodes_down_max),
            ("budget.nodes_disk_faults_max", "with failing disks", self.nodes_disk_faults_max),
            ("budget.nodes_damaged_max", "with damaged media", self.nodes_damaged_max),
            ("budget.nodes_cut_off_max", "cut off at once", self.nodes_cut_off_max),
        ]
    }

    /// In which ways this goes beyond a tolerance, in words.
    pub fn beyond(&self, tolerance: &Self) -> Vec<String> {
        let kinds = self.limits().into_iter().zip(tolerance.limits());
        let beyond = |((_, what, hit), (_, _, survived)): ((_, _, Option<u64>), (_, _, _))| {
            let survived: u64 = survived?;
            if hit.is_some_and(|hit| hit <= survived) {
                return None;
            }
            let hit = hit.map_or("any number of nodes".to_owned(), nodes);
            let survived = if survived == 0 { "none".to_owned() } else { nodes(survived) };
            Some(format!("{hit} {what}, where it survives {survived}"))
        };
        kinds.filter_map(beyond).collect()
    }
}

fn nodes(count: u64) -> String {
    format!("{count} node{}", if count == 1 { "" } else { "s" })
}

impl Plan {
    /// How many nodes this plan may hit at most: its budget, and none by what it does not use. What
    /// its rules do is not limited.
    pub fn reach(&self) -> Budget {
        let Self { disk, device, node, net, rules, budget, .. } = self;
        let ruled = |what: &[Then]| rules.iter().any(|rule| what.contains(&rule.then));
        let may = |used: bool, ruled: bool, limit: Option<u64>| match (used, ruled) {
            (_, true) => None,
            (true, false) => limit,
            (false, false) => Some(0),
        };
        let hangs = !device.hang_probability.is_never();
        let fails = [
            disk.read_error_probability,
            disk.write_error_probability,
            disk.sync_error_probability,
            disk.metadata_error_probability,
            disk.no_space_probability,
            disk.writeback_error_probability,
            disk.shutdown_probability,
        ];
        let full = disk.capacity_bytes.max > 0 || disk.capacity_files.max > 0;
        let fails = hangs || full || fails.iter().any(|kind| !kind.is_never());
        let damages = [
            device.bit_rot_probability,
            device.latent_error_probability,
            device.lost_write_probability,
            device.misdirected_write_probability,
            device.stale_read_probability,
            device.misdirected_read_probability,
        ];
        let garbage = !device.garbage_in_write && !device.garbage_probability.is_never();
        let damages = garbage || damages.iter().any(|kind| !kind.is_never());
        let damages = damages && device.media_fault_max.max > 0;
        let damages = damages || !device.lying_sync_probability.is_never();
        let cuts = !net.partition_probability.is_never() || !net.swizzle_probability.is_never();
        let down = node.crash_count.max > 0 || hangs;
        let crash = ruled(&[Then::Crash, Then::PowerLoss]);
        Budget {
            nodes_down_max: may(down, crash, budget.nodes_down_max),
            nodes_disk_faults_max: may(
                fails,
                ruled(&[Then::Eio, Then::NoSpace]),
                budget.nodes_disk_faults_max,
            ),
            nodes_damaged_max: may(damages, false, budget.nodes_damaged_max),
            nodes_cut_off_max: may(cuts, false, budget.nodes_cut_off_max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::presets;

    #[test]
    fn a_plan_without_a_budget_has_the_text_that_it_had() {
        for preset in presets() {
            let plan = Plan::preset(preset.name).expect("a preset");
            assert!(plan.budget.is_any() && !plan.to_toml().contains("budget"), "{}", preset.name);
        }
    }

    #[test]
    fn a_budget_is_read_written_and_checked() {
        let text = "[budget]\nnodes_down_max = 0\nnodes_cut_off_max = 2\n";
        let plan = Plan::from_toml(text, "test").expect("a plan");
        assert_eq!((plan.budget.nodes_down_max, plan.budget.nodes_damaged_max), (Some(0), None));
        assert_eq!(Plan::from_toml(&plan.to_toml(), "again").expect("a plan"), plan);
        let error = Plan::from_toml("[budget]\nnodes_dwn_max = 1\n", "p").expect_err("a typo");
        assert!(error.to_string().contains("nodes_down_max"), "{error}");
        let error = Plan::from_toml("[budget]\nnodes_down_max = 65537\n", "p").expect_err("limit");
        assert!(error.to_string().contains("p:2"), "{error}");
    }

    #[test]
    fn a_plan_reaches_what_it_uses_within_its_budget() {
        let preset = |name| Plan::preset(name).expect("a preset");
        assert_eq!(preset("none").reach(), Budget::NONE);
        assert_eq!(preset("crashes").reach(), Budget { nodes_down_max: None, ..Budget::NONE });
        assert_eq!(preset("cluster").reach(), Budget { nodes_damaged_max: Some(0), ..Budget::ANY });
        let mut plan = preset("rough");
        assert_eq!(plan.reach().nodes_damaged_max, None);
        plan.budget.nodes_damaged_max = Some(1);
        assert_eq!(plan.reach().nodes_damaged_max, Some(1));
        plan.rules = Plan::from_toml("[[rule]]\non = \"sync\"\nthen = \"crash\"\n", "p")
            .expect("a plan")
            .rules;
        plan.budget.nodes_down_max = Some(1);
        assert_eq!(plan.reach().nodes_down_max, None, "rules are not limited");
    }

    #[test]
    fn what_goes_beyond_a_tolerance_is_said_in_words() {
        let tolerance =
            Budget { nodes_down_max: Some(1), nodes_damaged_max: Some(0), ..Budget::ANY };
        assert!(
            tolerance.beyond(&tolerance).is_empty() && Budget::NONE.beyond(&tolerance).is_empty()
        );
        let hit = Budget { nodes_down_max: Some(2), ..Budget::ANY };
        assert_eq!(
            hit.beyond(&tolerance),
            [
                "2 nodes down at once, where it survives 1 node",
                "any number of nodes with damaged media, where it survives none",
            ]
        );
        assert!(Budget::ANY.beyond(&Budget::ANY).is_empty());
    }
}
