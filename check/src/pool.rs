//! Pools of connections: how many there are, who holds them, in which state they are handed out,
//! and how long anybody waits.

use crate::dense::Dense;
use crate::given::Given;
use crate::history::{Connection, ConnectionState, Event, Fact, Pool, Process, Waiter};
use crate::processes::Processes;
use crate::verdict::{Finding, Judgement, Law, Sheet};

/// Never more than allowed.
pub static POOL_MAX: Law = Law {
    name: "pool size",
    statement: "No pool ever has more open connections than its maximum.",
};
/// One holder.
pub static ONE_HOLDER: Law = Law {
    name: "one holder",
    statement: "A connection is handed out only while it is open and nobody holds it, and given \
                back only by a holder.",
};
/// Handed out clean.
pub static CLEAN: Law = Law {
    name: "handed out clean",
    statement: "No connection is handed out with a transaction that is open or has failed.",
};
/// Nothing leaks.
pub static LEAK: Law =
    Law { name: "no leak", statement: "At quiescence nobody holds a connection." };
/// Nobody starves.
pub static STARVATION: Law = Law {
    name: "no starvation",
    statement: "Whoever waits does so no longer than the bound, and nobody waits at quiescence.",
};

pub(crate) static LAWS: [&Law; 5] = [&POOL_MAX, &ONE_HOLDER, &CLEAN, &LEAK, &STARVATION];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Status {
    #[default]
    Unseen,
    Idle,
    Leased,
    Closed,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    status: Status,
    pool: u8,
    owner: u8,
    /// Which life of its owner; those of earlier lives are gone.
    life: u32,
    since: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Wait {
    is_open: bool,
    owner: u8,
    life: u32,
    since: u32,
}

struct Judge<'a> {
    history: &'a [Event],
    given: &'a Given,
    sheet: Sheet,
    connections: Dense<State>,
    waits: Dense<Wait>,
    open: [u32; 256],
    owners: [u8; 256],
    lives: [u32; Processes::COUNT_MAX],
    quiescent: Option<usize>,
}

/// Judges pools and waits.
pub(crate) fn check(history: &[Event], given: &Given) -> Vec<Judgement> {
    let mut judge = Judge {
        history,
        given,
        sheet: Sheet::new(&LAWS),
        connections: Dense::new(history.len()),
        waits: Dense::new(history.len()),
        open: [0; 256],
        owners: [u8::MAX; 256],
        lives: [0; Processes::COUNT_MAX],
        quiescent: None,
    };
    for (at, event) in history.iter().enumerate() {
        if !is_relevant(&event.fact) {
            continue;
        }
        let owner = event.process;
        match event.fact {
            Fact::Connect { connection, pool } => judge.connect(at, owner, connection, pool),
            Fact::Lease { connection, state } => judge.lease(at, connection, state),
            Fact::Return { connection } => judge.give_back(at, connection),
            Fact::Close { connection } => judge.close(connection),
            Fact::WaitBegin { waiter } => {
                let life = judge.life(owner);
                let since = at as u32;
                *judge.waits.at(waiter.0) = Wait { is_open: true, owner: owner.0, life, since };
            }
            Fact::WaitEnd { waiter } => judge.wait_end(at, waiter),
            Fact::Crash => judge.crash(owner),
            Fact::Quiescent => judge.quiescent = Some(at),
            _ => {}
        }
    }
    judge.end();
    judge.connections.tell("connection", &mut judge.sheet);
    judge.waits.tell("wait", &mut judge.sheet);
    judge.sheet.done()
}

/// Whether this checker reads such a fact. Most events end here, on one branch that is foreseen.
#[inline]
fn is_relevant(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::Connect { .. }
            | Fact::Lease { .. }
            | Fact::Return { .. }
            | Fact::Close { .. }
            | Fact::WaitBegin { .. }
            | Fact::WaitEnd { .. }
            | Fact::Crash
            | Fact::Quiescent
    )
}

