//! A node: a name, a disk, a clock, and one life after another.

use seedbed_faults::{ClockFaults, Profile};

use crate::budget::Hit;
use crate::choices::Choices;
use crate::device::Queue;
use crate::disk::{Disk, Reads};

/// Identifies a node of a world, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u16);

impl std::fmt::Display for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// How a boot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CrashKind {
    /// The process died: its memory is gone, the page cache lives.
    Process,
    /// The power went: the page cache is gone too.
    PowerLoss,
}

impl CrashKind {
    /// `crash` or `power_loss`, as in traces and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Process => "crash",
            Self::PowerLoss => "power_loss",
        }
    }
}

/// Number of a boot that is no boot: the node is down.
pub(crate) const DOWN: u32 = 0;

pub(crate) struct Node {
    pub name: String,
    /// The running boot's number, unique on this thread; handles carry it. [`DOWN`] if none.
    pub life: u32,
    /// Boots so far, for people.
    pub boot: u32,
    pub disk: Disk,
    pub clock: NodeClock,
    /// Disk operations of this boot.
    pub ops: u64,
    /// The operation of this boot at which it crashes, if it does.
    pub crash_at: Option<u64>,
    /// The operation at which the next boot crashes, whatever else is drawn.
    pub crash_next_boot_at: Option<u64>,
    /// The disk before every operation of this boot that found it changed; see
    /// [`Sim::film`](crate::Sim::film).
    pub film: Option<Vec<(u64, Disk)>>,
    /// What was read since this was asked for; see [`Sim::note_reads`](crate::Sim::note_reads).
    pub reads: Option<Reads>,
    /// The operation of this boot at which the node pauses or its clock steps, if it does.
    pub disturb_at: Option<u64>,
    /// World time before which none of its tasks runs.
    pub paused_until: u64,
    /// What the device is busy with.
    pub queue: Queue,
    /// Media faults since the last restart.
    pub media_faults: u64,
    /// How its disk may fail, and whether it has.
    pub disk_faults: Hit,
    /// How its media may be damaged, and whether they were.
    pub damage: Hit,
    /// A boot before this one has made a call.
    pub has_worked: bool,
}

impl Node {
    pub(crate) fn new(name: &str, profile: Profile) -> Self {
        Self {
            name: name.to_owned(),
            life: DOWN,
            boot: 0,
            disk: Disk::with_profile(profile),
            clock: NodeClock::default(),
            ops: 0,
            crash_at: None,
            crash_next_boot_at: None,
            film: None,
            reads: None,
            disturb_at: None,
            paused_until: 0,
            queue: Queue::default(),
            media_faults: 0,
            disk_faults: Hit::default(),
            damage: Hit::default(),
            has_worked: false,
        }
    }

    /// Keeps the disk as it is before the next operation, if that is to be kept and changed.
    #[inline(never)]
    pub(crate) fn expose(&mut self) {
        let Some(film) = &mut self.film else { return };
        let last = film.last().map(|(_, disk)| disk.revision());
        if last != Some(self.disk.revision()) {
            film.push((self.ops, self.disk.clone()));
        }
    }

    /// Makes a used node like a new one, keeping its allocations.
    pub(crate) fn renew(&mut self, name: &str, profile: Profile) {
        name.clone_into(&mut self.name);
        self.life = DOWN;
        self.boot = 0;
        self.disk.format(profile);
        self.clock = NodeClock::default();
        self.ops = 0;
        self.crash_at = None;
        self.crash_next_boot_at = None;
        self.film = None;
        self.reads = None;
        self.disturb_at = None;
        self.paused_until = 0;
        self.queue = Queue::default();
        self.media_faults = 0;
        self.disk_faults = Hit::default();
        self.damage = Hit::default();
        self.has_worked = false;
    }
}

/// Simulated time starts at 2020-01-01 00:00:00 UTC.
const EPOCH_UNIX_NS: i64 = 1_577_836_800_000_000_000;
const MILLION: i128 = 1_000_000;

