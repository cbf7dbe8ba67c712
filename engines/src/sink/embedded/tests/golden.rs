//! Golden bytes: frames of every request and answer, and the entries of a participant's store.

use super::super::super::participant::Vote;
use super::super::wire::{Answer, FrameReader, Request};
use super::*;

// Length, checksum, kind, number; then what it says.
const HELLO: &str = concat!(
    "2d000000 139dca59 01 0b0a0000 ",
    "5345454453494e4b 01000000 11100f0e0d0c0b0a 0200000000000000 0807060504030201 02 772d31",
);
const WRITE: &str = "09000000 38d7dcb6 02 0b0a0000 726f7773";
const PREPARE: &str = concat!(
    "25000000 698edfe6 03 0b0a0000 ",
    "01000000000000000500000000000000 ",
    "01000000000000000200000000000000 ",
);
const OPEN: &str = "05000000 924e6f46 04 0b0a0000";
const COMMIT: &str = concat!(
    "25000000 d9edbf8e 05 0b0a0000 ",
    "01000000000000000200000000000000 ",
    "01000000000000000300000000000000 ",
);
const ABORT: &str = concat!(
    "25000000 ce09fc8a 06 0b0a0000 ",
    "01000000000000000200000000000000 ",
    "01000000000000000300000000000000 ",
);
const FORGET: &str = concat!(
    "25000000 857db09f 09 0b0a0000 ",
    "01000000000000000200000000000000 ",
    "01000000000000000300000000000000 ",
);
const LIST: &str = "05000000 66fe5c0e 07 0b0a0000";
const PING: &str = "05000000 b3fb4d63 08 0b0a0000";
const WELCOME: &str = "05000000 20f56aa9 41 0b0a0000";
const YES: &str = "06000000 a07cd546 42 0b0a0000 00";
const CONFLICT: &str = "06000000 a3ffbeb4 42 0b0a0000 01";
const REJECTED: &str = "0d000000 2a34fd10 42 0b0a0000 0202010000776879";
const UNABLE: &str = "09000000 572e11d4 42 0b0a0000 03776879";
const OUTCOMES: &str = "09000000 132b88e5 43 0b0a0000 00010203";
const GIDS: &str = concat!(
    "25000000 9dda8466 44 0b0a0000 ",
    "01000000000000000200000000000000 ",
    "03000000000000000400000000000000 ",
);
const PONG: &str = "05000000 904b2f49 45 0b0a0000";
const FENCED: &str = "0d000000 2c1373b2 46 0b0a0000 0700000000000000";
const REFUSED: &str = "08000000 3a470217 47 0b0a0000 776879";

fn hello() -> Request {
    Request::Hello {
        version: 1,
        writer: "w-1".to_owned(),
        identity: 0x0a0b_0c0d_0e0f_1011,
        incarnation: 2,
        schema: 0x0102_0304_0506_0708,
        mode: WriteMode::Upsert,
    }
}

fn requests() -> Vec<(Request, &'static str)> {
    let gids = vec![gid(1, 2), gid(1, 3)];
    let (commit, abort) = (Decision::Commit, Decision::Abort);
    vec![
        (hello(), HELLO),
        (Request::Write(b"rows".to_vec()), WRITE),
        (Request::Prepare { gid: gid(1, 5), finished: gid(1, 2) }, PREPARE),
        (Request::CommitOpen, OPEN),
        (Request::Decide { decision: commit, gids: gids.clone() }, COMMIT),
        (Request::Decide { decision: abort, gids: gids.clone() }, ABORT),
        (Request::Forget { gids }, FORGET),
        (Request::List, LIST),
        (Request::Ping, PING),
    ]
}

fn answers() -> Vec<(Answer, &'static str)> {
    let no = |no| Answer::Vote(Vote::No(no));
    let by = |decision| Outcome::Heuristic(decision);
    let outcomes = vec![Outcome::Done, by(Decision::Commit), by(Decision::Abort), Outcome::Missing];
    let reason = || "why".to_owned();
    vec![
        (Answer::Welcome, WELCOME),
        (Answer::Vote(Vote::Yes), YES),
        (no(No::Conflict), CONFLICT),
        (no(No::Rejected { row: 258, reason: reason() }), REJECTED),
        (no(No::Unable { reason: reason() }), UNABLE),
        (Answer::Outcomes(outcomes), OUTCOMES),
        (Answer::Gids(vec![gid(1, 2), gid(3, 4)]), GIDS),
        (Answer::Pong, PONG),
        (Answer::Fenced { by: 7 }, FENCED),
        (Answer::Refused(reason()), REFUSED),
    ]
}

