//! State per entity in a vector that is indexed by its dense number and grows as numbers come.

use crate::verdict::Sheet;

/// A state for each number, `Default` until it is first touched.
#[derive(Debug)]
pub(crate) struct Dense<T> {
    states: Vec<T>,
    /// Numbers from here on are not dense, and must not make a vector of that length.
    end: usize,
    /// What such a number gets, and the first of them.
    spill: T,
    spilt: Option<u32>,
}

/// However short a history is, numbers below this are dense.
const DENSE_MIN: usize = 1 << 12;

impl<T: Clone + Default> Dense<T> {
    /// For a history of so many events: each dense number has at least one.
    pub(crate) fn new(events: usize) -> Self {
        let end = events.max(DENSE_MIN);
        Self { states: Vec::new(), end, spill: T::default(), spilt: None }
    }

    /// The state of this number. One that is not dense has a fresh one each time, and is noted.
    #[inline]
    pub(crate) fn at(&mut self, number: u32) -> &mut T {
        let place = number as usize;
        if place >= self.states.len() {
            return self.grow(number);
        }
        &mut self.states[place]
    }

    #[cold]
    fn grow(&mut self, number: u32) -> &mut T {
        let place = number as usize;
        if place >= self.end {
            self.spill = T::default();
            self.spilt.get_or_insert(number);
            return &mut self.spill;
        }
        let length = (place + 1).next_power_of_two().clamp(64, self.end);
        self.states.resize(length, T::default());
        &mut self.states[place]
    }

    /// All states by number, untouched ones among them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.states.iter().enumerate().map(|(number, state)| (number as u32, state))
    }

    /// Makes all laws unknown if a number was not dense.
    pub(crate) fn tell(&self, what: &str, sheet: &mut Sheet) {
        if let Some(number) = self.spilt {
            let (what, end) = (what.to_owned(), self.end);
            sheet.all_unknown(|| format!("{what} {number} is no dense number: {end} or more"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Law;

    static LAW: Law = Law { name: "law", statement: "It holds." };

    #[test]
    fn a_number_that_is_not_dense_takes_no_memory_and_is_told() {
        let mut sheet = Sheet::new(&[&LAW]);
        let mut dense = Dense::<u8>::new(10);
        *dense.at(3) = 7;
        dense.tell("transaction", &mut sheet);
        assert!(sheet.done()[0].verdict.is_ok());
        *dense.at(u32::MAX) = 9;
        assert_eq!((*dense.at(3), *dense.at(u32::MAX), dense.iter().count()), (7, 0, 64));
        let mut sheet = Sheet::new(&[&LAW]);
        dense.tell("transaction", &mut sheet);
        let told = sheet.done()[0].to_string();
        assert_eq!(told, "law: unknown: transaction 4294967295 is no dense number: 4096 or more");
    }
}
