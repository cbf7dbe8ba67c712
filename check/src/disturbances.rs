//! When which process was disturbed: by a fault in whose scope it is, or because it was down.
//!
//! Gathered only once a checker has a suspicion that a disturbance would excuse, which is rare: a
//! checker's one pass over the history does not pay for it.

use std::cell::OnceCell;

use crate::history::{Event, Fact, Process};
use crate::processes::Processes;

/// The disturbances of a history, gathered when first asked for.
#[derive(Debug)]
pub(crate) struct Disturbances<'a> {
    history: &'a [Event],
    gathered: OnceCell<Vec<Spans>>,
}

/// The spans of event numbers in which one process was disturbed, both ends included; those of one
/// kind in order and without overlap.
#[derive(Clone, Debug, Default)]
struct Spans {
    faults: Vec<(usize, usize)>,
    faults_now: u32,
    down: Vec<(usize, usize)>,
}

const OPEN: usize = usize::MAX;

impl<'a> Disturbances<'a> {
    pub(crate) fn new(history: &'a [Event]) -> Self {
        Self { history, gathered: OnceCell::new() }
    }

    /// Whether any of these processes was disturbed between these two events, both included.
    pub(crate) fn touch(&self, processes: Processes, from: usize, to: usize) -> bool {
        let spans = self.gathered.get_or_init(|| gather(self.history));
        let hits = |list: &[(usize, usize)]| {
            let first = list.partition_point(|(_, end)| *end < from);
            list.get(first).is_some_and(|(begin, _)| *begin <= to)
        };
        let mut spans = processes.iter().map(|process| &spans[usize::from(process.0)]);
        spans.any(|spans| hits(&spans.faults) || hits(&spans.down))
    }
}

fn gather(history: &[Event]) -> Vec<Spans> {
    let mut all = vec![Spans::default(); Processes::COUNT_MAX];
    for (at, event) in history.iter().enumerate() {
        let own = usize::from(event.process.0) % Processes::COUNT_MAX;
        match event.fact {
            Fact::FaultBegin { scope } => change(&mut all, scope, |spans| spans.fault_begins(at)),
            Fact::FaultEnd { scope } => change(&mut all, scope, |spans| spans.fault_ends(at)),
            Fact::Crash => all[own].down.push((at, at)),
            Fact::Recovered => {
                if let Some(last) = all[own].down.last_mut() {
                    last.1 = at;
                }
            }
            _ => {}
        }
    }
    all
}

fn change(all: &mut [Spans], scope: Processes, change: impl Fn(&mut Spans)) {
    for Process(process) in scope.iter() {
        change(&mut all[usize::from(process)]);
    }
}

impl Spans {
    fn fault_begins(&mut self, at: usize) {
        if self.faults_now == 0 {
            self.faults.push((at, OPEN));
        }
        self.faults_now += 1;
    }

    fn fault_ends(&mut self, at: usize) {
        self.faults_now = self.faults_now.saturating_sub(1);
        if let (0, Some(last)) = (self.faults_now, self.faults.last_mut()) {
            last.1 = at;
        }
    }
}
