//! One file: pages as readers see them, and the undo bytes of what is not durable yet.

use std::sync::Arc;

use super::pages::{self, Page};
use super::{Chooser, PAGE, SECTOR};

/// A file's content; see the parent module for the model.
#[derive(Clone, Debug, Default)]
pub(super) struct FileData {
    len: u64,
    /// Pages in order; a missing one is zeros. Bytes beyond `len` are always zero.
    pages: Vec<Option<Arc<Page>>>,
    /// Writes that may still be lost, in program order.
    writes: Vec<PageWrite>,
    /// What those writes replaced; each knows its place here.
    undo: Vec<u8>,
    /// Length changes that may still be lost, in program order.
    lens: Vec<LenChange>,
}

/// A write to one page.
#[derive(Clone, Copy, Debug)]
struct PageWrite {
    seq: u64,
    /// Where the replaced bytes start in `undo`.
    undo_at: u64,
    page: u32,
    start: u16,
    len: u16,
    /// A sync covered it and failed: the page is clean in the cache, not durable.
    failed: bool,
}

#[derive(Clone, Copy, Debug)]
struct LenChange {
    seq: u64,
    before: u64,
    failed: bool,
}

/// What a power loss took from one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FileLoss {
    pub writes: u64,
    pub lens: u64,
    pub torn: u64,
}

impl Drop for FileData {
    fn drop(&mut self) {
        pages::recycle(self.pages.drain(..).flatten());
    }
}

impl FileData {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn page_bytes(&self) -> u64 {
        (self.pages.iter().flatten().count() * PAGE) as u64
    }

    /// Whether a power loss could take anything.
    pub(super) fn is_dirty(&self) -> bool {
        !self.writes.is_empty() || !self.lens.is_empty()
    }

    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> usize {
        let available = self.len.saturating_sub(offset).min(buf.len() as u64) as usize;
        let mut done = 0;
        while done < available {
            let at = offset as usize + done;
            let (page, start) = (at / PAGE, at % PAGE);
            let part = (PAGE - start).min(available - done);
            let target = &mut buf[done..done + part];
            match self.pages.get(page) {
                Some(Some(page)) => target.copy_from_slice(&page[start..start + part]),
                _ => target.fill(0),
            }
            done += part;
        }
        available
    }

    /// Writes what fits into `free` bytes of new pages. Returns (bytes written, bytes of pages
    /// added).
    pub(super) fn write_at(
        &mut self,
        bytes: &[u8],
        offset: u64,
        seq: u64,
        free: u64,
    ) -> (usize, u64) {
        let (mut done, mut grown) = (0, 0);
        while done < bytes.len() {
            let at = offset as usize + done;
            let (page, start) = (at / PAGE, at % PAGE);
            let part = (PAGE - start).min(bytes.len() - done);
            if !matches!(self.pages.get(page), Some(Some(_))) {
                if grown + PAGE as u64 > free {
                    break;
                }
                grown += PAGE as u64;
            }
            self.write_page(page, start, &bytes[done..done + part], seq);
            done += part;
        }
        let end = offset + done as u64;
        if done > 0 && end > self.len {
            self.lens.push(LenChange { seq, before: self.len, failed: false });
            self.len = end;
        }
        (done, grown)
    }

    #[inline]
    fn write_page(&mut self, page: usize, start: usize, bytes: &[u8], seq: u64) {
        let range = start..start + bytes.len();
        let undo_at = self.undo.len() as u64;
        let target = page_mut(&mut self.pages, page);
        self.undo.extend_from_slice(&target[range.clone()]);
        target[range].copy_from_slice(bytes);
        self.writes.push(PageWrite {
            seq,
            undo_at,
            page: page as u32,
            start: start as u16,
            len: bytes.len() as u16,
            failed: false,
        });
    }

