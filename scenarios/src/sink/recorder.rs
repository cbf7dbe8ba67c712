//! Turns what the sink and its participants tell into a history that checkers can judge, and keeps
//! what the model needs to know of each transaction.

use std::collections::{BTreeMap, BTreeSet};

use seedbed::check::{
    Checkpoint, Connection, ConnectionState, Event as Entry, Fact, History, Interner, Offset, Pool,
    Process, Processes, Tx, Waiter,
};
use seedbed::{FaultKind, SimEnv};
use seedbed_engines::sink::{self, ConnectionChange, Decision, Event, Gid};

use super::probes::{Message, Phase, Traffic};

/// The sink's process; participants follow.
pub(super) const SINK: Process = Process(0);

/// The process of a participant.
pub(super) fn participant(nth: u8) -> Process {
    Process(nth + 1)
}

/// The sink as a participant knows it, which fences earlier starts off by itself.
fn writer_at(nth: u8) -> Process {
    Process(32 + nth)
}

/// What is known of a transaction, besides the history.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The offsets that it covers.
    pub(super) offsets: std::ops::Range<u64>,
    pub(super) committed: bool,
    /// Participants where a person decided, and how.
    pub(super) by_hand: BTreeMap<u8, Decision>,
    /// Participants whose damage was reported.
    pub(super) damaged: BTreeSet<u8>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    pub(super) history: History,
    pub(super) transactions: BTreeMap<Gid, Known>,
    /// Offsets of rows that were left out.
    pub(super) rejected: BTreeSet<u64>,
    names: Interner<Gid>,
    connections: Interner<(u32, u8, u32)>,
    waits: Interner<(u32, u8, u32)>,
    /// A fault has happened, or none will any more.
    disturbed: bool,
    /// Who is telling, and in which boot, which need not be the last one.
    telling: Option<(Process, u32)>,
    /// The boot of each process.
    boots: Vec<u32>,
    /// And its world.
    envs: Vec<SimEnv>,
    /// The last one.
    checkpoint: u64,
    /// Stretches of offsets that no transaction carries, not in a checkpoint yet.
    emptied: Vec<(u64, u64)>,
    /// How many there were.
    stand_ins: u64,
    /// What was committed where.
    applied: BTreeSet<(Gid, u8)>,
    /// Who was told what.
    told: BTreeSet<(Tx, Process, Decision)>,
    /// What a person tried to decide.
    tried: BTreeMap<(Gid, u8), Decision>,
    pub(super) traffic: Traffic,
}

impl Recorder {
    /// Adds a fact of a process, to the trace as well.
    pub(super) fn add(&mut self, process: Process, fact: Fact) {
        self.notice_faults(process);
        self.put(process, fact);
    }

    /// From the first fault on everybody may notice some.
    fn notice_faults(&mut self, process: Process) {
        if !self.disturbed && self.faults() > 0 {
            self.disturbed = true;
            self.put(process, Fact::FaultBegin { scope: Processes::ALL });
        }
    }

    /// Faults are over. What they may have done to whom is not known, so all of them are one that
    /// everybody may notice.
    pub(super) fn faults_end(&mut self) {
        self.notice_faults(SINK);
        if self.disturbed {
            self.put(SINK, Fact::FaultEnd { scope: Processes::ALL });
        }
        self.disturbed = true;
    }

    fn faults(&self) -> u64 {
        self.envs.first().map_or(0, |env| env.stats().faults_of(FaultKind::ALL))
    }

    fn put(&mut self, process: Process, fact: Fact) {
        let at = seedbed::simulated_ns().unwrap_or(0);
        if let Some(env) = self.envs.get(usize::from(process.0)) {
            env.note("fact", u64::from(process.0), || format!("{fact:?}"));
        }
        let last = self.boots.get(usize::from(process.0)).copied().unwrap_or(0);
        let own = self.telling.filter(|(telling, _)| *telling == process);
        let incarnation = own.map_or(last, |(_, boot)| boot);
        self.history.push(Entry { at, process, incarnation, fact });
    }

    /// A process is up; gives the number of its boot.
    pub(super) fn booted(&mut self, process: Process, env: SimEnv) -> u32 {
        let nth = usize::from(process.0);
        if self.boots.len() <= nth {
            self.boots.resize(nth + 1, 0);
            self.envs.resize(nth + 1, env);
        }
        self.envs[nth] = env;
        self.boots[nth] += 1;
        if self.boots[nth] > 1 {
            self.add(process, Fact::Recovered);
        }
        self.traffic.booted(process);
        self.boots[nth]
    }

