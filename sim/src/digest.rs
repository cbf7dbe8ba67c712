//! The running digest of a world: every event is folded in, in order, so that two runs with the
//! same digest did the same things at the same simulated times.
//!
//! It detects differences, it does not withstand an adversary. The fold is the widening multiply
//! of wyhash: it depends on order, uses no tables and gives the same value on every machine.

/// Accumulates words; equal sequences give equal digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(u64);

const START: u64 = 0x9e37_79b9_7f4a_7c15;
const FOLD: u64 = 0xa076_1d64_78bd_642f;
const SALT: u64 = 0xe703_7ed1_a0b4_28db;

impl Digest {
    pub(crate) const fn new() -> Self {
        Self(START)
    }

    /// Folds in one word.
    #[inline]
    pub(crate) fn word(&mut self, word: u64) {
        self.pair(word, SALT);
    }

    /// Folds in two words with one multiplication.
    #[inline]
    pub(crate) fn pair(&mut self, a: u64, b: u64) {
        let product = u128::from(a ^ self.0 ^ FOLD) * u128::from(b ^ self.0.rotate_left(29));
        // Adding the state keeps it from being lost when a factor happens to be zero.
        self.0 = self.0.rotate_left(7).wrapping_add((product as u64) ^ (product >> 64) as u64);
    }

    /// Folds in a byte string and its length, 16 bytes a multiplication.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(16);
        for chunk in &mut chunks {
            let (a, b) = chunk.split_at(8);
            self.pair(word(a), word(b));
        }
        let mut last = [0; 16];
        last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
        let (a, b) = last.split_at(8);
        self.pair(word(a) ^ bytes.len() as u64, word(b));
    }

    pub(crate) const fn value(self) -> u64 {
        self.0
    }
}

#[inline]
fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::Digest;

    fn of(words: &[u64]) -> u64 {
        let mut digest = Digest::new();
        words.iter().for_each(|&word| digest.word(word));
        digest.value()
    }

    #[test]
    fn order_length_and_content_change_the_digest() {
        assert_ne!(of(&[1, 2]), of(&[2, 1]));
        assert_ne!(of(&[0]), of(&[0, 0]));
        assert_ne!(of(&[]), of(&[0]));
        assert_eq!(of(&[7, 8, 9]), of(&[7, 8, 9]));
    }

    #[test]
    fn the_value_is_the_same_on_every_machine() {
        let mut digest = Digest::new();
        digest.bytes(b"seedbed digest, golden");
        assert_eq!(digest.value(), GOLDEN);
    }

    const GOLDEN: u64 = 10_900_085_757_226_519_832;
}