    /// Cuts (zeroing what is cut off) or extends. Pages that are cut off stay in use until a sync,
    /// since their bytes may still come back.
    pub(super) fn set_len(&mut self, len: u64, seq: u64) {
        if len == self.len {
            return;
        }
        let mut at = len as usize;
        while (at as u64) < self.len {
            let (page, start) = (at / PAGE, at % PAGE);
            let part = (PAGE - start).min(self.len as usize - at);
            if matches!(self.pages.get(page), Some(Some(_))) {
                self.write_page(page, start, &[0; PAGE][..part], seq);
            }
            at += part;
        }
        self.lens.push(LenChange { seq, before: self.len, failed: false });
        self.len = len;
    }

    /// Makes changes up to `upto` durable, except those that a failed sync gave up. Returns the
    /// bytes of pages freed by a shorter length.
    #[inline]
    pub(super) fn make_durable(&mut self, upto: u64) -> u64 {
        let covered = |seq: u64, failed: bool| seq <= upto && !failed;
        let all = self.writes.iter().all(|w| covered(w.seq, w.failed))
            && self.lens.iter().all(|l| covered(l.seq, l.failed));
        if !all {
            self.make_durable_partly(upto);
            return 0;
        }
        self.keep_all();
        if self.pages.len() * PAGE < self.len as usize + PAGE { 0 } else { self.free_cut_pages() }
    }

    fn free_cut_pages(&mut self) -> u64 {
        let kept = (self.len as usize).div_ceil(PAGE).min(self.pages.len());
        (self.pages.drain(kept..).flatten().count() * PAGE) as u64
    }

    /// A page is written back as a whole, so a page that was written again after a failed sync is
    /// durable with all it holds; one that was not stays as it is. Writing back the page at the
    /// file's end brings the length along, also one that an earlier sync failed to.
    fn make_durable_partly(&mut self, upto: u64) {
        let rewritten: Vec<(u32, u64)> = self
            .writes
            .iter()
            .filter(|w| w.seq <= upto && !w.failed)
            .map(|w| (w.page, w.seq))
            .collect();
        let last_of = |page: u32| rewritten.iter().rev().find(|(p, _)| *p == page).map(|(_, s)| *s);
        self.writes.retain(|w| last_of(w.page).is_none_or(|last| w.seq > last));
        let len = self.lens.iter().find(|l| l.seq > upto).map_or(self.len, |l| l.before);
        let end_page = (len.saturating_sub(1) / PAGE as u64) as u32;
        let last = match rewritten.iter().any(|(page, _)| *page == end_page) {
            true => Some(upto),
            false => self.lens.iter().rev().find(|l| l.seq <= upto && !l.failed).map(|l| l.seq),
        };
        self.lens.retain(|l| last.is_none_or(|last| l.seq > last));
        if self.writes.is_empty() {
            self.undo.clear();
        }
    }

    pub(super) fn fail_sync(&mut self, upto: u64) {
        self.writes.iter_mut().filter(|w| w.seq <= upto).for_each(|w| w.failed = true);
        self.lens.iter_mut().filter(|l| l.seq <= upto).for_each(|l| l.failed = true);
    }

    /// Forgets what could be undone: the file as readers see it is durable.
    pub(super) fn keep_all(&mut self) {
        self.writes.clear();
        self.undo.clear();
        self.lens.clear();
    }

    pub(super) fn lose_all(&mut self) -> FileLoss {
        let loss =
            FileLoss { writes: self.writes.len() as u64, lens: self.lens.len() as u64, torn: 0 };
        let writes = std::mem::take(&mut self.writes);
        writes.iter().rev().for_each(|w| self.undo_write(*w, 0));
        self.lose_lens(self.lens.len());
        self.keep_all();
        loss
    }

