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
mod many;

use deferred::{Deferred, Half};

/// A BLAKE3 hash, or 32 zeros for "nothing".
pub type Hash = [u8; 32];

/// The Merkle root of no entries.
pub const EMPTY: Hash = [0; 32];

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
    /// Keys that are set to values or, without one, removed. For many at once this costs a
    /// fraction of one by one.
    pub fn all(ops: &[(&[u8], Option<&[u8]>)]) -> Vec<Self> {
        let keys = ops.iter().map(|(key, _)| *key);
        let values = ops.iter().filter_map(|(_, value)| *value);
        let hashes = many::hash_each(&keys.chain(values).collect::<Vec<_>>());
        let (keys, values) = hashes.split_at(ops.len());
        let mut values = values.iter().copied();
        let one = |((_, value), key): (&(_, Option<_>), &Hash)| Self {
            key: *key,
            value: value.map(|_: &[u8]| values.next().expect("a hash for each value")),
        };
        ops.iter().zip(keys).map(one).collect()
    }
}

/// A node's place, but for its hashes: few bytes, so that a way down touches little memory.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// [`NOTHING`], [`LEAF`], or the number of the pair that has the two places below this one.
    below: u32,
    /// [`KNOWN`], [`STALE`], or the number of the wanted hash.
    mark: u32,
}

impl Place {
    const EMPTY: Self = Self { below: NOTHING, mark: KNOWN };
}

/// In the place is no node: its hash is [`EMPTY`].
const NOTHING: u32 = u32::MAX;

/// In the place is a leaf.
const LEAF: u32 = u32::MAX - 1;

/// Of a place: its hash is known.
const KNOWN: u32 = u32::MAX;

/// Of a branch: something below it has changed, and nobody has asked for its hash since.
const STALE: u32 = u32::MAX - 1;

/// The place of the trie's top. The other one of its pair stays empty.
const TOP: u32 = 0;

/// So many hashes are wanted at most before they are worked out: some MB.
const DEFERRED_MAX: usize = 1 << 16;

/// The two hashes below a branch, which are read together: one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Pair([Hash; 2]);

