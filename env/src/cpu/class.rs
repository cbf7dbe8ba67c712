//! Classes of operations: a name, and a small number that stands for it in this process.

#[cfg(feature = "os")]
use std::sync::atomic::{AtomicUsize, Ordering};
#[cfg(feature = "os")]
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A class of operations that CPU time is accounted to, by its name: `merkle`, `disk`. A `static`
/// beside the code that it stands for. Two of the same name are the same class.
#[derive(Debug)]
pub struct Class {
    name: &'static str,
    /// Its number; 0 before it is first used.
    #[cfg(feature = "os")]
    number: AtomicUsize,
}

/// The time of a metered thread that is in no class: the runtime's, and what is not marked.
pub static OTHER: Class = Class::new("other");

impl Class {
    /// A class of this name.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            #[cfg(feature = "os")]
            number: AtomicUsize::new(0),
        }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

/// The most classes of a process; what is beyond is [`OTHER`]. Meters have a row for each.
#[cfg(feature = "os")]
const CLASSES_MAX: usize = 1024;

/// The names by number, as they were first used. Number 0 is [`OTHER`].
#[cfg(feature = "os")]
static NAMES: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

#[cfg(feature = "os")]
fn names() -> MutexGuard<'static, Vec<&'static str>> {
    // Whoever panicked here left a list that is whole.
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if names.is_empty() {
        names.push(OTHER.name);
    }
    names
}

#[cfg(feature = "os")]
impl Class {
    /// Its number in this process, which is 0 for [`OTHER`] only.
    #[inline]
    pub(super) fn number(&self) -> usize {
        match self.number.load(Ordering::Relaxed) {
            0 => self.register(),
            number => number,
        }
    }

    #[cold]
    fn register(&self) -> usize {
        let mut names = names();
        let known = names.iter().position(|name| *name == self.name);
        let number = match known {
            Some(number) => number,
            None if names.len() >= CLASSES_MAX => 0,
            None => {
                names.push(self.name);
                names.len() - 1
            }
        };
        self.number.store(number, Ordering::Relaxed);
        number
    }
}

/// The name of the class with this number.
#[cfg(feature = "os")]
pub(super) fn name(number: usize) -> &'static str {
    names().get(number).copied().unwrap_or(OTHER.name)
}
