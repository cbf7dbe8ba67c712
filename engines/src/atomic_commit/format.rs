//! The bytes of a store: payloads of log records, and snapshots. No I/O.
//!
//! A commit record (kind 1): `root [u8; 32] | count u32 | count changes`; a change: `1 or 2 (put,
//! delete) u8 | key length u32 | value length u32 | key | value`.
//!
//! Snapshot header, 88 bytes: `magic [u8; 8] | version u32 | crc32c u32 | generation u64 | seq u64
//! | wal salt u64 | entries u64 | root [u8; 32] | zero u32 | crc32c of the 84 bytes before u32`;
//! then blocks: `len u32 | crc32c u32 | bytes`, of whole entries `key length u32 | value length
//! u32 | key | value` in ascending order of keys; an empty block ends the file. A block's checksum
//! covers the snapshot's generation and salt, the block's number, its length and its bytes.

use super::batch::{KEY_LEN_MAX, VALUE_LEN_MAX};
use super::merkle::Hash;
use crate::bytes::{check_prefix, hash_at, put_prefix, put_u32, put_u64, u32_at, u64_at};
use crate::record_log::{HeaderError, VERSION};

/// The kind of a commit's record.
pub const KIND_COMMIT: u8 = 1;
/// The first eight bytes of a snapshot.
pub const SNAPSHOT_MAGIC: [u8; 8] = *b"sbsnap\r\n";
/// Length of a snapshot's header in bytes.
pub const SNAPSHOT_HEADER_LEN: usize = 88;
/// Length of a block's header in bytes.
pub const BLOCK_HEADER_LEN: usize = 8;
/// A block is closed when it has this many bytes.
pub const BLOCK_LEN_TARGET: usize = 64 << 10;
/// The longest block, in bytes: one entry of the largest size on top of an almost full block.
pub const BLOCK_LEN_MAX: usize = BLOCK_LEN_TARGET + 8 + KEY_LEN_MAX + VALUE_LEN_MAX;
/// Length of a change without key and value, in bytes.
pub(super) const OP_HEADER_LEN: usize = 9;
/// Length of a commit's payload without its changes, in bytes.
const COMMIT_HEADER_LEN: usize = 36;

const TAG_PUT: u8 = 1;
const TAG_DELETE: u8 = 2;

/// One change of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// Set a key.
    Put {
        /// The key.
        key: &'a [u8],
        /// Its new value.
        value: &'a [u8],
    },
    /// Remove a key.
    Delete {
        /// The key.
        key: &'a [u8],
    },
}

/// Appends a change.
pub(super) fn put_op(out: &mut Vec<u8>, op: Op<'_>) {
    let (tag, key, value): (u8, &[u8], &[u8]) = match op {
        Op::Put { key, value } => (TAG_PUT, key, value),
        Op::Delete { key } => (TAG_DELETE, key, &[]),
    };
    assert!(!key.is_empty() && key.len() <= KEY_LEN_MAX && value.len() <= VALUE_LEN_MAX);
    out.push(tag);
    put_u32(out, key.len() as u32);
    put_u32(out, value.len() as u32);
    out.extend_from_slice(key);
    out.extend_from_slice(value);
}

/// Takes one change off the front of `bytes`, which are not empty.
pub(super) fn take_op<'a>(bytes: &mut &'a [u8]) -> Result<Op<'a>, &'static str> {
    if bytes.len() < OP_HEADER_LEN {
        return Err("a change is cut");
    }
    let (tag, rest) = (bytes[0], &bytes[1..]);
    let (key, value) = take_pair(rest)?;
    let op = match tag {
        TAG_PUT => Op::Put { key, value },
        TAG_DELETE if value.is_empty() => Op::Delete { key },
        _ => return Err("a change is neither put nor delete"),
    };
    let taken = OP_HEADER_LEN + key.len() + value.len();
    assert!(taken <= bytes.len(), "no more is taken than is there");
    *bytes = &bytes[taken..];
    Ok(op)
}

/// Reads `key length | value length | key | value` at the start of `bytes`.
fn take_pair(bytes: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    assert!(bytes.len() >= 8, "the caller has checked the lengths are there");
    let (key_len, value_len) = (u32_at(bytes, 0) as usize, u32_at(bytes, 4) as usize);
    if key_len == 0 || key_len > KEY_LEN_MAX || value_len > VALUE_LEN_MAX {
        return Err("a key or value has an impossible length");
    }
    match bytes.get(8..8 + key_len + value_len) {
        Some(pair) => Ok(pair.split_at(key_len)),
        None => Err("a key or value is cut"),
    }
}

/// The fixed part of a commit's payload; the changes follow it.
pub(super) fn commit_header(root: &Hash, count: u32) -> [u8; COMMIT_HEADER_LEN] {
    assert!(count > 0, "a commit changes something");
    let mut header = [0; COMMIT_HEADER_LEN];
    header[..32].copy_from_slice(root);
    header[32..].copy_from_slice(&count.to_le_bytes());
    header
}

