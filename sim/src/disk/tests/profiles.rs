//! What sets the file systems apart. Each rule was seen on Linux 6.18.

use std::collections::BTreeSet;

use proptest::prelude::*;
use seedbed_faults::{NameOrder, Profile};

use super::{RWC, content, durable, images, set, sync, sync_data, sync_dir, text};
use crate::disk::{Device, Disk, PAGE};

const KERNEL: [Profile; 3] = [Profile::EXT4, Profile::XFS, Profile::BTRFS];

/// A disk with the durable files `tgt` and `db`.
fn base(profile: Profile) -> Disk {
    let mut disk = Disk::with_profile(profile);
    // As a loop device has none.
    disk.set_device(Device { volatile_cache: false, ..Device::default() });
    for (name, len) in [("tgt", 2 * PAGE), ("db", 4 * PAGE)] {
        let ino = durable(&mut disk, name, &vec![b'o'; len]);
        disk.close(ino);
    }
    disk.sync_all();
    assert!(disk.pending().is_empty(), "{profile}: the base is durable");
    disk
}

pub(super) fn open(disk: &mut Disk, path: &str) -> crate::disk::Ino {
    disk.open(path, RWC).expect("open")
}

pub(super) fn write(disk: &mut Disk, path: &str, bytes: &[u8], offset: u64) {
    let ino = open(disk, path);
    assert_eq!(disk.write_at(ino, bytes, offset).expect("write"), bytes.len());
    disk.close(ino);
}

pub(super) fn fsync(disk: &mut Disk, path: &str) {
    let ino = open(disk, path);
    sync(disk, ino);
    disk.close(ino);
}

/// Another file is appended to and synced: commits the journal of ext4 and xfs.
fn unrelated(disk: &mut Disk) {
    let ino = open(disk, "unrelated");
    let end = disk.len(ino);
    disk.write_at(ino, b"x", end).expect("write");
    sync(disk, ino);
    disk.close(ino);
}

/// A file's length and whether it is all one byte: `-` absent, `0` empty, `8192o`, `8192?` mixed.
fn shape(disk: &Disk, path: &str) -> String {
    match content(disk, path) {
        None => "-".into(),
        Some(bytes) if bytes.is_empty() => "0".into(),
        Some(bytes) => {
            let same = bytes.iter().all(|byte| *byte == bytes[0]);
            let fill = if bytes[0] == 0 { 'z' } else { bytes[0] as char };
            format!("{}{}", bytes.len(), if same { fill } else { '?' })
        }
    }
}

#[test]
fn a_synced_file_has_its_name_on_real_file_systems_only() {
    for profile in Profile::ALL {
        let mut disk = base(profile);
        write(&mut disk, "new", b"x", 0);
        fsync(&mut disk, "new");
        let there = images(&disk, |d| text(d, "new"));
        let promised = profile.sync_covers_names || profile == Profile::RAW;
        let want = if promised { set(&["x"]) } else { set(&["-", "x"]) };
        assert_eq!(there, want, "{profile}");
    }
}

#[test]
fn replacing_without_a_sync_leaves_an_empty_file_except_with_auto_da_alloc() {
    for profile in [Profile::EXT4, Profile::EXT4_NOAUTO_DA_ALLOC, Profile::XFS, Profile::BTRFS] {
        let mut disk = base(profile);
        write(&mut disk, "tmp", b"new", 0);
        disk.rename("tmp", "tgt").expect("rename");
        let seen = images(&disk, |d| shape(d, "tgt"));
        assert_eq!(seen.contains("0"), profile != Profile::EXT4, "{profile}: {seen:?}");
        assert!(!seen.contains("-"), "{profile}: there is always a target");
        assert!(seen.contains("3?"), "{profile}: {seen:?}");
    }
}

#[test]
fn a_fresh_name_may_be_empty_after_a_commit() {
    for profile in KERNEL {
        let mut disk = base(profile);
        write(&mut disk, "new", b"x", 0);
        disk.commit();
        let zeros = if profile.data_before_len { &["0", "1x"][..] } else { &["0", "1x", "1z"] };
        assert_eq!(images(&disk, |d| shape(d, "new")), set(zeros), "{profile}");
    }
}

