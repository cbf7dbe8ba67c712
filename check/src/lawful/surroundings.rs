//! What the sink has besides transactions: a pool of connections and a buffer.

use super::Random;
use crate::history::{Connection, ConnectionState, Fact, Pool, Waiter};

/// The most connections of the pool.
pub(super) const CONNECTIONS_MAX: u32 = 4;
/// The most bytes in the buffer.
pub(super) const BYTES_MAX: u64 = 10_000;

/// The pool and the buffer of the sink.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    connections: u32,
    waiters: u32,
    idle: Vec<Connection>,
    leased: Vec<Connection>,
    waiting: Option<Waiter>,
    bytes: u64,
}

impl Surroundings {
    /// Everything is lost but the numbers.
    pub(super) fn after_crash(&self) -> Self {
        let Self { connections, waiters, .. } = *self;
        Self { connections, waiters, ..Self::default() }
    }

    /// Something that may happen now.
    pub(super) fn next(&mut self, random: &mut Random) -> Option<Fact> {
        match random.below(8) {
            0 | 1 => self.lease(),
            2 | 3 => self.give_back(),
            4 if random.one_in(4) => {
                let connection = self.leased.pop().or_else(|| self.idle.pop())?;
                Some(Fact::Close { connection })
            }
            5 | 6 => {
                let bytes = 1 + random.below(BYTES_MAX / 4);
                if self.bytes + bytes > BYTES_MAX {
                    return self.release(self.bytes);
                }
                self.bytes += bytes;
                Some(Fact::Buffered { bytes })
            }
            7 => {
                let bytes = self.bytes / 2;
                self.release(bytes)
            }
            _ => None,
        }
    }

    fn release(&mut self, bytes: u64) -> Option<Fact> {
        self.bytes -= bytes;
        (bytes > 0).then_some(Fact::Released { bytes })
    }

    fn lease(&mut self) -> Option<Fact> {
        if let Some(connection) = self.idle.pop() {
            self.leased.push(connection);
            return Some(Fact::Lease { connection, state: ConnectionState::Idle });
        }
        if self.leased.len() < CONNECTIONS_MAX as usize {
            let connection = Connection(self.connections);
            self.connections += 1;
            self.idle.push(connection);
            return Some(Fact::Connect { connection, pool: Pool(0) });
        }
        if self.waiting.is_some() {
            return None;
        }
        let waiter = Waiter(self.waiters);
        self.waiters += 1;
        self.waiting = Some(waiter);
        Some(Fact::WaitBegin { waiter })
    }

    fn give_back(&mut self) -> Option<Fact> {
        if let Some(waiter) = self.waiting.take() {
            return Some(Fact::WaitEnd { waiter });
        }
        let connection = self.leased.pop()?;
        self.idle.push(connection);
        Some(Fact::Return { connection })
    }

    /// What is still to be done before the end, one after the other.
    pub(super) fn wind_down(&mut self) -> Option<Fact> {
        let bytes = self.bytes;
        self.release(bytes).or_else(|| self.give_back())
    }
}
