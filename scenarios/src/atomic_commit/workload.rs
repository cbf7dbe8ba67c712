//! What the clients do.

use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// Clients that run side by side.
pub(crate) const CLIENTS: u8 = 4;
/// Keys in use; few, so that commits meet.
const KEYS: u8 = 12;

/// One client's operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Commits and waits for the acknowledgement.
    Commit {
        /// Which client.
        client: u8,
        /// Puts and deletes.
        writes: Vec<Write>,
    },
    /// Commits without waiting: the answer is awaited at the client's next commit or at its end.
    Submit {
        /// Which client.
        client: u8,
        /// Puts and deletes.
        writes: Vec<Write>,
    },
    /// Commits and waits until no power loss can take it (in modes that promise it soon).
    CommitDurably {
        /// Which client.
        client: u8,
        /// Puts and deletes.
        writes: Vec<Write>,
    },
    /// Reads one key.
    Get {
        /// Which client.
        client: u8,
        /// The key's number.
        key: u8,
    },
    /// Reads everything.
    Scan {
        /// Which client.
        client: u8,
    },
    /// Makes everything submitted durable.
    Flush {
        /// Which client.
        client: u8,
    },
    /// Writes a snapshot.
    Checkpoint {
        /// Which client.
        client: u8,
    },
    /// Does nothing for a while.
    Wait {
        /// Which client.
        client: u8,
        /// How long, in microseconds.
        us: u16,
    },
}

impl Op {
    pub(crate) fn client(&self) -> u8 {
        match self {
            Self::Commit { client, .. }
            | Self::Submit { client, .. }
            | Self::CommitDurably { client, .. }
            | Self::Get { client, .. }
            | Self::Scan { client }
            | Self::Flush { client }
            | Self::Checkpoint { client }
            | Self::Wait { client, .. } => *client,
        }
    }
}

/// One change of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// The key's number.
    pub key: u8,
    /// Bytes to put, made unique by the commit; `None` deletes.
    pub len: Option<u16>,
}

/// The operations that exhaustive sequences are made of: small and page-crossing commits, deletion,
/// a second client's commit under way at the same time, and what works on the files.
pub(crate) fn alphabet() -> Vec<Op> {
    let put = |key, len| Write { key, len: Some(len) };
    vec![
        Op::Commit { client: 0, writes: vec![put(0, 8)] },
        Op::Commit { client: 0, writes: vec![put(1, 5000), put(2, 1)] },
        Op::Commit { client: 0, writes: vec![Write { key: 0, len: None }, put(1, 3)] },
        Op::Submit { client: 0, writes: vec![put(3, 300)] },
        Op::Commit { client: 1, writes: vec![put(0, 40)] },
        Op::Flush { client: 0 },
        Op::Checkpoint { client: 0 },
    ]
}

pub(crate) fn strategy() -> BoxedStrategy<Vec<Op>> {
    vec(op(), 1..48).boxed()
}

fn op() -> impl Strategy<Value = Op> {
    let client = || 0..CLIENTS;
    prop_oneof![
        12 => (client(), writes()).prop_map(|(client, writes)| Op::Commit { client, writes }),
        6 => (client(), writes()).prop_map(|(client, writes)| Op::Submit { client, writes }),
        2 => (client(), writes()).prop_map(|(client, writes)| Op::CommitDurably { client, writes }),
        5 => (client(), 0..KEYS).prop_map(|(client, key)| Op::Get { client, key }),
        2 => client().prop_map(|client| Op::Scan { client }),
        1 => client().prop_map(|client| Op::Flush { client }),
        1 => client().prop_map(|client| Op::Checkpoint { client }),
        1 => (client(), 1..2000_u16).prop_map(|(client, us)| Op::Wait { client, us }),
        // Long enough for what is synced in the background.
        1 => (client(), 20_000..60_000_u16).prop_map(|(client, us)| Op::Wait { client, us }),
    ]
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    let len = prop_oneof![
        3 => Just(None),
        8 => (0..64_u16).prop_map(Some),
        2 => (64..700_u16).prop_map(Some),
        1 => (3000..9000_u16).prop_map(Some),
    ];
    let write = (0..KEYS, len).prop_map(|(key, len)| Write { key, len });
    vec(write, 1..4)
}

/// The key's bytes.
pub(crate) fn key_bytes(key: u8) -> Vec<u8> {
    format!("key{key:02}").into_bytes()
}

/// A value that no other commit writes: its commit's tag, repeated.
pub(crate) fn value_bytes(tag: u64, len: u16) -> Vec<u8> {
    tag.to_le_bytes().into_iter().cycle().take(len as usize).collect()
}