#[test]
fn fdatasync_of_a_renamed_file_leaves_the_old_name_on_ext4_alone() {
    for profile in KERNEL {
        let mut disk = base(profile);
        disk.rename("tgt", "renamed").expect("rename");
        let ino = open(&mut disk, "renamed");
        disk.write_at(ino, b"new", 0).expect("write");
        sync_data(&mut disk, ino);
        let seen = images(&disk, |d| text(d, "tgt").starts_with("new"));
        let want = if profile == Profile::EXT4 { [false, true].into() } else { [false].into() };
        assert_eq!(seen, want, "{profile}");
        sync(&mut disk, ino);
        let seen = images(&disk, |d| text(d, "renamed").starts_with("new"));
        assert_eq!(seen, BTreeSet::from([true]), "{profile}: fsync takes the name along");
    }
}

#[test]
fn an_unrelated_sync_does_not_bring_an_append() {
    for profile in KERNEL {
        let mut disk = base(profile);
        write(&mut disk, "db", b"new", 4 * PAGE as u64);
        unrelated(&mut disk);
        let lens = images(&disk, |d| content(d, "db").map(|bytes| bytes.len()));
        assert_eq!(lens, [Some(4 * PAGE), Some(4 * PAGE + 3)].into(), "{profile}");
    }
    let mut disk = base(Profile::EXT4_NODELALLOC);
    write(&mut disk, "db", b"new", 4 * PAGE as u64);
    unrelated(&mut disk);
    let lens = images(&disk, |d| content(d, "db").map(|bytes| bytes.len()));
    assert_eq!(lens, [Some(4 * PAGE + 3)].into(), "nodelalloc: it is in the same transaction");
}

#[test]
fn a_hole_of_zeros_before_a_later_append_is_legal_everywhere() {
    for profile in KERNEL {
        let mut disk = base(profile);
        write(&mut disk, "db", b"1", 4 * PAGE as u64);
        write(&mut disk, "db", b"2", 5 * PAGE as u64);
        let hole = images(&disk, |d| {
            let bytes = content(d, "db").expect("there");
            bytes.len() == 5 * PAGE + 1 && bytes[4 * PAGE] == 0 && bytes[5 * PAGE] == b'2'
        });
        assert!(hole.contains(&true), "{profile}");
        let bad = images(&disk, |d| {
            let bytes = content(d, "db").expect("there");
            bytes.len() == 5 * PAGE + 1 && bytes[5 * PAGE] == 0
        });
        let is_early = !profile.data_before_len;
        assert_eq!(bad.contains(&true), is_early, "{profile}: the length and not its own data");
    }
}

#[test]
fn a_header_may_be_new_while_the_length_is_old() {
    for profile in [Profile::EXT4, Profile::XFS] {
        let mut disk = base(profile);
        let ino = open(&mut disk, "db");
        disk.set_len(ino, 8 * PAGE as u64).expect("set_len");
        disk.write_at(ino, b"H", 0).expect("write");
        let seen = images(&disk, |d| {
            let bytes = content(d, "db").expect("there");
            (bytes[0] == b'H', bytes.len() == 8 * PAGE)
        });
        assert!(seen.contains(&(true, false)), "{profile}: {seen:?}");
    }
}

#[test]
fn metadata_is_a_prefix_in_a_journal_and_free_in_posix() {
    let seen = |profile| {
        let mut disk = base(profile);
        disk.remove_file("tgt").expect("remove");
        write(&mut disk, "new", b"", 0);
        disk.rename("db", "moved").expect("rename");
        images(&disk, |d| {
            ["tgt", "new", "moved"]
                .map(|name| if content(d, name).is_some() { '1' } else { '0' })
                .iter()
                .collect::<String>()
        })
    };
    assert_eq!(seen(Profile::EXT4), set(&["100", "000", "010", "011"]));
    assert_eq!(seen(Profile::XFS), set(&["100", "000", "010", "011"]));
    assert_eq!(seen(Profile::POSIX).len(), 8);
}

#[test]
fn btrfs_forgets_an_unlink_although_another_file_was_synced() {
    for (profile, back) in [(Profile::BTRFS, true), (Profile::EXT4, false), (Profile::XFS, false)] {
        let mut disk = base(profile);
        disk.remove_file("tgt").expect("remove");
        unrelated(&mut disk);
        let seen = images(&disk, |d| content(d, "tgt").is_some());
        assert_eq!(seen.contains(&true), back, "{profile}");
    }
}