    /// Asks for every page and for the length which version stays; answers of 0 keep everything.
    pub(super) fn lose_some(&mut self, chooser: &mut dyn Chooser) -> FileLoss {
        let mut loss = FileLoss::default();
        let mut order: Vec<usize> = (0..self.writes.len()).collect();
        order.sort_by_key(|&index| (self.writes[index].page, index));
        let mut rest = &order[..];
        while let Some(&first) = rest.first() {
            let page = self.writes[first].page;
            let versions = rest.iter().take_while(|&&i| self.writes[i].page == page).count();
            let dropped = chooser.choose("loss.page", versions as u64 + 1) as usize;
            let (of_page, others) = rest.split_at(versions);
            self.lose_versions(&of_page[versions - dropped..], chooser, &mut loss);
            rest = others;
        }
        let dropped = chooser.choose("loss.len", self.lens.len() as u64 + 1) as usize;
        self.lose_lens(dropped);
        loss.lens = dropped as u64;
        self.keep_all();
        loss
    }

    /// Loses writes of one page, given in program order; the first of them may be torn.
    fn lose_versions(&mut self, lost: &[usize], chooser: &mut dyn Chooser, loss: &mut FileLoss) {
        for (nth, &index) in lost.iter().enumerate().rev() {
            let write = self.writes[index];
            let sectors = sectors_of(write);
            let mut keep = 0;
            if nth == 0 && sectors > 1 && chooser.torn() {
                // Neither none nor all of the sectors: those are whole versions.
                keep = 1 + chooser.choose("loss.sectors", (1 << sectors) - 2);
                loss.torn += 1;
            }
            self.undo_write(write, keep);
        }
        loss.writes += lost.len() as u64;
    }

    /// Puts back what a write replaced, but for the sectors in the bit set `keep`, counted from
    /// the first sector the write touched.
    fn undo_write(&mut self, write: PageWrite, keep: u64) {
        let PageWrite { undo_at, page, start, len, .. } = write;
        let old = &self.undo[undo_at as usize..undo_at as usize + len as usize];
        let target = page_mut(&mut self.pages, page as usize);
        if keep == 0 {
            target[start as usize..start as usize + len as usize].copy_from_slice(old);
            return;
        }
        let first = start as usize / SECTOR;
        for (index, &byte) in old.iter().enumerate() {
            let at = start as usize + index;
            if keep >> (at / SECTOR - first) & 1 == 0 {
                target[at] = byte;
            }
        }
    }

    /// Takes back the last `count` length changes; bytes beyond the length become zeros.
    fn lose_lens(&mut self, count: usize) {
        let first = self.lens.len() - count;
        if let Some(change) = self.lens.get(first) {
            self.len = change.before;
        }
        self.lens.truncate(first);
        self.zero_beyond_len();
    }

    fn zero_beyond_len(&mut self) {
        let len = self.len as usize;
        self.pages.truncate(len.div_ceil(PAGE));
        if !len.is_multiple_of(PAGE)
            && let Some(Some(page)) = self.pages.get_mut(len / PAGE)
            && page[len % PAGE..].iter().any(|&byte| byte != 0)
        {
            Arc::make_mut(page)[len % PAGE..].fill(0);
        }
    }

    /// Changes one durable bit. The caller picks a byte below the length.
    pub(super) fn flip_bit(&mut self, offset: u64, bit: u8) {
        assert!(offset < self.len && bit < 8, "bit rot outside the file");
        let at = offset as usize;
        page_mut(&mut self.pages, at / PAGE)[at % PAGE] ^= 1 << bit;
    }
}

fn sectors_of(write: PageWrite) -> u32 {
    let (start, end) = (write.start as usize, write.start as usize + write.len as usize);
    ((end - 1) / SECTOR - start / SECTOR + 1) as u32
}

/// The page, made if it is missing and copied if a clone of the disk shares it.
#[inline]
fn page_mut(pages: &mut Vec<Option<Arc<Page>>>, index: usize) -> &mut Page {
    if index >= pages.len() {
        pages.resize(index + 1, None);
    }
    Arc::make_mut(pages[index].get_or_insert_with(pages::blank))
}
