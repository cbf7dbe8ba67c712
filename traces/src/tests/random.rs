//! Any trace reads back equal, and any bytes are survived.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{bytes, read, sample};
use crate::frame::{frame_head, prologue};
use crate::{
    Decision, DecisionMode, Digest, End, Event, Header, OpText, Outcome, Text, Trace, Verdict,
    Workload, diff, render,
};

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        Just(Text::new("write")),
        Just(Text::new("sync_data")),
        any::<String>().prop_map(Text::from),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::None),
        any::<u64>().prop_map(Outcome::Done),
        any::<i32>().prop_map(|code| Outcome::Failed { code }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let numbers = any::<(u64, u64, u16, u32, u32)>();
    let texts = (text(), text(), any::<String>(), option::of(text()), option::of(text()));
    (numbers, texts, outcome()).prop_map(|(numbers, texts, outcome)| {
        let (seq, at_ns, node, boot, task) = numbers;
        let (op, subject, detail, cause, site) = texts;
        Event { seq, at_ns, node, boot, task, op, subject, detail, outcome, cause, site }
    })
}

fn decision() -> impl Strategy<Value = Decision> {
    let numbers = (any::<u64>(), any::<u64>(), 1..=u64::MAX);
    (text(), numbers).prop_map(|(label, (nth, bound, value))| Decision { label, nth, bound, value })
}

fn header() -> impl Strategy<Value = Header> {
    let texts = any::<(String, String, String)>();
    let settings = vec(any::<(String, String)>(), 0..3);
    (texts, any::<(u64, u64, bool)>(), settings).prop_map(|(texts, numbers, settings)| {
        let (scenario, build, plan) = texts;
        let (seed, config_digest, shrunk) = numbers;
        Header { scenario, seed, build, config_digest, plan, settings, shrunk, ..Header::default() }
    })
}

fn verdict() -> impl Strategy<Value = Verdict> {
    let violation = any::<(String, String, String, u64, u64)>();
    prop_oneof![
        Just(Verdict::Unfinished),
        Just(Verdict::Passed),
        any::<String>().prop_map(|reason| Verdict::Inconclusive { reason }),
        violation.prop_map(|(law, expected, got, at_event, at_decision)| {
            Verdict::Violation { law, expected, got, at_event, at_decision }
        }),
    ]
}

fn trace() -> impl Strategy<Value = Trace> {
    let op = any::<(Vec<u8>, String)>().prop_map(|(bytes, text)| OpText { bytes, text });
    let lists = (vec(op, 0..5), vec(decision(), 0..8), vec(event(), 0..8));
    let mode = prop_oneof![Just(DecisionMode::Complete), Just(DecisionMode::Sparse)];
    let parts = (header(), lists, mode, verdict(), any::<[u64; 2]>());
    parts.prop_map(|(header, (ops, decisions, events), mode, verdict, digest)| {
        let (held_events, held_decisions) = (events.len() as u64, decisions.len() as u64);
        let (digest, workload) = (Digest(digest), Workload { ops });
        let end = End { digest, events: held_events, decisions: held_decisions, verdict };
        Trace { header, workload, mode, decisions, events, end }
    })
}

proptest! {
    #[test]
    fn any_trace_reads_back_equal(trace in trace()) {
        let again = read(&bytes(&trace)).unwrap();
        prop_assert_eq!(diff(&trace, &again), crate::Diff::Same);
        prop_assert_eq!(again, trace);
    }

    #[test]
    fn rendering_any_trace_lets_no_control_character_through(trace in trace()) {
        let text = render(&trace, None);
        prop_assert!(text.chars().all(|character| character == '\n' || !character.is_control()));
    }

    #[test]
    fn any_bytes_are_survived(noise in vec(any::<u8>(), 0..200)) {
        prop_assert!(read(&noise).is_err());
        let mut bytes = prologue(1, 0).to_vec();
        bytes.extend(&noise);
        prop_assert!(read(&bytes).is_err());
    }

    /// Right checksums around anything: the decoder is on its own.
    #[test]
    fn any_payload_is_survived(frames in vec((0u8..8, vec(any::<u8>(), 0..60)), 1..6)) {
        let whole = bytes(&sample());
        let mut bytes = whole[..25 + usize::from(whole[17])].to_vec(); // prologue and header frame
        for (index, (kind, payload)) in frames.iter().enumerate() {
            bytes.extend(frame_head(*kind, index as u32 + 1, payload));
            bytes.extend(payload);
        }
        if let Ok(trace) = read(&bytes) {
            let _ = render(&trace, None);
        }
    }
}