    /// A process is down.
    pub(super) fn crashed(&mut self, process: Process) {
        self.add(process, Fact::Crash);
        let wrongs = self.wrongs();
        self.traffic.crashed(process, &wrongs);
    }

    /// How often the network has lost, held up or reset something between the sink and each
    /// participant.
    pub(super) fn wrongs(&self) -> Vec<u64> {
        let Some((sink, participants)) = self.envs.split_first() else { return Vec::new() };
        participants.iter().map(|env| sink.harm_to(*env)).collect()
    }

    /// The number of a transaction.
    pub(super) fn tx(&mut self, gid: Gid) -> Tx {
        Tx(self.names.number(gid))
    }

    /// A person tries to decide a transaction; whether that came about shows later. `false` if an
    /// earlier try may yet, or did.
    pub(super) fn tries_by_hand(&mut self, gid: Gid, nth: u8, decision: Decision) -> bool {
        let decided =
            self.transactions.get(&gid).is_some_and(|known| known.by_hand.contains_key(&nth));
        if decided || self.tried.contains_key(&(gid, nth)) {
            return false;
        }
        self.tried.insert((gid, nth), decision);
        true
    }

    /// The participant has answered such a try: if it came about, it has told so.
    pub(super) fn tried_by_hand(&mut self, gid: Gid, nth: u8) {
        self.tried.remove(&(gid, nth));
    }

    fn decided_by_hand(&mut self, gid: Gid, nth: u8, decision: Decision) {
        let known = self.transactions.entry(gid).or_default();
        if known.by_hand.insert(nth, decision).is_none() {
            let tx = self.tx(gid);
            let commit = decision == Decision::Commit;
            self.add(participant(nth), Fact::Heuristic { tx, commit });
        }
    }

    /// What a participant tells in this boot.
    pub(super) fn participant_told(&mut self, nth: u8, boot: u32, event: Event) {
        self.telling = Some((participant(nth), boot));
        self.participant_tells(nth, event);
        self.telling = None;
    }

    fn participant_tells(&mut self, nth: u8, event: Event) {
        let process = participant(nth);
        match event {
            Event::Admitted { incarnation } | Event::LetThrough { incarnation } => {
                self.telling = Some((writer_at(nth), incarnation as u32));
                self.add(writer_at(nth), Fact::LetThrough);
            }
            Event::Forced { gid } => {
                let tx = self.tx(gid);
                self.add(process, Fact::Forced { tx });
            }
            Event::Prepared { gid } => {
                let tx = self.tx(gid);
                self.add(process, Fact::Prepared { tx });
                self.traffic.at_participant(gid, nth, Phase::Prepared);
            }
            Event::VoteSent { gid, yes } => {
                let tx = self.tx(gid);
                self.add(process, Fact::Vote { tx, yes });
                self.add(process, Fact::Message { tx });
                self.traffic.arrived(gid, nth, Message::Prepare);
                let wrongs = self.wrongs();
                self.traffic.sent(gid, nth, Message::Vote, &wrongs);
            }
            Event::Applied { gid, decision } => {
                let tx = self.tx(gid);
                if decision == Decision::Abort {
                    self.applied.remove(&(gid, nth));
                } else if !self.applied.insert((gid, nth)) {
                    // Told once more by a start.
                    return;
                }
                self.add(process, Fact::Decide { tx, commit: decision == Decision::Commit });
                self.traffic.arrived(gid, nth, Message::Decision);
                let wrongs = self.wrongs();
                self.traffic.sent(gid, nth, Message::Answer, &wrongs);
                self.traffic.at_participant(gid, nth, Phase::Applied);
            }
            Event::DecidedByHand { gid, decision } => self.decided_by_hand(gid, nth, decision),
            _ => {}
        }
    }

    /// What the sink tells in this boot.
    pub(super) fn sink_told(&mut self, boot: u32, event: Event) {
        self.telling = Some((SINK, boot));
        self.sink_tells(event);
        self.telling = None;
    }

