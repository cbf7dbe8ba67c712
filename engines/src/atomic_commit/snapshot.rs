//! Writing and loading `snapshot` files, block by block.
//!
//! Invariants: memory beyond the state itself is bounded by one block; a block's length is checked
//! against the limit and the file's remaining bytes before it is allocated; whatever is loaded
//! was covered by a checksum, and the root recomputed from all of it equals the header's.

use std::ops::Bound;
use std::path::Path;

use seedbed_env::{Env, File, OpenOptions};

use super::error::{Error, at, bad_header, corrupt};
use super::format::{
    self, BLOCK_HEADER_LEN, BLOCK_LEN_MAX, BLOCK_LEN_TARGET, SNAPSHOT_HEADER_LEN, SnapshotHeader,
};
use super::kernel::Entries;
use super::merkle::{Change, Tree, state_root};
use super::shared::Shared;
use crate::bytes::{u32_at, u64_at};

/// Writes all of a snapshot but syncs nothing. `shared`'s visible state must not change meanwhile.
/// The header can come first or, as a benign plant has it, last.
pub(super) async fn write<F: File>(
    file: &F,
    path: &Path,
    header: &SnapshotHeader,
    shared: &Shared,
    header_last: bool,
) -> Result<(), Error> {
    let failed = |error| at(path, "write the snapshot")(error);
    let first = format::encode_snapshot_header(header);
    if !header_last {
        file.write_all_at(&first, 0).await.map_err(failed)?;
    }
    let mut offset = first.len() as u64;
    let mut last: Option<Vec<u8>> = None;
    let mut written = 0;
    assert_eq!(offset, SNAPSHOT_HEADER_LEN as u64);
    for index in 0.. {
        let (bytes, entries, end) = next_block(header, index, shared, last.take());
        file.write_all_at(&bytes, offset).await.map_err(failed)?;
        offset += bytes.len() as u64;
        written += entries;
        if entries == 0 {
            break;
        }
        last = end;
    }
    if header_last {
        file.write_all_at(&first, 0).await.map_err(failed)?;
    }
    assert_eq!(written, header.entries, "the state did not change under the snapshot");
    Ok(())
}

/// The block of the entries after key `last`: its bytes, how many entries, and their last key.
fn next_block(
    header: &SnapshotHeader,
    index: u64,
    shared: &Shared,
    last: Option<Vec<u8>>,
) -> (Vec<u8>, u64, Option<Vec<u8>>) {
    let mut bytes = vec![0; BLOCK_HEADER_LEN];
    let visible = shared.visible();
    assert_eq!(visible.seq, header.seq, "the state does not change under the snapshot");
    let after = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let (mut entries, mut end) = (0, None);
    for (key, value) in visible.entries.range::<[u8], _>((after, Bound::Unbounded)) {
        format::put_entry(&mut bytes, key, value);
        (entries, end) = (entries + 1, Some(key));
        if bytes.len() >= BLOCK_HEADER_LEN + BLOCK_LEN_TARGET {
            break;
        }
    }
    let block = format::block_header(header, index, &bytes[BLOCK_HEADER_LEN..]);
    bytes[..BLOCK_HEADER_LEN].copy_from_slice(&block);
    (bytes, entries, end.cloned())
}

/// A snapshot that was loaded and verified.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) header: SnapshotHeader,
    pub(super) entries: Entries,
    pub(super) tree: Tree,
}

/// Loads the snapshot at `path`.
pub(super) async fn load<E: Env>(env: &E, path: &Path) -> Result<Loaded, Error> {
    let file = env.open(path, OpenOptions::reading()).await.map_err(at(path, "open"))?;
    let len = file.len().await.map_err(at(path, "read the length of"))?;
    let mut bytes = vec![0; len.min(SNAPSHOT_HEADER_LEN as u64) as usize];
    file.read_exact_at(&mut bytes, 0).await.map_err(at(path, "read"))?;
    let header = format::decode_snapshot_header(&bytes).map_err(|error| bad_header(path, error))?;
    let mut loaded = Loaded { header, entries: Entries::new(), tree: Tree::default() };
    let mut offset = SNAPSHOT_HEADER_LEN as u64;
    for index in 0.. {
        let block = read_block(&file, path, &header, index, offset, len).await?;
        if block.is_empty() {
            break;
        }
        load_block(&mut loaded, &block).map_err(|reason| corrupt(path, offset, reason))?;
        offset += (BLOCK_HEADER_LEN + block.len()) as u64;
    }
    let end = offset + BLOCK_HEADER_LEN as u64;
    verify(&mut loaded, path, len, end)?;
    Ok(loaded)
}

/// The bytes of the block at `offset`, verified.
async fn read_block<F: File>(
    file: &F,
    path: &Path,
    header: &SnapshotHeader,
    index: u64,
    offset: u64,
    len: u64,
) -> Result<Vec<u8>, Error> {
    assert!(offset <= len, "blocks are read within the file");
    if len - offset < BLOCK_HEADER_LEN as u64 {
        return Err(corrupt(path, offset, "the snapshot ends before its last block"));
    }
    let mut found = [0; BLOCK_HEADER_LEN];
    file.read_exact_at(&mut found, offset).await.map_err(at(path, "read"))?;
    let block_len = u32_at(&found, 0) as usize;
    let left = len - offset - BLOCK_HEADER_LEN as u64;
    if block_len > BLOCK_LEN_MAX || block_len as u64 > left {
        let reason = format!("a block of {block_len} bytes, {left} are left in the file");
        return Err(corrupt(path, offset, reason));
    }
    let mut block = vec![0; block_len];
    let start = offset + BLOCK_HEADER_LEN as u64;
    file.read_exact_at(&mut block, start).await.map_err(at(path, "read"))?;
    let expected = format::block_header(header, index, &block);
    if u64_at(&found, 0) != u64_at(&expected, 0) {
        return Err(corrupt(path, offset, "a block's checksum does not match"));
    }
    Ok(block)
}

/// Adds a block's entries, which must come in ascending order.
fn load_block(loaded: &mut Loaded, mut bytes: &[u8]) -> Result<(), &'static str> {
    assert!(!bytes.is_empty(), "the empty block is the end");
    let mut ops = Vec::new();
    while !bytes.is_empty() {
        let (key, value) = format::take_entry(&mut bytes)?;
        if loaded.entries.last_key_value().is_some_and(|(last, _)| last.as_slice() >= key) {
            return Err("keys are not in ascending order");
        }
        loaded.entries.insert(key.to_vec(), value.to_vec());
        ops.push((key, Some(value)));
    }
    loaded.tree.change_all(&mut Change::all(&ops));
    Ok(())
}

/// Compares what was loaded with what the header promised.
fn verify(loaded: &mut Loaded, path: &Path, len: u64, end: u64) -> Result<(), Error> {
    assert!(end <= len, "blocks were read within the file");
    let (header, found) = (loaded.header, loaded.entries.len() as u64);
    if end < len {
        return Err(corrupt(path, end, "bytes after the last block"));
    }
    if found != header.entries {
        let reason = format!("{found} entries, the header says {}", header.entries);
        return Err(corrupt(path, 0, reason));
    }
    if state_root(header.seq, &loaded.tree.root()) != header.root {
        return Err(corrupt(path, 0, "the entries do not have the root of the header"));
    }
    Ok(())
}
