//! The participants of a run, of either kind.

use std::path::Path;

use super::embedded::Embedded;
use super::process::PeersRole;
use super::server::Server;
use super::verify::Verifier;
use super::{Ended, Setup};

/// See the module.
#[derive(Debug)]
pub(super) enum Peers {
    Embedded(Embedded),
    Postgres(Server),
}

impl Peers {
    pub(super) async fn start(setup: &Setup, folder: &Path) -> Result<Self, Ended> {
        Ok(match &setup.postgres {
            Some(url) => Self::Postgres(Server::start(url, setup.participants).await?),
            None => {
                let plant = setup.plant.as_deref();
                Self::Embedded(Embedded::start(folder, setup.participants, plant)?)
            }
        })
    }

    /// How the sink reaches them.
    pub(super) fn role(&self) -> PeersRole {
        match self {
            Self::Embedded(peers) => PeersRole::Embedded(peers.addrs()),
            Self::Postgres(server) => PeersRole::Postgres(server.databases()),
        }
    }

    /// What they are, for people.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Embedded(peers) => {
                format!("{} embedded participants, a process each", peers.len())
            }
            Self::Postgres(server) => {
                format!("{} PostgreSQL participants at {}", server.participants(), server.place())
            }
        }
    }

    pub(super) fn count(&self) -> usize {
        match self {
            Self::Embedded(peers) => peers.len(),
            Self::Postgres(server) => server.participants(),
        }
    }

    /// Prepared transactions for which each of them has a place.
    pub(super) fn places(&self) -> usize {
        match self {
            Self::Embedded(_) => usize::MAX,
            Self::Postgres(server) => server.places(),
        }
    }

    /// How many things there are to kill.
    pub(super) fn targets(&self) -> usize {
        match self {
            Self::Embedded(peers) => peers.len(),
            Self::Postgres(server) => usize::from(server.is_ours()),
        }
    }

    pub(super) fn kill(&mut self, nth: usize, hard: bool) -> Result<(), Ended> {
        match self {
            Self::Embedded(peers) => {
                peers.kill(nth);
                Ok(())
            }
            Self::Postgres(server) => server.kill(hard),
        }
    }

    /// Starts again what was killed, and gives how many transactions it finds prepared.
    pub(super) async fn start_again(&mut self, nth: usize) -> Result<u64, Ended> {
        match self {
            Self::Embedded(peers) => peers.start_one(nth),
            Self::Postgres(server) => server.start_again().await,
        }
    }

    pub(super) async fn prepared(&mut self) -> Result<u64, Ended> {
        match self {
            Self::Embedded(peers) => peers.prepared(),
            Self::Postgres(server) => server.prepared().await,
        }
    }

    /// Complains about one that has ended by itself.
    pub(super) fn check(&mut self) -> Result<(), Ended> {
        match self {
            Self::Embedded(peers) => peers.check(),
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Looks at all rows, and gives how many transactions are prepared still.
    pub(super) async fn verify(&mut self, verifier: &mut Verifier) -> Result<u64, Ended> {
        match self {
            Self::Embedded(peers) => peers.verify(verifier).await,
            Self::Postgres(server) => server.verify(verifier).await,
        }
    }

    pub(super) async fn clean_up(&mut self) {
        if let Self::Postgres(server) = self {
            server.clean_up().await;
        }
    }
}