/// Reads a frame as the other side does.
fn read<T>(bytes: &[u8], with: impl FnOnce(super::super::wire::Frame<'_>) -> T) -> T {
    let mut stream = Bytes { rest: bytes.to_vec(), at_once: usize::MAX };
    let mut frames = FrameReader::default();
    let frame = at_once(frames.next(&mut stream)).unwrap().unwrap();
    assert_eq!(frame.request, 0x0a0b);
    with(frame)
}

#[test]
fn frames_of_requests_are_as_ever() {
    for (request, golden) in requests() {
        let mut out = Vec::new();
        request.put(&mut out, 0x0a0b);
        assert_eq!(hex(&out), golden.replace(' ', ""), "{request:?}");
        assert_eq!(read(&out, |frame| Request::parse(frame).unwrap()), request);
    }
}

#[test]
fn frames_of_answers_are_as_ever() {
    for (answer, golden) in answers() {
        let mut out = Vec::new();
        answer.put(&mut out, 0x0a0b);
        assert_eq!(hex(&out), golden.replace(' ', ""), "{answer:?}");
        assert_eq!(read(&out, |frame| Answer::parse(frame).unwrap()), answer);
    }
}

#[test]
fn a_participants_entries_are_as_ever() {
    let mut desk = Desk::new(narrow());
    let w = writer("w-1");
    let row = |id| rows_of(&narrow(), &[&narrow_row(id, Some("ab"), None)]);
    desk.fence(&w, 3);
    let (insert, upsert, replace) = (WriteMode::Insert, WriteMode::Upsert, WriteMode::Replace);
    let zero = Gid::default();
    for (number, mode) in [(1, insert), (2, upsert), (3, replace)] {
        desk.prepare(&w, gid(3, number), zero, mode, row(number as i64)).unwrap();
    }
    for number in 4..9 {
        desk.prepare(&w, gid(3, number), gid(3, 1), insert, row(number as i64)).unwrap();
    }
    let (commit, abort) = (Decision::Commit, Decision::Abort);
    for (number, decision, by_hand) in [
        (4, commit, false),
        (5, commit, true),
        (6, abort, true),
        (7, commit, true),
        (8, abort, true),
    ] {
        assert_eq!(desk.decide(&w, gid(3, number), decision, by_hand), Outcome::Done);
    }
    desk.forget(&w, gid(3, 7));
    assert_eq!(desk.decide(&w, gid(3, 8), abort, false), Outcome::Done);
    let line = |(key, value): (&Vec<u8>, &Vec<u8>)| format!("{} {}", hex(key), hex(value));
    let entries: Vec<String> = desk.memory.0.iter().map(line).collect();
    let name = "772d3100";
    let gid = |number| format!("{name}0000000000000003000000000000000{number}");
    let row = |number| format!("030{number}000000000000000502000000616200");
    let expected = [
        // Decided ones: committed; by hand, not told and told.
        format!("63{} 63", gid(4)),
        format!("63{} 43", gid(5)),
        format!("63{} 41", gid(6)),
        format!("63{} 4354", gid(7)),
        format!("63{} 4154", gid(8)),
        // Prepared ones: the mode, and rows.
        // What is finished.
        "66772d31 03000000000000000100000000000000".to_owned(),
        format!("70{} 0111000000{}", gid(1), row(1)),
        format!("70{} 0211000000{}", gid(2), row(2)),
        format!("70{} 0311000000{}", gid(3), row(3)),
        format!("72030400000000000000 {}", row(4)),
        format!("72030500000000000000 {}", row(5)),
        format!("72030700000000000000 {}", row(7)),
        // The writer's incarnation and identity.
        "77772d31 03000000000000000700000000000000".to_owned(),
    ];
    assert_eq!(entries, expected);
}
