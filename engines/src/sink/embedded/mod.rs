//! The embedded participant: a table on an `atomic_commit` store, behind a server of its own.
//!
//! A [`Server`] owns a folder and listens on the network; [`Remote`] is the sink's way to it. In
//! simulation and on real hardware it is the same code. The protocol is described in `wire.rs`,
//! what is stored in `kernel.rs`.
//!
//! A prepared transaction holds the keys of its rows: another one that has a row with one of them
//! is told [`No::Conflict`](super::No::Conflict). Nothing waits for locks, so there is no deadlock.

mod client;
mod kernel;
mod manager;
mod server;
#[cfg(test)]
mod tests;
mod wire;

use std::time::Duration;

pub use client::{Remote, RemoteConnection};
pub use kernel::TRANSACTION_LEN_MAX;
pub use server::Server;
pub use wire::VERSION;

use super::event::Observer;
use super::plant::Plant;
use crate::atomic_commit;

/// Options of an embedded participant. Start from [`Options::default`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Options of its store. Only modes in which what was acknowledged survives a power loss keep
    /// a participant's promise; others are refused.
    pub store: atomic_commit::Options,
    /// A connection that says nothing for so long is closed. Default: 60 s.
    pub idle_max: Duration,
    /// At most so many connections at once; one more is closed as soon as it is accepted.
    /// Default: 1 000.
    pub connections_max: usize,
    /// At most so many transactions are prepared at once, of all writers; more are told that there
    /// is no room. Their rows are in memory. Default: 10 000.
    pub prepared_max: usize,
    /// Who is told what happens.
    pub observer: Observer,
    /// The deliberate bug to have, if any.
    #[cfg(feature = "plants")]
    pub plant: Option<Plant>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            store: atomic_commit::Options::default(),
            idle_max: Duration::from_secs(60),
            connections_max: 1000,
            prepared_max: 10_000,
            observer: Observer::default(),
            #[cfg(feature = "plants")]
            plant: None,
        }
    }
}

impl Options {
    /// Whether `plant` is switched on.
    #[cfg(feature = "plants")]
    fn planted(&self, plant: Plant) -> bool {
        self.plant == Some(plant)
    }

    /// Production builds carry no plants.
    #[cfg(not(feature = "plants"))]
    const fn planted(&self, _plant: Plant) -> bool {
        false
    }
}
