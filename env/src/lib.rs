//! The seam: everything an engine may ask of the world.
//!
//! An engine is written against the capability traits of this crate ([`Fs`] and [`File`],
//! [`Clock`], [`Net`], [`Entropy`], [`Spawn`]) and bounds only those it uses, so that its
//! signature says what it can do to the world. Two worlds implement them: [`OsEnv`], the real
//! one on tokio, and the simulated one of the crate `seedbed`.
//!
//! What the seam promises in every world:
//! * names, argument order and results are std's; short reads and short writes are legal;
//! * errors are [`std::io::Error`] with the operating system's own codes: whether an error was
//!   injected stands in the trace, never in the error value;
//! * a future that is never polled does nothing;
//! * file I/O is positional; there is no cursor to share;
//! * directories are listed in name order.
//!
//! What is absent: threads, ambient clocks, ambient randomness, maps with a random hasher. An
//! engine that needs one of them takes it from here or does without.

mod clock;
pub mod cpu;
mod entropy;
mod fs;
pub mod map;
mod net;
#[cfg(feature = "os")]
mod os;
pub mod probe;
mod spawn;
pub mod sync;

pub use clock::{Clock, Instant, WallTime};
pub use entropy::Entropy;
pub use fs::{DIRECT_ALIGN, DirEntry, File, FileKind, Fs, OpenOptions};
pub use net::{Datagram, Listener, Net, Stream, StreamRead, StreamWrite};
#[cfg(feature = "os")]
pub use os::{
    DiskCounts, OsDatagram, OsEnv, OsFile, OsListener, OsReadHalf, OsStream, OsWriteHalf,
};
pub use spawn::{JoinError, JoinHandle, Spawn, join_pair};

/// Every capability of a single node's world but the network. An engine that talks to others asks
/// for `Env + Net`: its signature says so, and who wraps the file system of one that does not talk
/// need not forward sockets.
pub trait Env: Fs + Clock + Entropy + Spawn {}

impl<T: Fs + Clock + Entropy + Spawn> Env for T {}
