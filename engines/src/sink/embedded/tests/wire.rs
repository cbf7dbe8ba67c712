//! Frames that are cut, changed, or never were any.

use proptest::prelude::*;

use super::super::super::participant::Vote;
use super::super::wire::{Answer, FRAME_LEN_MAX, FrameReader, GIDS_MAX, Request, VERSION};
use super::*;

/// What a reader makes of bytes: for each frame its bytes again, if it can be put; then the end.
fn read_all(bytes: &[u8], at_once_max: usize) -> (Vec<Vec<u8>>, io::Result<()>) {
    let mut stream = Bytes { rest: bytes.to_vec(), at_once: at_once_max };
    let mut frames = FrameReader::default();
    let mut all = Vec::new();
    loop {
        let frame = match at_once(frames.next(&mut stream)) {
            Ok(Some(frame)) => frame,
            Ok(None) => return (all, Ok(())),
            Err(error) => return (all, Err(error)),
        };
        let mut again = Vec::new();
        let number = frame.request;
        match (Request::parse(frame), Answer::parse(frame)) {
            (Ok(Request::Decide { gids, .. }), _) if gids.len() > GIDS_MAX => (),
            (Ok(request), Err(_)) => request.put(&mut again, number),
            (Err(_), Ok(answer)) => answer.put(&mut again, number),
            (Err(_), Err(_)) => (),
            (Ok(request), Ok(answer)) => panic!("{request:?} or {answer:?}?"),
        }
        all.push(again);
    }
}

fn frame(body: &[u8]) -> Vec<u8> {
    let (len, crc) = (body.len() as u32, crc32c::crc32c(body));
    [&len.to_le_bytes()[..], &crc.to_le_bytes(), body].concat()
}

fn some_frames() -> Vec<u8> {
    let mut out = Vec::new();
    Request::Ping.put(&mut out, 1);
    Request::Write(vec![5; 300]).put(&mut out, 2);
    Request::Prepare { gid: gid(1, 2), finished: gid(1, 1) }.put(&mut out, 3);
    out
}

#[test]
fn a_stream_that_ends_within_a_frame_is_told_from_one_that_ends_after_it() {
    let all = some_frames();
    let ends = [13, 13 + 313, all.len()];
    for at_once_max in [1, 7, usize::MAX] {
        for cut in 0..=all.len() {
            let (frames, end) = read_all(&all[..cut], at_once_max);
            assert_eq!(frames.concat(), all[..frames.concat().len()]);
            assert_eq!(frames.len(), ends.iter().filter(|end| **end <= cut).count());
            match end {
                Ok(()) => assert!(cut == 0 || ends.contains(&cut)),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
                    assert!(!ends.contains(&cut));
                }
            }
        }
    }
}

