//! A small deterministic generator of lawful histories: a sink that commits epochs of transactions
//! by two-phase commit, through crashes and faults, with its pool and its buffer.
//!
//! For tests of checkers (ours and yours) and for timing them. It is a model of the protocol, so
//! that every law holds by construction; mutations of its histories must be caught.

mod surroundings;
mod transaction;

use crate::given::{Given, Variant};
use crate::history::{Checkpoint, Event, Fact, History, Offset, Process, Tx};
use crate::processes::Processes;
use surroundings::Surroundings;
use transaction::{Site, Transaction};

/// The coordinator, which is the sink as well.
pub const COORDINATOR: Process = Process(0);

/// From here on, the coordinator as each participant knows it.
const FENCED: u8 = 16;

const DECIDE_NS_MAX: u64 = 1_000_000_000;

/// What kind of history to make.
#[derive(Clone, Copy, Debug)]
pub struct Lawful {
    /// The same seed makes the same history.
    pub seed: u64,
    /// About how many events.
    pub events: usize,
    /// How many participants there are, 1..=8; each transaction has some of them.
    pub participants: u8,
    /// The variant of the protocol.
    pub variant: Variant,
    /// One of so many steps is a crash, a recovery, or the begin or end of a fault; 0: none is.
    pub trouble_one_in: u64,
}

impl Lawful {
    /// The history, and what is to be given to checkers with it.
    ///
    /// # Panics
    ///
    /// If there are no or more than 8 participants.
    pub fn generate(self) -> (History, Given) {
        assert!((1..=8).contains(&self.participants), "1 to 8 participants");
        let mut world = World::new(self);
        while world.history.len() < self.events {
            world.turn();
        }
        world.wind_down()
    }
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): small, and good enough to mix cases.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// One epoch on its way to a durable checkpoint.
struct Epoch {
    checkpoint: Checkpoint,
    from: Offset,
    to: Offset,
    txs: Vec<Tx>,
}

struct World {
    settings: Lawful,
    random: Random,
    at: u64,
    history: History,
    /// By process, the coordinator first.
    incarnations: Vec<u32>,
    down: Processes,
    fault: Option<Processes>,
    active: Vec<Transaction>,
    txs: u32,
    checkpoints: u32,
    epoch: Option<Epoch>,
    durable: Option<(Checkpoint, Offset)>,
    acked: Offset,
    rejected: Vec<Offset>,
    surroundings: Surroundings,
}

impl World {
    fn new(settings: Lawful) -> Self {
        Self {
            settings,
            random: Random(settings.seed),
            at: 0,
            history: Vec::with_capacity(settings.events + settings.events / 16 + 1_000),
            incarnations: vec![0; usize::from(settings.participants) + 1],
            down: Processes::NONE,
            fault: None,
            active: Vec::new(),
            txs: 0,
            checkpoints: 0,
            epoch: None,
            durable: None,
            acked: Offset(0),
            rejected: Vec::new(),
            surroundings: Surroundings::default(),
        }
    }

    fn note(&mut self, process: Process, fact: Fact) {
        self.at += 1 + self.random.below(1_000);
        let incarnation = self.incarnations[usize::from(process.0)];
        self.history.push(Event { at: self.at, process, incarnation, fact });
    }

    fn is_up(&self, process: Process) -> bool {
        !self.down.contains(process)
    }

    fn turn(&mut self) {
        let trouble = self.settings.trouble_one_in;
        if trouble > 0 && self.random.one_in(trouble) {
            self.trouble();
        }
        if self.is_up(COORDINATOR) {
            if self.active.len() < 8 {
                self.begin();
            }
            if self.random.one_in(64) {
                self.surround();
            }
        }
        if !self.active.is_empty() {
            let which = self.random.below(self.active.len() as u64) as usize;
            self.advance(which);
        }
        self.decide_epoch();
    }

    fn trouble(&mut self) {
        let count = u64::from(self.settings.participants) + 1;
        let process = Process(self.random.below(count) as u8);
        match (self.random.below(4), self.fault.take()) {
            (_, Some(scope)) => self.note(COORDINATOR, Fact::FaultEnd { scope }),
            (0, None) => {
                let scope = Processes::one(process);
                self.fault = Some(scope);
                self.note(COORDINATOR, Fact::FaultBegin { scope });
            }
            (_, None) if self.is_up(process) => self.crash(process),
            (_, None) => self.recover(process),
        }
    }

    fn crash(&mut self, process: Process) {
        self.note(process, Fact::Crash);
        self.down = self.down.with(process);
        if process == COORDINATOR {
            // Of an epoch that is not durable the next life may know nothing.
            if self.epoch.take().is_some() && self.random.one_in(2) {
                self.checkpoints -= 1;
            }
            self.surroundings = self.surroundings.after_crash();
            let variant = self.settings.variant;
            self.active.iter_mut().for_each(|tx| tx.coordinator_crashes(variant));
        } else {
            self.active.iter_mut().for_each(|tx| tx.participant_crashes(process));
        }
    }

    fn recover(&mut self, process: Process) {
        self.down = self.down - Processes::one(process);
        self.incarnations[usize::from(process.0)] += 1;
        self.note(process, Fact::Recovered);
        if let (COORDINATOR, Some((checkpoint, offset))) = (process, self.durable) {
            self.note(process, Fact::Restored { checkpoint, offset });
        }
    }

