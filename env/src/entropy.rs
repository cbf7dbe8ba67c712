//! Randomness for engines: salts, identifiers, jitter.

/// A source of randomness. In simulation it is part of the seed.
pub trait Entropy: Clone + Send + Sync + 'static {
    /// 64 random bits.
    fn random_u64(&self) -> u64;
}