/// The trie, kept up to date change by change. Hashes are worked out when roots are asked for, so
/// that many changes share the work, and those of many roots are worked out side by side.
///
/// Places come in pairs, the two below a branch: numbers `2 n` and `2 n + 1`.
///
/// Invariants: a branch has at least two leaves below it; a stale branch's ancestors are stale.
#[derive(Clone, Debug)]
pub struct Tree {
    places: Vec<Place>,
    /// By pair; each meaningful while its place's is known.
    hashes: Vec<Pair>,
    /// By place; of leaves, the hash of the key.
    keys: Vec<Hash>,
    /// Pairs that nothing uses.
    free: Vec<u32>,
    leaves: u64,
    deferred: Deferred,
    /// The places that the deferred hashes are for, by the number of the hash.
    wanting: Vec<u32>,
    /// The roots that were asked for.
    roots: Vec<Half>,
    /// The way to a leaf that is removed; kept for its memory.
    way: Vec<u32>,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            places: vec![Place::EMPTY; 2],
            hashes: vec![Pair([EMPTY; 2])],
            keys: vec![EMPTY; 2],
            free: Vec::new(),
            leaves: 0,
            deferred: Deferred::default(),
            wanting: Vec::new(),
            roots: Vec::new(),
            way: Vec::new(),
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
        self.change_all(&mut Change::all(&[(key, Some(value))]));
        assert!(self.leaves > 0, "there is at least what was put");
    }

    /// Removes `key`; whether it was there.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        let before = self.leaves;
        self.change_all(&mut Change::all(&[(key, None)]));
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
                self.keep_bound();
                let leaf = self.leaf(key);
                let wanted = self.deferred.leaf(key, value);
                self.want(leaf, wanted);
            }
            None => self.remove(key),
        }
    }

    /// The Merkle root.
    ///
    /// # Panics
    /// If roots that were asked for have not been taken.
    pub fn root(&mut self) -> Hash {
        assert!(self.roots.is_empty(), "those that were asked for before are taken first");
        self.ask_root();
        self.take_roots()[0]
    }

    /// Asks for the Merkle root as it is now. [`Tree::take_roots`] gives it, with those of later
    /// states, for less than one by one.
    pub fn ask_root(&mut self) {
        assert_eq!(self.below(TOP) == NOTHING, self.leaves == 0);
        self.refresh(TOP);
        self.roots.push(self.half(TOP));
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

    /// The place of a key's leaf, which is made if it is missing. All above it is stale.
    fn leaf(&mut self, key: &Hash) -> u32 {
        let (mut at, mut depth) = (TOP, 0);
        loop {
            match self.below(at) {
                NOTHING => break,
                LEAF if self.keys[at as usize] == *key => return at,
                LEAF => {
                    at = self.part(at, depth, key);
                    break;
                }
                pair => {
                    self.places[at as usize].mark = STALE;
                    at = side(pair, bit(key, depth));
                    depth += 1;
                }
            }
        }
        self.leaves += 1;
        self.places[at as usize] = Place { below: LEAF, mark: STALE };
        self.keys[at as usize] = *key;
        at
    }

    /// Puts branches in the place of a leaf, down to where its key and another one part. Gives the
    /// other one's place.
    fn part(&mut self, mut at: u32, mut depth: usize, key: &Hash) -> u32 {
        let other = self.keys[at as usize];
        loop {
            let pair = self.allocate();
            let (ours, theirs) = (bit(key, depth), bit(&other, depth));
            self.move_leaf(at, side(pair, theirs));
            self.places[at as usize] = Place { below: pair, mark: STALE };
            at = side(pair, ours);
            if ours != theirs {
                return at;
            }
            depth += 1;
        }
    }

    /// Removes a key's leaf, if it is there.
    fn remove(&mut self, key: &Hash) {
        let mut way = std::mem::take(&mut self.way);
        let (mut at, mut depth) = (TOP, 0);
        while self.below(at) < LEAF {
            way.push(at);
            at = side(self.below(at), bit(key, depth));
            depth += 1;
        }
        if self.below(at) == LEAF && self.keys[at as usize] == *key {
            self.leaves -= 1;
            self.clear(at);
            // A leaf takes a branch's place if nothing else is below that.
            while let Some(branch) = way.pop() {
                let pair = self.below(branch);
                let (left, right) = (side(pair, false), side(pair, true));
                let only = match (self.below(left), self.below(right)) {
                    (LEAF, NOTHING) => left,
                    (NOTHING, LEAF) => right,
                    (NOTHING, NOTHING) => unreachable!("a branch had two leaves, one was removed"),
                    _ => {
                        way.push(branch);
                        break;
                    }
                };
                self.move_leaf(only, branch);
                self.free.push(pair);
            }
            way.iter().for_each(|branch| self.places[*branch as usize].mark = STALE);
        }
        way.clear();
        self.way = way;
    }

    /// Moves a leaf to another place.
    fn move_leaf(&mut self, from: u32, to: u32) {
        assert_eq!(self.below(from), LEAF);
        let place = self.places[from as usize];
        self.places[to as usize] = place;
        self.keys[to as usize] = self.keys[from as usize];
        match place.mark {
            KNOWN => *self.hash_mut(to) = *self.hash_mut(from),
            STALE => {}
            wanted => self.wanting[wanted as usize] = to,
        }
        self.clear(from);
    }

    fn clear(&mut self, at: u32) {
        self.places[at as usize] = Place::EMPTY;
        *self.hash_mut(at) = EMPTY;
    }

    fn below(&self, at: u32) -> u32 {
        self.places[at as usize].below
    }

    fn hash_mut(&mut self, at: u32) -> &mut Hash {
        &mut self.hashes[at as usize / 2].0[at as usize % 2]
    }

    /// Wants the hashes of what is stale at `at` and below.
    fn refresh(&mut self, at: u32) {
        let Place { below: pair, mark } = self.places[at as usize];
        if mark != STALE {
            return;
        }
        let (left, right) = (side(pair, false), side(pair, true));
        self.refresh(left);
        self.refresh(right);
        self.keep_bound();
        let wanted = self.deferred.branch([self.half(left), self.half(right)]);
        self.want(at, wanted);
    }

    /// The hash of a place that is not stale.
    fn half(&self, at: u32) -> Half {
        match self.places[at as usize].mark {
            KNOWN => Half::Known(self.hashes[at as usize / 2].0[at as usize % 2]),
            STALE => unreachable!("what is below a branch is refreshed before it"),
            wanted => Half::Wanted(wanted),
        }
    }

    /// The hash with this number is to be the place's.
    fn want(&mut self, at: u32, wanted: u32) {
        assert_eq!(wanted as usize, self.wanting.len(), "one place for each wanted hash");
        self.wanting.push(at);
        self.places[at as usize].mark = wanted;
    }

    /// Before one more hash is wanted.
    fn keep_bound(&mut self) {
        if self.deferred.len() >= DEFERRED_MAX {
            self.work_out();
        }
        assert!(self.deferred.len() < DEFERRED_MAX, "what is wanted is bounded");
    }

    /// Works out all hashes that are wanted.
    fn work_out(&mut self) {
        let hashes = self.deferred.work_out();
        for root in &mut self.roots {
            if let Half::Wanted(wanted) = *root {
                *root = Half::Known(hashes[wanted as usize]);
            }
        }
        let mut wanting = std::mem::take(&mut self.wanting);
        for (wanted, at) in wanting.drain(..).enumerate() {
            // Others have changed since, or have gone.
            if self.places[at as usize].mark == wanted as u32 {
                self.places[at as usize].mark = KNOWN;
                *self.hash_mut(at) = hashes[wanted];
            }
        }
        self.wanting = wanting;
    }

    /// A pair of empty places.
    fn allocate(&mut self) -> u32 {
        if let Some(pair) = self.free.pop() {
            return pair;
        }
        let pair = self.hashes.len() as u32;
        assert!(pair < LEAF / 2, "2^32 places do not fit into memory");
        self.places.extend([Place::EMPTY; 2]);
        self.hashes.push(Pair([EMPTY; 2]));
        self.keys.extend([EMPTY; 2]);
        pair
    }
}

/// The place on this side of a pair.
fn side(pair: u32, right: bool) -> u32 {
    2 * pair + u32::from(right)
}
