//! Why a transaction does not end: which process hangs in which phase, and what it waits for.
//!
//! Looked up in the history once a violation is certain, so that judging does not pay for it.

use crate::history::{Event, Fact, Process, Tx};
use crate::processes::Processes;
use crate::verdict::Finding;

/// What the history says about one transaction.
#[derive(Default)]
struct Story {
    participants: Processes,
    coordinator: Option<Process>,
    asked: Processes,
    voted: Processes,
    arrived: Processes,
    decision: Option<(usize, bool)>,
    told: Option<(usize, bool)>,
}

fn tell(history: &[Event], of: Tx) -> Story {
    let mut story = Story::default();
    for (at, event) in history.iter().enumerate() {
        match event.fact {
            Fact::Begin { tx, participants } if tx == of => {
                story.participants = participants;
                story.coordinator = Some(event.process);
            }
            Fact::PrepareSent { tx, to } if tx == of => story.asked = story.asked.with(to),
            Fact::Vote { tx, .. } if tx == of => story.voted = story.voted.with(event.process),
            Fact::VoteReceived { tx, from, .. } if tx == of => {
                story.arrived = story.arrived.with(from);
            }
            Fact::DecisionDurable { tx, commit } if tx == of => {
                story.decision.get_or_insert((at, commit));
            }
            Fact::Decide { tx, commit } | Fact::Answer { tx, commit } if tx == of => {
                story.told.get_or_insert((at, commit));
            }
            _ => {}
        }
    }
    story
}

/// The finding about a transaction on which these processes still owe a decision at the end. The
/// coordinator is named if it is one of them: the others wait for it.
pub(crate) fn why_stuck(
    history: &[Event],
    tx: Tx,
    begun: Option<u32>,
    owing: Processes,
    healed: usize,
) -> Finding {
    let story = tell(history, tx);
    let first = owing.iter().next().unwrap_or(Process(0));
    let process = story.coordinator.filter(|process| owing.contains(*process)).unwrap_or(first);
    let own = |event: &Event| event.process == process;
    let is_life = |event: &Event| matches!(event.fact, Fact::Crash | Fact::Recovered);
    let life = history.iter().rposition(|event| own(event) && is_life(event));
    let down = life.filter(|at| history[*at].fact == Fact::Crash);
    let last = history.iter().rposition(own);
    let reason = match down {
        Some(at) => format!("it is down since event {at}"),
        None if story.coordinator == Some(process) => coordinator(&story),
        None => participant(&story, process),
    };
    let last_words = match last {
        Some(at) => format!("its last event is {at}, {:?}", history[at].fact),
        None => "it has no event".to_owned(),
    };
    let got = format!("process {} undecided: {reason}; {last_words}", process.0);
    let expected = format!("a decision on {} within the bound after event {healed}", tx.0);
    let begun = begun.map(|begun| begun as usize);
    let told = story.told.map(|(at, _)| at);
    let witness = [begun, told, down, last, Some(healed), history.len().checked_sub(1)];
    Finding::new(expected, got, witness.into_iter().flatten())
}

fn coordinator(story: &Story) -> String {
    let unasked = story.participants - story.asked - story.voted;
    let missing = story.participants - story.arrived;
    if let Some((at, _)) = story.decision {
        format!("it has decided (event {at}) and tells nobody")
    } else if !unasked.is_empty() && !story.asked.is_empty() {
        format!("it collects votes and has not asked {unasked}")
    } else if !(missing - story.voted).is_empty() {
        format!("it collects votes and waits for those of {}", missing - story.voted)
    } else if !missing.is_empty() {
        format!("it collects votes, and those of {missing} were sent and have not arrived")
    } else {
        "it has all votes and makes no decision durable".to_owned()
    }
}

fn participant(story: &Story, process: Process) -> String {
    if !story.voted.contains(process) {
        return "it is prepared and does not vote".to_owned();
    }
    match (story.told, story.coordinator) {
        (Some((at, _)), _) => {
            format!("it is in doubt and does not apply the decision (event {at})")
        }
        (None, Some(Process(by))) => format!("it is in doubt and waits for process {by} to decide"),
        (None, None) => "it is in doubt and its transaction has no coordinator".to_owned(),
    }
}
