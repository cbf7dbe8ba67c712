//! Damaged, foreign and hostile files: an error that says what and where, never another trace.

use std::io::Read;

use super::{bytes, read, sample};
use crate::frame::{FRAME_HEAD_BYTES, Kind, PROLOGUE_BYTES, frame_head, prologue};
use crate::{Item, Reader, Trace, TraceError, Verdict};

/// Kinds and payloads.
type Frames<'a> = Vec<(u8, &'a [u8])>;

/// Where the frames of a file start.
fn frame_starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = PROLOGUE_BYTES;
    while at < bytes.len() {
        starts.push(at);
        let length = u32::from_le_bytes(bytes[at + 1..at + 5].try_into().unwrap());
        at += FRAME_HEAD_BYTES + length as usize;
    }
    starts
}

/// A file of version 1 with these frames.
fn file(frames: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = prologue(1, 0).to_vec();
    for (index, (kind, payload)) in frames.iter().enumerate() {
        bytes.extend(frame_head(*kind, index as u32, payload));
        bytes.extend(*payload);
    }
    bytes
}

/// The sample's frames.
fn frames(bytes: &[u8]) -> Frames<'_> {
    let starts = frame_starts(bytes);
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    let spans = starts.iter().zip(ends);
    spans.map(|(start, end)| (bytes[*start], &bytes[start + FRAME_HEAD_BYTES..end])).collect()
}

#[test]
fn a_file_cut_at_any_byte_says_so_and_where() {
    let whole = bytes(&sample());
    let boundaries = frame_starts(&whole);
    for length in 0..whole.len() {
        match read(&whole[..length]).unwrap_err() {
            TraceError::Empty { .. } => assert_eq!(length, 0),
            TraceError::NoEnd { offset, .. } => {
                assert!(boundaries.contains(&length), "{length}");
                assert_eq!(offset, length as u64);
            }
            TraceError::Truncated { offset, .. } => {
                assert!(length > 0 && !boundaries.contains(&length), "{length}");
                assert_eq!(offset, length as u64);
            }
            other => panic!("cut at {length}: {other}"),
        }
    }
}

#[test]
fn any_flipped_bit_is_noticed() {
    let whole = bytes(&sample());
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            let error = read(&damaged).expect_err("a flipped bit is noticed");
            match error {
                TraceError::NotATrace { .. } => assert!(at < 8),
                TraceError::Corrupt { offset, .. } => assert!(offset <= at as u64),
                TraceError::Truncated { offset, .. } => assert_eq!(offset, whole.len() as u64),
                other => panic!("bit {bit} of byte {at}: {other}"),
            }
        }
    }
}

#[test]
fn a_lost_repeated_or_swapped_frame_is_noticed() {
    let whole = bytes(&sample());
    let starts = frame_starts(&whole);
    assert!(starts.len() > 4);
    let frame = |number: usize| &whole[starts[number]..starts[number + 1]];
    let front = &whole[..starts[1]];
    let lost = [front, &whole[starts[2]..]].concat();
    let repeated = [front, frame(1), &whole[starts[1]..]].concat();
    let swapped = [front, frame(2), frame(1), &whole[starts[3]..]].concat();
    for (name, damaged) in [("lost", lost), ("repeated", repeated), ("swapped", swapped)] {
        let error = read(&damaged).unwrap_err();
        assert!(matches!(error, TraceError::Corrupt { .. }), "{name}: {error}");
    }
}

#[test]
fn salvage_keeps_all_that_was_good() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.trace");
    let (whole, all) = (bytes(&sample()), sample());
    let mut kept_events = 0;
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let Ok((trace, fault)) = Trace::salvage(&path) else { continue };
        assert!(fault.is_some());
        assert_eq!(trace.header, all.header);
        assert!(all.workload.ops.starts_with(&trace.workload.ops));
        assert!(all.decisions.starts_with(&trace.decisions));
        assert!(all.events.starts_with(&trace.events));
        assert_eq!(trace.end.verdict, Verdict::Unfinished);
        assert!(trace.events.len() >= kept_events, "a longer piece keeps as much");
        kept_events = trace.events.len();
        trace.write(&path).unwrap();
        assert_eq!(Trace::read(&path).unwrap(), trace);
    }
    assert_eq!(kept_events, all.events.len());
    std::fs::write(&path, &whole).unwrap();
    let (trace, fault) = Trace::salvage(&path).unwrap();
    assert!(trace == all && fault.is_none());
}

#[test]
fn the_message_names_the_place_the_last_good_event_and_what_to_do() {
    let whole = bytes(&sample());
    let message = read(&whole[..whole.len() - 1]).unwrap_err().to_string();
    assert!(message.starts_with("test.trace: cut off at byte "), "{message}");
    assert!(message.contains("salvage"), "{message}");
    assert!(message.contains("#000003") && message.contains("power_loss"), "{message}");
    let starts = frame_starts(&whole);
    let message = read(&whole[..starts[1]]).unwrap_err().to_string();
    assert!(message.contains("no event before it is readable"), "{message}");
}

#[test]
fn a_newer_format_asks_for_an_update() {
    for prologue in [prologue(2, 0), prologue(u16::MAX, 0)] {
        let message = read(&prologue).unwrap_err().to_string();
        assert!(message.contains("made by a newer seedbed"), "{message}");
        assert!(message.contains("update"), "{message}");
    }
    let flags = read(&prologue(1, 4)).unwrap_err();
    assert!(matches!(flags, TraceError::UnknownFlags { found: 4, .. }), "{flags}");
    assert!(matches!(read(&prologue(0, 0)), Err(TraceError::Corrupt { .. })));
}

