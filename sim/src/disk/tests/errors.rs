//! Refused writes: who hears of them, what readers see, what is left; and file systems that give
//! up.

use std::collections::BTreeSet;

use seedbed_env::OpenOptions;
use seedbed_faults::{GivesUp, Profile};

use super::{RWC, durable, images, set, sync, text};
use crate::disk::{Disk, ErrSeq, Ino, PAGE, SyncKind, os_code};

fn fsync(disk: &mut Disk, ino: Ino, seen: &mut ErrSeq) -> Option<i32> {
    let barrier = disk.begin_sync(ino, SyncKind::All);
    disk.end_sync(barrier, seen).err().and_then(|error| error.raw_os_error())
}

/// A durable file `a` whose one page was written again, and refused.
fn refused(profile: Profile) -> (Disk, Ino) {
    let mut disk = Disk::with_profile(profile);
    let ino = durable(&mut disk, "a", b"old");
    disk.write_at(ino, b"new", 0).expect("write");
    disk.fail_write_back(ino, 0, os_code::EIO);
    (disk, ino)
}

#[test]
fn every_handle_hears_of_a_refused_page_once_and_a_later_one_only_if_nobody_has() {
    let mut disk = Disk::new();
    let ino = durable(&mut disk, "a", b"old");
    let (mut first, mut second) = (disk.errors_seen(ino), disk.errors_seen(ino));
    disk.write_at(ino, b"new", 0).expect("write");
    disk.fail_write_back(ino, 0, os_code::ENOSPC);
    let mut early = disk.errors_seen(ino);
    assert_eq!(fsync(&mut disk, ino, &mut first), Some(os_code::ENOSPC));
    assert_eq!(fsync(&mut disk, ino, &mut first), None, "a second sync proves nothing");
    let mut late = disk.errors_seen(ino);
    assert_eq!(fsync(&mut disk, ino, &mut second), Some(os_code::ENOSPC));
    assert_eq!(fsync(&mut disk, ino, &mut early), Some(os_code::ENOSPC), "nobody had seen it");
    assert_eq!(fsync(&mut disk, ino, &mut late), None);
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["old", "new"]), "and it is not durable");
}

#[test]
fn a_file_that_the_kernel_forgets_takes_its_error_along() {
    let (mut disk, ino) = refused(Profile::EXT4);
    assert_eq!(disk.forget_errors(), 0, "somebody has it open");
    disk.close(ino);
    assert_eq!(disk.forget_errors(), 1);
    let ino = disk.open("a", RWC).expect("open");
    let mut seen = disk.errors_seen(ino);
    assert_eq!(fsync(&mut disk, ino, &mut seen), None, "nobody will ever know");
}

#[test]
fn a_refused_page_that_the_cache_drops_shows_what_the_device_has() {
    for profile in Profile::ALL {
        let (mut disk, ino) = refused(profile);
        assert_eq!(text(&disk, "a"), "new", "the cache keeps it");
        let unit = disk.refused_units()[0];
        let versions = disk.refused_versions(ino, unit.1);
        disk.evict(ino, unit.1, versions);
        assert_eq!(text(&disk, "a"), "old", "{profile}");
        sync(&mut disk, ino);
        assert_eq!(images(&disk, |d| text(d, "a")), set(&["old"]), "{profile}: gone for good");
    }
}

#[test]
fn a_dropped_page_that_the_device_has_half_of_shows_that_half() {
    let mut disk = Disk::new();
    let ino = durable(&mut disk, "a", b"0");
    for byte in [b"1", b"2"] {
        disk.write_at(ino, byte, 0).expect("write");
    }
    disk.fail_write_back(ino, 0, os_code::EIO);
    disk.evict(ino, 0, 1);
    assert_eq!(text(&disk, "a"), "1");
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["1"]), "it was read from the device");
}

#[test]
fn a_page_written_again_after_it_was_refused_is_not_dropped_and_can_be_synced() {
    let (mut disk, ino) = refused(Profile::POSIX);
    disk.write_at(ino, b"N", 0).expect("write");
    assert_eq!(disk.refused_units(), []);
    sync(&mut disk, ino);
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["New"]));
}

#[test]
fn a_page_written_again_brings_its_length_also_when_the_kernel_writes_it_back() {
    for profile in Profile::ALL.into_iter().filter(|profile| !profile.data_error_aborts) {
        for volatile_cache in [false, true] {
            let mut disk = Disk::with_profile(profile);
            disk.set_device(crate::disk::Device { volatile_cache, ..Default::default() });
            let ino = durable(&mut disk, "a", b"0");
            disk.write_at(ino, b"1", 1).expect("write");
            let barrier = disk.begin_sync(ino, SyncKind::Data);
            disk.fail(barrier, os_code::EIO);
            disk.write_at(ino, b"1", 1).expect("write");
            disk.write_back(ino, 0);
            sync(&mut disk, ino);
            assert_eq!(images(&disk, |d| text(d, "a")), set(&["01"]), "{profile}");
        }
    }
}