impl Judge<'_> {
    fn life(&self, of: Process) -> u32 {
        self.lives[usize::from(of.0) % Processes::COUNT_MAX]
    }

    fn connect(&mut self, at: usize, owner: Process, connection: Connection, pool: Pool) {
        let life = self.life(owner);
        let (pool, since) = (pool.0, at as u32);
        let state = State { status: Status::Idle, pool, owner: owner.0, life, since };
        *self.connections.at(connection.0) = state;
        self.owners[usize::from(pool)] = owner.0;
        let open = &mut self.open[usize::from(pool)];
        *open += 1;
        let open = *open;
        match self.given.pool_connections_max {
            None => self.sheet.unknown(&POOL_MAX, || "the maximum is not given".into()),
            Some(max) if open > max => self.sheet.violation(&POOL_MAX, || {
                let expected = format!("at most {max} connections in pool {pool}");
                Finding::new(expected, format!("{open}"), [at])
            }),
            Some(_) => {}
        }
    }

    /// The connection's state, in which one of an earlier life of its owner is closed.
    #[inline]
    fn connection(&mut self, connection: Connection) -> &mut State {
        let state = self.connections.at(connection.0);
        let life = self.lives[usize::from(state.owner) % Processes::COUNT_MAX];
        if state.status != Status::Unseen && state.life != life {
            state.status = Status::Closed;
        }
        state
    }

    #[inline]
    fn lease(&mut self, at: usize, connection: Connection, handed: ConnectionState) {
        let state = self.connection(connection);
        let State { status, since, .. } = *state;
        state.status = Status::Leased;
        state.since = at as u32;
        if status != Status::Idle {
            self.not_idle(at, connection, status, since);
        }
        if handed != ConnectionState::Idle {
            self.sheet.violation(&CLEAN, || {
                let got = format!("connection {} handed out {handed:?}", connection.0);
                Finding::new("a connection without a transaction", got, [since as usize, at])
            });
        }
    }

    #[cold]
    fn not_idle(&mut self, at: usize, connection: Connection, status: Status, since: u32) {
        if status == Status::Unseen {
            let reason = || format!("connection {} is never opened", connection.0);
            return self.sheet.unknown(&ONE_HOLDER, reason);
        }
        self.sheet.violation(&ONE_HOLDER, || {
            let got = format!("connection {} handed out while {status:?}", connection.0);
            Finding::new("an open connection that nobody holds", got, [since as usize, at])
        });
    }

    #[inline]
    fn give_back(&mut self, at: usize, connection: Connection) {
        let state = self.connection(connection);
        let State { status, since, .. } = *state;
        if status == Status::Leased {
            state.status = Status::Idle;
            state.since = at as u32;
        } else if status == Status::Idle {
            self.sheet.violation(&ONE_HOLDER, || {
                let got = format!("connection {} given back by nobody", connection.0);
                Finding::new("a holder", got, [since as usize, at])
            });
        }
    }

    fn close(&mut self, connection: Connection) {
        let state = self.connection(connection);
        if matches!(state.status, Status::Idle | Status::Leased) {
            state.status = Status::Closed;
            let pool = usize::from(state.pool);
            self.open[pool] = self.open[pool].saturating_sub(1);
        }
    }

    /// With its process, a connection is gone, and so is who waited for one.
    fn crash(&mut self, owner: Process) {
        self.lives[usize::from(owner.0) % Processes::COUNT_MAX] += 1;
        let pools = self.open.iter_mut().zip(&self.owners);
        pools.filter(|(_, by)| **by == owner.0).for_each(|(open, _)| *open = 0);
    }

    #[inline]
    fn wait_end(&mut self, at: usize, waiter: Waiter) {
        let wait = std::mem::take(self.waits.at(waiter.0));
        if wait.is_open {
            self.waited(at, waiter, wait);
        } else {
            self.sheet.unknown(&STARVATION, || format!("wait {} never begins", waiter.0));
        }
    }

    #[inline]
    fn waited(&mut self, at: usize, waiter: Waiter, wait: Wait) {
        let since = wait.since as usize;
        let took_ns = self.history[at].at.saturating_sub(self.history[since].at);
        match self.given.wait_ns_max {
            None => self.sheet.unknown(&STARVATION, || "the bound is not given".into()),
            Some(max) if took_ns > max => self.sheet.violation(&STARVATION, || {
                let got = format!("wait {} of {took_ns} ns", waiter.0);
                Finding::new(format!("a wait of at most {max} ns"), got, [since, at])
            }),
            Some(_) => {}
        }
    }

    fn end(&mut self) {
        let lives = self.lives;
        let lives_on = |by: u8, life| lives[usize::from(by) % Processes::COUNT_MAX] == life;
        let leaks =
            |state: &State| state.status == Status::Leased && lives_on(state.owner, state.life);
        let leak = self.connections.iter().find(|(_, state)| leaks(state));
        match (leak.map(|(number, state)| (number, state.since as usize)), self.quiescent) {
            (Some((number, since)), Some(quiescent)) => self.sheet.violation(&LEAK, || {
                let got = format!("connection {number} held");
                Finding::new("nothing held at quiescence", got, [since, quiescent])
            }),
            (Some(_), None) => {
                self.sheet.unknown(&LEAK, || "the history has no quiescence".into());
            }
            (None, _) => {}
        }
        let waits: Vec<_> = self.waits.iter().map(|(number, wait)| (number, *wait)).collect();
        for (number, wait) in waits {
            if wait.is_open && lives_on(wait.owner, wait.life) {
                self.waits_at_end(Waiter(number), wait);
            }
        }
    }

    fn waits_at_end(&mut self, waiter: Waiter, wait: Wait) {
        self.waited(self.history.len() - 1, waiter, wait);
        match self.quiescent {
            Some(quiescent) => self.sheet.violation(&STARVATION, || {
                let got = format!("wait {}", waiter.0);
                let witness = [wait.since as usize, quiescent];
                Finding::new("nobody waiting at quiescence", got, witness)
            }),
            None => self.sheet.unknown(&STARVATION, || format!("wait {} does not end", waiter.0)),
        }
    }
}
