//! Random operations against a plain model, and a start from the entries at any time: the state is
//! the same.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const WRITERS: [&str; 2] = ["v", "w"];
const KEYS: i64 = 6;

type Texts = (Option<String>, Option<String>);

#[derive(Clone, Debug)]
enum Step {
    Prepare { writer: usize, mode: WriteMode, rows: Vec<(i64, Texts)>, finish: bool },
    OnePhase { mode: WriteMode, rows: Vec<(i64, Texts)> },
    Decide { writer: usize, number: u64, commit: bool, by_hand: bool },
    Forget { writer: usize, number: u64 },
    Fence { writer: usize },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let text = || proptest::option::of("[a-c]");
    let rows = proptest::collection::vec((0..KEYS, (text(), text())), 0..4);
    let mode =
        prop_oneof![Just(WriteMode::Insert), Just(WriteMode::Upsert), Just(WriteMode::Replace),];
    let number = || 1_u64..12;
    let decision = (0_usize..2, number(), any::<bool>(), 0_u8..4);
    let decision = decision.prop_map(|(writer, number, commit, by)| Step::Decide {
        writer,
        number,
        commit,
        by_hand: by == 0,
    });
    prop_oneof![
        6 => (0_usize..2, mode.clone(), rows.clone(), any::<bool>())
            .prop_map(|(writer, mode, rows, finish)| Step::Prepare { writer, mode, rows, finish }),
        2 => (mode, rows).prop_map(|(mode, rows)| Step::OnePhase { mode, rows }),
        8 => decision,
        1 => (0_usize..2, number()).prop_map(|(writer, number)| Step::Forget { writer, number }),
        1 => (0_usize..2).prop_map(|writer| Step::Fence { writer }),
        2 => Just(Step::Restart),
    ]
}

#[derive(Clone, PartialEq)]
enum State {
    Prepared(WriteMode, Vec<(i64, Texts)>),
    Committed,
    ByHand(Decision, bool),
}

#[derive(Default)]
struct Model {
    table: BTreeMap<i64, Texts>,
    transactions: BTreeMap<(usize, u64), State>,
    finished: [u64; 2],
    last: [u64; 2],
    /// Aborted before they came, in this life.
    refused: BTreeSet<(usize, u64)>,
    incarnations: [u64; 2],
}

#[derive(PartialEq, Debug)]
enum Voted {
    Yes,
    Conflict,
    Rejected(u32),
    Unable,
}

impl Model {
    fn held(&self) -> BTreeSet<i64> {
        let rows = self.transactions.values().filter_map(|state| match state {
            State::Prepared(_, rows) => Some(rows),
            _ => None,
        });
        rows.flatten().map(|(key, _)| *key).collect()
    }

    fn vote(&self, mode: WriteMode, rows: &[(i64, Texts)]) -> Voted {
        let (held, mut seen) = (self.held(), BTreeSet::new());
        for (nth, (key, _)) in rows.iter().enumerate() {
            if held.contains(key) {
                return Voted::Conflict;
            }
            let there = !seen.insert(*key) || self.table.contains_key(key);
            if mode == WriteMode::Insert && there {
                return Voted::Rejected(nth as u32);
            }
        }
        Voted::Yes
    }

    fn apply(&mut self, mode: WriteMode, rows: &[(i64, Texts)]) {
        for (key, (left, right)) in rows {
            let row = self.table.entry(*key).or_default();
            match mode {
                WriteMode::Upsert => {
                    row.0 = left.clone().or(row.0.take());
                    row.1 = right.clone().or(row.1.take());
                }
                _ => *row = (left.clone(), right.clone()),
            }
        }
    }

    fn decide(&mut self, of: (usize, u64), decision: Decision, by_hand: bool) -> Outcome {
        let Some(state) = self.transactions.get_mut(&of) else {
            let finished = of.1 < self.finished[of.0];
            if decision == Decision::Abort && !finished {
                self.refused.insert(of);
            }
            let done = decision == Decision::Abort || finished;
            return if done { Outcome::Done } else { Outcome::Missing };
        };
        match state.clone() {
            State::Prepared(mode, rows) => {
                match (by_hand, decision) {
                    (true, _) => *state = State::ByHand(decision, false),
                    (false, Decision::Commit) => *state = State::Committed,
                    (false, Decision::Abort) => drop(self.transactions.remove(&of)),
                }
                if decision == Decision::Commit {
                    self.apply(mode, &rows);
                }
                Outcome::Done
            }
            State::Committed if decision == Decision::Commit => Outcome::Done,
            State::Committed => Outcome::Heuristic(Decision::Commit),
            State::ByHand(by, _) if by == decision => {
                *state = State::ByHand(by, true);
                Outcome::Done
            }
            State::ByHand(by, _) => Outcome::Heuristic(by),
        }
    }

    /// Nobody asks again about those before the first that is open.
    fn finish(&mut self, writer: usize) -> u64 {
        let open = |state: &State| !matches!(state, State::Committed | State::ByHand(_, true));
        let mut all = self.transactions.range((writer, 0)..(writer + 1, 0));
        let first = all.find(|(_, state)| open(state)).map(|((_, number), _)| *number);
        let finished = first.unwrap_or(self.last[writer] + 1).max(self.finished[writer]);
        self.finished[writer] = finished;
        self.refused.retain(|(of, number)| *of != writer || *number >= finished);
        self.transactions
            .retain(|(of, number), state| *of != writer || *number >= finished || open(state));
        finished
    }
}

