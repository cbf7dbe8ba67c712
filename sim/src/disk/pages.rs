//! Spare pages of this thread. A page fresh from the operating system costs a page fault, far more
//! than clearing a used one, and worlds come and go by the million.

use std::cell::RefCell;
use std::sync::Arc;

use super::PAGE;

pub(super) type Page = [u8; PAGE];

/// 2 MiB. More is not better: 4 MiB of spare pages lie so far up glibc's heap that it never gives
/// back what is below, and a thread then holds 12 MiB for good after one large world.
const SPARE_MAX: usize = (2 << 20) / PAGE;

thread_local! {
    static SPARE: RefCell<Vec<Arc<Page>>> = const { RefCell::new(Vec::new()) };
}

/// A page of zeros.
pub(super) fn blank() -> Arc<Page> {
    let spare = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
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
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        let room = SPARE_MAX.saturating_sub(spare.len());
        spare.extend(pages.filter(|page| Arc::strong_count(page) == 1).take(room));
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{PAGE, SPARE, blank, recycle};

    #[test]
    fn a_recycled_page_is_blank_and_a_shared_one_is_not_recycled() {
        let mut page = blank();
        Arc::make_mut(&mut page).fill(7);
        let shared = Arc::clone(&page);
        let spare = || SPARE.with(|spare| spare.borrow().len());
        recycle([page].into_iter());
        assert_eq!((spare(), shared[0]), (0, 7));
        recycle([shared].into_iter());
        assert_eq!(spare(), 1);
        assert_eq!((*blank(), spare()), ([0; PAGE], 0));
    }
}
