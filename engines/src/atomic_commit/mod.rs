//! A key-value state with atomic, durable commits and a Merkle root.
//!
//! # Contract
//! A [`Store`] lives in one directory and must be open once at a time. A [`Batch`] of puts and
//! deletes is one commit: after any crash the state is that of a prefix of all commits, in the
//! order of their sequence numbers (1, 2, 3, ... without gaps). How many acknowledged commits a
//! crash can take is the [`Durability`] mode's documented window; in the modes `Immediate` and
//! `Group` it is none. Readers see a commit from the moment its mode acknowledges it, never
//! before. Each state has a root, `H(2 | seq | Merkle root of the entries)`, stored with its
//! commit and verified at recovery.
//!
//! # Protocol
//! * The directory holds `snapshot` and `wal.<generation>`, a [record log](crate::record_log);
//!   the live log is the one whose generation and salt the snapshot names.
//! * A commit: append to the log, sync, apply, acknowledge. One background task per store, the
//!   *log task*, does it for all that wait together (group commit). It is a task and not one of
//!   the committers (leader and followers) so that dropping a commit's future at any point harms
//!   nothing: what was submitted is carried out, only nobody waits for it.
//! * A checkpoint, and the creation of a store: create the next log, write its header, sync it;
//!   write `snapshot.tmp`, sync it; sync the directory, so that the log's name is durable before
//!   anything names it; rename to `snapshot`; sync the directory; go on in the new log. Commits
//!   wait meanwhile. Old logs are removed lazily; recovery removes what is left over.
//! * Recovery: load and verify the snapshot, replay the log and compare each commit's root, cut a
//!   torn tail, write the tail that is not known to be durable once more (after a failed sync the
//!   page cache may hold what no later sync would write), sync, and only then serve.
//! * After a failed write, sync or rename the store is poisoned: see [`Error::InDoubt`] and
//!   [`Error::Poisoned`]. Open the store again to find out.
//!
//! # Absent
//! Locks against a second process, and repair of corrupt files: an error says what and where.

mod batch;
mod checkpoint;
mod engine;
mod error;
pub mod format;
mod kernel;
mod log_task;
pub mod merkle;
mod options;
mod plant;
mod recovery;
mod shared;
mod snapshot;
mod ticket;

pub use batch::{BATCH_LEN_MAX, Batch, KEY_LEN_MAX, VALUE_LEN_MAX};
pub use engine::{Snapshot, Store};
pub use error::Error;
pub use kernel::Entries;
pub use merkle::Hash;
pub use options::{Durability, Options, PREALLOCATE_MAX};
pub use plant::Plant;
pub use recovery::Recovery;
pub use ticket::{Commit, Ticket};
