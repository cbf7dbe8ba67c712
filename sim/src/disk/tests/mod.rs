//! The model's rules, one test each: what a power loss may and may not take.

mod distinct;
mod errors;
mod log_tree;
mod media;
mod posix;
mod profiles;
mod reach;
mod unstable;

use std::collections::BTreeSet;

use seedbed_env::OpenOptions;

use super::{Bounds, Disk, Ino, SyncKind};

pub(super) const RWC: OpenOptions = OpenOptions::read_write_create();

/// Every image a power loss can leave, as what `look` sees of it.
pub(super) fn images<T: Ord + std::fmt::Debug>(
    disk: &Disk,
    look: impl Fn(&Disk) -> T,
) -> BTreeSet<T> {
    let (mut seen, pending) = (BTreeSet::new(), disk.pending());
    let count = pending.images(Bounds::default(), |image| {
        seen.insert(look(&image.disk()));
        true
    });
    assert!(count.exhaustive, "tests look at all images");
    assert_eq!(seen, sampled(disk, look), "sampling reaches all legal images and no others");
    seen
}

/// The same by going through all answers of a power loss.
fn sampled<T: Ord>(disk: &Disk, look: impl Fn(&Disk) -> T) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    let mut answers: Vec<u64> = Vec::new();
    loop {
        // Odometer over all answers: replay the prefix, then 0s, remembering each bound.
        let (mut at, mut bounds) = (0, Vec::new());
        let image = disk.crash_image(&mut |_: &'static str, bound: u64| {
            bounds.push(bound);
            at += 1;
            answers.get(at - 1).copied().unwrap_or(0)
        });
        seen.insert(look(&image));
        answers.resize(bounds.len(), 0);
        while let Some(last) = answers.pop() {
            if last + 1 < bounds[answers.len()] {
                answers.push(last + 1);
                break;
            }
        }
        if answers.is_empty() {
            return seen;
        }
    }
}

pub(super) fn content(disk: &Disk, path: &str) -> Option<Vec<u8>> {
    let mut disk = disk.clone();
    let ino = disk.open(path, OpenOptions::reading()).ok()?;
    let mut bytes = vec![0; disk.len(ino) as usize];
    assert_eq!(disk.read_at(ino, &mut bytes, 0), bytes.len());
    Some(bytes)
}

pub(super) fn text(disk: &Disk, path: &str) -> String {
    content(disk, path)
        .map_or("-".into(), |bytes| String::from_utf8(bytes).expect("text").replace('\0', "0"))
}

/// A durable file with the given bytes.
pub(super) fn durable(disk: &mut Disk, path: &str, bytes: &[u8]) -> Ino {
    let ino = disk.open(path, RWC).expect("open");
    assert_eq!(disk.write_at(ino, bytes, 0).expect("write"), bytes.len());
    sync(disk, ino);
    sync_dir(disk, "");
    ino
}

pub(super) fn sync(disk: &mut Disk, ino: Ino) {
    let barrier = disk.begin_sync(ino, SyncKind::All);
    disk.complete(barrier);
}

pub(super) fn sync_dir(disk: &mut Disk, path: &str) {
    let barrier = disk.begin_sync_dir(path).expect("a directory");
    disk.complete(barrier);
}

pub(super) fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(ToString::to_string).collect()
}

pub(super) fn sync_data(disk: &mut Disk, ino: Ino) {
    let barrier = disk.begin_sync(ino, SyncKind::Data);
    disk.complete(barrier);
}