    fn sink_tells(&mut self, event: Event) {
        match event {
            Event::Recovered { gid } if !self.transactions.entry(gid).or_default().committed => {
                // It was made durable by a start that did not live to tell.
                self.decided(gid, Decision::Commit);
            }
            Event::Opened { offset, checkpoint, .. } => {
                if checkpoint > self.checkpoint {
                    self.checkpointed(checkpoint, offset);
                }
                self.emptied.clear();
                if checkpoint > 0 {
                    let checkpoint = Checkpoint(checkpoint as u32);
                    self.add(SINK, Fact::Restored { checkpoint, offset: Offset(offset as u32) });
                }
                self.traffic.opened();
            }
            Event::CheckpointBegun { checkpoint } => {
                let checkpoint = Checkpoint(checkpoint as u32);
                self.add(SINK, Fact::CheckpointStart { checkpoint });
            }
            Event::Joined { gid, checkpoint } => {
                let (tx, checkpoint) = (self.tx(gid), Checkpoint(checkpoint as u32));
                self.add(SINK, Fact::Joins { tx, checkpoint });
            }
            Event::Checkpointed { checkpoint, offset } => self.checkpointed(checkpoint, offset),
            Event::Emptied { from, to } => self.emptied.push((from, to)),
            Event::Buffered { bytes, .. } => self.add(SINK, Fact::Buffered { bytes }),
            Event::Released { bytes } => self.add(SINK, Fact::Released { bytes }),
            Event::Rejected { offset } => drop(self.rejected.insert(offset)),
            Event::Connection { participant, connection, change, state } => {
                self.connection(participant, connection, change, state);
            }
            Event::WaitBegun { participant, wait } => {
                let waiter = self.waiter(participant, wait);
                self.add(SINK, Fact::WaitBegin { waiter });
            }
            Event::WaitEnded { participant, wait } => {
                let waiter = self.waiter(participant, wait);
                self.add(SINK, Fact::WaitEnd { waiter });
            }
            other => self.transaction_told(other),
        }
    }

    fn transaction_told(&mut self, event: Event) {
        match event {
            Event::Begun { gid, from, to, participants } => self.begun(gid, from, to, participants),
            Event::Forced { gid } => {
                let tx = self.tx(gid);
                self.add(SINK, Fact::Forced { tx });
            }
            Event::PrepareSent { gid, participant: nth } => {
                let (tx, to) = (self.tx(gid), participant(nth));
                self.add(SINK, Fact::PrepareSent { tx, to });
                self.add(SINK, Fact::Message { tx });
                let wrongs = self.wrongs();
                self.traffic.sent(gid, nth, Message::Prepare, &wrongs);
            }
            Event::Voted { gid, participant: nth, yes } => {
                let (tx, from) = (self.tx(gid), participant(nth));
                self.add(SINK, Fact::VoteReceived { tx, from, yes });
                self.traffic.arrived(gid, nth, Message::Vote);
            }
            Event::GaveUp { gid } => {
                let tx = self.tx(gid);
                self.add(SINK, Fact::Timeout { tx });
                let wrongs = self.wrongs();
                self.traffic.gave_up(gid, &wrongs);
            }
            Event::Decided { gid, decision } => self.decided(gid, decision),
            Event::DecisionSent { gid, participant: nth, decision } => {
                self.decision_sent(gid, nth, decision);
            }
            Event::Answered { gid, participant: nth, decision, outcome } => {
                let (tx, from) = (self.tx(gid), participant(nth));
                self.add(SINK, Fact::AckReceived { tx, from });
                // An abort needs no answer: it is there for damage only, and waited for by nobody.
                if decision == Decision::Commit && outcome == sink::Outcome::Done {
                    self.add(from, Fact::Message { tx });
                }
                self.traffic.arrived(gid, nth, Message::Answer);
            }
            Event::Resolved { gid, decision, .. } => {
                let tx = self.tx(gid);
                self.add(SINK, Fact::Answer { tx, commit: decision == Decision::Commit });
            }
            Event::Forgotten { gid } => {
                let tx = self.tx(gid);
                self.add(SINK, Fact::Forget { tx });
                self.traffic.forgotten(gid);
            }
            Event::Damaged { gid, participant: nth, earlier } => {
                let known = self.transactions.entry(gid).or_default();
                if !known.damaged.insert(nth) && earlier {
                    return;
                }
                // A participant that crashed at it has told nobody.
                if let Some(decision) = self.tried.get(&(gid, nth)).copied() {
                    self.decided_by_hand(gid, nth, decision);
                }
                let (tx, of) = (self.tx(gid), participant(nth));
                self.add(SINK, Fact::HeuristicReported { tx, of });
            }
            _ => {}
        }
    }

