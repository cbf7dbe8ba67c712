//! Allocations, counted while somebody measures.
//!
//! A program that wants them counted says so once:
//!
//! ```
//! use seedbed_hardware::allocations::Counting;
//!
//! #[global_allocator]
//! static ALLOCATOR: Counting = Counting;
//! ```
//!
//! Until [`count`] is called an allocation costs one load more than the system's. Threads count in
//! different places, so that counting does not make them wait for each other.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

/// How many places there are; more threads share them.
const PLACES: usize = 64;

/// Allocations since counting began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocations {
    /// How many, those that change a size among them.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The system's allocator, with a count.
#[derive(Clone, Copy, Debug)]
pub struct Counting;

/// A place of its own cache line.
#[repr(align(128))]
struct Place {
    count: AtomicU64,
    bytes: AtomicU64,
}

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static TAKEN: AtomicUsize = AtomicUsize::new(0);
static TOTAL: [Place; PLACES] =
    [const { Place { count: AtomicU64::new(0), bytes: AtomicU64::new(0) } }; PLACES];

thread_local! {
    /// Without a destructor, and made without an allocation: it is used in the allocator.
    static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Counts from now on, in this process.
pub fn count() {
    IS_COUNTING.store(true, Ordering::Relaxed);
}

/// What was counted; nothing in a program without the allocator.
pub fn counted() -> Allocations {
    let sum = |of: fn(&Place) -> &AtomicU64| {
        TOTAL.iter().map(|place| of(place).load(Ordering::Relaxed)).sum()
    };
    Allocations { count: sum(|place| &place.count), bytes: sum(|place| &place.bytes) }
}

#[inline]
fn note(bytes: usize) {
    if !IS_COUNTING.load(Ordering::Relaxed) {
        return;
    }
    // A thread that is ending has no place any more; what it allocates is not counted.
    let place = PLACE.try_with(|place| {
        if place.get() == usize::MAX {
            place.set(TAKEN.fetch_add(1, Ordering::Relaxed) % PLACES);
        }
        place.get()
    });
    if let Ok(place) = place {
        TOTAL[place].count.fetch_add(1, Ordering::Relaxed);
        TOTAL[place].bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

#[expect(unsafe_code, reason = "an allocator is unsafe; each call is handed on as it came")]
// SAFETY: the system's allocator keeps the contract, and nothing is changed on the way.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(memory, layout, size) }
    }
}
