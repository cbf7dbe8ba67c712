//! One transaction on its way: what its coordinator and each participant know, and the next step
//! of any of them.

use super::{COORDINATOR, World};
use crate::given::Variant;
use crate::history::{Fact, Process, Tx};
use crate::processes::Processes;

/// Where a participant stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Site {
    #[default]
    Working,
    /// Its prepare record is durable, its vote has not left.
    Prepared,
    InDoubt,
    Refused,
    /// Decided on its own, so; has not told it.
    Heuristic(bool),
    Decided,
}

/// One transaction. Sets of participants are messages under way or arrived.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) tx: Tx,
    pub(super) participants: Processes,
    pub(super) sites: [Site; 9],
    in_epoch: bool,
    asked: Processes,
    /// Were asked, and do not remember it.
    amnesic: Processes,
    /// Votes sent, and those that have arrived.
    sent_yes: Processes,
    sent_no: Processes,
    yes: Processes,
    /// What the coordinator has decided, and whether that is in its log, and told to somebody.
    decision: Option<bool>,
    is_logged: bool,
    is_visible: bool,
    told: Processes,
    told_ever: Processes,
    acks_sent: Processes,
    acks: Processes,
    has_refusal: bool,
    /// Its votes were lost with its coordinator's memory.
    is_cut_off: bool,
    /// The coordinator knows nothing of it: it has forgotten, or crashed.
    is_unknown: bool,
}

impl Transaction {
    pub(super) fn new(tx: Tx, participants: Processes, in_epoch: bool) -> Self {
        let none = Processes::NONE;
        Self {
            tx,
            participants,
            sites: [Site::Working; 9],
            in_epoch,
            asked: none,
            amnesic: none,
            sent_yes: none,
            sent_no: none,
            yes: none,
            decision: None,
            is_logged: false,
            is_visible: false,
            told: none,
            told_ever: none,
            acks_sent: none,
            acks: none,
            has_refusal: false,
            is_cut_off: false,
            is_unknown: false,
        }
    }

    fn site(&mut self, process: Process) -> &mut Site {
        &mut self.sites[usize::from(process.0)]
    }

    /// Whether all votes have arrived and say Yes.
    pub(super) fn is_unanimous(&self) -> bool {
        self.yes == self.participants && self.decision.is_none()
    }

    /// Whether it aborts, or will.
    pub(super) fn fails(&self) -> bool {
        self.has_refusal || self.decision == Some(false)
    }

    /// What was only in the coordinator's memory is gone. An initiation record makes it abort.
    pub(super) fn coordinator_crashes(&mut self, variant: Variant) {
        self.told = Processes::NONE;
        if self.is_logged {
            return;
        }
        if variant == Variant::PresumedCommit {
            self.is_cut_off = true;
            self.yes = Processes::NONE;
        } else {
            self.is_unknown = true;
        }
    }

    /// A participant loses what it has not made durable, and messages to it.
    pub(super) fn participant_crashes(&mut self, process: Process) {
        self.told = self.told - Processes::one(process);
        if *self.site(process) == Site::Working && self.asked.contains(process) {
            self.amnesic = self.amnesic.with(process);
        }
    }

    fn is_final(&self, process: Process) -> bool {
        matches!(self.sites[usize::from(process.0)], Site::Decided | Site::Refused)
    }

    /// Whether something is decided that a participant in the core has not done.
    pub(super) fn owes(&self, core: Processes) -> bool {
        let in_doubt = |process: Process| {
            let site = self.sites[usize::from(process.0)];
            matches!(site, Site::Prepared | Site::InDoubt | Site::Heuristic(_))
        };
        self.decision.is_some() && (self.participants & core).iter().any(in_doubt)
    }

    fn refusals(&self) -> Processes {
        let refused = |process: &Process| self.sites[usize::from(process.0)] == Site::Refused;
        self.participants.iter().filter(refused).collect()
    }

    fn is_over(&self) -> bool {
        self.is_unknown && self.participants.iter().all(|process| self.is_final(process))
    }
}

