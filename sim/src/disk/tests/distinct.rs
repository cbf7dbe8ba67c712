//! Images that are put together from parts are those of all legal sets.

use std::collections::BTreeSet;

use proptest::prelude::*;
use seedbed_faults::Profile;

use super::profiles::{Step, perform, step};
use super::{Bounds, Disk};

/// The images of all legal sets, each with all tears of one write: the slow way.
fn of_all_sets(disk: &Disk) -> BTreeSet<u128> {
    let (mut seen, pending) = (BTreeSet::new(), disk.pending());
    pending.legal_sets(|kept| {
        pending.tear_each(kept, &pending.first_lost(kept), |tears| {
            seen.insert(pending.image(kept, tears).content_hash());
            true
        })
    });
    seen
}

/// The images that an exploration looks at, and whether it says that these are all.
fn explored(disk: &Disk, bounds: Bounds) -> (BTreeSet<u128>, bool) {
    let (mut seen, pending) = (BTreeSet::new(), disk.pending());
    let count = pending.images(bounds, |image| {
        assert!(pending.is_legal(image.kept));
        assert_eq!(image.hash, image.disk().content_hash(), "a hash is put together from parts");
        let slowly = pending.image(image.kept, image.tears);
        assert_eq!(image.hash, slowly.content_hash(), "the set leaves the image");
        assert_eq!(image.disk().state_hash(), slowly.state_hash(), "in all that there is");
        seen.insert(image.hash);
        true
    });
    (seen, count.exhaustive)
}

fn after(profile: Profile, steps: &[Step]) -> Disk {
    let mut disk = Disk::with_profile(profile);
    (b'1'..).zip(steps).for_each(|(fill, step)| perform(&mut disk, step, fill));
    disk
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whatever was done, under every profile, with tears.
    #[test]
    fn parts_make_exactly_the_images_of_all_legal_sets(
        steps in prop::collection::vec(step(), 1..7),
        profile in prop::sample::select(Profile::ALL.to_vec()),
    ) {
        let disk = after(profile, &steps);
        let (seen, exhaustive) = explored(&disk, Bounds::default());
        prop_assert!(exhaustive);
        prop_assert!(seen == of_all_sets(&disk), "{}: {:?}", profile, steps);
    }

    /// Fewer than all are never called all.
    #[test]
    fn what_stops_short_of_all_images_says_so(
        steps in prop::collection::vec(step(), 1..7),
        profile in prop::sample::select(Profile::ALL.to_vec()),
        images in 1..20_u64,
        flips in 0..2_u32,
    ) {
        let disk = after(profile, &steps);
        let (seen, exhaustive) = explored(&disk, Bounds { images, flips });
        let all = of_all_sets(&disk);
        prop_assert!(seen.is_subset(&all), "{}: {:?}", profile, steps);
        prop_assert!(!exhaustive || seen == all, "{}: {:?}", profile, steps);
    }
}

/// The twin of the properties above: an enumeration that does lose images is seen to lose them.
#[test]
fn an_image_that_only_a_hole_leaves_is_missed_by_prefixes() {
    let steps = [Step::Write { file: 0, at: 0 }, Step::Write { file: 0, at: 4094 }];
    let disk = after(Profile::POSIX, &steps);
    let (seen, exhaustive) = explored(&disk, Bounds { images: 1, flips: 0 });
    let all = of_all_sets(&disk);
    assert!(!exhaustive && seen.is_subset(&all) && seen.len() < all.len());
}

/// Equal bytes, hidden pages and files without a name make no images of their own.
#[test]
fn images_are_counted_once() {
    let mut disk = Disk::with_profile(Profile::POSIX);
    let ino = super::durable(&mut disk, "a", &[b'x'; 100]);
    for _ in 0..10 {
        assert_eq!(disk.write_at(ino, &[b'x'; 100], 0).expect("write"), 100);
    }
    assert_eq!(disk.pending().images(Bounds::default(), |_| true).visited, 1);
    let fresh = disk.open("b", super::RWC).expect("open");
    assert_eq!(disk.write_at(fresh, &[b'y'; 3 * 4096], 0).expect("write"), 3 * 4096);
    // No name; or lengths of 0 to 3 pages, each page there or not, one of them torn or none.
    let ways = |pages: u64| (1 << pages) + pages * (1 << (pages - 1)) * 14;
    let images = 1 + 1 + ways(1) + ways(2) + ways(3);
    assert_eq!(disk.pending().images(Bounds::default(), |_| true).visited, images);
    disk.remove_file("b").expect("unlink");
    assert_eq!(disk.pending().images(Bounds::default(), |_| true).visited, images);
}

