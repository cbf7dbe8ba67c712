//! Strict POSIX, and what holds under every profile.

use proptest::prelude::*;

use super::{RWC, content, durable, images, set, sync, sync_dir, text};
use crate::disk::{Disk, PAGE, SECTOR, SyncKind, os_code};

#[test]
fn a_synced_file_without_a_synced_name_may_be_gone() {
    let mut disk = Disk::new();
    let ino = disk.open("a", RWC).expect("open");
    disk.write_at(ino, b"x", 0).expect("write");
    sync(&mut disk, ino);
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["-", "x"]));
    sync_dir(&mut disk, "");
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["x"]));
}

#[test]
fn an_unsynced_append_leaves_old_new_zeros_or_nothing() {
    let mut disk = Disk::new();
    let ino = durable(&mut disk, "a", b"old");
    disk.write_at(ino, b"new", 3).expect("write");
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["old", "oldnew", "old000"]));
}

#[test]
fn a_page_keeps_one_version_never_a_mix_of_writes() {
    let mut disk = Disk::new();
    let ino = durable(&mut disk, "a", b"00");
    disk.write_at(ino, b"1", 0).expect("write");
    disk.write_at(ino, b"1", 1).expect("write");
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["00", "10", "11"]));
}

#[test]
fn a_torn_page_mixes_sectors_of_two_adjacent_versions() {
    let mut disk = Disk::new();
    let ino = durable(&mut disk, "a", &[b'o'; 2 * SECTOR]);
    disk.write_at(ino, &[b'n'; 2 * SECTOR], 0).expect("write");
    let seen = images(&disk, |d| {
        let bytes = content(d, "a").expect("there");
        format!("{}{}", bytes[0] as char, bytes[SECTOR] as char)
    });
    assert_eq!(seen, set(&["oo", "nn", "on", "no"]));
}

#[test]
fn a_later_page_may_persist_before_an_earlier_one() {
    let mut disk = Disk::new();
    let ino = durable(&mut disk, "a", &[]);
    disk.write_at(ino, &[b'x'; 20], PAGE as u64 - 10).expect("write");
    let seen = images(&disk, |d| {
        let bytes = content(d, "a").expect("there");
        let at = |offset: usize| bytes.get(offset).map_or('-', |b| if *b == 0 { '0' } else { 'x' });
        format!("{}{}", at(PAGE - 1), at(PAGE))
    });
    assert!(seen.contains("0x"), "a zero hole before later data is legal: {seen:?}");
}

#[test]
fn a_rename_leaves_old_new_or_both_names_never_neither() {
    let mut disk = Disk::new();
    durable(&mut disk, "tmp", b"new");
    durable(&mut disk, "tgt", b"old");
    disk.rename("tmp", "tgt").expect("rename");
    let both = |d: &Disk| format!("{} {}", text(d, "tmp"), text(d, "tgt"));
    assert_eq!(images(&disk, both), set(&["new old", "new new", "- new"]));
    sync_dir(&mut disk, "");
    assert_eq!(images(&disk, both), set(&["- new"]));
}

#[test]
fn a_rename_between_directories_is_safe_when_only_the_source_was_synced() {
    let mut disk = Disk::new();
    disk.create_dir("a").expect("mkdir");
    disk.create_dir("b").expect("mkdir");
    sync_dir(&mut disk, "");
    let ino = disk.open("a/f", RWC).expect("open");
    disk.write_at(ino, b"x", 0).expect("write");
    sync(&mut disk, ino);
    sync_dir(&mut disk, "a");
    disk.rename("a/f", "b/f").expect("rename");
    let both = |d: &Disk| format!("{} {}", text(d, "a/f"), text(d, "b/f"));
    assert_eq!(images(&disk, both), set(&["x -", "x x", "- x"]));
    sync_dir(&mut disk, "a");
    assert_eq!(images(&disk, both), set(&["- x"]), "the new name is durable with the old one gone");
}

#[test]
fn a_directory_moves_atomically() {
    let mut disk = Disk::new();
    disk.create_dir("a").expect("mkdir");
    durable(&mut disk, "a/f", b"x");
    sync_dir(&mut disk, "a");
    disk.rename("a", "b").expect("rename");
    let both = |d: &Disk| format!("{} {}", text(d, "a/f"), text(d, "b/f"));
    assert_eq!(images(&disk, both), set(&["x -", "- x"]));
    assert!(disk.rename("b", "b/c").is_err(), "a directory cannot move below itself");
}

#[test]
fn a_removed_file_comes_back_until_the_directory_is_synced() {
    let mut disk = Disk::new();
    let ino = durable(&mut disk, "a", b"x");
    disk.remove_file("a").expect("remove");
    disk.close(ino);
    assert_eq!(text(&disk, "a"), "-");
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["-", "x"]));
    sync_dir(&mut disk, "");
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["-"]));
    assert_eq!(disk.used(), 0, "the page is free once the removal is durable");
}

#[test]
fn a_truncation_may_come_back_and_frees_its_pages_when_synced() {
    let mut disk = Disk::new();
    let ino = durable(&mut disk, "a", &[b'x'; PAGE + 1]);
    disk.set_len(ino, 1).expect("set_len");
    let lens = images(&disk, |d| content(d, "a").map(|bytes| bytes.len()));
    assert_eq!(lens, [Some(1), Some(PAGE + 1)].into());
    assert_eq!(disk.used(), 2 * PAGE as u64);
    sync(&mut disk, ino);
    assert_eq!(disk.used(), PAGE as u64);
    disk.set_len(ino, 3).expect("set_len");
    assert_eq!(text(&disk, "a"), "x00", "what was cut off reads as zeros when it grows again");
}