#[test]
fn every_changed_byte_of_a_frame_is_noticed() {
    let mut whole = Vec::new();
    Request::Prepare { gid: gid(1, 2), finished: gid(1, 1) }.put(&mut whole, 3);
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            let (frames, end) = read_all(&bytes, usize::MAX);
            assert!(frames.is_empty() && end.is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn lengths_that_no_frame_has_are_refused_before_anything_is_read() {
    for len in [0, 4, FRAME_LEN_MAX as u32 + 1, u32::MAX] {
        let bytes = [&len.to_le_bytes()[..], &[0; 4]].concat();
        let (frames, end) = read_all(&bytes, usize::MAX);
        let error = end.unwrap_err().to_string();
        assert!(frames.is_empty());
        assert_eq!(error, format!("a frame of {len} bytes: not this protocol"));
    }
}

#[test]
fn the_longest_frame_goes_through_and_does_not_take_more_than_that() {
    let mut out = Vec::new();
    let long = Request::Write(vec![1; FRAME_LEN_MAX - 5]);
    for number in 0..3 {
        long.put(&mut out, number);
    }
    let (frames, end) = read_all(&out, 100_000);
    assert!(end.is_ok());
    assert!(frames.concat() == out);
}

#[test]
fn reasons_are_cut_between_characters() {
    let mut out = Vec::new();
    Answer::Refused("ä".repeat(3000)).put(&mut out, 1);
    Answer::Refused(format!("x{}", "ä".repeat(3000))).put(&mut out, 2);
    let mut stream = Bytes { rest: out, at_once: usize::MAX };
    let mut frames = FrameReader::default();
    for expected in ["ä".repeat(1000), format!("x{}", "ä".repeat(999))] {
        let frame = at_once(frames.next(&mut stream)).unwrap().unwrap();
        assert_eq!(Answer::parse(frame).unwrap(), Answer::Refused(expected));
    }
}

#[test]
fn a_hello_of_another_version_is_read_as_far_as_it_is_sure_to_go() {
    let body = [&[1, 0, 0, 0, 0][..], b"SEEDSINK", &(VERSION + 1).to_le_bytes(), b"?"].concat();
    let mut stream = Bytes { rest: frame(&body), at_once: usize::MAX };
    let mut frames = FrameReader::default();
    let frame = at_once(frames.next(&mut stream)).unwrap().unwrap();
    match Request::parse(frame).unwrap() {
        Request::Hello { version, .. } => assert_eq!(version, VERSION + 1),
        other => panic!("{other:?}"),
    }
}

fn any_gids() -> impl Strategy<Value = Vec<Gid>> {
    proptest::collection::vec((any::<u64>(), any::<u64>()), 0..5).prop_map(|all| {
        all.into_iter().map(|(incarnation, number)| gid(incarnation, number)).collect()
    })
}

proptest! {
    #[test]
    fn any_bytes_are_frames_or_refused(bytes in any_bytes(), at_once_max in 1_usize..20) {
        let _ = read_all(&bytes, at_once_max);
    }

    #[test]
    fn what_is_parsed_is_put_as_the_same_bytes(
        kind in prop_oneof![0_u8..11, 64_u8..73, any::<u8>()],
        magic in any::<bool>(),
        payload in prop_oneof![
            any_bytes(), Just(Vec::new()), proptest::collection::vec(0_u8..5, 0..60),
        ],
    ) {
        let hello: &[u8] = if magic && kind == 1 { b"SEEDSINK\x01\0\0\0" } else { b"" };
        let body = [&[kind, 1, 2, 3, 4][..], hello, &payload].concat();
        // Reasons that are not UTF-8 are shown as far as they can be.
        prop_assume!(!matches!(kind, 66 | 71) || payload.is_ascii());
        let bytes = frame(&body);
        let (frames, end) = read_all(&bytes, usize::MAX);
        prop_assert!(end.is_ok() && frames.len() == 1);
        let is_other_version = kind == 1 && payload.starts_with(b"SEEDSINK");
        prop_assert!(frames[0].is_empty() || frames[0] == bytes || is_other_version);
    }

    #[test]
    fn what_is_put_is_parsed_as_it_was(
        gids in any_gids(), number in any::<u32>(), by in any::<u64>(), text in ".{0,40}",
    ) {
        let decision = if by % 2 == 0 { Decision::Commit } else { Decision::Abort };
        let requests = [
            Request::Decide { decision, gids: gids.clone() },
            Request::Forget { gids: gids.clone() },
        ];
        let no = |no| Answer::Vote(Vote::No(no));
        let answers = [
            Answer::Gids(gids),
            Answer::Fenced { by },
            Answer::Refused(text.clone()),
            no(No::Rejected { row: number, reason: text.clone() }),
            no(No::Unable { reason: text }),
        ];
        let mut out = Vec::new();
        requests.iter().for_each(|request| request.put(&mut out, number));
        answers.iter().for_each(|answer| answer.put(&mut out, number));
        let mut stream = Bytes { rest: out, at_once: 11 };
        let mut frames = FrameReader::default();
        for request in requests {
            let frame = at_once(frames.next(&mut stream)).unwrap().unwrap();
            prop_assert_eq!(frame.request, number);
            prop_assert_eq!(Request::parse(frame).unwrap(), request);
        }
        for answer in answers {
            let frame = at_once(frames.next(&mut stream)).unwrap().unwrap();
            prop_assert_eq!(Answer::parse(frame).unwrap(), answer);
        }
    }

    #[test]
    fn prepared_transactions_of_any_bytes_are_parsed_or_refused(
        mode in 0_u8..5, bytes in prop_oneof![any_bytes(), damaged_rows()],
    ) {
        let all = [&[mode][..], &bytes].concat();
        if let Ok(prepared) = Prepared::parse(&wide(), &all) {
            prop_assert!((1..4).contains(&mode));
            prop_assert_eq!(prepared.rows.bytes(), &bytes[..]);
        }
        prop_assert!(Prepared::parse(&wide(), &[]).is_err());
    }

    #[test]
    fn a_store_of_any_bytes_is_recovered_or_refused(
        entries in proptest::collection::vec(
            ("[wpcrm]", prop_oneof![any_bytes(), Just(b"w-1\0".to_vec())],
             prop_oneof![Just(Vec::new()), Just(vec![0; 16])],
             prop_oneof![any_bytes(), damaged_rows(), Just(b"CT".to_vec()), Just(vec![1; 24])]),
            0..5,
        ),
    ) {
        let entries: Vec<(Vec<u8>, Vec<u8>)> = entries
            .into_iter()
            .map(|(kind, name, gid, value)| ([kind.as_bytes(), &name, &gid].concat(), value))
            .collect();
        let entries = entries.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
        if let Ok(kernel) = Kernel::recover(&wide(), entries) {
            let _ = (kernel.recovered().count(), kernel.list(&writer("w-1")));
        }
    }
}
