//! Fencing: an old life of a process has no effect any more once a newer one had one.
//!
//! A process stands for one identity of a writer, whatever machine its lives run on. Where several
//! participants fence a writer, each by itself, it is a process of its own for each of them.

use crate::given::Given;
use crate::history::Event;
use crate::pass::Pass;
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
pub(crate) struct Fencing<'a> {
    history: &'a [Event],
    sheet: Sheet,
    newest: [u32; Processes::COUNT_MAX],
}

impl<'a> Pass<'a> for Fencing<'a> {
    fn new(history: &'a [Event], _: &'a Given) -> Self {
        Self { history, sheet: Sheet::new(&LAWS), newest: [0; Processes::COUNT_MAX] }
    }

    #[inline(always)]
    fn see(&mut self, at: usize, event: &Event) {
        let newest = &mut self.newest[usize::from(event.process.0) % Processes::COUNT_MAX];
        if event.incarnation == *newest || !event.fact.is_effect() {
            return;
        }
        if event.incarnation > *newest {
            *newest = event.incarnation;
            return;
        }
        let (history, newest) = (self.history, *newest);
        self.sheet.violation(&FENCING, || {
            let successor = history[..at].iter().position(|earlier| {
                earlier.process == event.process
                    && earlier.incarnation == newest
                    && earlier.fact.is_effect()
            });
            let process = event.process.0;
            let expected = format!("nothing of process {process} before incarnation {newest}");
            let got = format!("{:?} of incarnation {}", event.fact, event.incarnation);
            Finding::new(expected, got, successor.into_iter().chain([at]))
        });
    }

    fn end(self) -> Vec<Judgement> {
        self.sheet.done()
    }
}