#[test]
fn btrfs_shows_an_overwrite_only_with_the_commit() {
    let mut disk = base(Profile::BTRFS);
    write(&mut disk, "new", b"", 0);
    write(&mut disk, "db", b"n", 0);
    let seen = images(&disk, |d| {
        (content(d, "new").is_some(), content(d, "db").expect("there")[0] == b'n')
    });
    assert_eq!(seen, [(false, false), (true, false), (true, true)].into());
}

#[test]
fn a_truncation_takes_its_place_in_the_journal() {
    for profile in KERNEL {
        let mut disk = base(profile);
        let ino = open(&mut disk, "tgt");
        disk.set_len(ino, 10).expect("set_len");
        disk.write_at(ino, b"n", 10).expect("write");
        fsync(&mut disk, "tgt");
        assert_eq!(images(&disk, |d| shape(d, "tgt")), set(&["11?"]), "{profile}");
        disk.set_len(ino, 0).expect("set_len");
        write(&mut disk, "later", b"", 0);
        let seen = images(&disk, |d| (shape(d, "tgt"), shape(d, "later")));
        assert!(!seen.contains(&("11?".into(), "0".into())), "{profile}: {seen:?}");
    }
}

#[test]
fn the_adversary_may_lose_both_names_of_a_rename() {
    let mut disk = base(Profile::ADVERSARIAL);
    disk.rename("tgt", "new").expect("rename");
    let seen = images(&disk, |d| (content(d, "tgt").is_some(), content(d, "new").is_some()));
    assert!(seen.contains(&(false, false)), "{seen:?}");
}

#[test]
fn a_raw_device_loses_sectors_and_nothing_else() {
    let mut disk = base(Profile::RAW);
    write(&mut disk, "db", &[b'n'; 1024], 0);
    let seen = images(&disk, |d| {
        let bytes = content(d, "db").expect("there");
        format!("{}{}", bytes[0] as char, bytes[512] as char)
    });
    assert_eq!(seen, set(&["oo", "on", "no", "nn"]));
}

/// Four things that another simulator's disk gets wrong.
#[test]
fn renames_handles_and_links_are_by_inode() {
    for profile in Profile::ALL {
        let mut disk = base(profile);
        disk.create_dir("a").expect("mkdir");
        disk.create_dir("b").expect("mkdir");
        sync_dir(&mut disk, "");
        let ino = durable_in(&mut disk, "a/f");
        disk.rename("a/f", "b/f").expect("rename");
        if profile.rename_is_safe {
            let names =
                images(&disk, |d| (content(d, "a/f").is_some(), content(d, "b/f").is_some()));
            assert!(!names.contains(&(false, false)), "{profile}: a rename lost both names");
        }
        // The handle was opened under the old name and still syncs the file.
        disk.write_at(ino, b"n", 0).expect("write");
        sync(&mut disk, ino);
        let found = images(&disk, |d| {
            let at = |path| content(d, path).map(|bytes| bytes[0]);
            at("a/f").or(at("b/f")).unwrap_or(b'n')
        });
        assert_eq!(found, [b'n'].into(), "{profile}: the sync of a renamed handle is lost");
        // Two names of one file never differ.
        disk.hard_link("b/f", "b/g").expect("link");
        disk.write_at(ino, b"m", 0).expect("write");
        let differ = images(&disk, |d| match (content(d, "b/f"), content(d, "b/g")) {
            (Some(f), Some(g)) => f != g,
            _ => false,
        });
        assert_eq!(differ, [false].into(), "{profile}: hard links diverge");
    }
}

#[test]
fn an_unlink_that_nobody_synced_may_come_back() {
    for profile in [Profile::EXT4, Profile::XFS, Profile::BTRFS, Profile::POSIX] {
        let mut disk = base(profile);
        disk.remove_file("tgt").expect("remove");
        let seen = images(&disk, |d| shape(d, "tgt"));
        assert_eq!(seen, set(&["-", "8192o"]), "{profile}");
    }
}

/// A durable file of one byte in a directory of its own.
fn durable_in(disk: &mut Disk, path: &str) -> crate::disk::Ino {
    let ino = open(disk, path);
    disk.write_at(ino, b"x", 0).expect("write");
    sync(disk, ino);
    let (dir, _) = path.split_once('/').expect("a directory");
    sync_dir(disk, dir);
    ino
}

