//! What happened in a world, counted.

use std::collections::BTreeMap;

use serde::Serialize;

macro_rules! fault_kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal,)*) => {
        /// A kind of injected fault, as counted in tables and named in traces.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FaultKind { $($(#[$doc])* $kind,)* }

        impl FaultKind {
            /// Every kind, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The kind's name in tables and traces.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

fault_kinds! {
    /// A read failed with EIO.
    ReadError "read_error",
    /// A write failed with EIO.
    WriteError "write_error",
    /// A sync failed with EIO.
    SyncError "sync_error",
    /// An operation on names failed with EIO.
    MetadataError "metadata_error",
    /// An operation failed with ENOSPC.
    NoSpace "no_space",
    /// A read returned fewer bytes than there were.
    ShortRead "short_read",
    /// A write took fewer bytes than given.
    ShortWrite "short_write",
    /// An operation was left out and reported as done.
    Omitted "omitted",
    /// A page that the kernel wrote back by itself was refused, or a sync was told so later.
    WritebackError "writeback_error",
    /// The cache dropped a page that was refused, and readers lost what was in it.
    Evicted "evicted",
    /// A file system gave up, or an operation was refused by one that has.
    Shutdown "shutdown",
    /// A sync that reported success made nothing durable.
    LyingSync "lying_sync",
    /// An operation took longer, and others had to wait for it.
    Stall "stall",
    /// A sync took longer.
    SlowSync "slow_sync",
    /// An operation never returned.
    Hang "hang",
    /// A power loss tore a page.
    TornPage "torn_page",
    /// A durable bit or byte changed.
    BitRot "bit_rot",
    /// A durable sector is zeros or junk.
    SectorRot "sector_rot",
    /// A page cannot be read any more.
    LatentError "latent_error",
    /// A power loss left junk.
    Garbage "garbage",
    /// A power loss left junk in exactly the bytes of a write that nothing had made durable.
    Unstable "unstable",
    /// A page that was synced never reached the device.
    LostWrite "lost_write",
    /// A page that was synced went to another place.
    MisdirectedWrite "misdirected_write",
    /// A read got old bytes.
    StaleRead "stale_read",
    /// A read got another place's bytes.
    MisdirectedRead "misdirected_read",
    /// A wall clock jumped.
    ClockStep "clock_step",
    /// A node stood still.
    Pause "pause",
    /// A segment of a stream, a request to connect, or a datagram was lost.
    NetDrop "net_drop",
    /// A datagram arrived twice.
    NetDuplicate "net_duplicate",
    /// A packet was held up, so that later ones overtook it.
    NetReorder "net_reorder",
    /// What was sent over a link had to wait.
    NetClog "net_clog",
    /// What was sent over a link was lost.
    NetPartition "net_partition",
    /// Some nodes were clogged and let go, one by one.
    NetSwizzle "net_swizzle",
    /// A connect failed.
    ConnectFailure "connect_failure",
    /// A connect got no answer.
    ConnectHang "connect_hang",
    /// A read of a stream returned fewer bytes than had arrived.
    NetShortRead "net_short_read",
    /// A write to a stream took fewer bytes than there was room for.
    NetShortWrite "net_short_write",
    /// A connection was reset.
    NetReset "net_reset",
}

/// Counts over one run; [`Stats::add`] sums runs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Operations on disks and sockets.
    pub ops: u64,
    /// Calls among them that make something durable.
    pub syncs: u64,
    /// Bytes that calls wrote, or tried to.
    pub written_bytes: u64,
    /// Times a task was polled.
    pub polls: u64,
    /// Process crashes.
    pub crashes: u64,
    /// Power losses.
    pub power_losses: u64,
    /// Persist nodes that power losses took: writes, lengths and names.
    pub lost: u64,
    /// Recoveries whose result was checked.
    pub checks: u64,
    /// Simulated time in nanoseconds.
    pub simulated_ns: u64,
    /// Faults by [`FaultKind`], in its order.
    pub faults: [u64; FaultKind::ALL.len()],
}

impl Default for Stats {
    fn default() -> Self {
        let faults = [0; FaultKind::ALL.len()];
        Self {
            ops: 0,
            syncs: 0,
            written_bytes: 0,
            polls: 0,
            crashes: 0,
            power_losses: 0,
            lost: 0,
            checks: 0,
            simulated_ns: 0,
            faults,
        }
    }
}

impl FaultKind {
    /// What a device or medium does to bytes behind the file system's back.
    pub const MEDIA: [Self; 9] = [
        Self::LyingSync,
        Self::BitRot,
        Self::SectorRot,
        Self::LatentError,
        Self::Garbage,
        Self::LostWrite,
        Self::MisdirectedWrite,
        Self::StaleRead,
        Self::MisdirectedRead,
    ];

    /// What makes a call fail, or never return.
    pub const FAILURES: [Self; 8] = [
        Self::ReadError,
        Self::WriteError,
        Self::SyncError,
        Self::MetadataError,
        Self::NoSpace,
        Self::WritebackError,
        Self::Shutdown,
        Self::Hang,
    ];

    /// What makes time pass.
    pub const DELAYS: [Self; 4] = [Self::Stall, Self::SlowSync, Self::Hang, Self::Pause];
}

impl Stats {
    /// How often faults of these kinds happened.
    pub fn faults_of(&self, kinds: &[FaultKind]) -> u64 {
        kinds.iter().map(|kind| self.fault(*kind)).sum()
    }

    /// How often a fault of one kind happened.
    pub fn fault(&self, kind: FaultKind) -> u64 {
        self.faults[kind as usize]
    }

    pub(crate) fn count_fault(&mut self, kind: FaultKind) {
        self.faults[kind as usize] += 1;
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        self.ops += other.ops;
        self.syncs += other.syncs;
        self.written_bytes += other.written_bytes;
        self.polls += other.polls;
        self.crashes += other.crashes;
        self.power_losses += other.power_losses;
        self.lost += other.lost;
        self.checks += other.checks;
        self.simulated_ns += other.simulated_ns;
        for (sum, count) in self.faults.iter_mut().zip(other.faults) {
            *sum += count;
        }
    }
}

impl Serialize for Stats {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("ops", &self.ops)?;
        map.serialize_entry("polls", &self.polls)?;
        map.serialize_entry("crashes", &self.crashes)?;
        map.serialize_entry("power_losses", &self.power_losses)?;
        map.serialize_entry("checks", &self.checks)?;
        map.serialize_entry("simulated_ns", &self.simulated_ns)?;
        for kind in FaultKind::ALL {
            map.serialize_entry(kind.name(), &self.fault(*kind))?;
        }
        map.end()
    }
}

/// What a checker has cost. Times differ from run to run, so they are not compared.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CheckerCost {
    /// Events that it was given.
    pub events: u64,
    /// CPU time that it took, in nanoseconds.
    pub ns: u64,
}

impl PartialEq for CheckerCost {
    fn eq(&self, other: &Self) -> bool {
        self.events == other.events
    }
}

impl Eq for CheckerCost {}

/// CPU time that something took. It differs from run to run, so it is not compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTime {
    /// In nanoseconds.
    pub ns: u64,
}

impl PartialEq for CpuTime {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for CpuTime {}

/// How often probes were reached, by name.
pub type Probes = BTreeMap<&'static str, u64>;
/// What checkers have cost, by name.
pub type CheckerCosts = BTreeMap<&'static str, CheckerCost>;
