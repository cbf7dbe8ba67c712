//! An integer probability.
//!
//! Floats round differently in different places, so a probability is `numerator / denominator`.
//! Invariants: `denominator > 0`, `numerator <= denominator`, and the fraction is in lowest terms,
//! so that equal probabilities are equal values and have one text form.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::errors::ParseError;
use crate::range::text_serde;

#[cfg(test)]
mod tests;

/// A probability as an integer fraction in lowest terms; its text form is `0`, `1` or `1/100`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ratio {
    numerator: u32,
    denominator: u32,
}

impl Ratio {
    /// Never happens.
    pub const NEVER: Self = Self { numerator: 0, denominator: 1 };
    /// Always happens.
    pub const ALWAYS: Self = Self { numerator: 1, denominator: 1 };

    /// `numerator` chances out of `denominator`, kept in lowest terms.
    ///
    /// # Panics
    /// If `denominator` is 0 or smaller than `numerator`: that is a mistake in the calling code.
    /// Text from outside goes through [`FromStr`], which returns an error instead.
    pub const fn new(numerator: u32, denominator: u32) -> Self {
        assert!(denominator > 0, "a ratio's denominator is above 0");
        assert!(numerator <= denominator, "a ratio is at most 1");
        let divisor = gcd(numerator as u64, denominator as u64) as u32;
        Self { numerator: numerator / divisor, denominator: denominator / divisor }
    }

    /// The fraction's upper part, in lowest terms.
    pub const fn numerator(self) -> u32 {
        self.numerator
    }

    /// The fraction's lower part, in lowest terms: the bound to draw below.
    pub const fn denominator(self) -> u32 {
        self.denominator
    }

    /// Whether this can never happen.
    pub const fn is_never(self) -> bool {
        self.numerator == 0
    }

    /// Whether this happens every time.
    pub const fn is_always(self) -> bool {
        self.numerator == self.denominator
    }

    /// Whether a value drawn from `0..denominator` means "it happens".
    ///
    /// The upper end of the values hits, so the value 0 is the benign one (unless `is_always`).
    pub const fn hits(self, drawn: u64) -> bool {
        drawn >= (self.denominator - self.numerator) as u64
    }
}

/// Greatest common divisor; `gcd(0, n) == n`.
pub(crate) const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Default for Ratio {
    fn default() -> Self {
        Self::NEVER
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ratio {
    fn cmp(&self, other: &Self) -> Ordering {
        let left = u64::from(self.numerator) * u64::from(other.denominator);
        let right = u64::from(other.numerator) * u64::from(self.denominator);
        left.cmp(&right)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denominator {
            1 => write!(f, "{}", self.numerator),
            _ => write!(f, "{}/{}", self.numerator, self.denominator),
        }
    }
}

impl FromStr for Ratio {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bad = |why| ParseError::new("probability", text, why, "0, 1 or a fraction like 1/100");
        let number = |part: &str| {
            let part = part.trim();
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(bad("it is not made of whole numbers"));
            }
            part.parse::<u32>().map_err(|_| bad("a number is above 4294967295"))
        };
        let (numerator, denominator) = match text.split_once('/') {
            Some((upper, lower)) => (number(upper)?, number(lower)?),
            None => (number(text)?, 1),
        };
        if denominator == 0 {
            return Err(bad("the denominator is 0"));
        }
        if numerator > denominator {
            return Err(bad("it is above 1"));
        }
        Ok(Self::new(numerator, denominator))
    }
}

text_serde!(Ratio, "a probability like \"1/100\"");