#[test]
fn what_the_kernel_does_by_itself_adds_no_image() {
    for profile in Profile::ALL {
        for cache in [false, true] {
            let mut disk = Disk::with_profile(profile);
            let device = crate::disk::Device { volatile_cache: cache, ..Default::default() };
            disk.set_device(device);
            let ino = durable(&mut disk, "a", &[b'0'; PAGE + 1]);
            disk.write_at(ino, b"1", 0).expect("write");
            disk.write_at(ino, b"1", PAGE as u64).expect("write");
            disk.rename("a", "b").expect("rename");
            let look = |disk: &Disk| {
                let of = |name: &str| text(disk, name).replace("00000000", "");
                (of("a"), of("b"))
            };
            let before = images(&disk, look);
            let units = disk.dirty_units();
            assert!(units.len() >= 2, "{profile}");
            for &(ino, unit) in &units {
                let mut other = disk.clone();
                other.write_back(ino, unit);
                assert!(images(&other, look).is_subset(&before), "{profile}");
            }
            let mut other = disk.clone();
            other.commit();
            assert!(images(&other, look).is_subset(&before), "{profile}");
        }
    }
}

#[test]
fn with_a_volatile_cache_what_was_written_back_is_durable_at_the_next_flush_of_anything() {
    let on_cache = |volatile_cache| {
        let mut disk = Disk::with_profile(Profile::XFS);
        disk.set_device(crate::disk::Device { volatile_cache, ..Default::default() });
        let ino = durable(&mut disk, "a", b"old");
        disk.write_at(ino, b"new", 0).expect("write");
        disk.sync_range(ino, 0, 3);
        disk
    };
    assert_eq!(images(&on_cache(false), |d| text(d, "a")), set(&["new"]));
    let mut disk = on_cache(true);
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["old", "new"]));
    durable(&mut disk, "other", b"x");
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["new"]), "a flush empties the whole cache");
}

#[test]
fn a_lie_is_made_good_by_the_next_honest_flush() {
    for profile in [Profile::POSIX, Profile::EXT4, Profile::XFS, Profile::BTRFS] {
        let mut disk = Disk::with_profile(profile);
        let ino = durable(&mut disk, "a", b"old");
        disk.write_at(ino, b"new", 0).expect("write");
        let barrier = disk.begin_sync(ino, SyncKind::All);
        disk.lie(barrier);
        assert_eq!(images(&disk, |d| text(d, "a")), set(&["old", "new"]), "{profile}");
        let mut honest = disk.clone();
        durable(&mut honest, "other", b"x");
        assert_eq!(images(&honest, |d| text(d, "a")), set(&["new"]), "{profile}");
    }
}

#[test]
fn a_file_system_that_has_given_up_takes_no_changes_until_it_is_mounted_again() {
    for profile in Profile::ALL {
        let mut disk = Disk::with_profile(profile);
        let ino = durable(&mut disk, "a", b"old");
        disk.write_at(ino, b"new", 0).expect("write");
        let before = images(&disk, |d| text(d, "a"));
        disk.shut_down();
        let (code, reading) = match profile.gives_up {
            GivesUp::ReadOnly => (os_code::EROFS, None),
            GivesUp::Dead => (os_code::EIO, Some(os_code::EIO)),
        };
        assert_eq!((disk.refusal(true), disk.refusal(false)), (Some(code), reading), "{profile}");
        assert_eq!(fsync(&mut disk, ino, &mut ErrSeq::default()), Some(code), "{profile}");
        assert_eq!(images(&disk, |d| text(d, "a")), before, "{profile}: the sync did nothing");
        assert!(disk.open("b", RWC).is_err(), "{profile}");
        disk.power_loss(&mut |_: &'static str, _| 0);
        assert_eq!(disk.refusal(true), None, "{profile}: mounted again");
    }
}

#[test]
fn data_err_abort_gives_up_at_the_next_commit() {
    let (mut disk, ino) = refused(Profile::EXT4_DATA_ERR_ABORT);
    let mut seen = ErrSeq::default();
    assert_eq!(fsync(&mut disk, ino, &mut seen), Some(os_code::EIO), "heard of as anywhere");
    assert_eq!(fsync(&mut disk, ino, &mut seen), None, "nothing to commit");
    disk.commit();
    assert_eq!(fsync(&mut disk, ino, &mut seen), Some(os_code::EROFS));
    let (mut ext4, _) = refused(Profile::EXT4);
    ext4.commit();
    assert!(!ext4.is_shut_down(), "by default it goes on");
    let (mut healed, _) = refused(Profile::EXT4_DATA_ERR_ABORT);
    healed.heal();
    healed.commit();
    assert!(!healed.is_shut_down(), "what went wrong before is over");
}

#[test]
fn there_are_no_more_files_than_the_disk_has_room_for() {
    let mut disk = Disk::new();
    disk.set_inodes_max(2);
    disk.open("a", RWC).expect("one");
    disk.create_dir("d").expect("two");
    let error = disk.open("b", RWC).expect_err("full");
    assert_eq!(error.raw_os_error(), Some(os_code::ENOSPC));
    assert!(disk.open("a", OpenOptions::reading()).is_ok(), "what is there opens");
    disk.remove_dir("d").expect("removed");
    sync_root(&mut disk);
    disk.open("b", RWC).expect("room again, once the removal is durable");
}

fn sync_root(disk: &mut Disk) {
    super::sync_dir(disk, "");
}

#[test]
fn images_after_a_refused_append_hold_every_length_that_was_seen_on_a_device() {
    let seen = |profile| {
        let mut disk = Disk::with_profile(profile);
        let ino = durable(&mut disk, "a", b"0");
        disk.write_at(ino, b"1", 1).expect("write");
        disk.fail_write_back(ino, 0, os_code::EIO);
        sync(&mut disk, ino);
        images(&disk, |d| text(d, "a"))
    };
    let all: BTreeSet<String> = set(&["0", "00", "01"]);
    assert_eq!(seen(Profile::POSIX), all);
    assert_eq!(seen(Profile::EXT4), all, "btrfs and ext4 left zeros, xfs the old length");
}
