//! The optional `[run]` table of a plan file: how a tool should run the plan unless it is told
//! otherwise. It is not part of the world: drawing, writing and traces leave it out.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::errors::ParseError;

#[cfg(test)]
mod tests;

/// What a plan file says about running it. Everything is optional.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunSettings {
    /// Which seeds: `5000` or `"1000..2000"`.
    pub seeds: Option<Seeds>,
    /// How many threads.
    pub jobs: Option<u16>,
    /// The deviation to switch on.
    pub plant: Option<String>,
    /// Source locations of the syncs to leave out, like `["log.rs:210"]`.
    pub omit_sync: Vec<String>,
    /// Stop after so many violations; 0 = never.
    pub max_violations: Option<u32>,
    /// Run every seed that this number divides twice and compare; 0 = none.
    pub check_determinism: Option<u32>,
    /// Whether probes that were never reached are an error.
    pub require_probes: bool,
    /// The folder for traces of violations.
    pub traces: Option<String>,
}

/// A range of seeds: `N` (the first N), `A..B` or `A..=B`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seeds {
    /// The first seed.
    pub start: u64,
    /// The seed after the last one.
    pub end: u64,
}

impl Seeds {
    /// The first `count` seeds.
    pub const fn first(count: u64) -> Self {
        Self { start: 0, end: count }
    }

    /// As a range.
    pub const fn range(self) -> Range<u64> {
        self.start..self.end
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

impl FromStr for Seeds {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |why| {
            let expected = "a count like 1000, or a range like 1000..2000 or 7..=7";
            ParseError::new("range of seeds", text, why, expected)
        };
        let number = |part: &str| {
            let part = part.trim();
            let digits = part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
            let value = part.replace('_', "").parse::<u64>();
            value.ok().filter(|_| digits).ok_or_else(|| refuse("it is not made of numbers"))
        };
        let Some((start, end)) = text.split_once("..") else {
            return Ok(Self::first(number(text)?));
        };
        let start = number(start)?;
        let end = match end.strip_prefix('=') {
            None => number(end)?,
            Some(last) => {
                number(last)?.checked_add(1).ok_or_else(|| refuse("the last seed is too large"))?
            }
        };
        match start <= end {
            true => Ok(Self { start, end }),
            false => Err(refuse("it is reversed")),
        }
    }
}

impl<'de> Deserialize<'de> for Seeds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Seeds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seeds, like 1000 or \"1000..2000\"")
            }

            fn visit_u64<E: serde::de::Error>(self, count: u64) -> Result<Seeds, E> {
                Ok(Seeds::first(count))
            }

            fn visit_i64<E: serde::de::Error>(self, count: i64) -> Result<Seeds, E> {
                let count = u64::try_from(count);
                count.map(Seeds::first).map_err(|_| E::custom("seeds are counted from 0"))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Seeds, E> {
                text.parse().map_err(E::custom)
            }
        }
        from.deserialize_any(Visitor)
    }
}
