//! How a store behaves: what an acknowledgement means, and when files are renewed.

use std::time::Duration;

use super::error::Error;
use super::plant::Plant;

/// What an acknowledgement means.
///
/// In every mode a *process crash* (the page cache lives) takes no acknowledged commit: records
/// are written to the file before any acknowledgement. What a *power loss* (the cache is lost)
/// can take is each mode's window. In every mode what is lost is a suffix of the commits, and
/// `flush`, `checkpoint`, `close` and a ticket's `durable` leave nothing to lose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// One write and one sync for each commit. Power loss: no acknowledged commit is lost.
    #[default]
    Immediate,
    /// One write and one sync for all commits that wait together. Power loss: no acknowledged
    /// commit is lost.
    Group {
        /// The most commits that share a sync.
        max_batch: usize,
        /// How long a commit waits for others while fewer than `max_batch` wait; zero: not at
        /// all, only what piled up during the sync before is shared.
        max_delay: Duration,
    },
    /// A sync at every n-th commit, before it is acknowledged. Power loss: at most the last
    /// `n - 1` acknowledged commits are lost.
    Batch(usize),
    /// A commit is acknowledged when it is written; a sync runs in the background whenever
    /// something is not synced. Power loss: what was acknowledged since the last but one
    /// background sync started; a ticket's `durable` waits for it.
    AsyncSync,
    /// As `AsyncSync`, but a sync starts only `interval` after the first commit that needs it.
    /// Power loss: what was acknowledged in the last `interval` plus the time of two syncs.
    WriteBehind {
        /// The longest that a written commit waits for a sync to start or, if one is running, for
        /// the next.
        interval: Duration,
    },
    /// No sync but in `flush`, `checkpoint` and `close`. Power loss: everything since the last of
    /// these (a checkpoint also happens by itself, see [`Options::checkpoint_every_bytes`]).
    None,
}

impl Durability {
    /// Whether an acknowledgement means that no power loss can take the commit.
    pub const fn survives_power_loss(self) -> bool {
        matches!(self, Self::Immediate | Self::Group { .. })
    }
}

/// The most zeros that are written at a time, in bytes.
pub const PREALLOCATE_MAX: u64 = 64 << 20;

/// Options of a store. Start from [`Options::default`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// What an acknowledgement means. Default: `Group`, up to 256 commits, no delay.
    pub durability: Durability,
    /// A checkpoint is made when the log has at least this many bytes. Commits wait meanwhile.
    /// Default: 64 MiB.
    pub checkpoint_every_bytes: u64,
    /// Zeros are written behind the log's end, so many bytes at a time, where commits come one by
    /// one or a few at a time: a sync after writing over them has less to make durable. For these,
    /// each byte is written twice, and the log's file is longer by up to so much until it is opened
    /// again. Groups of more than a 32nd of it bring none, nor does the mode `None`. 0: never. At
    /// most [`PREALLOCATE_MAX`], and no more than [`Self::checkpoint_every_bytes`] has an effect.
    /// Default: 1 MiB.
    pub preallocate_bytes: u64,
    /// Old logs are removed every so many commits. Default: 100.
    pub gc_every_commits: u64,
    /// The most commits that wait for the log task; more are [`Error::Busy`]. Default: 65 536.
    pub queue_max: usize,
    /// The most bytes of batches that wait; more are [`Error::Busy`], except that one batch can
    /// always wait. Default: 256 MiB.
    pub queue_bytes_max: usize,
    /// The longest that one call of the disk may take, in opening too. After that it counts as
    /// failed: the store stops, as after an error, and answers everybody, or does not open. A disk
    /// that hangs does not hang its users, and one that is slow but answers does not stop the
    /// store, however long a piece of work takes in all. Time in which the process itself stands
    /// still counts, but a call that has ended meanwhile has succeeded. Default: 60 s;
    /// `Duration::MAX` waits for ever.
    ///
    /// **Only a call that waits can be given up, not one that blocks its thread.** With `OsEnv`
    /// these are the syncs, unless they are inline (`OsEnv::with_inline_syncs`); reads, writes,
    /// opens, renames and removals run on the task's own thread and take as long as the operating
    /// system lets them.
    ///
    /// **A call that was given up may still be carried out, at any later time.** A sync that ends
    /// late harms nothing, since opening writes once more what is not known to be durable; with
    /// `OsEnv` it keeps one of tokio's blocking threads until then, and a runtime that is dropped
    /// waits for that thread. In a world that gives up other calls, a late write or rename could
    /// meet the files of a store that was opened anew: open again only when what was given up has
    /// ended.
    pub stall_limit: Duration,
    /// The deliberate bug to have, if any.
    #[cfg(feature = "plants")]
    pub plant: Option<Plant>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Group { max_batch: 256, max_delay: Duration::ZERO },
            checkpoint_every_bytes: 64 << 20,
            preallocate_bytes: 1 << 20,
            gc_every_commits: 100,
            queue_max: 1 << 16,
            queue_bytes_max: 256 << 20,
            stall_limit: Duration::from_secs(60),
            #[cfg(feature = "plants")]
            plant: None,
        }
    }
}

impl Options {
    /// The defaults with this mode.
    pub fn new(durability: Durability) -> Self {
        Self { durability, ..Self::default() }
    }

    /// Refuses values that make no sense.
    pub(super) fn validate(&self) -> Result<(), Error> {
        let zero = match self.durability {
            Durability::Group { max_batch: 0, .. } => Some("Group::max_batch"),
            Durability::Batch(0) => Some("Batch(n)"),
            _ if self.queue_max == 0 => Some("queue_max"),
            _ if self.gc_every_commits == 0 => Some("gc_every_commits"),
            _ if self.checkpoint_every_bytes == 0 => Some("checkpoint_every_bytes"),
            _ if self.stall_limit.is_zero() => Some("stall_limit"),
            _ => None,
        };
        if let Some(name) = zero {
            return Err(Error::Invalid { reason: format!("{name} must be more than 0") });
        }
        if self.preallocate_bytes > PREALLOCATE_MAX {
            let reason = format!("preallocate_bytes must be at most {PREALLOCATE_MAX}");
            return Err(Error::Invalid { reason });
        }
        Ok(())
    }

    /// So many zeros are written ahead at a time.
    pub(super) fn zeros_ahead(&self) -> u64 {
        match self.durability {
            Durability::None => 0,
            _ => self.preallocate_bytes.min(self.checkpoint_every_bytes),
        }
    }

    /// What a call of the disk may take.
    pub(super) fn disk_limit(&self) -> Duration {
        if self.planted(Plant::StallsForEver) {
            return Duration::MAX;
        }
        if self.planted(Plant::Impatient) {
            return Duration::from_millis(100);
        }
        self.stall_limit
    }

    /// Whether `plant` is switched on.
    #[cfg(feature = "plants")]
    pub(super) fn planted(&self, plant: Plant) -> bool {
        self.plant == Some(plant)
    }

    /// Production builds carry no plants.
    #[cfg(not(feature = "plants"))]
    pub(super) const fn planted(&self, _plant: Plant) -> bool {
        false
    }
}
