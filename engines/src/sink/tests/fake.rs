//! A participant in memory that answers as a script says, and right where the script says nothing.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};

use seedbed_env::sync::Notify;

use super::super::participant::{
    Connection, ConnectionState, Decision, Gid, No, Outcome, Participant, ParticipantError,
    Session, Vote,
};
use super::super::row::{Rows, Value};

/// What is asked of a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ask {
    Connect,
    Prepare,
    Commit,
    Abort,
    List,
    Forget,
}

/// What a script has it do instead of the right thing.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// The right thing.
    Right,
    Vote(No),
    /// This outcome for every transaction; nothing is done.
    Outcome(Outcome),
    /// No outcome at all.
    Silent,
    Fail(ParticipantError),
    /// Not before the test says so; then the right thing.
    Hang,
}

#[derive(Default)]
pub(super) struct Inner {
    script: BTreeMap<Ask, VecDeque<Reply>>,
    /// What comes after the script.
    always: BTreeMap<Ask, Reply>,
    pub(super) prepared: BTreeMap<Gid, Rows>,
    /// How many can be prepared at once, if there is a limit.
    pub(super) places: Option<usize>,
    /// Committed keys, in the order in which they were.
    pub(super) committed: Vec<i64>,
    pub(super) asked: Vec<(Ask, Vec<Gid>)>,
    pub(super) finished: Gid,
}

/// A handle to it; clones are the same participant.
#[derive(Clone)]
pub(super) struct Fake {
    name: &'static str,
    inner: Arc<Mutex<Inner>>,
    go_on: Arc<Notify>,
}

pub(super) struct FakeConnection {
    fake: Fake,
    open: Option<Rows>,
    state: ConnectionState,
}

impl Fake {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, inner: Arc::default(), go_on: Arc::default() }
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Has the next of these answered so.
    pub(super) fn next(&self, ask: Ask, replies: impl IntoIterator<Item = Reply>) {
        self.inner().script.entry(ask).or_default().extend(replies);
    }

    /// Has all of these answered so, after what was scripted.
    pub(super) fn always(&self, ask: Ask, reply: Reply) {
        self.inner().always.insert(ask, reply);
    }

    /// Ends what hangs.
    pub(super) fn go_on(&self) {
        self.inner().always.clear();
        self.go_on.notify_waiters();
    }

    pub(super) fn count(&self, ask: Ask) -> usize {
        self.inner().asked.iter().filter(|(asked, _)| *asked == ask).count()
    }

    async fn reply(&self, ask: Ask, gids: &[Gid]) -> Result<Reply, ParticipantError> {
        let go_on = self.go_on.notified();
        let reply = {
            let mut inner = self.inner();
            inner.asked.push((ask, gids.to_vec()));
            let scripted = inner.script.get_mut(&ask).and_then(VecDeque::pop_front);
            scripted.or_else(|| inner.always.get(&ask).cloned()).unwrap_or(Reply::Right)
        };
        match reply {
            Reply::Fail(error) => Err(error),
            Reply::Hang => {
                go_on.await;
                Ok(Reply::Right)
            }
            reply => Ok(reply),
        }
    }
}

impl Participant for Fake {
    type Connection = FakeConnection;

    fn name(&self) -> &str {
        self.name
    }

    async fn connect(&self, _: &Session) -> Result<FakeConnection, ParticipantError> {
        self.reply(Ask::Connect, &[]).await?;
        Ok(FakeConnection { fake: self.clone(), open: None, state: ConnectionState::Idle })
    }
}

impl FakeConnection {
    async fn ask(&mut self, ask: Ask, gids: &[Gid]) -> Result<Reply, ParticipantError> {
        self.state = ConnectionState::Broken;
        let reply = self.fake.reply(ask, gids).await?;
        self.state = ConnectionState::Idle;
        Ok(reply)
    }

    async fn decide(
        &mut self,
        decision: Decision,
        gids: &[Gid],
    ) -> Result<Vec<Outcome>, ParticipantError> {
        let ask = if decision == Decision::Commit { Ask::Commit } else { Ask::Abort };
        match self.ask(ask, gids).await? {
            Reply::Outcome(outcome) => return Ok(vec![outcome; gids.len()]),
            Reply::Silent => return Ok(Vec::new()),
            _ => (),
        }
        let mut inner = self.fake.inner();
        for gid in gids {
            let rows = inner.prepared.remove(gid).unwrap_or_default();
            if decision == Decision::Commit {
                inner.committed.extend(keys(&rows));
            }
        }
        Ok(vec![Outcome::Done; gids.len()])
    }
}

fn keys(rows: &Rows) -> Vec<i64> {
    let key = |value| match value {
        Some(Value::Int(id)) => id,
        other => panic!("not a row of ours: {other:?}"),
    };
    rows.iter().map(|row| key(row.values().next())).collect()
}

impl Connection for FakeConnection {
    fn state(&self) -> ConnectionState {
        self.state
    }

    async fn write(&mut self, rows: &Rows) -> Result<Option<No>, ParticipantError> {
        self.state = ConnectionState::Open;
        self.open.get_or_insert_default().append(rows);
        Ok(None)
    }

    async fn prepare(&mut self, gid: Gid, finished: Gid) -> Result<Vote, ParticipantError> {
        if let Reply::Vote(no) = self.ask(Ask::Prepare, &[gid]).await? {
            self.open = None;
            return Ok(Vote::No(no));
        }
        let rows = self.open.take().expect("rows were written");
        let mut inner = self.fake.inner();
        if inner.places.is_some_and(|places| inner.prepared.len() >= places) {
            return Ok(Vote::No(No::Unable { reason: "no place".to_owned() }));
        }
        assert!(gid >= finished && finished >= inner.finished, "it only goes up");
        inner.finished = finished;
        inner.prepared.insert(gid, rows);
        Ok(Vote::Yes)
    }

    async fn commit_open(&mut self) -> Result<Vote, ParticipantError> {
        // No test of these commits in one phase.
        pending().await
    }

    async fn commit(&mut self, gids: &[Gid]) -> Result<Vec<Outcome>, ParticipantError> {
        self.decide(Decision::Commit, gids).await
    }

    async fn abort(&mut self, gids: &[Gid]) -> Result<Vec<Outcome>, ParticipantError> {
        self.decide(Decision::Abort, gids).await
    }

    async fn prepared(&mut self) -> Result<Vec<Gid>, ParticipantError> {
        self.ask(Ask::List, &[]).await?;
        Ok(self.fake.inner().prepared.keys().copied().collect())
    }

    async fn forget(&mut self, gids: &[Gid]) -> Result<(), ParticipantError> {
        self.ask(Ask::Forget, gids).await.map(drop)
    }

    async fn ping(&mut self) -> Result<(), ParticipantError> {
        Ok(())
    }
}