    fn begun(&mut self, gid: Gid, from: u64, to: u64, participants: u64) {
        let tx = self.tx(gid);
        let all = (0..64).filter(|nth| participants & 1 << nth != 0).map(participant);
        let participants = all.fold(Processes::default(), Processes::with);
        self.add(SINK, Fact::Begin { tx, participants });
        let (from_offset, to_offset) = (Offset(from as u32), Offset(to as u32));
        self.add(SINK, Fact::Covers { tx, from: from_offset, to: to_offset });
        self.transactions.entry(gid).or_default().offsets = from..to;
        self.traffic.begun(gid);
    }

    /// A transaction without participants stands for offsets whose rows were all left out.
    fn stand_in(&mut self, checkpoint: Checkpoint, from: u64, to: u64) {
        self.stand_ins += 1;
        let gid = Gid { incarnation: u64::MAX, number: self.stand_ins };
        self.begun(gid, from, to, 0);
        let tx = self.tx(gid);
        self.add(SINK, Fact::Joins { tx, checkpoint });
        self.decided(gid, Decision::Commit);
        self.add(SINK, Fact::Decide { tx, commit: true });
        self.traffic.forgotten(gid);
    }

    fn decided(&mut self, gid: Gid, decision: Decision) {
        let tx = self.tx(gid);
        self.traffic.decided(gid);
        match decision {
            // An abort has no record: it is presumed.
            Decision::Abort => self.add(SINK, Fact::Decide { tx, commit: false }),
            Decision::Commit => {
                self.add(SINK, Fact::DecisionDurable { tx, commit: true });
                self.transactions.entry(gid).or_default().committed = true;
            }
        }
    }

    fn decision_sent(&mut self, gid: Gid, nth: u8, decision: Decision) {
        let (tx, commit) = (self.tx(gid), decision == Decision::Commit);
        self.add(SINK, Fact::Decide { tx, commit });
        if self.told.insert((tx, participant(nth), decision)) {
            self.add(SINK, Fact::Message { tx });
        } else {
            let wrongs = self.wrongs();
            self.traffic.sent_again(gid, nth, &wrongs);
        }
        let wrongs = self.wrongs();
        self.traffic.sent(gid, nth, Message::Decision, &wrongs);
    }

    fn checkpointed(&mut self, checkpoint: u64, offset: u64) {
        self.checkpoint = checkpoint;
        let checkpoint = Checkpoint(checkpoint as u32);
        let all = std::mem::take(&mut self.emptied);
        let (inside, beyond) = all.into_iter().partition(|(_, to)| *to <= offset);
        self.emptied = beyond;
        for (from, to) in inside {
            self.stand_in(checkpoint, from, to);
        }
        self.add(SINK, Fact::CheckpointDurable { checkpoint, offset: Offset(offset as u32) });
    }

    fn connection(
        &mut self,
        nth: u8,
        connection: u32,
        change: ConnectionChange,
        state: sink::ConnectionState,
    ) {
        let boot = self.sinks_boot();
        let connection = Connection(self.connections.number((boot, nth, connection)));
        let state = match state {
            sink::ConnectionState::Idle => ConnectionState::Idle,
            sink::ConnectionState::Open => ConnectionState::Open,
            sink::ConnectionState::Broken => ConnectionState::Failed,
        };
        let fact = match change {
            // It takes its place while it is being made.
            ConnectionChange::Opening => Fact::Connect { connection, pool: Pool(nth) },
            ConnectionChange::Opened => return,
            ConnectionChange::Leased => Fact::Lease { connection, state },
            ConnectionChange::Returned => Fact::Return { connection },
            ConnectionChange::Closed => Fact::Close { connection },
        };
        self.add(SINK, fact);
    }

    /// The boot of the sink that tells.
    fn sinks_boot(&self) -> u32 {
        let last = self.boots.first().copied().unwrap_or(0);
        self.telling.map_or(last, |(_, boot)| boot)
    }

    fn waiter(&mut self, nth: u8, wait: u32) -> Waiter {
        let boot = self.sinks_boot();
        Waiter(self.waits.number((boot, nth, wait)))
    }
}