/// As [`base`], with directories `a`, that holds `a/f` of one byte, and `b`.
pub(super) fn base_with_dirs(profile: Profile) -> Disk {
    let mut disk = base(profile);
    disk.create_dir("a").expect("mkdir");
    disk.create_dir("b").expect("mkdir");
    durable_in(&mut disk, "a/f");
    disk.sync_all();
    disk
}

pub(super) fn shapes(disk: &Disk, paths: &[&str]) -> BTreeSet<String> {
    images(disk, |d| paths.iter().map(|path| shape(d, path)).collect::<Vec<_>>().join(" "))
}

#[test]
fn a_replacing_rename_on_ext4_keeps_the_length_and_waits_for_no_data() {
    let mut disk = base(Profile::EXT4);
    write(&mut disk, "tmp", b"n", 0);
    disk.rename("tmp", "tgt").expect("rename");
    disk.commit();
    assert_eq!(shapes(&disk, &["tgt"]), set(&["1n", "1z"]));
}

#[test]
fn space_allocated_in_advance_keeps_ext4_from_flushing_at_a_rename() {
    let mut disk = base(Profile::EXT4);
    write(&mut disk, "tmp", b"n", 0);
    let ino = open(&mut disk, "tmp");
    disk.allocate(ino, 0, PAGE as u64, true).expect("allocate");
    disk.rename("tmp", "tgt").expect("rename");
    disk.commit();
    assert_eq!(shapes(&disk, &["tgt"]), set(&["0", "1n", "1z"]));
}

#[test]
fn without_delayed_allocation_a_new_block_comes_with_its_length_and_an_old_one_does_not() {
    let mut disk = base(Profile::EXT4_NODELALLOC);
    write(&mut disk, "db", b"n", 4 * PAGE as u64);
    write(&mut disk, "new", b"n", 0);
    disk.commit();
    assert_eq!(shapes(&disk, &["new"]), set(&["1n"]));
    write(&mut disk, "new", b"m", 1);
    disk.commit();
    let seen = images(&disk, |d| text(d, "new"));
    assert_eq!(seen, set(&["nm", "n0"]), "the block was there already");
}

#[test]
fn allocating_makes_a_file_longer_with_the_names_and_fills_it_with_zeros() {
    for profile in KERNEL {
        let mut disk = base(profile);
        let ino = open(&mut disk, "empty");
        disk.allocate(ino, 0, 10, true).expect("allocate");
        assert_eq!(disk.len(ino), 0, "{profile}: the length is kept");
        disk.allocate(ino, 0, 10, false).expect("allocate");
        disk.allocate(ino, 0, 5, false).expect("allocate");
        assert!(disk.allocate(ino, 0, 0, false).is_err(), "an empty range");
        assert_eq!(shapes(&disk, &["empty"]), set(&["-", "0", "10z"]), "{profile}");
        disk.commit();
        assert_eq!(shapes(&disk, &["empty"]), set(&["10z"]), "{profile}");
    }
}

#[test]
fn writing_back_a_range_is_for_good_where_there_were_bytes_and_not_on_btrfs() {
    for profile in KERNEL {
        let mut disk = base(profile);
        let ino = open(&mut disk, "tgt");
        disk.write_at(ino, &[b'n'; 3 * PAGE], 0).expect("write");
        disk.sync_range(ino, 0, 3 * PAGE as u64);
        let is_in_place = profile != Profile::BTRFS;
        let seen = images(&disk, |d| content(d, "tgt").expect("there")[0] == b'o');
        assert_eq!(seen.contains(&true), !is_in_place, "{profile}");
        let lens = images(&disk, |d| content(d, "tgt").expect("there").len());
        assert!(lens.contains(&(2 * PAGE)), "{profile}: nor the length: {lens:?}");
        // A hole is not written in place.
        disk.set_len(ino, 5 * PAGE as u64).expect("set_len");
        sync(&mut disk, ino);
        disk.write_direct(ino, &[b'd'; PAGE], 4 * PAGE as u64).expect("write");
        let seen = images(&disk, |d| content(d, "tgt").expect("there")[4 * PAGE]);
        assert_eq!(seen, [0, b'd'].into(), "{profile}");
    }
}

