//! State per entity in a vector that is indexed by its dense number and grows as numbers come.

/// The most entities of a kind that a checker keeps: a number above is no dense one, and must not
/// make a vector of that length.
pub(crate) const ENTITIES_MAX: usize = 1 << 24;

/// A state for each number, `Default` until it is first touched.
#[derive(Debug)]
pub(crate) struct Dense<T> {
    states: Vec<T>,
    spill: T,
}

impl<T: Clone + Default> Dense<T> {
    pub(crate) fn new() -> Self {
        Self { states: Vec::new(), spill: T::default() }
    }

    /// The state of this number. Numbers above [`ENTITIES_MAX`] have a fresh one each time.
    #[inline]
    pub(crate) fn at(&mut self, number: u32) -> &mut T {
        let number = number as usize;
        if number >= self.states.len() {
            return self.grow(number);
        }
        &mut self.states[number]
    }

    #[cold]
    fn grow(&mut self, number: usize) -> &mut T {
        if number >= ENTITIES_MAX {
            self.spill = T::default();
            return &mut self.spill;
        }
        let length = (number + 1).next_power_of_two().max(64);
        self.states.resize(length, T::default());
        &mut self.states[number]
    }

    /// The state of this number, if it is there.
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.states.get(number as usize)
    }

    /// All states by number, untouched ones among them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.states.iter().enumerate().map(|(number, state)| (number as u32, state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_not_dense_takes_no_memory() {
        let mut dense = Dense::<u8>::new();
        *dense.at(3) = 7;
        *dense.at(u32::MAX) = 9;
        assert_eq!((*dense.at(3), *dense.at(u32::MAX), dense.iter().count()), (7, 0, 64));
    }
}
