//! Accounting of a buffer: its limit, and that what goes in comes out.

use crate::given::Given;
use crate::history::{Event, Fact};
use crate::processes::Processes;
use crate::verdict::{Finding, Judgement, Law, Sheet};

/// Never more than the limit.
pub static BUFFER_MAX: Law = Law {
    name: "buffer limit",
    statement: "The buffer of no process ever holds more bytes than its limit.",
};
/// Never less than nothing.
pub static BUFFER_MIN: Law = Law {
    name: "buffer never negative",
    statement: "No more bytes leave the buffer of a process than it holds. A crash empties it.",
};
/// Nothing is dropped.
pub static BUFFER_DRAINED: Law = Law {
    name: "buffer drained",
    statement: "At quiescence the buffer of each process is empty: nothing that went in was \
                dropped.",
};

pub(crate) static LAWS: [&Law; 3] = [&BUFFER_MAX, &BUFFER_MIN, &BUFFER_DRAINED];

/// Whether this checker reads such a fact. Most events end here, on one branch that is foreseen.
#[inline]
fn is_relevant(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::Buffered { .. }
            | Fact::Released { .. }
            | Fact::Crash
            | Fact::Recovered
            | Fact::Quiescent
    )
}

/// Judges the buffers.
pub(crate) fn check(history: &[Event], given: &Given) -> Vec<Judgement> {
    let mut sheet = Sheet::new(&LAWS);
    let mut held = [(0_u64, 0_usize); Processes::COUNT_MAX];
    let mut quiescent = None;
    for (at, event) in history.iter().enumerate() {
        if !is_relevant(&event.fact) {
            continue;
        }
        let (own, since) = &mut held[usize::from(event.process.0) % Processes::COUNT_MAX];
        match event.fact {
            Fact::Buffered { bytes } => {
                *own = own.saturating_add(bytes);
                let now = *own;
                match given.buffer_bytes_max {
                    None => sheet.unknown(&BUFFER_MAX, || "the limit is not given".into()),
                    Some(max) if now > max => sheet.violation(&BUFFER_MAX, || {
                        let got = format!("{now} bytes at process {}", event.process.0);
                        Finding::new(format!("at most {max} bytes"), got, [*since, at])
                    }),
                    Some(_) => {}
                }
                *since = at;
            }
            Fact::Released { bytes } => {
                if bytes > *own {
                    sheet.violation(&BUFFER_MIN, || {
                        let expected = format!("at most {own} bytes to leave");
                        Finding::new(expected, format!("{bytes}"), [*since, at])
                    });
                }
                *own = own.saturating_sub(bytes);
                *since = at;
            }
            Fact::Crash | Fact::Recovered => *own = 0,
            Fact::Quiescent => quiescent = Some(at),
            _ => {}
        }
    }
    let left = held.iter().enumerate().find(|(_, (bytes, _))| *bytes > 0);
    if let Some((process, (bytes, since))) = left {
        match quiescent {
            Some(quiescent) => sheet.violation(&BUFFER_DRAINED, || {
                let got = format!("{bytes} bytes at process {process}");
                Finding::new("empty buffers at quiescence", got, [*since, quiescent])
            }),
            None => sheet.unknown(&BUFFER_DRAINED, || "the history has no quiescence".into()),
        }
    }
    sheet.done()
}
