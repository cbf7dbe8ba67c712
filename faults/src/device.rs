//! The device below the file system: its cache, what it promises of a write, what its medium does
//! to bytes at rest, and how it gets slow.
//!
//! Media faults break what every file system relies on, so an engine is not expected to survive
//! them all; it is expected to notice. `media_fault_max` is the **budget**: no more of them between
//! two restarts, so that a checker can say what must be noticed and what may be lost (Alagappan et
//! al., FAST 2018; the fault atlas of TigerBeetle).

use serde::{Deserialize, Serialize};

use crate::range::{CountRange, DurationRange, RatioRange};
use crate::ratio::Ratio;

/// The unit that a device writes whole, if nothing better is known.
pub const SECTOR_BYTES: u64 = 512;

/// What the devices do, as a plan says it (`[device]`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DevicePlan {
    /// It has a cache that a power loss empties: what was written back is durable at the next
    /// flush, not before.
    pub volatile_cache: bool,
    /// Bytes that it writes whole or not at all: 512, or 4096 where pages are not torn.
    pub atomic_write_bytes: u64,
    /// A torn write leaves its neighbours alone (`SQLITE_IOCAP_POWERSAFE_OVERWRITE`). Without it a
    /// write of 512 bytes that a power loss catches destroys the 4096 around it.
    pub powersafe_overwrite: bool,
    /// Chance that a sync reports success and what it covered stays in the device's cache, until
    /// the next honest one.
    pub lying_sync_probability: RatioRange,
    /// Media faults between two restarts, at most.
    pub media_fault_max: CountRange,
    /// Chance, at each restart, that durable bytes have changed: a bit, a byte or a sector.
    pub bit_rot_probability: RatioRange,
    /// Chance, at each restart, that a page cannot be read until it is written again.
    pub latent_error_probability: RatioRange,
    /// Chance that a power loss leaves junk where it caught a write.
    pub garbage_probability: RatioRange,
    /// That junk is in exactly the bytes of one write that nothing had made durable, and is no
    /// media fault: which bytes a power loss leaves there is open anyway. Otherwise it takes the
    /// sector, or page, around a lost write.
    pub garbage_in_write: bool,
    /// Chance that a sync leaves out one of its pages (a phantom write).
    pub lost_write_probability: RatioRange,
    /// Chance that a sync writes one of its pages to another place.
    pub misdirected_write_probability: RatioRange,
    /// Chance that a read gets what was there before the last sync.
    pub stale_read_probability: RatioRange,
    /// Chance that a read gets another place's bytes.
    pub misdirected_read_probability: RatioRange,
    /// Chance that an operation takes `stall` longer, and all others wait for it.
    pub stall_probability: RatioRange,
    /// Chance that a sync alone takes `stall` longer.
    pub slow_sync_probability: RatioRange,
    /// How long that is; drawn per stall.
    pub stall: DurationRange,
    /// Chance that an operation hangs: it never returns, and `hang` later the node is reset, unless
    /// nobody waits for it any more.
    pub hang_probability: RatioRange,
    /// How long that takes; drawn per hang.
    pub hang: DurationRange,
    /// Bytes that it reads or writes in a second; 0 is no limit.
    pub bytes_per_second: CountRange,
    /// Reads and syncs that it works on at a time: the next waits for a place, also for one that a
    /// sync holds. 0 is no limit.
    pub queue_depth: CountRange,
}

impl Default for DevicePlan {
    fn default() -> Self {
        Self {
            volatile_cache: true,
            atomic_write_bytes: SECTOR_BYTES,
            powersafe_overwrite: true,
            lying_sync_probability: RatioRange::NEVER,
            media_fault_max: CountRange::new(1, 1),
            bit_rot_probability: RatioRange::NEVER,
            latent_error_probability: RatioRange::NEVER,
            garbage_probability: RatioRange::NEVER,
            garbage_in_write: false,
            lost_write_probability: RatioRange::NEVER,
            misdirected_write_probability: RatioRange::NEVER,
            stale_read_probability: RatioRange::NEVER,
            misdirected_read_probability: RatioRange::NEVER,
            stall_probability: RatioRange::NEVER,
            slow_sync_probability: RatioRange::NEVER,
            stall: DurationRange::new(100_000_000, 2_000_000_000),
            hang_probability: RatioRange::NEVER,
            hang: DurationRange::new(30_000_000_000, 120_000_000_000),
            bytes_per_second: CountRange::ZERO,
            queue_depth: CountRange::ZERO,
        }
    }
}

