//! What a participant's kernel says to rows, and to decisions.

use super::*;

const ZERO: Gid = Gid { incarnation: 0, number: 0 };

type Texts<'a> = (i64, Option<&'a str>, Option<&'a str>);

fn rows(all: &[Texts<'_>]) -> Rows {
    let mut rows = Rows::new();
    for (id, left, right) in all {
        rows.push(&narrow(), &narrow_row(*id, *left, *right)).unwrap();
    }
    rows
}

fn check_rows(desk: &Desk, expected: &[Texts<'_>]) {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let expected: Vec<_> =
        expected.iter().map(|(id, left, right)| (*id, owned(*left), owned(*right))).collect();
    assert_eq!(desk.rows(), expected);
}

/// What is in the table, what comes in one transaction, and what is in it then: or which row is
/// rejected.
fn check(
    mode: WriteMode,
    before: &[Texts<'_>],
    new: &[Texts<'_>],
    then: Result<&[Texts<'_>], u32>,
) {
    for two_phases in [true, false] {
        let (mut desk, w) = (Desk::new(narrow()), writer("w"));
        desk.commit_open(WriteMode::Insert, rows(before)).unwrap();
        let voted = match two_phases {
            true => desk.prepare(&w, gid(1, 1), ZERO, mode, rows(new)),
            false => desk.commit_open(mode, rows(new)),
        };
        match (voted, then) {
            (Ok(()), Ok(then)) => {
                if two_phases {
                    check_rows(&desk, before);
                    let done = desk.decide(&w, gid(1, 1), Decision::Commit, false);
                    assert_eq!(done, Outcome::Done);
                }
                check_rows(&desk, then);
            }
            (Err(No::Rejected { row, reason }), Err(rejected)) => {
                assert_eq!(row, rejected);
                assert!(reason.contains("narrow has a row with the key"), "{reason}");
                check_rows(&desk, before);
            }
            (voted, then) => panic!("{mode:?}: {voted:?}, not {then:?}"),
        }
        // No key is held any more.
        desk.commit_open(WriteMode::Replace, rows(&[(1, None, None), (2, None, None)])).unwrap();
    }
}

#[test]
fn insert_takes_new_keys_only() {
    let insert = WriteMode::Insert;
    let one = (1, Some("a"), None);
    check(insert, &[], &[one, (2, None, None)], Ok(&[one, (2, None, None)]));
    check(insert, &[one], &[(2, None, None), (1, None, None)], Err(1));
    check(insert, &[], &[(2, None, None), one, (1, Some("b"), None)], Err(2));
    check(insert, &[one], &[(1, None, None), (1, None, None)], Err(0));
}

#[test]
fn upsert_keeps_what_is_null_in_the_new_row() {
    let upsert = WriteMode::Upsert;
    let (a, b) = (Some("a"), Some("b"));
    check(upsert, &[], &[(1, a, None)], Ok(&[(1, a, None)]));
    check(upsert, &[(1, a, None)], &[(1, None, b)], Ok(&[(1, a, b)]));
    check(upsert, &[(1, a, b)], &[(1, None, None)], Ok(&[(1, a, b)]));
    check(upsert, &[(1, a, b)], &[(1, b, Some(""))], Ok(&[(1, b, Some(""))]));
    // Within one transaction, one after the other, also onto what is stored.
    check(upsert, &[], &[(1, a, None), (2, b, None), (1, None, b)], Ok(&[(1, a, b), (2, b, None)]));
    check(upsert, &[(1, a, a)], &[(1, b, None), (1, None, b), (1, None, a)], Ok(&[(1, b, a)]));
}

#[test]
fn replace_leaves_nothing_of_the_old_row() {
    let replace = WriteMode::Replace;
    let (a, b) = (Some("a"), Some("b"));
    check(replace, &[(1, a, b)], &[(1, None, None)], Ok(&[(1, None, None)]));
    check(replace, &[], &[(1, a, None), (1, None, b)], Ok(&[(1, None, b)]));
}

#[test]
fn a_key_that_is_held_is_a_conflict_in_every_mode_and_for_everybody() {
    let modes = [WriteMode::Insert, WriteMode::Upsert, WriteMode::Replace];
    for (holds, comes) in modes.into_iter().flat_map(|mode| modes.map(|other| (mode, other))) {
        let mut desk = Desk::new(narrow());
        let (w, other) = (writer("w"), writer("other"));
        let (one, two) = ((1, None, None), (2, None, None));
        desk.prepare(&w, gid(1, 1), ZERO, holds, rows(&[one])).unwrap();
        for _ in 0..2 {
            let voted = desk.prepare(&other, gid(1, 1), ZERO, comes, rows(&[two, one]));
            assert_eq!(voted, Err(No::Conflict));
            let voted = desk.prepare(&w, gid(1, 2), ZERO, comes, rows(&[one]));
            assert_eq!(voted, Err(No::Conflict));
            assert_eq!(desk.commit_open(comes, rows(&[one])), Err(No::Conflict));
            // After a start as well.
            desk.kernel = desk.memory.recover(&desk.schema);
        }
        // What was taken before the conflict was given back.
        desk.prepare(&other, gid(1, 2), ZERO, comes, rows(&[two])).unwrap();
        assert_eq!(desk.decide(&w, gid(1, 1), Decision::Abort, false), Outcome::Done);
        desk.commit_open(comes, rows(&[one])).unwrap();
    }
}

#[test]
fn names_are_used_once() {
    let (mut desk, w) = (Desk::new(narrow()), writer("w"));
    let prepare = |desk: &mut Desk, number, finished, id| {
        desk.prepare(&w, gid(1, number), finished, WriteMode::Insert, rows(&[(id, None, None)]))
    };
    prepare(&mut desk, 1, ZERO, 1).unwrap();
    assert!(matches!(prepare(&mut desk, 1, ZERO, 2), Err(No::Unable { .. })));
    desk.decide(&writer("w"), gid(1, 1), Decision::Commit, false);
    assert!(matches!(prepare(&mut desk, 1, ZERO, 3), Err(No::Unable { .. })));
    prepare(&mut desk, 9, gid(1, 9), 4).unwrap();
    assert!(matches!(prepare(&mut desk, 8, ZERO, 5), Err(No::Unable { .. })), "it was finished");
}

#[test]
fn answers_to_decisions_stay_the_same_until_they_are_finished() {
    let (mut desk, w) = (Desk::new(narrow()), writer("w"));
    let (commit, abort) = (Decision::Commit, Decision::Abort);
    let (done, missing) = (Outcome::Done, Outcome::Missing);
    for number in 1..4 {
        let row = rows(&[(number as i64, None, None)]);
        desk.prepare(&w, gid(1, number), ZERO, WriteMode::Insert, row).unwrap();
    }
    for _ in 0..2 {
        assert_eq!(desk.decide(&w, gid(1, 1), commit, false), done);
        assert_eq!(desk.decide(&w, gid(1, 1), abort, false), Outcome::Heuristic(commit));
        assert_eq!(desk.decide(&w, gid(1, 2), abort, false), done);
        assert_eq!(desk.decide(&w, gid(1, 2), commit, false), missing);
        assert_eq!(desk.decide(&w, gid(7, 7), commit, false), missing);
        assert_eq!(desk.decide(&w, gid(7, 7), abort, false), done);
        // Another writer's of the same name is another one.
        assert_eq!(desk.decide(&writer("v"), gid(1, 1), commit, false), missing);
        desk.kernel = desk.memory.recover(&desk.schema);
    }
    desk.prepare(&w, gid(1, 5), gid(1, 3), WriteMode::Insert, rows(&[(5, None, None)])).unwrap();
    assert!(!desk.memory.0.keys().any(|key| key[0] == b'c'), "the mark is gone");
    assert_eq!(desk.decide(&w, gid(1, 1), commit, false), done);
    assert_eq!(desk.decide(&w, gid(1, 3), commit, false), done, "a prepared one is never finished");
    check_rows(&desk, &[(1, None, None), (3, None, None)]);
}

#[test]
fn what_a_person_decided_is_listed_until_the_coordinator_knows() {
    let (commit, abort) = (Decision::Commit, Decision::Abort);
    let insert = WriteMode::Insert;
    for (by_hand, asked) in [(commit, commit), (commit, abort), (abort, commit), (abort, abort)] {
        let (mut desk, w) = (Desk::new(narrow()), writer("w"));
        desk.prepare(&w, gid(1, 1), ZERO, insert, rows(&[(1, None, None)])).unwrap();
        desk.decide(&w, gid(1, 1), by_hand, true);
        let expected: &[Texts<'_>] = if by_hand == commit { &[(1, None, None)] } else { &[] };
        check_rows(&desk, expected);
        assert!(!desk.kernel.is_prepared(&w, gid(1, 1)));
        desk.commit_open(WriteMode::Replace, rows(&[(1, None, None)])).unwrap();
        // It is not finished before it is told, though nobody will ask again.
        desk.prepare(&w, gid(1, 5), gid(1, 4), insert, rows(&[(5, None, None)])).unwrap();
        let outcome = match by_hand == asked {
            true => Outcome::Done,
            false => Outcome::Heuristic(by_hand),
        };
        for _ in 0..2 {
            desk.kernel = desk.memory.recover(&desk.schema);
            assert_eq!(desk.kernel.list(&w), [gid(1, 1), gid(1, 5)]);
        }
        for _ in 0..2 {
            assert_eq!(desk.decide(&w, gid(1, 1), asked, false), outcome);
        }
        if by_hand != asked {
            assert_eq!(desk.kernel.list(&w), [gid(1, 1), gid(1, 5)], "damage is not reported yet");
            desk.forget(&w, gid(1, 1));
        }
        assert_eq!(desk.kernel.list(&w), [gid(1, 5)]);
        desk.kernel = desk.memory.recover(&desk.schema);
        assert_eq!(desk.kernel.list(&w), [gid(1, 5)]);
        assert_eq!(desk.decide(&w, gid(1, 1), asked, false), outcome, "it is not forgotten");
        desk.prepare(&w, gid(1, 6), gid(1, 5), insert, rows(&[(6, None, None)])).unwrap();
        assert!(!desk.memory.0.keys().any(|key| key[0] == b'c'), "told and finished, it is gone");
    }
}
