//! How a sink behaves.

use std::time::Duration;

use super::error::Error;
use super::event::Observer;
use super::participant::WriteMode;
use super::plant::Plant;
use crate::atomic_commit;

/// How often a row may come to the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guarantee {
    /// Exactly once: rows are prepared, and committed by the checkpoint that holds their offset.
    #[default]
    ExactlyOnce,
    /// Once or more: rows are committed in one phase, and what was not answered, or not in a
    /// checkpoint at a crash, is written again. With [`WriteMode::Insert`] a row that comes again
    /// is rejected; since nobody can tell that from a double key, rejected rows are always left
    /// out. A write whose answer was lost may be carried out late: after a newer row of the same
    /// key.
    AtLeastOnce,
}

/// What becomes of a row that breaks a rule of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnRejected {
    /// The sink stops with [`Error::Rejected`].
    #[default]
    Stop,
    /// The row is left out, and counted; the observer and the log are told.
    LeaveOut,
}

/// Options of a sink. Start from [`Options::default`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// How rows go into the table. Default: insert.
    pub mode: WriteMode,
    /// How often a row may come to the table. Default: exactly once.
    pub guarantee: Guarantee,
    /// What becomes of rows that are rejected. Default: the sink stops.
    pub on_rejected: OnRejected,
    /// A transaction has at most so many rows. Default: 1 000.
    pub batch_rows: usize,
    /// A transaction is made when this many bytes of rows are there. Default: 1 MiB.
    pub batch_bytes: usize,
    /// And when a row has waited for so long. Default: 20 ms.
    pub batch_delay: Duration,
    /// A row waits to be taken while so many bytes of rows are not prepared, or stand behind some
    /// that are not. More brings memory and waiting, not speed. Default: 8 MiB.
    pub buffer_bytes_max: usize,
    /// A checkpoint is made when something has been prepared for so long. Zero: at once.
    /// Default: 50 ms.
    pub checkpoint_delay: Duration,
    /// And when so many transactions are prepared. Default: 256.
    pub checkpoint_transactions: usize,
    /// At most so many transactions have no end at once. Default: 1 000.
    pub transactions_max: usize,
    /// At most so many connections to each participant. Twice as many batches as there may be
    /// connections to all of them are worked on at once. Default: 4.
    pub connections_max: usize,
    /// The longest that connecting may take. Default: 5 s.
    pub connect_timeout: Duration,
    /// The longest that one request may take. Default: 30 s.
    pub request_timeout: Duration,
    /// A connection that was not used for so long is closed. Below the participant's own limit.
    /// Default: 30 s.
    pub idle_max: Duration,
    /// A connection that was not used for so long is asked for a sign of life before it is.
    /// Default: 5 s.
    pub ping_after: Duration,
    /// What failed is tried again after so long, and after twice as long each time it fails again.
    /// Default: 20 ms.
    pub retry_delay: Duration,
    /// But never after longer than this. Default: 2 s.
    pub retry_delay_max: Duration,
    /// How often participants are asked for prepared transactions that nobody works on.
    /// Default: 5 s.
    pub resolve_every: Duration,
    /// Options of the store that holds checkpoints and decisions. It must be durable.
    pub store: atomic_commit::Options,
    /// Who is told what happens.
    pub observer: Observer,
    /// The deliberate bug to have, if any.
    #[cfg(feature = "plants")]
    pub plant: Option<Plant>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: WriteMode::Insert,
            guarantee: Guarantee::ExactlyOnce,
            on_rejected: OnRejected::Stop,
            batch_rows: 1000,
            batch_bytes: 1 << 20,
            batch_delay: Duration::from_millis(20),
            buffer_bytes_max: 8 << 20,
            checkpoint_delay: Duration::from_millis(50),
            checkpoint_transactions: 256,
            transactions_max: 1000,
            connections_max: 4,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            idle_max: Duration::from_secs(30),
            ping_after: Duration::from_secs(5),
            retry_delay: Duration::from_millis(20),
            retry_delay_max: Duration::from_secs(2),
            resolve_every: Duration::from_secs(5),
            store: atomic_commit::Options::default(),
            observer: Observer::default(),
            #[cfg(feature = "plants")]
            plant: None,
        }
    }
}

/// Most rows of a transaction: what is kept of each is bounded.
const BATCH_ROWS_MAX: usize = 1 << 20;
/// Most bytes of a transaction for one participant; an embedded one takes a little more.
const BATCH_BYTES_MAX: usize = 8 << 20;

impl Options {
    /// Refuses values that make no sense.
    pub(super) fn validate(&self, participants: usize) -> Result<(), Error> {
        let range = |name: &str, value: usize, max: usize| match (1..=max).contains(&value) {
            true => Ok(()),
            false => Err(Error::Invalid { reason: format!("{name} is {value}: 1 to {max}") }),
        };
        range("the number of participants", participants, 64)?;
        range("batch_rows", self.batch_rows, BATCH_ROWS_MAX)?;
        range("batch_bytes", self.batch_bytes, BATCH_BYTES_MAX)?;
        range("buffer_bytes_max", self.buffer_bytes_max, usize::MAX)?;
        range("checkpoint_transactions", self.checkpoint_transactions, 10_000)?;
        range("transactions_max", self.transactions_max, 100_000)?;
        range("connections_max", self.connections_max, 10_000)?;
        let zero = [
            ("connect_timeout", self.connect_timeout),
            ("request_timeout", self.request_timeout),
            ("idle_max", self.idle_max),
            ("retry_delay", self.retry_delay),
            ("retry_delay_max", self.retry_delay_max),
            ("resolve_every", self.resolve_every),
        ];
        if let Some((name, _)) = zero.iter().find(|(_, duration)| duration.is_zero()) {
            return Err(Error::Invalid { reason: format!("{name} must be more than 0") });
        }
        if !self.store.durability.survives_power_loss() {
            let reason = "decisions must be durable: Immediate or Group".to_owned();
            return Err(Error::Invalid { reason });
        }
        Ok(())
    }

    /// How long to wait before the `nth` attempt, from 1.
    pub(super) fn retry_after(&self, nth: u32) -> Duration {
        let doubled = self.retry_delay.saturating_mul(1 << nth.saturating_sub(1).min(20));
        doubled.min(self.retry_delay_max)
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