fn encoded(rows: &[(i64, Texts)]) -> Rows {
    let mut all = Rows::new();
    for (id, (left, right)) in rows {
        let row = narrow_row(*id, left.as_deref(), right.as_deref());
        all.push(&narrow(), &row).unwrap();
    }
    all
}

fn check_vote(voted: &Result<(), No>, expected: &Voted) {
    match (voted, expected) {
        (Ok(()), Voted::Yes) | (Err(No::Conflict), Voted::Conflict) => (),
        (Err(No::Unable { .. }), Voted::Unable) => (),
        (Err(No::Rejected { row, .. }), Voted::Rejected(nth)) if row == nth => (),
        _ => panic!("{voted:?}, not {expected:?}"),
    }
}

fn do_step(desk: &mut Desk, model: &mut Model, step: &Step) {
    match step {
        Step::Prepare { writer: of, mode, rows, finish } => {
            let finished = if *finish { model.finish(*of) } else { 0 };
            model.last[*of] += 1;
            let number = model.last[*of].max(model.finished[*of]);
            model.last[*of] = number;
            let expected = match model.refused.contains(&(*of, number)) {
                true => Voted::Unable,
                false => model.vote(*mode, rows),
            };
            let (w, rows_in) = (writer(WRITERS[*of]), encoded(rows));
            let voted = desk.prepare(&w, gid(1, number), gid(1, finished), *mode, rows_in);
            check_vote(&voted, &expected);
            if expected == Voted::Yes {
                let state = State::Prepared(*mode, rows.clone());
                model.transactions.insert((*of, number), state);
            } else if *finish {
                // It went with the vote, and the vote was no.
                desk.prepare(&w, gid(2, number), gid(1, finished), *mode, Rows::new()).unwrap();
                desk.decide(&w, gid(2, number), Decision::Abort, false);
            }
        }
        Step::OnePhase { mode, rows } => {
            let expected = model.vote(*mode, rows);
            check_vote(&desk.commit_open(*mode, encoded(rows)), &expected);
            if expected == Voted::Yes {
                model.apply(*mode, rows);
            }
        }
        Step::Decide { writer: of, number, commit, by_hand } => {
            let (w, of) = (writer(WRITERS[*of]), (*of, *number));
            let decision = if *commit { Decision::Commit } else { Decision::Abort };
            let prepared = matches!(model.transactions.get(&of), Some(State::Prepared(..)));
            assert_eq!(desk.kernel.is_prepared(&w, gid(1, *number)), prepared);
            if *by_hand && !prepared {
                return;
            }
            let expected = model.decide(of, decision, *by_hand);
            assert_eq!(desk.decide(&w, gid(1, *number), decision, *by_hand), expected);
        }
        Step::Forget { writer: of, number } => {
            desk.forget(&writer(WRITERS[*of]), gid(1, *number));
            if let Some(State::ByHand(_, told)) = model.transactions.get_mut(&(*of, *number)) {
                *told = true;
            }
        }
        Step::Fence { writer: of } => {
            model.incarnations[*of] += 2;
            desk.fence(&writer(WRITERS[*of]), model.incarnations[*of]);
        }
        Step::Restart => {
            desk.kernel = desk.memory.recover(&desk.schema);
            model.refused.clear();
        }
    }
}

/// Everything that can be asked of a kernel.
fn check(desk: &mut Desk, model: &Model) {
    let rows: Vec<_> = model.table.iter().map(|(id, (l, r))| (*id, l.clone(), r.clone())).collect();
    assert_eq!(desk.rows(), rows);
    let mut recovered: Vec<_> = desk.kernel.recovered().collect();
    let mut expected = Vec::new();
    for ((_, number), state) in &model.transactions {
        expected.push(match state {
            State::Prepared(..) => (gid(1, *number), None, false),
            State::Committed => (gid(1, *number), Some(Decision::Commit), false),
            State::ByHand(decision, _) => (gid(1, *number), Some(*decision), true),
        });
    }
    recovered.sort();
    expected.sort();
    assert_eq!(recovered, expected);
    for (nth, name) in WRITERS.into_iter().enumerate() {
        assert_eq!(desk.kernel.incarnation(&writer(name)), model.incarnations[nth]);
        let listed: Vec<Gid> = model
            .transactions
            .range((nth, 0)..(nth + 1, 0))
            .filter(|(_, state)| matches!(state, State::Prepared(..) | State::ByHand(_, false)))
            .map(|((_, number), _)| gid(1, *number))
            .collect();
        assert_eq!(desk.kernel.list(&writer(name)), listed);
    }
    let held = model.held();
    for key in 0..KEYS {
        let rows = encoded(&[(key, (None, None))]);
        let probe = Prepared { mode: WriteMode::Replace, rows };
        match desk.kernel.lock(&desk.schema, &desk.memory, &probe) {
            Ok(()) => {
                assert!(!held.contains(&key));
                desk.kernel.unlock(&desk.schema, &probe.rows);
            }
            Err(no) => assert!(no == No::Conflict && held.contains(&key)),
        }
    }
}

proptest! {
    #[test]
    fn a_kernel_does_what_the_model_does_also_after_a_start(
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let (mut desk, mut model) = (Desk::new(narrow()), Model::default());
        for step in steps {
            do_step(&mut desk, &mut model, &step);
            check(&mut desk, &model);
            let running = std::mem::replace(&mut desk.kernel, desk.memory.recover(&desk.schema));
            check(&mut desk, &model);
            desk.kernel = running;
        }
    }
}
