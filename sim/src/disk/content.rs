//! Hashes of what a disk holds, for telling images apart.
//!
//! A content hash is a sum: of each name, of each file's length, of each sector that is not all
//! zeros, every one hashed with where it stands. So the hash of an image is put together from those
//! of its parts, without making the image, and what reads as zeros weighs nothing however it is
//! stored. It detects differences, it does not withstand an adversary.

use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

use super::file::FileData;
use super::{Disk, Ino, Node, ROOT, SECTOR};

/// Where the root stands.
pub(super) const ROOT_SLOT: u128 = 0x9e37_79b9_7f4a_7c15_a076_1d64_78bd_642f;
/// Stands for a directory under a name.
const DIR: u128 = 1;

/// A hash of two numbers in this order.
#[inline]
pub(super) fn mix(a: u128, b: u128) -> u128 {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&a.to_le_bytes());
    bytes[16..].copy_from_slice(&b.to_le_bytes());
    xxh3_128(&bytes)
}

/// Where a name stands: in this directory, whose own place is `dir`.
pub(super) fn slot(dir: u128, name: &str) -> u128 {
    mix(dir, xxh3_128(name.as_bytes()))
}

/// What a file's length adds to its hash.
pub(super) fn len_hash(len: u64) -> u128 {
    mix(u128::MAX, u128::from(len))
}

/// What a sector adds to its file's hash; `number` counts from the file's start. A sector at the
/// file's end is filled up with zeros.
pub(super) fn sector_hash(number: u64, bytes: &[u8]) -> u128 {
    let mut whole = [0; SECTOR];
    let bytes = match bytes.len() {
        SECTOR => bytes,
        len => {
            whole[..len].copy_from_slice(bytes);
            &whole
        }
    };
    match *bytes == [0; SECTOR] {
        true => 0,
        false => mix(xxh3_128(bytes), u128::from(number)),
    }
}

/// Adds up what names and files add to a disk's hash.
#[derive(Default)]
pub(super) struct Names {
    /// What the names alone add.
    pub sum: u128,
    /// Each file that has a name, with all places where it stands.
    pub files: Vec<(Ino, Vec<u128>)>,
}

impl Names {
    pub(super) fn dir(&mut self, slot: u128) {
        self.sum = self.sum.wrapping_add(mix(slot, DIR));
    }

    /// A name of a file. Names of one file are not those of two that look the same.
    pub(super) fn file(&mut self, slot: u128, ino: Ino) {
        let first = match self.files.iter_mut().find(|(known, _)| *known == ino) {
            Some((_, slots)) => {
                slots.push(slot);
                slots[0]
            }
            None => {
                self.files.push((ino, vec![slot]));
                slot
            }
        };
        self.sum = self.sum.wrapping_add(mix(slot, first));
    }
}

/// What a file with this hash adds at its places.
pub(super) fn in_place(slots: &[u128], file: u128) -> u128 {
    slots.iter().fold(0, |sum, slot| sum.wrapping_add(mix(*slot, file)))
}

impl FileData {
    /// A hash of what readers see of this file.
    pub(super) fn content_hash(&self) -> u128 {
        // Bytes beyond the length are zeros.
        let sectors = self.pages().zip(0..).filter_map(|(page, number)| Some((page?, number)));
        let sectors = sectors.flat_map(|(page, number)| {
            let first = number * (super::PAGE / SECTOR) as u64;
            page.chunks_exact(SECTOR).zip(first..)
        });
        let hashes = sectors.map(|(bytes, number)| sector_hash(number, bytes));
        hashes.fold(len_hash(self.len()), u128::wrapping_add)
    }
}

impl Disk {
    /// A hash of all that readers can see: names, kinds, which names are one file's, contents.
    pub fn content_hash(&self) -> u128 {
        let mut names = Names::default();
        self.add_names(ROOT, ROOT_SLOT, &mut names);
        let file = |(ino, slots): &(Ino, Vec<u128>)| match &self.inodes[*ino as usize].node {
            Node::File(file) => in_place(slots, file.content_hash()),
            Node::Dir(_) => 0,
        };
        names.files.iter().map(file).fold(names.sum, u128::wrapping_add)
    }

    fn add_names(&self, dir: Ino, at: u128, names: &mut Names) {
        let Node::Dir(data) = &self.inodes[dir as usize].node else { return };
        for (name, ino) in data.iter() {
            let slot = slot(at, name);
            match self.is_dir(ino) {
                true => {
                    names.dir(slot);
                    self.add_names(ino, slot, names);
                }
                false => names.file(slot, ino),
            }
        }
    }

    /// A hash of all that there is after a process crash: what readers see, what of it may still
    /// be lost, in which order, and what would then be there instead.
    pub(crate) fn state_hash(&self) -> u128 {
        let mut hash = Xxh3Default::new();
        let first = self.first_pending();
        hash.update(&self.journal_end.saturating_sub(first).to_le_bytes());
        hash.update(&[u8::from(self.aborting), u8::from(self.is_shut_down)]);
        self.cached.iter().for_each(|cached| cached.hash(first, &mut hash));
        for (ino, inode) in &self.inodes {
            hash.update(&(ino as u64).to_le_bytes());
            hash.update(&inode.errors.bits().to_le_bytes());
            hash.update(&[u8::from(inode.logged)]);
            if let Some(committed) = &inode.committed {
                hash.update(&committed.content_hash().to_le_bytes());
                hash.update(&[0, 6]);
            }
            match &inode.node {
                Node::File(file) => {
                    hash.update(&file.content_hash().to_le_bytes());
                    file.hash_pending(first, &mut hash);
                }
                Node::Dir(dir) => dir.hash_state(first, &mut hash),
            }
        }
        hash.digest128()
    }

    /// The oldest operation that may still be lost; operations are told apart by how much later
    /// than this one they were.
    fn first_pending(&self) -> u64 {
        let of_files = self.inodes.iter().filter_map(|(_, inode)| match &inode.node {
            Node::File(file) => file.first_pending(),
            Node::Dir(_) => None,
        });
        let of_names = self.pending_names().map(|(_, _, version)| version.op);
        of_files.chain(of_names).min().unwrap_or(self.seq)
    }
}