/// What is durable costs no more than its hash, however long the file is.
#[test]
fn one_pending_byte_of_a_long_file_makes_two_images() {
    const FAR: u64 = 200 << 20;
    for profile in [Profile::POSIX, Profile::EXT4, Profile::RAW] {
        let mut disk = Disk::with_profile(profile);
        let ino = super::durable(&mut disk, "a", b"start");
        assert_eq!(disk.write_at(ino, b"end", FAR).expect("write"), 3);
        super::sync(&mut disk, ino);
        for offset in [0, FAR] {
            let mut disk = disk.clone();
            assert_eq!(disk.write_at(ino, b"x", offset).expect("write"), 1);
            let (seen, exhaustive) = explored(&disk, Bounds::default());
            assert!(exhaustive && seen.len() == 2, "{profile}: {} images", seen.len());
            assert_eq!(seen, of_all_sets(&disk), "{profile}");
        }
    }
}

/// Units by the thousand, each there or not, are too many images, and that is soon known.
#[test]
fn a_long_pending_write_has_too_many_images() {
    let mut disk = Disk::with_profile(Profile::POSIX);
    let ino = super::durable(&mut disk, "a", &[b'x'; 5000 * 4096]);
    assert_eq!(disk.write_at(ino, &[b'y'; 5000 * 4096], 0).expect("write"), 5000 * 4096);
    let bounds = Bounds { flips: 0, ..Bounds::default() };
    let count = disk.pending().images(bounds, |_| false);
    assert!(!count.exhaustive && count.visited == 1, "{count:?}");
}

/// Of a disk on which nothing is pending there is one image, within any bounds.
#[test]
fn nothing_pending_leaves_one_image() {
    let disk = Disk::with_profile(Profile::POSIX);
    for images in [0, 1] {
        let (seen, exhaustive) = explored(&disk, Bounds { images, flips: 2 });
        assert_eq!((seen.len(), exhaustive), (1, images == 1));
    }
}

/// A log of many pending records, each a write and a length, and a header that counts them.
fn long_log(records: u64) -> Disk {
    let mut disk = Disk::with_profile(Profile::POSIX);
    let header = super::durable(&mut disk, "header", &[0; 8]);
    let log = super::durable(&mut disk, "log", &[]);
    for number in 1..=records {
        disk.set_site(Some(std::panic::Location::caller()));
        let at = (number - 1) * 4096;
        assert_eq!(disk.write_at(log, &[7; 100], at).expect("write"), 100);
        assert_eq!(disk.write_at(header, &number.to_le_bytes(), 0).expect("write"), 8);
    }
    disk
}

/// Thousands of nodes from three source lines: what is looked at grows with them, not with their
/// cube, and every prefix is among it.
#[test]
fn of_many_nodes_representatives_are_looked_at() {
    let bounds = Bounds { images: 100_000, flips: 2 };
    let counts = [200_u64, 400].map(|records| {
        let disk = long_log(records);
        let pending = disk.pending();
        let mut prefixes = BTreeSet::new();
        let count = pending.images(bounds, |image| {
            let end = image.kept.iter().position(|kept| !kept).unwrap_or(pending.len());
            if image.tears.is_empty() && image.kept[end..].iter().all(|kept| !kept) {
                prefixes.insert(end);
            }
            true
        });
        assert!(!count.exhaustive);
        // A header's write and the length before it look the same without the record.
        assert!(prefixes.len() as u64 > 2 * records, "{} prefixes", prefixes.len());
        count.visited
    });
    assert!(counts[1] < 3 * counts[0], "{counts:?}");
}

/// The header stays, and the very first record is lost, or its length, or the last one.
#[test]
fn one_of_many_nodes_out_of_order_is_found() {
    let disk = long_log(300);
    let (pending, full) = (disk.pending(), 299 * 4096 + 100);
    let (mut hole, mut short) = (false, false);
    pending.images(Bounds { images: 1 << 20, flips: 1 }, |image| {
        let disk = image.disk();
        let [header, log] = ["header", "log"].map(|path| disk.resolve(path).expect("durable"));
        let (mut count, mut first) = ([0; 8], [0]);
        disk.read_at(header, &mut count, 0);
        disk.read_at(log, &mut first, 0);
        let len = disk.len(log);
        let all_counted = u64::from_le_bytes(count) == 300;
        hole |= all_counted && len == full && first == [0];
        short |= all_counted && len < full;
        !(hole && short)
    });
    assert!(hole && short, "{hole} {short}");
}