#[test]
fn a_sync_covers_what_came_before_it_began_and_nothing_later() {
    let mut disk = Disk::new();
    let ino = durable(&mut disk, "a", b"0");
    disk.write_at(ino, b"1", 0).expect("write");
    let barrier = disk.begin_sync(ino, SyncKind::All);
    disk.write_at(ino, b"2", 0).expect("write");
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["0", "1", "2"]), "not completed yet");
    disk.complete(barrier);
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["1", "2"]));
}

#[test]
fn after_a_failed_sync_a_later_success_does_not_cover_the_lost_pages() {
    let mut disk = Disk::new();
    let ino = durable(&mut disk, "a", b"0");
    disk.write_at(ino, b"1", 0).expect("write");
    let barrier = disk.begin_sync(ino, SyncKind::All);
    disk.fail(barrier, os_code::EIO);
    sync(&mut disk, ino);
    assert_eq!(text(&disk, "a"), "1", "the cache keeps the new bytes");
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["0", "1"]));
    disk.write_at(ino, b"1", 0).expect("write");
    sync(&mut disk, ino);
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["1"]), "written again, then synced");
}

#[test]
fn after_a_failed_append_writing_it_again_makes_data_and_length_durable() {
    let mut disk = Disk::new();
    let ino = durable(&mut disk, "a", b"0");
    disk.write_at(ino, b"1", 1).expect("write");
    let barrier = disk.begin_sync(ino, SyncKind::All);
    disk.fail(barrier, os_code::EIO);
    sync(&mut disk, ino);
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["0", "00", "01"]));
    disk.write_at(ino, b"1", 1).expect("write");
    sync(&mut disk, ino);
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["01"]));
}

#[test]
fn a_process_crash_keeps_the_cache() {
    let mut disk = Disk::new();
    let ino = disk.open("a", RWC).expect("open");
    disk.write_at(ino, b"x", 0).expect("write");
    disk.process_crash();
    assert_eq!(text(&disk, "a"), "x");
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["-", "x", "", "0"]), "and it is not durable");
}

#[test]
fn space_runs_out_by_page_and_a_short_write_says_so() {
    let mut disk = Disk::new();
    disk.set_capacity(PAGE as u64);
    let ino = disk.open("a", RWC).expect("open");
    assert_eq!(disk.write_at(ino, &[1; PAGE + 10], 0).expect("some fits"), PAGE);
    let error = disk.write_at(ino, &[1], PAGE as u64).expect_err("full");
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(disk.write_at(ino, &[2], 0).expect("an overwrite needs no space"), 1);
}

#[test]
fn a_huge_offset_is_an_error_not_an_allocation() {
    let mut disk = Disk::new();
    let ino = disk.open("a", RWC).expect("open");
    let error = disk.write_at(ino, b"x", u64::MAX - 1).expect_err("too large");
    assert_eq!(error.kind(), std::io::ErrorKind::FileTooLarge);
    assert!(disk.set_len(ino, u64::MAX).is_err());
}

#[test]
fn a_clone_does_not_share_later_changes() {
    let mut disk = Disk::new();
    let ino = durable(&mut disk, "a", b"x");
    let copy = disk.clone();
    disk.write_at(ino, b"y", 0).expect("write");
    assert_eq!((text(&copy, "a"), text(&disk, "a")), ("x".into(), "y".into()));
}

/// A write or sync of the property test.
#[derive(Clone, Debug)]
enum Step {
    Write { offset: u64, len: usize, fill: u8 },
    SetLen(u64),
    Sync,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..9000u64, 0..5000usize, any::<u8>())
            .prop_map(|(offset, len, fill)| Step::Write { offset, len, fill }),
        1 => (0..12_000u64).prop_map(Step::SetLen),
        1 => Just(Step::Sync),
    ]
}

proptest! {
    /// Readers see what a plain byte vector would hold; losing all gives the last synced content
    /// and losing nothing the newest.
    #[test]
    fn content_is_a_byte_vector_and_losing_all_is_the_last_sync(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut disk = Disk::new();
        let ino = durable(&mut disk, "a", &[]);
        let (mut now, mut synced) = (Vec::<u8>::new(), Vec::<u8>::new());
        for step in steps {
            match step {
                Step::Write { offset, len, fill } => {
                    let offset_at = offset as usize;
                    prop_assert_eq!(disk.write_at(ino, &vec![fill; len], offset).unwrap(), len);
                    if len > 0 {
                        now.resize(now.len().max(offset_at + len), 0);
                        now[offset_at..offset_at + len].fill(fill);
                    }
                }
                Step::SetLen(len) => {
                    disk.set_len(ino, len).unwrap();
                    now.resize(len as usize, 0);
                }
                Step::Sync => {
                    sync(&mut disk, ino);
                    synced.clone_from(&now);
                }
            }
            prop_assert_eq!(&content(&disk, "a").unwrap(), &now);
            let lost = disk.crash_image(&mut |_: &'static str, _: u64| 1);
            prop_assert_eq!(&content(&lost, "a").unwrap(), &synced);
            let kept = disk.crash_image(&mut |_: &'static str, _: u64| 0);
            prop_assert_eq!(&content(&kept, "a").unwrap(), &now);
        }
    }
}
