//! The incremental tree against the definition.

use std::collections::BTreeMap;
use std::slice;

use proptest::prelude::*;
use seedbed_engines::atomic_commit::merkle::{Change, EMPTY, Tree, root_of, state_root};

proptest! {
    #[test]
    fn after_any_puts_and_deletes_the_tree_has_the_root_of_its_entries(
        ops in prop::collection::vec((0_u8..24, prop::option::of(any::<u8>())), 0..200),
    ) {
        let (mut tree, mut entries) = (Tree::default(), BTreeMap::new());
        for (key, value) in ops {
            match value {
                Some(value) => {
                    tree.put(&[key], &[value]);
                    entries.insert([key], [value]);
                }
                None => {
                    let was_there = entries.remove(&[key]).is_some();
                    prop_assert_eq!(tree.delete(&[key]), was_there);
                }
            }
            prop_assert_eq!(tree.root(), root_of(&entries));
            prop_assert_eq!(tree.len(), entries.len() as u64);
        }
    }
}

#[test]
fn ten_thousand_entries_put_and_deleted_leave_nothing() {
    let mut tree = Tree::default();
    for i in 0..10_000_u32 {
        tree.put(&i.to_le_bytes(), b"value");
    }
    let entries = (0..10_000_u32).map(|i| (i.to_le_bytes(), b"value"));
    assert_eq!(tree.root(), root_of(entries));
    for i in 0..10_000_u32 {
        assert!(tree.delete(&i.to_le_bytes()));
    }
    assert!(tree.is_empty());
    assert_eq!(tree.root(), EMPTY);
}

#[test]
fn the_order_of_puts_does_not_matter_and_the_sequence_number_does() {
    let (mut forth, mut back) = (Tree::default(), Tree::default());
    for i in 0..100_u8 {
        forth.put(&[i], &[i]);
        back.put(&[99 - i], &[99 - i]);
    }
    assert_eq!(forth.root(), back.root());
    assert_ne!(state_root(1, &forth.root()), state_root(2, &forth.root()));
}

proptest! {
    /// Whenever roots are asked for and taken, each is that of the entries as they were.
    #[test]
    fn roots_that_are_taken_later_are_those_of_their_states(
        ops in prop::collection::vec((0_u8..24, prop::option::of(any::<u8>()), 0_u8..8), 0..200),
    ) {
        let (mut tree, mut entries, mut wanted) = (Tree::default(), BTreeMap::new(), Vec::new());
        for (key, value, then) in ops {
            match value {
                Some(value) => {
                    tree.put(&[key], &[value]);
                    entries.insert([key], [value]);
                }
                None => {
                    tree.delete(&[key]);
                    entries.remove(&[key]);
                }
            }
            if then > 3 {
                tree.ask_root();
                wanted.push(root_of(&entries));
            }
            if then == 7 {
                prop_assert_eq!(tree.take_roots(), std::mem::take(&mut wanted));
            }
        }
        prop_assert_eq!(tree.take_roots(), wanted);
    }
}

/// More hashes are wanted than are kept.
#[test]
fn roots_of_a_hundred_thousand_entries_are_taken_at_once() {
    let key = |i: u32| i.to_le_bytes();
    let mut tree = Tree::default();
    for i in 0..100_000 {
        tree.put(&key(i), b"value");
        if i % 50_000 == 0 {
            tree.ask_root();
        }
    }
    tree.ask_root();
    let want = [1, 50_001, 100_000].map(|count| root_of((0..count).map(|i| (key(i), b"value"))));
    assert_eq!(tree.take_roots(), want);
}

proptest! {
    /// Changes of one commit are done in another order, but the last one of a key counts.
    #[test]
    fn changes_at_once_are_what_they_are_one_by_one(
        commits in prop::collection::vec(
            prop::collection::vec((0_u8..24, prop::option::of(any::<u8>())), 1..100),
            1..8,
        ),
    ) {
        let (mut tree, mut entries) = (Tree::default(), BTreeMap::new());
        for commit in commits {
            let ops: Vec<_> = commit
                .iter()
                .map(|(key, value)| (slice::from_ref(key), value.as_ref().map(slice::from_ref)))
                .collect();
            tree.change_all(&mut Change::all(&ops));
            for (key, value) in commit {
                match value {
                    Some(value) => drop(entries.insert([key], [value])),
                    None => drop(entries.remove(&[key])),
                }
            }
            prop_assert_eq!(tree.root(), root_of(&entries));
        }
    }
}