/// One node's clocks: offset and steps move the wall clock, drift both.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NodeClock {
    /// World time at the boot: the monotonic clock's origin.
    origin: u64,
    /// How much faster than world time it runs, in parts per million; negative is slower.
    drift_ppm: i64,
    /// How far the wall clock is ahead.
    offset_ns: i64,
    /// The last reading given out.
    last: u64,
}

impl NodeClock {
    /// Draws a node's offset and drift, in either direction.
    pub(crate) fn draw(faults: &ClockFaults, choices: &mut Choices) -> Self {
        let mut signed = |label, max: u64| {
            let max = i64::try_from(max).unwrap_or(i64::MAX);
            if max == 0 || choices.choose(label, 2) == 0 { max } else { -max }
        };
        let drift_ppm = signed("clock.drift_sign", faults.drift_ppm);
        let offset_ns = signed("clock.offset_sign", faults.offset_ns);
        Self { origin: 0, drift_ppm, offset_ns, last: 0 }
    }

    pub(crate) fn boot(&mut self, now: u64) {
        self.origin = now;
        self.last = 0;
    }

    /// The monotonic reading; every reading is greater than the one before.
    #[inline]
    pub(crate) fn now(&mut self, now: u64) -> u64 {
        self.last = self.local(now - self.origin).max(self.last + 1);
        self.last
    }

    pub(crate) fn wall_unix_ns(&self, now: u64) -> i64 {
        EPOCH_UNIX_NS.saturating_add(self.local(now) as i64).saturating_add(self.offset_ns)
    }

    pub(crate) fn step(&mut self, by_ns: i64) {
        self.offset_ns = self.offset_ns.saturating_add(by_ns);
    }

    /// The world time at which `ns` have passed on this clock, rounded up: no timer is early, not
    /// even by the nanoseconds that readings ran ahead to be different.
    #[inline]
    pub(crate) fn deadline(&self, now: u64, ns: u64) -> u64 {
        if self.drift_ppm == 0 {
            return now.max(self.origin + self.last).saturating_add(ns);
        }
        let local = i128::from(self.local(now - self.origin).max(self.last)) + i128::from(ns);
        let rate = MILLION + i128::from(self.drift_ppm);
        let world = (local * MILLION + rate - 1) / rate;
        self.origin.saturating_add(u64::try_from(world).unwrap_or(u64::MAX))
    }

    #[inline]
    fn local(&self, world_ns: u64) -> u64 {
        if self.drift_ppm == 0 {
            return world_ns;
        }
        (i128::from(world_ns) * (MILLION + i128::from(self.drift_ppm)) / MILLION) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::NodeClock;

    #[test]
    fn readings_strictly_increase_even_when_time_stands_still() {
        let mut clock = NodeClock::default();
        assert_eq!((clock.now(5), clock.now(5), clock.now(6), clock.now(100)), (5, 6, 7, 100));
    }

    #[test]
    fn a_timer_on_a_drifting_clock_is_never_early() {
        for drift_ppm in [-900, -1, 0, 1, 777] {
            let clock = NodeClock { drift_ppm, ..NodeClock::default() };
            for ns in [0, 1, 999, 1_000_000, 123_456_789_012] {
                let passed = clock.local(clock.deadline(0, ns));
                assert!(passed >= ns && passed <= ns + 1, "{drift_ppm} ppm, {ns}: {passed}");
            }
        }
    }

    #[test]
    fn a_timer_is_not_early_by_the_readings_before_it() {
        let mut clock = NodeClock::default();
        let before = (0..5).map(|_| clock.now(100)).last().expect("five readings");
        let fires = clock.deadline(100, 1000);
        assert!(clock.now(fires) - before >= 1000);
    }

    #[test]
    fn a_step_moves_the_wall_clock_only() {
        let mut clock = NodeClock::default();
        let (wall, now) = (clock.wall_unix_ns(10), clock.now(10));
        clock.step(-1_000);
        assert_eq!(clock.wall_unix_ns(10), wall - 1_000);
        assert_eq!(clock.now(10), now + 1);
    }
}