/// Splits a commit's payload into its root and its changes, all of which are checked.
pub(super) fn decode_commit(payload: &[u8]) -> Result<(Hash, &[u8]), &'static str> {
    if payload.len() < COMMIT_HEADER_LEN {
        return Err("a commit is cut");
    }
    let (root, count) = (hash_at(payload, 0), u32_at(payload, 32));
    let ops = &payload[COMMIT_HEADER_LEN..];
    let (mut rest, mut found) = (ops, 0);
    while !rest.is_empty() {
        take_op(&mut rest)?;
        found += 1;
    }
    match count == found && count > 0 {
        true => Ok((root, ops)),
        false => Err("a commit has another number of changes than it says"),
    }
}

/// A snapshot's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The generation of the live log.
    pub generation: u64,
    /// The sequence number of the last commit in the snapshot.
    pub seq: u64,
    /// The live log's salt.
    pub wal_salt: u64,
    /// The number of entries.
    pub entries: u64,
    /// The root at `seq`.
    pub root: Hash,
}

/// The bytes of a snapshot's header.
pub fn encode_snapshot_header(header: &SnapshotHeader) -> Vec<u8> {
    let mut out = Vec::with_capacity(SNAPSHOT_HEADER_LEN);
    put_prefix(&mut out, &SNAPSHOT_MAGIC, VERSION);
    put_u64(&mut out, header.generation);
    put_u64(&mut out, header.seq);
    put_u64(&mut out, header.wal_salt);
    put_u64(&mut out, header.entries);
    out.extend_from_slice(&header.root);
    put_u32(&mut out, 0);
    let crc = crc32c::crc32c(&out);
    put_u32(&mut out, crc);
    assert_eq!(out.len(), SNAPSHOT_HEADER_LEN);
    out
}

/// Reads a snapshot's header from the start of `bytes`.
///
/// # Errors
/// If they are not the header of a snapshot that this build reads.
pub fn decode_snapshot_header(bytes: &[u8]) -> Result<SnapshotHeader, HeaderError> {
    check_prefix(bytes, &SNAPSHOT_MAGIC, VERSION)?;
    if bytes.len() < SNAPSHOT_HEADER_LEN {
        return Err(HeaderError::Damaged { reason: "shorter than its header" });
    }
    if crc32c::crc32c(&bytes[..84]) != u32_at(bytes, 84) || u32_at(bytes, 80) != 0 {
        return Err(HeaderError::Damaged { reason: "the header's checksum does not match" });
    }
    let header = SnapshotHeader {
        generation: u64_at(bytes, 16),
        seq: u64_at(bytes, 24),
        wal_salt: u64_at(bytes, 32),
        entries: u64_at(bytes, 40),
        root: hash_at(bytes, 48),
    };
    assert_eq!(encode_snapshot_header(&header), bytes[..SNAPSHOT_HEADER_LEN]);
    Ok(header)
}

/// Appends an entry to a block.
pub fn put_entry(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    assert!(!key.is_empty() && key.len() <= KEY_LEN_MAX && value.len() <= VALUE_LEN_MAX);
    put_u32(out, key.len() as u32);
    put_u32(out, value.len() as u32);
    out.extend_from_slice(key);
    out.extend_from_slice(value);
}

/// Takes one entry off the front of a block's bytes, which are not empty.
///
/// # Errors
/// What is wrong with them.
pub fn take_entry<'a>(bytes: &mut &'a [u8]) -> Result<(&'a [u8], &'a [u8]), &'static str> {
    if bytes.len() < 8 {
        return Err("an entry is cut");
    }
    let (key, value) = take_pair(bytes)?;
    assert!(8 + key.len() + value.len() <= bytes.len(), "no more is taken than is there");
    *bytes = &bytes[8 + key.len() + value.len()..];
    Ok((key, value))
}

/// The header of block number `index` with these bytes.
pub fn block_header(header: &SnapshotHeader, index: u64, bytes: &[u8]) -> [u8; BLOCK_HEADER_LEN] {
    assert!(bytes.len() <= BLOCK_LEN_MAX, "blocks are bounded");
    let len = (bytes.len() as u32).to_le_bytes();
    let mut bound = [0; 28];
    bound[..8].copy_from_slice(&header.generation.to_le_bytes());
    bound[8..16].copy_from_slice(&header.wal_salt.to_le_bytes());
    bound[16..24].copy_from_slice(&index.to_le_bytes());
    bound[24..].copy_from_slice(&len);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bound), bytes);
    let mut out = [0; BLOCK_HEADER_LEN];
    out[..4].copy_from_slice(&len);
    out[4..].copy_from_slice(&crc.to_le_bytes());
    out
}
