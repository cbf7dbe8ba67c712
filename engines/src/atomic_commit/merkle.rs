//! The Merkle root of a set of entries: a binary trie over the bits of `blake3(key)`.
//!
//! * nothing: 32 zero bytes;
//! * exactly one entry: `H(0 | blake3(key) | blake3(value))`, at whatever depth it stands;
//! * more: `H(1 | left | right)`, split at the next bit of the key's hash, highest bit first.
//!
//! So the root depends on the entries alone, not on the order in which they came. The root of a
//! state is `H(2 | seq as u64 little endian | Merkle root)`: states of equal content at different
//! sequence numbers differ.
//!
//! [`Tree`] costs O(changed keys x log n) a commit. [`root_of`] is the definition, slow and
//! without state, for tests and for oracles outside.

/// A BLAKE3 hash, or 32 zeros for "nothing".
pub type Hash = [u8; 32];

/// The Merkle root of no entries.
pub const EMPTY: Hash = [0; 32];

/// "No node": an empty side.
const NONE: u32 = u32::MAX;

fn leaf_hash(key_hash: &Hash, value_hash: &Hash) -> Hash {
    debug_assert_ne!(key_hash, &EMPTY, "no key hashes to zeros");
    hash_pair(0, key_hash, value_hash)
}

fn hash_pair(tag: u8, left: &Hash, right: &Hash) -> Hash {
    assert!(tag < 2, "0 is a leaf, 1 a branch");
    let mut bytes = [tag; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    *blake3::hash(&bytes).as_bytes()
}

/// The root of a state: its Merkle root bound to its sequence number.
pub fn state_root(seq: u64, merkle: &Hash) -> Hash {
    let mut bytes = [2; 41];
    bytes[1..9].copy_from_slice(&seq.to_le_bytes());
    bytes[9..].copy_from_slice(merkle);
    let root = *blake3::hash(&bytes).as_bytes();
    assert_ne!(root, EMPTY, "a state's root is never \"nothing\"");
    root
}

fn bit(hash: &Hash, depth: usize) -> bool {
    assert!(depth < 256, "two different hashes differ in one of 256 bits");
    hash[depth / 8] >> (7 - depth % 8) & 1 == 1
}

/// The Merkle root of entries with different keys, in any order, straight from the definition.
pub fn root_of<K, V>(entries: impl IntoIterator<Item = (K, V)>) -> Hash
where
    K: AsRef<[u8]>,
    V: AsRef<[u8]>,
{
    let hash = |bytes: &[u8]| *blake3::hash(bytes).as_bytes();
    let mut leaves: Vec<(Hash, Hash)> = entries
        .into_iter()
        .map(|(key, value)| (hash(key.as_ref()), hash(value.as_ref())))
        .collect();
    leaves.sort_unstable();
    assert!(leaves.windows(2).all(|pair| pair[0].0 != pair[1].0), "keys are different");
    root_of_sorted(&leaves, 0)
}

fn root_of_sorted(leaves: &[(Hash, Hash)], depth: usize) -> Hash {
    assert!(depth <= 256, "at depth 256 there is at most one leaf");
    match leaves {
        [] => EMPTY,
        [(key_hash, value_hash)] => leaf_hash(key_hash, value_hash),
        _ => {
            let middle = leaves.partition_point(|(key_hash, _)| !bit(key_hash, depth));
            let left = root_of_sorted(&leaves[..middle], depth + 1);
            let right = root_of_sorted(&leaves[middle..], depth + 1);
            hash_pair(1, &left, &right)
        }
    }
}

/// Where a node's children are: 8 bytes, so that a way down touches little memory.
#[derive(Clone, Copy, Debug)]
struct Link {
    /// [`LEAF`] for a leaf.
    left: u32,
    right: u32,
}

/// In the place of a left child: the node is a leaf.
const LEAF: u32 = u32::MAX - 1;

impl Link {
    fn is_leaf(self) -> bool {
        self.left == LEAF
    }

    /// The child on this side.
    fn child(self, right: bool) -> u32 {
        if right { self.right } else { self.left }
    }
}

/// The trie, kept up to date change by change. Hashes of branches are computed when the root is
/// asked for, so that many changes share the work.
///
/// Invariants: a branch has at least two leaves below it; a stale branch's ancestors are stale.
#[derive(Clone, Debug)]
pub struct Tree {
    /// By node, as the three that follow.
    links: Vec<Link>,
    /// Out of date while the node is stale.
    hashes: Vec<Hash>,
    /// Of leaves: the hash of the key.
    keys: Vec<Hash>,
    /// Never of leaves.
    stale: Vec<bool>,
    free: Vec<u32>,
    top: u32,
    leaves: u64,
}

impl Default for Tree {
    fn default() -> Self {
        let (links, hashes, keys) = (Vec::new(), Vec::new(), Vec::new());
        Self { links, hashes, keys, stale: Vec::new(), free: Vec::new(), top: NONE, leaves: 0 }
    }
}

impl Tree {
    /// The number of entries.
    pub fn len(&self) -> u64 {
        self.leaves
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.leaves == 0
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        let key_hash = *blake3::hash(key).as_bytes();
        let hash = leaf_hash(&key_hash, blake3::hash(value).as_bytes());
        self.insert(&key_hash, hash);
        assert!(self.leaves > 0, "there is at least what was put");
    }

    /// Removes `key`; whether it was there.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        let before = self.leaves;
        self.top = self.remove(self.top, 0, blake3::hash(key).as_bytes());
        assert!(self.leaves == before || self.leaves + 1 == before);
        self.leaves < before
    }

    /// The Merkle root.
    pub fn root(&mut self) -> Hash {
        assert_eq!(self.top == NONE, self.leaves == 0);
        self.refresh(self.top)
    }

    fn insert(&mut self, key_hash: &Hash, hash: Hash) {
        let (mut at, mut parent, mut depth) = (self.top, NONE, 0);
        while at != NONE {
            let link = self.links[at as usize];
            if link.is_leaf() {
                if self.keys[at as usize] == *key_hash {
                    self.hashes[at as usize] = hash;
                    return;
                }
                break;
            }
            self.stale[at as usize] = true;
            (parent, at) = (at, link.child(bit(key_hash, depth)));
            depth += 1;
        }
        let leaf = self.allocate(Link { left: LEAF, right: LEAF }, *key_hash, hash);
        self.leaves += 1;
        if at == NONE {
            return self.hang(parent, depth, key_hash, leaf);
        }
        // Branches take the other leaf's place, down to where the two keys part.
        let other = self.keys[at as usize];
        loop {
            let (ours, theirs) = (bit(key_hash, depth), bit(&other, depth));
            let link = match (ours, theirs) {
                (false, true) => Link { left: leaf, right: at },
                (true, false) => Link { left: at, right: leaf },
                _ => Link { left: NONE, right: NONE },
            };
            let branch = self.allocate(link, EMPTY, EMPTY);
            self.stale[branch as usize] = true;
            self.hang(parent, depth, key_hash, branch);
            if ours != theirs {
                return;
            }
            (parent, depth) = (branch, depth + 1);
        }
    }

    /// Puts a node below `parent`, where the way to this key leads at `depth`.
    fn hang(&mut self, parent: u32, depth: usize, key_hash: &Hash, child: u32) {
        if parent == NONE {
            self.top = child;
        } else if bit(key_hash, depth - 1) {
            self.links[parent as usize].right = child;
        } else {
            self.links[parent as usize].left = child;
        }
    }

    fn remove(&mut self, at: u32, depth: usize, key_hash: &Hash) -> u32 {
        if at == NONE {
            return NONE;
        }
        let link = self.links[at as usize];
        if link.is_leaf() {
            if self.keys[at as usize] != *key_hash {
                return at;
            }
            self.leaves -= 1;
            self.free.push(at);
            return NONE;
        }
        let Link { mut left, mut right } = link;
        let before = self.leaves;
        if bit(key_hash, depth) {
            right = self.remove(right, depth + 1, key_hash);
        } else {
            left = self.remove(left, depth + 1, key_hash);
        }
        if self.leaves == before {
            return at;
        }
        if let Some(only) = self.only_leaf(left, right) {
            self.free.push(at);
            return only;
        }
        self.links[at as usize] = Link { left, right };
        self.stale[at as usize] = true;
        at
    }

    /// The leaf that must take a branch's place because nothing else is below it.
    fn only_leaf(&self, left: u32, right: u32) -> Option<u32> {
        assert!(left != NONE || right != NONE, "a branch had two leaves, one was removed");
        let only = match (left, right) {
            (NONE, only) | (only, NONE) => only,
            _ => return None,
        };
        self.links[only as usize].is_leaf().then_some(only)
    }

    /// The hash of the subtree at `at`, computing what is stale.
    fn refresh(&mut self, at: u32) -> Hash {
        if at == NONE {
            return EMPTY;
        }
        if !self.stale[at as usize] {
            return self.hashes[at as usize];
        }
        let Link { left, right } = self.links[at as usize];
        let hash = hash_pair(1, &self.refresh(left), &self.refresh(right));
        (self.hashes[at as usize], self.stale[at as usize]) = (hash, false);
        hash
    }

    fn allocate(&mut self, link: Link, key_hash: Hash, hash: Hash) -> u32 {
        if let Some(at) = self.free.pop() {
            let nth = at as usize;
            (self.links[nth], self.stale[nth]) = (link, false);
            (self.keys[nth], self.hashes[nth]) = (key_hash, hash);
            return at;
        }
        assert!(self.links.len() < LEAF as usize, "2^32 - 2 nodes do not fit into memory");
        self.links.push(link);
        self.hashes.push(hash);
        self.keys.push(key_hash);
        self.stale.push(false);
        (self.links.len() - 1) as u32
    }
}
