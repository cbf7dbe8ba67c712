//! Damage to what a disk holds: each kind does what it says, where it says, and no more.

use super::{RWC, content, durable, images, set, sync, text};
use crate::disk::{Chooser, Disk, PAGE, SECTOR, SyncKind};

/// Answers by label; 0 to everything else.
struct Answers(&'static [(&'static str, u64)]);

impl Chooser for Answers {
    fn choose(&mut self, label: &'static str, bound: u64) -> u64 {
        let answer =
            self.0.iter().find(|(known, _)| *known == label).map_or(0, |(_, value)| *value);
        answer.min(bound - 1)
    }

    fn garbage(&mut self) -> bool {
        self.choose("loss.garbage", 2) == 1
    }
}

fn two_pages() -> Disk {
    let mut disk = Disk::new();
    let mut bytes = vec![b'a'; PAGE];
    bytes.extend(vec![b'b'; PAGE]);
    durable(&mut disk, "f", &bytes);
    disk
}

/// Where a file differs from what [`two_pages`] made.
fn changed(disk: &Disk) -> Vec<usize> {
    let (old, new) = (content(&two_pages(), "f"), content(disk, "f"));
    let (old, new) = (old.expect("there"), new.expect("there"));
    (0..old.len()).filter(|&at| old[at] != new[at]).collect()
}

#[test]
fn rot_changes_a_bit_a_byte_or_a_sector() {
    let rot = |answers| {
        let mut disk = two_pages();
        let damage = disk.rot(&mut Answers(answers)).expect("there are bytes");
        (damage.path, damage.offset, changed(&disk))
    };
    let bit = rot(&[("rot.byte", 3), ("rot.bit", 7)]);
    assert_eq!(bit, ("f".into(), 3, vec![3]));
    let byte = rot(&[("rot.byte", 4), ("rot.kind", 1), ("rot.to", 9)]);
    assert_eq!(byte, ("f".into(), 4, vec![4]));
    let zeros = rot(&[("rot.byte", 600), ("rot.kind", 2)]);
    assert_eq!(zeros, ("f".into(), SECTOR as u64, (SECTOR..2 * SECTOR).collect()));
    let (_, _, junk) = rot(&[("rot.byte", 600), ("rot.kind", 3)]);
    assert!(!junk.is_empty() && junk.iter().all(|at| (SECTOR..2 * SECTOR).contains(at)));
    assert_eq!(Disk::new().rot(&mut Answers(&[])), None, "nothing to damage");
}

#[test]
fn an_unreadable_page_can_be_read_again_once_all_of_it_is_written() {
    let mut disk = two_pages();
    disk.make_unreadable(&mut Answers(&[("latent.page", 1)])).expect("there are pages");
    let ino = disk.open("f", RWC).expect("open");
    let page = PAGE as u64;
    assert!(!disk.is_unreadable(ino, 0, PAGE), "the other page");
    assert!(disk.is_unreadable(ino, page - 1, 2));
    assert!(!disk.is_unreadable(ino, 2 * page, 1), "beyond the end nothing is read");
    assert!(disk.write_at(ino, &[0; 10], page).is_err(), "a part of it needs the rest");
    assert!(disk.is_unreadable(ino, page, 1));
    disk.write_at(ino, &[b'b'; PAGE], page).expect("all of it");
    assert!(!disk.is_unreadable(ino, page, PAGE));
}

#[test]
fn a_lost_write_is_reported_as_done_and_gone_after_a_power_loss() {
    let mut disk = two_pages();
    let ino = disk.open("f", RWC).expect("open");
    disk.write_at(ino, b"x", 0).expect("write");
    let barrier = disk.begin_sync(ino, SyncKind::All);
    disk.lose_write(ino, &mut Answers(&[])).expect("something is dirty");
    let mut seen = disk.errors_seen(ino);
    disk.end_sync(barrier, &mut seen).expect("the device says it is done");
    assert_eq!(changed(&disk), [0], "the cache has it");
    disk.power_loss(&mut Answers(&[("loss.mode", 1)]));
    assert_eq!(changed(&disk), [0; 0]);
}

#[test]
fn a_misdirected_write_is_missing_here_and_well_formed_there() {
    let mut disk = two_pages();
    let ino = disk.open("f", RWC).expect("open");
    disk.write_at(ino, &[b'x'; PAGE], 0).expect("write");
    let target = &[("misdirect.unit", 1)];
    let damage = disk.misdirect_write(ino, &mut Answers(target)).expect("something is dirty");
    assert_eq!((damage.path.as_str(), damage.offset), ("f", PAGE as u64));
    sync(&mut disk, ino);
    disk.power_loss(&mut Answers(&[("loss.mode", 1)]));
    let bytes = content(&disk, "f").expect("there");
    assert_eq!(bytes[..PAGE], [b'a'; PAGE], "the old page");
    assert_eq!(bytes[PAGE..], [b'x'; PAGE], "in the other's place");
}

