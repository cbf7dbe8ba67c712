//! What a sweep should come to: every phase of a transaction, with a crash of either role in it,
//! and with each kind of message lost.

use std::collections::BTreeMap;

use seedbed::check::Process;
use seedbed::seam::probe;
use seedbed_engines::sink::Gid;

use super::recorder::SINK;

/// Where a transaction is at the process that crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// At the coordinator: votes are missing.
    Voting,
    /// At the coordinator: it is decided, and not forgotten.
    Decided,
    /// At a participant: it is asked to prepare, and has not.
    Asked,
    /// At a participant: it is in doubt.
    Prepared,
    /// At a participant: it has its end, and the coordinator does not know that.
    Applied,
}

/// A message that may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Prepare,
    Vote,
    Decision,
    Answer,
}

macro_rules! grid {
    ($($phase:literal),*) => {
        [$([
            concat!("crash: ", $phase),
            concat!("crash: ", $phase, ", prepare lost"),
            concat!("crash: ", $phase, ", vote lost"),
            concat!("crash: ", $phase, ", decision lost"),
            concat!("crash: ", $phase, ", answer lost"),
        ]),*]
    };
}

/// A crash in a phase, alone and with each message lost, in the life of one transaction.
const CRASHES: [[&str; 5]; 5] = grid![
    "coordinator while voting",
    "coordinator while decided",
    "participant while asked",
    "participant while in doubt",
    "participant while applied"
];
const LOST: [&str; 4] = [
    "message lost: prepare",
    "message lost: vote",
    "message lost: decision",
    "message lost: answer",
];

seedbed::seam::probes! {
    /// What else a sweep should come to.
    CoordinatorIdle, "crash: coordinator while idle";
    CoordinatorRecovering, "crash: coordinator while recovering";
    ParticipantIdle, "crash: participant while idle";
    ParticipantRecovering, "crash: participant while recovering";
    DecidedByHand, "a person decides a prepared transaction";
    SinkStops, "the sink stops by itself";
    ParticipantStops, "a participant stops by itself";
}

/// All of them.
pub(super) fn all() -> Vec<&'static str> {
    let own = Probe::ALL.iter().map(|probe| probe.name());
    let engine = seedbed_engines::sink::Probe::ALL.iter().map(|probe| probe.name());
    engine.chain(CRASHES.into_iter().flatten()).chain(LOST).chain(own).collect()
}

/// What happens to each transaction.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    transactions: BTreeMap<Gid, Life>,
    /// Processes that have started and do not work yet: a bit for each.
    recovering: u64,
}

#[derive(Debug, Default)]
struct Life {
    decided: bool,
    over: bool,
    /// At each participant, by number.
    at: BTreeMap<u8, Phase>,
    /// What was sent to or by each participant and has not arrived, and how often the network had
    /// done wrong before.
    under_way: BTreeMap<u8, (Message, u64)>,
    /// Phases in which somebody crashed: a bit for each.
    crashed: u8,
    /// Messages that were lost: a bit for each.
    lost: u8,
}

fn wrongs_of(nth: u8, wrongs: &[u64]) -> u64 {
    wrongs.get(usize::from(nth)).copied().unwrap_or(0)
}

impl Life {
    /// What has not arrived from or at a participant is lost, if the network has done wrong between
    /// the two since it was sent.
    fn lose(&mut self, nth: u8, (message, before): (Message, u64), wrongs: &[u64]) {
        if wrongs_of(nth, wrongs) > before {
            self.lost |= 1 << message as u8;
        }
    }
}

impl Traffic {
    fn life(&mut self, gid: Gid) -> &mut Life {
        self.transactions.entry(gid).or_default()
    }

    pub(super) fn begun(&mut self, gid: Gid) {
        self.life(gid);
    }

    pub(super) fn decided(&mut self, gid: Gid) {
        self.life(gid).decided = true;
    }

    pub(super) fn forgotten(&mut self, gid: Gid) {
        self.life(gid).over = true;
    }

