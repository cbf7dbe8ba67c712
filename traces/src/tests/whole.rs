//! Traces as files, and the writer's bounds.

use super::{bytes, read, sample};
use crate::frame::FRAME_BYTES_MAX;
use crate::{
    Decision, DecisionMode, End, Event, Header, OpText, TEXT_BYTES_MAX, Text, Trace, TraceError,
    Verdict, Workload, Writer,
};

#[test]
fn a_written_file_reads_back_equal_and_leaves_nothing_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.trace");
    for _ in 0..2 {
        sample().write(&path).unwrap(); // the second time replaces
        assert_eq!(Trace::read(&path).unwrap(), sample());
    }
    let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["a.trace"]);
}

#[test]
fn a_trace_that_cannot_be_written_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.trace");
    sample().write(&path).unwrap();
    let wrong = Trace { end: End::default(), ..sample() };
    assert!(matches!(wrong.write(&path), Err(TraceError::Miscounted { .. })));
    assert_eq!(Trace::read(&path).unwrap(), sample());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_that_cannot_be_written_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing/a.trace");
    let message = sample().write(&missing).unwrap_err().to_string();
    assert!(message.starts_with("cannot write the trace "), "{message}");
    assert!(message.contains("missing/a.trace") && message.contains("check the path"), "{message}");

    let error = TraceError::Io {
        path: "/ro/a.trace".into(),
        action: "write",
        source: std::io::ErrorKind::ReadOnlyFilesystem.into(),
    };
    assert!(error.to_string().contains("choose another folder"), "{error}");

    let message = sample().write(folder.path()).unwrap_err().to_string();
    assert!(message.starts_with("cannot write the trace "), "{message}");
    assert!(sample().write("/".as_ref()).is_err());
    let message = Trace::read(&missing).unwrap_err().to_string();
    assert!(message.starts_with("cannot read the trace "), "{message}");
}

/// An event with names that no other has.
fn event(seq: u64) -> Event {
    Event {
        seq,
        at_ns: seq * 1000,
        op: "write".into(),
        subject: Text::from(format!("{seq:0>400}")),
        detail: "x".repeat(1000),
        ..Event::default()
    }
}

#[test]
fn many_frames_and_tables_of_strings_read_back_equal() {
    let mut trace = sample();
    trace.events = (0..20_000).map(event).collect(); // 8 MB of names: more than one table
    trace.end.events = 20_000;
    let bytes = bytes(&trace);
    assert!(read(&bytes).unwrap() == trace);
}

#[test]
fn a_writer_holds_no_more_than_a_chunk_back() {
    let mut longest = 0;
    let mut unwritten = 0_usize;
    let written = std::cell::Cell::new(0_usize);
    struct Count<'a>(&'a std::cell::Cell<usize>);
    impl std::io::Write for Count<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.set(self.0.get() + bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let header = Header::default();
    let mut writer = Writer::new(Count(&written), &header, DecisionMode::Complete).unwrap();
    for seq in 0..5_000 {
        let before = written.get();
        writer.event(&event(seq)).unwrap();
        unwritten = if written.get() > before { 0 } else { unwritten + 1400 };
        longest = longest.max(unwritten);
    }
    assert!(longest > 0 && longest < 512 << 10, "{longest}");
}

#[test]
fn a_sparse_trace_leaves_out_zeros_and_counts_them() {
    let trace = Trace { mode: DecisionMode::Sparse, ..sample() };
    let again = read(&bytes(&trace)).unwrap();
    let kept: Vec<Decision> =
        trace.decisions.iter().filter(|decision| decision.value != 0).cloned().collect();
    assert_eq!((kept.len(), again.end.decisions), (2, 3));
    assert_eq!(again, Trace { decisions: kept, ..trace });
}

#[test]
fn an_end_that_contradicts_the_recording_is_refused() {
    let refused = |change: &dyn Fn(&mut Trace)| {
        let mut trace = sample();
        change(&mut trace);
        trace.write_to("test.trace".as_ref(), Vec::new()).unwrap_err().to_string()
    };
    let message = refused(&|trace| trace.end.decisions = 4);
    assert!(message.contains("counts 4 decisions, but 3"), "{message}");
    let message = refused(&|trace| trace.end.events = 3);
    assert!(message.contains("counts 3 events, but 4"), "{message}");
    let mut fewer = sample();
    fewer.end.events = 1_000_000; // a recorder that kept only the last events
    assert_eq!(read(&bytes(&fewer)).unwrap(), fewer);
}

#[test]
fn texts_that_are_too_long_are_cut_and_say_so() {
    let long = "é".repeat(TEXT_BYTES_MAX);
    let mut trace = sample();
    trace.events[0].detail.clone_from(&long);
    trace.events[0].subject = Text::from(long.clone());
    trace.workload.ops[0].text.clone_from(&long);
    trace.end.verdict = Verdict::Violation {
        law: "l".to_owned(),
        expected: "é".repeat(1 << 20),
        got: String::new(),
        at_event: 0,
        at_decision: 0,
    };
    let again = read(&bytes(&trace)).unwrap();
    let event = &again.events[0];
    for text in [&event.detail, event.subject.as_str(), &again.workload.ops[0].text] {
        assert!(text.len() <= TEXT_BYTES_MAX && text.len() > TEXT_BYTES_MAX - 8);
        assert!(text.ends_with("é…") && long.starts_with(text.trim_end_matches('…')));
    }
    assert_eq!(again.events[1..], trace.events[1..]);
}

#[test]
fn what_cannot_be_cut_and_does_not_fit_is_refused() {
    let large = |trace: Trace| {
        let error = trace.write_to("test.trace".as_ref(), Vec::new()).unwrap_err();
        assert!(matches!(error, TraceError::TooLarge { .. }), "{error}");
        error.to_string()
    };
    let bytes = vec![0; FRAME_BYTES_MAX as usize + 1];
    let plan = String::from_utf8(bytes.clone()).unwrap();
    let message = large(Trace { header: Header { plan, ..Header::default() }, ..sample() });
    assert!(message.contains("the header is beyond the limit"), "{message}");
    let op = OpText { bytes, text: String::new() };
    let message = large(Trace { workload: Workload { ops: vec![op] }, ..sample() });
    assert!(message.contains("an operation of the workload is beyond"), "{message}");
}

#[test]
fn texts_are_equal_whatever_holds_them() {
    let (fixed, shared) = (Text::new("write"), Text::from("write".to_owned()));
    assert_eq!(fixed, shared);
    assert_eq!(fixed.cmp(&shared), std::cmp::Ordering::Equal);
    assert_eq!(fixed, "write");
    let known: std::collections::BTreeSet<Text> = [fixed, shared].into();
    assert!(known.len() == 1 && known.contains("write"));
}
