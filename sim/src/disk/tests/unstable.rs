//! Junk is exactly where bytes are open, and a barrier that is added orders what it says.

use super::{RWC, content, durable, images, set, text};
use crate::disk::{Bounds, Disk, Pending};
use seedbed_faults::Profile;

fn posix() -> Disk {
    Disk::with_profile(Profile::POSIX)
}

/// What both files hold, in every image of what is pending.
fn both(pending: &Pending<'_>) -> std::collections::BTreeSet<String> {
    let mut seen = std::collections::BTreeSet::new();
    pending.images(Bounds::default(), |image| {
        let disk = image.disk();
        seen.insert(format!("{}{}", text(&disk, "a"), text(&disk, "b")));
        true
    });
    seen
}

fn two_overwritten() -> Disk {
    let mut disk = posix();
    for name in ["a", "b"] {
        durable(&mut disk, name, b"-");
    }
    for name in ["a", "b"] {
        let ino = disk.open(name, RWC).expect("open");
        disk.write_at(ino, b"x", 0).expect("write");
    }
    disk
}

#[test]
fn an_added_barrier_takes_exactly_the_images_that_it_forbids() {
    let disk = two_overwritten();
    let pending = disk.pending();
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    assert_eq!(both(&pending), texts(&["--", "-x", "x-", "xx"]));
    assert_eq!(both(&pending.with_barrier(&[0], Some(1))), texts(&["--", "x-", "xx"]));
    assert_eq!(both(&pending.with_barrier(&[0], None)), texts(&["x-", "xx"]));
    assert_eq!(both(&pending.with_barrier(&[0, 1], None)), texts(&["xx"]));
    let mut legal = 0;
    pending.with_barrier(&[1], None).legal_sets(|kept| {
        assert!(kept[1]);
        legal += 1;
        true
    });
    assert_eq!(legal, 2);
    assert_eq!(images(&disk, |d| text(d, "a")), set(&["-", "x"]));
}

#[test]
fn junk_leaves_alone_what_is_the_same_in_all_versions() {
    let mut disk = posix();
    durable(&mut disk, "a", b"headold.tail");
    let ino = disk.open("a", RWC).expect("open");
    disk.write_at(ino, b"adnew.ta", 2).expect("write");
    let mut seen = 0;
    disk.pending().spoiled(|_, _, image| {
        let bytes = content(&image, "a").expect("there");
        assert_eq!((&bytes[..4], &bytes[7..]), (&b"head"[..], &b".tail"[..]));
        assert!(&bytes[4..7] != b"new", "{bytes:?}");
        seen += 1;
        true
    });
    assert!(seen > 2, "noise, zeros and words");
    // Written once more as it was: nothing is open.
    let mut disk = posix();
    durable(&mut disk, "a", b"same");
    let ino = disk.open("a", RWC).expect("open");
    disk.write_at(ino, b"same", 0).expect("write");
    disk.pending().spoiled(|_, _, _| panic!("no byte is open"));
}
