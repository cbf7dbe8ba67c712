//! Ranges as text: `"1/1000..1/10"`, `"10us..50ms"`, `"1..200"`, or one value for both ends.
//!
//! Both ends are included. A range is written in the shortest text that reads back equal.

use std::fmt;
use std::str::FromStr;

use crate::errors::ParseError;
use crate::ratio::Ratio;

#[cfg(test)]
mod tests;

/// Serde as the type's text form. Formats that describe themselves (TOML, JSON) may also hold a
/// plain integer, which is read as its text.
macro_rules! text_serde {
    ($type:ty, $expecting:literal) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$type, E> {
                        self.visit_str(&number.to_string())
                    }
                    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$type, E> {
                        self.visit_str(&number.to_string())
                    }
                }
                match from.is_human_readable() {
                    true => from.deserialize_any(Text),
                    false => from.deserialize_str(Text),
                }
            }
        }
    };
}
pub(crate) use text_serde;

/// A range of probabilities; a seed draws one of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct RatioRange {
    /// The lowest probability.
    pub min: Ratio,
    /// The highest probability, included; not below `min`.
    pub max: Ratio,
}

/// A range of durations in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct DurationRange {
    /// The shortest duration, in nanoseconds.
    pub min_ns: u64,
    /// The longest duration, in nanoseconds, included; not below `min_ns`.
    pub max_ns: u64,
}

/// A range of counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct CountRange {
    /// The lowest count.
    pub min: u64,
    /// The highest count, included; not below `min`.
    pub max: u64,
}

impl RatioRange {
    /// Never happens.
    pub const NEVER: Self = Self::just(Ratio::NEVER);

    /// One probability.
    pub const fn just(ratio: Ratio) -> Self {
        Self { min: ratio, max: ratio }
    }

    /// Whether no seed can draw anything but [`Ratio::NEVER`].
    pub const fn is_never(self) -> bool {
        self.max.is_never()
    }
}

impl DurationRange {
    /// No time at all.
    pub const ZERO: Self = Self::just(0);

    /// One duration, in nanoseconds.
    pub const fn just(ns: u64) -> Self {
        Self { min_ns: ns, max_ns: ns }
    }

    /// From `min_ns` to `max_ns`, in nanoseconds, both included.
    ///
    /// # Panics
    /// If `min_ns > max_ns`: that is a mistake in the calling code.
    pub const fn new(min_ns: u64, max_ns: u64) -> Self {
        assert!(min_ns <= max_ns, "a range's lower end comes first");
        Self { min_ns, max_ns }
    }

    /// How many values the range holds: the bound to draw below, then add to `min_ns`.
    pub const fn span(self) -> u64 {
        self.max_ns.saturating_sub(self.min_ns).saturating_add(1)
    }
}

impl CountRange {
    /// None.
    pub const ZERO: Self = Self::just(0);

    /// One count.
    pub const fn just(count: u64) -> Self {
        Self { min: count, max: count }
    }

    /// From `min` to `max`, both included.
    ///
    /// # Panics
    /// If `min > max`: that is a mistake in the calling code.
    pub const fn new(min: u64, max: u64) -> Self {
        assert!(min <= max, "a range's lower end comes first");
        Self { min, max }
    }

    /// How many values the range holds: the bound to draw below, then add to `min`.
    pub const fn span(self) -> u64 {
        self.max.saturating_sub(self.min).saturating_add(1)
    }
}

/// Splits `low..high`; one value stands for both ends.
fn ends(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once("..").unwrap_or((text, text))
}

const REVERSED: &str = "the lower end comes first, and here it is above the upper end";

impl fmt::Display for RatioRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.min == self.max {
            true => write!(f, "{}", self.min),
            false => write!(f, "{}..{}", self.min, self.max),
        }
    }
}

impl FromStr for RatioRange {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (low, high) = ends(text);
        let (min, max) = (low.trim().parse::<Ratio>()?, high.trim().parse::<Ratio>()?);
        if min > max {
            let expected = "a range like 1/1000..1/10 or one value like 1/100";
            return Err(ParseError::new("range of probabilities", text, REVERSED, expected));
        }
        Ok(Self { min, max })
    }
}

/// Units, largest first, and their nanoseconds.
const UNITS: [(&str, u64); 4] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

const DURATION_EXPECTED: &str = "a range like 10us..50ms or one value like 1ms or 0 \
                                 (units: ns, us, ms, s)";

fn write_duration(f: &mut fmt::Formatter<'_>, ns: u64) -> fmt::Result {
    if ns == 0 {
        return f.write_str("0");
    }
    for (unit, unit_ns) in UNITS {
        if ns.is_multiple_of(unit_ns) {
            return write!(f, "{}{unit}", ns / unit_ns);
        }
    }
    unreachable!("every number is a multiple of 1 ns")
}

fn parse_duration(text: &str) -> Result<u64, ParseError> {
    let bad = |why| ParseError::new("duration", text, why, DURATION_EXPECTED);
    let text = text.trim();
    let digits_end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits_end);
    if digits.is_empty() {
        return Err(bad("it does not start with a whole number"));
    }
    let count: u64 = digits.parse().map_err(|_| bad("it is too long to count in nanoseconds"))?;
    let unit_ns = match (unit.trim(), count) {
        ("", 0) => 1,
        ("", _) => return Err(bad("the unit is missing")),
        (unit, _) => match UNITS.iter().find(|(name, _)| *name == unit) {
            Some((_, unit_ns)) => *unit_ns,
            None => return Err(bad("what follows the number is not a known unit")),
        },
    };
    count.checked_mul(unit_ns).ok_or_else(|| bad("it is too long to count in nanoseconds"))
}

impl fmt::Display for DurationRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_duration(f, self.min_ns)?;
        if self.min_ns != self.max_ns {
            f.write_str("..")?;
            write_duration(f, self.max_ns)?;
        }
        Ok(())
    }
}

impl FromStr for DurationRange {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (low, high) = ends(text);
        let (min_ns, max_ns) = (parse_duration(low)?, parse_duration(high)?);
        if min_ns > max_ns {
            return Err(ParseError::new("range of durations", text, REVERSED, DURATION_EXPECTED));
        }
        Ok(Self { min_ns, max_ns })
    }
}

const COUNT_EXPECTED: &str = "a range like 1..200 or one whole number like 3";

fn parse_count(text: &str) -> Result<u64, ParseError> {
    let text = text.trim();
    let bad = |why| ParseError::new("count", text, why, COUNT_EXPECTED);
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad("it is not a whole number"));
    }
    text.parse().map_err(|_| bad("it is above 18446744073709551615"))
}

impl fmt::Display for CountRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.min == self.max {
            true => write!(f, "{}", self.min),
            false => write!(f, "{}..{}", self.min, self.max),
        }
    }
}

impl FromStr for CountRange {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (low, high) = ends(text);
        let (min, max) = (parse_count(low)?, parse_count(high)?);
        if min > max {
            return Err(ParseError::new("range of counts", text, REVERSED, COUNT_EXPECTED));
        }
        Ok(Self { min, max })
    }
}

text_serde!(RatioRange, "a probability or a range of them, like \"1/1000..1/10\"");
text_serde!(DurationRange, "a duration or a range of them, like \"10us..50ms\"");
text_serde!(CountRange, "a count or a range of them, like 3 or \"1..200\"");
