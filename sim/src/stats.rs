//! What happened in a world, counted.

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
    /// An operation took longer by a rule.
    Stall "stall",
    /// A power loss tore a page.
    TornPage "torn_page",
    /// A durable bit changed.
    BitRot "bit_rot",
    /// A wall clock jumped.
    ClockStep "clock_step",
    /// A node stood still.
    Pause "pause",
}

/// Counts over one run; [`Stats::add`] sums runs up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Disk operations.
    pub ops: u64,
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

impl Stats {
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
