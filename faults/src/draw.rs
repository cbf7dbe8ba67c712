//! From a plan to one seed's world.
//!
//! Invariant: the value 0 is always the most benign outcome: a kind is off, a rate is at its
//! lowest, a disk is at its largest. A kind that the plan does not use draws nothing, so adding a
//! kind to the vocabulary does not change the decisions of old plans.

use crate::device::{DeviceFaults, DevicePlan};
use crate::faults::{ClockFaults, DiskFaults, Faults, NodeFaults};
use crate::net::{NetFaults, NetPlan};
use crate::plan::{ClockPlan, DiskPlan, NodePlan, Plan};
use crate::profile::Profile;
use crate::range::{CountRange, DurationRange, RatioRange};
use crate::ratio::{Ratio, gcd};

#[cfg(test)]
mod tests;

/// The labels of one kind's decisions. Each kind has its own, so that switching one kind off while
/// shrinking moves nobody else's decisions.
#[derive(Clone, Copy)]
struct Labels {
    /// Is this kind on in this seed?
    swarm: &'static str,
    /// How often, or how much, in this seed?
    rate: &'static str,
}

macro_rules! labels {
    ($kind:literal) => {
        Labels { swarm: concat!("swarm.", $kind), rate: concat!("rate.", $kind) }
    };
}

impl Plan {
    /// Draws one seed's world. `choose(label, bound)` returns a value in `0..bound`, where 0 means
    /// the most benign outcome.
    ///
    /// # Panics
    /// If `choose` returns a value that is not below its bound.
    pub fn draw(&self, choose: &mut dyn FnMut(&'static str, u64) -> u64) -> Faults {
        let mut draw = Draw { choose, swarm: self.swarm };
        Faults {
            disk: draw.disk(&self.disk),
            device: draw.device(&self.device),
            node: draw.node(&self.node),
            clock: draw.clock(&self.clock),
            net: draw.net(&self.net),
            budget: self.budget,
            rules: self.rules.clone(),
        }
    }
}

/// The decisions of one seed, in the order of the plan's fields.
struct Draw<'a> {
    choose: &'a mut dyn FnMut(&'static str, u64) -> u64,
    swarm: bool,
}

