//! The Merkle root of a set of entries: a binary trie over the bits of `blake3(key)`.
//!
//! * nothing: 32 zero bytes;
//! * exactly one entry: `K(leaf, blake3(key) | blake3(value))`, at whatever depth it stands;
//! * more: `K(branch, left | right)`, split at the next bit of the key's hash, highest bit first.
//!
//! `K` is keyed BLAKE3 with one of two keys that everybody knows ([`LEAF_KEY`], [`BRANCH_KEY`]), so
//! that no leaf is taken for a branch, and each node takes one compression.
//!
//! So the root depends on the entries alone, not on the order in which they came. The root of a
//! state is `H(2 | seq as u64 little endian | Merkle root)`: states of equal content at different
//! sequence numbers differ.
//!
//! [`Tree`] costs O(changed keys x log n) a commit. [`root_of`] is the definition, slow and
//! without state, for tests and for oracles outside.

mod deferred;

use deferred::{Deferred, Half};

/// A BLAKE3 hash, or 32 zeros for "nothing".
pub type Hash = [u8; 32];

/// The Merkle root of no entries.
pub const EMPTY: Hash = [0; 32];

/// "No node": an empty side.
const NONE: u32 = u32::MAX;

/// The key with which leaves are hashed.
pub const LEAF_KEY: Hash = *b"seedbed: leaf of a Merkle tree  ";

/// The key with which branches are hashed.
pub const BRANCH_KEY: Hash = *b"seedbed: branch of a Merkle tree";

/// The hash of a node, by the definition.
fn node_hash(key: &Hash, left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(left);
    bytes[32..].copy_from_slice(right);
    *blake3::keyed_hash(key, &bytes).as_bytes()
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
        [(key_hash, value_hash)] => node_hash(&LEAF_KEY, key_hash, value_hash),
        _ => {
            let middle = leaves.partition_point(|(key_hash, _)| !bit(key_hash, depth));
            let left = root_of_sorted(&leaves[..middle], depth + 1);
            let right = root_of_sorted(&leaves[middle..], depth + 1);
            node_hash(&BRANCH_KEY, &left, &right)
        }
    }
}

/// What becomes of a key: the hashes of key and value.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    key: Hash,
    /// `None` to remove it.
    value: Option<Hash>,
}

impl Change {
    /// Sets `key` to `value`.
    pub fn put(key: &[u8], value: &[u8]) -> Self {
        let value = Some(*blake3::hash(value).as_bytes());
        Self { value, ..Self::delete(key) }
    }

    /// Removes `key`, if it is there.
    pub fn delete(key: &[u8]) -> Self {
        Self { key: *blake3::hash(key).as_bytes(), value: None }
    }
}

/// A node, but for its hashes: few bytes, so that a way down touches little memory.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// [`LEAF`] for a leaf.
    left: u32,
    right: u32,
    /// [`KNOWN`], [`STALE`], or the number of the wanted hash.
    mark: u32,
}

/// In the place of a left child: the node is a leaf.
const LEAF: u32 = u32::MAX - 1;

impl Node {
    /// A leaf that has no hash yet.
    const LEAF: Self = Self::branch(LEAF, LEAF);

    /// A branch that has no hash yet.
    const fn branch(left: u32, right: u32) -> Self {
        Self { left, right, mark: STALE }
    }

    fn is_leaf(self) -> bool {
        self.left == LEAF
    }

    /// The child on this side.
    fn child(self, right: bool) -> u32 {
        if right { self.right } else { self.left }
    }
}

/// Of a node: its hash is known.
const KNOWN: u32 = u32::MAX;

/// Of a branch: something below it has changed, and nobody has asked for its hash since.
const STALE: u32 = u32::MAX - 1;

/// So many hashes are wanted at most before they are worked out: some MB.
const DEFERRED_MAX: usize = 1 << 16;