/// One seed's devices; the fields mean what they mean in [`DevicePlan`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the plan's fields say it")]
pub struct DeviceFaults {
    pub volatile_cache: bool,
    pub atomic_write_bytes: u64,
    pub powersafe_overwrite: bool,
    pub lying_sync_probability: Ratio,
    pub media_fault_max: u64,
    pub bit_rot_probability: Ratio,
    pub latent_error_probability: Ratio,
    pub garbage_probability: Ratio,
    pub garbage_in_write: bool,
    pub lost_write_probability: Ratio,
    pub misdirected_write_probability: Ratio,
    pub stale_read_probability: Ratio,
    pub misdirected_read_probability: Ratio,
    pub stall_probability: Ratio,
    pub slow_sync_probability: Ratio,
    pub stall: DurationRange,
    pub hang_probability: Ratio,
    pub hang: DurationRange,
    pub bytes_per_second: u64,
    pub queue_depth: u64,
}

impl DeviceFaults {
    /// The names of the fault kinds that are on, as in the plan.
    pub(crate) fn kinds_on(&self) -> impl Iterator<Item = &'static str> {
        let kinds = [
            ("lying_sync", !self.lying_sync_probability.is_never()),
            ("bit_rot", !self.bit_rot_probability.is_never()),
            ("latent_error", !self.latent_error_probability.is_never()),
            ("garbage", !self.garbage_probability.is_never()),
            ("lost_write", !self.lost_write_probability.is_never()),
            ("misdirected_write", !self.misdirected_write_probability.is_never()),
            ("stale_read", !self.stale_read_probability.is_never()),
            ("misdirected_read", !self.misdirected_read_probability.is_never()),
            ("stall", !self.stall_probability.is_never()),
            ("slow_sync", !self.slow_sync_probability.is_never()),
            ("hang", !self.hang_probability.is_never()),
            ("bytes_per_second", self.bytes_per_second != 0),
            ("queue_depth", self.queue_depth != 0),
        ];
        kinds.into_iter().filter(|(_, on)| *on).map(|(name, _)| name)
    }

    /// Whether nothing can go wrong at an operation (faults at rest and at power losses aside).
    pub fn is_quiet(&self) -> bool {
        let at_operations = [
            self.lying_sync_probability,
            self.lost_write_probability,
            self.misdirected_write_probability,
            self.stale_read_probability,
            self.misdirected_read_probability,
            self.stall_probability,
            self.slow_sync_probability,
            self.hang_probability,
        ];
        at_operations.iter().all(|probability| probability.is_never())
            && self.bytes_per_second == 0
            && self.queue_depth == 0
    }
}

impl Default for DeviceFaults {
    fn default() -> Self {
        let plan = DevicePlan::default();
        Self {
            volatile_cache: plan.volatile_cache,
            atomic_write_bytes: plan.atomic_write_bytes,
            powersafe_overwrite: plan.powersafe_overwrite,
            lying_sync_probability: Ratio::NEVER,
            media_fault_max: plan.media_fault_max.max,
            bit_rot_probability: Ratio::NEVER,
            latent_error_probability: Ratio::NEVER,
            garbage_probability: Ratio::NEVER,
            garbage_in_write: plan.garbage_in_write,
            lost_write_probability: Ratio::NEVER,
            misdirected_write_probability: Ratio::NEVER,
            stale_read_probability: Ratio::NEVER,
            misdirected_read_probability: Ratio::NEVER,
            stall_probability: Ratio::NEVER,
            slow_sync_probability: Ratio::NEVER,
            stall: plan.stall,
            hang_probability: Ratio::NEVER,
            hang: plan.hang,
            bytes_per_second: 0,
            queue_depth: 0,
        }
    }
}