impl Draw<'_> {
    fn disk(&mut self, plan: &DiskPlan) -> DiskFaults {
        DiskFaults {
            profile: self.profile(&plan.profiles),
            read_latency: plan.read_latency,
            write_latency: plan.write_latency,
            sync_latency: plan.sync_latency,
            metadata_latency: plan.metadata_latency,
            read_error_probability: self.kind(labels!("read_error"), plan.read_error_probability),
            write_error_probability: self
                .kind(labels!("write_error"), plan.write_error_probability),
            sync_error_probability: self.kind(labels!("sync_error"), plan.sync_error_probability),
            metadata_error_probability: self
                .kind(labels!("metadata_error"), plan.metadata_error_probability),
            no_space_probability: self.kind(labels!("no_space"), plan.no_space_probability),
            short_read_probability: self.kind(labels!("short_read"), plan.short_read_probability),
            short_write_probability: self
                .kind(labels!("short_write"), plan.short_write_probability),
            torn_page_probability: self.kind(labels!("torn_page"), plan.torn_page_probability),
            background_probability: self.kind(labels!("background"), plan.background_probability),
            writeback_error_probability: self
                .kind(labels!("writeback_error"), plan.writeback_error_probability),
            shutdown_probability: self.kind(labels!("shutdown"), plan.shutdown_probability),
            capacity_bytes: self.capacity(labels!("capacity"), plan.capacity_bytes),
            capacity_files: self.capacity(labels!("capacity_files"), plan.capacity_files),
        }
    }

    fn device(&mut self, plan: &DevicePlan) -> DeviceFaults {
        DeviceFaults {
            volatile_cache: plan.volatile_cache,
            atomic_write_bytes: plan.atomic_write_bytes,
            powersafe_overwrite: plan.powersafe_overwrite,
            lying_sync_probability: self.kind(labels!("lying_sync"), plan.lying_sync_probability),
            media_fault_max: self.count(labels!("media_fault"), plan.media_fault_max),
            bit_rot_probability: self.kind(labels!("bit_rot"), plan.bit_rot_probability),
            latent_error_probability: self
                .kind(labels!("latent_error"), plan.latent_error_probability),
            garbage_probability: self.kind(labels!("garbage"), plan.garbage_probability),
            garbage_in_write: plan.garbage_in_write,
            lost_write_probability: self.kind(labels!("lost_write"), plan.lost_write_probability),
            misdirected_write_probability: self
                .kind(labels!("misdirected_write"), plan.misdirected_write_probability),
            stale_read_probability: self.kind(labels!("stale_read"), plan.stale_read_probability),
            misdirected_read_probability: self
                .kind(labels!("misdirected_read"), plan.misdirected_read_probability),
            stall_probability: self.kind(labels!("stall"), plan.stall_probability),
            slow_sync_probability: self.kind(labels!("slow_sync"), plan.slow_sync_probability),
            stall: plan.stall,
            hang_probability: self.kind(labels!("hang"), plan.hang_probability),
            hang: plan.hang,
            bytes_per_second: self.capacity(labels!("bytes_per_second"), plan.bytes_per_second),
            queue_depth: self.capacity(labels!("queue_depth"), plan.queue_depth),
        }
    }

    fn node(&mut self, plan: &NodePlan) -> NodeFaults {
        NodeFaults {
            crash_count: self.count(labels!("crash_count"), plan.crash_count),
            crash_after_ops: plan.crash_after_ops,
            power_loss_probability: self.ratio(labels!("power_loss"), plan.power_loss_probability),
            recovery_crash_probability: self
                .kind(labels!("recovery_crash"), plan.recovery_crash_probability),
        }
    }

    fn clock(&mut self, plan: &ClockPlan) -> ClockFaults {
        let DurationRange { min_ns, max_ns } = plan.offset;
        ClockFaults {
            offset_ns: self.amount(labels!("offset"), CountRange { min: min_ns, max: max_ns }),
            drift_ppm: self.amount(labels!("drift"), plan.drift_ppm),
            step_probability: self.kind(labels!("step"), plan.step_probability),
            step: plan.step,
            pause_probability: self.kind(labels!("pause"), plan.pause_probability),
            pause: plan.pause,
        }
    }

    fn net(&mut self, plan: &NetPlan) -> NetFaults {
        NetFaults {
            drop_probability: self.kind(labels!("net_drop"), plan.drop_probability),
            duplicate_probability: self.kind(labels!("net_duplicate"), plan.duplicate_probability),
            reorder_probability: self.kind(labels!("net_reorder"), plan.reorder_probability),
            clog_probability: self.kind(labels!("net_clog"), plan.clog_probability),
            partition_probability: self.kind(labels!("net_partition"), plan.partition_probability),
            swizzle_probability: self.kind(labels!("net_swizzle"), plan.swizzle_probability),
            connect_failure_probability: self
                .kind(labels!("connect_failure"), plan.connect_failure_probability),
            connect_hang_probability: self
                .kind(labels!("connect_hang"), plan.connect_hang_probability),
            short_read_probability: self
                .kind(labels!("net_short_read"), plan.short_read_probability),
            short_write_probability: self
                .kind(labels!("net_short_write"), plan.short_write_probability),
            reset_probability: self.kind(labels!("net_reset"), plan.reset_probability),
            ..NetFaults::calm(plan)
        }
    }

    fn choose(&mut self, label: &'static str, bound: u64) -> u64 {
        assert!(bound > 0, "there is something to choose from");
        let value = (self.choose)(label, bound);
        assert!(value < bound, "a decision is below its bound: {label} {value} of {bound}");
        value
    }

    /// One of the plan's profiles; a plan without any gets the default.
    fn profile(&mut self, profiles: &[Profile]) -> Profile {
        match profiles {
            [] => Profile::default(),
            [only] => *only,
            several => several[self.choose("profile", several.len() as u64) as usize],
        }
    }

    /// Whether the swarm leaves a kind on.
    fn is_on(&mut self, labels: Labels) -> bool {
        !self.swarm || self.choose(labels.swarm, 2) == 1
    }

    /// A fault kind with a probability.
    fn kind(&mut self, labels: Labels, range: RatioRange) -> Ratio {
        match !range.is_never() && self.is_on(labels) {
            true => self.ratio(labels, range),
            false => Ratio::NEVER,
        }
    }

    /// A fault kind with an amount, where 0 is "off" and more is worse.
    fn amount(&mut self, labels: Labels, range: CountRange) -> u64 {
        match range.max > 0 && self.is_on(labels) {
            true => self.count(labels, range),
            false => 0,
        }
    }

    /// A capacity, where 0 is "unlimited" and otherwise less is worse.
    fn capacity(&mut self, labels: Labels, range: CountRange) -> u64 {
        if range.max == 0 || !self.is_on(labels) {
            return 0;
        }
        if range.min >= range.max {
            return range.max;
        }
        match (self.choose(labels.rate, range.span()), range.min) {
            (0, 0) => 0,
            (value, 0) => range.max - (value - 1),
            (value, _) => range.max - value,
        }
    }

    fn count(&mut self, labels: Labels, range: CountRange) -> u64 {
        match range.min >= range.max {
            true => range.max,
            false => range.min + self.choose(labels.rate, range.span()),
        }
    }

    fn ratio(&mut self, labels: Labels, range: RatioRange) -> Ratio {
        if range.min >= range.max {
            return range.max;
        }
        let (low, high, denominator) = on_common_denominator(range);
        let value = self.choose(labels.rate, u64::from(high - low) + 1) as u32;
        match value {
            0 => range.min, // exact, even when the steps are rounded
            value if value == high - low => range.max,
            value => Ratio::new(low + value, denominator),
        }
    }
}

/// The range's ends as numerators over one denominator, which is scaled down where the exact one
/// does not fit. `low < high`.
fn on_common_denominator(range: RatioRange) -> (u32, u32, u32) {
    let (low, high) = (range.min, range.max);
    let (a, b) = (u64::from(low.denominator()), u64::from(high.denominator()));
    let exact = a / gcd(a, b) * b; // below 2^64: both are below 2^32
    let denominator = u32::try_from(exact).unwrap_or(u32::MAX);
    let over = |ratio: Ratio| {
        let scaled = u64::from(ratio.numerator()) * u64::from(denominator);
        (scaled / u64::from(ratio.denominator())) as u32
    };
    let low = over(low).min(denominator - 1);
    (low, over(high).max(low + 1), denominator)
}
