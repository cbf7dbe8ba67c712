//! No checker complains about a lawful history, and none panics on an unlawful one.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::lawful::Lawful;
use crate::{
    Checkpoint, Connection, ConnectionState, Event, Fact, Given, Offset, Pool, Process, Processes,
    Tx, Variant, Waiter, check_all,
};

pub(super) const VARIANTS: [Variant; 3] =
    [Variant::PresumedNothing, Variant::PresumedAbort, Variant::PresumedCommit];

/// A case of each seed: all variants, one to five participants, with and without trouble.
pub(super) fn case(seed: u64) -> Lawful {
    let variant = VARIANTS[(seed % 3) as usize];
    let participants = 1 + (seed % 5) as u8;
    let trouble_one_in = [0, 30, 100, 400][(seed / 3 % 4) as usize];
    Lawful { seed, events: 600, participants, variant, trouble_one_in }
}

#[test]
fn every_law_holds_on_1200_lawful_histories() {
    for seed in 0..1_200 {
        let (history, given) = case(seed).generate();
        for judgement in check_all(&history, &given) {
            let shown = judgement.verdict.violation().map(|found| {
                found.witness.iter().map(|at| history[*at].to_string()).collect::<Vec<_>>()
            });
            assert!(judgement.verdict.is_ok(), "seed {seed}: {judgement}: {shown:#?}");
        }
    }
}

/// Any fact about few things, and now and then about one that has no dense number.
fn any_fact(kind: u8, a: u32, b: u32, yes: bool) -> Fact {
    let tx = Tx(a);
    let (checkpoint, offset) = (Checkpoint(b % 5), Offset(a));
    let connection = Connection(a);
    let state = if yes { ConnectionState::Idle } else { ConnectionState::Failed };
    let by = Process(b as u8);
    let all: Processes = (0..b % 4).map(|process| Process(process as u8)).collect();
    match kind {
        0 => Fact::Begin { tx, participants: all },
        1 => Fact::Initiated { tx },
        2 => Fact::PrepareSent { tx, to: by },
        3 => Fact::Prepared { tx },
        4 => Fact::Vote { tx, yes },
        5 => Fact::VoteReceived { tx, from: by, yes },
        6 => Fact::Timeout { tx },
        7 => Fact::DecisionDurable { tx, commit: yes },
        8 => Fact::Decide { tx, commit: yes },
        9 => Fact::Answer { tx, commit: yes },
        10 => Fact::AckReceived { tx, from: by },
        11 => Fact::Forget { tx },
        12 => Fact::Heuristic { tx, commit: yes },
        13 => Fact::HeuristicReported { tx, of: by },
        14 => Fact::Forced { tx },
        15 => Fact::Message { tx },
        16 => Fact::Crash,
        17 => Fact::Recovered,
        18 => Fact::FaultBegin { scope: all },
        19 => Fact::FaultEnd { scope: all },
        20 => Fact::Healed { core: all },
        21 => Fact::Quiescent,
        22 => Fact::PreparedAtEnd { tx },
        23 => Fact::CheckpointStart { checkpoint },
        24 => Fact::Joins { tx, checkpoint },
        25 => Fact::Covers { tx, from: Offset(b), to: Offset(b % 7) },
        26 => Fact::CheckpointDurable { checkpoint, offset },
        27 => Fact::Restored { checkpoint, offset },
        28 => Fact::UpstreamAck { offset },
        29 => Fact::Connect { connection, pool: Pool(b as u8) },
        30 => Fact::Lease { connection, state },
        31 => Fact::Return { connection },
        32 => Fact::Close { connection },
        33 => Fact::WaitBegin { waiter: Waiter(a) },
        34 => Fact::WaitEnd { waiter: Waiter(a) },
        35 => Fact::Buffered { bytes: u64::from(a) << (b % 40) },
        36 => Fact::LetThrough,
        _ => Fact::Released { bytes: u64::from(b) },
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    let number = || prop_oneof![9 => 0..4_u32, 1 => Just(u32::MAX)];
    let fact = (0..38_u8, number(), number(), any::<bool>());
    let fact = fact.prop_map(|(kind, a, b, yes)| any_fact(kind, a, b, yes));
    let process = prop_oneof![9 => 0..4_u8, 1 => any::<u8>()];
    let at = prop_oneof![9 => 0..1_000_u64, 1 => Just(u64::MAX)];
    (at, process, 0..3_u32, fact).prop_map(|(at, process, incarnation, fact)| Event {
        at,
        process: Process(process),
        incarnation,
        fact,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_history_makes_a_checker_panic(
        history in proptest::collection::vec(any_event(), 0..200),
        bound in proptest::option::of(0..100_u64),
    ) {
        let given = Given {
            faults_recorded: bound.is_some(),
            decide_ns_max: bound,
            wait_ns_max: bound,
            buffer_bytes_max: bound,
            target: bound.map(|bound| vec![(Offset(bound as u32), 1), (Offset(u32::MAX), 2)]),
            ..Given::default()
        };
        let judged = check_all(&history, &given);
        for found in judged.iter().filter_map(|judged| judged.verdict.violation()) {
            prop_assert!(found.witness.iter().all(|at| *at < history.len()), "{}", found);
        }
        prop_assert_eq!(judged, check_all(&history, &given));
    }
}

#[test]
fn lawful_histories_have_every_fact_that_a_lawful_run_can_have() {
    let mut kinds = BTreeSet::new();
    for seed in 0..300 {
        let (history, _) = case(seed).generate();
        kinds.extend(history.iter().map(|event| {
            let shown = format!("{:?}", event.fact);
            shown.split(' ').next().map(str::to_owned).expect("a name")
        }));
    }
    // All 38 but what is only there after a violation.
    assert_eq!(kinds.len(), 37, "{kinds:?}");
    assert!(!kinds.contains("PreparedAtEnd"));
}
