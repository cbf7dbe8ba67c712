//! Fencing: an old life of a process has no effect any more once a newer one had one.
//!
//! A process stands for one identity of a writer, whatever machine its lives run on.

use crate::given::Given;
use crate::history::Event;
use crate::processes::Processes;
use crate::verdict::{Finding, Judgement, Law, Sheet};

/// Fencing.
pub static FENCING: Law = Law {
    name: "fencing",
    statement: "After an effect of one incarnation of a process, no earlier incarnation of it has \
                an effect. What others than itself can notice is an effect (`Fact::is_effect`).",
};

pub(crate) static LAWS: [&Law; 1] = [&FENCING];

/// Judges fencing.
pub(crate) fn check(history: &[Event], _: &Given) -> Vec<Judgement> {
    let mut sheet = Sheet::new(&LAWS);
    let mut newest = [0; Processes::COUNT_MAX];
    for (at, event) in history.iter().enumerate() {
        let newest = &mut newest[usize::from(event.process.0) % Processes::COUNT_MAX];
        if event.incarnation == *newest || !event.fact.is_effect() {
            continue;
        }
        if event.incarnation > *newest {
            *newest = event.incarnation;
            continue;
        }
        let (process, newest) = (event.process, *newest);
        sheet.violation(&FENCING, || {
            let successor = history[..at].iter().position(|earlier| {
                earlier.process == process
                    && earlier.incarnation == newest
                    && earlier.fact.is_effect()
            });
            let expected = format!("nothing of process {} before incarnation {newest}", process.0);
            let got = format!("{:?} of incarnation {}", event.fact, event.incarnation);
            Finding::new(expected, got, successor.into_iter().chain([at]))
        });
    }
    sheet.done()
}
