//! Probes: marks of places and conditions that a sweep of simulations should come to. A sweep
//! that never does has not tested what they stand for, and says so.
//!
//! [`probes!`](crate::probes) lists those of an engine or a scenario. Without the feature `probes`,
//! as on real hardware, they are compiled out.
//!
//! Counts are the thread's: a simulated world lives on one thread, and whoever runs it takes them
//! at its end.

#[cfg(feature = "probes")]
mod counts {
    use std::cell::RefCell;

    use crate::map::FxHashMap;

    thread_local! {
        static COUNTS: RefCell<FxHashMap<&'static str, u64>> = RefCell::default();
    }

    pub(super) fn reached(name: &'static str) {
        COUNTS.with_borrow_mut(|counts| *counts.entry(name).or_default() += 1);
    }

    pub(super) fn take() -> Vec<(&'static str, u64)> {
        COUNTS.with_borrow_mut(|counts| {
            let mut all: Vec<_> = counts.drain().collect();
            all.sort_unstable();
            all
        })
    }
}

/// Counts that the probe of this name was reached.
#[inline]
pub fn reached(name: &'static str) {
    #[cfg(feature = "probes")]
    counts::reached(name);
    #[cfg(not(feature = "probes"))]
    let _ = name;
}

/// What this thread has counted since it was last asked, by name. Nothing without the feature
/// `probes`.
pub fn take() -> Vec<(&'static str, u64)> {
    #[cfg(feature = "probes")]
    return counts::take();
    #[cfg(not(feature = "probes"))]
    Vec::new()
}

/// Lists probes: an enum `Probe` whose variants are marked with `reached` and `sometimes`.
///
/// ```
/// seedbed_env::probes! {
///     /// What a queue comes to.
///     Full, "the queue is full";
///     Empty, "the queue is empty";
/// }
/// let waiting: Vec<u8> = Vec::new();
/// Probe::Empty.sometimes(waiting.is_empty());
/// assert_eq!(Probe::ALL.len(), 2);
/// ```
#[macro_export]
macro_rules! probes {
    ($(#[$doc:meta])* $($variant:ident, $name:literal;)*) => {
        $(#[$doc])*
        #[allow(unreachable_pub, reason = "it may be a module's own")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Probe {
            $(#[doc = $name] $variant,)*
        }

        #[allow(unreachable_pub, dead_code, reason = "it may be a module's own")]
        impl Probe {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// What it stands for.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// This place was reached.
            #[inline]
            pub fn reached(self) {
                $crate::probe::reached(self.name());
            }

            /// This place was reached, and there the condition held.
            #[inline]
            pub fn sometimes(self, condition: bool) {
                if condition {
                    self.reached();
                }
            }
        }
    };
}

#[cfg(all(test, feature = "probes"))]
mod tests {
    probes! {
        Odd, "an odd number";
        Never, "a number that is not there";
    }

    #[test]
    fn what_was_reached_is_counted_by_name_and_taken_once() {
        for number in 0..5 {
            Probe::Odd.sometimes(number % 2 == 1);
            Probe::Never.sometimes(number > 9);
        }
        assert_eq!(super::take(), [(Probe::Odd.name(), 2)]);
        assert_eq!(super::take(), []);
    }
}
