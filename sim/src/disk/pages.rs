//! Spare pages of this thread. A page fresh from the operating system costs a page fault, far more
//! than clearing a used one, and worlds come and go by the million.

use std::cell::RefCell;
use std::sync::Arc;

use super::PAGE;

pub(super) type Page = [u8; PAGE];

/// Spare pages that are always kept: 2 MiB. More is not better: spare pages that lie far up glibc's
/// heap keep it from giving back what is below.
const KEPT: usize = (2 << 20) / PAGE;
/// After so many files were dropped, pages that none of them needed begin to go.
const FILES: u32 = 64;

/// A thread never holds more pages than its largest world did, and those of a large world stay for
/// the next one; in smaller worlds they go, half of what is not needed at a time.
struct Spare {
    pages: Vec<Arc<Page>>,
    /// The fewest that were spare since pages went last.
    least: usize,
    /// Files dropped since then.
    files: u32,
}

thread_local! {
    static SPARE: RefCell<Spare> =
        const { RefCell::new(Spare { pages: Vec::new(), least: 0, files: 0 }) };
}

impl Spare {
    fn take(&mut self) -> Option<Arc<Page>> {
        let page = self.pages.pop();
        self.least = self.least.min(self.pages.len());
        page
    }

    fn keep(&mut self, pages: impl Iterator<Item = Arc<Page>>) {
        self.pages.extend(pages.filter(|page| Arc::strong_count(page) == 1));
        self.files += 1;
        if self.files == FILES {
            let unneeded = self.least.saturating_sub(KEPT);
            // The first pages of the list mostly lie lowest in the heap: the others go.
            self.pages.truncate(self.pages.len() - unneeded.div_ceil(2));
            (self.least, self.files) = (self.pages.len(), 0);
        }
    }
}

/// A page of zeros.
pub(super) fn blank() -> Arc<Page> {
    let spare = SPARE.try_with(|spare| spare.borrow_mut().take()).ok().flatten();
    if let Some(mut page) = spare
        && let Some(bytes) = Arc::get_mut(&mut page)
    {
        bytes.fill(0);
        return page;
    }
    Arc::new([0; PAGE])
}

/// Keeps pages that no clone of a disk shares; the others only lose this owner.
pub(super) fn recycle(pages: impl Iterator<Item = Arc<Page>>) {
    let mut pages = pages.peekable();
    if pages.peek().is_none() {
        return;
    }
    // The pages go by themselves when the thread is being torn down.
    let _ = SPARE.try_with(|spare| spare.borrow_mut().keep(pages));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{FILES, KEPT, PAGE, SPARE, blank, recycle};

    fn spare() -> usize {
        SPARE.with(|spare| spare.borrow().pages.len())
    }

    #[test]
    fn a_recycled_page_is_blank_and_a_shared_one_is_not_recycled() {
        let mut page = blank();
        Arc::make_mut(&mut page).fill(7);
        let shared = Arc::clone(&page);
        recycle([page].into_iter());
        assert_eq!((spare(), shared[0]), (0, 7));
        recycle([shared].into_iter());
        assert_eq!(spare(), 1);
        assert_eq!((*blank(), spare()), ([0; PAGE], 0));
    }

    #[test]
    fn pages_of_a_large_world_stay_for_the_next_and_go_in_small_ones() {
        let large = 8 * KEPT;
        for _ in 0..2 * FILES {
            let pages: Vec<_> = (0..large).map(|_| blank()).collect();
            assert_eq!(spare(), 0);
            recycle(pages.into_iter());
            assert_eq!(spare(), large);
        }
        for _ in 0..20 * FILES {
            recycle([blank()].into_iter());
        }
        assert!((KEPT..=KEPT + 1).contains(&spare()), "{} pages", spare());
    }
}
