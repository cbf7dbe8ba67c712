//! Directories in btrfs' log, as crash images of Linux 6.18 show them.

use seedbed_faults::Profile;

use super::profiles::{base_with_dirs, fsync, open, shapes, write};
use super::{set, sync, sync_dir};

#[test]
fn a_sync_of_a_file_says_nothing_of_the_new_name_of_its_directory() {
    let mut disk = base_with_dirs(Profile::BTRFS);
    disk.rename("a", "c").expect("rename");
    write(&mut disk, "c/new", b"x", 0);
    fsync(&mut disk, "c/new");
    let seen = shapes(&disk, &["a/f", "a/new", "c/f", "c/new"]);
    assert_eq!(seen, set(&["1x 1x - -", "- - 1x 1x"]), "in either place, and never in both");
    // A directory that the last commit does not know is in the log with its name.
    disk.create_dir("d").expect("create");
    write(&mut disk, "d/g", b"y", 0);
    fsync(&mut disk, "d/g");
    assert_eq!(shapes(&disk, &["d/g"]), set(&["1y"]));
}

#[test]
fn a_sync_of_an_unlinked_file_may_bring_the_new_name_of_its_directory_before_older_changes() {
    let mut disk = base_with_dirs(Profile::BTRFS);
    let file = open(&mut disk, "a/f");
    write(&mut disk, "b/earlier", b"x", 0);
    disk.rename("a", "c").expect("rename");
    disk.remove_file("c/f").expect("unlink");
    disk.write_at(file, b"z", 0).expect("write");
    sync(&mut disk, file);
    let dirs = |disk: &crate::disk::Disk| {
        let is_dir = |path: &str| disk.read_dir(path).is_ok();
        (is_dir("a"), is_dir("c"), disk.resolve("b/earlier").is_ok())
    };
    let seen = super::images(&disk, dirs);
    assert!(seen.contains(&(false, true, false)), "{seen:?}");
    assert!(!seen.contains(&(true, true, false)), "a directory moves as one: {seen:?}");
    assert!(!seen.contains(&(false, false, false)), "{seen:?}");
}

#[test]
fn a_name_that_a_directory_sync_logged_may_be_gone_before_what_replaces_it() {
    let mut disk = base_with_dirs(Profile::BTRFS);
    write(&mut disk, "b/new", b"n", 0);
    sync_dir(&mut disk, "b");
    let seen = shapes(&disk, &["a/f", "b/new"]);
    assert!(!seen.contains("1x -"), "it is durable so far: {seen:?}");
    disk.rename("a/f", "b/new").expect("rename");
    let seen = shapes(&disk, &["a/f", "b/new"]);
    assert!(seen.contains("1x -") && seen.contains("- 1x"), "{seen:?}");
}

#[test]
fn a_name_in_the_log_that_is_changed_again_may_be_what_the_last_commit_has_or_gone() {
    let mut disk = base_with_dirs(Profile::BTRFS);
    let new = open(&mut disk, "b/new");
    disk.rename("b/new", "a/f").expect("rename");
    sync(&mut disk, new);
    let seen = shapes(&disk, &["a/f", "b/g"]);
    assert_eq!(seen, set(&["0 -"]), "the log has it in the other's place");
    disk.rename("a/f", "b/g").expect("rename");
    let seen = shapes(&disk, &["a/f", "b/g"]);
    assert_eq!(seen, set(&["0 -", "0 0", "1x 0", "- 0"]), "never in neither place");
    let mut unlinked = disk.clone();
    disk.commit();
    assert_eq!(shapes(&disk, &["a/f", "b/g"]), set(&["- 0"]));
    sync(&mut unlinked, new);
    unlinked.remove_file("b/g").expect("unlink");
    assert!(shapes(&unlinked, &["a/f", "b/g"]).contains("1x -"), "unlinked it may be");
}

#[test]
fn a_synced_file_that_was_replaced_and_is_in_a_new_directory_may_be_lost() {
    let mut disk = base_with_dirs(Profile::BTRFS);
    write(&mut disk, "b/other", b"o", 0);
    disk.sync_all();
    let file = open(&mut disk, "a/f");
    disk.create_dir("c").expect("create");
    disk.hard_link("a/f", "c/g").expect("link");
    assert!(shapes(&disk, &["a/f", "c/g"]).iter().all(|seen| seen.starts_with("1x")));
    disk.rename("b/other", "a/f").expect("rename");
    sync(&mut disk, file);
    let seen = shapes(&disk, &["a/f", "c/g"]);
    assert!(seen.contains("1o -"), "it is nowhere: {seen:?}");
}

/// What stores rely on when they replace a file twice between two commits.
#[test]
fn a_synced_file_replaces_a_name_in_the_log_as_one() {
    let mut disk = base_with_dirs(Profile::BTRFS);
    for generation in [b"1", b"2"] {
        write(&mut disk, "a/tmp", generation, 0);
        fsync(&mut disk, "a/tmp");
        disk.rename("a/tmp", "a/now").expect("rename");
        if generation == b"1" {
            sync_dir(&mut disk, "a");
        }
    }
    let seen = shapes(&disk, &["a/now"]);
    assert_eq!(seen, set(&["11", "12"]), "the old one or the new one");
}

#[test]
fn a_renamed_directory_that_is_replaced_may_be_back_where_the_last_commit_has_it() {
    let mut disk = base_with_dirs(Profile::BTRFS);
    disk.rename("b", "c").expect("rename");
    sync_dir(&mut disk, "c");
    let dirs = |disk: &crate::disk::Disk| {
        ["a", "b", "c"].map(|path| disk.read_dir(path).ok().map(|names| names.len()))
    };
    let seen = super::images(&disk, dirs);
    assert_eq!(seen, [[Some(1), None, Some(0)]].into(), "it is synced");
    disk.rename("a", "c").expect("rename");
    let seen = super::images(&disk, dirs);
    assert!(seen.contains(&[Some(1), Some(0), None]), "{seen:?}");
    assert!(!seen.contains(&[Some(1), Some(0), Some(0)]), "it is in one place: {seen:?}");
    disk.commit();
    assert_eq!(super::images(&disk, dirs), [[None, None, Some(1)]].into());
}