impl World {
    /// One step of one transaction, if the one that is drawn is possible.
    pub(super) fn advance(&mut self, which: usize) {
        let (process, site) = self.site(which);
        let is_unknown = self.active[which].is_unknown;
        match self.random.below(3) {
            0 if self.is_up(process) => self.participant(which, process, site),
            1 if self.is_up(COORDINATOR) && !is_unknown => self.coordinator(which, process),
            2 if self.is_up(COORDINATOR) && is_unknown => self.inquiry(which, process, site),
            _ => {}
        }
        if self.active[which].is_over() {
            self.active.swap_remove(which);
        }
    }

    fn participant(&mut self, which: usize, process: Process, site: Site) {
        let tx = self.active[which].tx;
        let presumed_commit = self.settings.variant == Variant::PresumedCommit;
        let own = &self.active[which];
        let decision = own.decision.filter(|_| own.told.contains(process));
        match (site, decision) {
            (Site::Working, None) if (own.asked - own.amnesic).contains(process) => {
                if self.random.one_in(24) {
                    if self.settings.variant != Variant::PresumedAbort {
                        self.note(process, Fact::Forced { tx });
                    }
                    *self.active[which].site(process) = Site::Refused;
                    self.vote(which, process, false);
                } else {
                    *self.active[which].site(process) = Site::Prepared;
                    self.note(process, Fact::Forced { tx });
                    self.note(process, Fact::Prepared { tx });
                }
            }
            // Nobody will ever ask.
            (Site::Working, None) if own.is_unknown => {
                *self.active[which].site(process) = Site::Decided;
                self.note(process, Fact::Decide { tx, commit: false });
            }
            (Site::Prepared, _) => {
                *self.active[which].site(process) = Site::InDoubt;
                self.vote(which, process, true);
            }
            (Site::InDoubt, None) if !own.in_epoch && self.random.one_in(200) => {
                let commit = self.random.one_in(2);
                *self.active[which].site(process) = Site::Heuristic(commit);
                self.note(process, Fact::Heuristic { tx, commit });
            }
            (Site::Working | Site::InDoubt, Some(commit)) => {
                *self.active[which].site(process) = Site::Decided;
                if self.settings.variant == Variant::PresumedNothing || commit != presumed_commit {
                    self.note(process, Fact::Forced { tx });
                }
                self.note(process, Fact::Decide { tx, commit });
            }
            (Site::Heuristic(done), Some(commit)) if self.is_up(COORDINATOR) => {
                *self.active[which].site(process) = Site::Decided;
                if done != commit {
                    self.note(COORDINATOR, Fact::HeuristicReported { tx, of: process });
                }
            }
            _ => self.acknowledge(which, process, site),
        }
    }

    fn vote(&mut self, which: usize, process: Process, yes: bool) {
        let own = &mut self.active[which];
        let sent = if yes { &mut own.sent_yes } else { &mut own.sent_no };
        *sent = sent.with(process);
        let tx = own.tx;
        self.note(process, Fact::Vote { tx, yes });
        self.note(process, Fact::Message { tx });
    }

    /// Whether this decision is acknowledged.
    fn is_acknowledged(&self, commit: bool) -> bool {
        match self.settings.variant {
            Variant::PresumedNothing => true,
            Variant::PresumedAbort => commit,
            Variant::PresumedCommit => !commit,
        }
    }

    fn acknowledge(&mut self, which: usize, process: Process, site: Site) {
        let own = &self.active[which];
        let due = own.decision.is_some_and(|commit| self.is_acknowledged(commit));
        if site == Site::Decided && due && !own.acks_sent.contains(process) {
            let tx = own.tx;
            self.active[which].acks_sent = own.acks_sent.with(process);
            self.note(process, Fact::Message { tx });
        }
    }

