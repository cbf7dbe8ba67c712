//! Mutations of lawful histories: each breaks one law, and says which. And benign ones, which none
//! may notice.

use crate::laws::*;
use crate::{Connection, ConnectionState, Event, Fact, Given, Law, Offset, Pool, Process, Tx};

/// A lawful history on its way to an unlawful one.
pub(super) struct Patient {
    pub(super) history: Vec<Event>,
    pub(super) given: Given,
    /// Decides between places.
    pub(super) salt: usize,
}

/// A mutation. `None` if this history has no place for it.
pub(super) type Mutate = fn(&mut Patient) -> Option<()>;

impl Patient {
    /// One of the events that are so, by the salt.
    fn any(&self, is_so: impl Fn(&Patient, usize) -> bool) -> Option<usize> {
        let places: Vec<usize> = (0..self.history.len()).filter(|at| is_so(self, *at)).collect();
        places.get(self.salt.checked_rem(places.len())?).copied()
    }

    fn fact(&self, at: usize) -> Fact {
        self.history[at].fact
    }

    fn has(&self, is_so: impl Fn(&Event) -> bool) -> bool {
        self.history.iter().any(is_so)
    }

    fn is_calm(&self) -> bool {
        !self.has(|event| matches!(event.fact, Fact::Crash | Fact::FaultBegin { .. }))
    }

    fn drop_all(&mut self, is_so: impl Fn(&Event) -> bool) {
        self.history.retain(|event| !is_so(event));
    }

    /// Puts a fact after an event, by the same process at the same time.
    fn insert(&mut self, after: usize, fact: Fact) {
        let event = Event { fact, ..self.history[after] };
        self.history.insert(after + 1, event);
    }

    /// A transaction that its coordinator commits.
    fn committed(&self) -> Option<Tx> {
        let at = self.any(|p, at| {
            p.history[at].process == Process(0)
                && matches!(p.fact(at), Fact::Decide { commit: true, .. })
        })?;
        match self.fact(at) {
            Fact::Decide { tx, .. } => Some(tx),
            _ => None,
        }
    }

    /// A decision of a participant that voted Yes.
    fn applied(&self, commit: bool) -> Option<usize> {
        self.any(|p, at| {
            let Event { process, fact, .. } = p.history[at];
            matches!(fact, Fact::Decide { tx, commit: so } if so == commit
                && p.has(|e| e.process == process && e.fact == Fact::Vote { tx, yes: true }))
        })
    }

    fn tx_at(&self, at: usize) -> Option<Tx> {
        match self.fact(at) {
            Fact::Decide { tx, .. } | Fact::Vote { tx, .. } | Fact::Joins { tx, .. } => Some(tx),
            _ => None,
        }
    }

    /// A transaction of a durable checkpoint.
    fn in_durable(&self) -> Option<Tx> {
        let at = self.any(|p, at| {
            let Fact::Joins { checkpoint, .. } = p.fact(at) else { return false };
            // One that a crash cut short starts again.
            let again = Fact::CheckpointStart { checkpoint };
            p.history[at..].iter().all(|event| event.fact != again)
                && p.has(|event| {
                    matches!(event.fact, Fact::CheckpointDurable { checkpoint: own, .. }
                        if own == checkpoint)
                })
        })?;
        self.tx_at(at)
    }

    /// Whether all went by the messages that the protocol has for it.
    fn is_plain(&self, of: Tx) -> bool {
        !self.has(|event| {
            matches!(event.fact, Fact::Heuristic { tx, .. } | Fact::Answer { tx, .. } if tx == of)
        })
    }

    /// Whether the coordinator, with all that it holds, lives on after this event.
    fn is_kept(&self, at: usize) -> bool {
        let ends = |event: &Event| event.process.0 == 0 && event.fact == Fact::Crash;
        !self.history[at..].iter().any(ends)
    }

    fn last(&self, is_so: impl Fn(&Fact) -> bool) -> Option<usize> {
        self.history.iter().rposition(|event| is_so(&event.fact))
    }
}