    pub(super) fn at_participant(&mut self, gid: Gid, nth: u8, phase: Phase) {
        self.life(gid).at.insert(nth, phase);
    }

    /// A message leaves, when the network has done wrong so often, by participant.
    pub(super) fn sent(&mut self, gid: Gid, nth: u8, message: Message, wrongs: &[u64]) {
        let life = self.life(gid);
        life.under_way.insert(nth, (message, wrongs_of(nth, wrongs)));
        if message == Message::Prepare {
            life.at.insert(nth, Phase::Asked);
        }
    }

    pub(super) fn arrived(&mut self, gid: Gid, nth: u8, message: Message) {
        let life = self.life(gid);
        if life.under_way.get(&nth).is_some_and(|(sent, _)| *sent == message) {
            life.under_way.remove(&nth);
        }
        if message == Message::Answer {
            life.at.remove(&nth);
        }
    }

    /// The coordinator does not wait any longer.
    pub(super) fn gave_up(&mut self, gid: Gid, wrongs: &[u64]) {
        let life = self.life(gid);
        for (nth, sent) in std::mem::take(&mut life.under_way) {
            life.lose(nth, sent, wrongs);
        }
    }

    /// The coordinator says it once more.
    pub(super) fn sent_again(&mut self, gid: Gid, nth: u8, wrongs: &[u64]) {
        let life = self.life(gid);
        if let Some(sent) = life.under_way.remove(&nth) {
            life.lose(nth, sent, wrongs);
        }
    }

    pub(super) fn booted(&mut self, process: Process) {
        self.recovering |= 1 << process.0;
    }

    /// The sink is open.
    pub(super) fn opened(&mut self) {
        self.recovering &= !(1 << SINK.0);
    }

    /// A participant listens.
    pub(super) fn serves(&mut self, process: Process) {
        self.recovering &= !(1 << process.0);
    }

    /// A process is down, when the network has done wrong so often.
    pub(super) fn crashed(&mut self, process: Process, wrongs: &[u64]) {
        let recovering = self.recovering & 1 << process.0 != 0;
        let mut idle = true;
        for life in self.transactions.values_mut().filter(|life| !life.over) {
            // What dies with its sender or receiver is not lost by the network, unless before.
            for (nth, sent) in std::mem::take(&mut life.under_way) {
                match process == SINK || process.0 == nth + 1 {
                    true => life.lose(nth, sent, wrongs),
                    false => drop(life.under_way.insert(nth, sent)),
                }
            }
            let phase = match process.0.checked_sub(1) {
                None if life.decided => Some(Phase::Decided),
                None => Some(Phase::Voting),
                Some(nth) => life.at.get(&nth).copied(),
            };
            if let Some(phase) = phase {
                life.crashed |= 1 << phase as u8;
                idle = false;
            }
            // What was not decided dies with the coordinator.
            life.over |= process == SINK && !life.decided;
        }
        match (process == SINK, recovering) {
            (true, true) => Probe::CoordinatorRecovering.reached(),
            (false, true) => Probe::ParticipantRecovering.reached(),
            (true, false) => Probe::CoordinatorIdle.sometimes(idle),
            (false, false) => Probe::ParticipantIdle.sometimes(idle),
        }
    }

    /// The run is over: marks what it came to.
    pub(super) fn mark(&mut self, wrongs: &[u64]) {
        for life in self.transactions.values_mut() {
            for (nth, sent) in std::mem::take(&mut life.under_way) {
                life.lose(nth, sent, wrongs);
            }
            let lost = (0..4).filter(|message| life.lost & 1 << message != 0);
            lost.clone().for_each(|message| probe::reached(LOST[message]));
            for phase in (0..5).filter(|phase| life.crashed & 1 << phase != 0) {
                probe::reached(CRASHES[phase][0]);
                lost.clone().for_each(|message| probe::reached(CRASHES[phase][1 + message]));
            }
        }
    }
}
