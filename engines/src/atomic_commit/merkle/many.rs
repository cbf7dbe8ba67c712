//! BLAKE3 of many inputs side by side, in a processor's wide registers: 8 or 16 of them take a
//! fraction of the time of one after the other.
//!
//! The library does that for the chunks of one long input. A store's values are many and short.
//! Constants and flags are those of the BLAKE3 paper, sections 2.1 and 2.2.

use blake3::platform::{MAX_SIMD_DEGREE, Platform, le_bytes_from_words_32, words_from_le_bytes_32};
use blake3::{BLOCK_LEN, CHUNK_LEN, IncrementCounter};

use super::Hash;

/// How many inputs are hashed side by side at most.
pub(super) const LANES: usize = MAX_SIMD_DEGREE;

/// What hashing without a key begins with.
const IV: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];
const CHUNK_START: u8 = 1;
const CHUNK_END: u8 = 1 << 1;
const ROOT: u8 = 1 << 3;
const KEYED_HASH: u8 = 1 << 4;

/// The hash of each input, in order.
pub(super) fn hash_each(inputs: &[&[u8]]) -> Vec<Hash> {
    let mut hashes = vec![[0; 32]; inputs.len()];
    // What is hashed side by side has the same number of whole blocks.
    let mut by_blocks: [Vec<usize>; BLOCKS_MAX + 1] = Default::default();
    for (nth, input) in inputs.iter().enumerate() {
        match input.len() {
            BLOCK_LEN..=CHUNK_LEN => by_blocks[input.len() / BLOCK_LEN].push(nth),
            _ => hashes[nth] = *blake3::hash(input).as_bytes(),
        }
    }
    for (hash_equal, numbers) in HASH_EQUAL.iter().zip(&by_blocks[1..]) {
        match numbers.as_slice() {
            [] => {}
            [only] => hashes[*only] = *blake3::hash(inputs[*only]).as_bytes(),
            numbers => hash_equal(inputs, numbers, &mut hashes),
        }
    }
    hashes
}

/// Blocks of a chunk.
const BLOCKS_MAX: usize = CHUNK_LEN / BLOCK_LEN;

/// Hashes the inputs with these numbers, all of which have so many whole blocks.
type HashEqual = fn(inputs: &[&[u8]], numbers: &[usize], hashes: &mut [Hash]);

/// For 1 whole block, 2, and so on.
const HASH_EQUAL: [HashEqual; BLOCKS_MAX] = [
    hash_equal::<64>,
    hash_equal::<128>,
    hash_equal::<192>,
    hash_equal::<256>,
    hash_equal::<320>,
    hash_equal::<384>,
    hash_equal::<448>,
    hash_equal::<512>,
    hash_equal::<576>,
    hash_equal::<640>,
    hash_equal::<704>,
    hash_equal::<768>,
    hash_equal::<832>,
    hash_equal::<896>,
    hash_equal::<960>,
    hash_equal::<1024>,
];

fn hash_equal<const LEN: usize>(inputs: &[&[u8]], numbers: &[usize], hashes: &mut [Hash]) {
    let (whole, longer): (Vec<usize>, Vec<usize>) =
        numbers.iter().partition(|nth| inputs[**nth].len() == LEN);
    let mut lanes = vec![[0; LEN]; LANES + 1];
    for (numbers, end) in [(whole, CHUNK_END | ROOT), (longer, 0)] {
        for some in numbers.chunks(LANES) {
            for (lane, nth) in lanes.iter_mut().zip(some) {
                lane.copy_from_slice(&inputs[*nth][..LEN]);
            }
            let places: Vec<u32> = (0..some.len() as u32).collect();
            let done = hash_lanes(&lanes, &places, &IV, [0, CHUNK_START, end]);
            for (nth, done) in some.iter().zip(done) {
                hashes[*nth] = with_rest(done, &inputs[*nth][LEN..]);
            }
        }
    }
}