/// The mutations: name, the law that must catch it, what it does.
pub(super) const MUTANTS: &[(&str, &Law, Mutate)] = &[
    ("a participant decides otherwise", &AC1, |p| {
        let at = p.applied(true)?;
        let tx = p.tx_at(at)?;
        p.history[at].fact = Fact::Decide { tx, commit: false };
        Some(())
    }),
    ("a participant decides again, otherwise", &AC2, |p| {
        let at = p.applied(p.salt.is_multiple_of(2))?;
        let Fact::Decide { tx, commit } = p.fact(at) else { return None };
        p.insert(at, Fact::Decide { tx, commit: !commit });
        Some(())
    }),
    ("the log decides again, otherwise", &AC2, |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::DecisionDurable { .. }))?;
        let Fact::DecisionDurable { tx, commit } = p.fact(at) else { return None };
        p.insert(at, Fact::DecisionDurable { tx, commit: !commit });
        Some(())
    }),
    ("a vote is missing", &AC3, |p| {
        let of = p.committed()?;
        let at = p.any(|p, at| matches!(p.fact(at), Fact::Vote { tx, .. } if tx == of))?;
        p.history.remove(at);
        Some(())
    }),
    ("a vote says No", &AC3, |p| {
        let of = p.committed()?;
        let at = p.any(|p, at| matches!(p.fact(at), Fact::Vote { tx, .. } if tx == of))?;
        p.history[at].fact = Fact::Vote { tx: of, yes: false };
        Some(())
    }),
    ("abort for no reason", &AC4, |p| {
        let of = p.committed().filter(|_| p.is_calm())?;
        for event in &mut p.history {
            match &mut event.fact {
                Fact::Decide { tx, commit } | Fact::DecisionDurable { tx, commit } if *tx == of => {
                    *commit = false;
                }
                _ => {}
            }
        }
        Some(())
    }),
    ("no prepare record", &DURABLE_VOTE, |p| {
        let at = p.applied(true)?;
        let (of, by) = (p.tx_at(at)?, p.history[at].process);
        p.drop_all(|event| event.process == by && event.fact == Fact::Prepared { tx: of });
        Some(())
    }),
    ("no decision record", &DURABLE_DECISION, |p| {
        let of = p.committed()?;
        p.drop_all(|event| event.fact == Fact::DecisionDurable { tx: of, commit: true });
        Some(())
    }),
    ("the decision record comes too late", &DURABLE_DECISION, |p| {
        let of = p.committed()?;
        let record = Fact::DecisionDurable { tx: of, commit: true };
        let from = p.last(|fact| *fact == record)?;
        let told = Fact::Decide { tx: of, commit: true };
        let to = p.history.iter().position(|event| event.fact == told)?;
        let event = p.history.remove(from);
        p.history.insert(to, event);
        Some(())
    }),
    ("no initiation record", &DURABLE_DECISION, |p| {
        let at = p.any(|p, at| {
            matches!(p.fact(at), Fact::PrepareSent { tx, .. }
                if p.has(|event| event.fact == Fact::Initiated { tx }))
        })?;
        let Fact::PrepareSent { tx, .. } = p.fact(at) else { return None };
        p.drop_all(|event| event.fact == Fact::Initiated { tx });
        Some(())
    }),
    ("forgotten before all have acknowledged", &PRESUMPTION, |p| {
        let at = p.any(|p, at| {
            matches!(p.fact(at), Fact::AckReceived { tx, .. }
                if p.has(|event| event.fact == Fact::Forget { tx })
                    && (p.given.variant != crate::Variant::PresumedNothing
                        || p.has(|event| event.fact == Fact::DecisionDurable { tx, commit: true })))
        })?;
        p.history.remove(at);
        Some(())
    }),
    ("an answer against record and presumption", &PRESUMPTION, |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::Answer { .. }))?;
        let Fact::Answer { tx, commit } = p.fact(at) else { return None };
        p.history[at].fact = Fact::Answer { tx, commit: !commit };
        Some(())
    }),
    ("a participant in doubt goes ahead", &WINDOW, |p| {
        let of = p.committed()?;
        let told = Fact::Decide { tx: of, commit: true };
        let first = p.history.iter().position(|event| event.fact == told)?;
        let mut rest = p.history[first + 1..].iter();
        let from = first + 1 + rest.position(|event| event.fact == told && event.process.0 > 0)?;
        let event = p.history.remove(from);
        p.history.insert(first, event);
        Some(())
    }),
    ("damage is not reported", &HEURISTICS, |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::HeuristicReported { .. }))?;
        p.history.remove(at);
        Some(())
    }),
    ("damage is reported twice", &HEURISTICS, |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::HeuristicReported { .. }))?;
        p.insert(at, p.fact(at));
        Some(())
    }),
    ("damage is reported where there is none", &HEURISTICS, |p| {
        let at = p.applied(true)?;
        let (tx, of) = (p.tx_at(at)?, p.history[at].process);
        p.insert(at, Fact::HeuristicReported { tx, of });
        Some(())
    }),
    ("a name is used again", &UNIQUE, |p| {
        let begins = |p: &Patient, at: usize| matches!(p.fact(at), Fact::Begin { .. });
        let at = p.any(begins).filter(|at| *at > 3)?;
        let first = p.history[0..at].iter().find_map(|event| match event.fact {
            Fact::Begin { tx, .. } => Some(tx),
            _ => None,
        })?;
        let Fact::Begin { participants, .. } = p.fact(at) else { return None };
        p.history[at].fact = Fact::Begin { tx: first, participants };
        Some(())
    }),
    ("an old life still acts", &FENCING, |p| {
        let at = p.any(|p, at| {
            let own = p.history[at];
            let same = |earlier: &Event| {
                earlier.process == own.process
                    && earlier.incarnation == own.incarnation
                    && earlier.fact.is_effect()
            };
            own.incarnation > 0 && own.fact.is_effect() && p.history[..at].iter().any(same)
        })?;
        p.history[at].incarnation -= 1;
        Some(())
    }),
    ("a participant lets an old life through", &FENCING, |p| {
        let at = p.any(|p, at| {
            let own = p.history[at];
            let same = |earlier: &Event| {
                earlier.process == own.process && earlier.incarnation == own.incarnation
            };
            own.incarnation > 0 && own.fact == Fact::LetThrough && p.history[..at].iter().any(same)
        })?;
        p.history[at].incarnation -= 1;
        Some(())
    }),
    ("while one stays away, another does not decide", &AC5, |p| {
        let core = p.history.iter().position(
            |e| matches!(e.fact, Fact::Healed { core } if core != crate::Processes::ALL),
        )?;
        let whole = p.last(|fact| matches!(fact, Fact::Healed { .. }))?;
        let at = p.any(|p, at| {
            let Event { process, fact, .. } = p.history[at];
            matches!(fact, Fact::Decide { tx, .. } if (core..whole).contains(&at)
                && p.has(|e| e.process == process && e.fact == Fact::Vote { tx, yes: true })
                && p.has(|e| e.process.0 == 0 && matches!(e.fact,
                    Fact::Decide { tx: of, .. } | Fact::Answer { tx: of, .. } if of == tx)))
        })?;
        let late = p.history.remove(at);
        // When all are back it does.
        let (at, incarnation) = (p.history[whole - 1].at, late.incarnation);
        p.history.insert(whole, Event { at, incarnation, ..late });
        Some(())
    }),
    ("a participant never decides", &AC5, |p| {
        let at = p.applied(p.salt.is_multiple_of(2))?;
        let (of, by) = (p.tx_at(at)?, p.history[at].process);
        p.drop_all(|event| {
            event.process == by && matches!(event.fact, Fact::Decide { tx, .. } if tx == of)
        });
        Some(())
    }),
    ("a participant decides too late", &AC5, |p| {
        let healed = p.last(|fact| matches!(fact, Fact::Healed { .. }))?;
        let bound = p.given.decide_ns_max?;
        let in_doubt = |event: &Event| {
            matches!(event.fact, Fact::Decide { tx, .. }
                if p.has(|e| e.process == event.process && e.fact == Fact::Vote { tx, yes: true }))
        };
        p.history[healed..].iter().any(in_doubt).then_some(())?;
        p.history[healed + 1..].iter_mut().for_each(|event| event.at += bound);
        Some(())
    }),
    ("a transaction is prepared at the end", &ORPHANS, |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::Prepared { .. }))?;
        let Fact::Prepared { tx } = p.fact(at) else { return None };
        p.insert(p.history.len() - 1, Fact::PreparedAtEnd { tx });
        Some(())
    }),
    ("a transaction stays prepared, unseen", &ORPHANS, |p| {
        let at = p.applied(true)?;
        let (of, by) = (p.tx_at(at)?, p.history[at].process);
        p.drop_all(|event| {
            event.process == by && matches!(event.fact, Fact::Decide { tx, .. } if tx == of)
        });
        Some(())
    }),
    ("a prepared participant chooses to abort", &TCOMMIT, |p| {
        let at = p.applied(true)?;
        let tx = p.tx_at(at)?;
        let is_second =
            |event: &Event| event.process.0 > 0 && event.fact == Fact::Decide { tx, commit: true };
        p.history[..at].iter().any(is_second).then_some(())?;
        p.history[at].fact = Fact::Decide { tx, commit: false };
        Some(())
    }),
    ("a participant commits before all are prepared", &TCOMMIT, |p| {
        let of = p.committed()?;
        let from = p.history.iter().position(|event| {
            event.process.0 > 0 && event.fact == Fact::Decide { tx: of, commit: true }
        })?;
        let vote = Fact::Vote { tx: of, yes: true };
        let to = p.history.iter().position(|event| event.fact == vote)?;
        let event = p.history.remove(from);
        p.history.insert(to, event);
        Some(())
    }),
    ("the coordinator misses a vote", &TWO_PHASE, |p| {
        let of = p.committed()?;
        let at = p.any(|p, at| matches!(p.fact(at), Fact::VoteReceived { tx, .. } if tx == of))?;
        let Fact::VoteReceived { from, .. } = p.fact(at) else { return None };
        p.drop_all(|event| event.fact == Fact::VoteReceived { tx: of, from, yes: true });
        Some(())
    }),
    ("one forced write more", &FORCED_WRITES, |p| {
        let tx = p.committed().filter(|tx| p.is_calm() && p.is_plain(*tx))?;
        let at = p.last(|fact| *fact == Fact::Forced { tx })?;
        p.insert(at, Fact::Forced { tx });
        Some(())
    }),
    ("one message more", &MESSAGES, |p| {
        let tx = p.committed().filter(|tx| p.is_calm() && p.is_plain(*tx))?;
        let at = p.last(|fact| *fact == Fact::Message { tx })?;
        p.insert(at, Fact::Message { tx });
        Some(())
    }),
    ("a checkpoint has the number of the one before", &ORDER, |p| {
        let at = p.any(|p, at| {
            let Fact::CheckpointStart { checkpoint } = p.fact(at) else { return false };
            let before = |fact: &Fact| match *fact {
                Fact::CheckpointDurable { checkpoint: one, .. } => one.0 + 1 == checkpoint.0,
                _ => false,
            };
            p.history[..at].iter().any(|event| before(&event.fact))
        })?;
        let Fact::CheckpointStart { checkpoint } = &mut p.history[at].fact else { return None };
        checkpoint.0 -= 1;
        Some(())
    }),
    ("a checkpoint starts twice in a life", &ORDER, |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::CheckpointStart { .. }))?;
        p.insert(at, p.fact(at));
        Some(())
    }),
    ("a checkpoint is durable twice", &ORDER, |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::CheckpointDurable { .. }))?;
        p.insert(at, p.fact(at));
        Some(())
    }),
    ("a checkpoint is durable before a vote", &VOTES, |p| {
        let of = p.in_durable()?;
        let at = p.any(|p, at| p.fact(at) == Fact::Vote { tx: of, yes: true })?;
        p.history.remove(at);
        Some(())
    }),
    ("a transaction covers a record more", &CONTIGUOUS, |p| {
        let of = p.in_durable()?;
        let at = p.any(|p, at| matches!(p.fact(at), Fact::Covers { tx, .. } if tx == of))?;
        let Fact::Covers { to, .. } = &mut p.history[at].fact else { return None };
        to.0 += 1;
        Some(())
    }),
    ("a transaction covers nothing", &CONTIGUOUS, |p| {
        let of = p.in_durable()?;
        let durables = |event: &&Event| match event.fact {
            Fact::CheckpointDurable { offset, .. } => offset.0 > 0,
            _ => false,
        };
        (p.history.iter().filter(durables).count() > 1).then_some(())?;
        let own =
            |fact: &Fact| matches!(fact, Fact::Covers { tx, from, .. } if *tx == of && from.0 > 0);
        let at = p.last(own)?;
        p.history.remove(at);
        Some(())
    }),
    ("a record is acknowledged upstream too early", &UPSTREAM, |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::UpstreamAck { .. }))?;
        let Fact::UpstreamAck { offset } = &mut p.history[at].fact else { return None };
        offset.0 += 1;
        Some(())
    }),
    ("a restore skips a record", &RESTORE, |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::Restored { .. }))?;
        let Fact::Restored { offset, .. } = &mut p.history[at].fact else { return None };
        offset.0 += 1;
        Some(())
    }),
    ("a restore goes back behind what is visible", &RESTORE, |p| {
        let at = p.any(|p, at| {
            matches!(p.fact(at), Fact::Restored { offset, .. } if p.history[..at].iter().any(
                |event| event.fact == Fact::UpstreamAck { offset }))
        })?;
        let older = p.history[..at].iter().find_map(|event| match event.fact {
            Fact::CheckpointDurable { checkpoint, offset } => Some((checkpoint, offset)),
            _ => None,
        })?;
        let Fact::Restored { checkpoint, offset } = &mut p.history[at].fact else { return None };
        (older.1 < *offset).then_some(())?;
        (*checkpoint, *offset) = older;
        Some(())
    }),
    ("a record is lost", &EXACTLY_ONCE, |p| {
        let at = p.salt.checked_rem(p.given.target.as_ref()?.len())?;
        p.given.target.as_mut()?.swap_remove(at);
        Some(())
    }),
    ("a record is there twice", &EXACTLY_ONCE, |p| {
        let at = p.salt.checked_rem(p.given.target.as_ref()?.len())?;
        let twice = p.given.target.as_ref()?[at];
        p.given.target.as_mut()?.push(twice);
        Some(())
    }),
    ("a record is there that nobody committed", &EXACTLY_ONCE, |p| {
        let end = p.given.target.as_ref()?.last()?.0.0.max(p.given.rejected.last()?.0) + 1;
        p.given.target.as_mut()?.push((Offset(end), 1));
        Some(())
    }),
    ("a rejected record is there", &EXACTLY_ONCE, |p| {
        let offset = *p.given.rejected.last()?;
        p.given.target.as_mut()?.push((offset, 1));
        Some(())
    }),
    ("an epoch is missing at a participant", &EPOCHS, |p| {
        let of = p.in_durable()?;
        let at = p.any(|p, at| {
            p.history[at].process.0 > 0 && p.fact(at) == Fact::Decide { tx: of, commit: true }
        })?;
        p.history.remove(at);
        Some(())
    }),
    ("a connection more than allowed", &POOL_MAX, |p| {
        let max = p.given.pool_connections_max?;
        for extra in 0..=max {
            let connection = Connection(1_000 + extra);
            p.insert(p.history.len() - 2, Fact::Connect { connection, pool: Pool(0) });
        }
        Some(())
    }),
    ("a connection has two holders", &ONE_HOLDER, |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::Lease { .. }))?;
        p.insert(at, p.fact(at));
        Some(())
    }),
    ("a connection is given back twice", &ONE_HOLDER, |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::Return { .. }))?;
        p.insert(at, p.fact(at));
        Some(())
    }),
    ("a connection is handed out inside a transaction", &CLEAN, |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::Lease { .. }))?;
        let Fact::Lease { state, .. } = &mut p.history[at].fact else { return None };
        *state = [ConnectionState::Open, ConnectionState::Failed][p.salt % 2];
        Some(())
    }),
    ("a connection is not given back", &LEAK, |p| {
        let at = p.last(|fact| matches!(fact, Fact::Lease { .. }))?;
        let Fact::Lease { connection, .. } = p.fact(at) else { return None };
        let returned = Fact::Return { connection };
        let back = p.history[at..].iter().position(|event| event.fact == returned)?;
        let is_closed = p.history[at..].iter().any(|e| e.fact == Fact::Close { connection });
        (p.is_kept(at) && !is_closed).then_some(())?;
        p.history.remove(at + back);
        Some(())
    }),
    ("a wait never ends", &STARVATION, |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::WaitEnd { .. }) && p.is_kept(at))?;
        p.history.remove(at);
        Some(())
    }),
    ("a wait is too long", &STARVATION, |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::WaitEnd { .. }))?;
        let bound = p.given.wait_ns_max?;
        p.history[at..].iter_mut().for_each(|event| event.at += bound);
        Some(())
    }),
    ("the buffer is too full", &BUFFER_MAX, |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::Buffered { .. }))?;
        let limit = p.given.buffer_bytes_max?;
        p.history[at].fact = Fact::Buffered { bytes: limit + 1 };
        Some(())
    }),
    ("more is released than was buffered", &BUFFER_MIN, |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::Released { .. }))?;
        let limit = p.given.buffer_bytes_max?;
        p.history[at].fact = Fact::Released { bytes: limit + 1 };
        Some(())
    }),
    ("buffered bytes are dropped", &BUFFER_DRAINED, |p| {
        let at = p.last(|fact| matches!(fact, Fact::Released { .. } | Fact::Crash))?;
        matches!(p.fact(at), Fact::Released { .. }).then_some(())?;
        p.history.remove(at);
        Some(())
    }),
];

