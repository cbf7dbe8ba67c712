//! Strings of a file by number, on both sides.
//!
//! Invariant: writer and reader hold the same table after the same frames, and it is bounded: when
//! a string does not fit any more, the writer starts a new table, and a reader refuses a table that
//! goes beyond the bounds.

use std::collections::BTreeMap;

use crate::TEXT_BYTES_MAX;
use crate::text::Text;

/// Most strings in a table.
const STRINGS_MAX: usize = 1 << 16;
/// Most bytes in the strings of a table.
const STRING_BYTES_MAX: usize = 4 << 20;

/// Cuts a text to what a trace keeps, with a sign that it was cut.
pub(crate) fn clipped(text: &str, bytes_max: usize) -> std::borrow::Cow<'_, str> {
    const CUT: &str = "…";
    if text.len() <= bytes_max {
        return text.into();
    }
    let mut end = bytes_max - CUT.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{CUT}", &text[..end]).into()
}

/// The writer's table.
#[derive(Default)]
pub(crate) struct StringNumbers {
    numbers: BTreeMap<Text, u32>,
    bytes: usize,
    /// Strings that are not in the file yet.
    pub(crate) fresh: Vec<Text>,
    /// Bytes of `fresh`.
    pub(crate) fresh_bytes: usize,
    /// The next strings frame starts a new table.
    pub(crate) restart: bool,
}

impl StringNumbers {
    /// Whether this many more strings fit, whatever they are.
    pub(crate) fn has_room_for(&self, count: usize) -> bool {
        self.numbers.len() + count <= STRINGS_MAX
            && self.bytes + count * TEXT_BYTES_MAX <= STRING_BYTES_MAX
    }

    /// Forgets everything. Frames that use the old numbers must be written before.
    pub(crate) fn start_anew(&mut self) {
        assert!(self.fresh.is_empty(), "all strings of the old table are in the file");
        *self = Self { restart: true, ..Self::default() };
    }

    /// The number of a string, which becomes known if it was not.
    pub(crate) fn number(&mut self, text: &Text) -> u32 {
        if let Some(number) = self.numbers.get(text.as_str()) {
            return *number;
        }
        match clipped(text, TEXT_BYTES_MAX) {
            std::borrow::Cow::Borrowed(_) => self.insert(text.clone()),
            std::borrow::Cow::Owned(cut) => match self.numbers.get(cut.as_str()) {
                Some(number) => *number,
                None => self.insert(cut.into()),
            },
        }
    }

    fn insert(&mut self, text: Text) -> u32 {
        let number = self.numbers.len() as u32;
        self.bytes += text.len();
        self.fresh_bytes += text.len() + 4;
        self.fresh.push(text.clone());
        self.numbers.insert(text, number);
        assert!(self.numbers.len() <= STRINGS_MAX, "room was asked for before");
        number
    }
}

/// The reader's table.
#[derive(Default)]
pub(crate) struct StringTable {
    strings: Vec<Text>,
    bytes: usize,
}

impl StringTable {
    /// Adds a frame's strings.
    pub(crate) fn extend(&mut self, restart: bool, strings: Vec<String>) -> Result<(), String> {
        if restart {
            *self = Self::default();
        }
        for string in strings {
            self.bytes += string.len();
            if string.len() > TEXT_BYTES_MAX {
                return Err(format!("a string is longer than {TEXT_BYTES_MAX} bytes"));
            }
            if self.strings.len() >= STRINGS_MAX || self.bytes > STRING_BYTES_MAX {
                return Err("there are more strings than a table holds".to_owned());
            }
            self.strings.push(string.into());
        }
        Ok(())
    }

    /// The string of a number.
    pub(crate) fn get(&self, number: u32) -> Result<Text, String> {
        let text = self.strings.get(number as usize).cloned();
        text.ok_or_else(|| format!("there is no string number {number}"))
    }

    /// The string of a number plus 1, where 0 is none.
    pub(crate) fn get_optional(&self, number: u32) -> Result<Option<Text>, String> {
        number.checked_sub(1).map(|number| self.get(number)).transpose()
    }
}