    fn coordinator(&mut self, which: usize, process: Process) {
        let own = &self.active[which];
        let tx = own.tx;
        let refused = own.sites[usize::from(process.0)] == Site::Refused;
        let Some(commit) = own.decision else { return self.collect(which, process) };
        let finals = own.participants.iter().filter(|process| own.is_final(*process));
        let all_final = finals.count() == own.participants.len();
        let may_forget = if self.is_acknowledged(commit) {
            all_final && (own.acks | own.refusals()).contains_all(own.participants)
        } else {
            all_final || self.random.one_in(8)
        };
        let own = &self.active[which];
        if !refused && !own.told.contains(process) {
            self.tell(which, process, commit);
        } else if own.acks_sent.contains(process) && !own.acks.contains(process) {
            self.active[which].acks = own.acks.with(process);
            self.note(COORDINATOR, Fact::AckReceived { tx, from: process });
        } else if own.is_visible && may_forget {
            self.active[which].is_unknown = true;
            self.note(COORDINATOR, Fact::Forget { tx });
        } else if refused && !own.is_visible {
            self.show(which, commit);
        }
    }

    /// The first word of a decision that anybody hears.
    fn show(&mut self, which: usize, commit: bool) {
        let tx = self.active[which].tx;
        self.active[which].is_visible = true;
        self.note(COORDINATOR, Fact::Decide { tx, commit });
    }

    fn tell(&mut self, which: usize, process: Process, commit: bool) {
        if !self.active[which].is_visible {
            self.show(which, commit);
        }
        let own = &mut self.active[which];
        let (tx, is_first) = (own.tx, !own.told_ever.contains(process));
        own.told = own.told.with(process);
        own.told_ever = own.told_ever.with(process);
        if is_first {
            self.note(COORDINATOR, Fact::Message { tx });
        }
    }

    fn collect(&mut self, which: usize, process: Process) {
        let own = &self.active[which];
        let tx = own.tx;
        if own.is_cut_off {
            self.take_back(which);
        } else if !own.asked.contains(process) {
            self.active[which].asked = own.asked.with(process);
            self.note(COORDINATOR, Fact::PrepareSent { tx, to: process });
            self.note(COORDINATOR, Fact::Message { tx });
            self.let_through(process);
        } else if own.sent_no.contains(process) {
            self.note(COORDINATOR, Fact::VoteReceived { tx, from: process, yes: false });
            self.active[which].has_refusal = true;
            self.log_decision(which, false);
        } else if own.amnesic.contains(process) {
            self.take_back(which);
        } else if own.sent_yes.contains(process) && !own.yes.contains(process) {
            self.active[which].yes = own.yes.with(process);
            self.note(COORDINATOR, Fact::VoteReceived { tx, from: process, yes: true });
        } else if own.is_unanimous() && !own.in_epoch {
            self.log_decision(which, true);
        }
    }

    /// The coordinator gives up.
    pub(super) fn take_back(&mut self, which: usize) {
        let tx = self.active[which].tx;
        self.note(COORDINATOR, Fact::Timeout { tx });
        self.log_decision(which, false);
    }

    pub(super) fn log_decision(&mut self, which: usize, commit: bool) {
        let tx = self.active[which].tx;
        self.active[which].decision = Some(commit);
        if commit || self.settings.variant != Variant::PresumedAbort {
            self.active[which].is_logged = true;
            self.note(COORDINATOR, Fact::Forced { tx });
            self.note(COORDINATOR, Fact::DecisionDurable { tx, commit });
        }
    }

    /// A participant in doubt asks a coordinator that has no record, or only the initiation record.
    fn inquiry(&mut self, which: usize, process: Process, site: Site) {
        let own = &mut self.active[which];
        let tx = own.tx;
        let in_doubt = matches!(site, Site::InDoubt | Site::Heuristic(_) | Site::Prepared);
        if !in_doubt || own.told.contains(process) {
            return;
        }
        let commit = own.decision.unwrap_or(false);
        own.decision = Some(commit);
        own.told = own.told.with(process);
        self.note(COORDINATOR, Fact::Answer { tx, commit });
    }
}