#[test]
fn a_write_through_o_dsync_syncs_its_own_range() {
    for profile in KERNEL {
        let mut disk = base(profile);
        let ino = open(&mut disk, "db");
        disk.write_at(ino, b"1", 0).expect("write");
        disk.write_at(ino, b"2", 4 * PAGE as u64).expect("write");
        disk.write_at(ino, b"3", 5 * PAGE as u64).expect("write");
        disk.write_at(ino, b"9", 6 * PAGE as u64).expect("write");
        let barrier = disk.begin_sync_written(ino, 5 * PAGE as u64, 1);
        disk.complete(barrier);
        let seen = images(&disk, |d| {
            let bytes = content(d, "db").expect("there");
            (bytes[0], bytes[4 * PAGE], bytes[5 * PAGE])
        });
        let others = [(b'1', b'2'), (b'1', 0), (b'o', b'2'), (b'o', 0)];
        assert_eq!(seen, others.map(|(a, b)| (a, b, b'3')).into(), "{profile}");
        let lens = images(&disk, |d| content(d, "db").expect("there").len());
        assert!(lens.contains(&(5 * PAGE + 1)), "{profile}: not what is beyond it: {lens:?}");
    }
}

/// What of two files may be lost whose bytes were overwritten past the page cache, one without and
/// then one with `O_DSYNC`; `direct` says whether the second one is past the cache as well.
fn lost_behind_a_written_sync(profile: Profile, direct: bool) -> BTreeSet<String> {
    let mut disk = base(profile);
    // Zeros that were written are as good as other bytes.
    write(&mut disk, "db", &[0; PAGE], PAGE as u64);
    fsync(&mut disk, "db");
    disk.set_device(Device::default());
    let [cached, synced] = ["tgt", "db"].map(|path| open(&mut disk, path));
    disk.write_direct(cached, &[b'n'; PAGE], 0).expect("write");
    let at = PAGE as u64;
    let barrier = if direct {
        disk.write_direct(synced, &[b's'; PAGE], at).expect("write");
        disk.begin_sync_written_direct(synced, at, at)
    } else {
        disk.write_at(synced, &[b's'; PAGE], at).expect("write");
        disk.begin_sync_written(synced, at, at)
    };
    disk.complete(barrier);
    let first =
        |disk: &Disk, path: &str, at: usize| content(disk, path).expect("there")[at] as char;
    images(&disk, |d| format!("{}{}", first(d, "tgt", 0), first(d, "db", PAGE)))
}

#[test]
fn an_overwrite_through_o_direct_and_o_dsync_flushes_nothing_but_itself() {
    for profile in [Profile::EXT4, Profile::XFS, Profile::POSIX, Profile::RAW] {
        assert!(Device::default().volatile_cache, "what a flush is for");
        let with_fua = lost_behind_a_written_sync(profile, true);
        assert_eq!(with_fua, set(&["os", "ns"]), "{profile}");
        let with_flush = lost_behind_a_written_sync(profile, false);
        assert_eq!(with_flush, set(&["ns"]), "{profile}");
    }
}

#[test]
fn what_was_cut_off_comes_back_except_on_ext4_with_ordered_data() {
    for profile in [Profile::EXT4, Profile::EXT4_WRITEBACK, Profile::XFS, Profile::BTRFS] {
        let mut disk = base(profile);
        let ino = open(&mut disk, "tgt");
        disk.set_len(ino, 10).expect("set_len");
        disk.set_len(ino, 20).expect("set_len");
        disk.commit();
        let seen = images(&disk, |d| content(d, "tgt").expect("there")[15]);
        let want: &[u8] = if profile == Profile::EXT4 { &[0] } else { &[0, b'o'] };
        assert_eq!(seen, want.iter().copied().collect(), "{profile}");
    }
}

#[test]
fn cutting_a_block_that_is_not_there_does_not_bring_its_data_on_ext4() {
    let mut disk = base(Profile::EXT4);
    write(&mut disk, "db", &[b'n'; 20], 4 * PAGE as u64);
    let ino = open(&mut disk, "db");
    disk.set_len(ino, 4 * PAGE as u64 + 10).expect("set_len");
    disk.commit();
    let seen = images(&disk, |d| content(d, "db").expect("there")[4 * PAGE]);
    assert_eq!(seen, [0, b'n'].into());
}

