//! One seed's concrete world: what [`crate::Plan::draw`] makes of a plan.
//!
//! The shape is the plan's; what a plan holds as a range and a seed fixes once is a single value
//! here. Ranges that remain are drawn again for every operation, step, pause or boot.

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::device::DeviceFaults;
use crate::net::NetFaults;
use crate::plan::{ClockPlan, DiskPlan, NodePlan};
use crate::profile::Profile;
use crate::range::{CountRange, DurationRange};
use crate::ratio::Ratio;
use crate::rule::Rule;

/// One seed's concrete world. `Default` = nothing goes wrong, latencies are modest.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Faults {
    /// What the file systems do.
    pub disk: DiskFaults,
    /// What the devices below them do.
    pub device: DeviceFaults,
    /// What happens to the nodes.
    pub node: NodeFaults,
    /// What the clocks do.
    pub clock: ClockFaults,
    /// What the network does.
    pub net: NetFaults,
    /// How many nodes may be hit.
    pub budget: Budget,
    /// Surgical rules, in the order of the plan; the first that fires decides.
    pub rules: Vec<Rule>,
}

/// One seed's file systems.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DiskFaults {
    /// What the file systems promise.
    pub profile: Profile,
    /// How long a read takes; drawn per operation.
    pub read_latency: DurationRange,
    /// How long a write takes; drawn per operation.
    pub write_latency: DurationRange,
    /// How long a sync takes; drawn per operation.
    pub sync_latency: DurationRange,
    /// How long an operation on names takes; drawn per operation.
    pub metadata_latency: DurationRange,
    /// Chance that a read fails with EIO.
    pub read_error_probability: Ratio,
    /// Chance that a write fails with EIO.
    pub write_error_probability: Ratio,
    /// Chance that a sync fails with EIO.
    pub sync_error_probability: Ratio,
    /// Chance that an operation on names fails with EIO.
    pub metadata_error_probability: Ratio,
    /// Chance that an operation that needs space fails with ENOSPC.
    pub no_space_probability: Ratio,
    /// Chance that a read returns fewer bytes than asked for.
    pub short_read_probability: Ratio,
    /// Chance that a write takes fewer bytes than given.
    pub short_write_probability: Ratio,
    /// Chance that a page which a power loss catches unsynced is torn.
    pub torn_page_probability: Ratio,
    /// Chance, at each operation, that the kernel does something by itself.
    pub background_probability: Ratio,
    /// Chance that a writing back by itself fails with EIO.
    pub writeback_error_probability: Ratio,
    /// Chance that a sync or an operation on names makes the file system give up.
    pub shutdown_probability: Ratio,
    /// How many bytes a disk holds; 0 = unlimited.
    pub capacity_bytes: u64,
    /// How many files and directories it holds; 0 = unlimited.
    pub capacity_files: u64,
}

/// One seed's crashes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NodeFaults {
    /// How many times this seed crashes a node.
    pub crash_count: u64,
    /// How many operations of a boot pass before it crashes; drawn per boot.
    pub crash_after_ops: CountRange,
    /// Share of crashes that are power losses.
    pub power_loss_probability: Ratio,
    /// Chance that a boot is crashed early, during its recovery.
    pub recovery_crash_probability: Ratio,
}

/// One seed's clocks.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ClockFaults {
    /// How far wall clocks are ahead, in nanoseconds.
    pub offset_ns: u64,
    /// How fast clocks run away, in parts per million.
    pub drift_ppm: u64,
    /// Chance of a step of the wall clock.
    pub step_probability: Ratio,
    /// How far a step goes; drawn per step.
    pub step: DurationRange,
    /// Chance of a pause of a node.
    pub pause_probability: Ratio,
    /// How long a pause lasts; drawn per pause.
    pub pause: DurationRange,
}

impl Faults {
    /// The names of the fault kinds that are on, as in the plan. Crashes and rules are not kinds:
    /// they are not switched by the swarm.
    pub fn kinds_on(&self) -> Vec<&'static str> {
        let Self { disk, device, node, clock, net, budget: _, rules: _ } = self;
        let kinds = [
            ("read_error", !disk.read_error_probability.is_never()),
            ("write_error", !disk.write_error_probability.is_never()),
            ("sync_error", !disk.sync_error_probability.is_never()),
            ("metadata_error", !disk.metadata_error_probability.is_never()),
            ("no_space", !disk.no_space_probability.is_never()),
            ("short_read", !disk.short_read_probability.is_never()),
            ("short_write", !disk.short_write_probability.is_never()),
            ("torn_page", !disk.torn_page_probability.is_never()),
            ("background", !disk.background_probability.is_never()),
            ("writeback_error", !disk.writeback_error_probability.is_never()),
            ("shutdown", !disk.shutdown_probability.is_never()),
            ("capacity", disk.capacity_bytes != 0),
            ("capacity_files", disk.capacity_files != 0),
            ("recovery_crash", !node.recovery_crash_probability.is_never()),
            ("offset", clock.offset_ns != 0),
            ("drift", clock.drift_ppm != 0),
            ("step", !clock.step_probability.is_never()),
            ("pause", !clock.pause_probability.is_never()),
        ];
        let kinds = kinds.into_iter().filter(|(_, on)| *on).map(|(name, _)| name);
        kinds.chain(device.kinds_on()).chain(net.kinds_on()).collect()
    }
}

impl Default for DiskFaults {
    fn default() -> Self {
        let plan = DiskPlan::default();
        Self {
            profile: Profile::POSIX,
            read_latency: plan.read_latency,
            write_latency: plan.write_latency,
            sync_latency: plan.sync_latency,
            metadata_latency: plan.metadata_latency,
            read_error_probability: Ratio::NEVER,
            write_error_probability: Ratio::NEVER,
            sync_error_probability: Ratio::NEVER,
            metadata_error_probability: Ratio::NEVER,
            no_space_probability: Ratio::NEVER,
            short_read_probability: Ratio::NEVER,
            short_write_probability: Ratio::NEVER,
            torn_page_probability: Ratio::NEVER,
            background_probability: Ratio::NEVER,
            writeback_error_probability: Ratio::NEVER,
            shutdown_probability: Ratio::NEVER,
            capacity_bytes: 0,
            capacity_files: 0,
        }
    }
}

impl Default for NodeFaults {
    fn default() -> Self {
        let plan = NodePlan::default();
        Self {
            crash_count: 0,
            crash_after_ops: plan.crash_after_ops,
            power_loss_probability: plan.power_loss_probability.min,
            recovery_crash_probability: Ratio::NEVER,
        }
    }
}

impl Default for ClockFaults {
    fn default() -> Self {
        let plan = ClockPlan::default();
        Self {
            offset_ns: 0,
            drift_ppm: 0,
            step_probability: Ratio::NEVER,
            step: plan.step,
            pause_probability: Ratio::NEVER,
            pause: plan.pause,
        }
    }
}