#[test]
fn an_empty_and_a_foreign_file_are_called_what_they_are() {
    assert!(matches!(read(b""), Err(TraceError::Empty { .. })));
    for foreign in [&b"\x7fELF\x02\x01\x01\0\0\0\0\0"[..], b"{", b"SEEDBED\r\n", b"seedbed\n"] {
        let error = read(foreign).unwrap_err();
        assert!(matches!(error, TraceError::NotATrace { .. }), "{error}");
        assert!(!error.to_string().contains('\x7f'), "{error}");
    }
}

#[test]
fn an_absurd_length_is_refused_before_anything_is_read() {
    let mut hostile = prologue(1, 0).to_vec();
    hostile.push(Kind::Header as u8);
    hostile.extend(u32::MAX.to_le_bytes());
    hostile.extend([0; 4]);
    let mut source = hostile.chain(std::io::repeat(0));
    let error = Reader::new(&mut source).err().unwrap();
    assert!(error.to_string().contains("a frame of 4294967295 bytes"), "{error}");
}

trait Chain {
    fn chain<R: Read>(self, more: R) -> impl Read;
}

impl Chain for Vec<u8> {
    fn chain<R: Read>(self, more: R) -> impl Read {
        Read::chain(std::io::Cursor::new(self), more)
    }
}

/// Right checksums, wrong contents.
#[test]
fn well_framed_nonsense_is_refused() {
    let whole = bytes(&sample());
    let good = frames(&whole);
    let header = good[0].1;
    let cases: [(&str, Frames); 9] = [
        ("the first frame is not a header", vec![good[1]]),
        ("a second header", vec![good[0], good[0]]),
        ("there is no frame kind 99", vec![good[0], (99, b"")]),
        ("payload does not decode", vec![(Kind::Header as u8, &header[..header.len() - 1])]),
        (
            "payload does not decode",
            vec![good[0], (Kind::Workload as u8, &[253, 255, 255, 255, 255, 255, 255, 255, 127])],
        ),
        ("1 bytes too many", vec![good[0], (Kind::Workload as u8, &[0, 0])]),
        ("no string number 0", vec![good[0], (Kind::Decisions as u8, &[1, 0, 0, 1, 0])]),
        (
            "no string number 0",
            vec![good[0], (Kind::Events as u8, &[0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
        ),
        ("the end counts 3 decisions, but there are 0", vec![good[0], *good.last().unwrap()]),
    ];
    for (reason, frames) in cases {
        let error = read(&file(&frames)).unwrap_err();
        assert!(matches!(error, TraceError::Corrupt { .. }), "{reason}: {error}");
        assert!(error.to_string().contains(reason), "{reason}: {error}");
    }
}

#[test]
fn bytes_after_the_end_are_noticed() {
    let mut longer = bytes(&sample());
    longer.push(0);
    let message = read(&longer).unwrap_err().to_string();
    assert!(message.contains("bytes after the end"), "{message}");
}

#[test]
fn a_chunk_beyond_its_limit_is_refused() {
    let whole = bytes(&sample());
    let header = frames(&whole)[0];
    let strings = (Kind::Strings as u8, &[0, 1, 1, b'x'][..]);
    let mut decisions = vec![251, 0x01, 0x02]; // 513 as bincode's variable-length integer
    decisions.extend([0, 0, 1, 0].repeat(513));
    let chunk = (Kind::Decisions as u8, &decisions[..]);
    let message = read(&file(&[header, strings, chunk])).unwrap_err().to_string();
    assert!(message.contains("more than 512 decisions"), "{message}");
}

#[test]
fn a_frame_of_very_many_empty_operations_is_refused_and_the_most_a_writer_makes_is_not() {
    let whole = bytes(&sample());
    let header = frames(&whole)[0];
    let mut ops = vec![251]; // then 16 385 operations of two empty parts
    ops.extend(16_385u16.to_le_bytes());
    ops.extend([0, 0].repeat(16_385));
    let frame = (Kind::Workload as u8, &ops[..]);
    let message = read(&file(&[header, frame])).unwrap_err().to_string();
    assert!(message.contains("more than 16384 operations"), "{message}");

    let mut trace = sample();
    trace.workload.ops = vec![crate::OpText::default(); 50_000];
    assert!(read(&bytes(&trace)).unwrap() == trace);
}

#[test]
fn a_table_of_strings_beyond_its_limit_is_refused() {
    let whole = bytes(&sample());
    let header = frames(&whole)[0];
    let mut strings = vec![0, 252]; // no restart, then 100 000 empty strings
    strings.extend(100_000u32.to_le_bytes());
    strings.extend([0].repeat(100_000));
    let frame = (Kind::Strings as u8, &strings[..]);
    let message = read(&file(&[header, frame])).unwrap_err().to_string();
    assert!(message.contains("more strings than a table holds"), "{message}");
}

#[test]
fn nothing_follows_an_error_or_the_end() {
    let whole = bytes(&sample());
    let mut reader = Reader::new(&whole[..whole.len() - 1]).unwrap();
    assert!(reader.by_ref().last().unwrap().is_err());
    assert!(reader.next().is_none());
    let mut reader = Reader::new(&whole[..]).unwrap();
    assert!(matches!(reader.by_ref().last(), Some(Ok(Item::End(_)))));
    assert!(reader.next().is_none());
}

#[test]
fn a_source_that_gives_single_bytes_and_interrupts_reads_the_same() {
    struct Slow<'a>(&'a [u8], bool);
    impl Read for Slow<'_> {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(std::io::ErrorKind::Interrupted.into());
            }
            let count = to.len().min(1);
            self.0.read(&mut to[..count])
        }
    }
    let whole = bytes(&sample());
    let trace = Trace::read_from("test.trace".as_ref(), Slow(&whole, false)).unwrap();
    assert_eq!(trace, sample());
}