#[test]
fn btrfs_has_both_names_after_a_rename_of_which_one_directory_was_synced() {
    let mut disk = base_with_dirs(Profile::BTRFS);
    disk.rename("a/f", "b/f").expect("rename");
    sync_dir(&mut disk, "b");
    assert_eq!(shapes(&disk, &["a/f", "b/f"]), set(&["- 1x", "1x 1x"]));
    let mut disk = base_with_dirs(Profile::BTRFS);
    disk.hard_link("a/f", "b/f").expect("link");
    disk.remove_file("a/f").expect("unlink");
    sync_dir(&mut disk, "a");
    assert!(shapes(&disk, &["a/f", "b/f"]).contains("- -"), "nobody looks for the other name");
}

#[test]
fn btrfs_logs_a_name_with_any_length_that_the_file_had() {
    let mut disk = base(Profile::BTRFS);
    let ino = open(&mut disk, "tgt");
    disk.set_len(ino, 0).expect("set_len");
    disk.write_at(ino, b"new", 0).expect("write");
    disk.rename("tgt", "moved").expect("rename");
    sync_dir(&mut disk, "");
    let seen = shapes(&disk, &["moved"]);
    assert!(seen.contains("3o") && seen.contains("8192o"), "{seen:?}");
}

#[test]
fn a_name_of_a_file_in_btrfs_log_changes_out_of_order() {
    for (is_synced, is_free) in [(false, false), (true, true)] {
        let mut disk = base(Profile::BTRFS);
        if is_synced {
            fsync(&mut disk, "tgt");
        }
        write(&mut disk, "earlier", b"", 0);
        disk.rename("tgt", "moved").expect("rename");
        let seen = shapes(&disk, &["earlier", "tgt", "moved"]);
        assert_eq!(seen.contains("- - 8192o"), is_free, "{seen:?}");
    }
}

#[test]
fn btrfs_may_forget_what_was_synced_of_a_replaced_file_that_is_synced_again() {
    let mut disk = base(Profile::BTRFS);
    let old = open(&mut disk, "tgt");
    disk.write_at(old, &[b'1'; 2 * PAGE], 0).expect("write");
    sync(&mut disk, old);
    disk.rename("db", "tgt").expect("rename");
    assert!(!shapes(&disk, &["tgt"]).contains("8192o"), "so far it is durable");
    sync(&mut disk, old);
    let seen = shapes(&disk, &["tgt", "db"]);
    assert!(seen.contains("8192o 16384o"), "the last commit has the old bytes: {seen:?}");
    assert!(seen.contains("- 16384o"), "nor is the name there for sure: {seen:?}");
}

#[test]
fn a_name_that_btrfs_log_took_from_another_file_goes_back_to_it() {
    // "db" is synced under the name of "tgt", which is the last that the last commit knows there.
    let mut disk = base(Profile::BTRFS);
    let db = open(&mut disk, "db");
    sync(&mut disk, db);
    disk.rename("db", "tgt").expect("rename");
    sync(&mut disk, db);
    assert_eq!(shapes(&disk, &["tgt", "db"]), set(&["16384o -"]));
    // Synced under its old name again, it is no longer there; whether "tgt" is gone, is open.
    disk.rename("tgt", "db").expect("rename");
    sync(&mut disk, db);
    assert_eq!(shapes(&disk, &["tgt", "db"]), set(&["- 16384o", "8192o 16384o"]));
    disk.commit();
    assert_eq!(shapes(&disk, &["tgt", "db"]), set(&["- 16384o"]), "a commit is for good");
}

#[test]
fn a_logged_file_takes_a_name_without_what_the_name_stood_for_before() {
    let mut disk = base(Profile::BTRFS);
    fsync(&mut disk, "db");
    disk.rename("tgt", "other").expect("rename");
    disk.rename("db", "other").expect("rename");
    let seen = shapes(&disk, &["tgt", "db", "other"]);
    assert!(seen.contains("8192o - 16384o"), "the first rename is not in the log: {seen:?}");
}