/// The hash of a chunk of which all but its last, shorter block is done.
fn with_rest(done: Hash, rest: &[u8]) -> Hash {
    if rest.is_empty() {
        return done;
    }
    let mut words = words_from_le_bytes_32(&done);
    let mut block = [0; BLOCK_LEN];
    block[..rest.len()].copy_from_slice(rest);
    let end = CHUNK_END | ROOT;
    Platform::detect().compress_in_place(&mut words, &block, rest.len() as u8, 0, end);
    le_bytes_from_words_32(&words)
}

/// The keyed hashes of inputs of one block, for the numbers of up to [`LANES`] of them. The last
/// input cannot be hashed, see [`hash_lanes`].
pub(super) fn keyed_hash_blocks(
    key: &Hash,
    inputs: &[[u8; BLOCK_LEN]],
    numbers: &[u32],
) -> [Hash; LANES] {
    let flags = [KEYED_HASH, CHUNK_START, CHUNK_END | ROOT];
    hash_lanes(inputs, numbers, &words_from_le_bytes_32(key), flags)
}

/// The hashes of inputs with these numbers. The flags are those of all blocks, of the first, and of
/// the last.
///
/// The library's assembly loads wide registers from an input and overwrites what it has loaded
/// beyond it: it reads up to 48 bytes behind an input, as it may with the chunks of a long one. So
/// there must be another input behind each.
fn hash_lanes<const LEN: usize>(
    inputs: &[[u8; LEN]],
    numbers: &[u32],
    key: &[u32; 8],
    [all, first, last]: [u8; 3],
) -> [Hash; LANES] {
    let mut lanes = [const { &[0; LEN] }; LANES];
    for (lane, number) in lanes.iter_mut().zip(numbers) {
        let number = *number as usize;
        assert!(number + 1 < inputs.len(), "what lies behind an input is read");
        *lane = &inputs[number];
    }
    let mut out = [[0; 32]; LANES];
    let (lanes, hashes) = (&lanes[..numbers.len()], out[..numbers.len()].as_flattened_mut());
    let counter = IncrementCounter::No;
    Platform::detect().hash_many(lanes, key, 0, counter, all, first, last, hashes);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::atomic_commit::merkle::{BRANCH_KEY, LEAF_KEY};

    /// Bytes of which no two parts are alike.
    fn bytes(seed: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    fn check(lens: &[usize]) {
        let inputs: Vec<Vec<u8>> =
            lens.iter().enumerate().map(|(nth, len)| bytes(nth as u64, *len)).collect();
        let slices: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        for (input, hash) in inputs.iter().zip(hash_each(&slices)) {
            assert_eq!(&hash, blake3::hash(input).as_bytes(), "{} bytes", input.len());
        }
    }

    /// BLAKE3's interface for many hashes is not one that it promises to keep.
    #[test]
    fn each_length_has_the_hash_that_it_has_alone() {
        for len in 0..=1100 {
            check(&[len; 3]);
        }
        check(&[1024; 100]);
        check(&[1000; 100]);
    }

    proptest! {
        #[test]
        fn each_of_many_has_the_hash_that_it_has_alone(
            lens in prop::collection::vec(0_usize..2000, 0..200),
        ) {
            check(&lens);
        }
    }

    #[test]
    fn blocks_have_the_keyed_hashes_that_they_have_alone() {
        let inputs: Vec<[u8; 64]> =
            (0..100).map(|nth| *bytes(nth, 64).first_chunk().expect("as long as that")).collect();
        for count in 0..=LANES as u32 {
            let numbers: Vec<u32> = (99 - count..99).rev().collect();
            for key in [LEAF_KEY, BRANCH_KEY] {
                let hashes = keyed_hash_blocks(&key, &inputs, &numbers);
                for (number, hash) in numbers.iter().zip(hashes) {
                    let alone = blake3::keyed_hash(&key, &inputs[*number as usize]);
                    assert_eq!(&hash, alone.as_bytes());
                }
            }
        }
    }
}
