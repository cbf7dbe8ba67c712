//! The checkers together: lawful histories pass all of them, and each law catches what breaks it.

mod lawful;
mod mutants;
mod mutations;
mod table;
