//! A witness is found for every legal image, and for no other.

use proptest::prelude::*;
use seedbed_env::OpenOptions;
use seedbed_faults::Profile;

use super::{RWC, SyncKind};
use crate::disk::{Bounds, Disk, SECTOR};

/// An operation on one of two names, with a number.
fn step(disk: &mut Disk, (kind, name, number): (u8, usize, u8)) {
    let names = ["x", "y"];
    let ino = disk.open(names[name], RWC).expect("open");
    let bytes = [b'a' + number; SECTOR];
    let at = u64::from(number % 3) * SECTOR as u64;
    match kind {
        0 | 1 => drop(disk.write_at(ino, &bytes, at)),
        2 => drop(disk.set_len(ino, at)),
        3 => drop(disk.rename(names[name], names[1 - name])),
        4 => drop(disk.remove_file(names[name])),
        5 => disk.commit(),
        6 => {
            let barrier = disk.begin_sync_written(ino, at, SECTOR as u64);
            disk.complete(barrier);
        }
        _ => {
            let barrier = disk.begin_sync(ino, SyncKind::All);
            disk.complete(barrier);
        }
    }
    disk.close(ino);
}

/// Every image, whether or not a write is torn.
fn all(disk: &Disk) -> Vec<Disk> {
    let (pending, mut found) = (disk.pending(), Vec::new());
    let count = pending.images(Bounds::default(), |image| {
        found.push(image.disk());
        true
    });
    assert!(count.exhaustive, "few operations leave few images");
    found
}

/// What readers see, and whether both names are of one file.
fn look(disk: &Disk) -> (u128, bool) {
    let mut clone = disk.clone();
    let mut ino = |name| clone.open(name, OpenOptions::reading()).ok();
    let (x, y) = (ino("x"), ino("y"));
    (disk.content_hash(), x.is_some() && x == y)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn a_witness_is_found_for_legal_images_and_no_others(
        steps in prop::collection::vec((0_u8..8, 0_usize..2, 0_u8..8), 1..6),
        which in 0_usize..6,
    ) {
        let profile = Profile::ALL[which];
        let mut disk = Disk::with_profile(profile);
        let mut weak = Disk::with_profile(Profile { tears: false, ..Profile::POSIX });
        for &each in &steps {
            step(&mut disk, each);
            step(&mut weak, each);
        }
        let legal: Vec<_> = all(&disk).iter().map(look).collect();
        let pending = disk.pending();
        for image in all(&weak).iter().chain(&all(&disk)) {
            let witness = pending.witness(image);
            let is_legal = legal.contains(&look(image));
            prop_assert_eq!(witness.is_some(), is_legal, "{} {:?}", profile, steps);
            if let Some(witness) = witness {
                let shown = pending.image(&witness.kept, &witness.tears);
                prop_assert_eq!(look(&shown), look(image));
            }
        }
    }
}