#[test]
fn a_length_that_was_taken_back_before_it_was_allocated_commits_nothing() {
    for (profile, covers) in [(Profile::EXT4, false), (Profile::EXT4_NODELALLOC, true)] {
        let mut disk = base(profile);
        let ino = open(&mut disk, "tgt");
        disk.set_len(ino, 0).expect("set_len");
        sync(&mut disk, ino);
        disk.write_at(ino, b"x", 0).expect("write");
        disk.rename("tgt", "moved").expect("rename");
        disk.set_len(ino, 0).expect("set_len");
        sync_data(&mut disk, ino);
        let seen = shapes(&disk, &["tgt", "moved"]);
        assert_eq!(!seen.contains("0 -"), covers, "{profile}: {seen:?}");
    }
}

#[test]
fn a_block_that_was_cut_off_has_no_bytes_to_hide_when_it_is_cut_again() {
    let mut disk = base(Profile::EXT4);
    let ino = open(&mut disk, "db");
    disk.set_len(ino, 0).expect("set_len");
    disk.write_at(ino, &[b'n'; PAGE + 500], 0).expect("write");
    disk.set_len(ino, PAGE as u64 + 100).expect("set_len");
    disk.commit();
    let seen = images(&disk, |disk| {
        let bytes = content(disk, "db").expect("there");
        (bytes.len(), bytes.iter().all(|byte| *byte == 0))
    });
    assert!(seen.contains(&(PAGE + 100, true)), "{seen:?}");
}

#[test]
fn btrfs_may_miss_that_a_logged_file_was_unlinked() {
    for (is_logged, may_stay) in [(false, false), (true, true)] {
        let mut disk = base(Profile::BTRFS);
        disk.hard_link("tgt", "other").expect("link");
        let ino = open(&mut disk, "other");
        if is_logged {
            sync(&mut disk, ino);
        }
        disk.remove_file("tgt").expect("unlink");
        sync(&mut disk, ino);
        let seen = shapes(&disk, &["tgt", "other"]);
        assert!(seen.contains("- 8192o"), "{seen:?}");
        assert_eq!(seen.contains("8192o 8192o"), may_stay, "{seen:?}");
    }
}

#[test]
fn a_logged_file_takes_its_length_along_when_it_is_renamed() {
    let mut disk = base(Profile::BTRFS);
    let ino = open(&mut disk, "tgt");
    sync(&mut disk, ino);
    write(&mut disk, "earlier", b"", 0);
    disk.set_len(ino, 0).expect("set_len");
    disk.rename("tgt", "moved").expect("rename");
    let seen = shapes(&disk, &["earlier", "tgt", "moved"]);
    assert!(seen.contains("- - 0"), "both before what came earlier: {seen:?}");
}

#[test]
fn btrfs_may_lose_a_displaced_file_that_was_moved_into_a_new_directory() {
    for new_dir in [false, true] {
        let mut disk = base_with_dirs(Profile::BTRFS);
        disk.create_dir("c").expect("mkdir");
        let to = if new_dir { "c/f" } else { "b/f" };
        disk.rename("a/f", to).expect("rename");
        let ino = disk.open("a/f", RWC).expect("created");
        disk.write_at(ino, b"n", 0).expect("write");
        sync(&mut disk, ino);
        let seen = shapes(&disk, &["a/f", to]);
        assert_eq!(seen.contains("1n -"), new_dir, "{seen:?}");
    }
}

#[test]
fn what_a_log_holds_outlives_the_process() {
    let legal = |crashes: bool| {
        let mut disk = base(Profile::BTRFS);
        fsync(&mut disk, "tgt");
        if crashes {
            disk.process_crash();
        }
        write(&mut disk, "earlier", b"", 0);
        disk.rename("tgt", "moved").expect("rename");
        shapes(&disk, &["earlier", "tgt", "moved"])
    };
    assert_eq!(legal(true), legal(false));
}

#[test]
fn no_directories_are_lost_in_each_other() {
    for profile in Profile::ALL {
        let mut disk = Disk::with_profile(profile);
        disk.create_dir("a").expect("mkdir");
        disk.create_dir("b").expect("mkdir");
        sync_dir(&mut disk, "");
        for (from, to) in [("a", "b/a"), ("b/a", "c"), ("b", "c/b")] {
            disk.rename(from, to).expect("rename");
        }
        let roots = images(&disk, |disk| disk.read_dir("").expect("the root").len());
        assert!(!roots.contains(&0), "{profile}: {roots:?}");
    }
}

