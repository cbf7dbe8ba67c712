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
