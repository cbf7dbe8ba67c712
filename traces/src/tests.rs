//! Tests of the trace file as a whole.

mod damage;
mod diff;
mod golden;
mod random;
mod render;
mod whole;

use crate::{
    Decision, DecisionMode, Digest, End, Event, Header, OpText, Outcome, Trace, Verdict, Workload,
};

/// The events of [`sample`].
fn sample_events() -> Vec<Event> {
    let event = |seq, at_ns, op: &'static str, detail: &str, outcome| Event {
        seq,
        at_ns,
        op: op.into(),
        subject: "store/wal.1".into(),
        detail: detail.to_owned(),
        outcome,
        site: Some("engines/src/atomic_commit/log.rs:88".into()),
        ..Event::default()
    };
    vec![
        event(0, 0, "open", "", Outcome::Done(0)),
        event(1, 850, "write", "128 B at 4096", Outcome::Done(128)),
        Event {
            node: 1,
            boot: 2,
            task: 3,
            cause: Some("sync_error".into()),
            ..event(2, 1_250_000, "sync_data", "", Outcome::Failed { code: 5 })
        },
        Event {
            seq: 3,
            at_ns: 61_000_000_000,
            op: "power_loss".into(),
            subject: "n1".into(),
            ..Event::default()
        },
    ]
}

/// A small trace that uses every field. The golden file holds exactly this: it must not change.
fn sample() -> Trace {
    let decision = |label: &'static str, nth, bound, value| Decision {
        label: label.into(),
        nth,
        bound,
        value,
    };
    Trace {
        header: Header {
            scenario: "atomic_commit".to_owned(),
            seed: 0x5eed,
            build: "0.1.0 release".to_owned(),
            config_digest: 0x0123_4567_89ab_cdef,
            plan: "name = \"rough\"\nswarm = true\n".to_owned(),
            settings: vec![("nodes".to_owned(), "3".to_owned())],
            shrunk: true,
            ..Header::default()
        },
        workload: Workload {
            ops: vec![
                OpText { bytes: vec![0, 255, 7], text: "put k1 = 7".to_owned() },
                OpText { bytes: vec![1], text: "commit".to_owned() },
            ],
        },
        mode: DecisionMode::Complete,
        decisions: vec![
            decision("disk.latency", 0, 90, 17),
            decision("disk.latency", 1, 90, 0),
            decision("crash", 0, u64::MAX, u64::MAX - 1),
        ],
        events: sample_events(),
        end: End {
            digest: Digest([0xfeed, 0xbeef]),
            events: 4,
            decisions: 3,
            verdict: Verdict::Violation {
                law: "durability".to_owned(),
                expected: "k1 = 7".to_owned(),
                got: "k1 is missing".to_owned(),
                at_event: 3,
                at_decision: 3,
            },
        },
    }
}

/// The bytes of a trace.
fn bytes(trace: &Trace) -> Vec<u8> {
    trace.write_to("test.trace".as_ref(), Vec::new()).unwrap()
}

/// The trace of bytes.
fn read(bytes: &[u8]) -> Result<Trace, crate::TraceError> {
    Trace::read_from("test.trace".as_ref(), bytes)
}