#[test]
fn a_directory_that_was_removed_with_pending_names_survives_a_power_loss() {
    for profile in Profile::ALL {
        let mut disk = base_with_dirs(profile);
        disk.remove_file("a/f").expect("unlink");
        disk.remove_dir("a").expect("rmdir");
        assert!(shapes(&disk, &["a/f"]).contains("-"), "{profile}");
    }
}

/// An operation of the property test, on files `a`, `b` and `c`.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Write { file: usize, at: u64 },
    SetLen { file: usize, len: u64 },
    Rename { from: usize, to: usize },
    Remove { file: usize },
    Sync { file: usize },
    SyncData { file: usize },
    SyncDir,
    Commit,
}

const FILES: [&str; 3] = ["a", "b", "c"];

pub(super) fn step() -> impl Strategy<Value = Step> {
    let file = || 0..FILES.len();
    prop_oneof![
        4 => (file(), prop_oneof![Just(0), Just(10), Just(PAGE as u64 - 2)])
            .prop_map(|(file, at)| Step::Write { file, at }),
        1 => (file(), 0..20u64).prop_map(|(file, len)| Step::SetLen { file, len }),
        2 => (file(), file()).prop_map(|(from, to)| Step::Rename { from, to }),
        1 => file().prop_map(|file| Step::Remove { file }),
        1 => file().prop_map(|file| Step::Sync { file }),
        1 => file().prop_map(|file| Step::SyncData { file }),
        1 => Just(Step::SyncDir),
        1 => Just(Step::Commit),
    ]
}

/// Does a step; what cannot be done (a missing file) is not.
pub(super) fn perform(disk: &mut Disk, step: &Step, fill: u8) {
    match step {
        Step::Write { file, at } => write(disk, FILES[*file], &[fill; 4], *at),
        Step::SetLen { file, len } => {
            let ino = open(disk, FILES[*file]);
            disk.set_len(ino, *len).expect("set_len");
            disk.close(ino);
        }
        Step::Rename { from, to } => {
            let _ = disk.rename(FILES[*from], FILES[*to]);
        }
        Step::Remove { file } => {
            let _ = disk.remove_file(FILES[*file]);
        }
        Step::Sync { file } => fsync(disk, FILES[*file]),
        Step::SyncData { file } => {
            let ino = open(disk, FILES[*file]);
            sync_data(disk, ino);
            disk.close(ino);
        }
        Step::SyncDir => sync_dir(disk, ""),
        Step::Commit => disk.commit(),
    }
}

/// All that can be seen: of each file its length and the bytes that are not 0.
fn view(disk: &Disk) -> String {
    let file = |name: &str| {
        let Some(bytes) = content(disk, name) else { return "-".to_owned() };
        let written = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0);
        let written: Vec<_> = written.map(|(at, byte)| format!("{at}={}", *byte as char)).collect();
        format!("{} {}", bytes.len(), written.join(","))
    };
    FILES.map(file).join(" | ")
}

proptest! {
    /// Whatever was done, under every profile: sampling reaches all legal images and no others
    /// (checked by `images`), the disk as it is is one of them, and a sync only takes images away.
    #[test]
    fn images_are_the_same_however_they_are_reached(
        steps in prop::collection::vec(step(), 1..6),
        // The others have too many sectors to go through all of their sets.
        profile in prop::sample::select(Profile::ALL[..7].to_vec()),
    ) {
        // Sampling tears any number of writes, exploring one.
        let mut disk = Disk::with_profile(Profile { tears: false, ..profile });
        for (fill, step) in (b'1'..).zip(&steps) {
            let before = images(&disk, view);
            perform(&mut disk, step, fill);
            let now = images(&disk, view);
            prop_assert!(now.contains(&view(&disk)), "{profile}: {steps:?}");
            let syncs = matches!(step, Step::Sync { .. } | Step::SyncData { .. });
            // A log tree takes what was synced out of the order that held before.
            let keeps_order = profile.names != NameOrder::LogTree;
            if syncs && keeps_order && before.contains(&view(&disk)) {
                prop_assert!(now.is_subset(&before), "{profile}: {steps:?}");
            }
        }
        disk.sync_all();
        prop_assert_eq!(images(&disk, view).len(), 1, "{}: {:?}", profile, steps);
    }
}