#[test]
fn a_stale_read_shows_what_the_last_sync_replaced_and_only_once() {
    let mut disk = two_pages();
    let ino = disk.open("f", RWC).expect("open");
    disk.write_at(ino, b"xyz", 10).expect("write");
    disk.keep_stale(ino);
    sync(&mut disk, ino);
    let mut buf = [0; 4];
    assert_eq!(disk.read_stale(ino, &mut buf, 9), 4);
    assert_eq!(&buf, b"aaaa");
    assert_eq!(disk.read_at(ino, &mut buf, 9), 4);
    assert_eq!(&buf, b"axyz");
    assert_eq!(disk.read_stale(ino, &mut buf, PAGE as u64), 4);
    assert_eq!(&buf, b"bbbb", "other pages are not stale");
}

#[test]
fn a_misdirected_read_shows_another_page() {
    let mut disk = two_pages();
    let ino = disk.open("f", RWC).expect("open");
    let mut buf = [0; 4];
    assert_eq!(disk.read_misdirected(ino, &mut buf, PAGE as u64 - 2, 1), 4);
    assert_eq!(&buf, b"bbbb", "the first page's part comes from the second");
    assert_eq!(disk.read_misdirected(ino, &mut buf, 5, 2), 4);
    assert_eq!(&buf, b"aaaa", "modulo the number of pages");
}

#[test]
fn junk_lies_where_a_power_loss_caught_a_write() {
    let caught = |powersafe_overwrite, answers| {
        let mut disk = two_pages();
        let device = crate::disk::Device { powersafe_overwrite, ..Default::default() };
        disk.set_device(device);
        let ino = disk.open("f", RWC).expect("open");
        disk.write_at(ino, &[b'x'; 600], 0).expect("write");
        let lost = disk.power_loss(&mut Answers(answers));
        assert_eq!(lost.junk, 1);
        changed(&disk)
    };
    let answers = &[("loss.mode", 2), ("loss.page", 1), ("loss.garbage", 1)];
    let sector = caught(true, answers);
    assert!(!sector.is_empty() && sector.iter().all(|at| *at < SECTOR), "{sector:?}");
    let page = caught(false, answers);
    assert!(page.len() > SECTOR && page.iter().all(|at| *at < PAGE), "its neighbours as well");
}

#[test]
fn a_device_that_writes_pages_whole_tears_none() {
    let torn = |tears| {
        let mut disk = two_pages();
        disk.set_device(crate::disk::Device { tears, ..Default::default() });
        let ino = disk.open("f", RWC).expect("open");
        disk.write_at(ino, &[b'x'; 2 * SECTOR], 0).expect("write");
        images(&disk, |disk| {
            let head = |at| content(disk, "f").expect("there")[at] as char;
            format!("{}{}", head(0), head(SECTOR))
        })
    };
    assert_eq!(torn(true), set(&["aa", "xx", "ax", "xa"]));
    assert_eq!(torn(false), set(&["aa", "xx"]));
    assert_eq!(text(&Disk::new(), "f"), "-");
}

#[test]
fn damage_to_a_hole_is_space_in_use() {
    let mut disk = Disk::new();
    let ino = disk.open("f", RWC).expect("open");
    disk.set_len(ino, 2 * PAGE as u64).expect("set_len");
    sync(&mut disk, ino);
    disk.rot(&mut Answers(&[("rot.kind", 3)])).expect("there are bytes");
    disk.close(ino);
    disk.remove_file("f").expect("unlink");
    super::sync_dir(&mut disk, "");
    assert_eq!(disk.used(), 0);
}

#[test]
fn what_is_cut_off_is_not_unreadable_any_more() {
    let mut disk = two_pages();
    disk.make_unreadable(&mut Answers(&[("latent.page", 1)])).expect("there are pages");
    let ino = disk.open("f", RWC).expect("open");
    disk.set_len(ino, PAGE as u64).expect("set_len");
    disk.set_len(ino, 2 * PAGE as u64).expect("set_len");
    assert!(!disk.is_unreadable(ino, PAGE as u64, 1));
    disk.write_at(ino, &[0; 10], PAGE as u64).expect("there is nothing to be read first");
}

#[test]
fn what_the_cache_has_newer_neither_rots_nor_is_unreadable() {
    let mut disk = two_pages();
    let ino = disk.open("f", RWC).expect("open");
    disk.write_at(ino, &[b'x'; PAGE], 0).expect("write");
    assert_eq!(disk.rot(&mut Answers(&[])), None);
    assert_eq!(disk.make_unreadable(&mut Answers(&[])), None);
}

#[test]
fn a_refused_page_does_not_keep_the_undo_bytes_of_others() {
    let mut disk = two_pages();
    let ino = disk.open("f", RWC).expect("open");
    disk.write_at(ino, b"x", 0).expect("write");
    disk.fail_write_back(ino, 0, 5);
    for _ in 0..2000 {
        disk.write_at(ino, &[b'y'; PAGE], PAGE as u64).expect("write");
        sync(&mut disk, ino);
    }
    assert!(disk.undo_bytes(ino) < 64 * PAGE, "{}", disk.undo_bytes(ino));
}