/// What no law may notice: name, what it does.
pub(super) const BENIGN: &[(&str, Mutate)] = &[
    ("a vote is sent again", |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::Vote { .. }))?;
        p.insert(at, p.fact(at));
        Some(())
    }),
    ("a vote arrives again", |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::VoteReceived { .. }))?;
        p.insert(at, p.fact(at));
        Some(())
    }),
    ("a decision is applied, or told, again", |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::Decide { .. }))?;
        let again = p.history[at];
        let last = p.last(|fact| matches!(fact, Fact::Healed { .. }))?;
        let incarnation = p.history[..last].iter().rev().find(|e| e.process == again.process);
        let incarnation = incarnation?.incarnation;
        (last > at).then_some(())?;
        p.history.insert(last, Event { incarnation, at: p.history[last].at, ..again });
        Some(())
    }),
    ("an acknowledgement arrives again", |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::AckReceived { .. }))?;
        p.insert(at, p.fact(at));
        Some(())
    }),
    ("an old life closes a connection", |p| {
        let connection = Connection(0);
        let opened = p.last(|fact| *fact == Fact::Connect { connection, pool: Pool(0) })?;
        let at = p.any(|p, at| p.history[at].process.0 == 0 && p.history[at].incarnation > 0)?;
        (p.history[opened].incarnation == 0).then_some(())?;
        p.insert(at, Fact::Close { connection });
        p.history[at + 1].incarnation -= 1;
        Some(())
    }),
    ("everything happens later", |p| {
        p.history.iter_mut().for_each(|event| event.at += 12_345);
        Some(())
    }),
    ("a fault that touches nothing that follows", |p| {
        let at = p.last(|fact| matches!(fact, Fact::Healed { .. }))?;
        let scope = crate::Processes::ALL;
        p.insert(at.checked_sub(1)?, Fact::FaultBegin { scope });
        p.insert(at, Fact::FaultEnd { scope });
        Some(())
    }),
    ("fewer messages than allowed", |p| {
        let at = p.any(|p, at| matches!(p.fact(at), Fact::Message { .. }))?;
        p.history.remove(at);
        Some(())
    }),
    ("the target in another order, counts split", |p| {
        p.given.target.as_mut()?.reverse();
        p.given.target.as_mut()?.push((Offset(0), 0));
        Some(())
    }),
];