    /// Begins an epoch of transactions if there is none, else one that belongs to none.
    fn begin(&mut self) {
        if self.epoch.is_some() {
            self.begin_one(false);
            return;
        }
        let checkpoint = Checkpoint(self.checkpoints);
        self.checkpoints += 1;
        self.note(COORDINATOR, Fact::CheckpointStart { checkpoint });
        let from = self.durable.map_or(Offset(0), |(_, offset)| offset);
        let mut to = from;
        let mut txs = Vec::new();
        for _ in 0..self.random.below(4) {
            let tx = self.begin_one(true);
            self.note(COORDINATOR, Fact::Joins { tx, checkpoint });
            let end = Offset(to.0 + 1 + self.random.below(20) as u32);
            self.note(COORDINATOR, Fact::Covers { tx, from: to, to: end });
            to = end;
            txs.push(tx);
        }
        self.epoch = Some(Epoch { checkpoint, from, to, txs });
    }

    fn begin_one(&mut self, in_epoch: bool) -> Tx {
        let tx = Tx(self.txs);
        self.txs += 1;
        let count = u64::from(self.settings.participants);
        let skip = Process(1 + self.random.below(count) as u8);
        let all = (1..=count as u8).map(Process);
        let some: Processes = all.clone().filter(|process| *process != skip).collect();
        let is_whole = some.is_empty() || self.random.one_in(2);
        let participants = if is_whole { all.collect() } else { some };
        self.note(COORDINATOR, Fact::Begin { tx, participants });
        if self.settings.variant == Variant::PresumedCommit {
            self.note(COORDINATOR, Fact::Forced { tx });
            self.note(COORDINATOR, Fact::Initiated { tx });
        }
        self.active.push(Transaction::new(tx, participants, in_epoch));
        tx
    }

    /// An epoch is one decision: its checkpoint is durable with the decisions of all its
    /// transactions, or they all abort.
    fn decide_epoch(&mut self) {
        let Some(epoch) = self.epoch.take_if(|_| !self.down.contains(COORDINATOR)) else { return };
        let own = |tx: &Transaction| epoch.txs.contains(&tx.tx);
        let fails = self.active.iter().filter(|tx| own(tx)).any(Transaction::fails);
        let is_unanimous = self.active.iter().filter(|tx| own(tx)).all(Transaction::is_unanimous);
        if fails {
            for which in 0..self.active.len() {
                if own(&self.active[which]) && !self.active[which].fails() {
                    self.take_back(which);
                }
            }
        } else if is_unanimous {
            for which in 0..self.active.len() {
                if own(&self.active[which]) {
                    self.log_decision(which, true);
                }
            }
            let Epoch { checkpoint, from, to, .. } = epoch;
            self.durable = Some((checkpoint, to));
            self.note(COORDINATOR, Fact::CheckpointDurable { checkpoint, offset: to });
            if from < to && self.random.one_in(4) {
                self.rejected.push(from);
            }
        } else {
            self.epoch = Some(epoch);
        }
    }

    fn surround(&mut self) {
        if let Some((_, offset)) = self.durable.filter(|(_, offset)| *offset > self.acked) {
            self.acked = offset;
            self.note(COORDINATOR, Fact::UpstreamAck { offset });
        }
        if let Some(fact) = self.surroundings.next(&mut self.random) {
            self.note(COORDINATOR, fact);
        }
    }

    /// Ends all trouble, lets everything come to its end, and looks at the target.
    fn wind_down(mut self) -> (History, Given) {
        if let Some(scope) = self.fault.take() {
            self.note(COORDINATOR, Fact::FaultEnd { scope });
        }
        self.heal_core();
        for process in self.down.iter() {
            self.recover(process);
        }
        self.note(COORDINATOR, Fact::Healed { core: Processes::ALL });
        while !self.active.is_empty() {
            let which = self.random.below(self.active.len() as u64) as usize;
            self.advance(which);
            self.decide_epoch();
        }
        while let Some(fact) = self.surroundings.wind_down() {
            self.note(COORDINATOR, fact);
        }
        self.at += DECIDE_NS_MAX;
        self.note(COORDINATOR, Fact::Quiescent);
        let end = self.durable.map_or(0, |(_, offset)| offset.0);
        let offsets = (0..end).map(Offset).filter(|offset| !self.rejected.contains(offset));
        let given = Given {
            variant: self.settings.variant,
            faults_recorded: true,
            decide_ns_max: Some(DECIDE_NS_MAX),
            pool_connections_max: Some(surroundings::CONNECTIONS_MAX),
            // Nobody waits through more than a core's time and the rest.
            wait_ns_max: Some(2 * DECIDE_NS_MAX),
            buffer_bytes_max: Some(surroundings::BYTES_MAX),
            target: Some(offsets.map(|offset| (offset, 1)).collect()),
            rejected: self.rejected.clone(),
        };
        (self.history, given)
    }

    /// While some stay down, what is decided is carried out among the others.
    fn heal_core(&mut self) {
        let core = Processes::ALL - self.down;
        if self.down.is_empty() || !core.contains(COORDINATOR) {
            return;
        }
        self.note(COORDINATOR, Fact::Healed { core });
        while self.active.iter().any(|tx| tx.owes(core)) {
            let which = self.random.below(self.active.len() as u64) as usize;
            self.advance(which);
            self.decide_epoch();
        }
        self.at += DECIDE_NS_MAX;
    }

    /// A participant lets a request of the coordinator through.
    pub(super) fn let_through(&mut self, by: Process) {
        let (process, fact) = (Process(FENCED + by.0), Fact::LetThrough);
        let incarnation = self.incarnations[usize::from(COORDINATOR.0)];
        self.history.push(Event { at: self.at, process, incarnation, fact });
    }

    fn site(&mut self, which: usize) -> (Process, Site) {
        let tx = &self.active[which];
        let members: Vec<Process> = tx.participants.iter().collect();
        let process = members[self.random.below(members.len() as u64) as usize];
        (process, self.active[which].sites[usize::from(process.0)])
    }
}
