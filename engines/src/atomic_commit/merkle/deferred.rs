//! Hashes of nodes that are wanted, but not worked out yet: many at once cost a fraction of one by
//! one, since a processor's wide registers take 8 or 16 of them side by side.
//!
//! A hash may depend on others that are not known yet. So each wanted hash has a *level*, one
//! above the higher of those that it depends on, and all of a level are worked out together.

use super::many::{LANES, keyed_hash_blocks};
use super::{BRANCH_KEY, Hash, LEAF_KEY};

/// Half of what is hashed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Half {
    Known(Hash),
    /// The number of a wanted hash.
    Wanted(u32),
}

/// In the place of a wanted hash's number: the half is known.
const KNOWN: u32 = u32::MAX;

/// Hashes that are wanted, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Deferred {
    inputs: Vec<[u8; 64]>,
    /// The numbers of the hashes that the halves of an input have to become.
    halves: Vec<[u32; 2]>,
    levels: Vec<u32>,
    /// How many there are of each level; leaves alone are of level 0.
    counts: Vec<u32>,
}

impl Deferred {
    pub(super) fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Wants the hash of a leaf; gives its number.
    pub(super) fn leaf(&mut self, key_hash: &Hash, value_hash: &Hash) -> u32 {
        self.want(0, [Half::Known(*key_hash), Half::Known(*value_hash)])
    }

    /// Wants the hash of a branch; gives its number.
    pub(super) fn branch(&mut self, halves: [Half; 2]) -> u32 {
        let above = |half: Half| match half {
            Half::Known(_) => 1,
            Half::Wanted(number) => self.levels[number as usize] + 1,
        };
        self.want(above(halves[0]).max(above(halves[1])), halves)
    }

    fn want(&mut self, level: u32, halves: [Half; 2]) -> u32 {
        let number = self.len() as u32;
        assert!(number < KNOWN, "so many hashes do not fit into memory");
        let mut input = [0; 64];
        let mut wanted = [KNOWN; 2];
        for (nth, half) in halves.into_iter().enumerate() {
            match half {
                Half::Known(hash) => input[32 * nth..][..32].copy_from_slice(&hash),
                Half::Wanted(number) => wanted[nth] = number,
            }
        }
        self.inputs.push(input);
        self.halves.push(wanted);
        self.levels.push(level);
        if self.counts.len() <= level as usize {
            self.counts.resize(level as usize + 1, 0);
        }
        self.counts[level as usize] += 1;
        number
    }

    /// Works all of them out: the hashes by number. Nothing is wanted after it.
    pub(super) fn work_out(&mut self) -> Vec<Hash> {
        let mut hashes = vec![[0; 32]; self.len()];
        let order = self.by_level();
        // What hashes them reads behind each.
        self.inputs.push([0; 64]);
        let mut at = 0;
        for (level, count) in self.counts.iter().enumerate() {
            let key = if level == 0 { LEAF_KEY } else { BRANCH_KEY };
            let numbers = &order[at..at + *count as usize];
            for &number in numbers {
                for (nth, wanted) in self.halves[number as usize].into_iter().enumerate() {
                    if wanted != KNOWN {
                        let half = &mut self.inputs[number as usize][32 * nth..][..32];
                        half.copy_from_slice(&hashes[wanted as usize]);
                    }
                }
            }
            hash_all(&key, &self.inputs, numbers, &mut hashes);
            at += numbers.len();
        }
        self.inputs.clear();
        self.halves.clear();
        self.levels.clear();
        self.counts.clear();
        hashes
    }

    /// All numbers, the lowest level first.
    fn by_level(&self) -> Vec<u32> {
        let mut next = Vec::with_capacity(self.counts.len());
        let mut sum = 0;
        for count in &self.counts {
            next.push(sum);
            sum += *count as usize;
        }
        let mut order = vec![0; self.len()];
        for (number, level) in self.levels.iter().enumerate() {
            let place = &mut next[*level as usize];
            order[*place] = number as u32;
            *place += 1;
        }
        order
    }
}

/// Hashes the inputs with these numbers, each by the definition: `keyed_hash`.
fn hash_all(key: &Hash, inputs: &[[u8; 64]], numbers: &[u32], hashes: &mut [Hash]) {
    for some in numbers.chunks(LANES) {
        for (number, hash) in some.iter().zip(keyed_hash_blocks(key, inputs, some)) {
            hashes[*number as usize] = hash;
        }
    }
}