/// The trie, kept up to date change by change. Hashes are worked out when roots are asked for, so
/// that many changes share the work, and those of many roots are worked out side by side.
///
/// Invariants: a branch has at least two leaves below it; a stale branch's ancestors are stale.
#[derive(Clone, Debug)]
pub struct Tree {
    /// By number, as the two that follow.
    nodes: Vec<Node>,
    /// Meaningful while the node's is known.
    hashes: Vec<Hash>,
    /// Of leaves: the hash of the key.
    keys: Vec<Hash>,
    free: Vec<u32>,
    top: u32,
    leaves: u64,
    deferred: Deferred,
    /// The nodes that the deferred hashes are for, by the number of the hash.
    wanting: Vec<u32>,
    /// The roots that were asked for.
    roots: Vec<Half>,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            hashes: Vec::new(),
            keys: Vec::new(),
            free: Vec::new(),
            top: NONE,
            leaves: 0,
            deferred: Deferred::default(),
            wanting: Vec::new(),
            roots: Vec::new(),
        }
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
        self.change(&Change::put(key, value));
        assert!(self.leaves > 0, "there is at least what was put");
    }

    /// Removes `key`; whether it was there.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        let before = self.leaves;
        self.change(&Change::delete(key));
        self.leaves < before
    }

    /// Does changes in order; they are in another one afterwards.
    pub fn change_all(&mut self, changes: &mut [Change]) {
        // Neighbours share their way down, and the memory that it touches.
        changes.sort_by_key(|change| change.key);
        for change in changes {
            self.change(change);
        }
    }

    fn change(&mut self, Change { key, value }: &Change) {
        match value {
            Some(value) => {
                if self.deferred.len() >= DEFERRED_MAX {
                    self.work_out();
                }
                let leaf = self.leaf(key);
                let wanted = self.deferred.leaf(key, value);
                self.want(leaf, wanted);
            }
            None => {
                let before = self.leaves;
                self.top = self.remove(self.top, 0, key);
                assert!(self.leaves == before || self.leaves + 1 == before);
            }
        }
    }

    /// The Merkle root.
    pub fn root(&mut self) -> Hash {
        assert!(self.roots.is_empty(), "those that were asked for before are taken first");
        self.ask_root();
        self.take_roots()[0]
    }

    /// Asks for the Merkle root as it is now. [`Tree::take_roots`] gives it, with those of later
    /// states, for less than one by one.
    pub fn ask_root(&mut self) {
        assert_eq!(self.top == NONE, self.leaves == 0);
        self.refresh(self.top);
        self.roots.push(self.half(self.top));
    }

    /// The Merkle roots that were asked for and not taken, in order.
    pub fn take_roots(&mut self) -> Vec<Hash> {
        self.work_out();
        let known = |half| match half {
            Half::Known(hash) => hash,
            Half::Wanted(_) => unreachable!("all are worked out"),
        };
        self.roots.drain(..).map(known).collect()
    }

    /// The leaf of a key, which is made if it is missing. All above it is stale.
    fn leaf(&mut self, key_hash: &Hash) -> u32 {
        let (mut at, mut parent, mut depth) = (self.top, NONE, 0);
        while at != NONE {
            let node = self.nodes[at as usize];
            if node.is_leaf() {
                if self.keys[at as usize] == *key_hash {
                    return at;
                }
                break;
            }
            self.nodes[at as usize].mark = STALE;
            (parent, at) = (at, node.child(bit(key_hash, depth)));
            depth += 1;
        }
        let leaf = self.allocate(Node::LEAF, *key_hash);
        self.leaves += 1;
        if at == NONE {
            self.hang(parent, depth, key_hash, leaf);
            return leaf;
        }
        // Branches take the other leaf's place, down to where the two keys part.
        let other = self.keys[at as usize];
        loop {
            let (ours, theirs) = (bit(key_hash, depth), bit(&other, depth));
            let branch = match (ours, theirs) {
                (false, true) => Node::branch(leaf, at),
                (true, false) => Node::branch(at, leaf),
                _ => Node::branch(NONE, NONE),
            };
            let branch = self.allocate(branch, EMPTY);
            self.hang(parent, depth, key_hash, branch);
            if ours != theirs {
                return leaf;
            }
            (parent, depth) = (branch, depth + 1);
        }
    }

    /// Puts a node below `parent`, where the way to this key leads at `depth`.
    fn hang(&mut self, parent: u32, depth: usize, key_hash: &Hash, child: u32) {
        if parent == NONE {
            self.top = child;
        } else if bit(key_hash, depth - 1) {
            self.nodes[parent as usize].right = child;
        } else {
            self.nodes[parent as usize].left = child;
        }
    }

    fn remove(&mut self, at: u32, depth: usize, key_hash: &Hash) -> u32 {
        if at == NONE {
            return NONE;
        }
        let node = self.nodes[at as usize];
        if node.is_leaf() {
            if self.keys[at as usize] != *key_hash {
                return at;
            }
            self.leaves -= 1;
            self.free.push(at);
            return NONE;
        }
        let Node { mut left, mut right, .. } = node;
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
        self.nodes[at as usize] = Node::branch(left, right);
        at
    }

    /// The leaf that must take a branch's place because nothing else is below it.
    fn only_leaf(&self, left: u32, right: u32) -> Option<u32> {
        assert!(left != NONE || right != NONE, "a branch had two leaves, one was removed");
        let only = match (left, right) {
            (NONE, only) | (only, NONE) => only,
            _ => return None,
        };
        self.nodes[only as usize].is_leaf().then_some(only)
    }

    /// Wants the hashes of what is stale at `at` and below.
    fn refresh(&mut self, at: u32) {
        if at == NONE || self.nodes[at as usize].mark != STALE {
            return;
        }
        let Node { left, right, .. } = self.nodes[at as usize];
        self.refresh(left);
        self.refresh(right);
        let wanted = self.deferred.branch([self.half(left), self.half(right)]);
        self.want(at, wanted);
    }

    /// The hash of a node that is not stale.
    fn half(&self, at: u32) -> Half {
        if at == NONE {
            return Half::Known(EMPTY);
        }
        match self.nodes[at as usize].mark {
            KNOWN => Half::Known(self.hashes[at as usize]),
            STALE => unreachable!("what is below a node is refreshed before it"),
            wanted => Half::Wanted(wanted),
        }
    }

    /// The hash with this number is to be the node's.
    fn want(&mut self, at: u32, wanted: u32) {
        assert_eq!(wanted as usize, self.wanting.len(), "one node for each wanted hash");
        self.wanting.push(at);
        self.nodes[at as usize].mark = wanted;
    }

    /// Works out all hashes that are wanted.
    fn work_out(&mut self) {
        let hashes = self.deferred.work_out();
        for root in &mut self.roots {
            if let Half::Wanted(wanted) = *root {
                *root = Half::Known(hashes[wanted as usize]);
            }
        }
        for (wanted, at) in self.wanting.drain(..).enumerate() {
            let mark = &mut self.nodes[at as usize].mark;
            // Others have changed since, or have gone.
            if *mark == wanted as u32 {
                *mark = KNOWN;
                self.hashes[at as usize] = hashes[wanted];
            }
        }
    }

    /// A new node.
    fn allocate(&mut self, node: Node, key_hash: Hash) -> u32 {
        if let Some(at) = self.free.pop() {
            (self.nodes[at as usize], self.keys[at as usize]) = (node, key_hash);
            return at;
        }
        assert!(self.nodes.len() < LEAF as usize, "2^32 - 2 nodes do not fit into memory");
        self.nodes.push(node);
        self.hashes.push(EMPTY);
        self.keys.push(key_hash);
        (self.nodes.len() - 1) as u32
    }
}
